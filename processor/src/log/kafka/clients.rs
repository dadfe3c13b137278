//! The contexts of librdkafka's clients: what they say of their own accord, and what rebalances do; and what they are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

/// The context of a client that is nobody's member. What fails is returned as well, and a broker that is away makes each
/// client say so many times a second: all of it is for those who look for it.
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition is no error.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::debug!(%error, reason, "librdkafka");
        }
    }
}

impl ConsumerContext for Quiet {}

impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// What a rebalance did to this member of the group.
pub(super) enum Rebalance {
    /// These partitions are its own now. That may be none, where there are more members than partitions.
    Assigned(BTreeSet<i32>),
    /// It has given up what it had.
    Revoked,
}

/// What rebalances leave for the shell to see.
#[derive(Default)]
pub(super) struct Membership {
    last: Mutex<Option<Rebalance>>,
}

impl Membership {
    pub(super) fn set(&self, rebalance: Rebalance) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(rebalance);
    }

    pub(super) fn take(&self) -> Option<Rebalance> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The context of a consumer that is a member of a group.
pub(super) struct GroupContext(pub(super) Arc<Membership>);

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Quiet.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Quiet.error(error, reason);
    }
}

impl ConsumerContext for GroupContext {
    /// Only notes new partitions: the shell loads their machines first and then names the offsets, in
    /// [`Log::start_at`]. (Assigning here and again there trips an assertion in librdkafka 2.12:
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

/// Offsets in partitions of one topic, as librdkafka takes them.
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

/// The committed offsets of the consumer's group, where these partitions have one.
pub(super) fn committed(
    consumer: &BaseConsumer<impl ConsumerContext>,
    topic: &str,
    partitions: &BTreeSet<i32>,
    timeout: Duration,
) -> KafkaResult<BTreeMap<i32, i64>> {
    let list = positions(topic, partitions.iter().map(|&partition| (partition, Offset::Invalid)))?;
    let mut committed = BTreeMap::new();
    for element in consumer.committed_offsets(list, timeout)?.elements() {
        // A partition of which Kafka does not say is not one without a commit: that is read from its beginning.
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            committed.insert(element.partition(), offset);
        }
    }
    Ok(committed)
}
