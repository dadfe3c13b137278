//! The traps of `scenarios/traps.tsv` as plans.
//!
//! Some concern text (T16-T18, T22: local time, hexadecimal, decimal, healthy lines with a code): as signals they are
//! the Normalizer's result for such text. The suite runs them from text too, at small sizes.

use wulog_schemas::hresult::Family;

use super::Scenario;
use super::incidents::{FIFTH, THREE_CODES, on_wsus};
use super::plan::{At, Fault, Plan, onset};
use super::population::{Host, wsus_server};
use super::time::{DAY, HOUR, MINUTE, START};

const DAMAGED: &[(Family, &str)] = &[(Family::Signature, "0x80096010")];

/// The outbreak of most traps: the hosts of one server at a new update.
fn outbreak(seed: u64) -> Fault {
    Fault::new(onset(seed), THREE_CODES, on_wsus(FIFTH)).because("wsus", wsus_server(FIFTH))
}

fn plan(seed: u64) -> Plan {
    Plan { faults: vec![outbreak(seed)], ..Plan::default() }
}

/// A given number of scattered hosts that fail at one update of their own.
fn scattered(at: i64, count: u32, hosts: u32) -> Fault {
    // 7919 is a prime that divides no size of a fleet, so the hosts are scattered.
    let who = move |host: &Host| (u64::from(host.index) * 7919 + 11) % u64::from(hosts) < u64::from(count);
    Fault::new(at, DAMAGED, who).at(At::OwnUpdate)
}

/// One host in a hundred, all on one server, at a new update for all hosts.
fn one_percent(seed: u64) -> Plan {
    let who = |host: &Host| host.wsus == 0 && host.index / 20 % 30 == 7;
    let fault = Fault::new(onset(seed), THREE_CODES, who).because("wsus", wsus_server(0));
    Plan { faults: vec![fault], ..Plan::default() }
}

/// The traps, long runs after them.
#[must_use]
pub(super) fn traps() -> Vec<Scenario> {
    vec![
        Scenario::quiet("T01", |_, _| Plan { looping: 1, ..Plan::default() }),
        Scenario::quiet("T02", |seed, hosts| {
            // Every two minutes; a third host at the same update would make a cluster.
            let fault = scattered(onset(seed), 2, hosts);
            Plan { faults: vec![Fault { retry: Some(2 * MINUTE), ..fault }], ..Plan::default() }
        }),
        Scenario::quiet("T03", |_, _| Plan { chronic_one_in: 5, ..Plan::default() }),
        Scenario::found("T04", |seed, hosts| Plan {
            faults: vec![scattered(onset(seed), 5, hosts)],
            ..Plan::default()
        }),
        Scenario::found("T05", |seed, hosts| {
            // A third of a fleet of 20, and at least half a room in a larger one.
            let count = 6.max(hosts / 200);
            Plan { faults: vec![scattered(onset(seed), count, hosts)], ..Plan::default() }
        }),
        Scenario::found("T06", |_, hosts| {
            // Servers, which are always on; half an hour before midnight.
            let at = START + 9 * DAY - HOUR / 2;
            let who = move |host: &Host| host.system.server && (hosts <= 200 || host.index.is_multiple_of(5));
            let fault = Fault::new(at, DAMAGED, who).because("target_group", "Servers");
            Plan { faults: vec![Fault { retry: Some(HOUR), ..fault }], ..Plan::default() }
        }),
        Scenario::found("T07", |seed, _| plan(seed)),
        Scenario::quiet("T08", |seed, hosts| Plan {
            faults: vec![scattered(onset(seed), 2, hosts)],
            copies: 4,
            ..Plan::default()
        }),
        Scenario::found("T09", |seed, _| {
            let fault = Fault::new(onset(seed), THREE_CODES, on_wsus(0)).because("wsus", wsus_server(0));
            Plan { faults: vec![fault], ..Plan::default() }
        }),
        Scenario::found("T10", |seed, _| Plan { copies: 2, ..plan(seed) }),
        Scenario::quiet("T11", |_, _| Plan { stale: true, ..Plan::default() }),
        Scenario::quiet("T12", |_, _| {
            // From Friday to the Monday after next: all hosts come back within half an hour.
            let (from, until) = (START + 4 * DAY, START + 14 * DAY + 8 * HOUR);
            Plan { away: Some((10, from, until)), noise: 0.002, end: START + 16 * DAY, ..Plan::default() }
        }),
        Scenario::found("T13", |seed, _| Plan { skew: Some((30, 3 * 365 * DAY)), ..plan(seed) }),
        Scenario::found("T14", |seed, _| {
            let fault = outbreak(seed).fixed(onset(seed) + DAY);
            let silent = onset(seed) + 3 * DAY + 12 * HOUR;
            Plan { faults: vec![fault], silent_from: Some(silent), end: silent + 16 * DAY, ..Plan::default() }
        })
        .resolves(),
        Scenario::found("T15", |seed, _| {
            let fault = Fault::new(onset(seed), THREE_CODES, on_wsus(0)).because("wsus", wsus_server(0));
            Plan { faults: vec![fault], ..Plan::default() }
        }),
        Scenario::found("T16", |seed, _| Plan { skew: Some((10, -HOUR)), ..plan(seed) }),
        Scenario::found("T17", |seed, _| plan(seed + 1)),
        Scenario::found("T18", |seed, _| plan(seed + 2)),
        Scenario::found("T19", |seed, _| Plan {
            renamed: Some((10, onset(seed) + DAY)),
            reimaged: Some((10, onset(seed) + DAY)),
            ..plan(seed)
        }),
        Scenario::quiet("T20", |_, _| Plan { noise: 0.001, ..Plan::default() }),
        Scenario::found("T21", |seed, _| {
            let fault = Fault { silent_after: Some(1), ..outbreak(seed) };
            Plan { faults: vec![fault], end: START + 16 * DAY, ..Plan::default() }
        })
        .tells_silence(),
        Scenario::quiet("T22", |_, _| Plan::default()),
        Scenario::found("T23", |seed, _| {
            let second = Fault::new(onset(seed) + 3 * HOUR, THREE_CODES, on_wsus(1)).because("wsus", wsus_server(1));
            let own = |fault: Fault| fault.at(At::OwnUpdate);
            Plan { faults: vec![own(outbreak(seed)), own(second)], ..Plan::default() }
        }),
        Scenario::found("T24", |seed, hosts| Plan {
            forged: Some(((hosts / 100).max(3), onset(seed) + 2 * HOUR)),
            ..plan(seed)
        }),
        Scenario::quiet("T25", |_, _| {
            // An outbreak of a year ago in logs that arrive today: it is over, and no host still fails.
            let fault = Fault::new(START + DAY, THREE_CODES, on_wsus(FIFTH)).fixed(START + 4 * DAY);
            Plan { faults: vec![fault], installed: Some(START + 10 * DAY), end: START + 16 * DAY, ..Plan::default() }
        }),
        Scenario::found("T26", |seed, _| {
            let installed = Some(onset(seed) + 2 * DAY + 12 * HOUR);
            Plan { installed, end: START + 16 * DAY, ..plan(seed) }
        }),
    ]
}

/// Runs that are judged by numbers of their own.
#[must_use]
pub(super) fn long_runs() -> Vec<Scenario> {
    vec![
        Scenario::quiet("Q01", |_, _| Plan { end: START + 30 * DAY, ..Plan::default() }),
        Scenario::found("Q02", |seed, _| Plan { always_on: true, ..one_percent(seed) }),
        Scenario::found("Q03", |seed, _| one_percent(seed)),
    ]
}
