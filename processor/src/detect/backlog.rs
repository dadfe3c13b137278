//! Whether a backlog is still being read: hosts whose earlier lines have not all arrived.
//!
//! While many hosts are behind, three failing hosts may be three of fifteen or three of two hundred, so clusters wait.
//! The wait is bounded, since some collector is always behind in a large fleet.

use serde::{Deserialize, Serialize};

/// The fleet has a backlog where more than one in this many hosts is behind.
const BEHIND_SHARE: u64 = 20;
/// Longest time that clusters wait after the last host was caught up with, since hosts of the same backlog may follow
/// that were not heard of yet.
const SETTLE_MS: i64 = 2 * 60 * 1000;
/// A backlog that takes longer than this no longer delays alerts.
const WAIT_MAX_MS: i64 = 60 * 60 * 1000;

/// The hosts that are being caught up with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HostBacklog {
    /// Hosts that are behind.
    behind: u64,
    /// Log time at which the first host fell behind; `None` without a backlog.
    since: Option<i64>,
    /// Log time at which a host was last caught up with or found behind.
    moved: i64,
}

impl HostBacklog {
    /// A host was found behind at log time `now`.
    pub(super) fn fell_behind(&mut self, now: i64) {
        self.behind += 1;
        self.since.get_or_insert(now);
        self.moved = now;
    }

    /// A host that was behind has been caught up with at log time `now`.
    pub(super) fn caught_up(&mut self, now: i64) {
        self.behind = self.behind.saturating_sub(1);
        self.moved = now;
    }

    /// A host that was behind was forgotten.
    pub(super) fn forget(&mut self) {
        self.behind = self.behind.saturating_sub(1);
    }

    /// Whether so much of a fleet of `hosts` is behind at log time `now` that clusters wait.
    pub(super) fn is_being_read(&self, hosts: usize, now: i64) -> bool {
        let Some(since) = self.since else { return false };
        let many = self.behind * BEHIND_SHARE > hosts as u64;
        // More hosts may follow for as long as the backlog took so far, up to a bound.
        let settle = (self.moved - since).clamp(0, SETTLE_MS);
        // Log time may have gone back and left both times in the future; they count as no backlog.
        (0..WAIT_MAX_MS).contains(&(now - since)) && (many || (0..settle).contains(&(now - self.moved)))
    }

    /// True once after a backlog has been read: the past that it brought is then judged as a whole.
    pub(super) fn has_ended(&mut self, hosts: usize, now: i64) -> bool {
        if self.since.is_none() || self.is_being_read(hosts, now) {
            return false;
        }
        self.since = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_wait_until_the_fleet_is_caught_up_with() {
        let minute = 60_000;
        let mut backlog = HostBacklog::default();
        assert!(!backlog.is_being_read(100, 0));
        (0..20).for_each(|_| backlog.fell_behind(0));
        assert!(backlog.is_being_read(100, minute) && !backlog.has_ended(100, minute));
        (0..20).for_each(|_| backlog.caught_up(3 * minute));
        assert!(backlog.is_being_read(100, 4 * minute), "others may follow");
        assert!(backlog.has_ended(100, 5 * minute) && !backlog.has_ended(100, 6 * minute), "once");
        (0..20).for_each(|_| backlog.fell_behind(10 * minute));
        assert!(!backlog.is_being_read(100, 80 * minute), "no longer than an hour");
    }
}
