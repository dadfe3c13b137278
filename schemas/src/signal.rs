//! The signal: the few facts about a host that the detector needs, 5-10 per host and day.
//!
//! A signal carries all that the detector ever learns, times included, so that the topic alone reproduces every alert
//! byte for byte.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod quick;
mod read;

pub use quick::{FactRef, FailingRef, HostRefRef, SignalRef};

use crate::alert::Provenance;
use crate::hresult::Family;

/// The contract's version; readers accept this one and the one before.
pub const VERSION: u8 = 1;

/// One record of `wulog.signals`. The record key is the host id (`tick/PARTITION` for a tick).
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(title = "wulog signal")]
pub struct Signal {
    /// Version of this contract.
    pub v: u8,
    /// Log time: the raw record's Kafka timestamp, made monotone per partition, milliseconds since 1970 UTC.
    pub log_time: i64,
    /// The raw record that this fact was read from.
    pub raw: RawPosition,
    /// The fact.
    #[serde(flatten)]
    pub fact: Fact,
}

/// A position in `wulog.raw`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct RawPosition {
    /// Partition of `wulog.raw`.
    pub partition: i32,
    /// Offset in that partition.
    pub offset: i64,
}

/// What a signal says.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fact {
    /// Everything known of a host; on change and daily.
    HostFacts(HostFacts),
    /// One operation on one update ended.
    Attempt(Attempt),
    /// A scan ended; at most every 15 minutes a host.
    ScanDone(ScanDone),
    /// A partition's clock moved on.
    Tick(Tick),
    /// What the detector runs with from here on.
    Config(ConfigChange),
}

/// A host as a signal names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct HostRef {
    /// Host id: 32 hex digits.
    pub id: String,
    /// Host name, lower case.
    pub name: String,
}

/// Everything known of a host. Healthy hosts send this too, so that lift and coverage are exact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostFacts {
    /// The host.
    pub host: HostRef,
    /// Dimensions by name: `wsus` (`host[:port]`), `client_build`, `os_build`, `target_group`, `label.NAME` ...
    pub dimensions: BTreeMap<String, String>,
    /// What the host fails at now, one entry a subject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<Failing>,
    /// Event time of the host's newest line, milliseconds since 1970 UTC; absent before its first dated line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event_time: Option<i64>,
    /// True when everything that the host had is shipped; until then its lines only build history.
    pub caught_up: bool,
}

/// A subject whose latest outcome on a host is a trust failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failing {
    /// What fails; see [`Attempt::subject`].
    pub subject: String,
    /// Family of the latest failure.
    pub family: Family,
    /// HRESULT of the latest failure, `0x%08x`.
    pub code: String,
    /// Event time of the first failure since the last success at this subject, milliseconds since 1970 UTC.
    pub since: i64,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It succeeded.
    Success,
    /// It failed for a reason of certificate trust.
    Failure,
}

/// One operation on one subject ended: the first per host, subject and outcome in 24 h, and every change of outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// The host.
    pub host: HostRef,
    /// What it was tried on, and what only a success at the same subject re-arms: `update:GUID` (lower case),
    /// `file:NAME` where no update is known, or `server:HOST` for TLS failures.
    pub subject: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Family of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// HRESULT of a failure, `0x%08x`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Operation: `download`, `install`, `scan`, `signature`.
    pub operation: String,
    /// Dimensions of this operation: `update`, `title`, `kb`, `service`, `caller`, `file`, `signer` where known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, String>,
    /// When the line says that it ended, milliseconds since 1970 UTC.
    pub event_time: i64,
    /// Event time of the first failure since the last success at this subject; equal to `event_time` for the first.
    pub since: i64,
    /// True when the event time is more than 24 h behind log time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// A scan for updates ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScanDone {
    /// The host.
    pub host: HostRef,
    /// Whether the scan succeeded.
    pub outcome: Outcome,
    /// When the line says that it ended, milliseconds since 1970 UTC.
    pub event_time: i64,
}

/// What the detector runs with from this record on: written by the processor itself when it starts with another
/// configuration, version or code table, and daily, so that a replay across a change uses what held then. The record
/// key is `config`; its `raw.partition` is -1, since no raw record made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigChange {
    /// The section `[detector]` of its configuration, defaults included.
    pub detector: serde_json::Value,
    /// What alerts name as their maker.
    pub provenance: Provenance,
}

/// The clock of one raw partition reached [`Signal::log_time`]: once a minute of log time while records come, and for
/// each tick record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tick {
    /// How many partitions `wulog.raw` has; the detector's clock is the minimum over all of them.
    pub partitions: i32,
}
