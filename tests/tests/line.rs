//! The whole data path on real parts: the same fleet through Kafka, through SQLite and from its files gives the same
//! alerts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use serde_json::Value;
use wulog_collector::kafka::KafkaSink;
use wulog_processor::log::embedded::{EmbeddedConfig, Records};
use wulog_schemas::topic::Topic;
use wulog_tests::documents::is_attempt;
use wulog_tests::embedded::lived;
use wulog_tests::fleet::{Cause, DAY_MS, Fleet, FleetSpec, HOUR_MS, Layout, Truth};
use wulog_tests::kafka::{self, KafkaTestbed};
use wulog_tests::line::{Incident, incidents, processor};
use wulog_tests::process::Running;
use wulog_tests::rig::Rig;

const HOSTS: usize = 100;
const STEP_MS: i64 = HOUR_MS / 2;

/// A quiet day, a day in which every host of one server fails, and a day without a new failure: then the last document
/// of the incident has the transition `stable`. One zone for all sites, since files alone don't name it.
fn fleet(seed: u64) -> Fleet {
    let mut spec = FleetSpec::new(seed, HOSTS).with_outbreak(1, DAY_MS, Cause::UntrustedRoot);
    spec.layout = Layout::Sites;
    for site in spec.wsus.iter_mut().flat_map(|wsus| &mut wsus.sites) {
        (site.zone, site.utc_minutes) = ("Europe/Berlin".to_owned(), 60);
    }
    Fleet::new(spec)
}

fn end_ms(fleet: &Fleet) -> i64 {
    fleet.spec().start_ms + DAY_MS * 7 / 2
}

/// Compares the incidents with the fleet's own truth.
fn expect_truth(incidents: &[Incident], truth: &Truth) {
    let [incident] = incidents else { panic!("expected one incident, got {incidents:#?}") };
    assert_eq!(incident.family, truth.family.as_str());
    assert!(
        (incident.onset_ms - truth.onset_ms).abs() < 5_000,
        "onset {} is not {}",
        incident.onset_ms,
        truth.onset_ms
    );
    let wsus = truth.wsus.trim_start_matches("http://").to_owned();
    assert_eq!(incident.cause, Some(("wsus".to_owned(), wsus)));
    let known: BTreeSet<String> = truth.hosts.keys().cloned().collect();
    assert_eq!(incident.hosts, known);
}

fn alerts(log: &EmbeddedConfig) -> Vec<Vec<u8>> {
    Records::open(log, Topic::Alerts).unwrap().map(|record| record.unwrap().value).collect()
}

fn as_slices(documents: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    documents.iter().map(Vec::as_slice)
}

/// The fleet through the embedded log, machines and collectors in lockstep.
fn through_sqlite(folder: &Path, seed: u64) -> EmbeddedConfig {
    let fleet = fleet(seed);
    let end_ms = end_ms(&fleet);
    lived(fleet, folder, (end_ms, STEP_MS)).unwrap()
}

/// `DIR/HOST` for every host of the fleet, as admins gather logs.
fn gathered(folder: &Path, fleet: &Fleet) -> PathBuf {
    let gathered = folder.join("gathered");
    for host in fleet.hosts() {
        let log = fleet.log_path(&folder.join("logs"), host);
        std::fs::create_dir_all(gathered.join(&host.name)).unwrap();
        std::fs::copy(&log, gathered.join(&host.name).join("WindowsUpdate.log")).unwrap();
    }
    gathered
}

#[test]
fn sqlite_and_files_give_the_same_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let log = through_sqlite(folder.path(), 11);
    let live = alerts(&log);
    let fleet = fleet(11);
    expect_truth(&incidents(as_slices(&live)), fleet.truth().unwrap());

    let db = log.path.to_str().unwrap();
    let again = processor(&["replay", "--db", db, "--stage", "signals", "--alerts-out", "-"]);
    assert!(again == live, "from signals the documents are byte-identical");

    let from_raw = processor(&["replay", "--db", db, "--alerts-out", "-"]);
    assert_eq!(incidents(as_slices(&from_raw)), incidents(as_slices(&live)));

    let gathered = gathered(folder.path(), &fleet);
    let arguments =
        ["replay", "--logs", gathered.to_str().unwrap(), "--time-zone", "Europe/Berlin", "--alerts-out", "-"];
    assert_eq!(incidents(as_slices(&processor(&arguments))), incidents(as_slices(&live)));
}

