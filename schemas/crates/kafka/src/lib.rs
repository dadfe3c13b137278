//! The table `[kafka]` of a configuration: librdkafka's properties, checked and never shown.
//!
//! [`KafkaSettings`] holds what a user wrote. Each binary adds the properties that its own promises rest on.

mod properties;
mod settings;

pub use settings::{KafkaSettings, KafkaValue, WrongSetting};
