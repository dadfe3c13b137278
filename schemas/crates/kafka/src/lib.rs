//! The table `[kafka]` of a configuration: librdkafka's properties, checked and never shown.
//!
//! [`KafkaSettings`] holds the user's values. Each binary adds the properties that its own guarantees need.

mod properties;
mod settings;

pub use settings::{KafkaSettings, KafkaValue, WrongSetting};
