//! The history of a channel: the last severity of each open incident, and whether the channel has sent one of its
//! documents.
//!
//! The history follows from the documents alone, so a start recovers it by reading the topic up to the channel's
//! position.

use std::collections::BTreeMap;

use wulog_schemas::alert::{Alert, Level, State};

/// The history of one incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Severity in the newest document.
    pub(super) level: Level,
    /// True when a document of the incident was sent, or is held to be sent.
    pub(super) sent: bool,
}

/// The open incidents; there are no more of them than the detector's limit allows.
#[derive(Debug, Default)]
pub(super) struct History {
    open: BTreeMap<String, Told>,
}

impl History {
    /// The history of this incident; `None` before its first document.
    pub(super) fn of(&self, id: &str) -> Option<&Told> {
        self.open.get(id)
    }

    /// Notes a document and whether it was sent. An ended incident is forgotten: if it is reopened, it is news.
    pub(super) fn note(&mut self, alert: &Alert, sent: bool) {
        if alert.state != State::Open {
            self.open.remove(&alert.id);
            return;
        }
        let before = self.open.get(&alert.id).is_some_and(|told| told.sent);
        self.open.insert(alert.id.clone(), Told { level: alert.severity.level, sent: sent || before });
    }
}
