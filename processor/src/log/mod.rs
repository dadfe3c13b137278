//! The log under a shell: Kafka, or one SQLite file. In both, outputs and input offsets become visible together or not
//! at all; the shell's promise rests on this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wulog_schemas::topic::Topic;

use crate::machine::InRecord;

pub mod alert_queue;
pub mod embedded;
pub mod kafka;

/// One record as read from a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Partition of its topic.
    pub partition: i32,
    /// Offset in that partition.
    pub offset: i64,
    /// Milliseconds since 1970 UTC, as the log says.
    pub timestamp_ms: i64,
    /// Record key.
    pub key: Vec<u8>,
    /// The header `wulog`, where there is one.
    pub header: Option<Vec<u8>>,
    /// Record value.
    pub value: Vec<u8>,
}

impl Record {
    /// The record as a machine takes it.
    #[must_use]
    pub fn as_input(&self) -> InRecord<'_> {
        InRecord {
            partition: self.partition,
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: &self.key,
            header: self.header.as_deref(),
            value: &self.value,
        }
    }
}

/// One record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The topic.
    pub topic: Topic,
    /// The partition: chosen by the shell, so that events lie beside their raw records.
    pub partition: i32,
    /// Milliseconds since 1970 UTC; a topic with `LogAppendTime` overrides it.
    pub timestamp_ms: i64,
    /// Record key.
    pub key: Arc<str>,
    /// The header `wulog`, where there is one.
    pub header: Option<Vec<u8>>,
    /// Record value; `None` is a tombstone.
    pub value: Option<Bytes>,
}

/// The result of one [`Log::poll`].
#[derive(Debug, Default)]
pub struct Polled {
    /// The input partitions owned from now on, if they have changed; then `records` is empty and the shell must call
    /// [`Log::start_at`] before it polls again.
    pub owned: Option<BTreeSet<i32>>,
    /// Records of owned partitions, in offset order within each.
    pub records: Vec<Record>,
    /// Partitions without a further record when this poll ended.
    pub at_end: BTreeSet<i32>,
}

/// The reason for which a call to a log failed. After an error nothing of the failed call is visible to readers.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The call may succeed later without help: the shell waits, loads its machines again and continues.
    #[error("{0}")]
    Retry(String),
    /// The call will not succeed until a person acts; the message names topic, partition and offset and the remedy.
    #[error("{0}")]
    Fatal(String),
    /// These writes are too large for their topic; the other writes may go without them.
    #[error("{why}")]
    Refused {
        /// Positions in the list of writes.
        places: Vec<usize>,
        /// The refused record, and the broker or file that refused it.
        why: String,
    },
}

/// A log with one input topic, seen from one shell. Kafka and SQLite are its two implementations.
pub trait Log: Send {
    /// How many partitions the input topic has.
    ///
    /// # Errors
    /// See [`LogError`]; so with every method here.
    fn partitions(&mut self) -> Result<i32, LogError>;

    /// Waits up to `wait` for records and returns at most `records_max`.
    fn poll(&mut self, records_max: usize, wait: Duration) -> Result<Polled, LogError>;

    /// The partitions that this reader owns, if they have changed since the last call. Records that are fetched
    /// meanwhile are dropped, so [`Log::start_at`] must follow.
    fn reassigned(&mut self) -> Result<Option<BTreeSet<i32>>, LogError> {
        Ok(None)
    }

    /// The committed offset of each of these input partitions: the next one to read. A partition without a commit is
    /// absent.
    fn committed(&mut self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, i64>, LogError>;

    /// The oldest offset that the input partition still holds.
    fn oldest(&mut self, partition: i32) -> Result<i64, LogError>;

    /// The end of each input partition, as far as known without asking a broker: for figures only.
    fn ends(&mut self) -> BTreeMap<i32, i64> {
        BTreeMap::new()
    }

    /// Continues reading from these offsets; the map names every owned partition.
    fn start_at(&mut self, positions: &BTreeMap<i32, i64>) -> Result<(), LogError>;

    /// Makes `writes` and the input offsets `next` visible in one transaction.
    fn commit(&mut self, writes: &[Write], next: &BTreeMap<i32, i64>) -> Result<(), LogError>;

    /// The latest value of every key in one partition of `wulog.state`.
    fn read_state(&mut self, partition: i32) -> Result<BTreeMap<String, Vec<u8>>, LogError>;

    /// The latest value of every key in one partition of a topic.
    fn read_latest(&mut self, topic: Topic, partition: i32) -> Result<BTreeMap<String, Vec<u8>>, LogError>;

    /// Reports that records of an input partition below `offset` are not needed to load a machine again. On Kafka the
    /// topic's retention decides; the embedded log deletes those of these records that are older than its retention.
    fn not_needed_below(&mut self, partition: i32, offset: i64) -> Result<(), LogError>;
}