/// Every log is gathered twice, and one file a third time under another case: the incident and its id stay the same.
#[test]
fn files_gathered_twice_give_the_same_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = fleet(13);
    let end_ms = end_ms(&fleet);
    fleet.write_until(&folder.path().join("logs"), end_ms).unwrap();
    let gathered = gathered(folder.path(), &fleet);
    let arguments =
        ["replay", "--logs", gathered.to_str().unwrap(), "--time-zone", "Europe/Berlin", "--alerts-out", "-"];
    let once = processor(&arguments);
    for host in fleet.hosts() {
        let log = gathered.join(&host.name).join("WindowsUpdate.log");
        std::fs::copy(&log, log.with_file_name("WindowsUpdate (2).log")).unwrap();
    }
    let upper = gathered.join(fleet.hosts().next().unwrap().name.to_uppercase());
    std::fs::create_dir(&upper).unwrap();
    let first = gathered.join(&fleet.hosts().next().unwrap().name).join("WindowsUpdate.log");
    std::fs::copy(first, upper.join("windowsupdate.LOG")).unwrap();
    let twice = processor(&arguments);
    let ids = |documents: &[Vec<u8>]| -> BTreeSet<(String, u64)> {
        let read = |document: &Vec<u8>| serde_json::from_slice::<Value>(document).unwrap();
        let id =
            |alert: Value| (alert["id"].as_str().unwrap().to_owned(), alert["hosts"]["affected"].as_u64().unwrap());
        documents.iter().map(read).map(id).collect()
    };
    assert_eq!(ids(&twice), ids(&once), "the same documents, as far as ids and hosts go");
    assert_eq!(incidents(as_slices(&twice)), incidents(as_slices(&once)));
    expect_truth(&incidents(as_slices(&twice)), fleet.truth().unwrap());
}

/// A tenant of the testbed: a configuration file and its topics.
fn tenant(broker: &KafkaTestbed, folder: &Path, prefix: &str) -> PathBuf {
    let path = folder.join("processor.toml");
    let mut file = std::fs::File::create(&path).unwrap();
    write!(
        file,
        "topic_prefix = \"{prefix}\"\ninstance = \"one\"\n\
         [kafka]\n\"bootstrap.servers\" = \"{}\"\n\"session.timeout.ms\" = 6000\n\
         [topics]\nsimulated = true\n\
         [processor]\ntick_after_idle_secs = 0\nbatch_records_max = 500\nsnapshot_after_records = 700\n",
        broker.bootstrap()
    )
    .unwrap();
    drop(file);
    processor(&["topics", "create", "--config", path.to_str().unwrap()]);
    processor(&["topics", "check", "--config", path.to_str().unwrap()]);
    path
}

fn values(broker: &KafkaTestbed, topic: &str) -> Vec<Vec<u8>> {
    broker.read_topic(topic).into_iter().map(|record| record.value.unwrap()).collect()
}

