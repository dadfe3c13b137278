//! Signals -> facts of hosts, and the decision whether a failure makes its host a newly failing one.

use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{FactRef, FailingRef, HostRefRef, NOT_OFFERED, Outcome, RawPosition};

use super::Detector;
use super::budget::ONSET_BYTES;
use super::durations::{DAY_MS, secs_to_ms};
use super::fleet::{HostIndex, Novelty};
use super::incident::Recovery;
use super::onset::Onset;
use super::strings::StringId;
use crate::machine::Output;

/// An event time further ahead of log time than this is a wrong clock; it is clamped (the Normalizer does it too).
const AHEAD_MAX_MS: i64 = 5 * 60 * 1000;

/// A failure of a host, before the decision whether it makes its host a newly failing one.
struct CountedFailure {
    host: HostIndex,
    subject: StringId,
    family: Family,
    code: StringId,
    since: i64,
    time: i64,
    operation: StringId,
    raw: RawPosition,
}

/// How a failure arrives, which decides at what time it counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrival {
    /// The failure is current: it counts at the event time of its first failure, or, if this is more than a day ago, at
    /// log time and as late.
    Live,
    /// The host is still being caught up with: the failure counts at the event time of its first failure, however old.
    History,
    /// The failure is late and its host was away: the failure counts once the host's facts say that it still fails.
    Away,
}

impl Detector {
    /// Takes a fact about a host.
    pub(super) fn host_fact(&mut self, fact: &FactRef<'_>, log_time: i64, raw: RawPosition, out: &mut Vec<Output>) {
        let (FactRef::HostFacts { host, .. } | FactRef::Attempt { host, .. } | FactRef::ScanDone { host, .. }) = fact
        else {
            return;
        };
        self.stay_in_budget(host.id);
        let Some(host) = self.known(*host) else {
            self.state.counts.beyond_limits += 1;
            return;
        };
        let before = self.state.fleet.hosts[host as usize].bytes();
        match fact {
            FactRef::HostFacts { dimensions, failing, last_event_time, caught_up, unreadable, .. } => {
                self.state.fleet.set_dimensions(host, dimensions, &self.config.limits);
                // Lines that say nothing of Windows Update are no activity; otherwise such a host would count as
                // healthy.
                self.state.fleet.hosts[host as usize].unreadable = unreadable.is_some();
                if let Some(time) = last_event_time.filter(|_| unreadable.is_none()) {
                    self.state.fleet.mark_active(host, time.min(log_time + AHEAD_MAX_MS));
                }
                self.caught_up(host, *caught_up, failing, log_time, raw, out);
            }
            FactRef::ScanDone { outcome, event_time, subject, .. } => {
                let time = (*event_time).min(log_time + AHEAD_MAX_MS);
                self.state.fleet.mark_active(host, time);
                if let (Outcome::Success, Some(server)) = (outcome, subject) {
                    let server = self.state.fleet.string(server, &self.config.limits);
                    self.state.fleet.hosts[host as usize].scan(server, time);
                }
            }
            _ => self.attempt(host, fact, log_time, raw, out),
        }
        self.state.fleet.weigh_again(host, before);
    }

    fn known(&mut self, host: HostRefRef<'_>) -> Option<HostIndex> {
        self.state.fleet.host(host, self.state.log_time, &self.config.limits)
    }

