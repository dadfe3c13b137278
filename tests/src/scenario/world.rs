//! A fleet lives through a plan, and the actions of its hosts go to a sink: signals, or log lines.

use std::collections::BTreeMap;

use wulog_processor::machine::InRecord;
use wulog_schemas::host::HostId;
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::HostRef;

use super::life::{Doing, Life, Subject, What, one_in};
use super::plan::Plan;
use super::population::{Host, hosts};
use super::queue::Queue;
use super::time::{DAY, HOUR, MINUTE, START};
use crate::fleet::random::Random;

/// Partitions of the raw topic.
pub(super) const PARTITIONS: i32 = 4;
/// How often ticks come.
const TICK: i64 = 5 * MINUTE;

/// Makes records of the actions of hosts.
pub(super) trait Sink {
    /// The host's collector has shipped all earlier lines.
    fn host_begins(&mut self, host: &Host, reference: HostRef, arrives: i64);
    /// Processes an action of a host.
    fn take(&mut self, host: &Host, reference: HostRef, doing: &Doing);
    /// Feeds every record that arrived before `time`, then a tick of that time.
    fn tick(&mut self, time: i64, feed: &mut dyn FnMut(&InRecord<'_>));
}

/// The real faults: for each fault the struck hosts, with the event time of their first failure.
pub(super) type Struck = Vec<BTreeMap<String, i64>>;

/// A failed attempt, as the simple rules count it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    /// Time at which the log received it.
    pub arrives: i64,
    /// Its host.
    pub host: u32,
}

/// Lives through `plan` and returns the real faults, and every failed attempt.
pub(super) fn live(
    seed: u64,
    count: u32,
    plan: &Plan,
    sink: &mut dyn Sink,
    feed: &mut dyn FnMut(&InRecord<'_>),
) -> (Struck, Vec<Failure>) {
    let hosts = hosts(seed, count, plan.always_on);
    let mut lives: Vec<Life> = hosts.iter().map(|host| Life::new(seed, host, plan, count)).collect();
    let mut wakes = Queue::new();
    for (host, life) in hosts.iter().zip(&mut lives) {
        wakes.push(life.first_wake(host), host.index);
    }
    remember(&hosts, &lives, plan, sink);
    let mut begins = begins(seed, plan, &hosts);
    forge(plan, &hosts, sink);
    let (mut failures, mut doings, mut next_tick) = (Vec::new(), Vec::new(), START + TICK);
    let end = plan.silent_from.unwrap_or(i64::MAX).min(plan.end);
    while let Some((now, index)) = wakes.pop_until(end) {
        while next_tick <= now {
            sink.tick(next_tick, feed);
            next_tick += TICK;
        }
        let host = &hosts[index as usize];
        while let Some((at, begun)) = begins.pop_until(now + 1) {
            let host = &hosts[begun as usize];
            sink.host_begins(host, reference(host, plan, at), at);
        }
        let next = lives[index as usize].wake(host, plan, now, &mut doings);
        for mut doing in doings.drain(..) {
            crooked(plan, host, &mut doing);
            if let What::Attempt { failed: Some(_), .. } = doing.what {
                failures.push(Failure { arrives: doing.arrives, host: index });
            }
            sink.take(host, reference(host, plan, doing.arrives), &doing);
        }
        if let Some(next) = next {
            wakes.push(next.max(now + MINUTE), index);
        }
    }
    while next_tick <= plan.end {
        sink.tick(next_tick, feed);
        next_tick += TICK;
    }
    failures.sort_by_key(|failure| failure.arrives);
    failures.retain(|failure| failure.arrives < plan.end && plan.installed.is_none_or(|at| failure.arrives >= at));
    (struck(&hosts, &lives, plan), failures)
}

/// Adds the failures of chronic hosts, which began long before the run.
fn remember(hosts: &[Host], lives: &[Life], plan: &Plan, sink: &mut dyn Sink) {
    for (host, _) in hosts.iter().zip(lives).filter(|(_, life)| life.is_chronic()) {
        let failed = Some((Family::UntrustedRoot, "0x800b0109"));
        let what = What::Attempt { subject: Subject::Update(0), failed, again: false };
        let doing = Doing { time: START - 20 * DAY, arrives: START, what };
        sink.take(host, reference(host, plan, START), &doing);
    }
}

/// The time at which each host has caught up: at its beginning, or when wulog is installed.
fn begins(seed: u64, plan: &Plan, hosts: &[Host]) -> Queue<u32> {
    let mut begins = Queue::new();
    for host in hosts {
        let mut random = Random::stream(seed, "installed", u64::from(host.index));
        let at = match plan.installed {
            Some(at) => at + random.within(0..HOUR / 2),
            None => START + random.within(0..MINUTE),
        };
        begins.push(at, host.index);
    }
    begins
}

/// Makes an action late, or gives it a wrong time.
fn crooked(plan: &Plan, host: &Host, doing: &mut Doing) {
    if let Some((share, from, until)) = plan.away
        && one_in(share, host.index, 1)
        && (from..until).contains(&doing.arrives)
    {
        doing.arrives = until + i64::from(host.index % 30) * MINUTE;
    }
    if let Some((share, by)) = plan.skew
        && one_in(share, host.index, 2)
    {
        // The Normalizer uses log time for a time ahead of it.
        doing.time = (doing.time + by).min(doing.arrives);
    }
}

fn reference(host: &Host, plan: &Plan, at: i64) -> HostRef {
    let mut reference = HostRef { id: host.id.clone(), name: host.name.clone() };
    if let Some((share, from)) = plan.renamed
        && at >= from
        && one_in(share, host.index, 3)
    {
        reference.name = format!("new-{}", host.name);
    }
    if let Some((share, from)) = plan.reimaged
        && at >= from
        && one_in(share, host.index, 4)
    {
        reference.id = HostId::of_gathered(&format!("reimaged {}", host.name)).as_str().to_owned();
    }
    reference
}

/// Writes records of hosts that do not exist, as an attacker would.
fn forge(plan: &Plan, hosts: &[Host], sink: &mut dyn Sink) {
    let Some((count, at)) = plan.forged else { return };
    for number in 0..count {
        let name = format!("forged-{number:05}");
        let reference = HostRef { id: HostId::of_gathered(&name).as_str().to_owned(), name };
        let time = at + i64::from(number) * HOUR / i64::from(count.max(1));
        let failed = Some((Family::Signature, "0x800b0100"));
        let what = What::Attempt { subject: Subject::Update(901), failed, again: true };
        sink.take(&hosts[0], reference, &Doing { time, arrives: time, what });
    }
}

fn struck(hosts: &[Host], lives: &[Life], plan: &Plan) -> Struck {
    let of_fault = |number: usize| {
        let hosts = hosts.iter().zip(lives).filter(|(_, life)| !life.is_chronic());
        hosts.filter_map(|(host, life)| Some((host.name.clone(), life.struck[number]?))).collect()
    };
    (0..plan.faults.len()).map(of_fault).collect()
}
