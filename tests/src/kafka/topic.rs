//! Topics in tests: creating them, and reading them as a whole.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::broker::KafkaTestbed;

/// Timeout for creating or reading a topic.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One record of a topic, as a consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRecord {
    /// Partition.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
    /// The record's timestamp, milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
    /// Key, empty where there is none.
    pub key: Vec<u8>,
    /// Headers by name, in the record's order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Value, `None` for a tombstone.
    pub value: Option<Vec<u8>>,
}

impl KafkaTestbed {
    /// Creates a topic; `settings` such as `("message.timestamp.type", "LogAppendTime")`.
    ///
    /// # Panics
    /// If the broker refuses it.
    pub fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> =
            self.client_config().create().expect("the configuration is valid");
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime needs only memory");
        let results = runtime.block_on(admin.create_topics([&topic], &options));
        let results = results.unwrap_or_else(|error| panic!("topic {name}: {error}"));
        for result in results {
            result.unwrap_or_else(|(name, code)| panic!("topic {name}: {code}"));
        }
    }

    /// Changes one setting of a topic.
    ///
    /// # Panics
    /// When the broker refuses it.
    pub fn set_topic(&self, name: &str, key: &str, value: &str) {
        let admin: AdminClient<DefaultClientContext> =
            self.client_config().create().expect("the configuration is valid");
        let change = AlterConfig::new(ResourceSpecifier::Topic(name)).set(key, value);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime needs only memory");
        let results = runtime.block_on(admin.alter_configs([&change], &AdminOptions::new()));
        for result in results.unwrap_or_else(|error| panic!("topic {name}: {error}")) {
            result.unwrap_or_else(|(_, code)| panic!("topic {name}: {code}"));
        }
    }

    /// Deletes the records of partition 0 that a consumer group has behind it, as retention does.
    ///
    /// # Panics
    /// When the group has committed nothing there, or the broker refuses it.
    pub fn delete_before_committed(&self, group: &str, topic: &str) {
        let mut config = self.client_config();
        config.set("group.id", group);
        let consumer: BaseConsumer = config.create().expect("the configuration is valid");
        let mut positions = TopicPartitionList::new();
        positions.add_partition(topic, 0);
        let committed = consumer.committed_offsets(positions, TIMEOUT);
        let committed = committed.unwrap_or_else(|error| panic!("group {group}: {error}"));
        let offset = committed.elements()[0].offset();
        assert!(matches!(offset, Offset::Offset(1..)), "group {group} has committed {offset:?} in {topic}");
        let admin: AdminClient<DefaultClientContext> = config.create().expect("the configuration is valid");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime needs only memory");
        let deleted = runtime.block_on(admin.delete_records(&committed, &AdminOptions::new()));
        let deleted = deleted.unwrap_or_else(|error| panic!("topic {topic}: {error}"));
        deleted.elements()[0].error().unwrap_or_else(|error| panic!("topic {topic}: {error}"));
    }

    /// The lag of a consumer group in a topic.
    ///
    /// # Panics
    /// When the topic is missing or the broker does not answer.
    #[must_use]
    pub fn lag(&self, group: &str, topic: &str) -> GroupLag {
        let consumer: BaseConsumer =
            self.client_config().set("group.id", group).create().expect("the configuration is valid");
        let metadata =
            consumer.fetch_metadata(Some(topic), TIMEOUT).unwrap_or_else(|error| panic!("topic {topic}: {error}"));
        let partitions = metadata.topics()[0].partitions().iter().map(|partition| partition.id()).collect::<Vec<_>>();
        assert!(!partitions.is_empty(), "topic {topic} is missing");
        GroupLag { consumer, topic: topic.to_owned(), partitions }
    }

    /// Every committed record of a topic, from its beginning to its end at this moment, by partition and offset.
    ///
    /// # Panics
    /// When the topic is missing or cannot be read to its end in a minute.
    #[must_use]
    pub fn read_topic(&self, name: &str) -> Vec<TopicRecord> {
        let consumer: BaseConsumer = self
            .client_config()
            .set("group.id", "testbed-reader")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("allow.auto.create.topics", "false")
            .create()
            .expect("the configuration is valid");
        let metadata =
            consumer.fetch_metadata(Some(name), TIMEOUT).unwrap_or_else(|error| panic!("topic {name}: {error}"));
        let mut unfinished = metadata.topics()[0].partitions().len();
        assert!(unfinished > 0, "topic {name} is missing");
        let mut all = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            all.add_partition_offset(name, partition.id(), Offset::Beginning).expect("each partition is listed once");
        }
        consumer.assign(&all).expect("an assignment of listed partitions is valid");
        let mut records = Vec::new();
        let deadline = Instant::now() + TIMEOUT;
        while unfinished > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            match consumer.poll(left) {
                None => panic!("topic {name}: no end after {TIMEOUT:?}, {} records", records.len()),
                Some(Ok(message)) => records.push(record(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => unfinished -= 1,
                // A connection was lost; librdkafka makes another one.
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::BrokerTransportFailure) => {}
                Some(Err(error)) => panic!("topic {name}: {error}"),
            }
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }
}

/// The lag of a consumer group in a topic. Keeps its connection, since a test asks for each step of simulated time.
pub struct GroupLag {
    consumer: BaseConsumer,
    topic: String,
    partitions: Vec<i32>,
}

impl GroupLag {
    /// Number of records that the group has not committed yet.
    ///
    /// # Panics
    /// When the broker does not answer.
    #[must_use]
    pub fn records(&self) -> i64 {
        let topic = &self.topic;
        let mut all = TopicPartitionList::new();
        for &partition in &self.partitions {
            all.add_partition(topic, partition);
        }
        let committed = self.consumer.committed_offsets(all, TIMEOUT);
        let committed = committed.unwrap_or_else(|error| panic!("topic {topic}: {error}"));
        let behind = committed.elements().into_iter().map(|partition| {
            let ends = self.consumer.fetch_watermarks(topic, partition.partition(), TIMEOUT);
            let (first, end) = ends.unwrap_or_else(|error| panic!("topic {topic}: {error}"));
            end - partition.offset().to_raw().filter(|&offset| offset >= 0).unwrap_or(first)
        });
        behind.sum()
    }
}

fn record(message: &BorrowedMessage<'_>) -> TopicRecord {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    TopicRecord {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().unwrap_or_default().to_vec(),
        headers: headers.map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect(),
        value: message.payload().map(<[u8]>::to_vec),
    }
}
