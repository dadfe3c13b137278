//! Documents that are set aside: parked ones, which an endpoint or a template refused; held ones, which wait for the
//! end of a silence or of quiet hours; and late ones, which wait for another try at some recipients. All of them are
//! durable notes, so the position moves on past them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::backlog::Item;

/// Longest reason that is kept: an endpoint's answer may be a page.
const REASON_BYTES_MAX: usize = 500;
/// Prefix of the keys of parked documents.
pub(crate) const PARKED: &str = "parked/";
/// Prefix of the keys of held documents.
pub(crate) const HELD: &str = "held/";
/// Prefix of the keys by which an operator asks to skip a document that is being retried.
pub(crate) const SKIP: &str = "skip/";

/// Prefix of the keys of late documents: some recipients have them, and others are to get them later.
pub(crate) const LATE: &str = "late/";
/// Prefix of the keys that name recipients that were refused; the note has the last document that the recipient did not
/// get.
pub(crate) const RECIPIENT: &str = "recipient/";

/// A document that is set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SetAside {
    /// The incident.
    pub(crate) id: String,
    /// The document's number within the incident.
    pub(crate) seq: u32,
    /// The document's offset on `wulog.alerts`.
    pub(crate) offset: i64,
    /// Time at which the document was set aside, milliseconds since 1970 UTC.
    pub(crate) at_ms: i64,
    /// Time until which the document is held, or at which its recipients are tried again; absent where the document
    /// waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until_ms: Option<i64>,
    /// Why.
    pub(crate) reason: String,
    /// The recipients that are to get the document later; empty where the document is set aside for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) recipients: Vec<String>,
}

impl SetAside {
    pub(crate) fn new(item: &Item, at_ms: i64, until_ms: Option<i64>, reason: &str) -> SetAside {
        let cut = reason.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= REASON_BYTES_MAX);
        let reason = reason[..cut.last().unwrap_or(0)].to_owned();
        let (id, seq) = (item.alert.id.clone(), item.alert.seq);
        SetAside { id, seq, offset: item.offset, at_ms, until_ms, reason, recipients: Vec::new() }
    }

    /// The key of the note. A newer held document of an incident replaces the older one.
    pub(crate) fn key(&self) -> String {
        match self.until_ms {
            Some(_) => format!("{HELD}{}", self.id),
            None => format!("{PARKED}{}/{}", self.id, self.seq),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a note holds only strings and numbers")
    }
}

/// The set-aside documents among `notes` whose keys begin with `prefix`. Notes of another form are left out.
pub(crate) fn among(notes: &BTreeMap<String, Vec<u8>>, prefix: &str) -> Vec<SetAside> {
    let with_prefix = notes.iter().filter(|(key, _)| key.starts_with(prefix));
    with_prefix.filter_map(|(_, value)| serde_json::from_slice(value).ok()).collect()
}
