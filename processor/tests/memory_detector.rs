//! The memory budget of the Detector, measured by a counting allocator: with any made-up hosts and names, memory stays
//! within the budget, the hosts of the real fleet keep their place, and their outbreak raises an alert.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod counting;

use std::collections::BTreeMap;

use counting::live_bytes;
use wulog_processor::detect::{Detector, DetectorConfig, DetectorCounts, DetectorLimits};
use wulog_processor::machine::{InRecord, Machine, Output};
use wulog_schemas::alert::Alert;
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{Attempt, Fact, HostFacts, HostRef, Outcome, RawPosition, Signal, Tick, VERSION};

const MIB: usize = 1024 * 1024;
const BUDGET_MIB: usize = 6;
/// Monday, 2019-11-11 00:00 UTC.
const START: i64 = 1_573_430_400_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// The real fleet. Its outbreak is at the hosts of one of its twenty WSUS servers.
const REAL: i64 = 1_000;
const STRICKEN: i64 = REAL / 20;
const UPDATE: &str = "update:8468427e-6555-e8d9-5360-9cbc1d52a0bb";

/// An attack by a principal with the rights of a processor: one signal for each number, between two days of the real
/// fleet.
type Attack = (&'static str, fn(&mut Feed, i64));

const ATTACKS: [Attack; 4] = [
    ("made-up hosts of made-up servers", |feed, number| {
        feed.facts(
            &format!("made-up-{number}"),
            ["server", "site", "ring"].map(|name| (name, long(name, number))).into(),
        );
    }),
    ("made-up hosts that fail at made-up updates of made-up publishers", |feed, number| {
        let signer = [("signer".to_owned(), long("signer", number))].into();
        feed.attempt(&format!("made-up-{number}"), &format!("update:{number:032}"), Some(Family::Expired), signer);
    }),
    ("one host that tries made-up updates of made-up publishers", |feed, number| {
        let family = (number % 2 == 0).then_some(Family::Expired);
        let title = [("title".to_owned(), long("title", number))].into();
        feed.attempt("busy", &format!("update:{number:032}"), family, title);
    }),
    ("made-up servers and updates of hosts of which each fails at many", |feed, number| {
        let host = format!("made-up-{}", number / 40);
        let caller = [("caller".to_owned(), long("caller", number))].into();
        feed.attempt(&host, &format!("server:{}", long("w", number)), Some(Family::Expired), caller);
    }),
];
const ATTACK_SIGNALS: i64 = 30_000;

/// A text of 200 bytes that differs for each number.
fn long(what: &str, number: i64) -> String {
    format!("{what}-{number:0>width$}", width = 199 - what.len())
}

fn config(limits: DetectorLimits) -> DetectorConfig {
    DetectorConfig { limits, ..DetectorConfig::default() }
}

struct Feed {
    detector: Detector,
    before: usize,
    /// The largest memory in use after any signal.
    peak: usize,
    now: i64,
    offset: i64,
    alerts: Vec<Vec<u8>>,
    limits: DetectorLimits,
    /// Number of signals after which a restored snapshot replaces the detector.
    restarted_every: Option<i64>,
    notices: Vec<String>,
}

impl Feed {
    fn new(limits: DetectorLimits, restarted_every: Option<i64>) -> Feed {
        let before = live_bytes();
        let detector = Detector::new(&config(limits), 0, 1);
        let (alerts, notices) = (Vec::new(), Vec::new());
        Feed { detector, before, peak: 0, now: START, offset: 0, alerts, limits, restarted_every, notices }
    }

    fn signal(&mut self, fact: Fact) {
        self.offset += 1;
        let raw = RawPosition { partition: 0, offset: self.offset };
        let value = serde_json::to_vec(&Signal { v: VERSION, log_time: self.now, raw, fact }).unwrap();
        let record = InRecord {
            partition: 0,
            offset: self.offset,
            timestamp_ms: self.now,
            key: b"x",
            header: None,
            value: &value,
        };
        let mut out: Vec<Output> = Vec::new();
        self.detector.apply(&record, &mut out);
        self.alerts.extend(out.into_iter().map(|output| output.value.to_vec()));
        drop(value);
        self.peak = self.peak.max(live_bytes().saturating_sub(self.before));
        self.notices.append(&mut self.detector.take_notices());
        if self.restarted_every.is_some_and(|every| self.offset % every == 0) {
            let weighed = self.detector.bytes();
            let snapshot = self.detector.snapshot();
            self.detector = Detector::restore(&config(self.limits), 0, 1, &snapshot).unwrap();
            assert_eq!(self.detector.bytes(), weighed, "memory is weighed the same after a restart");
        }
    }

    fn facts(&mut self, host: &str, dimensions: BTreeMap<&str, String>) {
        self.signal(Fact::HostFacts(HostFacts {
            host: named(host),
            dimensions: dimensions.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            last_event_time: Some(self.now),
            caught_up: true,
            ..HostFacts::default()
        }));
    }

    fn attempt(&mut self, host: &str, subject: &str, family: Option<Family>, dimensions: BTreeMap<String, String>) {
        self.signal(Fact::Attempt(Attempt {
            host: named(host),
            subject: subject.to_owned(),
            outcome: if family.is_some() { Outcome::Failure } else { Outcome::Success },
            family,
            code: family.map(|_| "0x800b0109".to_owned()),
            operation: "download".to_owned(),
            dimensions,
            event_time: self.now,
            since: self.now,
            late: false,
        }));
    }

    fn tick(&mut self) {
        self.signal(Fact::Tick(Tick { partitions: 1 }));
    }

    /// A day of the real fleet: each host succeeds at an update of that day.
    fn real_day(&mut self, day: i64) {
        for host in 0..REAL {
            self.now = START + day * DAY + host * DAY / REAL;
            if day == 0 {
                let wsus = format!("wsus-{}", host % 20);
                self.facts(&real(host), [("wsus", wsus), ("label.site", format!("site-{}", host % 7))].into());
            }
            self.attempt(&real(host), &format!("update:{day:032}"), None, BTreeMap::new());
            if host % 50 == 0 {
                self.tick();
            }
        }
    }

    /// Half an hour in which all hosts try one update, and those of WSUS server 3 fail at it.
    fn outbreak(&mut self) {
        for host in 0..REAL {
            self.now += 30 * MINUTE / REAL;
            let family = (host % 20 == 3).then_some(Family::UntrustedRoot);
            self.attempt(&real(host), UPDATE, family, BTreeMap::new());
        }
        for _ in 0..3 {
            self.now += 20 * MINUTE;
            self.tick();
        }
    }

    fn whole(attack: &Attack, limits: DetectorLimits, restarted_every: Option<i64>) -> Feed {
        let mut feed = Feed::new(limits, restarted_every);
        (0..3).for_each(|day| feed.real_day(day));
        for number in 0..ATTACK_SIGNALS {
            feed.now = START + 3 * DAY + number * 60 * MINUTE / ATTACK_SIGNALS;
            attack.1(&mut feed, number);
            if number % 1_000 == 0 {
                feed.tick();
            }
        }
        feed.outbreak();
        feed
    }

    fn counts(&self) -> DetectorCounts {
        self.detector.counts()
    }

    /// The last document of the incident of the real fleet.
    #[track_caller]
    fn outbreak_alert(&self) -> Alert {
        let mut newest_first = self.alerts.iter().rev().map(|value| serde_json::from_slice::<Alert>(value).unwrap());
        newest_first.find(|alert| alert.family == Family::UntrustedRoot).expect("the real outbreak is alerted")
    }
}

fn real(host: i64) -> String {
    format!("pc-{host:04}")
}

fn named(host: &str) -> HostRef {
    HostRef { id: host.to_owned(), name: host.to_owned() }
}

#[track_caller]
fn check_outbreak(feed: &Feed, attack: &str) {
    let alert = feed.outbreak_alert();
    let mut names = alert.hosts.names.clone();
    names.sort();
    let expected: Vec<String> = (0..STRICKEN).map(|nth| real(nth * 20 + 3)).collect();
    assert_eq!(names, expected, "{attack}");
    assert_eq!(alert.subjects[0].subject, UPDATE, "{attack}");
    // All other hosts of the fleet succeeded at the update, and their server is still known.
    let factor = alert.common_factors.iter().find(|factor| factor.dimension == "wsus").expect("the server is named");
    assert_eq!((factor.value.as_str(), factor.coverage, factor.in_healthy), ("wsus-3", 1.0, 0.0), "{attack}");
    assert_eq!(alert.contrast.same_subject_succeeded_hosts, (REAL - STRICKEN) as u64, "{attack}");
}

/// All cases are one test, since all threads share the counter.
#[test]
fn memory_stays_within_the_budget_and_real_hosts_keep_their_place() {
    let limits = DetectorLimits { memory_mib_max: BUDGET_MIB, ..DetectorLimits::default() };
    for attack in &ATTACKS {
        let feed = Feed::whole(attack, limits, None);
        let (counts, weighed) = (feed.counts(), feed.detector.bytes() as usize / MIB);
        println!(
            "{}: {} MiB at most, {weighed} MiB weighed at the end, {} hosts and {} strings forgotten, {} known",
            attack.0,
            feed.peak / MIB,
            counts.hosts_forgotten,
            counts.strings_forgotten,
            feed.detector.hosts_known(),
        );
        let alerts: usize = feed.alerts.iter().map(Vec::capacity).sum();
        assert!(feed.peak - alerts <= BUDGET_MIB * MIB, "{}: {} MiB", attack.0, (feed.peak - alerts) / MIB);
        assert!(counts.strings_forgotten > 0, "{}", attack.0);
        check_outbreak(&feed, attack.0);
        let told = feed.notices.iter().any(|notice| notice.contains("memory_mib_max"));
        assert_eq!(told, counts.hosts_forgotten > 0, "{:?}", feed.notices);
        let figure = feed.detector.figures().into_iter().find(|figure| figure.name == "hosts_forgotten").unwrap();
        assert_eq!(figure.value, counts.hosts_forgotten as i64);
    }
    // Restarts change nothing: the signals alone decide which hosts are forgotten.
    let [straight, restarted] = [None, Some(7_001)].map(|every| Feed::whole(&ATTACKS[1], limits, every));
    assert!(straight.counts().hosts_forgotten > 5_000);
    assert!(straight.alerts == restarted.alerts, "the documents differ");
    assert!(straight.detector.snapshot() == restarted.detector.snapshot(), "the states differ");
    drop((straight, restarted));
    // The limits of hosts and strings are kept in the same way.
    for few in [
        DetectorLimits { hosts: 1_500, ..DetectorLimits::default() },
        DetectorLimits { strings: 2_500, ..DetectorLimits::default() },
    ] {
        let feed = Feed::whole(&ATTACKS[1], few, None);
        assert!(feed.detector.hosts_known() <= few.hosts && feed.counts().hosts_forgotten > 5_000, "{few:?}");
        check_outbreak(&feed, "few hosts or strings");
    }
}
