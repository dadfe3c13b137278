//! The alert: one complete document for each transition of an incident.
//!
//! Each document holds all facts, so a reader needs only the newest document of an id. A document holds no wall-clock
//! time and no run mode: live and replay write the same bytes. Times are UTC with milliseconds. Probabilities are
//! rounded to three significant digits, and none is written below 1e-300, so that differences between platforms in the
//! last bit do not show.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::handling::{Handling, Note};
use crate::host::hex_digest_bytes;
use crate::hresult::Family;
pub use crate::time::UtcTime;

mod cause;
mod certificate;
mod evidence;

pub use cause::{Cause, NO_WSUS, cause, is_microsoft};
pub use certificate::{CertificateFinding, CertificateName, Condition, FileSigner, WsusCopy};
pub use evidence::{CodeCount, Contrast, Detection, Evidence, Exemplar, Factor, Method, RawRange, SubjectCount};

/// Name and version of this contract, in every document.
pub const SCHEMA: &str = "wulog.alert/1.0.0";

/// First 16 hex digits of the SHA-256 of this contract's JSON Schema.
#[must_use]
pub fn schema_hash() -> String {
    hex_digest_bytes(include_bytes!("../../json/alert.schema.json"))[..16].to_owned()
}

/// One transition of one incident. The record key is [`Alert::id`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "wulog alert")]
pub struct Alert {
    /// [`SCHEMA`].
    pub schema: String,
    /// The incident's id for life: `wu-` and 16 hex digits, a hash of the family and the earliest failure that counted.
    pub id: String,
    /// Number of this document within the incident, from 1.
    pub seq: u32,
    /// Whether hosts fail, or will fail unless a person acts; absent in documents of failures.
    #[serde(default, skip_serializing_if = "IncidentKind::is_failures")]
    pub kind: IncidentKind,
    /// Whether the incident is over.
    pub state: State,
    /// The reason for which this document was written.
    pub transition: Transition,
    /// One sentence: the failure, how many of how many hosts, since when, and what they share.
    pub summary: String,
    /// Family of the failure that opened the incident; of a warning: family of the failures that the warning predicts.
    pub family: Family,
    /// All families of the incident's failures: one cause may show as several.
    pub families: Vec<Family>,
    /// The level of severity, and the reasons for it.
    pub severity: Severity,
    /// When things happened.
    pub time: Times,
    /// The affected hosts, and the active hosts with which they are compared.
    pub hosts: Hosts,
    /// How fast the incident spreads.
    pub growth: Growth,
    /// The number of failing hosts against the expected number, when the incident was opened.
    pub detection: Detection,
    /// The codes, most hosts first.
    pub codes: Vec<CodeCount>,
    /// The subjects at which hosts fail, most hosts first; at most 20.
    pub subjects: Vec<SubjectCount>,
    /// Values that affected hosts share and healthy hosts do not; the likeliest cause first.
    pub common_factors: Vec<Factor>,
    /// Dimensions in which affected and healthy hosts do not differ clearly.
    pub not_common: Vec<String>,
    /// Dimensions of which a bound dropped facts, so that the alert makes no statement about them.
    pub unknown: Vec<String>,
    /// Findings of the inventories of certificates about the cause, the likeliest first; empty where inventories have
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateFinding>,
    /// Successes on healthy hosts in the same time.
    pub contrast: Contrast,
    /// Positions of the failures in `wulog.raw`.
    pub evidence: Evidence,
    /// Checks to make, in this order.
    pub remediation: Vec<Step>,
    /// A command that writes this alert again.
    pub replay: String,
    /// Incidents that this incident was split from, split into, or merged with.
    #[serde(default, skip_serializing_if = "Related::is_empty")]
    pub related: Related,
    /// Acknowledgement, silences and notes of operators.
    #[serde(default, skip_serializing_if = "Handling::is_empty")]
    pub handling: Handling,
    /// Version, configuration and contracts of the detector that wrote this document.
    pub detector: Provenance,
}

/// Incidents by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Related {
    /// The incident that has taken in this incident: follow that incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<String>,
    /// Incidents with the same cause, which this incident has taken in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged_from: Vec<String>,
    /// The incident that held these hosts before they turned out to have a cause of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_from: Option<String>,
    /// Incidents that took some of this incident's hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split_into: Vec<String>,
    /// True when the detector's state was lost and this incident was taken from its last document. Hosts that the
    /// document did not name are then known by number only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

impl Related {
    /// Whether no incident is related.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Related::default()
    }
}

/// Whether an incident reports failures or warns of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IncidentKind {
    /// Hosts fail.
    #[default]
    Failures,
    /// A certificate will make hosts fail. [`Hosts::affected`] are the hosts that the certificate concerns, and
    /// [`Hosts::active`] the hosts whose inventories show the condition or its absence; [`Times::onset`] is the log
    /// time at which the condition was first seen. Codes, subjects and evidence are empty.
    Warning,
}

impl IncidentKind {
    /// Whether hosts fail.
    #[must_use]
    pub fn is_failures(&self) -> bool {
        *self == IncidentKind::Failures
    }
}

