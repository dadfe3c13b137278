//! Both binaries on a real Kafka, with topics as in production: files in, one alert out, over a kill of the collector; and a
//! stop while Kafka is away.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use wulog_schemas::alert::Alert;
use wulog_schemas::topic::Topic;
use wulog_tests::documents::{expect_same, expect_valid, is_attempt, originals, schema, written};
use wulog_tests::kafka::{self, KafkaTestbed, TopicRecord};
use wulog_tests::line::binary;
use wulog_tests::process::{self, Running, STOP_LIMIT, eventually};

const LIMIT: Duration = Duration::from_secs(60);

const HOSTS: [&str; 4] = ["pc-1", "pc-2", "pc-3", "srv-4"];

/// A folder of gathered logs, both configurations, and their topics.
struct Bench {
    folder: tempfile::TempDir,
    prefix: String,
}

impl Bench {
    fn new(broker: &KafkaTestbed, prefix: &str) -> Bench {
        let bench = Bench { folder: tempfile::tempdir().unwrap(), prefix: prefix.to_owned() };
        let kafka = format!("[kafka]\n'bootstrap.servers' = '{}'\n", broker.bootstrap());
        let processor = format!(
            "topic_prefix = '{prefix}'\ninstance = 'one'\n[processor]\ntick_after_idle_secs = 1\n\
             [detector.limits]\nnames_in_alert = 2\n\
             [topics]\nraw_partitions = 4\n{kafka}'session.timeout.ms' = 6000\n"
        );
        let collector = format!(
            "topic_prefix = '{prefix}'\nstate_dir = '{}'\n{kafka}\
             [[input]]\npaths = ['{}/*/*.log']\ntime_zone = 'UTC'\nlabels = {{ site = 'ber' }}\n\
             host_pattern = '(?P<host>[^/]+)/[^/]+$'\n",
            bench.folder.path().join("state").display(),
            bench.logs().display(),
        );
        std::fs::write(bench.config("processor"), processor).unwrap();
        std::fs::write(bench.config("collector"), collector).unwrap();
        for host in HOSTS {
            std::fs::create_dir_all(bench.logs().join(host)).unwrap();
        }
        let config = bench.config("processor");
        let create = [Path::new("topics"), Path::new("create"), Path::new("--config"), &config];
        process::run("wulog-processor", &create).expect_success();
        bench
    }

    fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    fn config(&self, name: &str) -> PathBuf {
        self.folder.path().join(name).with_extension("toml")
    }

    fn start(&self, name: &str) -> Running {
        Running::start(&format!("wulog-{name}"), &[Path::new("run"), Path::new("--config"), &self.config(name)])
    }

    fn topic(&self, topic: Topic) -> String {
        topic.name(&self.prefix)
    }

    fn append(&self, host: &str, lines: &[String]) {
        let path = self.logs().join(host).join("WindowsUpdate.log");
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(lines.concat().as_bytes()).unwrap();
    }

    fn until_all_are_events(&self, broker: &KafkaTestbed) {
        let lines: usize = written(&self.logs()).values().map(Vec::len).sum();
        let topic = self.topic(Topic::Events);
        eventually("an event for each line", LIMIT, || {
            let events = broker.read_topic(&topic);
            events.iter().filter(|event| !is_attempt(value(event))).count() >= lines
        });
    }
}

/// A line of Windows 7: date TAB time TAB pid TAB tid TAB component TAB message.
fn line(at: DateTime<Utc>, component: &str, message: &str) -> String {
    format!("{}\t1132\t1a4\t{component}\t{message}\r\n", at.format("%Y-%m-%d\t%H:%M:%S:%3f"))
}

fn scan(at: DateTime<Utc>) -> Vec<String> {
    vec![
        line(at, "Agent", "*************"),
        line(at, "Agent", "** START **  Agent: Finding updates [CallerId = AutomaticUpdates]"),
        line(at, "Agent", "  * WSUS server: http://wsus-ber.corp.example:8530"),
        line(
            at,
            "Agent",
            "  * Found 1 updates and 61 categories in search; evaluated appl. rules of 914 out of 1384 deployed entities",
        ),
        line(at, "Agent", "** END **  Agent: Finding updates [CallerId = AutomaticUpdates]"),
    ]
}

