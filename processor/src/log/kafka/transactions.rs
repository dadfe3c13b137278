//! Outputs and input offsets, written together or not at all.
//!
//! After any failure, and after any outage, the producer is made anew: it ends what the old one left behind, and the shell
//! loads its machines from the committed offsets.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use wulog_schemas::raw::HEADER;
use wulog_schemas::topic::Topic;

use super::clients::{GroupContext, Quiet, positions};
use super::config::KafkaConfig;
use super::errors::explain;
use super::{CALL_TIMEOUT, LOOK_TIMEOUT, TRANSACTION_TIMEOUT};
use crate::log::{LogError, Write};

/// The transactions of one shell.
pub(super) struct Transactions {
    config: KafkaConfig,
    machine: &'static str,
    input: String,
    producer: Option<Arc<BaseProducer<Quiet>>>,
}

impl Transactions {
    pub(super) fn new(config: &KafkaConfig, machine: &'static str, input: Topic) -> Transactions {
        Transactions { config: config.clone(), machine, input: input.name(&config.topic_prefix), producer: None }
    }

    fn failed(&self, doing: &str, error: &KafkaError) -> LogError {
        explain(self.config.brokers(), &self.input, doing, error)
    }

    /// Has the next transaction begin with a new producer.
    pub(super) fn renew(&mut self) {
        self.producer = None;
    }

    /// Ends what an older producer of this instance left open, where this one has not done so yet.
    pub(super) fn end_earlier(&mut self, member: &BaseConsumer<GroupContext>) -> Result<(), LogError> {
        self.producer(member).map(|_| ())
    }

    /// The producer, initialised: from here on no older one of the same name can commit.
    fn producer(&mut self, member: &BaseConsumer<GroupContext>) -> Result<&Arc<BaseProducer<Quiet>>, LogError> {
        if self.producer.is_none() {
            let producer = BaseProducer::from_config_and_context(&self.config.transactional(self.machine), Quiet)
                .map_err(|e| self.failed("making a producer", &e))?;
            producer.init_transactions(CALL_TIMEOUT).map_err(|e| self.failed("ending earlier transactions", &e))?;
            let producer = Arc::new(producer);
            self.end_forgotten(&producer, member)?;
            tracing::debug!(machine = self.machine, "transactional producer ready");
            self.producer = Some(producer);
        }
        self.producer.as_ref().ok_or_else(|| LogError::Retry("no producer".to_owned()))
    }

