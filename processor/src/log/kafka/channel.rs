//! A channel's view of Kafka: a consumer group of its own, whose one partition one of several processors has. Notes are
//! records of `wulog.state`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use wulog_schemas::topic::Topic;

use super::clients::{GroupContext, Membership, Rebalance, UngroupedContext};
use super::errors::{Outage, explain, in_configuration, is_passing};
use super::{CALL_TIMEOUT, KafkaConfig, LOOK_TIMEOUT, PartitionReader, to_record};
use crate::log::alert_queue::{AlertQueue, ChannelPosition, LastDelivery, PolledAlerts, note_prefix};
use crate::log::{LogError, Record};

/// The partition of `wulog.state` that holds notes of channels: every prefix has it.
const NOTES_PARTITION: i32 = 0;
/// Offset metadata is left out beyond this size: brokers accept 4 KiB by default.
const METADATA_BYTES_MAX: usize = 2048;

/// The topic of alerts as one channel reads it.
pub struct KafkaQueue {
    config: KafkaConfig,
    channel: String,
    topic: String,
    consumer: BaseConsumer<GroupContext>,
    membership: Arc<Membership>,
    /// Whether the queue reads from a position that `start_at` named after the group assigned the partition.
    placed: bool,
    paused: bool,
    outage: Outage,
}

/// The name of a channel's group and member.
fn group_name(channel: &str) -> String {
    format!("channel-{channel}")
}

fn join(
    config: &KafkaConfig,
    channel: &str,
    topic: &str,
) -> Result<(BaseConsumer<GroupContext>, Arc<Membership>), LogError> {
    let membership = Arc::new(Membership::default());
    let mut properties = config.group_member(&group_name(channel));
    properties.set("enable.partition.eof", "false");
    // Documents are few and large, and the threads of many channels should stay small.
    properties.set("queued.max.messages.kbytes", "4096");
    let consumer = BaseConsumer::from_config_and_context(&properties, GroupContext(Arc::clone(&membership)))
        .map_err(in_configuration)?;
    consumer.subscribe(&[topic]).map_err(|e| LogError::Fatal(format!("topic {topic}: {e}")))?;
    Ok((consumer, membership))
}

impl KafkaQueue {
    /// Joins the group of a channel. Reaches no broker yet.
    ///
    /// # Errors
    /// [`LogError::Fatal`] where librdkafka refuses the configuration.
    pub fn open(config: &KafkaConfig, channel: &str) -> Result<KafkaQueue, LogError> {
        let topic = Topic::Alerts.name(&config.topic_prefix);
        let (consumer, membership) = join(config, channel, &topic)?;
        Ok(KafkaQueue {
            config: config.clone(),
            channel: channel.to_owned(),
            topic,
            consumer,
            membership,
            placed: false,
            paused: false,
            outage: Outage::default(),
        })
    }

    fn failed(&self, doing: &str, error: &KafkaError) -> LogError {
        explain(self.config.brokers(), &self.topic, doing, error)
    }

    fn assignment(&self, offset: Offset, metadata: &str) -> Result<TopicPartitionList, LogError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, 0, offset).map_err(|e| self.failed("naming offsets", &e))?;
        if let Some(mut element) = list.find_partition(&self.topic, 0) {
            element.set_metadata(metadata);
        }
        Ok(list)
    }

    /// Joins the group again after Kafka has fenced the consumer; the channel owns nothing until then.
    fn join_again(&mut self, why: &KafkaError) -> Result<PolledAlerts, LogError> {
        tracing::warn!(channel = self.channel, %why, "out of the consumer group; joining it again");
        (self.consumer, self.membership) = join(&self.config, &self.channel, &self.topic)?;
        (self.placed, self.paused, self.outage) = (false, false, Outage::default());
        Ok(PolledAlerts { owned: Some(false), records: Vec::new() })
    }

    fn fetch_while(&mut self, room: bool) -> Result<(), LogError> {
        if !self.placed || room != self.paused {
            return Ok(());
        }
        let list = self.assignment(Offset::Invalid, "")?;
        let changed = if room { self.consumer.resume(&list) } else { self.consumer.pause(&list) };
        changed.map_err(|e| self.failed("pausing or resuming", &e))?;
        self.paused = !room;
        Ok(())
    }
}

