//! The Detector under the shell, on the embedded log: its configuration becomes data, and open incidents survive a loss
//! of state.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use wulog_processor::detect::{Detector, DetectorConfig};
use wulog_processor::log::embedded::{self, EmbeddedConfig, EmbeddedLog};
use wulog_processor::log::{Log, Record, Write};
use wulog_processor::shell::{Shell, ShellConfig};
use wulog_schemas::alert::{Alert, State, Transition, UtcTime};
use wulog_schemas::signal::{Fact, RawPosition, Signal, Tick, VERSION};
use wulog_schemas::topic::Topic;

const DAY: i64 = 24 * 60 * 60 * 1000;
const MINUTE: i64 = 60_000;
/// 2019-11-14 16:00 UTC, after the example's last document.
const NOW: i64 = 1_573_747_200_000;

fn append(config: &EmbeddedConfig, topic: Topic, key: &str, value: Vec<u8>) {
    let mut log = EmbeddedLog::open(config, "test", Topic::Raw).unwrap();
    let (key, value) = (key.into(), Some(value.into()));
    let write = Write { topic, partition: 0, timestamp_ms: NOW, key, header: None, value };
    log.commit(&[write], &BTreeMap::new()).unwrap();
}

fn tick(config: &EmbeddedConfig, log_time: i64) {
    let raw = RawPosition { partition: 0, offset: log_time };
    let signal = Signal { v: VERSION, log_time, raw, fact: Fact::Tick(Tick { partitions: 1 }) };
    append(config, Topic::Signals, "tick/0", serde_json::to_vec(&signal).unwrap());
}

/// The ticks of eleven minutes after a pause: a jump that continues for ten minutes is believed.
fn ticks(config: &EmbeddedConfig, from: i64) {
    (0..=11).for_each(|minute| tick(config, from + minute * MINUTE));
}

fn run(config: &EmbeddedConfig, detector: &DetectorConfig) {
    let log = EmbeddedLog::open(config, "detector", Topic::Signals).unwrap();
    let mut shell: Shell<Detector> = Shell::new(ShellConfig::default(), detector.clone(), Box::new(log));
    let ends = (0..50).filter(|_| shell.step(Duration::ZERO).unwrap().at_end).count();
    assert!(ends > 0, "the end was not reached");
    shell.finish().unwrap();
}

fn read(config: &EmbeddedConfig, topic: Topic) -> Vec<Record> {
    embedded::read(&embedded::open(config).unwrap(), topic, 0, 0, usize::MAX).unwrap()
}

fn config_records(config: &EmbeddedConfig) -> Vec<serde_json::Value> {
    let records = read(config, Topic::Signals).into_iter().filter(|record| record.key == b"config");
    records.map(|record| serde_json::from_slice(&record.value).unwrap()).collect()
}

#[test]
fn a_start_with_another_configuration_is_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let config = EmbeddedConfig::at(&folder.path().join("wulog.db"));
    let first = DetectorConfig::default();
    let second = DetectorConfig { alpha: 1e-6, ..DetectorConfig::default() };
    for (detector, count) in [(&first, 1), (&first, 1), (&second, 2), (&second, 2), (&first, 3)] {
        tick(&config, NOW);
        run(&config, detector);
        let records = config_records(&config);
        assert_eq!(records.len(), count);
        assert_eq!(records.last().unwrap()["provenance"]["config_hash"], detector.hash());
        assert_eq!(records.last().unwrap()["detector"]["alpha"], detector.alpha);
    }
    let later = NOW + DAY;
    ticks(&config, later);
    run(&config, &first);
    assert_eq!(config_records(&config).len(), 4, "and daily, so that a replay finds it");
    let recorded = config_records(&config)[3]["log_time"].as_i64().unwrap();
    assert!((later..=later + 11 * MINUTE).contains(&recorded), "{recorded}");
}

/// State and signals are lost; the newest document of an open incident is the only source.
#[test]
fn an_open_incident_outlives_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let config = EmbeddedConfig::at(&folder.path().join("wulog.db"));
    let detector = DetectorConfig::default();
    tick(&config, NOW);
    run(&config, &detector);
    let examples: Vec<Alert> = serde_json::from_str(include_str!("../../schemas/examples/alert.json")).unwrap();
    let open = examples[0].clone();
    let over = Alert { id: "wu-over".to_owned(), state: State::Resolved, ..open.clone() };
    for document in [Alert { seq: 0, ..over.clone() }, open.clone(), Alert { seq: 2, ..open.clone() }, over] {
        append(&config, Topic::Alerts, &document.id, serde_json::to_vec(&document).unwrap());
    }
    let told = read(&config, Topic::Alerts).len();
    embedded::open(&config).unwrap().execute_batch("DELETE FROM state").unwrap();
    // Fourteen days after its last document no host has newly failed.
    ticks(&config, open.time.updated.0 + 14 * DAY + 1);
    run(&config, &detector);
    let alerts = read(&config, Topic::Alerts);
    assert_eq!(alerts.len(), told + 1, "one document more, of the incident that was open");
    let last: Alert = serde_json::from_slice(&alerts[told].value).unwrap();
    assert_eq!((last.id.as_str(), last.seq, last.transition), (open.id.as_str(), 3, Transition::Expired));
    assert!(last.related.adopted);
    assert_eq!((last.hosts.affected, last.time.onset), (open.hosts.affected, open.time.onset));
    assert_eq!(last.time.opened, UtcTime(open.time.opened.0));
    // With the state in place, no incident is taken over twice.
    ticks(&config, open.time.updated.0 + 15 * DAY);
    run(&config, &detector);
    assert_eq!(read(&config, Topic::Alerts).len(), told + 1);
}
