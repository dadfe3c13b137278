//! Log time: the current time by the records of one partition, protected against single wrong clocks.
//!
//! A record's timestamp is the clock of the program that appended it, and this clock may be wrong by seconds or years.
//! So a timestamp moves log time freely only by a step. A jump beyond the step is set aside until it is confirmed: by
//! lines of two hosts (of the only host, if only one is known) whose own clocks agree, or by the jump itself, when
//! timestamps near it have continued for ten minutes without a line that contradicts it. Lines may also confirm a time
//! between log time and the timestamp, as those of a backlog do: log time then follows the lines. The same rule works
//! backwards: lines of two hosts that agree with timestamps far below log time take log time back, since it was moved
//! by a wrong clock. Only records decide, so a replay decides in the same way.

use serde::{Deserialize, Serialize};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// Two clocks agree within this time: a line has local time, and its zone may be unknown.
const AGREE_MS: i64 = 15 * 3600 * 1000;

/// Time after which a jump that is neither confirmed nor contradicted is believed.
const LASTS_MS: i64 = 10 * 60 * 1000;

/// Timestamps outside 2000-2100 are never believed.
const POSSIBLE_MS: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;

/// How far a timestamp is believed without confirmation, forwards and backwards of log time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BeliefSpan {
    /// Ahead, milliseconds.
    pub ahead_ms: i64,
    /// Behind: a believed earlier time takes log time back.
    pub behind_ms: i64,
}

impl BeliefSpan {
    /// The same step forwards and backwards.
    #[must_use]
    pub(crate) const fn both(milliseconds: i64) -> BeliefSpan {
        BeliefSpan { ahead_ms: milliseconds, behind_ms: milliseconds }
    }

    fn has(self, timestamp_ms: i64, now_ms: i64) -> bool {
        (now_ms.saturating_sub(self.behind_ms)..=now_ms.saturating_add(self.ahead_ms)).contains(&timestamp_ms)
    }
}

/// The facts of a record about the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    /// The record's timestamp.
    pub timestamp_ms: i64,
    /// The host id.
    pub host: &'a str,
    /// The time of the host's own clock, if the record holds one; local time suffices.
    pub stated_ms: Option<i64>,
}

/// A jump that is not believed yet: consecutive timestamps far from log time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Jump {
    /// Timestamp since which no line has contradicted the jump.
    since_ms: i64,
    /// The latest timestamp of the jump.
    reached_ms: i64,
    /// The host of the first timestamp.
    host: String,
    /// Timestamps of a second host belong to the jump.
    has_two_hosts: bool,
    /// A line has contradicted the jump.
    is_contradicted: bool,
    /// The host that confirmed the jump first, and its time.
    claim: Option<(String, i64)>,
    /// Records whose timestamps belong to the jump.
    records: u64,
}

impl Jump {
    fn of(said: &Said<'_>) -> Jump {
        Jump {
            since_ms: said.timestamp_ms,
            reached_ms: said.timestamp_ms,
            host: said.host.to_owned(),
            ..Jump::default()
        }
    }
}

/// The result for a record's timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimestampVerdict {
    /// Log time follows the timestamp, or had reached it already.
    Believed,
    /// The timestamp belongs to a jump that is not confirmed yet.
    SetAside,
    /// The timestamp is impossible.
    Impossible,
    /// The timestamp is near log time again, after a jump of this many records that was never confirmed.
    Returned(u64),
    /// Log time was wrong and has gone back.
    WentBack,
}

/// Log time of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogClock {
    now_ms: i64,
    /// The nearest jump ahead of log time. A timestamp beyond the jump cannot confirm it, so an attacker who writes far
    /// times gains nothing from the pauses of a fleet.
    ahead: Option<Jump>,
    /// The jump behind log time. The two jumps are separate, so a stray timestamp on one side does not delay the other.
    behind: Option<Jump>,
    /// Records whose timestamps were set aside.
    set_aside: u64,
}

impl LogClock {
    /// A clock that has reached `now_ms` already.
    #[must_use]
    pub(crate) fn at(now_ms: i64) -> LogClock {
        LogClock { now_ms, ..LogClock::default() }
    }

    /// Log time, milliseconds since 1970 UTC; 0 before the first record.
    #[must_use]
    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Records whose timestamps turned out to be wrong.
    #[must_use]
    pub(crate) fn set_aside(&self) -> u64 {
        self.set_aside
    }

