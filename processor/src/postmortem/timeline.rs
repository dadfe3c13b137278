//! The incident's events in the order of time: a few on the page, all of them in `timeline.jsonl`.
//!
//! `timeline.jsonl` is what Timesketch imports: each row has `message`, `datetime` (ISO 8601) and `timestamp_desc`.

use serde::Serialize;
use wulog_schemas::alert::{Alert, Transition, UtcTime};
use wulog_schemas::visible::visible_json;

use super::Incident;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A host failed first.
    HostFailed,
    /// A host succeeded again.
    HostRecovered,
    /// A certificate was first seen missing, distrusted or expired on a host that was in order before.
    Certificate,
    /// The detector wrote a document.
    Document,
    /// An operator acknowledged, silenced or remarked.
    Handling,
    /// The detector ran with another configuration from here on.
    Configuration,
}

impl Kind {
    /// What the time of such a row is the time of, as Timesketch shows it.
    fn described(self) -> &'static str {
        match self {
            Kind::HostFailed => "First Failure Time",
            Kind::HostRecovered => "Recovery Time",
            Kind::Certificate => "Inventory Time",
            Kind::Document => "Alert Time",
            Kind::Handling => "Handling Time",
            Kind::Configuration => "Configuration Change Time",
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Milliseconds since 1970 UTC.
    pub(super) at: i64,
    pub(super) kind: Kind,
    /// Host name, name of the transition, operator, or hash of the configuration.
    pub(super) who: String,
    pub(super) says: String,
}

/// A row of Timesketch.
#[derive(Serialize)]
struct Row<'a> {
    message: String,
    datetime: String,
    timestamp_desc: &'static str,
    timestamp: i64,
    data_type: &'static str,
    kind: Kind,
    incident: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
}

/// All events but those of single hosts.
pub(super) fn of_incident(incident: &Incident) -> Vec<Entry> {
    let mut entries: Vec<Entry> = incident.documents.iter().map(document).collect();
    entries
        .extend(incident.documents.iter().filter(|alert| alert.transition == Transition::Handled).flat_map(handling));
    for finding in &incident.newest().certificates {
        if let Some(since) = finding.since {
            let who = finding.certificate.as_ref().map(|certificate| certificate.sha1.clone()).unwrap_or_default();
            entries.push(Entry { at: since.0, kind: Kind::Certificate, who, says: finding.says.clone() });
        }
    }
    for change in &incident.changes {
        let says = format!("wulog {}", change.version);
        entries.push(Entry { at: change.at, kind: Kind::Configuration, who: change.hash.clone(), says });
    }
    entries.sort_by_key(|entry| entry.at);
    // A handled incident says an older remark again in each document.
    entries.dedup();
    entries
}

fn document(alert: &Alert) -> Entry {
    Entry {
        at: alert.time.updated.0,
        kind: Kind::Document,
        who: format!("#{} {}", alert.seq, alert.transition),
        says: alert.summary.clone(),
    }
}

fn handling(alert: &Alert) -> Vec<Entry> {
    let handling = &alert.handling;
    let notes = handling.acknowledged.iter().chain(&handling.silenced).chain(&handling.notes);
    notes
        .map(|note| Entry { at: note.at.0, kind: Kind::Handling, who: note.by.clone(), says: note.why.clone() })
        .collect()
}

/// The events of single hosts.
fn of_hosts(incident: &Incident) -> impl Iterator<Item = Entry> {
    incident.hosts.iter().flat_map(|host| {
        let failed = host.first_failure.map(|at| Entry {
            at,
            kind: Kind::HostFailed,
            who: host.name.clone(),
            says: format!("{} at {}", host.code, host.subject),
        });
        let recovered = host.recovered.map(|at| Entry {
            at,
            kind: Kind::HostRecovered,
            who: host.name.clone(),
            says: host.subject.clone(),
        });
        failed.into_iter().chain(recovered)
    })
}

/// The first host that failed, the last one, and the first and the last that recovered: what the page shows of hosts.
pub(super) fn turning_points(incident: &Incident) -> Vec<Entry> {
    let mut entries: Vec<Entry> = of_hosts(incident).collect();
    entries.sort_by_key(|entry| entry.at);
    let mut points: Vec<Entry> = Vec::new();
    for kind in [Kind::HostFailed, Kind::HostRecovered] {
        let of_kind = || entries.iter().filter(|entry| entry.kind == kind);
        points.extend(of_kind().next().cloned());
        points.extend(of_kind().next_back().filter(|last| !points.contains(last)).cloned());
    }
    points
}

/// All events, one JSON object a line.
pub(super) fn jsonl(incident: &Incident) -> Vec<u8> {
    let mut entries = of_incident(incident);
    entries.extend(of_hosts(incident));
    entries.sort_by_key(|entry| entry.at);
    let id = incident.newest().id.as_str();
    let mut text = String::new();
    for entry in &entries {
        let is_of_host = matches!(entry.kind, Kind::HostFailed | Kind::HostRecovered);
        let verb = match entry.kind {
            Kind::HostFailed => "failed first: ",
            Kind::HostRecovered => "recovered: ",
            _ => "",
        };
        let row = Row {
            message: format!("{} {verb}{}", entry.who, entry.says).trim().to_owned(),
            datetime: UtcTime(entry.at).to_string().replace('Z', "+00:00"),
            timestamp_desc: entry.kind.described(),
            timestamp: entry.at.saturating_mul(1_000),
            data_type: "wulog:incident",
            kind: entry.kind,
            incident: id,
            host: is_of_host.then_some(&*entry.who),
        };
        let json = serde_json::to_string(&row).expect("a row holds strings and numbers");
        text.push_str(&visible_json(&json));
        text.push('\n');
    }
    text.into_bytes()
}
