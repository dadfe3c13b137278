//! The configuration that the Detector runs with, and the provenance of its documents.
//!
//! Both are data. The processor writes the configuration that it was started with to the signals log, at a change and
//! daily; from this record on the Detector runs with it, live and in every replay. Before the first record the start
//! configuration applies.

use serde::{Deserialize, Serialize};
use wulog_schemas::alert::{Provenance, schema_hash};
use wulog_schemas::hresult::table_hash;
use wulog_schemas::signal::{ConfigChange, Fact, RawPosition, Signal, VERSION};
use wulog_schemas::topic::Topic;

use super::config::DetectorConfig;
use crate::machine::Output;

/// Interval at which the record is repeated, so that no replay has to go back further for the configuration.
const AGAIN_MS: i64 = 24 * 60 * 60 * 1000;

/// The newest configuration record of the log. The configuration is held as JSON, so that a snapshot outlives changes
/// of the keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct RecordedConfig {
    detector: String,
    version: String,
    config_hash: String,
    schema_hash: String,
    code_table_hash: String,
    /// Log time of the record.
    at: i64,
}

impl RecordedConfig {
    /// The record and its configuration, if this version can run with the configuration.
    pub(super) fn of(change: &ConfigChange, log_time: i64) -> Option<(RecordedConfig, DetectorConfig)> {
        let config: DetectorConfig = serde_json::from_value(change.detector.clone()).ok()?;
        config.check().ok()?;
        let Provenance { version, config_hash, schema_hash, code_table_hash } = change.provenance.clone();
        let detector = change.detector.to_string();
        Some((RecordedConfig { detector, version, config_hash, schema_hash, code_table_hash, at: log_time }, config))
    }

    /// The configuration and the provenance of documents.
    pub(super) fn running(&self) -> Option<(DetectorConfig, Provenance)> {
        let config = serde_json::from_str(&self.detector).ok()?;
        Some((config, self.provenance()))
    }

    pub(super) fn provenance(&self) -> Provenance {
        Provenance {
            version: self.version.clone(),
            config_hash: self.config_hash.clone(),
            schema_hash: self.schema_hash.clone(),
            code_table_hash: self.code_table_hash.clone(),
        }
    }
}

/// The provenance of documents that are written with this configuration.
pub(super) fn provenance_of(config: &DetectorConfig) -> Provenance {
    Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config_hash: config.hash(),
        schema_hash: schema_hash(),
        code_table_hash: table_hash(),
    }
}

/// The record of the start configuration, where the log does not hold it, or holds it from a day before `log_time`.
pub(super) fn record_due(
    given: &DetectorConfig,
    maker: &Provenance,
    recorded: Option<&RecordedConfig>,
    log_time: i64,
) -> Option<Output> {
    if recorded.is_some_and(|known| known.provenance() == *maker && log_time - known.at < AGAIN_MS) {
        return None;
    }
    let detector = serde_json::to_value(given).expect("a configuration is numbers, strings and string keys");
    let fact = Fact::Config(ConfigChange { detector, provenance: maker.clone() });
    let signal = Signal { v: VERSION, log_time, raw: RawPosition { partition: -1, offset: 0 }, fact };
    let value = serde_json::to_vec(&signal).expect("a signal holds only strings and numbers");
    Some(Output { topic: Topic::Signals, key: "config".into(), value: value.into(), timestamp_ms: log_time })
}
