//! Forged hosts: ids that collide, hosts by the hundred, and a host's labels.

use std::time::{Duration, Instant};

use wulog_processor::detect::{Detector, DetectorConfig};
use wulog_processor::machine::{InRecord, Machine, Output};
use wulog_processor::normalize::{HostNamesFile, Normalizer, NormalizerConfig};
use wulog_schemas::alert::Alert;
use wulog_schemas::signal::{Fact, HostFacts, HostRef, RawPosition, Signal};
use wulog_schemas::topic::Topic;

use crate::fleet::{DAY, MINUTE, Raw, START, UPDATE, heartbeat, line, name, outbreak_ms, records};

const HOSTS: u64 = 20_000;

/// Expects that collisions cost at most twenty times as much as other keys; the old tables needed sixty times as long.
fn expect_no_collisions(took: impl Fn(bool) -> Duration) {
    let (usual, chosen) = (took(false), took(true));
    assert!(chosen < usual * 20 + Duration::from_millis(500), "{chosen:?} instead of {usual:?}");
}

#[test]
fn colliding_ids_do_not_slow_the_detector() {
    expect_no_collisions(|chosen| {
        let mut detector = Detector::new(&DetectorConfig::default(), 0, 1);
        let signals: Vec<Vec<u8>> = (0..HOSTS)
            .map(|host| {
                // The old hash was high ^ (low turned by 32 bits), which is 0 for all of these.
                let high = if chosen { host.rotate_left(32) } else { host.wrapping_mul(0x9e37_79b9_7f4a_7c15) };
                let host = HostRef { id: format!("{high:016x}{host:016x}"), name: String::new() };
                let fact = Fact::HostFacts(HostFacts { host, caught_up: true, ..HostFacts::default() });
                let signal = Signal { v: 1, log_time: START, raw: RawPosition::default(), fact };
                serde_json::to_vec(&signal).unwrap()
            })
            .collect();
        let began = Instant::now();
        let mut out = Vec::new();
        for value in &signals {
            let record = InRecord { partition: 0, offset: 0, timestamp_ms: START, key: b"x", header: None, value };
            detector.apply(&record, &mut out);
        }
        assert_eq!(detector.hosts_known(), HOSTS as usize);
        began.elapsed()
    });
}

/// Keys of two words that collide in the Normalizer's old hash, a product with the golden ratio for each word: the
/// second word cancels the first.
fn colliding_keys() -> Vec<[u8; 16]> {
    let mut keys = Vec::new();
    let mut luck = 1_u64;
    while (keys.len() as u64) < HOSTS {
        luck = luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let first = luck & 0x7f7f_7f7f_7f7f_7f7f;
        let hashed = first.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
        let second = hashed ^ 0x0102_0304_0506_0708;
        if second & 0x8080_8080_8080_8080 == 0 {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&first.to_ne_bytes());
            key[8..].copy_from_slice(&second.to_ne_bytes());
            keys.push(key);
        }
    }
    keys
}

#[test]
fn colliding_ids_do_not_slow_the_normalizer() {
    let colliding = colliding_keys();
    expect_no_collisions(|chosen| {
        let mut normalizer = Normalizer::new(&NormalizerConfig::default(), 0, 1);
        let beat = heartbeat("x", START);
        let mut out = Vec::new();
        let began = Instant::now();
        for (number, key) in colliding.iter().enumerate() {
            let other = format!("{number:016}");
            let key: &[u8] = if chosen { key } else { other.as_bytes() };
            let record = InRecord {
                partition: 0,
                offset: 0,
                timestamp_ms: START,
                key,
                header: beat.header.as_deref(),
                value: &beat.value,
            };
            normalizer.apply(&record, &mut out);
            out.clear();
        }
        assert_eq!(normalizer.hosts_known(), HOSTS as usize);
        began.elapsed()
    });
}

