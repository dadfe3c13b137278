//! The signal: the few facts about a host that the detector needs, 5-10 per host and day.
//!
//! A signal carries all that the detector ever learns, times included, so that the topic alone reproduces every alert
//! byte for byte.

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

/// The dimension of a success that no line states: a later scan does not offer the update any more.
pub const NOT_OFFERED: (&str, &str) = ("evidence", "not_offered");

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
    /// A scan ended; at most every 15 minutes a host and server.
    ScanDone(ScanDone),
    /// A partition's clock moved on.
    Tick(Tick),
    /// What the detector runs with from here on.
    Config(ConfigChange),
    /// What an operator says of incidents.
    Handling(Order),
    /// The certificates that a host trusts; on change and weekly, of hosts that send an inventory.
    Certificates(CertificateFacts),
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
    /// Dimensions by name: `wsus` (`host[:port]`), `proxy` (`host[:port]`, several with `;`
    /// between them, or `none`), `client_build`, `os_build`, `target_group`, `label.NAME` ...
    pub dimensions: BTreeMap<String, String>,
    /// What the host fails at now: one entry for each subject and family.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<Failing>,
    /// Event time of the host's newest line, milliseconds since 1970 UTC; absent before its first dated line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event_time: Option<i64>,
    /// True when everything that the host had is shipped. While it is false, the host's scans and attempts are history:
    /// they carry their event times, and only failures that last until the host is caught up are news.
    pub caught_up: bool,
    /// Present while the host's logs tell nothing about Windows Update: the host is neither active nor healthy then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Unreadable>,
}

/// Since when, and why, no line of a host's logs can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unreadable {
    /// Event time of the first line that could not be read, milliseconds since 1970 UTC; log time where that line has
    /// no time of its own.
    pub since: i64,
    /// One of [`UNREADABLE_REASONS`]; a reader takes any other word as one that a later version adds.
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

/// One operation on one subject ended: the first per host, subject, outcome and family in 24 h of event time, and every
/// change of outcome. Attempts of a backlog are sent too, each after a [`HostFacts`] that says `caught_up: false`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// The host.
    pub host: HostRef,
    /// The subject of the operation; only a success at the same subject re-arms a failure. `server:HOST[:PORT]` for a
    /// scan, whatever its family, and for a TLS failure of unknown update; else `update:GUID` (lower case), `file:NAME`
    /// where no update is known, and `unknown` where nothing is known: `unknown` of two hosts is not one subject.
    pub subject: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Family of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// HRESULT of a failure, `0x%08x`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Operation: `scan`, `download`, `install`, or `verification` where a signature was checked outside of these.
    pub operation: String,
    /// Dimensions of this operation, where known: `update`, `title`, `kb`, `server` (`host[:port]`), `service`, `caller`,
    /// `file`, `signer`. A success that no line states has `evidence`: `not_offered` for an update that failed hours
    /// before and that a later scan does not offer any more.
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
    /// The server that was scanned, as the [`Attempt::subject`] of a scan names it; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
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
