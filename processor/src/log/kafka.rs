//! The log on Kafka. This is the processor's only place with librdkafka property names.
//!
//! The consumer is polled by the shell's own thread and a transaction never spans two polls, so a rebalance always
//! finds no transaction open. After any failure the producer is made anew: `init_transactions` ends what the old one
//! left behind, and the shell loads its machines from the committed offsets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use wulog_schemas::raw::HEADER;
use wulog_schemas::topic::Topic;

use super::{Log, LogError, Polled, Record, Write};

/// How long a call to a broker may take before it counts as failed and is tried again with new clients.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// A batch ends this long after its first record, so that commits come within 200 ms.
const BATCH_AGE_MAX: Duration = Duration::from_millis(100);

/// Where Kafka is, what the topics are called, and who this instance is.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// The user's `[kafka]` table: librdkafka properties, passed through.
    pub properties: BTreeMap<String, String>,
    /// Prefix of topics, groups and transactional ids.
    pub topic_prefix: String,
    /// Name of this instance: stable over restarts and unique among running instances.
    pub instance: String,
}

impl KafkaConfig {
    /// What `bootstrap.servers` says, for messages.
    #[must_use]
    pub fn brokers(&self) -> &str {
        self.properties.get("bootstrap.servers").map_or("(no bootstrap.servers)", String::as_str)
    }

    /// A client configuration: the user's properties, then ours.
    #[must_use]
    pub fn client(&self, ours: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Error);
        config.set("client.id", format!("wulog-processor-{}", self.instance));
        // Their retries are librdkafka's own; three minutes between looks at the topics is too slow after a repair.
        config.set("topic.metadata.refresh.interval.ms", "30000");
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        for (name, value) in ours {
            config.set(*name, *value);
        }
        config
    }

    /// Has librdkafka look at every property, without reaching a broker.
    ///
    /// # Errors
    /// In words, naming the property.
    pub fn check_properties(&self) -> Result<(), String> {
        let said = |error: KafkaError| match error {
            KafkaError::ClientConfig(_, why, name, value) => format!("[kafka] {name} = {value:?}: {why}"),
            other => format!("[kafka]: {other}"),
        };
        let _: BaseConsumer = self.group_member("check").create().map_err(said)?;
        let _: BaseProducer = self.transactional("check").create().map_err(said)?;
        Ok(())
    }

    /// The consumer of one shell, a member of its group.
    fn group_member(&self, machine: &str) -> ClientConfig {
        let mut config = self.client(&[
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            // An offset below the log's start is loss, and loss is never passed over in silence.
            ("auto.offset.reset", "error"),
            ("partition.assignment.strategy", "range"),
        ]);
        config.set("group.id", format!("{}-{machine}", self.topic_prefix));
        // A static member: a restarted instance takes its partitions back at once, without a rebalance.
        config.set("group.instance.id", format!("{machine}-{}", self.instance));
        for (name, value) in [
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "2000"),
            ("queued.max.messages.kbytes", "16384"),
        ] {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        }
        config
    }

    /// The producer of one shell.
    fn transactional(&self, machine: &str) -> ClientConfig {
        let mut config = self.client(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            // Only a live transaction counts; a dead processor's open one holds readers back no longer than this.
            ("transaction.timeout.ms", "10000"),
        ]);
        config.set("transactional.id", format!("{}-{machine}-{}", self.topic_prefix, self.instance));
        for (name, value) in [("compression.codec", "lz4"), ("linger.ms", "5"), ("queue.buffering.max.kbytes", "65536")]
        {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        }
        config
    }
}

/// What rebalances leave for the shell to see.
struct Membership {
    owned: Mutex<Option<BTreeSet<i32>>>,
}

impl Membership {
    fn set(&self, owned: BTreeSet<i32>) {
        *self.owned.lock().unwrap_or_else(PoisonError::into_inner) = Some(owned);
    }

    fn take(&self) -> Option<BTreeSet<i32>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct GroupContext(Arc<Membership>);

impl ClientContext for GroupContext {
    fn error(&self, error: KafkaError, reason: &str) {
        note(&error, reason);
    }
}

impl ConsumerContext for GroupContext {
    /// Only notes new partitions: the shell loads their machines first and then names the offsets, in
    /// [`Log::start_at`]. (Assigning here and again there trips an assertion in librdkafka 2.12:
    /// `rd_kafka_assignment_partition_stopped`.)
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.0.set(list.elements().iter().map(|element| element.partition()).collect());
            return;
        }
        self.0.set(BTreeSet::new());
        if let Err(error) = consumer.unassign() {
            tracing::error!(%error, "librdkafka did not give up the revoked partitions");
        }
    }
}

