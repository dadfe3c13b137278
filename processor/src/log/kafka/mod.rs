//! The log on Kafka. Only this module names librdkafka's properties.
//!
//! The shell's own thread polls the consumer, and a transaction never spans two polls, so a rebalance finds no
//! transaction open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::Offset;
use wulog_schemas::raw::HEADER;
use wulog_schemas::topic::Topic;

use super::{Log, LogError, Polled, Record, Write};

mod align;
mod channel;
mod clients;
mod config;
mod errors;
mod order;
mod reader;
mod surroundings;
mod transactions;

pub use channel::{KafkaBystander, KafkaQueue, append};
pub(crate) use clients::LoginWatch;
pub use config::KafkaConfig;
pub(crate) use errors::explain;
pub use reader::{PartitionReader, PartitionTail};
pub use surroundings::{PartitionOwner, Surroundings, surroundings};

use align::Alignment;
use clients::{GroupContext, Membership, Rebalance, UngroupedContext};
use errors::{Outage, in_configuration, is_passing, missing_topic};
use order::InOrder;
use transactions::Transactions;

/// How long a call to a broker may take before it counts as failed and is tried again with new clients.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Maximum duration of an open transaction. The open transaction of a dead processor blocks readers no longer.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of a question: short, since a stop waits for the answer; the question is repeated.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// After this many unanswered offset requests, recover actively.
const UNANSWERED_MAX: u32 = 3;

/// Maximum time for which the other partitions wait for the answer of one.
const ORDER_WAIT_MAX: Duration = Duration::from_secs(2);

/// Maximum number of records that wait for their turn; beyond it records are applied out of turn.
const ORDER_RECORDS_MAX: usize = 100_000;

/// Fetching pauses while this many records wait for other processors.
const HELD_RECORDS_MAX: usize = 20_000;

/// Interval of checks whether the records must still wait.
const HELD_WAIT: Duration = Duration::from_millis(20);

/// A batch ends this long after its first record, so that commits come within 200 ms.
const BATCH_AGE_MAX: Duration = Duration::from_millis(100);

/// The state of librdkafka's fetching for the partitions of this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetching {
    /// The member has no partitions, and expects none.
    Nothing,
    /// The partitions are assigned, and librdkafka waits for their start offsets. Until then it takes no part in a
    /// further rebalance. This holds for a member without partitions too: it could never take over from a member that
    /// dies.
    Awaited,
    /// The partitions are fetched.
    Running,
}

/// A new member of the group of `machine`.
fn join(
    config: &KafkaConfig,
    machine: &'static str,
    topic: &str,
) -> Result<(BaseConsumer<GroupContext>, Arc<Membership>), LogError> {
    let membership = Arc::new(Membership::default());
    let consumer =
        BaseConsumer::from_config_and_context(&config.group_member(machine), GroupContext(Arc::clone(&membership)))
            .map_err(in_configuration)?;
    consumer.subscribe(&[topic]).map_err(|e| LogError::Fatal(format!("topic {topic}: {e}")))?;
    Ok((consumer, membership))
}

/// One shell's view of Kafka.
pub struct KafkaLog {
    config: KafkaConfig,
    machine: &'static str,
    input: Topic,
    membership: Arc<Membership>,
    consumer: BaseConsumer<GroupContext>,
    transactions: Transactions,
    fetching: Fetching,
    /// True while waiting records have filled their limit, so that fetching pauses.
    paused: bool,
    order: InOrder,
    alignment: Alignment,
    partitions: i32,
    outage: Outage,
    /// Number of consecutive unanswered requests for the committed offset.
    unanswered: u32,
}

impl KafkaLog {
    /// Joins the group of `machine`, which reads `input`, without contacting a broker yet.
    ///
    /// # Errors [`LogError::Fatal`] where librdkafka refuses the configuration.
    pub fn open(config: &KafkaConfig, machine: &'static str, input: Topic) -> Result<KafkaLog, LogError> {
        let topic = input.name(&config.topic_prefix);
        let (consumer, membership) = join(config, machine, &topic)?;
        let scout =
            BaseConsumer::from_config_and_context(&config.scout(), UngroupedContext).map_err(in_configuration)?;
        Ok(KafkaLog {
            config: config.clone(),
            machine,
            input,
            membership,
            consumer,
            transactions: Transactions::new(config, machine, input),
            fetching: Fetching::Nothing,
            paused: false,
            order: InOrder::default(),
            alignment: Alignment::new(scout, topic),
            partitions: 0,
            outage: Outage::default(),
            unanswered: 0,
        })
    }

    fn input_name(&self) -> String {
        self.input.name(&self.config.topic_prefix)
    }

