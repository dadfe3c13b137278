//! `wulog-processor alerts`: the incidents there are, and one of them as an operator reads it at 3 a.m.
//!
//! ```text
//! topic, embedded log or JSONL file -> alert documents -> Book (documents by incident) -> list, one line an incident
//!                                                                                      \-> show, the newest page and its history
//! ```
//!
//! `list` and `show` read only, so any reader of the topic may ask while processors run. `ack`, `silence`, `note` and `clear`
//! write one record for the detector.

pub mod command;
mod list;
mod order;
mod show;
pub(crate) mod source;

use std::collections::BTreeMap;

use wulog_schemas::alert::Alert;

pub use list::list;
pub use show::show;

/// Characters of an id after `wu-` that are shown; more where two ids begin alike.
const SHORT: usize = 8;
/// Ids named where a prefix means several.
const NAMED_MAX: usize = 5;

/// Why an incident is not shown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No id begins so.
    #[error("no incident {0}; `wulog-processor alerts list --all` names those that there are")]
    Unknown(String),
    /// Several ids begin so.
    #[error("{prefix} may be any of {count} incidents: {ids}; give more of the id")]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// How many it may be.
        count: usize,
        /// Some of them.
        ids: String,
    },
}

/// Alert documents by incident.
#[derive(Debug, Default)]
pub struct AlertsByIncident {
    incidents: BTreeMap<String, BTreeMap<u32, Alert>>,
}

impl AlertsByIncident {
    /// Takes a document. The same one again changes nothing, so that files of several replays may be one.
    pub fn add(&mut self, alert: Alert) {
        self.incidents.entry(alert.id.clone()).or_default().insert(alert.seq, alert);
    }

    /// True where there is no document.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.incidents.is_empty()
    }

    /// All documents, by incident and in the order of each.
    pub fn documents(&self) -> impl Iterator<Item = &Alert> {
        self.incidents.values().flat_map(BTreeMap::values)
    }

    /// The newest document of each incident.
    pub fn newest(&self) -> impl Iterator<Item = &Alert> {
        self.incidents.values().filter_map(|documents| documents.values().next_back())
    }

    /// The documents of the one incident whose id begins with `prefix`, with `wu-` or without, in their order.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(&self, prefix: &str) -> Result<Vec<&Alert>, LookupError> {
        let wanted = prefix.trim().to_lowercase();
        let wanted = if "wu-".starts_with(&wanted) { "" } else { bare(&wanted) };
        let alike = || self.incidents.iter().filter(|(id, _)| bare(id).starts_with(wanted));
        let exact = self.incidents.iter().find(|(id, _)| bare(id) == wanted);
        match (exact.or_else(|| alike().next()), alike().count()) {
            (Some((_, documents)), 1) => Ok(documents.values().collect()),
            (Some((id, documents)), _) if bare(id) == wanted => Ok(documents.values().collect()),
            (None, _) => Err(LookupError::Unknown(prefix.to_owned())),
            (Some(_), count) => {
                let mut ids: Vec<&str> = alike().take(NAMED_MAX).map(|(id, _)| id.as_str()).collect();
                if count > NAMED_MAX {
                    ids.push("...");
                }
                Err(LookupError::Ambiguous { prefix: prefix.to_owned(), count, ids: ids.join(", ") })
            }
        }
    }

    /// How many characters of the bare ids are needed to tell all of them apart, at least [`SHORT`].
    fn short_length(&self) -> usize {
        let ids: Vec<&str> = self.incidents.keys().map(|id| bare(id)).collect();
        let alike = |pair: &[&str]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
        ids.windows(2).map(|pair| alike(pair) + 1).max().unwrap_or(0).max(SHORT)
    }
}

fn bare(id: &str) -> &str {
    id.strip_prefix("wu-").unwrap_or(id)
}