#[test]
fn kafka_gives_the_same_alerts_over_kill_9() {
    let name = "kafka_gives_the_same_alerts_over_kill_9";
    let Some(broker) = kafka::or_skip(name, kafka::shared()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let prefix = kafka::unique_prefix("line");
    let config = tenant(broker, folder.path(), &prefix);
    let [raw, events, signals, alerts_topic] =
        [Topic::Raw, Topic::Events, Topic::Signals, Topic::Alerts].map(|topic| topic.name(&prefix));

    // The fleet ships while the processor is killed again and again.
    let fleet = fleet(12);
    let (truth, end_ms) = (fleet.truth().unwrap().clone(), end_ms(&fleet));
    let properties = [("bootstrap.servers", broker.bootstrap()), ("linger.ms", "2")];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut rig = Rig::new(fleet, folder.path(), Arc::new(AtomicI64::new(0)), |_| {
        Ok(Box::new(KafkaSink::new(&properties, &prefix)?))
    })
    .unwrap();
    let mut lines = 0;
    let start = || Running::start("wulog-processor", &["run", "--config", config.to_str().unwrap()]);
    let mut running = start();
    let mut seen_at_kill = Vec::new();
    let mut steps = 0;
    while rig.fleet().now_ms() < end_ms {
        lines += rig.step(rig.fleet().now_ms() + STEP_MS).unwrap();
        steps += 1;
        if steps % 16 == 0 {
            // The kill waits until the processor is in the middle of its work.
            let before = seen_at_kill.last().copied().unwrap_or(0);
            seen_at_kill.push(grown(broker, &events, before));
            running.kill9();
            running = start();
        }
    }
    rig.finish().unwrap();
    let shipped = broker.read_topic(&raw);
    let shipped_lines = shipped.iter().filter(|record| is_line(&record.headers)).count() as u64;
    assert_eq!(shipped_lines, lines, "each line is shipped once");
    let in_the_middle = seen_at_kill.iter().filter(|seen| **seen > 0 && **seen < lines).count();
    assert!(in_the_middle >= 3, "no kill came in the middle: {seen_at_kill:?} of {lines}");

    // Every line is one event, none twice.
    let all = settled(broker, &events, lines);
    let of_lines: Vec<&Vec<u8>> = all.iter().filter(|event| !is_attempt(event)).collect();
    let positions: BTreeSet<(i64, i64)> = of_lines.iter().map(|event| raw_position(event)).collect();
    assert_eq!((of_lines.len() as u64, positions.len() as u64), (lines, lines));
    settled_alerts(broker, &signals, &alerts_topic, &config);
    // Attempts that waited for their outcome come after the last line.
    let all = values(broker, &events);
    drop(running);

    // A processor that was never killed writes the same bytes as the killed one.
    let config = config.to_str().unwrap();
    let out = folder.path().join("events.jsonl");
    let from_raw =
        processor(&["replay", "--config", config, "--events-out", out.to_str().unwrap(), "--alerts-out", "-"]);
    let replayed: BTreeSet<String> = std::fs::read_to_string(&out).unwrap().lines().map(str::to_owned).collect();
    let live: BTreeSet<String> = all.into_iter().map(|event| String::from_utf8(event).unwrap()).collect();
    assert!(replayed == live, "events differ from those of a processor that was never killed");
    let live = values(broker, &alerts_topic);
    assert_eq!(incidents(as_slices(&from_raw)), incidents(as_slices(&live)));
    let from_signals = processor(&["replay", "--config", config, "--stage", "signals", "--alerts-out", "-"]);
    assert!(from_signals == live, "from signals the documents are byte-identical");
    expect_truth(&incidents(as_slices(&live)), &truth);

    // The same fleet without Kafka gives the same alerts.
    let without = tempfile::tempdir().unwrap();
    let embedded = alerts(&through_sqlite(without.path(), 12));
    assert_eq!(incidents(as_slices(&embedded)), incidents(as_slices(&live)));
}

fn is_line(headers: &[(String, Vec<u8>)]) -> bool {
    let header: Value = serde_json::from_slice(&headers[0].1).unwrap();
    header.get("kind").is_none()
}

fn raw_position(event: &[u8]) -> (i64, i64) {
    let event: Value = serde_json::from_slice(event).unwrap();
    let raw = &event["wu"]["raw"];
    (raw["partition"].as_i64().unwrap(), raw["offset"].as_i64().unwrap())
}

/// Waits until a topic holds more than `before` records; returns their number.
fn grown(broker: &KafkaTestbed, topic: &str, before: u64) -> u64 {
    let began = Instant::now();
    loop {
        let count = broker.read_topic(topic).len() as u64;
        if count > before {
            return count;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{topic} stays at {count}");
    }
}

/// Waits until a topic of events holds the events of `count` lines; returns all its values.
fn settled(broker: &KafkaTestbed, topic: &str, count: u64) -> Vec<Vec<u8>> {
    let began = Instant::now();
    loop {
        let values = values(broker, topic);
        let lines = values.iter().filter(|event| !is_attempt(event)).count() as u64;
        if lines >= count {
            return values;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{topic} has {lines} of {count} lines");
    }
}

/// Waits until the alerts are those that the signals give.
fn settled_alerts(broker: &KafkaTestbed, signals: &str, alerts: &str, config: &Path) {
    let began = Instant::now();
    loop {
        let before = broker.read_topic(signals).len();
        let arguments = ["replay", "--config", config.to_str().unwrap(), "--stage", "signals", "--alerts-out", "-"];
        let wanted = processor(&arguments).len();
        let there = values(broker, alerts).len();
        if there >= wanted && broker.read_topic(signals).len() == before {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{alerts} has {there} of {wanted}");
    }
}