    /// Follows a timestamp that is not a jump, and returns true. Nearly every record ends here, so the caller need not
    /// parse more of it.
    #[inline]
    pub(crate) fn follow(&mut self, timestamp_ms: i64, step: BeliefSpan) -> bool {
        let calm = self.ahead.is_none() && self.behind.is_none();
        let usual = calm && POSSIBLE_MS.contains(&timestamp_ms) && step.has(timestamp_ms, self.now_ms);
        if usual {
            self.now_ms = self.now_ms.max(timestamp_ms);
        }
        usual
    }

    /// Processes a record. `hosts` is the number of known hosts; `step` limits how far a timestamp is believed without
    /// confirmation.
    pub(crate) fn take(&mut self, said: Said<'_>, hosts: usize, step: BeliefSpan) -> TimestampVerdict {
        let timestamp = said.timestamp_ms;
        let stated = said.stated_ms.filter(|stated| POSSIBLE_MS.contains(stated));
        let is_possible = POSSIBLE_MS.contains(&timestamp);
        let earliest = self.now_ms.saturating_sub(step.behind_ms);
        if !is_possible || timestamp < earliest && stated.is_some_and(|stated| stated >= earliest) {
            // The timestamp is unusable; only the time in the line counts.
            match stated.filter(|stated| *stated > self.now_ms) {
                Some(stated) => self.follow_line(Said { timestamp_ms: stated, ..said }, hosts, step),
                None => self.set_aside = self.set_aside.saturating_add(1),
            }
            return if is_possible { TimestampVerdict::SetAside } else { TimestampVerdict::Impossible };
        }
        if self.now_ms == 0 || step.has(timestamp, self.now_ms) {
            self.now_ms = self.now_ms.max(timestamp);
            let wrong = [self.ahead.take(), self.behind.take()];
            if wrong.iter().all(Option::is_none) {
                return TimestampVerdict::Believed;
            }
            let records = wrong.into_iter().flatten().map(|jump| jump.records).sum();
            self.set_aside = self.set_aside.saturating_add(records);
            return TimestampVerdict::Returned(records);
        }
        let is_ahead = timestamp > self.now_ms;
        if is_ahead { self.take_ahead(said, hosts, step) } else { self.take_behind(said, hosts, step) }
    }

    /// Follows the time of a line in place of a timestamp.
    fn follow_line(&mut self, said: Said<'_>, hosts: usize, step: BeliefSpan) {
        let is_near = self.now_ms > 0 && step.has(said.timestamp_ms, self.now_ms);
        if is_near {
            self.now_ms = said.timestamp_ms;
        }
        if is_near || self.take_ahead(said, hosts, step) != TimestampVerdict::SetAside {
            self.set_aside = self.set_aside.saturating_add(1);
        }
    }

    /// Processes a timestamp far ahead of log time.
    fn take_ahead(&mut self, said: Said<'_>, hosts: usize, step: BeliefSpan) -> TimestampVerdict {
        let timestamp = said.timestamp_ms;
        let jump = self.ahead.get_or_insert_with(|| Jump::of(&said));
        let mut belongs = step.has(timestamp, jump.reached_ms);
        jump.has_two_hosts |= belongs && jump.host != said.host || hosts <= 1;
        if belongs {
            jump.reached_ms = jump.reached_ms.max(timestamp);
            // The timestamps of a jump continue like any others; a step back starts the jump again.
            jump.since_ms = jump.since_ms.min(timestamp);
        } else if timestamp < jump.reached_ms {
            let wrong = std::mem::replace(jump, Jump::of(&said));
            self.set_aside = self.set_aside.saturating_add(wrong.records);
            belongs = true;
        } else if jump.has_two_hosts && !jump.is_contradicted {
            // The nearer jump was not contradicted before another one began, as in a fleet that pauses each night.
            self.now_ms = jump.reached_ms;
            self.ahead = Some(Jump::of(&said));
            belongs = true;
        }
        let verdict = self.weigh_ahead(said, hosts, step, belongs);
        match &mut self.ahead {
            Some(jump) if belongs && verdict == TimestampVerdict::SetAside => {
                jump.records = jump.records.saturating_add(1)
            }
            _ if verdict == TimestampVerdict::SetAside => self.set_aside = self.set_aside.saturating_add(1),
            _ => {}
        }
        verdict
    }

