//! Notices a producer that takes records and reports nothing, whatever the reason: half-open connections, bugs.
//!
//! Recreating a producer costs little, and the records of the old one are sent again. A cluster that is unreachable for
//! hours looks the same, so the wait doubles each time.

use std::time::{Duration, Instant};

/// Longest wait; the wait doubles up to this.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Watches for acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watchdog {
    first_wait: Duration,
    wait: Duration,
    /// Since when an acknowledgement is awaited and none came.
    since: Option<Instant>,
}

impl Watchdog {
    pub(super) fn new(first_wait: Duration) -> Watchdog {
        Watchdog { first_wait, wait: first_wait, since: None }
    }

    /// Returns how long nothing was acknowledged, when that is longer than the wait.
    pub(super) fn look(&mut self, now: Instant, awaited: bool, acknowledged: bool) -> Option<Duration> {
        if acknowledged {
            self.wait = self.first_wait;
        }
        if acknowledged || !awaited {
            self.since = awaited.then_some(now);
            return None;
        }
        let silent = now.saturating_duration_since(*self.since.get_or_insert(now));
        if silent < self.wait {
            return None;
        }
        self.wait = (self.wait * 2).min(WAIT_MAX);
        self.since = Some(now);
        Some(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at `(second, awaited, acknowledged)` in turn; expects the seconds at which the watchdog reports silence.
    #[track_caller]
    fn check(looks: &[(u64, bool, bool)], expect: &[u64]) {
        let (start, mut watchdog) = (Instant::now(), Watchdog::new(Duration::from_secs(10)));
        let mut bites = Vec::new();
        for &(second, awaited, acknowledged) in looks {
            if watchdog.look(start + Duration::from_secs(second), awaited, acknowledged).is_some() {
                bites.push(second);
            }
        }
        assert_eq!(bites, expect);
    }

    #[test]
    fn silence_bites_only_while_something_is_awaited() {
        check(&[(0, false, false), (100, false, false), (101, true, false), (110, true, false)], &[]);
        check(&[(0, true, false), (9, true, false), (10, true, false)], &[10]);
        check(&[(0, true, false), (9, true, true), (18, true, false), (19, true, false)], &[19]);
    }

    #[test]
    fn the_wait_doubles_until_something_comes() {
        check(
            &[(0, true, false), (10, true, false), (29, true, false), (30, true, false), (69, true, false)],
            &[10, 30],
        );
        check(&[(0, true, false), (10, true, false), (11, true, true), (21, true, false)], &[10, 21]);
    }
}
