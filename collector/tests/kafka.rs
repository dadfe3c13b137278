//! The Kafka sink against librdkafka's own mock broker: no network but this machine's, no Java. What a real broker does
//! is for the end-to-end tests.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};
use wulog_collector::kafka::KafkaSink;
use wulog_collector::record::Record;
use wulog_collector::sink::{RawRecord, Sink, SinkError};
use wulog_schemas::host::HostId;
use wulog_schemas::raw::{self, RawHeader};

const PATIENCE: Duration = Duration::from_secs(30);

fn sink(brokers: &str) -> KafkaSink {
    let settings = BTreeMap::from([("bootstrap.servers".to_owned(), brokers.to_owned())]);
    KafkaSink::new(&settings, "wulog").unwrap()
}

fn header() -> RawHeader {
    RawHeader { v: raw::VERSION, host: "pc-1".to_owned(), read: 1_573_745_640_120, ..RawHeader::default() }
}

fn record(line: &str) -> Record {
    RawRecord { host_id: HostId::from_key("id-1"), header: header(), value: line.as_bytes().to_vec() }.into()
}

/// Polls until `count` deliveries are reported and returns their tickets.
fn delivered(sink: &mut KafkaSink, count: usize) -> Vec<u64> {
    let (started, mut tickets) = (Instant::now(), Vec::new());
    while tickets.len() < count && started.elapsed() < PATIENCE {
        for delivery in sink.poll(Duration::from_millis(100)) {
            delivery.result.unwrap();
            tickets.push(delivery.ticket);
        }
    }
    tickets
}

#[test]
fn records_arrive_with_key_header_and_time() {
    let cluster: MockCluster<'static, DefaultProducerContext> = MockCluster::new(1).unwrap();
    cluster.create_topic("wulog.raw", 1, 1).unwrap();
    let mut sink = sink(&cluster.bootstrap_servers());
    for ticket in 1..=100 {
        sink.send(ticket, &record(&format!("line {ticket}"))).unwrap();
    }
    assert_eq!(delivered(&mut sink, 100), (1..=100).collect::<Vec<_>>());

    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "test")
        .create()
        .unwrap();
    let mut place = TopicPartitionList::new();
    place.add_partition_offset("wulog.raw", 0, Offset::Offset(99)).unwrap();
    consumer.assign(&place).unwrap();
    let message = consumer.poll(PATIENCE).unwrap().unwrap();
    assert_eq!((message.key(), message.payload()), (Some(&b"id-1"[..]), Some(&b"line 100"[..])));
    assert_eq!(message.timestamp().to_millis(), Some(1_573_745_640_120));
    let headers = message.headers().unwrap();
    assert_eq!((headers.count(), headers.get(0).key), (1, raw::HEADER));
    let shipped: RawHeader = serde_json::from_slice(headers.get(0).value.unwrap()).unwrap();
    assert_eq!(shipped, header());
}

#[test]
fn a_missing_topic_is_named_with_what_to_do() {
    let cluster: MockCluster<'static, DefaultProducerContext> = MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let started = Instant::now();
    let error = loop {
        match sink(&brokers).send(1, &record("a")).unwrap_err() {
            SinkError::Retry(_) if started.elapsed() < PATIENCE => {}
            error => break error,
        }
    };
    let SinkError::Fatal(message) = error else { panic!("{error:?}") };
    for part in ["wulog.raw", &brokers, "wulog-processor topics create"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn an_unreachable_broker_is_a_reason_to_wait() {
    // Port 1 is reserved and has no listener.
    let error = sink("127.0.0.1:1").send(1, &record("a")).unwrap_err();
    let SinkError::Retry(message) = error else { panic!("{error:?}") };
    assert!(message.contains("127.0.0.1:1"), "{message}");
}
