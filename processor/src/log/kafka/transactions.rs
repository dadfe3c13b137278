//! Outputs and input offsets, written together or not at all.
//!
//! After any failure the producer is made anew: `init_transactions` ends what the old one left behind, and the shell
//! loads its machines from the committed offsets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::Offset;
use wulog_schemas::raw::HEADER;
use wulog_schemas::topic::Topic;

use super::CALL_TIMEOUT;
use super::clients::{GroupContext, Quiet, positions};
use super::config::KafkaConfig;
use super::errors::explain;
use crate::log::{LogError, Write};

/// The transactions of one shell.
pub(super) struct Transactions {
    config: KafkaConfig,
    machine: &'static str,
    input: String,
    producer: Option<BaseProducer<Quiet>>,
}

impl Transactions {
    pub(super) fn new(config: &KafkaConfig, machine: &'static str, input: Topic) -> Transactions {
        Transactions { config: config.clone(), machine, input: input.name(&config.topic_prefix), producer: None }
    }

    fn failed(&self, doing: &str, error: &KafkaError) -> LogError {
        explain(self.config.brokers(), &self.input, doing, error)
    }

    /// Ends what an older instance of the same name left open, where this one has not done so yet.
    pub(super) fn end_earlier(&mut self) -> Result<(), LogError> {
        self.producer().map(|_| ())
    }

    /// The producer, initialised: from here on no older instance of the same name can commit.
    fn producer(&mut self) -> Result<&BaseProducer<Quiet>, LogError> {
        if self.producer.is_none() {
            let producer = BaseProducer::from_config_and_context(&self.config.transactional(self.machine), Quiet)
                .map_err(|e| self.failed("making a producer", &e))?;
            producer.init_transactions(CALL_TIMEOUT).map_err(|e| self.failed("ending earlier transactions", &e))?;
            tracing::debug!(machine = self.machine, "transactional producer ready");
            self.producer = Some(producer);
        }
        self.producer.as_ref().ok_or_else(|| LogError::Retry("no producer".to_owned()))
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

    /// Ends a transaction that Kafka takes for ended while the group waits for its end: whatever ends for this producer
    /// in the group's partition ends that one too. So one is begun and aborted. The offset that it names is nobody's.
    pub(super) fn end_forgotten(&mut self, member: &BaseConsumer<GroupContext>) -> Result<(), LogError> {
        let group = group_of(member)?;
        let topic = Topic::State.name(&self.config.topic_prefix);
        let nobodys = positions(&topic, [(0, Offset::Offset(0))]).map_err(|e| self.failed("naming offsets", &e))?;
        let producer = self.producer()?;
        let ended = producer
            .begin_transaction()
            .and_then(|()| producer.send_offsets_to_transaction(&nobodys, &group, CALL_TIMEOUT))
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
