//! What the mock's topic holds.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// All messages of `wulog.raw`, in order; each may take `patience`.
pub(crate) fn messages(bootstrap: &str, patience: Duration) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "test")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut place = TopicPartitionList::new();
    place.add_partition_offset("wulog.raw", 0, Offset::Beginning).unwrap();
    consumer.assign(&place).unwrap();
    let mut messages = Vec::new();
    loop {
        match consumer.poll(patience).expect("the mock answers") {
            Ok(message) => messages.push(message.detach()),
            Err(KafkaError::PartitionEOF(_)) => return messages,
            Err(error) => panic!("{error}"),
        }
    }
}