    /// Ends what Kafka takes for ended and has not told those who wait for its end: a broker that starts again after a crash
    /// may pass over partitions that it does not know yet ("likely deleted already" in its log, seen with 4.3). The group then
    /// never says what is committed, and readers wait where the transaction began. The next end of a transaction of this
    /// producer in a partition ends there also what was forgotten. So one is begun in every partition, and aborted: what it
    /// writes nobody sees, and the offset that it names is nobody's.
    fn end_forgotten(
        &self,
        producer: &Arc<BaseProducer<Quiet>>,
        member: &BaseConsumer<GroupContext>,
    ) -> Result<(), LogError> {
        let failed = |error: &KafkaError| self.failed("ending forgotten transactions", error);
        let group = group_of(member)?;
        let nobodys = positions(&Topic::State.name(&self.config.topic_prefix), [(0, Offset::Offset(0))]);
        producer.begin_transaction().map_err(|e| failed(&e))?;
        send_offsets(producer, nobodys.map_err(|e| failed(&e))?, group).map_err(|e| failed(&e))?;
        for topic in Topic::ALL.map(|topic| topic.name(&self.config.topic_prefix)) {
            let metadata = producer.client().fetch_metadata(Some(&topic), LOOK_TIMEOUT).map_err(|e| failed(&e))?;
            // A partition without a leader would hold up the transaction's end, and what comes after it.
            let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions).filter(|it| it.leader() >= 0);
            for partition in partitions {
                let record = BaseRecord::<str, [u8]>::to(&topic).partition(partition.id()).key("never committed");
                producer.send(record).map_err(|(e, _)| failed(&e))?;
            }
        }
        // What is not written in this time is not told; the others are.
        if let Err(error) = producer.flush(LOOK_TIMEOUT) {
            tracing::debug!(machine = self.machine, %error, "not every partition took what ends forgotten transactions");
        }
        producer.abort_transaction(CALL_TIMEOUT).map_err(|e| failed(&e))
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
        let brokers = self.config.brokers().to_owned();
        let input = self.input.clone();
        let failed = |doing: &str, error: &KafkaError| explain(&brokers, &input, doing, error);
        let producer = self.producer(member)?;
        producer.begin_transaction().map_err(|e| failed("beginning a transaction", &e))?;
        let until = Instant::now() + CALL_TIMEOUT;
        for write in writes {
            enqueue(producer, &names[&write.topic], write, until).map_err(|e| failed("writing", &e))?;
        }
        if !next.is_empty() {
            send_offsets(producer, offsets, group).map_err(|e| failed("sending offsets to the transaction", &e))?;
        }
        producer.commit_transaction(CALL_TIMEOUT).map_err(|e| failed("committing a transaction", &e))?;
        // Delivery reports hold their records in memory until they are looked at; the commit has told all that they say.
        while producer.in_flight_count() > 0 && Instant::now() < until {
            producer.poll(Duration::ZERO);
        }
        Ok(())
    }

    /// Makes `writes` and the input offsets `next` visible together.
    pub(super) fn commit(
        &mut self,
        member: &BaseConsumer<GroupContext>,
        writes: &[Write],
        next: &BTreeMap<i32, i64>,
    ) -> Result<(), LogError> {
        let outcome = self.transact(member, writes, next);
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
}

fn group_of(member: &BaseConsumer<GroupContext>) -> Result<ConsumerGroupMetadata, LogError> {
    member.group_metadata().ok_or_else(|| LogError::Retry("no longer a member of the consumer group".to_owned()))
}

/// Names the input offsets in the open transaction. librdkafka asks the group's coordinator without end where the connection
/// to it changes at the wrong moment (its issue 5456), which would hold up the processor and also its stop. So the question
/// has a thread of its own, and whoever asks does not wait longer than the transaction may last. Whether the offsets were named
/// then does not matter: a new producer ends the transaction, and what is still said for the old one is refused.
fn send_offsets(
    producer: &Arc<BaseProducer<Quiet>>,
    offsets: TopicPartitionList,
    group: ConsumerGroupMetadata,
) -> Result<(), KafkaError> {
    let (answer, answered) = mpsc::sync_channel(1);
    let asking = Arc::clone(producer);
    thread::spawn(move || {
        // Nobody hears an answer that comes too late.
        let _ = answer.send(asking.send_offsets_to_transaction(&offsets, &group, TRANSACTION_TIMEOUT));
    });
    let timed_out = KafkaError::MessageProduction(RDKafkaErrorCode::OperationTimedOut);
    answered.recv_timeout(TRANSACTION_TIMEOUT).unwrap_or(Err(timed_out))
}

fn enqueue(producer: &BaseProducer<Quiet>, topic: &str, write: &Write, until: Instant) -> Result<(), KafkaError> {
    let mut record =
        BaseRecord::<str, [u8]>::to(topic).partition(write.partition).key(&*write.key).timestamp(write.timestamp_ms);
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

    /// librdkafka's own call waits here for ever, whatever its timeout.
    #[test]
    fn a_commit_does_not_wait_longer_than_its_transaction_for_a_coordinator_that_is_away() {
        let cluster = MockCluster::new(2).expect("a mock cluster needs only ports");
        let config = KafkaConfig {
            properties: BTreeMap::from([("bootstrap.servers".to_owned(), cluster.bootstrap_servers())]),
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
