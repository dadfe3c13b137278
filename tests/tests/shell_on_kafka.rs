//! The shell's promise on a real Kafka: instances that join, leave and are dropped in the middle of their work neither
//! lose nor repeat an output, and their machines are always those of the committed offsets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use wulog_processor::log::LogError;
use wulog_processor::log::kafka::{KafkaConfig, KafkaLog};
use wulog_processor::machine::{InRecord, Machine, Output, SnapshotError};
use wulog_processor::shell::{Shell, ShellConfig};
use wulog_schemas::topic::Topic;
use wulog_tests::kafka::{self, KafkaTestbed};

const PARTITIONS: i32 = 4;
const RECORDS: usize = 4_000;

/// Numbers the records of its partition, so that a lost, repeated or stale state shows in what it says.
struct Count(u64);

impl Machine for Count {
    const NAME: &'static str = "count";
    const FORMAT: u32 = 1;
    type Config = ();

    fn new((): &(), _partition: i32, partitions: i32) -> Count {
        assert_eq!(partitions, PARTITIONS);
        Count(0)
    }

    fn apply(&mut self, record: &InRecord<'_>, out: &mut Vec<Output>) {
        self.0 += 1;
        out.push(Output {
            topic: Topic::Events,
            key: format!("{}/{}", record.partition, record.offset).into(),
            value: self.0.to_string().into(),
            timestamp_ms: record.timestamp_ms,
        });
    }

    fn skip(&mut self, _record: &InRecord<'_>, _reason: &str, _out: &mut Vec<Output>) {}

    fn snapshot(&self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    fn restore((): &(), _partition: i32, _partitions: i32, bytes: &[u8]) -> Result<Count, SnapshotError> {
        let bytes =
            bytes.try_into().map_err(|_| SnapshotError { machine: "count", reason: "not 8 bytes".to_owned() })?;
        Ok(Count(u64::from_le_bytes(bytes)))
    }
}

fn produce(broker: &KafkaTestbed, topic: &str) {
    let producer: BaseProducer = broker.client_config().create().unwrap();
    for number in 0..RECORDS {
        let partition = i32::try_from(number).unwrap() % PARTITIONS;
        let value = number.to_string();
        producer.send(BaseRecord::<str, str>::to(topic).partition(partition).payload(&value)).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// One instance for a while: until it is told to leave by returning false, or all is done.
fn instance(config: &KafkaConfig, done: &AtomicUsize, mut stays: impl FnMut(usize) -> bool) {
    let log = KafkaLog::open(config, Count::NAME, Topic::Raw).unwrap();
    let config = ShellConfig { batch_records_max: 50, snapshot_after_records: 130, ..ShellConfig::default() };
    let mut shell: Shell<Count> = Shell::new(config, (), Box::new(log));
    let began = Instant::now();
    let mut applied = 0;
    while done.load(Ordering::Acquire) < RECORDS && stays(applied) {
        assert!(began.elapsed() < Duration::from_secs(90), "stuck");
        match shell.step(Duration::from_millis(100)) {
            Ok(step) => {
                applied += step.records;
                if step.at_end && step.records == 0 {
                    std::thread::yield_now();
                }
            }
            Err(LogError::Retry(_)) => {}
            Err(fatal) => panic!("{fatal}"),
        }
    } // dropped without `finish`: what a crash leaves
}

#[test]
fn joining_leaving_and_dropped_instances_write_each_output_once() {
    let name = "joining_leaving_and_dropped_instances_write_each_output_once";
    let Some(broker) = kafka::or_skip(name, kafka::shared()) else { return };
    let prefix = kafka::unique_prefix("shell");
    for (topic, partitions) in [(Topic::Raw, PARTITIONS), (Topic::Events, PARTITIONS), (Topic::State, PARTITIONS)] {
        broker.create_topic(&topic.name(&prefix), partitions, &[]);
    }
    produce(broker, &Topic::Raw.name(&prefix));
    let config = |instance: &str| KafkaConfig {
        properties: BTreeMap::from([
            ("bootstrap.servers".to_owned(), broker.bootstrap().to_owned()),
            ("session.timeout.ms".to_owned(), "3000".to_owned()),
            ("heartbeat.interval.ms".to_owned(), "300".to_owned()),
        ]),
        topic_prefix: prefix.clone(),
        instance: instance.to_owned(),
    };
    let events = Topic::Events.name(&prefix);
    let done = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| instance(&config("steady"), &done, |_| true));
        scope.spawn(|| {
            // Comes back under the same name after each "crash", in the middle of its work.
            for life in 1..=6 {
                instance(&config("shaky"), &done, |applied| applied < life * 60);
            }
        });
        scope.spawn(|| {
            let began = Instant::now();
            while done.load(Ordering::Acquire) < RECORDS && began.elapsed() < Duration::from_secs(90) {
                done.store(broker.read_topic(&events).len(), Ordering::Release);
            }
        });
    });
    let mut said: BTreeMap<i32, Vec<(i64, u64)>> = BTreeMap::new();
    for record in broker.read_topic(&events) {
        let key = String::from_utf8(record.key).unwrap();
        let (partition, offset) = key.split_once('/').unwrap();
        let number = String::from_utf8(record.value.unwrap()).unwrap().parse().unwrap();
        said.entry(partition.parse().unwrap()).or_default().push((offset.parse().unwrap(), number));
    }
    assert_eq!(said.len(), usize::try_from(PARTITIONS).unwrap());
    for (partition, said) in said {
        let expected: Vec<(i64, u64)> =
            (0..RECORDS as i64 / i64::from(PARTITIONS)).map(|n| (n, n as u64 + 1)).collect();
        assert_eq!(said, expected, "partition {partition}");
    }
}