impl AlertQueue for KafkaQueue {
    fn poll(&mut self, room: usize, wait: Duration) -> Result<PolledAlerts, LogError> {
        self.fetch_while(room > 0)?;
        let until = Instant::now() + wait;
        let mut records = Vec::new();
        loop {
            let left =
                if records.is_empty() { until.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            let message = self.consumer.poll(left.max(Duration::from_millis(1)));
            if let Some(rebalance) = self.membership.take() {
                let owned = matches!(rebalance, Rebalance::Assigned(partitions) if partitions.contains(&0));
                (self.placed, self.paused) = (false, false);
                if !owned {
                    // An empty assignment needs an answer too, since the group waits for it.
                    let none = TopicPartitionList::new();
                    self.consumer.assign(&none).map_err(|e| self.failed("giving up the partition", &e))?;
                }
                return Ok(PolledAlerts { owned: Some(owned), records: Vec::new() });
            }
            match message {
                None if records.is_empty() && Instant::now() < until => {}
                None => return Ok(PolledAlerts { owned: None, records }),
                Some(Ok(message)) if message.partition() == 0 => {
                    self.outage.is_over(self.config.brokers());
                    records.push(to_record(&message));
                    if records.len() >= room {
                        return Ok(PolledAlerts { owned: None, records });
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) if is_passing(&error) => self.outage.goes_on(self.config.brokers(), &error),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return self.join_again(&error),
                Some(Err(error)) => return Err(self.failed("reading", &error)),
            }
        }
    }

    fn start_at(&mut self, next: i64) -> Result<(), LogError> {
        let list = self.assignment(Offset::Offset(next.max(0)), "")?;
        self.consumer.assign(&list).map_err(|e| self.failed("moving to the committed offset", &e))?;
        self.placed = true;
        self.fetch_while(true)
    }

    fn committed(&mut self) -> Result<Option<ChannelPosition>, LogError> {
        committed(&self.consumer, &self.topic).map_err(|e| self.failed("asking for the committed offset", &e))
    }

    fn commit(&mut self, position: &ChannelPosition) -> Result<(), LogError> {
        let last = serde_json::to_string(&position.last).unwrap_or_default();
        let metadata = if last.len() <= METADATA_BYTES_MAX { last.as_str() } else { "" };
        let list = self.assignment(Offset::Offset(position.next), metadata)?;
        self.consumer.commit(&list, CommitMode::Sync).map_err(|e| self.failed("committing the position", &e))
    }

    fn read_all(&mut self, each: &mut dyn FnMut(Record)) -> Result<i64, LogError> {
        let (_, end) = self
            .consumer
            .fetch_watermarks(&self.topic, 0, CALL_TIMEOUT)
            .map_err(|e| self.failed("asking for its end offset", &e))?;
        for record in PartitionReader::open(&self.config, Topic::Alerts, 0)? {
            let record = record?;
            if record.offset >= end {
                break;
            }
            each(record);
        }
        Ok(end)
    }

    fn notes(&mut self) -> Result<BTreeMap<String, Vec<u8>>, LogError> {
        read_notes(&self.config, &self.channel)
    }

    fn note(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), LogError> {
        let key = format!("{}{key}", note_prefix(&self.channel));
        append(&self.config, Topic::State, NOTES_PARTITION, &key, value)
    }
}

/// Keeps the reason for which a record was refused.
#[derive(Default)]
struct RefusalReport {
    failed: Mutex<Option<KafkaError>>,
}

impl ClientContext for RefusalReport {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        UngroupedContext.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        UngroupedContext.error(error, reason);
    }
}

impl ProducerContext for RefusalReport {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
    }
}

