//! What the runner knows of a channel: it delivers one document, and says how that went.

use std::time::Duration;

use wulog_schemas::alert::Alert;

use super::alertmanager::Alertmanager;
use super::backlog::Item;
use super::config::{ChannelConfig, Kind};
use super::mail::Mail;
use super::syslog::Syslog;
use super::webhook::Webhook;

/// How a delivery went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The endpoint has it; the text is its answer.
    Delivered(String),
    /// It may succeed later without a person.
    Retry {
        /// What happened.
        why: String,
        /// The pause that the endpoint asked for.
        after: Option<Duration>,
    },
    /// It will not succeed as it is: the document is parked.
    Refused(String),
}

/// A way to people or to another system.
pub(super) trait Channel: Send {
    /// Delivers a document.
    fn deliver(&mut self, item: &Item, now_ms: i64) -> Outcome;

    /// Learns of a document that was delivered, or left out, before this process had the channel.
    fn recall(&mut self, _alert: &Alert, _sent: bool) {}

    /// Does what is due without a new document, and says how that went.
    fn tend(&mut self, _now_ms: i64) -> Outcome {
        Outcome::Delivered(String::new())
    }

    /// Forgets what it knows of incidents: another process has the channel now.
    fn forget(&mut self) {}
}

/// The channel that a configuration describes, with its secrets looked up.
///
/// # Errors
/// Names the file, variable or value at fault.
pub(super) fn open(config: &ChannelConfig) -> Result<Box<dyn Channel>, String> {
    Ok(match &config.kind {
        Kind::Alertmanager { http, resend, link } => Box::new(Alertmanager::open(config, http, *resend, link.clone())?),
        Kind::Webhook { http, hmac_key, body, link } => {
            Box::new(Webhook::open(config, http, hmac_key.as_ref(), body, link.clone())?)
        }
        Kind::Mail(mail) => Box::new(Mail::open(config, mail)?),
        Kind::Syslog(syslog) => Box::new(Syslog::open(config, syslog)?),
    })
}
