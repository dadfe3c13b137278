//! Outputs and input offsets, written together or not at all.
//!
//! After any failure the producer is recreated: `init_transactions` ends the transaction of the old producer, and the
//! shell loads its machines from the committed offsets.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use wulog_schemas::raw::HEADER;
use wulog_schemas::topic::Topic;

use super::clients::{Deliveries, GroupContext, positions};
use super::config::KafkaConfig;
use super::errors::explain;
use super::{CALL_TIMEOUT, TRANSACTION_TIMEOUT};
use crate::log::{LogError, Write};

/// The transactions of one shell.
pub(super) struct Transactions {
    config: KafkaConfig,
    machine: &'static str,
    input: String,
    producer: Option<Arc<BaseProducer<Deliveries>>>,
    /// True once a topic has refused a batch: later batches are small, so that the record that is too large is found.
    small_batches: bool,
    /// True where the last transaction failed because a broker refused a batch.
    batch_refused: bool,
}

/// Batch size for a topic that refuses larger batches. A larger record is sent alone.
const SMALL_BATCH_BYTES: &str = "16384";

impl Transactions {
    pub(super) fn new(config: &KafkaConfig, machine: &'static str, input: Topic) -> Transactions {
        Transactions {
            config: config.clone(),
            machine,
            input: input.name(&config.topic_prefix),
            producer: None,
            small_batches: false,
            batch_refused: false,
        }
    }

    fn failed(&self, doing: &str, error: &KafkaError) -> LogError {
        explain(self.config.brokers(), &self.input, doing, error)
    }

    /// Ends the open transaction of an older instance with the same name, once.
    pub(super) fn end_earlier(&mut self) -> Result<(), LogError> {
        self.producer().map(|_| ())
    }

    /// The initialised producer: from here on no older instance with the same name can commit.
    fn producer(&mut self) -> Result<Arc<BaseProducer<Deliveries>>, LogError> {
        if let Some(producer) = &self.producer {
            return Ok(Arc::clone(producer));
        }
        let mut properties = self.config.transactional(self.machine);
        if self.small_batches {
            properties.set("batch.size", SMALL_BATCH_BYTES);
        }
        let producer = BaseProducer::from_config_and_context(&properties, Deliveries::default())
            .map_err(|e| self.failed("making a producer", &e))?;
        producer.init_transactions(CALL_TIMEOUT).map_err(|e| self.failed("ending earlier transactions", &e))?;
        tracing::debug!(machine = self.machine, "transactional producer ready");
        Ok(Arc::clone(self.producer.insert(Arc::new(producer))))
    }

    fn transact(
        &mut self,
        member: &BaseConsumer<GroupContext>,
        writes: &[Write],
        next: &BTreeMap<i32, i64>,
    ) -> Result<(), LogError> {
        let offsets = next.iter().map(|(&partition, &offset)| (partition, Offset::Offset(offset)));
        let offsets = positions(&self.input, offsets).map_err(|e| self.failed("naming offsets", &e))?;
        let group = group_of(member)?;
        let names: BTreeMap<Topic, String> =
            Topic::ALL.iter().map(|topic| (*topic, topic.name(&self.config.topic_prefix))).collect();
        let producer = self.producer()?;
        producer.begin_transaction().map_err(|e| self.failed("beginning a transaction", &e))?;
        let until = Instant::now() + CALL_TIMEOUT;
        for (place, write) in writes.iter().enumerate() {
            let topic = &names[&write.topic];
            enqueue(&producer, topic, write, place, until).map_err(|e| match e {
                KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge) => LogError::Refused {
                    places: vec![place],
                    why: format!("topic {topic}: librdkafka takes no record of this size; its message.max.bytes in [kafka] says how large one may be"),
                },
                other => self.failed("writing", &other),
            })?;
        }
        if !next.is_empty() {
            send_offsets(&producer, offsets, group)
                .map_err(|e| self.failed("sending offsets to the transaction", &e))?;
        }
        if let Err(error) = producer.commit_transaction(CALL_TIMEOUT) {
            return Err(self.commit_failed(&producer, &error, until));
        }
        // Delivery reports keep their records in memory until they are polled; after the commit their contents are
        // known.
        while producer.in_flight_count() > 0 && Instant::now() < until {
            producer.poll(Duration::ZERO);
        }
        Ok(())
    }

    /// The reason for which a transaction was not committed: the refused records, if there are any.
    fn commit_failed(&mut self, producer: &BaseProducer<Deliveries>, error: &KafkaError, until: Instant) -> LogError {
        while producer.in_flight_count() > 0 && Instant::now() < until {
            producer.poll(Duration::from_millis(10));
        }
        producer.poll(Duration::ZERO);
        let places = producer.context().take_too_large();
        if places.is_empty() {
            return self.failed("committing a transaction", error);
        }
        self.batch_refused = true;
        let brokers = self.config.brokers();
        LogError::Refused { places, why: format!("{brokers}: larger than the topic's max.message.bytes") }
    }

    /// Makes `writes` and the input offsets `next` visible together.
    pub(super) fn commit(
        &mut self,
        member: &BaseConsumer<GroupContext>,
        writes: &[Write],
        next: &BTreeMap<i32, i64>,
    ) -> Result<(), LogError> {
        let outcome = self.transact(member, writes, next);
        let may_be_a_batch = std::mem::take(&mut self.batch_refused) && !self.small_batches;
        if outcome.is_err() {
            // After a time-out the outcome of the commit is unknown. A new producer's `init_transactions` decides it,
            // and the committed offset then shows the outcome.
            if let Some(producer) = self.producer.take()
                && let Err(error) = producer.abort_transaction(CALL_TIMEOUT)
            {
                tracing::debug!(%error, "abort after a failed transaction");
            }
        }
        if may_be_a_batch {
            // The topic refused a batch as a whole; perhaps no single record is too large.
            tracing::warn!(
                machine = self.machine,
                "a topic refuses batches of the usual size; going on with small ones"
            );
            self.small_batches = true;
            return self.commit(member, writes, next);
        }
        outcome
    }

    /// Closes a transaction that Kafka lost: the coordinator accepts any end marker of this producer, so the function
    /// begins and aborts an empty transaction. The transaction names an offset that no reader uses.
    pub(super) fn end_forgotten(&mut self, member: &BaseConsumer<GroupContext>) -> Result<(), LogError> {
        let group = group_of(member)?;
        let topic = Topic::State.name(&self.config.topic_prefix);
        let nobodys = positions(&topic, [(0, Offset::Offset(0))]).map_err(|e| self.failed("naming offsets", &e))?;
        let producer = self.producer()?;
        let ended = producer
            .begin_transaction()
            .and_then(|()| send_offsets(&producer, nobodys, group))
            .and_then(|()| producer.abort_transaction(CALL_TIMEOUT));
        ended.map_err(|error| {
            self.producer = None;
            self.failed("ending a forgotten transaction", &error)
        })
    }
}