/// Appends one record outside of any transaction, and waits until Kafka has it; without a value it is a tombstone.
///
/// # Errors
/// [`LogError`], naming broker and topic.
pub fn append(
    config: &KafkaConfig,
    topic: Topic,
    partition: i32,
    key: &str,
    value: Option<&[u8]>,
) -> Result<(), LogError> {
    let topic = topic.name(&config.topic_prefix);
    let failed = |e: &KafkaError| explain(config.brokers(), &topic, "writing", e);
    // Each call has a producer of its own: such records are rare, and an idle producer has threads and connections.
    let properties = config.client(&[("enable.idempotence", "true"), ("acks", "all"), ("linger.ms", "0")]);
    let producer: BaseProducer<RefusalReport> =
        BaseProducer::from_config_and_context(&properties, RefusalReport::default()).map_err(in_configuration)?;
    let mut record = BaseRecord::<str, [u8]>::to(&topic).partition(partition).key(key);
    record.payload = value;
    producer.send(record).map_err(|(error, _)| failed(&error))?;
    producer.flush(CALL_TIMEOUT).map_err(|error| failed(&error))?;
    if let Some(error) = producer.context().failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(failed(&error));
    }
    if producer.in_flight_count() > 0 {
        return Err(LogError::Retry(format!("topic {topic} at {}: a record was not acknowledged", config.brokers())));
    }
    Ok(())
}

fn committed(
    consumer: &BaseConsumer<impl rdkafka::consumer::ConsumerContext>,
    topic: &str,
) -> Result<Option<ChannelPosition>, KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Invalid)?;
    for element in consumer.committed_offsets(list, LOOK_TIMEOUT)?.elements() {
        element.error()?;
        if let Offset::Offset(next) = element.offset() {
            let last: Option<LastDelivery> = serde_json::from_str(element.metadata()).unwrap_or_default();
            return Ok(Some(ChannelPosition { next, last }));
        }
    }
    Ok(None)
}

fn read_notes(config: &KafkaConfig, channel: &str) -> Result<BTreeMap<String, Vec<u8>>, LogError> {
    let prefix = note_prefix(channel);
    let mut notes = BTreeMap::new();
    for record in PartitionReader::open(config, Topic::State, NOTES_PARTITION)? {
        let record = record?;
        let key = String::from_utf8_lossy(&record.key);
        if let Some(key) = key.strip_prefix(&prefix) {
            if record.value.is_empty() {
                drop(notes.remove(key))
            } else {
                drop(notes.insert(key.to_owned(), record.value))
            }
        }
    }
    Ok(notes)
}

/// A view of a channel from outside of its group: for `channels status`, `replay` and `skip`.
pub struct KafkaBystander {
    queue: KafkaQueue,
}

impl KafkaBystander {
    /// A client that asks for the group's offsets without joining it.
    ///
    /// # Errors
    /// [`LogError::Fatal`] where librdkafka refuses the configuration.
    pub fn open(config: &KafkaConfig, channel: &str) -> Result<KafkaBystander, LogError> {
        let membership = Arc::new(Membership::default());
        let properties = config.bystander(&group_name(channel));
        let consumer = BaseConsumer::from_config_and_context(&properties, GroupContext(Arc::clone(&membership)))
            .map_err(in_configuration)?;
        let topic = Topic::Alerts.name(&config.topic_prefix);
        Ok(KafkaBystander {
            queue: KafkaQueue {
                config: config.clone(),
                channel: channel.to_owned(),
                topic,
                consumer,
                membership,
                placed: false,
                paused: false,
                outage: Outage::default(),
            },
        })
    }

    /// The queue, for questions and notes only.
    pub fn queue(&mut self) -> &mut dyn AlertQueue {
        &mut self.queue
    }
}
