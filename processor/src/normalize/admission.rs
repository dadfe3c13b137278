//! Admission control: decides which hosts may give signals to the Detector.
//!
//! Hosts of the inventory are admitted; of new hosts, no more in a quarter of an hour than the operator allows. Host
//! ids cost nothing to forge, and an alert is about hosts. A host that is not admitted is remembered and gives events
//! like any other host; only its signals are dropped until it is admitted.

use serde::{Deserialize, Serialize};

use super::config::NormalizerConfig;

const QUARTER_HOUR_MS: i64 = 15 * 60 * 1000;

/// Counts of the hosts that were admitted and set aside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct AdmissionControl {
    /// The quarter hour of log time in which `admitted` hosts were admitted.
    quarter: i64,
    admitted: u32,
    /// Hosts that were set aside because the inventory does not name them.
    unlisted: u64,
    /// Hosts that had to wait for a later quarter hour.
    waited: u64,
}

/// Whether a host may give signals. Part of the host's own state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Admission {
    /// Not decided yet.
    #[default]
    New,
    /// The host's signals are sent.
    Admitted,
    /// The host's signals are dropped; each further record of the host is a new decision.
    SetAside,
}

impl AdmissionControl {
    /// Decides whether a host of this name is admitted from now on; `before` is the decision at its last record.
    pub(super) fn admit(
        &mut self,
        before: Admission,
        name: &str,
        log_time: i64,
        config: &NormalizerConfig,
        partitions: i32,
    ) -> Admission {
        let is_new = before == Admission::New;
        if config.inventory.is_given() && !config.inventory.names(name) {
            self.unlisted += u64::from(is_new || before == Admission::Admitted);
            return Admission::SetAside;
        }
        let Some(limit) = config.new_hosts_per_quarter_hour.filter(|_| before != Admission::Admitted) else {
            return Admission::Admitted;
        };
        let quarter = log_time.div_euclid(QUARTER_HOUR_MS);
        if self.quarter != quarter {
            (self.quarter, self.admitted) = (quarter, 0);
        }
        if self.admitted >= limit.div_ceil(partitions.max(1).unsigned_abs()) {
            self.waited += u64::from(is_new);
            return Admission::SetAside;
        }
        self.admitted += 1;
        Admission::Admitted
    }

    /// Number of hosts set aside so far: unlisted hosts, and hosts that had to wait.
    pub(super) fn set_aside(&self) -> (u64, u64) {
        (self.unlisted, self.waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_hosts_wait_for_a_quarter_hour_with_room() {
        let config = NormalizerConfig { new_hosts_per_quarter_hour: Some(4), ..NormalizerConfig::default() };
        let mut control = AdmissionControl::default();
        let mut admit = |before, minute: i64| control.admit(before, "x", minute * 60_000, &config, 2);
        assert_eq!(admit(Admission::New, 0), Admission::Admitted);
        assert_eq!(admit(Admission::New, 1), Admission::Admitted);
        assert_eq!(admit(Admission::New, 2), Admission::SetAside);
        assert_eq!(admit(Admission::SetAside, 14), Admission::SetAside);
        assert_eq!(admit(Admission::Admitted, 14), Admission::Admitted);
        assert_eq!(admit(Admission::SetAside, 15), Admission::Admitted);
        assert_eq!(control.set_aside(), (0, 1));
    }
}
