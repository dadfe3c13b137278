//! Event -> one line of JSON in the format that a SIEM takes.
//!
//! The Normalizer's own document is ECS, and an [`Event`] is the type of it. The other formats are made from that type
//! alone: OCSF 1.8 (`ocsf`), OTLP logs (`otlp`), and the envelope of Splunk's HTTP Event Collector (`hec`).
//!
//! No format loses a fact. A table in each says which field of ECS has which place there; what no table names goes where the
//! format keeps what is strange to it (`unmapped`, an attribute, the event itself), under its ECS name. So a new field of
//! [`Event`] is in every format on the day it is made, and a row gives it a better place.

mod document_time;
mod fields;
mod hec;
mod ocsf;
mod otlp;
mod severity;
mod time;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wulog_schemas::event::Event;

pub(crate) use document_time::event_time_ms;

/// Name of this product, where a format asks who logged.
const PRODUCT: &str = "wulog";

/// Its version.
const PRODUCT_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The formats of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Elastic Common Schema 9.4, the Normalizer's own.
    #[default]
    Ecs,
    /// Open Cybersecurity Schema Framework 1.8.
    Ocsf,
    /// OpenTelemetry logs, OTLP in JSON.
    Otlp,
    /// Envelope of Splunk's HTTP Event Collector around the ECS document.
    Hec,
}

/// An event in a format, as one line of JSON without its end.
///
/// # Panics
/// Never: an event holds only what JSON can.
#[must_use]
pub fn write(format: Format, event: &Event<'_>) -> Vec<u8> {
    let document = match format {
        Format::Ecs => serde_json::to_vec(event),
        Format::Ocsf => serde_json::to_vec(&ocsf::document(event)),
        Format::Otlp => serde_json::to_vec(&otlp::document(event)),
        Format::Hec => return hec::document(event),
    };
    document.expect("an event holds only strings, numbers and string maps")
}

/// The Normalizer's document in a format; ECS is what it is.
///
/// # Panics
/// Where `ecs` is no event.
#[must_use]
pub fn from_ecs(format: Format, ecs: Bytes) -> Bytes {
    if format == Format::Ecs {
        return ecs;
    }
    let event = serde_json::from_slice(&ecs).expect("the Normalizer writes an Event, as a test of every line shows");
    write(format, &event).into()
}