    fn weigh_ahead(&mut self, said: Said<'_>, hosts: usize, step: BeliefSpan, belongs: bool) -> TimestampVerdict {
        let now = self.now_ms;
        let Some(jump) = self.ahead.as_mut() else { return TimestampVerdict::SetAside };
        let claim = claim(&said, now);
        if let Some(stated) = claim
            && stated <= now.saturating_add(step.ahead_ms)
        {
            // The host's clock contradicts the jump; log time follows the host as far as a step goes.
            jump.since_ms = said.timestamp_ms;
            jump.is_contradicted = true;
            self.now_ms = now.max(stated);
            return TimestampVerdict::SetAside;
        }
        if let Some(time) = confirmed(claim, &said, hosts, jump) {
            let time = time.max(now);
            self.now_ms = time;
            if step.has(said.timestamp_ms, time) {
                self.ahead = None;
            }
            return TimestampVerdict::Believed;
        }
        if belongs && said.timestamp_ms.saturating_sub(jump.since_ms) >= LASTS_MS {
            self.now_ms = said.timestamp_ms;
            self.ahead = None;
            return TimestampVerdict::Believed;
        }
        TimestampVerdict::SetAside
    }

    /// Processes a timestamp far behind log time. Only lines take log time back: an old timestamp alone proves nothing.
    fn take_behind(&mut self, said: Said<'_>, hosts: usize, step: BeliefSpan) -> TimestampVerdict {
        let claim = claim(&said, self.now_ms);
        let jump = self.behind.get_or_insert_with(|| Jump::of(&said));
        let Some(time) = confirmed(claim, &said, hosts, jump) else {
            jump.records = jump.records.saturating_add(1);
            return TimestampVerdict::SetAside;
        };
        let went_back = time < self.now_ms;
        self.now_ms = time;
        if step.has(said.timestamp_ms, time) {
            self.behind = None;
        }
        // The jump ahead was measured against a wrong log time.
        if let Some(wrong) = self.ahead.take_if(|_| went_back) {
            self.set_aside = self.set_aside.saturating_add(wrong.records);
        }
        if went_back { TimestampVerdict::WentBack } else { TimestampVerdict::Believed }
    }
}

/// The time that lines of two hosts confirm, or the line of the only host.
fn confirmed(claim: Option<i64>, said: &Said<'_>, hosts: usize, jump: &mut Jump) -> Option<i64> {
    let stated = claim?;
    match &jump.claim {
        _ if hosts <= 1 => Some(stated),
        Some((host, first)) if host != said.host => {
            let time = stated.min(*first);
            // The next host can confirm this host's time: the first host may be gone, and would otherwise block log
            // time.
            jump.claim = Some((said.host.to_owned(), stated));
            Some(time)
        }
        _ => {
            jump.claim = Some((said.host.to_owned(), stated));
            None
        }
    }
}

/// The time up to which a record confirms its own timestamp, or its line's time if the timestamp is impossible.
fn claim(said: &Said<'_>, now: i64) -> Option<i64> {
    let stated = said.stated_ms.filter(|stated| POSSIBLE_MS.contains(stated))?;
    let is_possible = POSSIBLE_MS.contains(&said.timestamp_ms);
    if is_possible && stated.abs_diff(said.timestamp_ms) <= AGREE_MS.unsigned_abs() {
        return Some(said.timestamp_ms);
    }
    if is_possible && said.timestamp_ms > now {
        // The line belongs to a backlog, or the timestamp is wrong: the record confirms at most the line's own time.
        return (stated < said.timestamp_ms).then_some(stated);
    }
    (stated > now).then_some(stated)
}

/// The time of one record for its outputs: log time, or, if the timestamp of the record is set aside, the latest time
/// that the line of the record confirms.
#[must_use]
pub(crate) fn time_of(said: Said<'_>, clock: &LogClock) -> i64 {
    claim(&said, clock.now_ms()).map_or(clock.now_ms(), |stated| stated.max(clock.now_ms()))
}

/// Step for records that are only ordered: their timestamps alone decide.
const ORDER_STEP: BeliefSpan = BeliefSpan::both(DAY_MS);

