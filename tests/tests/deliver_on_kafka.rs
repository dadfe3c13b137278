//! A channel on Kafka with two processors: one of them delivers, the other takes over when it dies, and nothing is lost,
//! though the endpoint answers badly and processors are killed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use wulog_schemas::alert::{Alert, Level, Transition};
use wulog_tests::alerts::document;
use wulog_tests::kafka::{self, KafkaTestbed, or_skip, unique_prefix};
use wulog_tests::process::{Running, eventually, run};
use wulog_tests::receiver::{Answer, Receiver};

const LIMIT: Duration = Duration::from_secs(120);

/// A tenant with one channel.
struct Site<'a> {
    broker: &'a KafkaTestbed,
    prefix: String,
    folder: tempfile::TempDir,
}

impl<'a> Site<'a> {
    fn new(broker: &'a KafkaTestbed, receiver: &Receiver) -> Site<'a> {
        let (prefix, folder) = (unique_prefix("channel"), tempfile::tempdir().unwrap());
        for instance in ["one", "two"] {
            let config = format!(
                "topic_prefix = '{prefix}'\ninstance = '{instance}'\n[topics]\nraw_partitions = 1\n\
                 [kafka]\n'bootstrap.servers' = '{}'\n'session.timeout.ms' = 6000\n\
                 [[channels]]\nname = 'hook'\nkind = 'webhook'\nurl = '{}'\ntimeout_secs = 1\n",
                broker.bootstrap(),
                receiver.url()
            );
            std::fs::write(folder.path().join(format!("{instance}.toml")), config).unwrap();
        }
        let site = Site { broker, prefix, folder };
        site.command(&["topics", "create"]);
        site
    }

    fn config(&self, instance: &str) -> PathBuf {
        self.folder.path().join(format!("{instance}.toml"))
    }

    fn command(&self, words: &[&str]) -> String {
        let config = self.config("one").display().to_string();
        let ended = run("wulog-processor", &[words, &["--config", &config]].concat());
        ended.expect_success();
        ended.stdout
    }

    fn start(&self, instance: &str) -> Running {
        let config = self.config(instance);
        let words: [&Path; 3] = ["run".as_ref(), "--config".as_ref(), &config];
        Running::start("wulog-processor", &words)
    }

    fn append(&self, alerts: &[Alert]) {
        let producer: BaseProducer = self.broker.client_config().create().unwrap();
        let topic = format!("{}.alerts", self.prefix);
        for alert in alerts {
            let value = serde_json::to_vec(alert).unwrap();
            producer.send(BaseRecord::to(&topic).partition(0).key(&alert.id).payload(&value)).map_err(|e| e.0).unwrap();
        }
        producer.flush(LIMIT).unwrap();
    }
}

/// The keys that the endpoint accepted, without duplicates, in the order of their first arrival.
fn taken(receiver: &Receiver) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let requests = receiver.requests().into_iter().filter(|request| request.taken);
    let keys = requests.map(|request| request.header("idempotency-key").to_owned());
    keys.filter(|key| seen.insert(key.clone())).collect()
}

#[test]
fn one_of_two_processors_delivers_and_the_other_takes_over() {
    let Some(broker) = or_skip("one_of_two_processors_delivers_and_the_other_takes_over", kafka::shared()) else {
        return;
    };
    let asked = AtomicU32::new(0);
    let receiver = Receiver::start(move |request| {
        if request.header("idempotency-key").ends_with("/3") {
            return Answer::Status(422, "");
        }
        match asked.fetch_add(1, Ordering::Relaxed) % 5 {
            1 => Answer::Status(503, ""),
            3 => Answer::HalfClose,
            _ => Answer::Status(200, ""),
        }
    });
    let site = Site::new(broker, &receiver);
    let mut written = Vec::new();
    let mut append = |seqs: std::ops::RangeInclusive<u32>| {
        let of = |seq: u32| {
            let transition = if seq == 1 { Transition::Opened } else { Transition::Growing };
            [1, 2].map(|number| document(number, seq, transition, Level::Medium))
        };
        let alerts: Vec<Alert> = seqs.flat_map(of).collect();
        written.extend(alerts.iter().filter(|alert| alert.seq != 3).map(|alert| format!("{}/{}", alert.id, alert.seq)));
        site.append(&alerts);
        written.clone()
    };
    let one = site.start("one");
    let expected = append(1..=1);
    eventually("the first documents", LIMIT, || taken(&receiver) == expected);
    let two = site.start("two");
    let expected = append(2..=6);
    eventually("a middle", LIMIT, || taken(&receiver).len() >= 5);
    // Static membership: a member that comes back in time keeps the partition, so this member stays away.
    one.kill9();
    eventually("the rest from the other", LIMIT, || taken(&receiver) == expected);
    let one = site.start("one");
    two.kill9();
    let expected = append(7..=9);
    eventually("the rest from the first again", LIMIT, || taken(&receiver) == expected);
    let status = site.command(&["channels", "status"]);
    for part in ["hook (journal)", "wu-0000000000000002/9", "parked         wu-0000000000000001/3", "422"] {
        assert!(status.contains(part), "{part:?} is not in\n{status}");
    }
    let parked = site.command(&["channels", "skip", "hook", "wu-0000000000000001/3"]);
    assert!(parked.contains("given up"), "{parked}");
    assert!(!site.command(&["channels", "status"]).contains("wu-0000000000000001/3"));
    one.terminate_within(Duration::from_secs(60)).expect_success();
}
