//! The status pages of two processors on Kafka: each shows all incidents; one of them has the Detector and answers
//! about hosts, the other one names it; after a takeover the roles have changed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use wulog_schemas::alert::{Level, Transition};
use wulog_tests::alerts::document;
use wulog_tests::kafka::{self, KafkaTestbed, or_skip, unique_prefix};
use wulog_tests::process::{Running, eventually, run};

const LIMIT: Duration = Duration::from_secs(120);

/// A processor with a status page.
struct Site {
    instance: &'static str,
    port: u16,
    running: Running,
}

impl Site {
    fn start(broker: &KafkaTestbed, folder: &Path, prefix: &str, instance: &'static str) -> Site {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.join(format!("{instance}.toml"));
        let text = format!(
            "topic_prefix = '{prefix}'\ninstance = '{instance}'\n[topics]\nraw_partitions = 2\n\
             [kafka]\n'bootstrap.servers' = '{}'\n'session.timeout.ms' = 6000\n[http]\nlisten = '127.0.0.1:{port}'\n",
            broker.bootstrap(),
        );
        std::fs::write(&config, text).unwrap();
        let config = config.to_str().unwrap();
        if instance == "one" {
            run("wulog-processor", &["topics", "create", "--config", config]).expect_success();
        }
        Site { instance, port, running: Running::start("wulog-processor", &["run", "--config", config]) }
    }

    /// An answer of the API; `None` while there is none.
    fn ask(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    fn incidents(&self) -> u64 {
        self.ask("/api/v1/incidents").and_then(|answer| answer["total"].as_u64()).unwrap_or(0)
    }

    /// Whether this processor answers about hosts.
    fn has_detector(&self) -> bool {
        self.ask("/api/v1/status").is_some_and(|status| status["fleet"].is_object())
    }
}

#[test]
fn each_processor_shows_all_incidents_and_names_the_one_that_knows_hosts() {
    let name = "each_processor_shows_all_incidents_and_names_the_one_that_knows_hosts";
    let Some(broker) = or_skip(name, kafka::shared()) else { return };
    let (prefix, folder) = (unique_prefix("status"), tempfile::tempdir().unwrap());
    let one = Site::start(broker, folder.path(), &prefix, "one");
    eventually("the first processor", LIMIT, || one.has_detector());
    let two = Site::start(broker, folder.path(), &prefix, "two");

    let producer: BaseProducer = broker.client_config().create().unwrap();
    for number in [1, 2] {
        let alert = document(number, 1, Transition::Opened, Level::High);
        let (topic, value) = (format!("{prefix}.alerts"), serde_json::to_vec(&alert).unwrap());
        producer.send(BaseRecord::to(&topic).partition(0).key(&alert.id).payload(&value)).map_err(|e| e.0).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    eventually("both incidents in both", LIMIT, || [&one, &two].iter().all(|site| site.incidents() == 2));

    let mut roles = None;
    eventually("one that knows hosts, and one that names it", LIMIT, || {
        let (has, lacks) = if one.has_detector() { (&one, &two) } else { (&two, &one) };
        let why = lacks.ask("/api/v1/hosts").map(|answer| answer["error"].to_string()).unwrap_or_default();
        roles = Some(has.instance);
        has.has_detector() && why.contains(&format!("{:?}", has.instance).replace('"', "\\\""))
    });
    // Both name the owner of every partition, the one of the Detector among them.
    for site in [&one, &two] {
        eventually("all owners", LIMIT, || {
            let pipeline = site.ask("/api/v1/pipeline").unwrap_or_default();
            let partitions = pipeline["pipeline"]["partitions"].as_array().cloned().unwrap_or_default();
            let detector = partitions.iter().find(|known| known["machine"] == "detector");
            partitions.len() == 3
                && partitions.iter().all(|known| known["owner"].is_string())
                && detector.is_some_and(|known| known["owner"].as_str() == roles)
        });
    }

    let (gone, left) = if roles == Some("one") { (one, two) } else { (two, one) };
    gone.running.kill9();
    eventually("the other takes over", LIMIT, || left.has_detector());
    assert_eq!(left.incidents(), 2);
    left.running.terminate_within(Duration::from_secs(60)).expect_success();
}
