//! The brokers' view of the processors of one prefix: owners of partitions, and brokers that are away.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use serde::Serialize;
use wulog_schemas::topic::Topic;

use super::errors::explain;
use super::{KafkaConfig, PartitionTail};
use crate::log::LogError;

/// Timeout of one question to the brokers; only the status page waits for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Length of the random part that Kafka appends to the id of a static member, its dash included.
const MEMBER_SUFFIX: usize = 37;

/// A partition and its owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PartitionOwner {
    /// The machine: `normalizer` or `detector`.
    pub machine: &'static str,
    /// Partition of the machine's input topic.
    pub partition: i32,
    /// The `instance` of the processor.
    pub instance: String,
    /// The address from which the processor reaches Kafka.
    pub host: String,
}

/// The answer of the brokers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Surroundings {
    /// Partitions with their owners.
    pub owners: Vec<PartitionOwner>,
    /// Brokers that answer.
    pub brokers: u64,
    /// Ids of brokers that should hold a copy of a partition and are away.
    pub brokers_away: Vec<i32>,
}

/// Asks the brokers, with the connection of `tail`.
///
/// # Errors
/// [`LogError`], naming broker and topic.
pub fn surroundings(tail: &PartitionTail, config: &KafkaConfig) -> Result<Surroundings, LogError> {
    let mut found = Surroundings::default();
    let client = tail.client();
    for (machine, topic) in [("normalizer", Topic::Raw), ("detector", Topic::Signals)] {
        let topic = topic.name(&config.topic_prefix);
        let failed = |doing: &str, error| explain(config.brokers(), &topic, doing, &error);
        let metadata =
            client.fetch_metadata(Some(&topic), TIMEOUT).map_err(|error| failed("asking for its partitions", error))?;
        let here: BTreeSet<i32> = metadata.brokers().iter().map(|broker| broker.id()).collect();
        let wanted = metadata.topics().iter().flat_map(|topic| topic.partitions()).flat_map(|p| p.replicas());
        found.brokers_away.extend(wanted.filter(|broker| !here.contains(broker)));
        found.brokers = found.brokers.max(here.len() as u64);
        let group = config.group(machine);
        let groups = client
            .fetch_group_list(Some(&group), TIMEOUT)
            .map_err(|error| failed("asking for the members of its group", error))?;
        for member in groups.groups().iter().flat_map(|group| group.members()) {
            let partitions = member.assignment().map(|bytes| assigned(bytes, &topic)).unwrap_or_default();
            found.owners.extend(partitions.into_iter().map(|partition| PartitionOwner {
                machine,
                partition,
                instance: instance(member.id(), machine),
                host: member.client_host().trim_start_matches('/').to_owned(),
            }));
        }
    }
    found.owners.sort();
    found.brokers_away.sort_unstable();
    found.brokers_away.dedup();
    Ok(found)
}

/// The `instance` in the id of a static member: `detector-processor-1-` and 36 characters.
fn instance(member: &str, machine: &str) -> String {
    let named = member.len().checked_sub(MEMBER_SUFFIX).and_then(|end| member.get(..end)).unwrap_or(member);
    named.strip_prefix(machine).and_then(|rest| rest.strip_prefix('-')).unwrap_or(named).to_owned()
}

/// The partitions of `topic` in an assignment of Kafka's consumer protocol: a version, then topics with partitions.
fn assigned(bytes: &[u8], topic: &str) -> Vec<i32> {
    let mut rest = bytes;
    let mut read = || -> Option<Vec<i32>> {
        number::<2>(&mut rest)?;
        let mut found = Vec::new();
        for _ in 0..number::<4>(&mut rest)? {
            let length = usize::try_from(number::<2>(&mut rest)?).ok()?;
            let (name, after) = rest.split_at_checked(length)?;
            rest = after;
            for _ in 0..number::<4>(&mut rest)? {
                let partition = number::<4>(&mut rest)?;
                if name == topic.as_bytes() {
                    found.push(partition);
                }
            }
        }
        Some(found)
    };
    read().unwrap_or_default()
}

/// A signed big-endian number of `N` bytes.
fn number<const N: usize>(bytes: &mut &[u8]) -> Option<i32> {
    let (digits, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    let first = if digits[0] >= 0x80 { -1 } else { 0 };
    Some(digits.iter().fold(first, |sum, digit| sum << 8 | i32::from(*digit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_and_any_bytes_are_acceptable() {
        let mut bytes = vec![0, 1, 0, 0, 0, 2];
        for (topic, partitions) in [("other", &[9_i32][..]), ("wulog.raw", &[0, 3, 256])] {
            bytes.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
            bytes.extend(topic.bytes());
            bytes.extend(u32::try_from(partitions.len()).unwrap().to_be_bytes());
            partitions.iter().for_each(|partition| bytes.extend(partition.to_be_bytes()));
        }
        assert_eq!(assigned(&bytes, "wulog.raw"), [0, 3, 256]);
        for cut in 0..bytes.len() - 1 {
            assigned(&bytes[..cut], "wulog.raw");
        }
        assert_eq!(assigned(&[0, 1, 0xff, 0xff, 0xff, 0xff], "wulog.raw"), [0; 0]);
        assert_eq!(number::<2>(&mut &[0xff, 0xfe][..]), Some(-2));
    }

    #[test]
    fn an_instance_is_read_from_the_id_of_a_member() {
        let member = "detector-processor-1-3f9d0d3a-92a8-4e4e-9c4c-0d9f5a0f9d11";
        assert_eq!(instance(member, "detector"), "processor-1");
        assert_eq!(instance("rdkafka", "detector"), "rdkafka");
    }
}
