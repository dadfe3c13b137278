//! The Kafka sink against librdkafka's own mock broker: no network but this machine's, no Java. What a real broker does
//! is for the end-to-end tests.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod topic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use wulog_collector::kafka::KafkaSink;
use wulog_collector::record::OutRecord;
use wulog_collector::ship::{RecordOwner, Shipper};
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

fn record(line: &str) -> OutRecord {
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

/// A cluster that can be hurt, and a shipper that sends to it.
struct Bench {
    cluster: MockCluster<'static, DefaultProducerContext>,
    shipper: Shipper,
    sent: usize,
    rebuilds: Arc<AtomicU64>,
}

impl Bench {
    fn new(change: impl FnOnce(KafkaSink) -> KafkaSink) -> Bench {
        let cluster: MockCluster<'static, DefaultProducerContext> = MockCluster::new(1).unwrap();
        cluster.create_topic("wulog.raw", 1, 1).unwrap();
        let settings =
            [("bootstrap.servers", cluster.bootstrap_servers()), ("reconnect.backoff.max.ms", "200".to_owned())];
        let settings = settings.map(|(key, value)| (key.to_owned(), value));
        let sink = change(KafkaSink::new(&BTreeMap::from(settings), "wulog").unwrap());
        let rebuilds = sink.rebuilds();
        Bench { cluster, shipper: Shipper::new(Box::new(sink), 64 << 20), sent: 0, rebuilds }
    }

    fn submit(&mut self, count: usize) {
        for _ in 0..count {
            self.submit_line(&format!("line {}", self.sent));
        }
    }

    fn submit_line(&mut self, line: &str) {
        self.shipper.submit(record(line), RecordOwner::Line(0));
        self.sent += 1;
    }

    /// Works for a while; what is settled is counted.
    fn work(&mut self, wait: Duration) -> Result<usize, String> {
        let (deadline, mut settled) = (Instant::now() + wait, Vec::new());
        while Instant::now() < deadline && self.shipper.in_flight() > 0 {
            self.shipper.send(&mut settled).map_err(|error| error.to_string())?;
            self.shipper.poll(Duration::from_millis(20), &mut settled).map_err(|error| error.to_string())?;
        }
        Ok(settled.len())
    }

    fn finish(&mut self) {
        self.work(PATIENCE).unwrap();
        assert_eq!(self.shipper.in_flight(), 0, "not all is delivered, {} rebuilds", self.rebuilds());
    }

    /// What the topic holds, in order.
    fn topic(&self) -> Vec<String> {
        let messages = topic::messages(&self.cluster.bootstrap_servers(), PATIENCE);
        messages.iter().map(|message| String::from_utf8_lossy(message.payload().unwrap()).into_owned()).collect()
    }

    fn lines(&self) -> Vec<String> {
        (0..self.sent).map(|number| format!("line {number}")).collect()
    }

    #[track_caller]
    fn check_each_once_in_order(&self) {
        assert_eq!(self.topic(), self.lines());
    }

    /// A recreated producer may have delivered records whose reports it did not get; the Normalizer drops repeats.
    #[track_caller]
    fn check_none_lost(&self) {
        let (mut found, mut lines) = (self.topic(), self.lines());
        found.sort();
        found.dedup();
        lines.sort();
        assert_eq!(found, lines);
    }

    fn rebuilds(&self) -> u64 {
        self.rebuilds.load(Ordering::Relaxed)
    }
}

#[test]
fn a_broker_that_flaps_gets_each_record_once() {
    let mut bench = Bench::new(|sink| sink);
    bench.submit(200);
    bench.work(PATIENCE).unwrap();
    for _ in 0..5 {
        bench.cluster.broker_down(1).unwrap();
        bench.submit(200);
        bench.work(Duration::from_millis(150)).unwrap();
        assert!(bench.shipper.in_flight() > 0, "a broker that is down acknowledges nothing");
        bench.cluster.broker_up(1).unwrap();
        bench.work(Duration::from_millis(150)).unwrap();
    }
    bench.finish();
    bench.check_each_once_in_order();
}

#[test]
fn a_broker_that_is_read_only_or_slow_is_waited_for() {
    let mut bench = Bench::new(|sink| sink);
    let read_only = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    bench.cluster.request_errors(RDKafkaApiKey::Produce, &[read_only; 5]);
    bench.submit(100);
    bench.finish();
    bench.cluster.broker_round_trip_time(1, Duration::from_millis(400)).unwrap();
    bench.submit(100);
    bench.finish();
    bench.check_each_once_in_order();
}

#[test]
fn a_producer_that_fails_for_good_is_recreated() {
    let mut bench = Bench::new(|sink| sink);
    // What an idempotent producer cannot survive.
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    bench.cluster.request_errors(RDKafkaApiKey::InitProducerId, &[denied]);
    bench.submit(500);
    bench.finish();
    assert_eq!(bench.rebuilds(), 1);
    bench.check_none_lost();
}

#[test]
fn a_producer_that_reports_nothing_is_recreated() {
    let mut bench = Bench::new(|sink| sink.silence_max(Duration::from_millis(500)));
    bench.submit(10);
    bench.finish();
    bench.cluster.broker_round_trip_time(1, Duration::from_secs(3600)).unwrap();
    bench.submit(300);
    assert_eq!(bench.work(Duration::from_millis(1200)).unwrap(), 0, "a purge is no delivery");
    assert!(bench.rebuilds() > 0);
    bench.cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    // Connections on which an answer is an hour away.
    bench.cluster.broker_down(1).unwrap();
    bench.cluster.broker_up(1).unwrap();
    bench.finish();
    bench.check_none_lost();
}

#[test]
fn a_batch_that_is_too_large_costs_no_record() {
    let mut bench = Bench::new(|sink| sink);
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    bench.cluster.request_errors(RDKafkaApiKey::Produce, &[too_large; 2]);
    bench.submit(300);
    bench.finish();
    assert_eq!(bench.shipper.rejected(), 0);
    assert!(bench.rebuilds() > 0, "batches were made smaller");
    bench.check_none_lost();
}

#[test]
fn a_line_that_is_too_large_is_cut_and_what_follows_arrives() {
    let mut bench = Bench::new(|sink| sink);
    bench.submit(1);
    // librdkafka's own limit is a million bytes.
    bench.submit_line(&"x".repeat(1_500_000));
    bench.submit(1);
    bench.finish();
    let topic = bench.topic();
    assert_eq!((topic[0].as_str(), topic.len()), ("line 0", 3));
    assert!(topic.contains(&"line 2".to_owned()) && topic.contains(&"x".repeat(750_000)));
    assert_eq!(bench.shipper.rejected(), 0);
}

#[test]
fn a_principal_that_may_not_write_is_told_what_to_do() {
    let mut bench = Bench::new(|sink| sink);
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    bench.cluster.request_errors(RDKafkaApiKey::Produce, &[denied]);
    bench.submit(1);
    let error = bench.work(PATIENCE).unwrap_err();
    assert!(error.contains("wulog.raw") && error.contains("allow this principal"), "{error}");
}
