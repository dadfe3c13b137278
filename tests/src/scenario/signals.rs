//! Actions -> the signals that the Normalizer would make of them: facts on change and daily, the first attempt per
//! host, subject and outcome in 24 h and every change of outcome, scans, ticks.

use std::collections::BTreeMap;

use wulog_processor::machine::InRecord;
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{
    Attempt, Fact, Failing, HostFacts, HostRef, Outcome, RawPosition, ScanDone, Signal, Tick, VERSION,
};

use super::life::{Doing, Subject, What};
use super::plan::Plan;
use super::population::Host;
use super::queue::Queue;
use super::time::{DAY, HOUR, MINUTE};
use super::world::{PARTITIONS, Sink};

/// Maximum number of remembered subjects of a host; the Normalizer remembers more, but no host here tries so many in a
/// week.
const SUBJECTS_MAX: usize = 24;

#[derive(Default)]
struct Known {
    subjects: Vec<State>,
    facts_sent: Option<i64>,
    last_event: i64,
    live: bool,
    /// Its id, if it differs from the id at the beginning.
    other_id: Option<String>,
}

struct State {
    subject: Subject,
    failed: Option<(Family, &'static str)>,
    since: i64,
    last: i64,
    sent: Option<i64>,
}

/// Makes signals.
pub(super) struct Signals<'a> {
    plan: &'a Plan,
    known: Vec<Known>,
    texts: BTreeMap<Subject, String>,
    queue: Queue<Signal>,
    next_offset: i64,
    /// Signals fed so far.
    fed: i64,
}

impl<'a> Signals<'a> {
    pub(super) fn new(plan: &'a Plan, hosts: usize) -> Signals<'a> {
        Signals {
            plan,
            known: (0..hosts).map(|_| Known::default()).collect(),
            texts: BTreeMap::new(),
            queue: Queue::new(),
            next_offset: 0,
            fed: 0,
        }
    }

    fn push(&mut self, host: u32, arrives: i64, fact: Fact) {
        for _ in 0..self.plan.copies {
            let partition = i32::try_from(host).expect("a small number") % PARTITIONS;
            let raw = RawPosition { partition, offset: self.next_offset };
            self.next_offset += 1;
            self.queue.push(arrives, Signal { v: VERSION, log_time: arrives, raw, fact: fact.clone() });
        }
    }

    fn text(&mut self, subject: Subject) -> String {
        self.texts.entry(subject).or_insert_with(|| subject.text()).clone()
    }

    fn facts(&mut self, host: &Host, reference: HostRef, arrives: i64) {
        let failing: Vec<(Subject, (Family, &str), i64)> = self.known[host.index as usize]
            .subjects
            .iter()
            .filter_map(|state| state.failed.map(|failed| (state.subject, failed, state.since)))
            .collect();
        let failing = failing
            .into_iter()
            .map(|(subject, (family, code), since)| Failing {
                subject: self.text(subject),
                family,
                code: code.to_owned(),
                since,
            })
            .collect();
        let known = &mut self.known[host.index as usize];
        known.facts_sent = Some(arrives);
        known.live = true;
        let last_event_time = Some(known.last_event).filter(|time| *time > 0);
        let facts = HostFacts {
            host: reference,
            dimensions: host.dimensions(),
            failing,
            last_event_time,
            caught_up: true,
            unreadable: None,
        };
        self.push(host.index, arrives, Fact::HostFacts(facts));
    }

    fn attempt(&mut self, host: &Host, reference: HostRef, doing: &Doing) {
        let What::Attempt { subject, failed, again } = doing.what else { return };
        let known = &mut self.known[host.index as usize];
        let place = known.subjects.iter().position(|state| state.subject == subject);
        let before = place.map(|place| &known.subjects[place]);
        if again {
            // Known lines do not count twice, except after a file was regenerated.
            let since = before.filter(|state| state.failed.is_some()).map_or(doing.time, |state| state.since);
            let fact = self.fact(reference, doing, since.min(doing.time));
            self.push(host.index, doing.arrives, fact);
            return;
        }
        let changed = before.is_none_or(|state| state.failed.is_some() != failed.is_some());
        let since = match before {
            Some(state) if !changed && failed.is_some() => state.since.min(doing.time),
            _ => doing.time,
        };
        let sent = before.filter(|_| !changed).and_then(|state| state.sent);
        let send = known.live && sent.is_none_or(|sent| doing.time >= sent + DAY);
        let was_failing = before.is_some_and(|state| state.failed.is_some());
        let last = before.map_or(doing.time, |state| state.last.max(doing.time));
        let state = State { subject, failed, since, last, sent: if send { Some(doing.time) } else { sent } };
        match place {
            Some(place) => known.subjects[place] = state,
            None => known.subjects.push(state),
        }
        if known.subjects.len() > SUBJECTS_MAX {
            let oldest = known.subjects.iter().enumerate().min_by_key(|(_, state)| state.last).map_or(0, |(at, _)| at);
            known.subjects.remove(oldest);
        }
        let live = known.live;
        if send {
            let fact = self.fact(reference.clone(), doing, since);
            self.push(host.index, doing.arrives, fact);
        }
        if live && changed && (was_failing || failed.is_some()) {
            self.facts(host, reference, doing.arrives + MINUTE);
        }
    }

    fn fact(&mut self, host: HostRef, doing: &Doing, since: i64) -> Fact {
        let What::Attempt { subject, failed, .. } = doing.what else { unreachable!("asked for attempts only") };
        let (operation, caller) = match subject {
            Subject::Server(_) => ("scan", None),
            _ => ("download", Some("AutomaticUpdatesWuApp")),
        };
        Fact::Attempt(Attempt {
            host,
            subject: self.text(subject),
            outcome: if failed.is_some() { Outcome::Failure } else { Outcome::Success },
            family: failed.map(|(family, _)| family),
            code: failed.map(|(_, code)| code.to_owned()),
            operation: operation.to_owned(),
            dimensions: caller.map(|caller| ("caller".to_owned(), caller.to_owned())).into_iter().collect(),
            event_time: doing.time,
            since,
            late: doing.time < doing.arrives - DAY,
        })
    }
}

impl Sink for Signals<'_> {
    fn host_begins(&mut self, host: &Host, reference: HostRef, arrives: i64) {
        self.facts(host, reference, arrives);
    }