/// One shell's view of Kafka.
pub struct KafkaLog {
    config: KafkaConfig,
    machine: &'static str,
    input: Topic,
    membership: Arc<Membership>,
    consumer: BaseConsumer<GroupContext>,
    producer: Option<BaseProducer>,
    /// True once librdkafka fetches the partitions of the current assignment.
    fetching: bool,
    at_end: BTreeSet<i32>,
}

impl KafkaLog {
    /// Joins the group of `machine`, which reads `input`. Reaches no broker yet.
    ///
    /// # Errors
    /// [`LogError::Fatal`] where librdkafka refuses the configuration.
    pub fn open(config: &KafkaConfig, machine: &'static str, input: Topic) -> Result<KafkaLog, LogError> {
        let membership = Arc::new(Membership { owned: Mutex::new(None) });
        let consumer =
            BaseConsumer::from_config_and_context(&config.group_member(machine), GroupContext(Arc::clone(&membership)))
                .map_err(|e| LogError::Fatal(format!("[kafka] in the configuration: {e}")))?;
        let topic = input.name(&config.topic_prefix);
        consumer.subscribe(&[&topic]).map_err(|e| LogError::Fatal(format!("topic {topic}: {e}")))?;
        Ok(KafkaLog {
            config: config.clone(),
            machine,
            input,
            membership,
            consumer,
            producer: None,
            fetching: false,
            at_end: BTreeSet::new(),
        })
    }

    fn input_name(&self) -> String {
        self.input.name(&self.config.topic_prefix)
    }

    fn failed(&self, doing: &str, error: &KafkaError) -> LogError {
        explain(self.config.brokers(), &self.input_name(), doing, error)
    }

    fn list(&self, positions: impl IntoIterator<Item = (i32, Offset)>) -> Result<TopicPartitionList, LogError> {
        let topic = self.input_name();
        let mut list = TopicPartitionList::new();
        for (partition, offset) in positions {
            list.add_partition_offset(&topic, partition, offset).map_err(|e| self.failed("naming offsets", &e))?;
        }
        Ok(list)
    }

    /// The producer, initialised: from here on no older instance of the same name can commit.
    fn producer(&mut self) -> Result<&BaseProducer, LogError> {
        if self.producer.is_none() {
            let producer: BaseProducer =
                self.config.transactional(self.machine).create().map_err(|e| self.failed("making a producer", &e))?;
            producer.init_transactions(CALL_TIMEOUT).map_err(|e| self.failed("ending earlier transactions", &e))?;
            tracing::debug!(machine = self.machine, "transactional producer ready");
            self.producer = Some(producer);
        }
        self.producer.as_ref().ok_or_else(|| LogError::Retry("no producer".to_owned()))
    }

    fn transact(&mut self, writes: &[Write], next: &BTreeMap<i32, i64>) -> Result<(), LogError> {
        let offsets = self.list(next.iter().map(|(&partition, &offset)| (partition, Offset::Offset(offset))))?;
        let group = self
            .consumer
            .group_metadata()
            .ok_or_else(|| LogError::Retry("no longer a member of the consumer group".to_owned()))?;
        let names: BTreeMap<Topic, String> =
            Topic::ALL.iter().map(|topic| (*topic, topic.name(&self.config.topic_prefix))).collect();
        let brokers = self.config.brokers().to_owned();
        let input = self.input_name();
        let failed = |doing: &str, error: &KafkaError| explain(&brokers, &input, doing, error);
        let producer = self.producer()?;
        producer.begin_transaction().map_err(|e| failed("beginning a transaction", &e))?;
        let until = Instant::now() + CALL_TIMEOUT;
        for write in writes {
            enqueue(producer, &names[&write.topic], write, until).map_err(|e| failed("writing", &e))?;
        }
        if !next.is_empty() {
            producer
                .send_offsets_to_transaction(&offsets, &group, CALL_TIMEOUT)
                .map_err(|e| failed("sending offsets to the transaction", &e))?;
        }
        producer.commit_transaction(CALL_TIMEOUT).map_err(|e| failed("committing a transaction", &e))
    }
}

fn enqueue(producer: &BaseProducer, topic: &str, write: &Write, until: Instant) -> Result<(), KafkaError> {
    let mut record = BaseRecord::<str, [u8]>::to(topic)
        .partition(write.partition)
        .key(write.key.as_str())
        .timestamp(write.timestamp_ms);
    if let Some(value) = &write.value {
        record = record.payload(value.as_slice());
    }
    if let Some(header) = &write.header {
        record = record.headers(OwnedHeaders::new_with_capacity(1).insert(Header { key: HEADER, value: Some(header) }));
    }
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) if Instant::now() < until => {
                producer.poll(Duration::from_millis(50));
                record = again;
            }
            Err((error, _)) => return Err(error),
        }
    }
}

