//! The signals of a small fleet with an outbreak: two days of successes, an hour in which the clients of one server
//! fail at an update, and their repair.
#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::BTreeMap;

use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{
    Attempt, CertificateFact, CertificateFacts, Fact, HostFacts, HostRef, Outcome, RawPosition, Signal, StoreFacts,
    Tick, VERSION,
};

pub(crate) const START: i64 = 1_573_430_400_000;
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const UPDATE: &str = "update:8468427e-6555-e8d9-5360-9cbc1d52a0bb";
pub(crate) const TITLE: &str = "VideoTool <3.2> (KB9990001)";
/// Server of the struck hosts.
pub(crate) const WSUS: &str = "wsus-2.corp.example:8530";
/// A certificate that the healthy hosts trust.
pub(crate) const SHA1: &str = "e6b62c608d1204182112155303a59941656fbd62";
/// A hostile host name.
pub(crate) const HOSTILE: &str = "=cmd|' /C calc'!A0<script>alert(1)</script>\u{202e}\"x";
pub(crate) const FLEET: usize = 40;
pub(crate) const STRICKEN: usize = 8;
/// Number of struck hosts that succeed in the end: all but one.
pub(crate) const REPAIRED: usize = 7;

/// Name of a host by its number; the first name is hostile.
pub(crate) fn name(host: usize) -> String {
    if host == 0 { HOSTILE.to_owned() } else { format!("pc-{host:02}") }
}

/// Time at which a struck host fails, or a healthy host succeeds at the update.
pub(crate) fn failed_at(number: usize) -> i64 {
    START + 50 * HOUR + number as i64 * MINUTE
}

/// When a repaired host succeeds at the update.
pub(crate) fn repaired_at(number: usize) -> i64 {
    START + 52 * HOUR + number as i64 * MINUTE
}

/// Two days of successes, then an hour in which some hosts fail.
pub(crate) fn outbreak() -> Vec<Signal> {
    let mut script = Script::default();
    for number in 0..FLEET {
        script.push(START + number as i64, Fact::HostFacts(facts(number)));
    }
    for number in STRICKEN..FLEET {
        script.push(START + 100 + number as i64, Fact::Certificates(certificates(number)));
    }
    for hour in 1..=48 {
        script.hour(START + hour * HOUR, hour - 1);
    }
    for number in 0..FLEET {
        script.push(failed_at(number), attempt(number, failed_at(number), UPDATE, number < STRICKEN));
    }
    script.tick(START + 51 * HOUR);
    script.signals
}

/// The continuation of [`outbreak`]: the repair of all struck hosts but one, and a quiet day.
pub(crate) fn repair() -> Vec<Signal> {
    let mut script = Script { offset: 1_000_000, ..Script::default() };
    for number in 0..REPAIRED {
        script.push(repaired_at(number), attempt(number, repaired_at(number), UPDATE, false));
    }
    for hour in 53..80 {
        script.hour(START + hour * HOUR, hour);
    }
    script.signals
}

/// Signals in their order, each from a raw record of its own.
#[derive(Default)]
struct Script {
    signals: Vec<Signal>,
    offset: i64,
}

impl Script {
    fn push(&mut self, at: i64, fact: Fact) {
        self.offset += 1;
        let raw = RawPosition { partition: 0, offset: self.offset };
        self.signals.push(Signal { v: VERSION, log_time: at, raw, fact });
    }

    fn tick(&mut self, at: i64) {
        self.push(at, Fact::Tick(Tick { partitions: 1 }));
    }

    /// Every host succeeds at an update of this hour.
    fn hour(&mut self, start: i64, update: i64) {
        for number in 0..FLEET {
            let at = start + number as i64;
            self.push(at, attempt(number, at, &format!("update:{update:032}"), false));
        }
        self.tick(start + MINUTE);
    }
}

fn host(number: usize) -> HostRef {
    HostRef { id: format!("{number:032x}"), name: name(number) }
}

fn attempt(number: usize, at: i64, subject: &str, fails: bool) -> Fact {
    Fact::Attempt(Attempt {
        host: host(number),
        subject: subject.to_owned(),
        outcome: if fails { Outcome::Failure } else { Outcome::Success },
        family: fails.then_some(Family::UntrustedRoot),
        code: fails.then(|| "0x800b0109".to_owned()),
        operation: "install".to_owned(),
        dimensions: BTreeMap::from([("title".to_owned(), TITLE.to_owned())]),
        event_time: at,
        since: at,
        late: false,
    })
}

fn facts(number: usize) -> HostFacts {
    let wsus = if number < STRICKEN { WSUS } else { "wsus-1.corp.example:8530" };
    HostFacts {
        host: host(number),
        dimensions: BTreeMap::from([("wsus".to_owned(), wsus.to_owned())]),
        caught_up: true,
        last_event_time: Some(START),
        ..HostFacts::default()
    }
}

fn certificates(number: usize) -> CertificateFacts {
    let certificate = CertificateFact {
        sha1: SHA1.to_owned(),
        subject: "CN=Example <Publishing>".to_owned(),
        not_after: Some(START + 60 * 24 * HOUR),
        ..CertificateFact::default()
    };
    let store = StoreFacts { name: "TrustedPublisher".to_owned(), complete: true, certificates: vec![certificate] };
    CertificateFacts {
        host: host(number),
        taken: START,
        stores: vec![store],
        accept_trusted_publisher_certs: Some(true),
        ..CertificateFacts::default()
    }
}
