//! The interface of a channel: it delivers one document and returns the outcome.

use std::time::Duration;

use wulog_schemas::alert::Alert;

use super::backlog::Item;
use super::settings::ChannelConfig;

/// The outcome of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryOutcome {
    /// The endpoint has the document; the text is its answer.
    Delivered(String),
    /// Some recipients do not have the document.
    Partly {
        /// The endpoint's answer for the other recipients; `None` where no recipient is known to have the document.
        answer: Option<String>,
        /// The recipients that do not have the document, or are not known to have it.
        lacking: Vec<MissingRecipient>,
    },
    /// The delivery may succeed later without a person.
    Retry {
        /// The failure, for messages.
        why: String,
        /// The pause that the endpoint asked for.
        after: Option<Duration>,
    },
    /// The endpoint refuses this sender or this address, whatever the document is. A person must act, and the document
    /// is tried again until then.
    Barred(String),
    /// The document cannot be delivered as it is, so it is parked.
    Refused(String),
}

/// A recipient who does not have a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MissingRecipient {
    /// The recipient's address.
    pub(crate) recipient: String,
    /// Why.
    pub(crate) why: String,
    /// The pause before the recipient is tried again; `None` where the document is given up for this recipient.
    pub(crate) again: Option<Duration>,
}

/// A way to people or to another system.
pub(crate) trait Channel: Send {
    /// Delivers a document.
    fn deliver(&mut self, item: &Item, now_ms: i64) -> DeliveryOutcome;

    /// Opens the channel again, after its secrets have changed or a panic may have left a lock or a connection
    /// unusable. The channel keeps its memory of incidents and recipients.
    ///
    /// # Errors
    /// As [`open`](super::open::open); then the channel is unchanged.
    fn renew(&mut self, config: &ChannelConfig) -> Result<(), String>;

    /// The bytes that the channel would send for a document. Kinds whose form cannot fail return nothing.
    ///
    /// # Errors
    /// A fault of the template or of the addresses, in words.
    fn prepare(&self, _item: &Item, _now_ms: i64) -> Result<Vec<u8>, String> {
        Ok(Vec::new())
    }

    /// Restricts the document with this key to these recipients. An empty list ends the restriction: the document is
    /// delivered or given up.
    fn send_only_to(&mut self, _key: &str, _recipients: &[String]) {}

    /// Learns of a document that was delivered, or left out, before this process had the channel.
    fn recall(&mut self, _alert: &Alert, _sent: bool) {}

    /// Does the work that is due without a new document, and returns its outcome.
    fn tend(&mut self, _now_ms: i64) -> DeliveryOutcome {
        DeliveryOutcome::Delivered(String::new())
    }

    /// Forgets all incidents: another process has the channel now.
    fn forget(&mut self) {}
}

/// The error where a channel is opened again with the configuration of another kind.
pub(crate) fn other_kind() -> String {
    "the configuration is of another kind".to_owned()
}
