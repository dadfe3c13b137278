//! The service from its installation to its removal, with librdkafka's own mock broker. One test, since a machine has one
//! service of this name.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};
use wulog_collector::checkpoint::{self, CheckpointStore};

const PATIENCE: Duration = Duration::from_secs(30);
/// The grace of a stop is 10 s; what the commands and Windows add is not much.
const STOP_MAX: Duration = Duration::from_secs(15);
const SERVICE_KEY: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\wulog-collector";
const SOURCE_KEY: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application\wulog-collector";

/// Runs `wulog-collector service ...`, expects an exit code and words in what it says.
#[track_caller]
fn service(arguments: &[&str], code: i32, says: &str) {
    let ended = Command::new(env!("CARGO_BIN_EXE_wulog-collector")).arg("service").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    assert_eq!(ended.status.code(), Some(code), "{arguments:?} says {said}");
    assert!(said.contains(says), "{arguments:?} says {said}");
}

fn registry(key: &str, value: &str) -> Option<String> {
    let ended = Command::new("reg").args(["query", key, "/v", value]).output().unwrap();
    ended.status.success().then(|| String::from_utf8_lossy(&ended.stdout).into_owned())
}

fn write_config(dir: &Path, brokers: &str) -> String {
    let (config, dir) = (dir.join("collector.toml"), dir.display());
    let text = format!(
        "state_dir = '{dir}\\state'\n[kafka]\n'bootstrap.servers' = '{brokers}'\n[[input]]\npaths = ['{dir}\\*.log']\n"
    );
    fs::write(&config, text).unwrap();
    config.display().to_string()
}

/// The lines of the topic once there are `count`.
fn consumed(brokers: &str, count: usize) -> Vec<String> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", "test").create().unwrap();
    let mut place = TopicPartitionList::new();
    place.add_partition_offset("wulog.raw", 0, Offset::Beginning).unwrap();
    consumer.assign(&place).unwrap();
    let (begun, mut lines) = (Instant::now(), Vec::new());
    while lines.len() < count && begun.elapsed() < PATIENCE {
        if let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) {
            let value = String::from_utf8(record.payload().unwrap_or_default().to_vec()).unwrap();
            // Heartbeats are JSON.
            lines.extend(Some(value).filter(|value| !value.starts_with('{')));
        }
    }
    lines
}

/// Up to where the one file is acknowledged.
fn acknowledged(dir: &Path) -> u64 {
    checkpoint::read(&dir.join("state")).1.first().map_or(0, |entry| entry.cursor.logical)
}

#[test]
fn a_service_is_installed_started_stopped_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, log) = (dir.path(), dir.path().join("WindowsUpdate.log"));
    let cluster: MockCluster<'static, DefaultProducerContext> = MockCluster::new(1).unwrap();
    cluster.create_topic("wulog.raw", 1, 1).unwrap();
    let brokers = cluster.bootstrap_servers();

    service(&["start"], 1, "service install");
    service(&["install", "--config", &dir.join("none.toml").display().to_string()], 2, "none.toml");
    let config = write_config(dir, &brokers);
    service(&["run", "--config", &config], 1, "only Windows starts this");
    service(&["install", "--config", &config], 0, "is installed");
    service(&["install", "--config", &config], 1, "is installed already");
    let image = registry(SERVICE_KEY, "ImagePath").unwrap();
    assert!(image.contains(" service run --config ") && image.contains(&config), "{image}");
    assert!(registry(SERVICE_KEY, "Start").unwrap().contains("0x2"), "starts with Windows");
    assert!(registry(SOURCE_KEY, "EventMessageFile").unwrap().contains("wulog-collector.exe"));
    assert!(registry(SOURCE_KEY, "TypesSupported").unwrap().contains("0x7"));

    // It does not start while something stands in its way, and the command says so.
    fs::create_dir(dir.join("state")).unwrap();
    let (in_use, _) = CheckpointStore::open(&dir.join("state")).unwrap();
    service(&["start"], 1, "the Event Log says why");
    drop(in_use);

    fs::write(&log, "a\r\nb\r\n").unwrap();
    service(&["start"], 0, "runs");
    service(&["start"], 0, "runs");
    assert_eq!(consumed(&brokers, 2), ["a", "b"]);
    fs::write(&log, "a\r\nb\r\nc\r\n").unwrap();
    assert_eq!(consumed(&brokers, 3), ["a", "b", "c"]);
    service(&["stop"], 0, "is stopped");
    service(&["stop"], 0, "is stopped");
    // Three lines of one letter and an ending.
    assert_eq!(acknowledged(dir), 6);

    // What was written while it stood still is shipped by the next start; what was shipped is not shipped again.
    fs::write(&log, "a\r\nb\r\nc\r\nd\r\n").unwrap();
    service(&["start"], 0, "runs");
    assert_eq!(consumed(&brokers, 4), ["a", "b", "c", "d"]);
    service(&["stop"], 0, "is stopped");

    // With the broker away a stop ends within the grace, and nothing counts as shipped.
    write_config(dir, "127.0.0.1:1");
    fs::write(&log, "a\r\nb\r\nc\r\nd\r\ne\r\n").unwrap();
    service(&["start"], 0, "runs");
    std::thread::sleep(Duration::from_secs(1));
    let begun = Instant::now();
    service(&["uninstall"], 0, "is removed");
    assert!(begun.elapsed() < STOP_MAX, "{:?}", begun.elapsed());
    assert_eq!(acknowledged(dir), 8);
    assert_eq!(registry(SERVICE_KEY, "ImagePath"), None);
    assert_eq!(registry(SOURCE_KEY, "EventMessageFile"), None);
}