/// A download that ends with 0x800b0109, without any doubt.
fn failure(at: DateTime<Utc>) -> Vec<String> {
    let path = "C:\\Windows\\SoftwareDistribution\\Download\\3c\\agent.cab";
    let report = format!(
        "REPORT EVENT: {{8D311782-E9DB-1E2A-563A-883AFD4A63DD}}\t{}+0000\t1\t161\t101\t{{8468427E-6555-E8D9-5360-9CBC1D52A0BB}}\t1\t\
         800b0109\tAutomaticUpdatesWuApp\tFailure\tContent Download\tError: Download failed.",
        at.format("%Y-%m-%d %H:%M:%S:%3f"),
    );
    vec![
        line(at, "Misc", &format!("Validating signature for {path}:")),
        line(at, "Misc", &format!("WARNING: Error: 0x800b0109 when verifying trust for {path}")),
        line(at, "Misc", &format!("WARNING: Digital Signatures on file {path} are not trusted: Error 0x800b0109")),
        line(at, "DnldMgr", "WARNING: File failed postprocessing, error = 800b0109"),
        line(at, "Report", &report),
    ]
}

#[test]
fn files_in_one_alert_out() {
    let name = "files_in_one_alert_out";
    let Some(broker) = kafka::or_skip(name, kafka::shared()) else { return };
    let bench = Bench::new(broker, &kafka::unique_prefix("binaries"));

    // All four hosts scan, and have caught up.
    let now = Utc::now();
    HOSTS.iter().for_each(|host| bench.append(host, &scan(now - TimeDelta::minutes(10))));
    let processor = bench.start("processor");
    let collector = bench.start("collector");
    bench.until_all_are_events(broker);

    // The collector is killed between lines that are written while it runs, and those that it finds.
    bench.append(HOSTS[0], &failure(now));
    bench.until_all_are_events(broker);
    // Killed while lines arrive: the lines of its last second are in Kafka and not in its checkpoint, so they are sent
    // again.
    let mut collector = collector;
    for _ in 0..2 {
        for _ in 0..60 {
            bench.append(HOSTS[3], &scan(now));
            std::thread::sleep(Duration::from_millis(25));
        }
        collector.kill9();
        collector = bench.start("collector");
    }
    bench.append(HOSTS[1], &failure(now + TimeDelta::seconds(2)));
    bench.until_all_are_events(broker);
    bench.append(HOSTS[2], &failure(now + TimeDelta::seconds(4)));
    bench.until_all_are_events(broker);
    let alerts_topic = bench.topic(Topic::Alerts);
    eventually("an alert", LIMIT, || !broker.read_topic(&alerts_topic).is_empty());

    for running in [collector, processor] {
        running.terminate().expect_success();
    }
    expect_one_alert(&bench, &broker.read_topic(&alerts_topic));
    let events = broker.read_topic(&bench.topic(Topic::Events));
    expect_same(&originals(events.iter().map(value)), &written(&bench.logs()));
    expect_all_valid(&bench, broker);
}

/// The detector's snapshot and the signals before its offset are gone: only the alerts show the open incidents.
#[test]
fn an_open_incident_outlives_the_state_that_knew_of_it() {
    let name = "an_open_incident_outlives_the_state_that_knew_of_it";
    let Some(broker) = kafka::or_skip(name, kafka::shared()) else { return };
    let bench = Bench::new(broker, &kafka::unique_prefix("outlives"));
    let now = Utc::now();
    HOSTS.iter().for_each(|host| bench.append(host, &scan(now - TimeDelta::minutes(10))));
    let (collector, processor) = (bench.start("collector"), bench.start("processor"));
    bench.until_all_are_events(broker);
    HOSTS[..3].iter().for_each(|host| bench.append(host, &failure(now)));
    let alerts_topic = bench.topic(Topic::Alerts);
    eventually("an alert", LIMIT, || !broker.read_topic(&alerts_topic).is_empty());
    // A kill leaves no snapshot.
    processor.kill9();
    let signals = bench.topic(Topic::Signals);
    broker.delete_before_committed(&format!("{}-detector", bench.prefix), &signals);

    let processor = bench.start("processor");
    bench.append(HOSTS[3], &failure(now + TimeDelta::seconds(4)));
    bench.until_all_are_events(broker);
    eventually("the incident is taken over", LIMIT, || processor.stderr().contains("taken over from alerts"));
    let alerts = broker.read_topic(&alerts_topic);
    let ids: BTreeSet<&[u8]> = alerts.iter().map(|record| record.key.as_slice()).collect();
    let [id] = Vec::from_iter(ids)[..] else { panic!("one incident, not {alerts:?}") };
    let said = processor.stderr();
    assert!(said.contains(&*String::from_utf8_lossy(id)), "{said}");
    for running in [collector, processor] {
        running.terminate().expect_success();
    }
}

