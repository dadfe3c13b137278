//! The machine that a shell runs: a deterministic state machine from records to records.

use std::panic::{AssertUnwindSafe, catch_unwind};
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
    /// Record value: one line of JSON. Outputs share one piece of memory, so that not each output is allocated and
    /// freed.
    pub value: Bytes,
    /// Record timestamp, milliseconds since 1970 UTC: the machine's log time.
    pub timestamp_ms: i64,
}

/// The reason for which a snapshot was refused; the shell then rebuilds the machine from the log.
#[derive(Debug, thiserror::Error)]
#[error("snapshot of {machine} does not fit: {reason}")]
pub struct SnapshotError {
    /// [`Machine::NAME`].
    pub machine: &'static str,
    /// The fault of the snapshot.
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
/// outputs, with any restarts between them.
pub trait Machine: Sized + Send {
    /// Name in keys of `wulog.state` and in logs: `normalizer`, `detector`.
    const NAME: &'static str;
    /// Format of the snapshot; a changed format writes its own keys and leaves the old ones.
    const FORMAT: u32;
    /// The topic that the machine reads.
    const INPUT: Topic = Topic::Raw;
    /// The output topic from which a rebuilt machine can take over; see [`Machine::adopt`].
    const ADOPTS: Option<Topic> = None;
    /// The machine's part of the configuration, an input like any other.
    type Config: Clone + Send;
    /// The result of [`Machine::parse`]; `()` for a machine that parses nothing ahead.
    type Parsed<'r>: Default;

    /// A machine without state. `partitions` is the number of partitions of the input topic.
    fn new(config: &Self::Config, partition: i32, partitions: i32) -> Self;

    /// Processes one record. Any bytes are acceptable.
    fn apply(&mut self, record: &InRecord<'_>, out: &mut Vec<Output>);

    /// Parses as much of a record as can be parsed without the machine's state, so that a caller may parse many records
    /// before it applies them: [`parse_ahead`]. `parsed` is empty before.
    fn parse<'r>(_record: &InRecord<'r>, _parsed: &mut Self::Parsed<'r>) {}

    /// Processes a record like [`Machine::apply`]; `parsed` is empty or comes from [`Machine::parse`].
    fn apply_parsed<'r>(&mut self, record: &InRecord<'r>, _parsed: &mut Self::Parsed<'r>, out: &mut Vec<Output>) {
        self.apply(record, out);
    }

    /// Processes a record on which [`Machine::apply`] panicked: a document about the panic replaces its outputs. The
    /// function must change as little state as possible.
    fn skip(&mut self, record: &InRecord<'_>, reason: &str, out: &mut Vec<Output>);

    /// A record that the shell must append to the machine's own input before the machine continues: the start
    /// configuration, if it differs from the one in the input. So the configuration is data, at its position among the
    /// data.
    fn input_due(&self) -> Option<Output> {
        None
    }

    /// Takes over from the newest of its own documents, one for each key, after the machine was rebuilt from the
    /// remaining records. Returns the keys of the documents that the records did not reproduce.
    fn adopt(&mut self, _documents: &[Vec<u8>]) -> Vec<String> {
        Vec::new()
    }

    /// The replacement for an output of the record at `(partition, offset)` that its topic refuses for good; `None`
    /// without a replacement.
    fn refused(&self, _place: (i32, i64), _why: &str) -> Option<Output> {
        None
    }

    /// Notices for a person since the last call, for the log of the program. Notices are not outputs: no result depends
    /// on them.
    fn take_notices(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Figures of the machine's state for `/metrics`. Their labels may not depend on hosts.
    fn figures(&self) -> Vec<Figure> {
        Vec::new()
    }

    /// Answers a question about the machine's state without changing it; `None` if the machine has no answer.
    fn answer(&self, _question: &Question) -> Option<Answer> {
        None
    }

    /// The whole state as bytes.
    fn snapshot(&self) -> Vec<u8>;

    /// The machine in the bytes of [`Machine::snapshot`].
    ///
    /// # Errors
    /// If the bytes are not a snapshot of this format.
    fn restore(config: &Self::Config, partition: i32, partitions: i32, bytes: &[u8]) -> Result<Self, SnapshotError>;
}

/// Number of records that are parsed before they are applied.
///
/// The code that parses a line and the code that applies it are each larger than the first cache for code. In turn for
/// each line, they displace each other: `cargo bench --bench normalize` took 5 % more time.
pub const PARSED_AHEAD: usize = 64;

/// Parses records into `parsed`, in their order. A record whose parsing panics stays unparsed, so that the panic comes
/// again when the record is applied, where the caller expects it.
pub fn parse_ahead<'r, M: Machine>(records: impl Iterator<Item = InRecord<'r>>, parsed: &mut Vec<M::Parsed<'r>>) {
    parsed.clear();
    for record in records {
        // Parsed where it stands, since a parsed line has nearly a kilobyte.
        let place = parsed.len();
        parsed.push(M::Parsed::default());
        if catch_unwind(AssertUnwindSafe(|| M::parse(&record, &mut parsed[place]))).is_err() {
            parsed[place] = M::Parsed::default();
        }
    }
}
