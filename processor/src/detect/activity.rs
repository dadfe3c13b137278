//! Which hosts were active when: quarter hours of event time in which a host said anything.
//!
//! One unit serves two questions. *How many hosts were active since?* is answered from a count of hosts by their
//! latest quarter hour. *How much chance was there to fail?* is the sum over hosts of active quarter hours: failures
//! come with scans, so on a Patch Tuesday or a Monday morning the chance rises with the activity, and hours in which a
//! fleet sleeps count nothing. A rate per hour would alert every Monday.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A quarter hour, counted from 1970 UTC.
pub(super) type Quarter = i64;

const QUARTER_MS: i64 = 15 * 60 * 1000;

pub(super) fn quarter(time_ms: i64) -> Quarter {
    time_ms.div_euclid(QUARTER_MS)
}

/// One host's active quarter hours, exact over the last 32 h; older ones than that are not counted any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct HostActivity {
    /// The newest active quarter hour.
    latest: Option<Quarter>,
    /// Bit `n` stands for `latest - n`.
    recent: u128,
}

impl HostActivity {
    pub(super) fn latest(&self) -> Option<Quarter> {
        self.latest
    }
}

/// The fleet's activity by quarter hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct FleetActivity {
    /// Active hosts of each quarter hour.
    active: BTreeMap<Quarter, u64>,
    /// Hosts by their latest quarter hour.
    latest: BTreeMap<Quarter, u64>,
    /// Hosts caught up with, by quarter hour of log time.
    caught_up: BTreeMap<Quarter, u64>,
}

impl FleetActivity {
    /// The host said something at `time_ms`.
    pub(super) fn mark(&mut self, host: &mut HostActivity, time_ms: i64) {
        let now = quarter(time_ms);
        match host.latest {
            Some(latest) if now <= latest => {
                let age = latest - now;
                let bit = u32::try_from(age).ok().and_then(|age| 1_u128.checked_shl(age)).unwrap_or(0);
                if bit == 0 || host.recent & bit != 0 {
                    return;
                }
                host.recent |= bit;
            }
            before => {
                if let Some(latest) = before {
                    let shift = u32::try_from(now - latest).unwrap_or(u32::MAX);
                    host.recent = host.recent.checked_shl(shift).unwrap_or(0);
                    decrement(&mut self.latest, latest);
                }
                host.recent |= 1;
                host.latest = Some(now);
                *self.latest.entry(now).or_default() += 1;
            }
        }
        *self.active.entry(now).or_default() += 1;
    }

    /// A host has been caught up with at log time `time_ms`.
    pub(super) fn mark_caught_up(&mut self, time_ms: i64) {
        *self.caught_up.entry(quarter(time_ms)).or_default() += 1;
    }

    /// Hosts active at `from_ms` or later. For a window that ends in the past this includes hosts that were active
    /// only after it: a late failure is compared with the hosts that exist, not with fewer.
    pub(super) fn hosts_since(&self, from_ms: i64) -> u64 {
        self.latest.range(quarter(from_ms)..).map(|(_, hosts)| hosts).sum()
    }

    /// Active quarter hours, summed over hosts, from `from_ms` to `to_ms`, both quarters included.
    pub(super) fn quarters_between(&self, from_ms: i64, to_ms: i64) -> u64 {
        sum_between(&self.active, from_ms, to_ms)
    }

    /// Hosts caught up with from `from_ms` to `to_ms`, both quarters included.
    pub(super) fn caught_up_between(&self, from_ms: i64, to_ms: i64) -> u64 {
        sum_between(&self.caught_up, from_ms, to_ms)
    }

    /// Forgets what lies before `time_ms`, hosts' latest quarter hours apart.
    pub(super) fn forget_before(&mut self, time_ms: i64) {
        let first = quarter(time_ms);
        for counts in [&mut self.active, &mut self.caught_up] {
            while counts.first_key_value().is_some_and(|(at, _)| *at < first) {
                counts.pop_first();
            }
        }
    }
}

fn sum_between(counts: &BTreeMap<Quarter, u64>, from_ms: i64, to_ms: i64) -> u64 {
    if from_ms > to_ms {
        return 0;
    }
    counts.range(quarter(from_ms)..=quarter(to_ms)).map(|(_, count)| count).sum()
}

fn decrement(counts: &mut BTreeMap<Quarter, u64>, at: Quarter) {
    if let Some(count) = counts.get_mut(&at) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks one host at quarters of an hour and compares (active quarters, hosts since quarter 1000).
    fn check(quarters: &[i64], expect: (u64, u64)) {
        let (mut fleet, mut host) = (FleetActivity::default(), HostActivity::default());
        for at in quarters {
            fleet.mark(&mut host, at * QUARTER_MS + 1);
        }
        assert_eq!((fleet.quarters_between(0, i64::MAX), fleet.hosts_since(1000 * QUARTER_MS)), expect, "{quarters:?}");
    }

    #[test]
    fn a_quarter_hour_counts_once() {
        check(&[], (0, 0));
        check(&[1000], (1, 1));
        check(&[1000, 1000, 1000], (1, 1));
        check(&[999], (1, 0));
        check(&[1000, 1001, 1000, 1001], (2, 1));
        check(&[1005, 1000, 1002, 1000, 1002, 1005], (3, 1));
        check(&[1000, 1127, 1000], (2, 1));
        check(&[1000, 5000], (2, 1));
        // Beyond 32 h back nothing is counted any more, so nothing is counted twice.
        check(&[1000, 1128, 1000, 999], (2, 1));
    }
}
