//! Settings in TOML: the text of a configuration file, errors that name its line and key, and [`Secret`]s that no message
//! shows.

mod config_text;
mod secret;
mod toml_place;

pub use config_text::{ConfigError, ConfigText, Program, read};
pub use secret::{FORMS, Secret, SecretOrigin, readable_by_all, schema_of_forms};
