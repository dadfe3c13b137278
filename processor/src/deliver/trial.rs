//! The trial of `check-config`: opens each channel as a start does, and makes the message that a `channels test` would
//! send.

use wulog_schemas::alert::{Alert, Level, Transition};

use super::backlog::Item;
use super::open::open;
use super::sample::{marked, sample};
use super::settings::{Body, ChannelConfig, ChannelKind};

/// Index of the channel that cannot be opened or whose message cannot be made, and why.
pub(crate) type ChannelFault = (usize, String);

/// Tries each channel without a connection, and returns warnings.
///
/// # Errors
/// The first channel that a start or every alert would fail at.
pub(crate) fn try_all(channels: &[ChannelConfig]) -> Result<Vec<String>, ChannelFault> {
    let mut warnings = Vec::new();
    for (index, config) in channels.iter().enumerate() {
        let fault = |why: String| (index, why);
        let opened = open(config).map_err(fault)?;
        let message = |alert| opened.prepare(&item(alert), 0).map_err(fault);
        message(marked())?;
        // Messages of two incidents: values that differ between the incidents show in any template that uses the
        // document.
        let (one, other) = (
            message(sample("wu-0000000000000001", 1, Transition::Opened, Level::Low))?,
            message(sample("wu-0000000000000002", 3, Transition::Resolved, Level::High))?,
        );
        if matches!(&config.kind, ChannelKind::Webhook { body: Body::Template(..), .. }) && one == other {
            warnings.push(format!(
                "channel {}: its template makes the same text of every alert; a value is written as {{{{ summary }}}}",
                config.name
            ));
        }
    }
    Ok(warnings)
}

fn item(alert: Alert) -> Item {
    let bytes = serde_json::to_vec(&alert).expect("an alert is JSON");
    Item { alert, bytes, offset: -1, sample: true }
}
