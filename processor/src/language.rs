//! The languages of texts that people read: reports, and summaries of channels.

use schemars::JsonSchema;
use serde::Deserialize;

/// Language of the summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English, as the document has it.
    #[default]
    En,
    /// German.
    De,
}
