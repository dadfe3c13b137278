//! The checked configuration.

use std::path::PathBuf;

use wulog_kafka::KafkaSettings;

use crate::certificates::CertificateSources;
use crate::input::Input;
use crate::limits::Limits;
use crate::local_host::HostConfig;
use crate::metrics::MetricsConfig;
use crate::redact::Rule;
use crate::update_log::GetWindowsUpdateLog;

/// The checked configuration of a collector.
#[derive(Clone, Debug)]
pub struct Config {
    /// Topics are `PREFIX.raw` and so on.
    pub topic_prefix: String,
    /// Where positions are kept; one collector a directory.
    pub state_dir: PathBuf,
    /// The host that the collector runs on.
    pub host: HostConfig,
    /// Settings for librdkafka, by its names; secrets are looked up already, and never shown.
    pub kafka: KafkaSettings,
    /// Bounds.
    pub limits: Limits,
    /// The replacements that are made in each line before the line is shipped.
    pub redact: Vec<Rule>,
    /// Where metrics and health are served, if anywhere.
    pub metrics: Option<MetricsConfig>,
    /// Has Windows 10 and later make a log of their traces.
    pub get_windows_update_log: Option<GetWindowsUpdateLog>,
    /// The inventories of certificates that are shipped.
    pub certificates: CertificateSources,
    /// The inputs. A file belongs to the first input that names the file.
    pub inputs: Vec<Input>,
}

/// The prefix of topics by default.
pub(super) fn default_prefix() -> String {
    "wulog".to_owned()
}
