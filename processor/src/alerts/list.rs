//! One line an incident: open ones first, the worst on top.

use std::cmp::Reverse;

use wulog_schemas::alert::{Alert, State};

use super::{AlertsByIncident, bare};
use crate::report::{ascii, short};

/// Narrower than this there is no room for a cause.
const WIDTH_MIN: usize = 72;
/// The longest family, `untrusted_root`.
const FAMILY: usize = 14;
/// Incidents older than this are told by their year.
const YEAR_MS: i64 = 300 * 24 * 3600 * 1000;

/// The incidents of `book` in lines of at most `width`; those that are over (resolved, merged, given up) only where `all` is wanted.
#[must_use]
pub fn list(book: &AlertsByIncident, all: bool, width: usize) -> String {
    let width = width.max(WIDTH_MIN);
    let mut incidents: Vec<&Alert> = book.newest().collect();
    incidents.sort_by_key(|alert| {
        let severity = (alert.state == State::Open).then_some(alert.severity.level);
        (alert.state != State::Open, Reverse(severity), Reverse(alert.time.onset), alert.id.clone())
    });
    let open = incidents.iter().filter(|alert| alert.state == State::Open).count();
    let over = incidents.len() - open;
    if !all {
        incidents.truncate(open);
    }
    let id_width = book.short_length();
    let newest = book.newest().map(|alert| alert.time.updated.0).max().unwrap_or(0);
    let mut text = String::new();
    if !incidents.is_empty() {
        let header = ["ID", "STATE", "SEVERITY", "HOSTS", "SINCE (UTC)", "CAUSE", "FAMILY"].map(str::to_owned);
        text.push_str(&line(&header, id_width, width));
    }
    for alert in incidents {
        text.push_str(&line(&cells(alert, id_width, newest), id_width, width));
    }
    let hidden = match (all, over) {
        (_, 0) => String::new(),
        (true, count) => format!(", {count} over"),
        (false, count) => format!(", {count} over (--all shows them)"),
    };
    text.push_str(&format!("{open} open{hidden}\n"));
    text
}

fn cells(alert: &Alert, id_width: usize, newest: i64) -> [String; 7] {
    let cause = alert.common_factors.first().map_or("-", |factor| factor.value.as_str());
    let over = alert.state != State::Open;
    // `2022-11-15 00:09:04 UTC` without the year, or without the time where the year is another.
    let since = short(alert.time.onset);
    let since = if newest - alert.time.onset.0 < YEAR_MS { &since[5..16] } else { &since[..10] };
    [
        bare(&alert.id).chars().take(id_width).collect(),
        alert.transition.as_str().to_owned(),
        if over { "-".to_owned() } else { alert.severity.level.to_string() },
        format!("{}/{}", alert.hosts.affected, alert.hosts.active),
        since.to_owned(),
        cause.to_owned(),
        alert.family.to_string(),
    ]
}

/// The cause has what the others leave.
fn line(cells: &[String; 7], id_width: usize, width: usize) -> String {
    let [id, state, severity, hosts, since, cause, family] = cells;
    let before = format!("{id:id_width$} {state:8} {severity:8} {hosts:11} {since:11} ");
    let room = width.saturating_sub(before.len() + FAMILY + 1).max(4);
    let cause: String = match cause.char_indices().nth(room) {
        Some(_) => cause.chars().take(room - 1).chain(['~']).collect(),
        None => cause.clone(),
    };
    let line: String = format!("{before}{cause:room$} {family}").chars().map(ascii).collect();
    format!("{}\n", line.trim_end())
}
