//! The contexts of librdkafka's clients, which receive statistics, errors and rebalances, and questions to the clients.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

/// The context of a client that belongs to no group. Its errors are returned to the caller too, and a broker that is
/// away makes each client report it many times a second, so errors are logged at debug level only.
pub(super) struct UngroupedContext;

impl ClientContext for UngroupedContext {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition is not an error.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::debug!(%error, reason, "librdkafka");
        }
    }
}

impl ConsumerContext for UngroupedContext {}

/// The context of a transactional producer: collects the records that were refused as too large, by their position in
/// the transaction.
#[derive(Default)]
pub(super) struct Deliveries {
    too_large: Mutex<Vec<usize>>,
}

impl Deliveries {
    pub(super) fn take_too_large(&self) -> Vec<usize> {
        std::mem::take(&mut *self.too_large.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        UngroupedContext.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        UngroupedContext.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        if let Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) = result {
            self.too_large.lock().unwrap_or_else(PoisonError::into_inner).push(place);
        }
    }
}

/// The context of a client for the first contact: keeps the reason of a refused login. librdkafka reports a refused
/// login to the caller as brokers that do not answer.
#[derive(Clone, Default)]
pub(crate) struct LoginWatch(Arc<Mutex<Option<String>>>);

impl LoginWatch {
    /// The reason that the broker gave for refusing the login, if it refused it.
    pub(crate) fn refused(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for LoginWatch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        UngroupedContext.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
        UngroupedContext.error(error, reason);
    }
}

impl ConsumerContext for LoginWatch {}

/// The effect of a rebalance on this member of the group.
pub(super) enum Rebalance {
    /// The member owns these partitions now; the set may be empty, if there are more members than partitions.
    Assigned(BTreeSet<i32>),
    /// The member has given up its partitions.
    Revoked,
}

/// Notes of rebalances for the shell.
#[derive(Default)]
pub(super) struct Membership {
    last: Mutex<Option<Rebalance>>,
    /// The end of each fetched partition, by topic, from librdkafka's statistics.
    ends: Mutex<BTreeMap<String, BTreeMap<i32, i64>>>,
}

impl Membership {
    pub(super) fn set(&self, rebalance: Rebalance) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(rebalance);
    }

    /// The ends of the partitions of a topic that this member fetches, at most [`STATISTICS_EVERY_MS`] old.
    pub(super) fn ends(&self, topic: &str) -> BTreeMap<i32, i64> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).get(topic).cloned().unwrap_or_default()
    }

    pub(super) fn take(&self) -> Option<Rebalance> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The context of a consumer that is a member of a group.
pub(super) struct GroupContext(pub(super) Arc<Membership>);

/// Interval of librdkafka's statistics.
pub(super) const STATISTICS_EVERY_MS: &str = "5000";

impl ClientContext for GroupContext {
    fn stats(&self, statistics: Statistics) {
        // -1 and less stand for an unknown end.
        let ends = |topic: rdkafka::statistics::Topic| {
            let known =
                topic.partitions.into_iter().filter(|(number, partition)| *number >= 0 && partition.hi_offset >= 0);
            known.map(|(number, partition)| (number, partition.hi_offset)).collect()
        };
        let ends = statistics.topics.into_iter().map(|(name, topic)| (name, ends(topic))).collect();
        *self.0.ends.lock().unwrap_or_else(PoisonError::into_inner) = ends;
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        UngroupedContext.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        UngroupedContext.error(error, reason);
    }
}

impl ConsumerContext for GroupContext {
    /// Only notes new partitions: the shell loads their machines first and then names the offsets, in
    /// [`Log::start_at`](crate::log::Log::start_at). (Assigning here and again there trips an assertion in librdkafka 2.12:
    /// `rd_kafka_assignment_partition_stopped`.)
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.0.set(Rebalance::Assigned(list.elements().iter().map(|element| element.partition()).collect()));
            return;
        }
        self.0.set(Rebalance::Revoked);
        if let Err(error) = consumer.unassign() {
            tracing::error!(%error, "librdkafka did not give up the revoked partitions");
        }
    }
}

/// Offsets of partitions of one topic, in librdkafka's type.
pub(super) fn positions(
    topic: &str,
    positions: impl IntoIterator<Item = (i32, Offset)>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in positions {
        list.add_partition_offset(topic, partition, offset)?;
    }
    Ok(list)
}

/// The committed offsets of the consumer's group for those of these partitions that have one.
pub(super) fn committed(
    consumer: &BaseConsumer<impl ConsumerContext>,
    topic: &str,
    partitions: &BTreeSet<i32>,
    timeout: Duration,
) -> KafkaResult<BTreeMap<i32, i64>> {
    let list = positions(topic, partitions.iter().map(|&partition| (partition, Offset::Invalid)))?;
    let mut committed = BTreeMap::new();
    for element in consumer.committed_offsets(list, timeout)?.elements() {
        // An error for one partition does not mean "no committed offset", after which reading would begin at the oldest
        // record.
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            committed.insert(element.partition(), offset);
        }
    }
    Ok(committed)
}
