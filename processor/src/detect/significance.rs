//! The significance of a cluster of newly failing hosts: by which method it was found, and how improbable chance is.

use serde::{Deserialize, Serialize};
use wulog_schemas::alert::{Detection, Method};

use super::onset::Onset;
use super::stats::both;

/// The reason why newly failing hosts are a cluster. The fields are those of [`Detection`], whose optional fields a
/// snapshot cannot hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Significance {
    pub(super) method: Method,
    pub(super) rule: Option<String>,
    pub(super) window_secs: u64,
    pub(super) seen_hosts: u64,
    pub(super) expected_hosts: f64,
    pub(super) p_value: f64,
    pub(super) alpha: f64,
    pub(super) history_hosts: u64,
    pub(super) history_active_quarter_hours: u64,
    /// The p-value under the assumption of a well-kept fleet. Below `alpha`, a cluster is examined for a shared cause.
    pub(super) p_well_kept: f64,
}

/// A cluster of newly failing hosts, with its significance.
pub(super) struct Cluster {
    pub(super) significance: Significance,
    pub(super) onsets: Vec<Onset>,
}

impl Significance {
    pub(super) fn document(&self, rules_met: &[String]) -> Detection {
        Detection {
            method: self.method,
            rule: self.rule.clone(),
            rules_met: rules_met.to_vec(),
            window_secs: self.window_secs,
            seen_hosts: self.seen_hosts,
            expected_hosts: self.expected_hosts,
            p_value: self.p_value,
            alpha: self.alpha,
            history_hosts: self.history_hosts,
            history_active_quarter_hours: self.history_active_quarter_hours,
        }
    }

    /// The significance that a document states, for an incident that is rebuilt from the document.
    pub(super) fn of_document(detection: &Detection) -> Significance {
        Significance {
            method: detection.method,
            rule: detection.rule.clone(),
            window_secs: detection.window_secs,
            seen_hosts: detection.seen_hosts,
            expected_hosts: detection.expected_hosts,
            p_value: detection.p_value,
            alpha: detection.alpha,
            history_hosts: detection.history_hosts,
            history_active_quarter_hours: detection.history_active_quarter_hours,
            p_well_kept: detection.p_value,
        }
    }

    /// Whether the cluster is significant without a shared cause. Clusters by an operator's rule always are; silence
    /// and concentration were tested before by statistics of their own.
    pub(super) fn convinces(&self) -> bool {
        matches!(self.method, Method::Rule | Method::Silence | Method::Concentration) || self.p_value < self.alpha
    }

    /// Whether the cluster is significant together with `p_cause`, the probability that its hosts share a value by
    /// chance. Fisher's method combines the two p-values.
    pub(super) fn convinces_with(&self, p_cause: f64) -> bool {
        both(self.p_value, p_cause) < self.alpha
    }
}
