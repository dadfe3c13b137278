//! The shell's promise on a real Kafka: instances that join, leave and are dropped in the middle of their work neither
//! lose nor repeat an output, and their machines always match the committed offsets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use wulog_processor::log::LogError;
use wulog_processor::log::kafka::{KafkaConfig, KafkaLog};
use wulog_processor::machine::{InRecord, Machine, Output, SnapshotError};
use wulog_processor::shell::{Shell, ShellConfig};
use wulog_schemas::topic::Topic;
use wulog_tests::kafka::{self, KafkaTestbed};

const PARTITIONS: i32 = 4;
const RECORDS: usize = 4_000;

/// Numbers the records of its partition, so that a lost, repeated or stale state shows in its outputs.
struct Count(u64);

impl Machine for Count {
    const NAME: &'static str = "count";
    const FORMAT: u32 = 1;
    /// Number of partitions.
    type Config = i32;
    type Parsed<'r> = ();

    fn new(expected: &i32, _partition: i32, partitions: i32) -> Count {
        assert_eq!(partitions, *expected);
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

    fn restore(_: &i32, _partition: i32, _partitions: i32, bytes: &[u8]) -> Result<Count, SnapshotError> {
        let bytes =
            bytes.try_into().map_err(|_| SnapshotError { machine: "count", reason: "not 8 bytes".to_owned() })?;
        Ok(Count(u64::from_le_bytes(bytes)))
    }
}

fn create_topics(broker: &KafkaTestbed, prefix: &str, partitions: i32) {
    for topic in [Topic::Raw, Topic::Events, Topic::State] {
        broker.create_topic(&topic.name(prefix), partitions, &[]);
    }
}

fn produce(broker: &KafkaTestbed, topic: &str, records: usize, partitions: i32) {
    let producer: BaseProducer = broker.client_config().create().unwrap();
    for number in 0..records {
        let partition = i32::try_from(number).unwrap() % partitions;
        let value = number.to_string();
        producer.send(BaseRecord::<str, str>::to(topic).partition(partition).payload(&value)).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

fn config(broker: &KafkaTestbed, prefix: &str, instance: &str) -> KafkaConfig {
    KafkaConfig {
        properties: BTreeMap::from([
            ("bootstrap.servers".to_owned(), broker.bootstrap().to_owned()),
            ("session.timeout.ms".to_owned(), "3000".to_owned()),
            ("heartbeat.interval.ms".to_owned(), "300".to_owned()),
        ])
        .into(),
        topic_prefix: prefix.to_owned(),
        instance: instance.to_owned(),
    }
}

/// Runs one instance until `step` returns false, or all is done.
fn instance(config: &KafkaConfig, done: &AtomicUsize, mut stays: impl FnMut(usize) -> bool) {
    let log = KafkaLog::open(config, Count::NAME, Topic::Raw).unwrap();
    let config = ShellConfig { batch_records_max: 50, snapshot_after_records: 130, ..ShellConfig::default() };
    let mut shell: Shell<Count> = Shell::new(config, PARTITIONS, Box::new(log));
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
    create_topics(broker, &prefix, PARTITIONS);
    produce(broker, &Topic::Raw.name(&prefix), RECORDS, PARTITIONS);
    let config = |instance: &str| config(broker, &prefix, instance);
    let events = Topic::Events.name(&prefix);
    let done = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| instance(&config("steady"), &done, |_| true));
        scope.spawn(|| {
            // The instance comes back under the same name after each "crash", in the middle of its work.
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

/// Of two instances one has the only partition, and the other waits: it must take over when the first one dies.
#[test]
fn an_instance_without_partitions_takes_over() {
    let name = "an_instance_without_partitions_takes_over";
    let Some(broker) = kafka::or_skip(name, kafka::shared()) else { return };
    let prefix = kafka::unique_prefix("spare");
    create_topics(broker, &prefix, 1);
    let events = || broker.read_topic(&Topic::Events.name(&prefix)).len();
    let shell = |instance: &str| -> Shell<Count> {
        let log = KafkaLog::open(&config(broker, &prefix, instance), Count::NAME, Topic::Raw).unwrap();
        Shell::new(ShellConfig::default(), 1, Box::new(log))
    };
    // Both step in turns, so that it is known which one has the partition, and that the other one knows that it has
    // none.
    let mut shells = [Some(shell("one")), Some(shell("two"))];
    let mut owner = None;
    let began = Instant::now();
    for half in [100, 200] {
        produce(broker, &Topic::Raw.name(&prefix), 100, 1);
        while events() < half {
            assert!(began.elapsed() < Duration::from_secs(60), "{} of {half} events", events());
            for (number, shell) in shells.iter_mut().enumerate().filter_map(|(n, s)| Some((n, s.as_mut()?))) {
                match shell.step(Duration::from_millis(50)) {
                    Ok(step) if step.records > 0 => owner = Some(number),
                    Ok(_) | Err(LogError::Retry(_)) => {}
                    Err(fatal) => panic!("{fatal}"),
                }
            }
        }
        if half == 100 {
            // The group settles, and then the owner of the partition dies.
            let settled = Instant::now() + Duration::from_secs(5);
            while Instant::now() < settled {
                for (number, shell) in shells.iter_mut().enumerate() {
                    let step = shell.as_mut().unwrap().step(Duration::from_millis(50));
                    if step.is_ok_and(|step| step.at_end) {
                        owner = Some(number);
                    }
                }
            }
            shells[owner.unwrap()] = None;
        }
    }
}

/// While a transaction that names offsets of the group is open, Kafka does not report the committed offsets. An open
/// transaction of another producer must cost only time.
#[test]
fn an_open_transaction_of_another_is_waited_for() {
    let name = "an_open_transaction_of_another_is_waited_for";
    let Some(broker) = kafka::or_skip(name, kafka::shared()) else { return };
    let prefix = kafka::unique_prefix("open");
    create_topics(broker, &prefix, 1);
    let raw = Topic::Raw.name(&prefix);
    produce(broker, &raw, 100, 1);
    let group = format!("{prefix}-{}", Count::NAME);
    let bystander: BaseConsumer = broker.client_config().set("group.id", group).create().unwrap();
    let other: BaseProducer =
        broker.client_config().set("transactional.id", format!("{prefix}-other")).create().unwrap();
    other.init_transactions(Duration::from_secs(30)).unwrap();
    other.begin_transaction().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&raw, 0, Offset::Offset(50)).unwrap();
    let metadata = bystander.group_metadata().unwrap();
    other.send_offsets_to_transaction(&offsets, &metadata, Duration::from_secs(30)).unwrap();

    let log = KafkaLog::open(&config(broker, &prefix, "one"), Count::NAME, Topic::Raw).unwrap();
    let mut shell: Shell<Count> = Shell::new(ShellConfig::default(), 1, Box::new(log));
    let events = || broker.read_topic(&Topic::Events.name(&prefix)).len();
    let began = Instant::now();
    let mut unanswered = 0;
    // More than the number of questions after which the log recovers actively.
    while unanswered < 4 {
        assert!(began.elapsed() < Duration::from_secs(90), "{unanswered} questions without an answer");
        match shell.step(Duration::from_millis(100)) {
            Ok(step) => assert_eq!(step.records, 0, "it does not know where to begin"),
            Err(LogError::Retry(why)) => {
                assert!(why.contains(&raw) && why.contains("committed offsets of partitions {0}"), "{why}");
                unanswered += 1;
            }
            Err(fatal) => panic!("{fatal}"),
        }
    }
    other.abort_transaction(Duration::from_secs(30)).unwrap();
    while events() < 100 {
        assert!(began.elapsed() < Duration::from_secs(120), "{} of 100 events", events());
        assert!(!matches!(shell.step(Duration::from_millis(100)), Err(LogError::Fatal(_))));
    }
    assert_eq!(events(), 100);
}