#[test]
fn both_stop_while_kafka_is_away_and_go_on_when_it_is_back() {
    let name = "both_stop_while_kafka_is_away_and_go_on_when_it_is_back";
    let Some(mut broker) = kafka::or_skip(name, KafkaTestbed::start()) else { return };
    let bench = Bench::new(&broker, "away");
    let now = Utc::now();
    HOSTS.iter().for_each(|host| bench.append(host, &scan(now)));
    let (collector, processor) = (bench.start("collector"), bench.start("processor"));
    bench.until_all_are_events(&broker);
    // In the middle of their work.
    for round in 1..=40 {
        HOSTS.iter().for_each(|host| bench.append(host, &scan(now + TimeDelta::seconds(round))));
        std::thread::sleep(Duration::from_millis(25));
    }
    broker.kill9();
    std::thread::sleep(Duration::from_secs(2));
    for running in [collector, processor] {
        running.terminate_within(STOP_LIMIT).expect_success();
    }
    broker.restart();
    let (collector, processor) = (bench.start("collector"), bench.start("processor"));
    bench.until_all_are_events(&broker);
    for running in [collector, processor] {
        running.terminate().expect_success();
    }
    let mut events = broker.read_topic(&bench.topic(Topic::Events));
    if broker.forgot_a_transaction() {
        // The batch may then be there twice, with the same ids, by which a SIEM recognizes duplicates.
        let mut ids = BTreeSet::new();
        events.retain(|event| ids.insert(event_id(value(event))));
    }
    expect_same(&originals(events.iter().map(value)), &written(&bench.logs()));
}

fn event_id(event: &[u8]) -> String {
    let event: Value = serde_json::from_slice(event).unwrap();
    event["event"]["id"].as_str().unwrap().to_owned()
}

fn value(record: &TopicRecord) -> &[u8] {
    record.value.as_deref().unwrap_or_default()
}

fn expect_one_alert(bench: &Bench, records: &[TopicRecord]) {
    let [record] = records else { panic!("expected one alert, got {}", records.len()) };
    let alert: Alert = serde_json::from_slice(value(record)).unwrap();
    assert_eq!(record.key, alert.id.as_bytes());
    assert_eq!((alert.family.as_str(), alert.hosts.affected), ("untrusted_root", 3));
    assert_eq!(
        (alert.hosts.names.len(), alert.hosts.names_complete),
        (2, false),
        "as many as the configuration allows"
    );

    // The command that the alert gives for all names, as an operator types it beside the configuration.
    let command = alert.hosts.full_list.as_deref().unwrap();
    let (program, arguments) = command.split_once(' ').unwrap();
    let arguments = arguments.split(' ');
    let listed = Command::new(binary(program)).args(arguments).current_dir(bench.folder.path()).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let listed: Alert = serde_json::from_str(listed.lines().last().expect(command)).unwrap();
    assert_eq!((&listed.id, listed.hosts.names_complete), (&alert.id, true));
    let mut names = listed.hosts.names;
    names.sort();
    assert_eq!(names, &HOSTS[..3]);
}

/// Every header, heartbeat, event, signal and alert follows the published schemas.
fn expect_all_valid(bench: &Bench, broker: &KafkaTestbed) {
    for (topic, name) in [(Topic::Events, "event"), (Topic::Signals, "signal"), (Topic::Alerts, "alert")] {
        let (schema, records) = (schema(name), broker.read_topic(&bench.topic(topic)));
        assert!(!records.is_empty(), "no {name}");
        records.iter().for_each(|record| expect_valid(&schema, value(record)));
    }
    let (raw, heartbeat) = (schema("raw"), schema("heartbeat"));
    let mut heartbeats = 0;
    for record in broker.read_topic(&bench.topic(Topic::Raw)) {
        let [(name, header)] = record.headers.as_slice() else { panic!("one header, not {:?}", record.headers) };
        assert_eq!(name, "wulog");
        expect_valid(&raw, header);
        let header: Value = serde_json::from_slice(header).unwrap();
        if header["kind"] == "heartbeat" {
            expect_valid(&heartbeat, value(&record));
            heartbeats += 1;
        }
    }
    assert!(heartbeats >= HOSTS.len(), "{heartbeats} heartbeats");
}
