//! The signal: the few facts about a host that the detector needs, 5-10 per host and day.
//!
//! Signals are the detector's only input, times included, so the topic alone reproduces every alert byte for byte.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod certificates;
mod quick;
mod read;

pub use certificates::{CertificateFact, CertificateFacts, SignerFacts, SiteFacts, StoreFacts};
pub use quick::{FactRef, FailingRef, HostRefRef, SignalRef, UnreadableRef};

use crate::alert::Provenance;
pub use crate::handling::Order;
use crate::hresult::Family;

/// The contract's version; readers accept this one and the one before.
pub const VERSION: u8 = 1;

/// The dimension of a success that no line states: a later scan no longer offers the update.
pub const NOT_OFFERED: (&str, &str) = ("evidence", "not_offered");

/// One record of `wulog.signals`. The record key is the host id (`tick/PARTITION` for a tick).
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(title = "wulog signal")]
pub struct Signal {
    /// Version of this contract.
    pub v: u8,
    /// Log time: the raw record's Kafka timestamp, made monotone per partition, milliseconds since 1970 UTC.
    pub log_time: i64,
    /// Position of the raw record of this fact.
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

/// The fact of a signal.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fact {
    /// All known facts of a host; sent on change and daily.
    HostFacts(HostFacts),
    /// One operation on one update has ended.
    Attempt(Attempt),
    /// A scan has ended; sent at most every 15 minutes for a host and server.
    ScanDone(ScanDone),
    /// A partition's clock advanced.
    Tick(Tick),
    /// The detector's configuration from here on.
    Config(ConfigChange),
    /// An operator's order about incidents.
    Handling(Order),
    /// The certificates that a host trusts; sent on change and weekly, for hosts with an inventory.
    Certificates(CertificateFacts),
}

/// Id and name of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct HostRef {
    /// Host id: 32 hex digits.
    pub id: String,
    /// Host name, lower case.
    pub name: String,
}

/// All known facts of a host. Healthy hosts send them too, so that lift and coverage are exact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostFacts {
    /// The host.
    pub host: HostRef,
    /// Dimensions by name: `wsus` (`host[:port]`), `proxy` (`host[:port]`, several with `;`
    /// between them, or `none`), `client_build`, `os_build`, `target_group`, `label.NAME` ...
    pub dimensions: BTreeMap<String, String>,
    /// The current failures of the host: one entry for each subject and family.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<Failing>,
    /// Event time of the host's newest line, milliseconds since 1970 UTC; absent before its first dated line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event_time: Option<i64>,
    /// True when every line of the host is shipped. While it is false, the host's scans and attempts are history: they
    /// carry their event times, and only failures that last until the host has caught up count as new.
    pub caught_up: bool,
    /// Present while the host's logs hold no readable line about Windows Update: the host then counts neither as active
    /// nor as healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Unreadable>,
}

/// The time since which no line of a host's logs can be read, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unreadable {
    /// Event time of the first unreadable line, milliseconds since 1970 UTC; log time where that line has no time of
    /// its own.
    pub since: i64,
    /// One of [`UNREADABLE_REASONS`]; a reader takes any other word for a reason of a later version.
    pub reason: String,
}

/// The reasons of [`Unreadable::reason`].
///
/// `undecoded`: traces of Windows 10 or later that `Get-WindowsUpdateLog` could not decode (`No Format Information
/// found`). `foreign`: logs of other programs. `text`: text without the columns of any log.
pub const UNREADABLE_REASONS: [&str; 3] = ["undecoded", "foreign", "text"];

/// A subject whose latest outcome on a host is a trust failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failing {
    /// The failing subject; see [`Attempt::subject`].
    pub subject: String,
    /// Family of the latest failure.
    pub family: Family,
    /// HRESULT of the latest failure, `0x%08x`.
    pub code: String,
    /// Event time of the first failure since the last success at this subject, milliseconds since 1970 UTC.
    pub since: i64,
}

/// The outcome of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It succeeded.
    Success,
    /// It failed for a reason of certificate trust.
    Failure,
}

/// One operation on one subject has ended: the first for a host, subject, outcome and family in 24 h of event time, and
/// every change of outcome. Attempts of a backlog are sent too, each after a [`HostFacts`] with `caught_up: false`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// The host.
    pub host: HostRef,
    /// The subject of the operation; only a success at the same subject lets a failure count again.
    /// `server:HOST[:PORT]` for a scan of any family, and for a TLS failure of an unknown update; otherwise
    /// `update:GUID` (lower case), `file:NAME` where only the file is known, and `unknown` where neither is known:
    /// `unknown` of two hosts is not one subject.
    pub subject: String,
    /// The outcome of the operation.
    pub outcome: Outcome,
    /// Family of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// HRESULT of a failure, `0x%08x`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Operation: `scan`, `download`, `install`, or `verification` where a signature was checked outside of these.
    pub operation: String,
    /// Known dimensions of this operation: `update`, `title`, `kb`, `server` (`host[:port]`), `service`, `caller`,
    /// `file`, `signer`. A success that no line states has `evidence`: `not_offered` for an update that failed hours
    /// before and that a later scan no longer offers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, String>,
    /// End of the operation by its lines, milliseconds since 1970 UTC.
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
    /// End of the scan by its lines, milliseconds since 1970 UTC.
    pub event_time: i64,
    /// The scanned server, as the [`Attempt::subject`] of a scan names it; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// The detector's configuration from this record on. The processor writes the record when it starts with another
/// configuration, version or code table, and daily, so that a replay across a change uses the configuration of each
/// time. The record key is `config`; `raw.partition` is -1, since the record comes from no raw record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigChange {
    /// The section `[detector]` of the configuration, defaults included.
    pub detector: serde_json::Value,
    /// The provenance that alerts name.
    pub provenance: Provenance,
}

/// The clock of one raw partition reached [`Signal::log_time`]: once a minute of log time while records come, and for
/// each tick record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tick {
    /// Number of partitions of `wulog.raw`; the detector's clock is the minimum over all of them.
    pub partitions: i32,
}
