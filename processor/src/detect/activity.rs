//! Activity of hosts: the quarter hours of event time in which a host said anything.
//!
//! One unit serves two questions. *How many hosts were active since?* is answered from a count of hosts by their latest
//! quarter hour. *How much chance was there to fail?* is the sum over hosts of active quarter hours: failures come with
//! scans, so on a Patch Tuesday or a Monday morning the chance rises with the activity, and hours in which a fleet
//! sleeps count nothing. A rate per hour would alert every Monday. On Patch Tuesday each scan brings several updates,
//! so attempts are counted beside the quarter hours.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// A quarter hour, counted from 1970 UTC.
pub(super) type Quarter = i64;

pub(super) const QUARTER_MS: i64 = 15 * 60 * 1000;

pub(super) fn quarter(time_ms: i64) -> Quarter {
    time_ms.div_euclid(QUARTER_MS)
}

/// The quarter hour of a host that was never active; it lies before all valid times.
const NEVER: i32 = i32::MIN;

/// One host's active quarter hours, exact over the last 32 h; older ones are not counted. There are a million of these
/// values, so each has 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct HostActivity {
    /// The newest active quarter hour, or [`NEVER`].
    latest: i32,
    /// 128 bits, the lowest 32 first: bit `n` stands for the quarter hour `latest - n`.
    recent: [u32; 4],
}

impl Default for HostActivity {
    fn default() -> HostActivity {
        HostActivity { latest: NEVER, recent: [0; 4] }
    }
}

impl HostActivity {
    pub(super) fn latest(&self) -> Option<Quarter> {
        (self.latest != NEVER).then(|| Quarter::from(self.latest))
    }

    fn recent(&self) -> u128 {
        let [a, b, c, d] = self.recent.map(u128::from);
        a | b << 32 | c << 64 | d << 96
    }

    fn set(&mut self, latest: Quarter, recent: u128) {
        self.latest = i32::try_from(latest).unwrap_or(i32::MAX);
        self.recent = [0, 32, 64, 96].map(|shift| (recent >> shift & u128::from(u32::MAX)) as u32);
    }
}

/// The fleet's activity by quarter hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct FleetActivity {
    /// Active hosts of each quarter hour.
    active: QuarterCounts,
    /// Hosts by their latest quarter hour.
    latest: BTreeMap<Quarter, u64>,
    /// Number of hosts that were caught up with, by quarter hour of log time.
    caught_up: QuarterCounts,
    /// Attempts by quarter hour of event time. Only a host's first attempt at a subject in 24 hours counts.
    attempts: QuarterCounts,
    /// Attempts that arrived more than a day after their event time from hosts that were caught up with, by quarter
    /// hour of log time.
    late_attempts: QuarterCounts,
}

/// Quarter hours that are kept before the newest: a horizon of at most 30 days, with a reserve.
const KEPT: i64 = 45 * 24 * 4;

/// Counts by quarter hour, without gaps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct QuarterCounts {
    /// The quarter hour of the first count.
    first: Quarter,
    counts: VecDeque<u32>,
}

impl QuarterCounts {
    fn add(&mut self, at: Quarter) {
        let newest = self.first + self.counts.len() as i64 - 1;
        if self.counts.is_empty() || at >= newest + KEPT {
            self.counts.clear();
            self.first = at;
        }
        if at < self.first {
            // Older than the counts that are kept.
            if at + KEPT <= newest {
                return;
            }
            for _ in at..self.first {
                self.counts.push_front(0);
            }
            self.first = at;
        }
        while self.first + self.counts.len() as i64 <= at {
            self.counts.push_back(0);
        }
        self.forget_before(at - KEPT);
        if let Some(count) = usize::try_from(at - self.first).ok().and_then(|place| self.counts.get_mut(place)) {
            *count = count.saturating_add(1);
        }
    }

    fn between(&self, from_ms: i64, to_ms: i64) -> u64 {
        if from_ms > to_ms {
            return 0;
        }
        let place = |at: Quarter| usize::try_from(at.saturating_sub(self.first)).unwrap_or(0).min(self.counts.len());
        let (from, to) = (place(quarter(from_ms)), place(quarter(to_ms).saturating_add(1)));
        self.counts.range(from..to).map(|count| u64::from(*count)).sum()
    }

    fn forget_before(&mut self, at: Quarter) {
        while self.first < at && self.counts.pop_front().is_some() {
            self.first += 1;
        }
    }
}