    fn take(&mut self, host: &Host, reference: HostRef, doing: &Doing) {
        let known = &mut self.known[host.index as usize];
        known.last_event = known.last_event.max(doing.time);
        let again = matches!(doing.what, What::Attempt { again: true, .. });
        if !again && reference.id != host.id && known.other_id.as_ref() != Some(&reference.id) {
            *known = Known { other_id: Some(reference.id.clone()), ..Known::default() };
            self.facts(host, reference.clone(), doing.arrives);
        }
        let known = &self.known[host.index as usize];
        let due = known.live && known.facts_sent.is_some_and(|sent| doing.arrives >= sent + 23 * HOUR);
        if due {
            self.facts(host, reference.clone(), doing.arrives);
        }
        match doing.what {
            What::Scan { ok } => {
                if self.known[host.index as usize].live {
                    let outcome = if ok { Outcome::Success } else { Outcome::Failure };
                    let scan = ScanDone { host: reference, outcome, event_time: doing.time, subject: None };
                    self.push(host.index, doing.arrives, Fact::ScanDone(scan));
                }
            }
            What::Attempt { .. } => self.attempt(host, reference, doing),
        }
    }

    fn tick(&mut self, time: i64, feed: &mut dyn FnMut(&InRecord<'_>)) {
        while let Some((_, signal)) = self.queue.pop_until(time) {
            self.feed(&signal, feed);
        }
        for partition in 0..PARTITIONS {
            let raw = RawPosition { partition, offset: self.next_offset };
            self.next_offset += 1;
            let fact = Fact::Tick(Tick { partitions: PARTITIONS });
            self.feed(&Signal { v: VERSION, log_time: time, raw, fact }, feed);
        }
    }
}

impl Signals<'_> {
    fn feed(&mut self, signal: &Signal, feed: &mut dyn FnMut(&InRecord<'_>)) {
        let value = serde_json::to_vec(signal).expect("a signal is plain data");
        let (offset, timestamp_ms) = (self.fed, signal.log_time);
        self.fed += 1;
        feed(&InRecord { partition: 0, offset, timestamp_ms, key: b"", header: None, value: &value });
    }
}
