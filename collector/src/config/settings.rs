//! The checked configuration.

use std::path::PathBuf;

use wulog_kafka::KafkaSettings;

use crate::certificates::CertificateSources;
use crate::input::Input;
use crate::limits::Limits;
use crate::local_host::HostConfig;
use crate::metrics::MetricsConfig;
use crate::redact::RedactRule;
use crate::update_log::GetWindowsUpdateLog;

/// The checked configuration of a collector.
#[derive(Clone, Debug)]
pub struct Config {
    /// Prefix of the topic names, as in `PREFIX.raw`.
    pub topic_prefix: String,
    /// Directory of the checkpoint; each collector has its own.
    pub state_dir: PathBuf,
    /// The host that the collector runs on.
    pub host: HostConfig,
    /// Settings of librdkafka by its own names. Secrets are already resolved and are never printed.
    pub kafka: KafkaSettings,
    /// Bounds of memory, lines and times.
    pub limits: Limits,
    /// The replacements that are made in each line before the line is shipped.
    pub redact: Vec<RedactRule>,
    /// The address at which metrics and health are served; `None` for no server.
    pub metrics: Option<MetricsConfig>,
    /// Periodic runs of `Get-WindowsUpdateLog` on Windows 10 and later.
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