    fn failed(&self, doing: &str, error: &KafkaError) -> LogError {
        explain(self.config.brokers(), &self.input_name(), doing, error)
    }

    /// Takes note of a rebalance; returns the partitions that the member owns now.
    fn follow(&mut self, rebalance: Rebalance) -> BTreeSet<i32> {
        // Records that were read before belong to the previous assignment; the committed offsets bring them again.
        self.order.start([]);
        match rebalance {
            Rebalance::Assigned(owned) => {
                self.fetching = Fetching::Awaited;
                owned
            }
            Rebalance::Revoked => {
                self.fetching = Fetching::Nothing;
                BTreeSet::new()
            }
        }
    }

    /// Handles fencing: the group has another member with this consumer's name. After an outage that member is the
    /// consumer's own shadow, since the broker admitted the consumer and its answer was lost. The consumer then joins
    /// again and owns nothing yet.
    fn shut_out(&mut self, error: &KafkaError) -> Result<BTreeSet<i32>, LogError> {
        if !self.outage.was_since_joining() {
            return Err(LogError::Fatal(format!(
                "topic {}: Kafka has shut this consumer out: {error}; does another processor run as instance {:?}?",
                self.input_name(),
                self.config.instance
            )));
        }
        tracing::warn!(machine = self.machine, %error, "out of the consumer group since an outage; joining it again");
        self.join_anew()?;
        Ok(self.follow(Rebalance::Revoked))
    }

    fn join_anew(&mut self) -> Result<(), LogError> {
        (self.consumer, self.membership) = join(&self.config, self.machine, &self.input_name())?;
        self.outage = Outage::default();
        self.paused = false;
        self.unanswered = 0;
        Ok(())
    }

    /// Recovers when the group does not report its committed offsets.
    fn go_on_unanswered(&mut self, partitions: &BTreeSet<i32>, error: &KafkaError) -> Result<(), LogError> {
        let topic = self.input_name();
        let bystander = BaseConsumer::from_config_and_context(&self.config.bystander(self.machine), UngroupedContext)
            .map_err(in_configuration)?;
        if clients::committed(&bystander, &topic, partitions, LOOK_TIMEOUT).is_ok() {
            // A client that does not wait for transactions gets an answer.
            tracing::warn!(
                machine = self.machine,
                topic,
                "Kafka holds back the committed offsets for a transaction that does not end; ending what this instance may \
                 have left open. Where Kafka itself forgot the end of one (see \"likely deleted already\" in its log, after the crash \
                 of a broker), the records of that transaction are processed again. If this is said again and again, it is one of a \
                 processor that is gone: start one with its `instance`, once"
            );
            return self.transactions.end_forgotten(&self.consumer);
        }
        // A consumer that lost its broker between assignment and confirmation never finds its coordinator.
        tracing::warn!(machine = self.machine, %error, "no answer from the consumer group; joining it again");
        self.join_anew()?;
        self.membership.set(Rebalance::Revoked);
        Ok(())
    }

    /// Fetches while there is room. A member that stops polling would be removed from its group.
    fn fetch_while(&mut self, room: bool) -> Result<(), LogError> {
        if room != self.paused || self.fetching != Fetching::Running {
            return Ok(());
        }
        let assigned = self.consumer.assignment().map_err(|e| self.failed("asking for the assignment", &e))?;
        let changed = if room { self.consumer.resume(&assigned) } else { self.consumer.pause(&assigned) };
        changed.map_err(|e| self.failed("pausing or resuming", &e))?;
        self.paused = !room;
        Ok(())
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
        self.partitions = i32::try_from(count)
            .map_err(|_| LogError::Fatal(format!("topic {topic}: {count} partitions are too many")))?;
        Ok(self.partitions)
    }

