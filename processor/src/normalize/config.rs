//! What an operator can set for the Normalizer. Values are checked when they are read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::inventory::HostNamesFile;
use super::patterns::{PatternConfig, Patterns};
use super::zone::{UtcOffset, Zone};
use crate::bounds::DOCUMENT_BYTES_MAX;
use crate::format::Format;

/// Which lines become events. Signals, and so alerts, are the same with both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Events {
    /// Every line.
    #[default]
    All,
    /// Failures, warnings, verdicts, reports, and starts and ends of operations.
    Notable,
}

/// `[normalize]` of the processor's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NormalizerConfig {
    /// Offset of local times where nothing better is known: `+02:00`. Absent: UTC is assumed, and flagged.
    #[schemars(with = "Option<String>")]
    pub utc_offset: Option<UtcOffset>,
    /// IANA time zone where nothing better is known; goes before `utc_offset`.
    #[schemars(with = "Option<String>")]
    pub time_zone: Option<Zone>,
    /// How long a failure whose outcome is open waits for a success before it counts. Healthy third-party installs log
    /// 0x800B0109 and succeed within seconds.
    pub provisional_wait_secs: u32,
    /// How long a definite failure that names only a file waits to learn its update. REPORT EVENT follows within 5 s.
    pub update_wait_secs: u32,
    /// Without any heartbeat, a host counts as caught up so long after its first record.
    pub catch_up_wait_secs: u32,
    /// Which lines become events.
    pub events: Events,
    /// Whether each attempt is a document beside the events of its lines.
    pub attempts: bool,
    /// The format of events.
    pub format: Format,
    /// The operator's own patterns.
    #[schemars(with = "Vec<PatternConfig>")]
    pub patterns: Patterns,
    /// A file of the hosts there are: names, or domain suffixes such as `*.corp.example.com`, one a line. Hosts that it does not
    /// name give events, but no signals and so no alerts. Without it every host counts.
    #[schemars(with = "Option<String>")]
    pub inventory: HostNamesFile,
    /// New hosts that count within a quarter hour of log time, over all partitions. Further ones give events, but count only
    /// when a later quarter hour has room for them. Absent: every host counts at once.
    pub new_hosts_per_quarter_hour: Option<u32>,
    /// Bounds on what is remembered.
    pub limits: NormalizerLimits,
}

/// Bounds on the state; beyond one, the oldest is forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NormalizerLimits {
    /// Hosts of one partition. A forgotten host's lines would be taken again if they were sent again.
    pub hosts_max: usize,
    /// Files of one host: rotated and archived logs are files too. A forgotten file is read like one that is new.
    pub files_per_host_max: usize,
    /// Epochs of one file.
    pub epochs_per_file_max: usize,
    /// Ranges of one epoch: beyond it the smallest is forgotten, and its lines would be taken again.
    pub ranges_per_epoch_max: usize,
    /// Recent lines of one epoch that a reverted file is told by.
    pub recent_lines_max: usize,
    /// Threads of one file whose open operation is remembered.
    pub threads_per_file_max: usize,
    /// Failures of one file that wait for their outcome.
    pub pending_per_file_max: usize,
    /// Subjects of one host whose last outcome is remembered.
    pub subjects_per_host_max: usize,
    /// Labels of one host.
    pub labels_per_host_max: usize,
    /// Distinct names of labels in one partition: each is a field of the SIEM. Labels with further names are dropped.
    pub label_names_max: usize,
    /// Updates of one partition whose title and KB are remembered.
    pub updates_named_max: usize,
    /// Bytes of a name or value that is remembered or sent in a signal; longer ones are cut.
    pub value_bytes_max: usize,
    /// Bytes of a file's path: a longer one is cut, and told from others by a digest of the whole.
    pub path_bytes_max: usize,
    /// Bytes of one document with all its escapes; longer texts in it are cut, and the event is flagged `truncated`.
    pub document_bytes_max: usize,
    /// Memory for all that is remembered, over all partitions of `wulog.raw`. Beyond it the hosts whose loss matters least
    /// are forgotten: those without a failure that were known for the shortest time and then silent for longest.
    pub memory_mib_max: usize,
}

impl Default for NormalizerConfig {
    fn default() -> Self {
        NormalizerConfig {
            utc_offset: None,
            time_zone: None,
            provisional_wait_secs: 300,
            update_wait_secs: 10,
            catch_up_wait_secs: 1800,
            events: Events::All,
            attempts: true,
            format: Format::Ecs,
            patterns: Patterns::default(),
            inventory: HostNamesFile::default(),
            new_hosts_per_quarter_hour: None,
            limits: NormalizerLimits::default(),
        }
    }
}

impl Default for NormalizerLimits {
    fn default() -> Self {
        NormalizerLimits {
            hosts_max: 200_000,
            files_per_host_max: 1_000,
            epochs_per_file_max: 16,
            ranges_per_epoch_max: 128,
            recent_lines_max: 32,
            threads_per_file_max: 32,
            pending_per_file_max: 32,
            subjects_per_host_max: 128,
            labels_per_host_max: 32,
            label_names_max: 256,
            updates_named_max: 4_096,
            value_bytes_max: 256,
            path_bytes_max: 1_024,
            document_bytes_max: DOCUMENT_BYTES_MAX,
            memory_mib_max: 768,
        }
    }
}