impl Log for KafkaLog {
    fn partitions(&mut self) -> Result<i32, LogError> {
        let topic = self.input_name();
        let metadata = self
            .consumer
            .fetch_metadata(Some(&topic), CALL_TIMEOUT)
            .map_err(|e| self.failed("asking for its partitions", &e))?;
        let count = metadata.topics().first().map_or(0, |found| found.partitions().len());
        if count == 0 {
            return Err(missing_topic(self.config.brokers(), &topic));
        }
        i32::try_from(count).map_err(|_| LogError::Fatal(format!("topic {topic}: {count} partitions are too many")))
    }

    fn poll(&mut self, records_max: usize, wait: Duration) -> Result<Polled, LogError> {
        let mut records = Vec::new();
        let mut until = Instant::now() + wait;
        while records.len() < records_max {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.consumer.poll(left);
            if let Some(owned) = self.membership.take() {
                // What was read before belongs to the assignment before; the committed offsets bring it again.
                self.at_end.clear();
                self.fetching = false;
                return Ok(Polled { owned: Some(owned), ..Polled::default() });
            }
            match message {
                None if left.is_zero() => break,
                None => {}
                Some(Ok(message)) => {
                    self.at_end.remove(&message.partition());
                    if records.is_empty() {
                        until = until.min(Instant::now() + BATCH_AGE_MAX);
                    }
                    records.push(to_record(&message));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(self.at_end.insert(partition)),
                Some(Err(error)) if is_passing(&error) => {
                    tracing::warn!(broker = self.config.brokers(), %error, "Kafka is not answering; waiting for it");
                }
                Some(Err(error)) => return Err(self.failed("reading", &error)),
            }
        }
        Ok(Polled { owned: None, records, at_end: self.at_end.clone() })
    }

    fn committed(&mut self, partition: i32) -> Result<Option<i64>, LogError> {
        let list = self.list([(partition, Offset::Invalid)])?;
        let committed = self
            .consumer
            .committed_offsets(list, CALL_TIMEOUT)
            .map_err(|e| self.failed("asking for the committed offset", &e))?;
        Ok(committed.elements().first().and_then(|element| match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }))
    }

    fn oldest(&mut self, partition: i32) -> Result<i64, LogError> {
        let (low, _) = self
            .consumer
            .fetch_watermarks(&self.input_name(), partition, CALL_TIMEOUT)
            .map_err(|e| self.failed("asking for the oldest offset", &e))?;
        Ok(low)
    }

    fn start_at(&mut self, positions: &BTreeMap<i32, i64>) -> Result<(), LogError> {
        self.at_end.clear();
        if positions.is_empty() {
            return Ok(());
        }
        let list = self.list(positions.iter().map(|(&partition, &offset)| (partition, Offset::Offset(offset))))?;
        let moved = if self.fetching {
            self.consumer
                .seek_partitions(list, CALL_TIMEOUT)
                .and_then(|list| list.elements().iter().try_for_each(|element| element.error()))
        } else {
            self.consumer.assign(&list)
        };
        self.fetching |= moved.is_ok();
        moved.map_err(|e| self.failed("moving to the committed offsets", &e))
    }

    fn commit(&mut self, writes: &[Write], next: &BTreeMap<i32, i64>) -> Result<(), LogError> {
        let outcome = self.transact(writes, next);
        if outcome.is_err() {
            // Whether it was committed is unknown after a time-out. A new producer's `init_transactions` settles it,
            // and the committed offset then says which it was.
            if let Some(producer) = self.producer.take()
                && let Err(error) = producer.abort_transaction(CALL_TIMEOUT)
            {
                tracing::debug!(%error, "abort after a failed transaction");
            }
        }
        outcome
    }

    fn read_state(&mut self, partition: i32) -> Result<BTreeMap<String, Vec<u8>>, LogError> {
        // A dead predecessor's open transaction would hide what stands behind it: end it first.
        self.producer()?;
        let mut latest = BTreeMap::new();
        for record in PartitionReader::open(&self.config, Topic::State, partition)? {
            let record = record?;
            let key = String::from_utf8_lossy(&record.key).into_owned();
            if record.value.is_empty() { drop(latest.remove(&key)) } else { drop(latest.insert(key, record.value)) }
        }
        Ok(latest)
    }

    fn not_needed_below(&mut self, _partition: i32, _offset: i64) -> Result<(), LogError> {
        Ok(())
    }
}

/// The context of a consumer without a group.
struct ReaderContext;

