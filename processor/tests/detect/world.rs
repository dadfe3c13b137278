//! A small fleet as signals: hosts with dimensions, scans every 17-22 h, and the failures of a test.

use std::collections::BTreeMap;

use wulog_processor::detect::{Detector, DetectorConfig};
use wulog_processor::machine::{InRecord, Machine, Output};
use wulog_schemas::alert::Alert;
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{
    Attempt, Fact, Failing, HostFacts, HostRef, Outcome, RawPosition, ScanDone, Signal, Tick, VERSION,
};

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
/// Monday, 2019-11-11 00:00 UTC: the week in which S08 began.
pub(crate) const START: i64 = 1_573_430_400_000;
pub(crate) const THIRD_PARTY: &str = "update:8468427e-6555-e8d9-5360-9cbc1d52a0bb";
pub(crate) const MONTHLY: &str = "update:11111111-2222-3333-4444-555555555555";
const PARTITIONS: i32 = 2;

/// SplitMix64: the seed decides the random numbers of a test.
#[derive(Clone)]
pub(crate) struct Luck(pub(crate) u64);

impl Luck {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: i64) -> i64 {
        (self.next() % end.unsigned_abs()) as i64
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64 <= probability
    }
}

pub(crate) struct World {
    pub(crate) hosts: u32,
    pub(crate) signals: Vec<Signal>,
    pub(crate) luck: Luck,
}

pub(crate) fn host(index: u32) -> HostRef {
    HostRef { id: format!("{index:032x}"), name: format!("pc-{index:04}") }
}

pub(crate) fn wsus_of(index: u32) -> u32 {
    index % 4
}

fn dimensions_of(index: u32) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("wsus".to_owned(), format!("wsus{}.corp.example:8530", wsus_of(index))),
        ("os_build".to_owned(), format!("10.0.1904{}", index / 4 % 3)),
        ("client_build".to_owned(), "10.0.19041.1".to_owned()),
        ("label.site".to_owned(), ["hamburg", "lyon", "turin"][(index / 7 % 3) as usize].to_owned()),
    ])
}

impl World {
    pub(crate) fn new(hosts: u32, seed: u64) -> World {
        World { hosts, signals: Vec::new(), luck: Luck(seed) }
    }

    pub(crate) fn push(&mut self, index: u32, log_time: i64, fact: Fact) {
        let partition = (index % PARTITIONS as u32) as i32;
        let raw = RawPosition { partition, offset: self.signals.len() as i64 };
        self.signals.push(Signal { v: VERSION, log_time, raw, fact });
    }

    pub(crate) fn facts(&mut self, index: u32, time: i64, failing: &[(&str, i64)]) {
        let failing = failing
            .iter()
            .map(|(subject, since)| Failing {
                subject: (*subject).to_owned(),
                family: Family::UntrustedRoot,
                code: "0x800b0109".to_owned(),
                since: *since,
            })
            .collect();
        let facts = HostFacts {
            host: host(index),
            dimensions: dimensions_of(index),
            failing,
            last_event_time: Some(time),
            caught_up: true,
            unreadable: None,
        };
        self.push(index, time, Fact::HostFacts(facts));
    }

    pub(crate) fn scan(&mut self, index: u32, time: i64) {
        self.scan_at(index, time, None);
    }

    /// A scan that reached the server of this subject.
    pub(crate) fn scan_at(&mut self, index: u32, time: i64, server: Option<&str>) {
        let (host, subject) = (host(index), server.map(str::to_owned));
        let scan = ScanDone { host, outcome: Outcome::Success, event_time: time, subject };
        self.push(index, time, Fact::ScanDone(scan));
    }

    pub(crate) fn succeed(&mut self, index: u32, time: i64, subject: &str) {
        self.attempt(index, time, subject, None);
    }

    pub(crate) fn fail(&mut self, index: u32, time: i64, subject: &str) {
        self.attempt(index, time, subject, Some((Family::UntrustedRoot, "0x800b0109", time)));
    }

    pub(crate) fn attempt(&mut self, index: u32, time: i64, subject: &str, failed: Option<(Family, &str, i64)>) {
        let attempt = Attempt {
            host: host(index),
            subject: subject.to_owned(),
            outcome: if failed.is_some() { Outcome::Failure } else { Outcome::Success },
            family: failed.map(|(family, _, _)| family),
            code: failed.map(|(_, code, _)| code.to_owned()),
            operation: "download".to_owned(),
            dimensions: BTreeMap::from([("caller".to_owned(), "AutomaticUpdatesWuApp".to_owned())]),
            event_time: time,
            since: failed.map_or(time, |(_, _, since)| since),
            late: false,
        };
        self.push(index, time, Fact::Attempt(attempt));
    }

    /// Lets every host scan every 17-22 h from `from` to `to`; `at_scan` adds further signals at each scan.
    pub(crate) fn live(&mut self, from: i64, to: i64, mut at_scan: impl FnMut(&mut World, u32, i64)) {
        for index in 0..self.hosts {
            let mut time = from + self.luck.below(20 * HOUR);
            self.facts(index, time - MINUTE, &[]);
            while time < to {
                self.scan(index, time);
                at_scan(self, index, time + 2 * MINUTE);
                time += 17 * HOUR + self.luck.below(5 * HOUR);
            }
        }
    }

    /// The signals in log order with the ticks between them, as records.
    pub(crate) fn records(mut self) -> Vec<Vec<u8>> {
        self.signals.sort_by_key(|signal| signal.log_time);
        let mut next_tick = self.signals.first().map_or(START, |signal| signal.log_time);
        let mut records = Vec::new();
        for signal in &self.signals {
            while next_tick <= signal.log_time {
                for partition in 0..PARTITIONS {
                    records.push(tick(partition, next_tick));
                }
                next_tick += 15 * MINUTE;
            }
            records.push(bytes(signal));
        }
        records
    }

    /// Drops every signal of `index` after `time`.
    pub(crate) fn silence(&mut self, index: u32, time: i64) {
        let id = host(index).id;
        self.signals.retain(|signal| {
            let of = match &signal.fact {
                Fact::HostFacts(facts) => &facts.host.id,
                Fact::Attempt(attempt) => &attempt.host.id,
                Fact::ScanDone(scan) => &scan.host.id,
                _ => return true,
            };
            *of != id || signal.log_time <= time
        });
    }

    pub(crate) fn alerts(self) -> Vec<Alert> {
        alerts_with(&DetectorConfig::default(), &self.records())
    }
}

fn tick(partition: i32, time: i64) -> Vec<u8> {
    let raw = RawPosition { partition, offset: time };
    bytes(&Signal { v: VERSION, log_time: time, raw, fact: Fact::Tick(Tick { partitions: PARTITIONS }) })
}

pub(crate) fn bytes(signal: &Signal) -> Vec<u8> {
    serde_json::to_vec(signal).expect("a signal is plain data")
}

pub(crate) fn apply(detector: &mut Detector, value: &[u8], out: &mut Vec<Output>) {
    let record = InRecord { partition: 0, offset: 0, timestamp_ms: 0, key: b"", header: None, value };
    detector.apply(&record, out);
}

pub(crate) fn outputs(config: &DetectorConfig, records: &[Vec<u8>]) -> Vec<Output> {
    let (mut detector, mut out) = (Detector::new(config, 0, 1), Vec::new());
    for value in records {
        apply(&mut detector, value, &mut out);
    }
    out
}

pub(crate) fn alerts_with(config: &DetectorConfig, records: &[Vec<u8>]) -> Vec<Alert> {
    outputs(config, records).iter().map(|output| serde_json::from_slice(&output.value).expect("a document")).collect()
}
