//! Recent attempts at each subject, with which the failures at an update are compared.
//!
//! A new update at which three of three hosts fail is news long before three failures are many for the fleet. The
//! number of hosts that have ever succeeded is counted too: a host remembers its latest successes alone, and daily
//! definition updates take the place of all others within a week.

use serde::{Deserialize, Serialize};

use super::durations::DAY_MS;
use super::strings::StringId;

/// Attempts at each subject, today's and yesterday's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Attempts {
    /// By subject.
    counts: Vec<Recent>,
    /// Number of subjects with an attempt today or yesterday.
    live: u64,
    /// The newest day with an attempt, which is counted as today.
    day: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Recent {
    today: u32,
    yesterday: u32,
    /// Whether any host succeeded on the newest day, and on the day before.
    succeeded: [bool; 2],
    /// Hosts that have succeeded, and have not failed since.
    hosts: u32,
}

impl Attempts {
    /// Counts an attempt at `subject` at this event time. An attempt before yesterday does not count; otherwise a
    /// backlog of a week would look like a busy day.
    pub(super) fn mark(&mut self, subject: StringId, time: i64, succeeded: bool) {
        let day = time.div_euclid(DAY_MS);
        self.move_to(day);
        if day < self.day - 1 {
            return;
        }
        let is_today = day == self.day;
        let recent = self.recent(subject);
        let is_first = recent.today + recent.yesterday == 0;
        let count = if is_today { &mut recent.today } else { &mut recent.yesterday };
        *count = count.saturating_add(1);
        recent.succeeded[usize::from(!is_today)] |= succeeded;
        self.live += u64::from(is_first);
    }

    /// Counts a host that has succeeded at `subject` for the first time.
    pub(super) fn succeeded_first(&mut self, subject: StringId) {
        let hosts = &mut self.recent(subject).hosts;
        *hosts = hosts.saturating_add(1);
    }

    /// No longer counts a host that had succeeded at `subject` and fails there now.
    pub(super) fn failed_after_success(&mut self, subject: StringId) {
        let hosts = &mut self.recent(subject).hosts;
        *hosts = hosts.saturating_sub(1);
    }

    /// Hosts that have succeeded at a subject and not failed there since, however long ago.
    pub(super) fn succeeded_hosts(&self, subject: StringId) -> u64 {
        self.counts.get(subject as usize).map_or(0, |recent| recent.hosts.into())
    }

    fn recent(&mut self, subject: StringId) -> &mut Recent {
        let place = subject as usize;
        if place >= self.counts.len() {
            self.counts.resize(place + 1, Recent::default());
        }
        &mut self.counts[place]
    }

    /// Forgets subjects whose strings were forgotten.
    pub(super) fn forget(&mut self, subjects: &[StringId]) {
        for subject in subjects {
            if let Some(recent) = self.counts.get_mut(*subject as usize) {
                self.live -= u64::from(recent.today + recent.yesterday > 0);
                *recent = Recent::default();
            }
        }
        while self.counts.last().is_some_and(|recent| *recent == Recent::default()) {
            self.counts.pop();
        }
        self.counts.shrink_to_fit();
    }

    fn move_to(&mut self, day: i64) {
        if day <= self.day {
            return;
        }
        let is_next = day == self.day + 1;
        for recent in &mut self.counts {
            *recent = Recent {
                today: 0,
                yesterday: if is_next { recent.today } else { 0 },
                succeeded: [false, is_next && recent.succeeded[0]],
                hosts: recent.hosts,
            };
        }
        self.live = self.counts.iter().filter(|recent| recent.yesterday > 0).count() as u64;
        self.day = day;
    }

    /// Attempts at a subject today and yesterday, so of the last 24 to 48 hours.
    pub(super) fn at(&self, subject: StringId) -> u64 {
        let recent = self.counts.get(subject as usize).copied().unwrap_or_default();
        u64::from(recent.today) + u64::from(recent.yesterday)
    }

    /// Whether any host succeeded at a subject today or yesterday.
    pub(super) fn has_succeeded(&self, subject: StringId) -> bool {
        self.counts.get(subject as usize).is_some_and(|recent| recent.succeeded.contains(&true))
    }

    /// Number of subjects that were tried today or yesterday.
    pub(super) fn live(&self) -> u64 {
        self.live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_forgotten_after_the_next_day() {
        let mut attempts = Attempts::default();
        for (subject, day) in [(3, 100), (3, 100), (1, 100)] {
            attempts.mark(subject, day * DAY_MS + 5, false);
        }
        assert_eq!((attempts.at(3), attempts.at(1), attempts.at(9), attempts.live()), (2, 1, 0, 2));
        attempts.mark(3, 101 * DAY_MS, true);
        assert!(attempts.has_succeeded(3) && !attempts.has_succeeded(1));
        assert_eq!((attempts.at(3), attempts.live()), (3, 2));
        attempts.mark(3, 102 * DAY_MS, false);
        assert!(attempts.has_succeeded(3), "yesterday");
        assert_eq!((attempts.at(3), attempts.at(1), attempts.live()), (2, 0, 1));
        attempts.mark(1, 110 * DAY_MS, false);
        assert!(!attempts.has_succeeded(3));
        assert_eq!((attempts.at(3), attempts.at(1), attempts.live()), (0, 1, 1));
    }

    #[test]
    fn hosts_that_have_succeeded_are_counted_for_longer() {
        let mut attempts = Attempts::default();
        (0..3).for_each(|_| attempts.succeeded_first(7));
        attempts.mark(7, 10 * DAY_MS, true);
        attempts.mark(1, 90 * DAY_MS, true);
        attempts.failed_after_success(7);
        assert_eq!((attempts.at(7), attempts.succeeded_hosts(7), attempts.succeeded_hosts(8)), (0, 2, 0));
        attempts.forget(&[7]);
        assert_eq!(attempts.succeeded_hosts(7), 0);
    }
}
