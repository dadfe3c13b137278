//! An alert document of a size that the topic takes, counted with all escapes: host names are foreign text.

use serde::Serialize;
use wulog_schemas::alert::Alert;

use crate::bounds;

/// Host names are not cut below this number: something else is too long then.
const NAMES_MIN: usize = 16;

/// The document as JSON of at most `bytes_max`. Names of hosts are cut first, since a command in the document lists all
/// of them.
pub(super) fn to_json(alert: &Alert, bytes_max: usize) -> Vec<u8> {
    let whole = json(alert);
    if whole.len() <= bytes_max {
        return whole;
    }
    let mut alert = alert.clone();
    alert.hosts.names_complete = false;
    alert.hosts.full_list.get_or_insert_with(|| format!("{} --all-hosts", alert.replay));
    while alert.hosts.names.len() > NAMES_MIN {
        let half = alert.hosts.names.len() / 2;
        alert.hosts.names.truncate(half);
        alert.hosts.silent_names.truncate(half);
        let written = json(&alert);
        if written.len() <= bytes_max {
            return written;
        }
    }
    bounds::fit_json(json(&alert), bytes_max)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a document holds only strings and finite numbers")
}
