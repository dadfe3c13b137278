//! The alert: one complete document for each transition of an incident.
//!
//! A document says everything again, so that a reader needs only the newest one of an id. It holds no wall-clock time
//! and no run mode: live and replay write the same bytes. Times are UTC with milliseconds. Probabilities are rounded
//! to three significant digits, and none is written below 1e-300, so that no platform's last bit shows.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::handling::{Handling, Note};
use crate::host::hex_digest_bytes;
use crate::hresult::Family;
pub use crate::time::UtcTime;

mod cause;
mod certificate;

pub use cause::{Cause, NO_WSUS, cause, is_microsoft};
pub use certificate::{CertificateFinding, CertificateName, Condition, FileSigner, WsusCopy};

/// Names this contract and its version in every document.
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
    /// Whether hosts fail, or will fail unless somebody acts; absent in documents of failures.
    #[serde(default, skip_serializing_if = "IncidentKind::is_failures")]
    pub kind: IncidentKind,
    /// Whether the incident is over.
    pub state: State,
    /// What happened that this document was written.
    pub transition: Transition,
    /// One sentence: what, how many of how many, since when, what they share.
    pub summary: String,
    /// Family of the failure that opened the incident; of a warning: of the failures that it warns of.
    pub family: Family,
    /// All families of its failures: one cause may show as several.
    pub families: Vec<Family>,
    /// How bad, and why.
    pub severity: Severity,
    /// When things happened.
    pub time: Times,
    /// Which hosts, and how many of how many.
    pub hosts: Hosts,
    /// How fast it spreads.
    pub growth: Growth,
    /// What was seen against what was to be expected, when the incident was opened.
    pub detection: Detection,
    /// The codes, most hosts first.
    pub codes: Vec<CodeCount>,
    /// What fails, most hosts first; at most 20.
    pub subjects: Vec<SubjectCount>,
    /// What affected hosts share and healthy ones do not; the likeliest cause first.
    pub common_factors: Vec<Factor>,
    /// Dimensions in which affected and healthy hosts do not differ clearly.
    pub not_common: Vec<String>,
    /// Dimensions of which a bound dropped facts, so that nothing can be said.
    pub unknown: Vec<String>,
    /// What the inventories of certificates say about the cause, the likeliest first; empty where they say nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateFinding>,
    /// What worked elsewhere meanwhile.
    pub contrast: Contrast,
    /// Where the proof stands in `wulog.raw`.
    pub evidence: Evidence,
    /// What to check, in this order.
    pub remediation: Vec<Step>,
    /// A command that brings this alert forth again.
    pub replay: String,
    /// Other incidents that this one came of or went into.
    #[serde(default, skip_serializing_if = "Related::is_empty")]
    pub related: Related,
    /// What operators said of it: acknowledgement, silences, notes.
    #[serde(default, skip_serializing_if = "Handling::is_empty")]
    pub handling: Handling,
    /// What wrote this.
    pub detector: Provenance,
}

/// Incidents by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Related {
    /// The incident that has taken this one in: follow that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<String>,
    /// Incidents that turned out to have this one's cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged_from: Vec<String>,
    /// The incident whose hosts these were before they turned out to have a cause of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_from: Option<String>,
    /// Incidents that took some of this one's hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split_into: Vec<String>,
    /// True when the detector's state was lost and this incident was taken from its last document: then hosts beyond
    /// those that the document named are known by number only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
}

impl Related {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Related::default()
    }
}

/// What an incident is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IncidentKind {
    /// Hosts fail.
    #[default]
    Failures,
    /// A certificate will make hosts fail. [`Hosts::affected`] are the hosts that it concerns, and [`Hosts::active`] those
    /// whose inventories tell; [`Times::onset`] is the log time at which the condition was first seen. Codes, subjects
    /// and evidence are empty.
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
    /// Nobody has newly failed for long, and the affected were never heard succeeding: given up, not solved.
    Expired,
    /// It goes on as another incident; see [`Related::merged_into`].
    Merged,
}

/// A step in the life of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transition {
    /// The evidence is there.
    Opened,
    /// The number of hosts doubled, or a stable incident spreads again.
    Growing,
    /// Nobody new has failed for a scan cycle.
    Stable,
    /// It is over; see [`Times::resolved`] and [`Hosts::silent`].
    Resolved,
    /// It was over, and the same cause made a new cluster.
    Reopened,
    /// Affected hosts are not heard of any more since they failed; see [`Hosts::silent`].
    Silent,
    /// Some of its hosts turned out to have another cause; see [`Related::split_into`].
    Split,
    /// It took in another incident or family, or was taken in; see [`Related`].
    Merged,
    /// Given up; see [`State::Expired`].
    Expired,
    /// The records end here, as those of a replay do: the state of an open incident at their end.
    Status,
    /// An operator acknowledged it, silenced it or wrote a note; see [`Alert::handling`].
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
    /// For the morning.
    Low,
    /// For today.
    #[default]
    Medium,
    /// For now.
    High,
    /// For everybody, now.
    Critical,
}

/// How bad it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Severity {
    /// The level.
    pub level: Level,
    /// Why it is that level.
    pub reasons: Vec<String>,
}