    /// Takes the backlog and the failures that facts of a host state. The failures count once everything that the host
    /// had is shipped.
    fn caught_up(
        &mut self,
        host: HostIndex,
        caught_up: bool,
        failing: &[FailingRef<'_>],
        log_time: i64,
        raw: RawPosition,
        out: &mut Vec<Output>,
    ) {
        let limits = self.config.limits;
        let before = self.state.fleet.hosts[host as usize].caught_up.replace(caught_up);
        // The Detector's log time, which other hosts confirm: otherwise one host with a wrong clock could announce a
        // backlog of the future.
        let now = self.state.log_time;
        match (before, caught_up) {
            (Some(false), true) => self.state.backlog.caught_up(now),
            (None | Some(true), false) => self.state.backlog.fell_behind(now),
            _ => {}
        }
        if !caught_up {
            return;
        }
        if before != Some(true) {
            self.state.fleet.activity.mark_caught_up(log_time);
        }
        for failing in failing.iter().take(limits.failing_per_host) {
            let since = failing.since.min(log_time + AHEAD_MAX_MS);
            let failure = CountedFailure {
                host,
                subject: self.state.fleet.string(failing.subject, &limits),
                family: failing.family,
                code: self.state.fleet.string(failing.code, &limits),
                operation: 0,
                since,
                time: since,
                raw,
            };
            self.failure(&failure, log_time, Arrival::Live, out);
        }
    }

    fn attempt(&mut self, host: HostIndex, fact: &FactRef<'_>, log_time: i64, raw: RawPosition, out: &mut Vec<Output>) {
        let FactRef::Attempt { subject, outcome, family, code, operation, dimensions, event_time, since, late, .. } =
            fact
        else {
            return;
        };
        let limits = self.config.limits;
        let time = (*event_time).min(log_time + AHEAD_MAX_MS);
        self.state.fleet.mark_active(host, time);
        self.state.fleet.add_operation(host, dimensions, &limits);
        let subject = self.state.fleet.string(subject, &limits);
        if self.state.fleet.hosts[host as usize].is_first_since(subject, time - DAY_MS) {
            self.state.fleet.activity.mark_attempt(time);
            self.state.fleet.attempts.mark(subject, time, *outcome == Outcome::Success);
            if *late && self.state.fleet.hosts[host as usize].caught_up == Some(true) {
                self.state.fleet.activity.mark_late_attempt(log_time);
            }
        }
        match (outcome, family) {
            (Outcome::Success, _) => {
                let is_withdrawn = dimensions.contains(&NOT_OFFERED);
                if !is_withdrawn && !self.state.fleet.hosts[host as usize].succeeded().any(|known| known == subject) {
                    self.state.fleet.attempts.succeeded_first(subject);
                }
                let incidents = &self.state.incidents;
                let is_told_of = |subject| {
                    incidents.all().any(|incident| incident.is_open() && incident.subjects.contains_key(&subject))
                };
                if self.state.fleet.hosts[host as usize].succeed(subject, time, &limits, is_told_of) {
                    let why = if is_withdrawn { Recovery::Withdrawal } else { Recovery::Success };
                    for incident in self.state.incidents.all_mut() {
                        incident.recover(host, why, &self.state.fleet);
                    }
                }
            }
            (Outcome::Failure, Some(family)) => {
                let code = self.state.fleet.string(code.unwrap_or("unknown"), &limits);
                let operation = self.state.fleet.string(operation, &limits);
                self.state.fleet.name_subject(subject, dimensions, &limits);
                let since = (*since).min(time);
                let failure = CountedFailure { host, subject, family: *family, code, operation, since, time, raw };
                let arrival = match self.state.fleet.hosts[host as usize].caught_up {
                    Some(false) => Arrival::History,
                    _ if *late => Arrival::Away,
                    _ => Arrival::Live,
                };
                self.failure(&failure, log_time, arrival, out);
            }
            // A failure without a family is no failure of certificate trust.
            (Outcome::Failure, None) => {}
        }
    }

    /// Notes a failure and decides whether its host counts as newly failing.
    fn failure(&mut self, failure: &CountedFailure, log_time: i64, arrival: Arrival, out: &mut Vec<Output>) {
        let CountedFailure { host: index, subject, family, since, .. } = *failure;
        let horizon = secs_to_ms(self.config.horizon_secs);
        let host = &mut self.state.fleet.hosts[index as usize];
        let had_succeeded = host.succeeded().any(|known| known == subject);
        let is_first = !host.failing().iter().any(|failing| failing.subject == subject);
        let Some(place) = host.fail(subject, family, since, failure.time, &self.config.limits) else {
            return;
        };
        if had_succeeded && is_first {
            self.state.fleet.attempts.failed_after_success(subject);
        }
        if arrival == Arrival::Away || host.failing_at(place).novelty != Novelty::Waiting {
            return;
        }
        // A member of an open incident that had recovered and fails again is no new host.
        let relapsed = self.state.incidents.all_mut().any(|incident| incident.relapse(index, family, subject));
        let since = host.failing_at(place).since;
        let elsewhere = host.fails_elsewhere(subject, family, log_time - horizon);
        let chronic = since < log_time - horizon || elsewhere == Some(Novelty::Chronic);
        host.failing_at(place).novelty = if chronic { Novelty::Chronic } else { Novelty::Counted };
        if chronic || relapsed || elsewhere.is_some() {
            return;
        }
        let late = arrival == Arrival::Live && since < log_time - DAY_MS;
        let time = if late { log_time } else { since };
        if let Some(counted) = host.last_counted(family).filter(|at| (time - at).abs() < DAY_MS) {
            // The host counted within a day, had recovered and fails again. If its onset belongs to no incident yet, it
            // is judged again, at the same time and with the new subject.
            let loose = self.state.onsets.get_mut(&family).and_then(|onsets| onsets.take_one(counted, index));
            if let Some(onset) = loose {
                self.newly_failing(Onset { subject, ..onset }, family, out);
            }
            return;
        }
        host.set_counted(family, time);
        self.state.bytes_beside += ONSET_BYTES;
        let onset = Onset {
            host: index,
            subject,
            family,
            code: failure.code,
            operation: failure.operation,
            time,
            since,
            raw: failure.raw,
            late,
        };
        self.newly_failing(onset, family, out);
    }
}