fn group_of(member: &BaseConsumer<GroupContext>) -> Result<ConsumerGroupMetadata, LogError> {
    member.group_metadata().ok_or_else(|| LogError::Retry("no longer a member of the consumer group".to_owned()))
}

/// Names the input offsets in the open transaction. librdkafka asks the group's coordinator without end where the
/// connection to it changes at the wrong moment (its issue 5456), which would block the processor and also its stop. So
/// the call runs in a thread of its own, and the caller waits no longer than the transaction may last. The outcome does
/// not matter then: a new producer ends the transaction, and Kafka refuses later requests of the old producer.
fn send_offsets(
    producer: &Arc<BaseProducer<Deliveries>>,
    offsets: TopicPartitionList,
    group: ConsumerGroupMetadata,
) -> Result<(), KafkaError> {
    let (answer, answered) = mpsc::sync_channel(1);
    let asking = Arc::clone(producer);
    thread::spawn(move || {
        // A late answer has no receiver.
        let _ = answer.send(asking.send_offsets_to_transaction(&offsets, &group, TRANSACTION_TIMEOUT));
    });
    let timed_out = KafkaError::MessageProduction(RDKafkaErrorCode::OperationTimedOut);
    answered.recv_timeout(TRANSACTION_TIMEOUT).unwrap_or(Err(timed_out))
}

fn enqueue(
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    write: &Write,
    place: usize,
    until: Instant,
) -> Result<(), KafkaError> {
    let mut record = BaseRecord::<str, [u8], usize>::with_opaque_to(topic, place)
        .partition(write.partition)
        .key(&*write.key)
        .timestamp(write.timestamp_ms);
    if let Some(value) = &write.value {
        record = record.payload(value);
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

#[cfg(test)]
mod tests {
    use rdkafka::mocking::{MockCluster, MockCoordinator};

    use super::super::join;
    use super::*;

    /// librdkafka's own call waits without end here, whatever its timeout.
    #[test]
    fn a_commit_does_not_wait_longer_than_its_transaction_for_a_coordinator_that_is_away() {
        let cluster = MockCluster::new(2).expect("a mock cluster needs only ports");
        let config = KafkaConfig {
            properties: BTreeMap::from([("bootstrap.servers".to_owned(), cluster.bootstrap_servers())]).into(),
            topic_prefix: "t".to_owned(),
            instance: "one".to_owned(),
        };
        Topic::ALL.iter().for_each(|topic| cluster.create_topic(&topic.name("t"), 1, 1).expect("it is new"));
        let transaction = MockCoordinator::Transaction("t-normalizer-one".to_owned());
        cluster.coordinator(transaction, 1).expect("the first broker is there");
        let group = MockCoordinator::Group("t-normalizer".to_owned());
        cluster.coordinator(group, 2).expect("the second broker is there");
        let (member, _) = join(&config, "normalizer", "t.raw").expect("the configuration is valid");
        let mut transactions = Transactions::new(&config, "normalizer", Topic::Raw);
        let mut commit = || transactions.commit(&member, &[], &BTreeMap::from([(0, 1)]));

        commit().expect("both brokers answer");
        cluster.broker_down(2).expect("the second broker is there");
        let began = Instant::now();
        let refused = commit().expect_err("the offsets are with the second broker");
        let LogError::Retry(why) = refused else { panic!("{refused}") };
        assert!(why.contains("sending offsets to the transaction failed"), "{why}");
        assert!(began.elapsed() < 2 * TRANSACTION_TIMEOUT, "{:?}", began.elapsed());
        cluster.broker_up(2).expect("the second broker is there");
        commit().expect("it answers again");
    }
}