/// When things happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// Event time of the earliest failure of an affected host.
    pub onset: UtcTime,
    /// True when hosts were failing already when they were first heard of: the real onset may be earlier.
    pub ongoing_at_start: bool,
    /// Event time of the latest first failure of an affected host.
    pub last_new_host: UtcTime,
    /// Log time at which the incident was opened.
    pub opened: UtcTime,
    /// Log time of this document.
    pub updated: UtcTime,
    /// Log time at which it was resolved.
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
    /// Affected hosts that have not succeeded and have not been heard of for two days.
    pub silent: u64,
    /// Hosts that were failing already before they could count as new, and are set aside.
    pub chronic_excluded: u64,
    /// Hosts whose logs nobody can read: they count neither as active nor as healthy.
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
    /// Time in which the newer half of the affected hosts failed first: how long the last doubling took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubling_secs: Option<u64>,
    /// Affected hosts that failed first in the last hour before [`Times::last_new_host`].
    pub hosts_in_last_hour: u64,
}

/// Why the incident was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Detection {
    /// What decided.
    pub method: Method,
    /// Name of the operator's rule that opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Names of all operator's rules that the incident has met, in the order of the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules_met: Vec<String>,
    /// Length of the window in which the hosts failed.
    pub window_secs: u64,
    /// Hosts newly failing in the window.
    pub seen_hosts: u64,
    /// Hosts that the fleet's own history predicts for such a window.
    pub expected_hosts: f64,
    /// Probability of that many or more by the fleet's own history.
    pub p_value: f64,
    /// The probability below which an incident is opened.
    pub alpha: f64,
    /// Newly failing hosts in the history that was compared with; those of other incidents are left out.
    pub history_hosts: u64,
    /// Size of that history: quarter hours in which a host was active, summed over hosts.
    pub history_active_quarter_hours: u64,
}

/// What decides that failures are a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Far more than a gamma-Poisson prediction from the fleet's history.
    GammaPoisson,
    /// Far more hosts at one update than the fleet's failures at others predict for as many attempts at it.
    SameUpdate,
    /// Hosts that newly failed over days, nearly all of which share a value that few of the fleet have.
    Concentration,
    /// A large share of a small fleet.
    SmallFleet,
    /// An operator's rule.
    Rule,
    /// Far more of the hosts that failed have gone silent since than of those that did not.
    Silence,
    /// A certificate that signs updates is about to expire; [`Detection::window_secs`] is how long before it is told.
    CertificateExpires,
    /// A certificate that signs updates has not reached all clients; [`Detection::window_secs`] is how long they had.
    CertificateMissing,
}

/// One code of the mix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CodeCount {
    /// HRESULT, `0x%08x`.
    pub code: String,
    /// Its symbol, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Affected hosts whose first failure had it.
    pub hosts: u64,
}

/// One thing that fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectCount {
    /// `update:GUID`, `file:NAME` or `server:HOST`.
    pub subject: String,
    /// What people call it, such as an update's title and KB number; absent where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Affected hosts whose first failure was at it.
    pub hosts: u64,
}

/// A value of a dimension that affected hosts share more often than healthy ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Factor {
    /// Dimension, such as `wsus`, `update`, `os_build`, `label.site`.
    pub dimension: String,
    /// The value.
    pub value: String,
    /// What people call the value, such as an update's title and KB number; absent where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Share of affected hosts that have it, of those that could have told.
    pub coverage: f64,
    /// Affected hosts that could have told, since the dimension is known of them; absent in older documents.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub known_hosts: u64,
    /// Share of active, healthy hosts that have it.
    pub in_healthy: f64,
    /// `coverage / in_healthy`; absent when no healthy host has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lift: Option<f64>,
    /// Probability of so many affected hosts with it if it had nothing to do with failing (exact, one-sided).
    pub p_value: f64,
    /// The factor before it that it only goes along with, as `dimension=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_along_with: Option<String>,
    /// True where no healthy host ever tried it, so that it may be the carrier of the cause rather than the cause.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untried_elsewhere: bool,
}

/// What worked elsewhere meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Contrast {
    /// Healthy hosts on which one of [`Alert::subjects`] succeeded.
    pub same_subject_succeeded_hosts: u64,
    /// Healthy active hosts that share the first common factor.
    pub same_first_factor_healthy_hosts: u64,
}

/// Where the proof stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// For each partition of `wulog.raw` the offsets that hold the first failures, last one excluded.
    pub ranges: Vec<RawRange>,
    /// The earliest failures one by one, at most 10.
    pub exemplars: Vec<Exemplar>,
    /// Affected hosts that were heard of only after the fact.
    pub late_hosts: u64,
}

/// A half-open range of raw offsets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RawRange {
    /// Partition of `wulog.raw`.
    pub partition: i32,
    /// First offset.
    pub from: i64,
    /// The offset after the last.
    pub until: i64,
}

/// One failure that counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exemplar {
    /// Host name.
    pub host: String,
    /// When it failed first.
    pub time: UtcTime,
    /// What it failed at.
    pub subject: String,
    /// HRESULT, `0x%08x`.
    pub code: String,
    /// Partition of `wulog.raw`.
    pub partition: i32,
    /// Offset in that partition.
    pub offset: i64,
}

/// One thing to check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// What to look at, and what it means.
    pub check: String,
    /// A command that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Where to run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// What the inventories of certificates answer to it; absent where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<String>,
}

/// What wrote a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// Version of the detector.
    pub version: String,
    /// First 16 hex digits of the SHA-256 of its configuration as JSON.
    pub config_hash: String,
    /// The same of the JSON Schema of this document.
    pub schema_hash: String,
    /// The same of the table of codes.
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
