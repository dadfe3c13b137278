//! What the shell runs: a deterministic state machine that takes records and gives records.

use std::sync::Arc;

use bytes::Bytes;
use wulog_schemas::topic::Topic;

use crate::question::{Answer, Question};

/// One record of a machine's input partition.
#[derive(Clone, Copy, Debug)]
pub struct InRecord<'a> {
    /// Partition of the input topic.
    pub partition: i32,
    /// Offset in that partition.
    pub offset: i64,
    /// The record's Kafka timestamp, milliseconds since 1970 UTC: log time before it is made monotone.
    pub timestamp_ms: i64,
    /// Record key.
    pub key: &'a [u8],
    /// The header `wulog`, where the record has one.
    pub header: Option<&'a [u8]>,
    /// Record value.
    pub value: &'a [u8],
}

/// A record that a machine wants written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The topic.
    pub topic: Topic,
    /// Record key; all records of a host share one.
    pub key: Arc<str>,
    /// Record value: one line of JSON. A part of memory that outputs share, so that not each is allocated and freed.
    pub value: Bytes,
    /// Record timestamp, milliseconds since 1970 UTC: the machine's log time.
    pub timestamp_ms: i64,
}

/// Why a snapshot was refused; the shell then rebuilds the machine from the log.
#[derive(Debug, thiserror::Error)]
#[error("snapshot of {machine} does not fit: {reason}")]
pub struct SnapshotError {
    /// [`Machine::NAME`].
    pub machine: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// A figure of a machine's state. The set of its labels must not depend on hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// Further labels.
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub value: i64,
}

/// A deterministic state machine: no clock, I/O, randomness, async or hash-map order. The same records give the same
/// outputs, whatever the restarts between them.
pub trait Machine: Sized + Send {
    /// Name in keys of `wulog.state` and in logs: `normalizer`, `detector`.
    const NAME: &'static str;
    /// Format of the snapshot; a changed format writes its own keys and leaves the old.
    const FORMAT: u32;
    /// The topic that it reads.
    const INPUT: Topic = Topic::Raw;
    /// The topic of its outputs that it can take over from when it was rebuilt; see [`Machine::adopt`].
    const ADOPTS: Option<Topic> = None;
    /// Its part of the configuration, an input like any other.
    type Config: Clone + Send;

    /// A machine that has seen nothing. `partitions` is how many the input topic has.
    fn new(config: &Self::Config, partition: i32, partitions: i32) -> Self;

    /// Takes one record. Any bytes are acceptable.
    fn apply(&mut self, record: &InRecord<'_>, out: &mut Vec<Output>);

    /// Takes a record on which [`Machine::apply`] panicked: what it would have said is replaced by a document that
    /// says so. Must touch no more state than it has to.
    fn skip(&mut self, record: &InRecord<'_>, reason: &str, out: &mut Vec<Output>);

    /// A record that the machine wants appended to its own input before it goes on: what it was started with, where that
    /// is not what the input says. So a configuration is data, in its place among the data.
    fn input_due(&self) -> Option<Output> {
        None
    }

    /// Takes over what the newest of its own documents, one of each key, tell of: the machine was rebuilt from what the
    /// log still holds. Gives the keys of those that the records did not bring back by themselves.
    fn adopt(&mut self, _documents: &[Vec<u8>]) -> Vec<String> {
        Vec::new()
    }

    /// What stands in place of an output of the record at `(partition, offset)` that its topic refuses whatever is done;
    /// `None` where nothing can.
    fn refused(&self, _place: (i32, i64), _why: &str) -> Option<Output> {
        None
    }

    /// What a person should be told since the last call, in words: for the log of the program that runs the machine. Notices
    /// are no outputs: nothing depends on them.
    fn take_notices(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Figures of its state for `/metrics`. They may not depend on which hosts there are.
    fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }

    /// Answers a question about its state, which stays as it is; `None` where the machine answers none.
    fn answer(&self, _question: &Question) -> Option<Answer> {
        None
    }

    /// The whole state as bytes.
    fn snapshot(&self) -> Vec<u8>;

    /// The machine that [`Machine::snapshot`] described.
    ///
    /// # Errors
    /// When the bytes are not a snapshot of this format.
    fn restore(config: &Self::Config, partition: i32, partitions: i32, bytes: &[u8]) -> Result<Self, SnapshotError>;
}