/// The position of a record among those of other partitions: log time by timestamps alone.
pub(crate) fn order_time(clock: &mut LogClock, timestamp_ms: i64) -> i64 {
    if !clock.follow(timestamp_ms, ORDER_STEP) {
        clock.take(Said { timestamp_ms, host: "", stated_ms: None }, 1, ORDER_STEP);
    }
    clock.now_ms()
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_700_000_000_000;
    const HOUR: i64 = 3_600_000;
    const STEP: BeliefSpan = BeliefSpan::both(6 * HOUR);

    /// Each step: minutes after `T` of the timestamp, host, minutes after `T` that the line states; then log time.
    fn check(hosts: usize, steps: &[(i64, &str, Option<i64>, i64)]) -> LogClock {
        let mut clock = LogClock::default();
        for (at, (timestamp, host, stated, expect)) in steps.iter().enumerate() {
            let minutes = |minutes: i64| T + minutes * 60_000;
            let said = Said { timestamp_ms: minutes(*timestamp), host, stated_ms: stated.map(minutes) };
            clock.take(said, hosts, STEP);
            assert_eq!((clock.now_ms() - T) / 60_000, *expect, "step {at} of {steps:?}");
        }
        clock
    }

    const MONTH: i64 = 30 * 24 * 60;

    #[test]
    fn a_step_of_the_clock_for_a_while_is_set_aside() {
        let clock = check(
            30,
            &[
                (0, "a", Some(0), 0),
                (MONTH, "b", Some(1), 1),
                (MONTH, "c", Some(1), 1),
                (MONTH, "d", None, 1),
                (2, "a", Some(2), 2),
            ],
        );
        assert_eq!(clock.set_aside(), 3);
    }

    #[test]
    fn a_wrong_clock_that_goes_on_is_contradicted_by_lines_as_long_as_it_does() {
        let mut steps = vec![(0, "a", Some(0), 0)];
        steps.extend((1..100).map(|minute| (MONTH + minute, "b", Some(minute), minute)));
        check(30, &steps);
    }

    #[test]
    fn a_pause_is_believed_at_the_second_host() {
        check(
            30,
            &[
                (0, "a", Some(0), 0),
                (MONTH, "b", Some(MONTH), 0),
                (MONTH, "b", Some(MONTH), 0),
                (MONTH, "c", Some(MONTH), MONTH),
            ],
        );
        check(1, &[(0, "a", Some(0), 0), (MONTH, "a", Some(MONTH), MONTH)]);
    }

    /// Seen at the beginning of gathered logs: two hosts, hours apart, before all others.
    #[test]
    fn a_host_that_is_gone_holds_log_time_back_no_longer() {
        check(
            30,
            &[
                (0, "a", Some(0), 0),
                (600, "b", Some(600), 0),
                (1000, "c", Some(1000), 600),
                (1001, "d", Some(1001), 1000),
                (1002, "c", Some(1002), 1002),
            ],
        );
    }

    #[test]
    fn a_pause_is_believed_after_ten_minutes_of_nothing_else() {
        check(
            30,
            &[
                (0, "a", Some(0), 0),
                (MONTH, "tick", None, 0),
                (MONTH + 5, "tick", None, 0),
                (MONTH + 10, "tick", None, MONTH + 10),
            ],
        );
    }

    /// The fleet pauses for nine hours at a time, with heartbeats only; an attacker writes far times between them.
    #[test]
    fn far_times_between_the_pauses_of_a_fleet_are_not_believed() {
        let clock = check(
            30,
            &[
                (0, "a", Some(0), 0),
                (540, "a", None, 0),
                (MONTH, "forged", None, 0),
                (-MONTH, "forged", None, 0),
                (541, "b", None, 0),
                (12 * MONTH, "forged", None, 541),
                (1080, "a", None, 541),
                (MONTH, "forged", None, 541),
                (1081, "b", None, 541),
                (1092, "c", None, 1092),
                (1093, "d", Some(1093), 1093),
            ],
        );
        assert_eq!(clock.set_aside(), 4);
    }

    /// A single host writes one far time after another.
    #[test]
    fn far_times_of_one_host_do_not_confirm_each_other() {
        check(
            30,
            &[
                (0, "a", Some(0), 0),
                (MONTH, "forged", None, 0),
                (2 * MONTH, "forged", None, 0),
                (12 * MONTH, "forged", None, 0),
                (1, "a", None, 1),
            ],
        );
    }

    #[test]
    fn a_backlog_takes_log_time_along() {
        // The host's lines of the last five days, each some hours after the other, all appended now.
        check(
            1,
            &[
                (0, "a", Some(0), 0),
                (7200, "a", Some(300), 300),
                (7200, "a", Some(600), 600),
                (7200, "a", Some(3000), 3000),
            ],
        );
    }

    #[test]
    fn a_wrongly_believed_time_is_taken_back() {
        let clock = check(
            30,
            &[(MONTH, "a", None, MONTH), (1, "a", Some(1), MONTH), (2, "b", Some(2), 1), (3, "c", Some(3), 3)],
        );
        assert_eq!(clock.set_aside(), 0);
    }

    #[test]
    fn no_time_outside_this_century_is_ever_believed() {
        let mut clock = LogClock::default();
        for timestamp_ms in [253_402_300_799_000, -11_644_473_600_000, i64::MAX, i64::MIN, 0] {
            for host in ["a", "b", "c"] {
                clock.take(Said { timestamp_ms, host, stated_ms: Some(timestamp_ms) }, 3, STEP);
                assert_eq!(clock.now_ms(), 0);
            }
        }
    }
}
