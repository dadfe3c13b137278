//! Reading a partition from its oldest record to its end: for snapshots and replays.

use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use wulog_schemas::topic::Topic;

use super::clients::UngroupedContext;
use super::errors::{explain, is_passing};
use super::{CALL_TIMEOUT, KafkaConfig, to_record};
use crate::log::{LogError, Record};

/// Everything in one partition, read committed, from its oldest record to the end that it had when this began.
pub struct PartitionReader {
    consumer: BaseConsumer<UngroupedContext>,
    brokers: String,
    topic: String,
    partition: i32,
    /// The offset at which reading begins; the record there may be deleted.
    first: i64,
    /// The end offset when reading began: later records are not waited for.
    end: i64,
    ended: bool,
}

impl PartitionReader {
    /// Opens a partition of `topic` under the configured prefix.
    ///
    /// # Errors
    /// [`LogError`], naming broker and topic.
    pub fn open(config: &KafkaConfig, topic: Topic, partition: i32) -> Result<PartitionReader, LogError> {
        PartitionReader::open_at(config, topic, partition, Offset::Beginning)
    }

    /// Opens a partition at `offset`. If the record there is deleted, reading begins at the oldest existing record.
    ///
    /// # Errors [`LogError`], naming broker and topic.
    pub fn open_from(
        config: &KafkaConfig,
        topic: Topic,
        partition: i32,
        offset: i64,
    ) -> Result<PartitionReader, LogError> {
        PartitionReader::open_at(config, topic, partition, Offset::Offset(offset))
    }

    /// Opens a partition at its first record whose timestamp is `since_ms` or later, which the broker finds in its
    /// index of times. Without such a record, nothing is read.
    ///
    /// # Errors [`LogError`], naming broker and topic.
    pub fn open_since(
        config: &KafkaConfig,
        topic: Topic,
        partition: i32,
        since_ms: i64,
    ) -> Result<PartitionReader, LogError> {
        let reader = PartitionReader::open(config, topic, partition)?;
        let name = topic.name(&config.topic_prefix);
        let failed = |doing: &str, error: &KafkaError| explain(config.brokers(), &name, doing, error);
        let mut wanted = TopicPartitionList::new();
        // A broker takes a negative time for another kind of request.
        wanted
            .add_partition_offset(&name, partition, Offset::Offset(since_ms.max(0)))
            .map_err(|e| failed("naming a time", &e))?;
        let found = reader
            .consumer
            .offsets_for_times(wanted, CALL_TIMEOUT)
            .map_err(|e| failed("asking for the offset of a time", &e))?;
        let found = found.find_partition(&name, partition);
        if let Some(found) = &found {
            found.error().map_err(|e| failed("asking for the offset of a time", &e))?;
        }
        let first = match found.map(|found| found.offset()) {
            Some(Offset::Offset(offset)) => offset,
            _ => reader.end,
        };
        let mut reader = PartitionReader::open_from(config, topic, partition, first)?;
        reader.ended = first >= reader.end;
        Ok(reader)
    }

    fn open_at(
        config: &KafkaConfig,
        topic: Topic,
        partition: i32,
        offset: Offset,
    ) -> Result<PartitionReader, LogError> {
        let topic = topic.name(&config.topic_prefix);
        let failed = |doing: &str, error: &KafkaError| explain(config.brokers(), &topic, doing, error);
        let consumer = consumer(config, &topic)?;
        let (oldest, end) = consumer
            .fetch_watermarks(&topic, partition, CALL_TIMEOUT)
            .map_err(|e| failed("asking for its end offset", &e))?;
        let first = match offset {
            Offset::Offset(offset) => offset.clamp(oldest, end),
            _ => oldest,
        };
        assign(&consumer, config, &topic, partition, offset)?;
        Ok(PartitionReader {
            consumer,
            brokers: config.brokers().to_owned(),
            topic,
            partition,
            first,
            end,
            ended: false,
        })
    }

    /// The offset at which reading began, and the one at which it ends.
    #[must_use]
    pub fn offsets(&self) -> (i64, i64) {
        (self.first, self.end)
    }