impl ClientContext for ReaderContext {
    fn error(&self, error: KafkaError, reason: &str) {
        note(&error, reason);
    }
}

impl ConsumerContext for ReaderContext {}

/// What librdkafka says of its own accord. The end of a partition is no error, and what fails is returned as well.
fn note(error: &KafkaError, reason: &str) {
    if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
        tracing::debug!(%error, reason, "librdkafka");
    }
}

/// Everything in one partition, read committed, from its oldest record to the end that it had when this began.
pub struct PartitionReader {
    consumer: BaseConsumer<ReaderContext>,
    brokers: String,
    topic: String,
    partition: i32,
    /// The end offset when reading began: what comes later is not waited for.
    end: i64,
    ended: bool,
}

impl PartitionReader {
    /// Opens a partition of `topic` under the configured prefix.
    ///
    /// # Errors
    /// [`LogError`], naming broker and topic.
    pub fn open(config: &KafkaConfig, topic: Topic, partition: i32) -> Result<PartitionReader, LogError> {
        let topic = topic.name(&config.topic_prefix);
        let failed = |doing: &str, error: &KafkaError| explain(config.brokers(), &topic, doing, error);
        let properties = config.client(&[
            ("group.id", "wulog-reader"), // librdkafka wants one; nothing is ever committed with it
            ("enable.auto.commit", "false"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "earliest"),
            ("queued.max.messages.kbytes", "4096"),
        ]);
        let consumer = BaseConsumer::from_config_and_context(&properties, ReaderContext)
            .map_err(|e| failed("making a consumer", &e))?;
        let (_, end) = consumer
            .fetch_watermarks(&topic, partition, CALL_TIMEOUT)
            .map_err(|e| failed("asking for its end offset", &e))?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, partition, Offset::Beginning).map_err(|e| failed("naming offsets", &e))?;
        consumer.assign(&list).map_err(|e| failed("opening it", &e))?;
        Ok(PartitionReader { consumer, brokers: config.brokers().to_owned(), topic, partition, end, ended: false })
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

impl Iterator for PartitionReader {
    type Item = Result<Record, LogError>;

    fn next(&mut self) -> Option<Result<Record, LogError>> {
        let read = self.read();
        self.ended |= read.is_err();
        read.transpose()
    }
}

fn to_record(message: &BorrowedMessage<'_>) -> Record {
    let header = message.headers().and_then(|headers| {
        headers.iter().find(|header| header.key == HEADER).and_then(|header| header.value.map(<[u8]>::to_vec))
    });
    Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
        key: message.key().unwrap_or_default().to_vec(),
        header,
        value: message.payload().unwrap_or_default().to_vec(),
    }
}

/// Errors that librdkafka reports while it goes on trying by itself.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::NetworkException
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::NotCoordinator
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
        )
    )
}

fn missing_topic(brokers: &str, topic: &str) -> LogError {
    LogError::Fatal(format!(
        "topic {topic} does not exist at {brokers}: make it with `wulog-processor topics create --config FILE`"
    ))
}

/// What a Kafka error means for the shell, in words that name the place.
pub(crate) fn explain(brokers: &str, topic: &str, doing: &str, error: &KafkaError) -> LogError {
    use RDKafkaErrorCode as Code;
    let code = match error {
        KafkaError::Transaction(inner) => Some(inner.code()),
        other => other.rdkafka_error_code(),
    };
    let text = match error {
        KafkaError::Transaction(inner) => inner.string(),
        other => other.to_string(),
    };
    match code {
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
            missing_topic(brokers, topic)
        }
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => LogError::Fatal(format!(
            "topic {topic}: the committed offset is older than what Kafka still holds ({text}): records were deleted before they were \
             processed; to go on without them reset the group's offset with `kafka-consumer-groups --reset-offsets --to-earliest`, and raise retention.ms"
        )),
        Some(
            Code::SaslAuthenticationFailed
            | Code::Authentication
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::UnsupportedSASLMechanism,
        ) => LogError::Fatal(format!(
            "topic {topic} at {brokers}: {doing} was refused: {text}; check the credentials in [kafka] and the ACLs of this principal"
        )),
        Some(Code::Fenced | Code::FencedInstanceId | Code::ProducerFenced | Code::InvalidProducerEpoch) => {
            LogError::Retry(format!(
                "topic {topic}: another processor runs under the same instance name ({text}); give each its own `instance`"
            ))
        }
        Some(Code::MessageSizeTooLarge) => LogError::Fatal(format!(
            "topic {topic} at {brokers}: {doing}: {text}; raise the topic's max.message.bytes to at least 1 MiB"
        )),
        _ => LogError::Retry(format!("topic {topic} at {brokers}: {doing} failed: {text}")),
    }
}
