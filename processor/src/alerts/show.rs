//! An incident's newest page, and what was said of it before.

use wulog_schemas::alert::{Alert, State};

use crate::report::{hosts_of, print_alert, short};

/// Lines of history that are shown; the first and the newest are among them.
const HISTORY_MAX: usize = 20;

/// The incident that `documents` are about, in their order, as text of lines no wider than `width`.
#[must_use]
pub fn show(documents: &[&Alert], width: usize) -> String {
    let Some(newest) = documents.last() else { return String::new() };
    let mut text = print_alert(newest, width);
    text.push_str("\nHISTORY (UTC)\n");
    let hidden = documents.len().saturating_sub(HISTORY_MAX);
    for (place, alert) in documents.iter().enumerate() {
        if place == 1 && hidden > 0 {
            text.push_str(&format!("  ... {hidden} more\n"));
        }
        if place == 0 || place > hidden {
            text.push_str(&history(alert));
        }
    }
    text
}

fn history(alert: &Alert) -> String {
    let when = &short(alert.time.updated)[..16];
    let hosts = &alert.hosts;
    let mut line = format!("  #{:<3} {when}  {:8} {}", alert.seq, alert.transition.as_str(), hosts_of(hosts.affected));
    for (count, what) in [(hosts.recovered, "recovered"), (hosts.silent, "silent")] {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    if alert.state == State::Open {
        line.push_str(&format!(", {}", alert.severity.level));
    }
    line.push('\n');
    line
}