/// Whether an incident is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Hosts are failing.
    Open,
    /// Nearly all affected hosts have succeeded since.
    Resolved,
    /// No host has newly failed for long, and the affected hosts fell silent without a success: given up, not solved.
    Expired,
    /// Another incident has taken in this incident; see [`Related::merged_into`].
    Merged,
}

/// A step in the life of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transition {
    /// The evidence suffices to open the incident.
    Opened,
    /// The number of hosts doubled, or a stable incident spreads again.
    Growing,
    /// No new host has failed for a scan cycle.
    Stable,
    /// The incident is over; see [`Times::resolved`] and [`Hosts::silent`].
    Resolved,
    /// The incident was over, and the same cause made a new cluster.
    Reopened,
    /// Affected hosts have sent nothing since they failed; see [`Hosts::silent`].
    Silent,
    /// Some hosts turned out to have another cause; see [`Related::split_into`].
    Split,
    /// The incident took in another incident or family, or was taken in; see [`Related`].
    Merged,
    /// Given up; see [`State::Expired`].
    Expired,
    /// The records end here, as they do in a replay: the state of an open incident at the end of the records.
    Status,
    /// An operator acknowledged or silenced the incident, or wrote a note; see [`Alert::handling`].
    Handled,
}

impl Transition {
    /// The name as it stands in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Transition::Opened => "opened",
            Transition::Growing => "growing",
            Transition::Stable => "stable",
            Transition::Resolved => "resolved",
            Transition::Reopened => "reopened",
            Transition::Silent => "silent",
            Transition::Split => "split",
            Transition::Merged => "merged",
            Transition::Expired => "expired",
            Transition::Status => "status",
            Transition::Handled => "handled",
        }
    }
}

/// A level of severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Act on the next working morning.
    Low,
    /// Act today.
    #[default]
    Medium,
    /// Act now.
    High,
    /// Act now, with everybody.
    Critical,
}

/// Level of severity and its reasons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Severity {
    /// The level.
    pub level: Level,
    /// The reasons for the level.
    pub reasons: Vec<String>,
}

/// When things happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// Event time of the earliest failure of an affected host.
    pub onset: UtcTime,
    /// True when hosts were already failing in their first records: the real onset may be earlier.
    pub ongoing_at_start: bool,
    /// Event time of the latest first failure of an affected host.
    pub last_new_host: UtcTime,
    /// Log time at which the incident was opened.
    pub opened: UtcTime,
    /// Log time of this document.
    pub updated: UtcTime,
    /// Log time at which the incident was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<UtcTime>,
}

/// The affected hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hosts {
    /// Distinct hosts that newly failed.
    pub affected: u64,
    /// Distinct hosts that were active since a day before the onset, affected ones included.
    pub active: u64,
    /// `affected / active`.
    pub share_of_active: f64,
    /// Affected hosts added since the document before.
    pub new_since_last: u64,
    /// Affected hosts that have succeeded at their subject since.
    pub recovered: u64,
    /// Affected hosts that have not succeeded and have sent nothing for two days.
    pub silent: u64,
    /// Hosts that were failing already before they could count as new; they are excluded.
    pub chronic_excluded: u64,
    /// Hosts whose logs cannot be read: they count neither as active nor as healthy.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unreadable: u64,
    /// Names of affected hosts by first failure.
    pub names: Vec<String>,
    /// False when a limit cut [`Hosts::names`] short.
    pub names_complete: bool,
    /// Where names are cut short: a command that writes this document with all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_list: Option<String>,
    /// Names of silent hosts by first failure, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent_names: Vec<String>,
}

/// How fast an incident spreads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Growth {
    /// Time in which the newer half of the affected hosts failed first: the duration of the last doubling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubling_secs: Option<u64>,
    /// Affected hosts that failed first in the last hour before [`Times::last_new_host`].
    pub hosts_in_last_hour: u64,
}

/// One thing to check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// The object of the check, and the meaning of its result.
    pub check: String,
    /// A command that performs the check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Where to run the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// The answer that inventories of certificates give to this check; absent without an inventory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<String>,
}

/// The program and the contracts behind a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// Version of the detector.
    pub version: String,
    /// First 16 hex digits of the SHA-256 of the detector's configuration as JSON.
    pub config_hash: String,
    /// First 16 hex digits of the SHA-256 of the JSON Schema of this document.
    pub schema_hash: String,
    /// First 16 hex digits of the SHA-256 of the table of codes.
    pub code_table_hash: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

macro_rules! shown_as {
    ($type:ident { $($variant:ident => $text:literal),+ $(,)? }) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($type::$variant => $text),+ })
            }
        }
    };
}

shown_as!(Level { Low => "low", Medium => "medium", High => "high", Critical => "critical" });
shown_as!(Transition {
    Opened => "opened", Growing => "growing", Stable => "stable", Resolved => "resolved", Reopened => "reopened",
    Silent => "silent", Split => "split", Merged => "merged", Expired => "expired", Status => "status",
    Handled => "handled",
});
