//! The Kafka testbed keeps its promises: transactions, crashes, and an end with the test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use wulog_tests::kafka::{KafkaTestbed, Skip, or_skip, shared, unique_prefix};

const TIMEOUT: Duration = Duration::from_secs(30);

fn transactional(testbed: &KafkaTestbed, id: &str) -> BaseProducer {
    let producer: BaseProducer = testbed.client_config().set("transactional.id", id).create().unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    producer
}

fn send(producer: &BaseProducer, topic: &str, values: &[&str]) {
    for value in values {
        producer.send(BaseRecord::to(topic).key("key").payload(*value)).map_err(|(error, _)| error).unwrap();
    }
}

fn values(testbed: &KafkaTestbed, topic: &str) -> Vec<String> {
    testbed.read_topic(topic).into_iter().map(|record| String::from_utf8(record.value.unwrap()).unwrap()).collect()
}

#[test]
fn a_crashed_broker_comes_back_with_what_was_committed() {
    let Some(mut testbed) = or_skip("a_crashed_broker_comes_back", KafkaTestbed::start()) else {
        return;
    };
    testbed.create_topic("t", 1, &[]);
    let producer = transactional(&testbed, "crash");
    producer.begin_transaction().unwrap();
    send(&producer, "t", &["committed 1", "committed 2"]);
    producer.commit_transaction(TIMEOUT).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, "t", &["aborted"]);
    producer.flush(TIMEOUT).unwrap();
    producer.abort_transaction(TIMEOUT).unwrap();
    assert_eq!(values(&testbed, "t"), ["committed 1", "committed 2"]);

    let before = testbed.pid();
    testbed.kill9();
    testbed.restart();
    assert_ne!(testbed.pid(), before);
    assert_eq!(values(&testbed, "t"), ["committed 1", "committed 2"]);

    // A new producer under the same name takes over, also from an open transaction that nobody ends.
    producer.begin_transaction().unwrap();
    send(&producer, "t", &["left open"]);
    producer.flush(TIMEOUT).unwrap();
    let producer = transactional(&testbed, "crash");
    producer.begin_transaction().unwrap();
    send(&producer, "t", &["committed 3"]);
    producer.commit_transaction(TIMEOUT).unwrap();
    assert_eq!(values(&testbed, "t"), ["committed 1", "committed 2", "committed 3"]);
}

#[test]
fn a_paused_broker_answers_when_it_is_resumed() {
    let Some(mut testbed) = or_skip("a_paused_broker_answers", KafkaTestbed::start()) else {
        return;
    };
    testbed.create_topic("t", 1, &[]);
    let producer: BaseProducer = testbed.client_config().create().unwrap();
    testbed.pause();
    send(&producer, "t", &["patience"]);
    assert!(producer.flush(Duration::from_millis(300)).is_err(), "a paused broker acknowledges nothing");
    testbed.resume();
    producer.flush(TIMEOUT).unwrap();
    assert_eq!(values(&testbed, "t"), ["patience"]);
}

#[test]
fn a_record_is_read_back_whole() {
    let Some(testbed) = or_skip("a_record_is_read_back_whole", shared()) else {
        return;
    };
    let topic = format!("{}.raw", unique_prefix("whole"));
    testbed.create_topic(&topic, 3, &[("message.timestamp.type", "CreateTime")]);
    let producer: BaseProducer = testbed.client_config().create().unwrap();
    let headers = OwnedHeaders::new().insert(Header { key: "wulog", value: Some("{\"v\":1}") });
    let record = BaseRecord::to(&topic).partition(2).key("host").payload("line").timestamp(1_668_384_000_000);
    producer.send(record.headers(headers)).map_err(|(error, _)| error).unwrap();
    producer.send(BaseRecord::<str, str>::to(&topic).partition(0).key("host")).map_err(|(error, _)| error).unwrap();
    producer.flush(TIMEOUT).unwrap();
    let records = testbed.read_topic(&topic);
    assert_eq!(records.len(), 2);
    assert_eq!((records[0].partition, records[0].value.as_deref()), (0, None));
    let record = &records[1];
    assert_eq!((record.partition, record.offset, record.timestamp_ms), (2, 0, 1_668_384_000_000));
    assert_eq!((record.key.as_slice(), record.value.as_deref()), (b"host".as_slice(), Some(b"line".as_slice())));
    assert_eq!(record.headers, [("wulog".to_owned(), b"{\"v\":1}".to_vec())]);
}

#[test]
fn a_topic_is_created_only_on_request() {
    let Some(testbed) = or_skip("a_topic_is_created_only_on_request", shared()) else {
        return;
    };
    let producer: BaseProducer = testbed.client_config().set("message.timeout.ms", "1500").create().unwrap();
    let topic = unique_prefix("nobody-made-this");
    send(&producer, &topic, &["lost"]);
    let _ = producer.flush(TIMEOUT);
    assert_eq!(producer.in_flight_count(), 0, "the record was given up");
    let missing = std::panic::catch_unwind(|| testbed.read_topic(&topic).len());
    assert!(missing.is_err(), "the topic exists");
}

/// Not a test: [`a_killed_test_takes_its_broker_along`] runs this binary again with only this, and kills it.
#[test]
#[ignore = "run by a_killed_test_takes_its_broker_along"]
fn hold_a_broker_until_killed() {
    let testbed = KafkaTestbed::start().unwrap();
    eprintln!("\nbroker {}", testbed.pid());
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_killed_test_takes_its_broker_along() {
    if or_skip("a_killed_test_takes_its_broker_along", shared()).is_none() {
        return;
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hold_a_broker_until_killed", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stderr.take().unwrap()).lines();
    let broker = lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("broker ")?.to_owned())).unwrap();
    victim.kill().unwrap();
    victim.wait().unwrap();
    // `tail --pid` ends when that process has.
    let ended = Command::new("timeout").args(["20", "tail", "-f", "/dev/null", "--pid", &broker]).status().unwrap();
    assert!(ended.success(), "broker {broker} is still there");
}

#[test]
fn a_skip_says_why() {
    let said = Skip::NoJars("no route".to_owned()).to_string();
    assert_eq!(said, "Maven cannot fetch Kafka's jars: no route");
}
