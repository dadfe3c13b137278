//! The facts by which an alert justifies itself: how the incident was detected, codes, subjects, factors, records.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::Alert;
use super::{UtcTime, is_zero};

/// Why the incident was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Detection {
    /// The rule or statistic that opened the incident.
    pub method: Method,
    /// Name of the operator's rule that opened the incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Names of all operator's rules that the incident has met, in the order of the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules_met: Vec<String>,
    /// Length of the window in which the hosts failed.
    pub window_secs: u64,
    /// Hosts newly failing in the window.
    pub seen_hosts: u64,
    /// Hosts that the fleet's own history predicts for a window of this length.
    pub expected_hosts: f64,
    /// Probability of at least as many hosts by the fleet's own history.
    pub p_value: f64,
    /// The probability below which an incident is opened.
    pub alpha: f64,
    /// Newly failing hosts in the compared history, without those of other incidents.
    pub history_hosts: u64,
    /// Size of that history: quarter hours in which a host was active, summed over hosts.
    pub history_active_quarter_hours: u64,
}

/// The rule or statistic by which failures are a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Far more than a gamma-Poisson prediction from the fleet's history.
    GammaPoisson,
    /// Far more hosts at one update than the fleet's failures at other updates predict for as many attempts.
    SameUpdate,
    /// Hosts that newly failed over days, nearly all of which share a value that few of the fleet have.
    Concentration,
    /// A large share of a small fleet.
    SmallFleet,
    /// An operator's rule.
    Rule,
    /// Far more of the failed hosts than of the other hosts have gone silent.
    Silence,
    /// A certificate that signs updates is about to expire; [`Detection::window_secs`] is how long before the end the
    /// warning opens.
    CertificateExpires,
    /// A certificate that signs updates has not reached all clients; [`Detection::window_secs`] is the time that the
    /// clients had.
    CertificateMissing,
}

/// One code of the mix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CodeCount {
    /// HRESULT, `0x%08x`.
    pub code: String,
    /// Symbol of a known code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Affected hosts whose first failure had this code.
    pub hosts: u64,
}

/// One subject at which hosts fail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectCount {
    /// `update:GUID`, `file:NAME` or `server:HOST`.
    pub subject: String,
    /// Name for people, such as an update's title and KB number; absent where no line named the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Affected hosts whose first failure was at this subject.
    pub hosts: u64,
}

/// A value of a dimension that affected hosts share more often than healthy ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Factor {
    /// Dimension, such as `wsus`, `update`, `os_build`, `label.site`.
    pub dimension: String,
    /// The value.
    pub value: String,
    /// Name for people, such as an update's title and KB number; absent where no line named the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Share of affected hosts with the value, among the affected hosts whose dimension is known.
    pub coverage: f64,
    /// Affected hosts whose dimension is known; absent in older documents.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub known_hosts: u64,
    /// Share of active, healthy hosts that have the value.
    pub in_healthy: f64,
    /// `coverage / in_healthy`; absent when no healthy host has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lift: Option<f64>,
    /// Probability of so many affected hosts with the value if the value had nothing to do with failing (exact,
    /// one-sided).
    pub p_value: f64,
    /// An earlier factor whose hosts have this value too, as `dimension=value`: this factor only goes along with the
    /// earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_along_with: Option<String>,
    /// True where no healthy host ever tried the update, so the update may be only the carrier of the cause.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untried_elsewhere: bool,
}

/// Successes on healthy hosts in the same time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Contrast {
    /// Healthy hosts on which one of [`Alert::subjects`] succeeded.
    pub same_subject_succeeded_hosts: u64,
    /// Healthy active hosts that share the first common factor.
    pub same_first_factor_healthy_hosts: u64,
}

/// Positions of the failures in `wulog.raw`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// For each partition of `wulog.raw` the offsets that hold the first failures; the end of each range is excluded.
    pub ranges: Vec<RawRange>,
    /// The earliest failures one by one, at most 10.
    pub exemplars: Vec<Exemplar>,
    /// Affected hosts whose lines arrived only after the incident had opened.
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
    /// Event time of the host's first failure.
    pub time: UtcTime,
    /// Subject at which the host failed.
    pub subject: String,
    /// HRESULT, `0x%08x`.
    pub code: String,
    /// Partition of `wulog.raw`.
    pub partition: i32,
    /// Offset in that partition.
    pub offset: i64,
}
