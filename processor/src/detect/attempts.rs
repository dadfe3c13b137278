//! How often each update was tried of late: what its failures are held against.
//!
//! A new update at which three of three hosts fail is news long before three failures are many for the fleet.

use serde::{Deserialize, Serialize};

use super::evidence::DAY_MS;
use super::strings::StringId;

/// Attempts at each subject, today's and yesterday's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Attempts {
    /// By subject.
    counts: Vec<Recent>,
    /// Subjects with any.
    live: u64,
    /// The day, by log time, that is counted as today's.
    day: i64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Recent {
    today: u32,
    yesterday: u32,
}

impl Attempts {
    /// Somebody has tried `subject`, at this log time.
    pub(super) fn mark(&mut self, subject: StringId, log_time: i64) {
        self.move_to(log_time.div_euclid(DAY_MS));
        let place = subject as usize;
        if place >= self.counts.len() {
            self.counts.resize(place + 1, Recent::default());
        }
        let recent = &mut self.counts[place];
        self.live += u64::from(recent.today + recent.yesterday == 0);
        recent.today = recent.today.saturating_add(1);
    }

    fn move_to(&mut self, day: i64) {
        if day <= self.day {
            return;
        }
        let is_next = day == self.day + 1;
        for recent in &mut self.counts {
            *recent = Recent { today: 0, yesterday: if is_next { recent.today } else { 0 } };
        }
        self.live = self.counts.iter().filter(|recent| recent.yesterday > 0).count() as u64;
        self.day = day;
    }

    /// Attempts at a subject within 24 to 48 hours.
    pub(super) fn at(&self, subject: StringId) -> u64 {
        let recent = self.counts.get(subject as usize).copied().unwrap_or_default();
        u64::from(recent.today) + u64::from(recent.yesterday)
    }

    /// Subjects that were tried at all.
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
            attempts.mark(subject, day * DAY_MS + 5);
        }
        assert_eq!((attempts.at(3), attempts.at(1), attempts.at(9), attempts.live()), (2, 1, 0, 2));
        attempts.mark(3, 101 * DAY_MS);
        assert_eq!((attempts.at(3), attempts.live()), (3, 2));
        attempts.mark(3, 102 * DAY_MS);
        assert_eq!((attempts.at(3), attempts.at(1), attempts.live()), (2, 0, 1));
        attempts.mark(1, 110 * DAY_MS);
        assert_eq!((attempts.at(3), attempts.at(1), attempts.live()), (0, 1, 1));
    }
}