    fn poll(&mut self, records_max: usize, wait: Duration) -> Result<Polled, LogError> {
        let mut records = Vec::new();
        let began = Instant::now();
        let mut until = began + wait;
        loop {
            let (alignment, consumer) = (&mut self.alignment, &self.consumer);
            let held = self.order.take(&mut records, records_max, |head_ms| alignment.holds(consumer, head_ms));
            if !records.is_empty() {
                until = until.min(Instant::now() + BATCH_AGE_MAX);
            }
            let left = until.saturating_duration_since(Instant::now());
            let waited_out = began.elapsed() >= ORDER_WAIT_MAX || self.order.len() >= ORDER_RECORDS_MAX;
            if records.is_empty() && self.order.is_waiting() && self.order.len() > 0 && waited_out {
                self.order.give_up_waiting();
                continue;
            }
            let waits_for_itself = records.is_empty() && self.order.len() > 0 && !held;
            // Held records wait for other processors, and other processors may wait for the records that are already
            // taken.
            let done = records.len() >= records_max || held && !records.is_empty();
            if done || left.is_zero() && !waits_for_itself {
                return Ok(Polled { owned: None, records, at_end: self.order.at_end() });
            }
            self.fetch_while(!held || self.order.len() < HELD_RECORDS_MAX)?;
            let left = if held { left.min(HELD_WAIT) } else { left };
            let message = self.consumer.poll(left.max(Duration::from_millis(1)));
            if let Some(rebalance) = self.membership.take() {
                return Ok(Polled { owned: Some(self.follow(rebalance)), ..Polled::default() });
            }
            if matches!(message, Some(Ok(_) | Err(KafkaError::PartitionEOF(_)))) {
                self.outage.is_over(self.config.brokers());
            }
            match message {
                None => {}
                Some(Ok(message)) => self.order.push(to_record(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => self.order.end(partition),
                Some(Err(error)) if is_passing(&error) => self.outage.goes_on(self.config.brokers(), &error),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Ok(Polled { owned: Some(self.shut_out(&error)?), ..Polled::default() });
                }
                Some(Err(error)) => return Err(self.failed("reading", &error)),
            }
        }
    }

    fn reassigned(&mut self) -> Result<Option<BTreeSet<i32>>, LogError> {
        // librdkafka's reports of an outage come first in the same queue.
        let until = Instant::now() + BATCH_AGE_MAX;
        while Instant::now() < until {
            let message = self.consumer.poll(HELD_WAIT);
            if let Some(rebalance) = self.membership.take() {
                return Ok(Some(self.follow(rebalance)));
            }
            match message {
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return self.shut_out(&error).map(Some),
                Some(Err(error)) if is_passing(&error) => self.outage.goes_on(self.config.brokers(), &error),
                Some(_) | None => {}
            }
        }
        Ok(None)
    }

    fn committed(&mut self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, i64>, LogError> {
        // While our transaction with offsets is open, Kafka does not report these offsets: end the transaction first.
        self.transactions.end_earlier()?;
        let topic = self.input_name();
        let error = match clients::committed(&self.consumer, &topic, partitions, LOOK_TIMEOUT) {
            Ok(committed) => {
                self.unanswered = 0;
                return Ok(committed);
            }
            Err(error) => error,
        };
        self.unanswered += 1;
        if self.unanswered >= UNANSWERED_MAX {
            self.unanswered = 0;
            self.go_on_unanswered(partitions, &error)?;
        }
        Err(self.failed(&format!("asking for the committed offsets of partitions {partitions:?}"), &error))
    }

    fn oldest(&mut self, partition: i32) -> Result<i64, LogError> {
        let (low, _) = self
            .consumer
            .fetch_watermarks(&self.input_name(), partition, LOOK_TIMEOUT)
            .map_err(|e| self.failed("asking for the oldest offset", &e))?;
        Ok(low)
    }

    fn ends(&mut self) -> BTreeMap<i32, i64> {
        self.membership.ends(&self.input_name())
    }

    fn start_at(&mut self, positions: &BTreeMap<i32, i64>) -> Result<(), LogError> {
        self.order.start(positions.keys().copied());
        self.alignment.start(self.partitions, &positions.keys().copied().collect());
        if self.fetching == Fetching::Nothing {
            return Ok(());
        }
        let list = positions.iter().map(|(&partition, &offset)| (partition, Offset::Offset(offset)));
        let list = clients::positions(&self.input_name(), list).map_err(|e| self.failed("naming offsets", &e))?;
        let moved = if self.fetching == Fetching::Running && positions.is_empty() {
            Ok(())
        } else if self.fetching == Fetching::Running {
            self.consumer
                .seek_partitions(list, CALL_TIMEOUT)
                .and_then(|list| list.elements().iter().try_for_each(|element| element.error()))
        } else {
            self.consumer.assign(&list)
        };
        moved.map_err(|e| self.failed("moving to the committed offsets", &e))?;
        self.fetching = Fetching::Running;
        self.fetch_while(true)
    }

    fn commit(&mut self, writes: &[Write], next: &BTreeMap<i32, i64>) -> Result<(), LogError> {
        self.transactions.commit(&self.consumer, writes, next)
    }

    fn read_state(&mut self, partition: i32) -> Result<BTreeMap<String, Vec<u8>>, LogError> {
        self.read_latest(Topic::State, partition)
    }

    fn read_latest(&mut self, topic: Topic, partition: i32) -> Result<BTreeMap<String, Vec<u8>>, LogError> {
        // The open transaction of a dead predecessor would hide the records behind it: end the transaction first.
        self.transactions.end_earlier()?;
        let mut latest = BTreeMap::new();
        for record in PartitionReader::open(&self.config, topic, partition)? {
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
