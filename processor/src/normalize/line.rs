//! The values of one line from which its document is written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use wulog_schemas::event::{EventId, EventOutcome, OpenOperation, RawFields};
use wulog_schemas::raw::RawHeaderRef;

use super::classify::Meaning;
use super::flags::Flags;
use super::fragment_generation::FragmentGeneration;
use super::patterns::Match;
use super::time::EventTime;
use super::update_names::UpdateName;
use crate::machine::InRecord;
use crate::parse::Entry;

/// The values from which the event of a line is written.
pub(super) struct LineValues<'a> {
    pub(super) host_id: &'a str,
    pub(super) header: &'a RawHeaderRef<'a>,
    pub(super) original: &'a str,
    pub(super) meaning: Meaning,
    pub(super) operation: Option<OpenOperation>,
    pub(super) entry: &'a Entry<'a>,
    pub(super) time: &'a EventTime,
    pub(super) flags: Flags,
    pub(super) id: EventId,
    pub(super) continues: Option<EventId>,
    /// File of the trust check that the line belongs to.
    pub(super) path: Option<&'a str>,
    /// The update of a failed line, lower case.
    pub(super) update: Option<Cow<'a, str>>,
    /// Title and KB of that update.
    pub(super) name: Option<&'a UpdateName>,
    pub(super) client_build: Option<&'a str>,
    pub(super) process_name: Option<&'a str>,
    /// Dimensions of the host.
    pub(super) dimensions: &'a BTreeMap<String, String>,
    pub(super) labels: &'a BTreeMap<String, String>,
    /// Generation of the cached fragments that are valid for the host; `None` where this line has labels of its own, which
    /// no cached fragment contains.
    pub(super) generation: Option<&'a FragmentGeneration>,
    /// The operator's patterns that match the line.
    pub(super) matched: Option<&'a Match<'a>>,
    pub(super) raw: RawFields,
}

impl LineValues<'_> {
    /// True where the document has facts of the host beside those of the line.
    pub(super) fn has_host_facts(&self) -> bool {
        self.meaning.outcome == EventOutcome::Failure && !self.entry.form.is_foreign()
    }
}

/// `wu.raw`: the position and timestamp of a record.
pub(super) fn raw_fields(record: &InRecord<'_>) -> RawFields {
    RawFields { partition: record.partition, offset: record.offset, timestamp: record.timestamp_ms }
}
