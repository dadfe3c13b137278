//! Which hosts count: those of the inventory, and of the new ones no more in a quarter hour than the operator allows.
//!
//! Host ids cost nothing to forge, and an alert is about hosts. A host that does not count is remembered and gives events like
//! any other; only what it would say to the Detector is dropped, until it counts.

use serde::{Deserialize, Serialize};

use super::config::NormalizerConfig;

const QUARTER_HOUR_MS: i64 = 15 * 60 * 1000;

/// What was admitted and what was not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Gate {
    /// The quarter hour of log time, and the hosts admitted in it.
    quarter: i64,
    admitted: u32,
    /// Hosts that were set aside since the inventory does not name them.
    unlisted: u64,
    /// Hosts that had to wait for a later quarter hour.
    waited: u64,
}

/// Whether a host counts. Part of the host's own state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Admission {
    /// Nobody has asked yet.
    #[default]
    New,
    /// It counts.
    Admitted,
    /// It was set aside, and is asked about at each of its records.
    SetAside,
}

impl Gate {
    /// Whether a host of this name counts from now on; `before` is what was said last.
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

    /// Hosts set aside so far: unlisted ones, and those that had to wait.
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
        let mut gate = Gate::default();
        let mut admit = |before, minute: i64| gate.admit(before, "x", minute * 60_000, &config, 2);
        assert_eq!(admit(Admission::New, 0), Admission::Admitted);
        assert_eq!(admit(Admission::New, 1), Admission::Admitted);
        assert_eq!(admit(Admission::New, 2), Admission::SetAside);
        assert_eq!(admit(Admission::SetAside, 14), Admission::SetAside);
        assert_eq!(admit(Admission::Admitted, 14), Admission::Admitted);
        assert_eq!(admit(Admission::SetAside, 15), Admission::Admitted);
        assert_eq!(gate.set_aside(), (0, 1));
    }
}