    fn read(&mut self) -> Result<Option<Record>, LogError> {
        let quiet_since = Instant::now();
        while !self.ended {
            match self.consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) if message.offset() < self.end => {
                    self.ended = message.offset() + 1 == self.end;
                    return Ok(Some(to_record(&message)));
                }
                Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) if !is_passing(&error) => {
                    return Err(explain(&self.brokers, &self.topic, "reading", &error));
                }
                Some(Err(_)) | None if quiet_since.elapsed() > CALL_TIMEOUT => {
                    return Err(LogError::Retry(format!(
                        "topic {}, partition {}: no answer from {} in {} s while reading it",
                        self.topic,
                        self.partition,
                        self.brokers,
                        CALL_TIMEOUT.as_secs()
                    )));
                }
                Some(Err(_)) | None => {}
            }
        }
        self.ended = true;
        Ok(None)
    }
}

/// A consumer of `topic` that belongs to no group: it reads committed records, and commits nothing.
fn consumer(config: &KafkaConfig, topic: &str) -> Result<BaseConsumer<UngroupedContext>, LogError> {
    // librdkafka requires a group, which never gets a commit. The name begins with the tenant's prefix, which the ACLs
    // allow.
    let group = format!("{}-reader", config.topic_prefix);
    let properties = config.client(&[
        ("group.id", &group),
        ("enable.auto.commit", "false"),
        ("isolation.level", "read_committed"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "earliest"),
        ("queued.max.messages.kbytes", "4096"),
        ("fetch.wait.max.ms", "50"), // the end is told by an empty fetch
    ]);
    BaseConsumer::from_config_and_context(&properties, UngroupedContext)
        .map_err(|e| explain(config.brokers(), topic, "making a consumer", &e))
}

fn assign(
    consumer: &BaseConsumer<UngroupedContext>,
    config: &KafkaConfig,
    topic: &str,
    partition: i32,
    offset: Offset,
) -> Result<(), LogError> {
    let failed = |doing: &str, error: &KafkaError| explain(config.brokers(), topic, doing, error);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, offset).map_err(|e| failed("naming offsets", &e))?;
    consumer.assign(&list).map_err(|e| failed("opening it", &e))
}

impl Iterator for PartitionReader {
    type Item = Result<Record, LogError>;

    fn next(&mut self) -> Option<Result<Record, LogError>> {
        let read = self.read();
        self.ended |= read.is_err();
        read.transpose()
    }
}

/// One partition, read committed, from its oldest record on and without end: for readers that follow a topic.
pub struct PartitionTail {
    consumer: BaseConsumer<UngroupedContext>,
    brokers: String,
    topic: String,
    partition: i32,
}

impl PartitionTail {
    /// Opens a partition of `topic` under the configured prefix. Reaches no broker yet.
    ///
    /// # Errors
    /// [`LogError`], naming broker and topic.
    pub fn open(config: &KafkaConfig, topic: Topic, partition: i32) -> Result<PartitionTail, LogError> {
        let topic = topic.name(&config.topic_prefix);
        let consumer = consumer(config, &topic)?;
        assign(&consumer, config, &topic, partition, Offset::Beginning)?;
        let brokers = config.brokers().to_owned();
        Ok(PartitionTail { consumer, brokers, topic, partition })
    }

    /// Waits up to `wait` for records, and returns at most `records_max`; true at the end of the partition.
    ///
    /// # Errors [`LogError::Retry`] while the brokers do not answer: the tail continues by itself when they do.
    /// [`LogError::Fatal`] where a person must act.
    pub fn poll(&mut self, records_max: usize, wait: Duration) -> Result<(Vec<Record>, bool), LogError> {
        let (mut records, until) = (Vec::new(), Instant::now() + wait);
        while records.len() < records_max {
            match self.consumer.poll(until.saturating_duration_since(Instant::now())) {
                Some(Ok(message)) => records.push(to_record(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok((records, true)),
                Some(Err(error)) if !is_passing(&error) => {
                    return Err(explain(&self.brokers, &self.topic, "reading", &error));
                }
                Some(Err(_)) => {}
                None => break,
            }
        }
        Ok((records, false))
    }

    /// The client, for questions about groups and partitions.
    pub(super) fn client(&self) -> &BaseConsumer<UngroupedContext> {
        &self.consumer
    }

    /// Topic and partition, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        format!("topic {}, partition {}", self.topic, self.partition)
    }
}