impl FleetActivity {
    /// Marks the host as active at `time_ms`.
    pub(super) fn mark(&mut self, host: &mut HostActivity, time_ms: i64) {
        let now = quarter(time_ms);
        match host.latest() {
            Some(latest) if now == latest => return,
            Some(latest) if now < latest => {
                let age = latest - now;
                let bit = u32::try_from(age).ok().and_then(|age| 1_u128.checked_shl(age)).unwrap_or(0);
                let recent = host.recent();
                if bit == 0 || recent & bit != 0 {
                    return;
                }
                host.set(latest, recent | bit);
            }
            before => {
                let mut recent = 0;
                if let Some(latest) = before {
                    let shift = u32::try_from(now - latest).unwrap_or(u32::MAX);
                    recent = host.recent().checked_shl(shift).unwrap_or(0);
                    decrement(&mut self.latest, latest);
                }
                host.set(now, recent | 1);
                *self.latest.entry(now).or_default() += 1;
            }
        }
        self.active.add(now);
    }

    /// Removes a forgotten host from the hosts by latest quarter hour. Its active quarter hours stay counted, since it
    /// had the chance to fail.
    pub(super) fn forget(&mut self, host: HostActivity) {
        if let Some(latest) = host.latest() {
            decrement(&mut self.latest, latest);
        }
    }

    /// Counts a host that was caught up with at log time `time_ms`.
    pub(super) fn mark_caught_up(&mut self, time_ms: i64) {
        self.caught_up.add(quarter(time_ms));
    }

    /// Counts an attempt at event time `time_ms`, the first of its host and subject in a day.
    pub(super) fn mark_attempt(&mut self, time_ms: i64) {
        self.attempts.add(quarter(time_ms));
    }

    /// Counts an attempt that arrived late, at log time `time_ms`, from a host that was away.
    pub(super) fn mark_late_attempt(&mut self, time_ms: i64) {
        self.late_attempts.add(quarter(time_ms));
    }

    /// The time of the earliest activity that is still counted.
    pub(super) fn first_ms(&self) -> Option<i64> {
        (!self.active.counts.is_empty()).then_some(self.active.first * QUARTER_MS)
    }

    /// Attempts from `from_ms` to `to_ms`, both quarters included.
    pub(super) fn attempts_between(&self, from_ms: i64, to_ms: i64) -> u64 {
        self.attempts.between(from_ms, to_ms)
    }

    /// Hosts active at `from_ms` or later. For a window that ends in the past this includes hosts that were active
    /// only after it: a late failure is compared with the hosts that exist, not with fewer.
    pub(super) fn hosts_since(&self, from_ms: i64) -> u64 {
        self.latest.range(quarter(from_ms)..).map(|(_, hosts)| hosts).sum()
    }

    /// Active quarter hours, summed over hosts, from `from_ms` to `to_ms`, both quarters included.
    pub(super) fn quarters_between(&self, from_ms: i64, to_ms: i64) -> u64 {
        self.active.between(from_ms, to_ms)
    }

    /// Hosts caught up with from `from_ms` to `to_ms`, both quarters included.
    pub(super) fn caught_up_between(&self, from_ms: i64, to_ms: i64) -> u64 {
        self.caught_up.between(from_ms, to_ms)
    }

    /// Attempts that arrived late from `from_ms` to `to_ms`, both quarters included.
    pub(super) fn late_attempts_between(&self, from_ms: i64, to_ms: i64) -> u64 {
        self.late_attempts.between(from_ms, to_ms)
    }

    /// Forgets the counts before `time_ms`; the latest quarter hour of each host stays.
    pub(super) fn forget_before(&mut self, time_ms: i64) {
        let first = quarter(time_ms);
        for counts in [&mut self.active, &mut self.caught_up, &mut self.attempts, &mut self.late_attempts] {
            counts.forget_before(first);
        }
    }
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

    /// Counts in any order are those of a map, within the time that is kept.
    #[test]
    fn counts_are_those_of_a_map() {
        let (mut counts, mut map) = (QuarterCounts::default(), BTreeMap::<Quarter, u64>::new());
        let mut luck = 7_u64;
        for _ in 0..3_000 {
            luck = luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = 100_000 + (luck >> 33) as i64 % (KEPT / 2);
            counts.add(at);
            *map.entry(at).or_default() += 1;
            let (from, to) = (at - (luck >> 50) as i64 % 90, at + (luck >> 20) as i64 % 90);
            let expect: u64 = map.range(from..=to).map(|(_, count)| count).sum();
            assert_eq!(counts.between(from * QUARTER_MS, to * QUARTER_MS), expect);
        }
        counts.add(100_000 + 2 * KEPT);
        assert_eq!(counts.between(0, i64::MAX), 1, "what is older than is kept is forgotten");
        counts.add(100_000);
        assert_eq!(counts.between(0, i64::MAX), 1);
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
        // Activity more than 32 h back is not counted any more, so none is counted twice.
        check(&[1000, 1128, 1000, 999], (2, 1));
    }
}
