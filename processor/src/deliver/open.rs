//! Opens the channel that a configuration describes. Beside this file, `config` (keys and defaults of each kind) and
//! `settings` (checked settings and secrets of each kind) know every kind of channel.

use super::alertmanager::Alertmanager;
use super::channel::Channel;
use super::mail::Mail;
use super::settings::{ChannelConfig, ChannelKind};
use super::syslog::Syslog;
use super::webhook::Webhook;

/// The channel that a configuration describes, with its secrets looked up.
///
/// # Errors
/// Names the file, variable or value at fault.
pub(crate) fn open(config: &ChannelConfig) -> Result<Box<dyn Channel>, String> {
    Ok(match &config.kind {
        ChannelKind::Alertmanager { http, resend, link } => {
            Box::new(Alertmanager::open(config, http, *resend, link.clone())?)
        }
        ChannelKind::Webhook { http, hmac_key, body, link } => {
            Box::new(Webhook::open(config, http, hmac_key.as_ref(), body, link.clone())?)
        }
        ChannelKind::Mail(mail) => Box::new(Mail::open(config, mail)?),
        ChannelKind::Syslog(syslog) => Box::new(Syslog::open(config, syslog)?),
    })
}
