//! When a host says that it lives.
//!
//! Before its first line, so that time zone and labels are known when the line is parsed; when it has caught up; when it
//! has been behind for a while; and every 15 minutes. Being behind for the moment that a line is on its way is no news:
//! told at once, it would cost two heartbeats a line.

/// How often a host says that it lives.
pub const EVERY_MS: i64 = 15 * 60 * 1000;

/// How long a host that had caught up may be behind before it says so.
pub const BEHIND_MS: i64 = 60 * 1000;

/// What one host has said, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    said: Option<(bool, i64)>,
    behind_since_ms: Option<i64>,
}

impl Pulse {
    /// Whether a heartbeat is due, and whether it says that the host has caught up.
    pub fn due(&mut self, now_ms: i64, caught_up: bool) -> Option<bool> {
        let since = (!caught_up).then(|| self.behind_since_ms.unwrap_or(now_ms));
        self.behind_since_ms = since;
        let news = match self.said {
            None => true,
            Some((false, _)) => caught_up,
            Some((true, _)) => since.is_some_and(|since| now_ms - since >= BEHIND_MS),
        };
        let again = self.said.is_some_and(|(_, when_ms)| now_ms - when_ms >= EVERY_MS);
        if !news && !again {
            return None;
        }
        // Between two pieces of news the last one holds.
        let says = if news { caught_up } else { self.said.is_some_and(|(said, _)| said) };
        self.said = Some((says, now_ms));
        Some(says)
    }

    /// True when the last thing said is that the host has caught up.
    #[must_use]
    pub fn says_caught_up(&self) -> bool {
        self.said.is_some_and(|(said, _)| said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at `(second, caught up)` in turn; expects `(second, what is said)`.
    #[track_caller]
    fn check(looks: &[(i64, bool)], expect: &[(i64, bool)]) {
        let mut pulse = Pulse::default();
        let said: Vec<(i64, bool)> = looks
            .iter()
            .filter_map(|&(second, caught_up)| Some((second, pulse.due(second * 1000, caught_up)?)))
            .collect();
        assert_eq!(said, expect);
    }

    #[test]
    fn a_host_speaks_before_its_first_line_and_when_it_has_caught_up() {
        check(&[(0, false), (0, false), (1, true), (2, true)], &[(0, false), (1, true)]);
        check(&[(0, true), (1, true)], &[(0, true)]);
    }

    #[test]
    fn a_line_on_its_way_is_no_news() {
        check(&[(0, true), (10, false), (11, true), (80, false), (81, true)], &[(0, true)]);
    }

    #[test]
    fn falling_behind_is_news_after_a_minute() {
        check(&[(0, true), (10, false), (69, false), (70, false), (71, true)], &[(0, true), (70, false), (71, true)]);
    }

    #[test]
    fn a_quiet_host_speaks_every_15_minutes() {
        check(
            &[(0, true), (899, true), (900, true), (1799, true), (1800, true)],
            &[(0, true), (900, true), (1800, true)],
        );
        check(&[(0, true), (900, false)], &[(0, true), (900, true)]);
        check(&[(0, false), (900, false)], &[(0, false), (900, false)]);
    }
}