/// The outputs and snapshots do not depend on the hash seed of a process; each map here has a seed of its own.
#[test]
fn no_seed_is_observable() {
    let records = records();
    let run = || {
        let mut normalizer = Normalizer::new(&NormalizerConfig::default(), 0, 1);
        let mut out = Vec::new();
        for (record, offset) in records.iter().zip(0..) {
            normalizer.apply(&input(record, offset), &mut out);
        }
        (out, normalizer.snapshot())
    };
    assert!(run() == run());
}

fn input(record: &Raw, offset: i64) -> InRecord<'_> {
    InRecord {
        partition: 0,
        offset,
        timestamp_ms: record.timestamp_ms,
        key: &record.key,
        header: record.header.as_deref(),
        value: &record.value,
    }
}

/// The honest fleet and 500 forged hosts that fail at an update of their own.
fn alerts_with_forged(config: &NormalizerConfig) -> (Vec<Alert>, usize) {
    let mut records = records();
    for host in 0..500_u32 {
        let at = outbreak_ms() - DAY + i64::from(host) * 1_000;
        let forged = format!("forged-{host}");
        records.push(heartbeat(&forged, at));
        let mut failed = line(&forged, 1, at + MINUTE, true);
        failed.value =
            String::from_utf8(failed.value).unwrap().replace(&UPDATE.to_uppercase()[..8], "DEADBEEF").into_bytes();
        records.push(failed);
    }
    records.sort_by_key(|record| record.timestamp_ms);
    let mut normalizer = Normalizer::new(config, 0, 1);
    let mut detector = Detector::new(&DetectorConfig::default(), 0, 1);
    let (mut out, mut alerts) = (Vec::new(), Vec::new());
    for (record, offset) in records.iter().zip(0..) {
        normalizer.apply(&input(record, offset), &mut out);
    }
    // Attempts are documents too; attempts of excluded hosts are not written.
    let is_line = |output: &&Output| {
        output.topic == Topic::Events && !String::from_utf8_lossy(&output.value).contains("windows_update.attempt")
    };
    let events = out.iter().filter(is_line).count();
    for signal in out.iter().filter(|output| output.topic == Topic::Signals) {
        let record = InRecord {
            partition: 0,
            offset: 0,
            timestamp_ms: signal.timestamp_ms,
            key: b"x",
            header: None,
            value: &signal.value,
        };
        detector.apply(&record, &mut alerts);
    }
    let alerts = alerts.iter().map(|output: &Output| serde_json::from_slice(&output.value).unwrap()).collect();
    (alerts, events)
}

fn is_about(alert: &Alert, update: &str) -> bool {
    alert.subjects.iter().any(|count| count.subject.contains(update))
}

#[test]
fn forged_hosts_raise_no_alert_where_an_inventory_or_a_limit_is_set() {
    let (alerts, events) = alerts_with_forged(&NormalizerConfig::default());
    assert!(alerts.iter().any(|alert| is_about(alert, "deadbeef")), "without either they do");

    let folder = tempfile::tempdir().unwrap();
    let names: String = (0..120).map(|host| name(host) + "\n").collect();
    std::fs::write(folder.path().join("hosts.txt"), names).unwrap();
    let inventory = HostNamesFile::from(Some("hosts.txt".into())).read_in(folder.path()).unwrap();
    let listed = NormalizerConfig { inventory, ..NormalizerConfig::default() };
    let limited = NormalizerConfig { new_hosts_per_quarter_hour: Some(20), ..NormalizerConfig::default() };
    for config in [listed, limited] {
        let (alerts, with) = alerts_with_forged(&config);
        let forged = alerts.iter().filter(|alert| is_about(alert, "deadbeef")).map(|alert| alert.hosts.affected).max();
        assert!(forged.unwrap_or(0) <= 40, "{forged:?} forged hosts are told of");
        assert!(alerts.iter().any(|alert| is_about(alert, UPDATE)), "the honest outbreak is");
        assert_eq!(with, events, "every line is an event all the same");
    }
}
