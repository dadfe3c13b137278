//! The incident's events in the order of time: a few on the page, all of them in `timeline.jsonl`.
//!
//! `timeline.jsonl` is in Timesketch's format: each row has `message`, `datetime` (ISO 8601) and `timestamp_desc`.

use std::cmp::Ordering;

use serde::Serialize;
use wulog_schemas::alert::{Alert, IncidentKind, Transition, UtcTime};
use wulog_schemas::visible::visible_json;

use super::ReportData;
use super::wording::Wording;

/// The kind of a timeline event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TimelineKind {
    /// A host failed first.
    HostFailed,
    /// A host succeeded again.
    HostRecovered,
    /// A certificate was first missing, distrusted or expired on a host whose earlier inventory showed no fault.
    Certificate,
    /// The detector wrote a document.
    Document,
    /// An operator acknowledged or silenced the incident, or wrote a note.
    Handling,
    /// The detector ran with another configuration from here on.
    Configuration,
}

impl TimelineKind {
    /// Meaning of the time of such a row, as Timesketch shows it.
    fn described(self) -> &'static str {
        match self {
            TimelineKind::HostFailed => "First Failure Time",
            TimelineKind::HostRecovered => "Recovery Time",
            TimelineKind::Certificate => "Inventory Time",
            TimelineKind::Document => "Alert Time",
            TimelineKind::Handling => "Handling Time",
            TimelineKind::Configuration => "Configuration Change Time",
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimelineEntry {
    /// Milliseconds since 1970 UTC.
    pub(super) at: i64,
    pub(super) kind: TimelineKind,
    /// Host name, name of the transition, operator, or certificate.
    pub(super) who: String,
    pub(super) says: String,
}

/// A row of Timesketch.
#[derive(Serialize)]
struct TimesketchRow<'a> {
    message: String,
    datetime: String,
    timestamp_desc: &'static str,
    timestamp: i64,
    data_type: &'static str,
    kind: TimelineKind,
    incident: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
}

/// All events except those of single hosts.
pub(super) fn of_incident(incident: &ReportData, wording: &Wording) -> Vec<TimelineEntry> {
    let documents = &incident.documents;
    let previous = std::iter::once(None).chain(documents.iter().map(Some));
    let mut entries: Vec<TimelineEntry> =
        documents.iter().zip(previous).map(|(alert, previous)| document(alert, previous, wording)).collect();
    entries.extend(documents.iter().filter(|alert| alert.transition == Transition::Handled).flat_map(handling));
    let newest = incident.newest();
    for finding in &newest.certificates {
        let Some(since) = finding.since else { continue };
        let certificate = finding.certificate.as_ref();
        let who = certificate.map(|name| if name.subject.is_empty() { &name.sha1 } else { &name.subject });
        let who = who.cloned().unwrap_or_default();
        entries.push(TimelineEntry {
            at: since.0,
            kind: TimelineKind::Certificate,
            who,
            says: wording.finding(finding, newest),
        });
    }
    for change in &incident.changes {
        let says = wording.with("row_configuration", &[("hash", &change.hash), ("version", &change.version)]);
        entries.push(TimelineEntry { at: change.at, kind: TimelineKind::Configuration, who: String::new(), says });
    }
    entries.sort_by_key(|entry| entry.at);
    // Each document of a handled incident repeats older notes.
    entries.dedup();
    entries
}

fn document(alert: &Alert, previous: Option<&Alert>, wording: &Wording) -> TimelineEntry {
    TimelineEntry {
        at: alert.time.updated.0,
        kind: TimelineKind::Document,
        who: format!("#{} {}", alert.seq, wording.get(&format!("transition_{}", alert.transition))),
        says: News { alert, previous, wording }.says(),
    }
}

/// The facts of a document that the document before did not have.
struct News<'a> {
    alert: &'a Alert,
    previous: Option<&'a Alert>,
    wording: &'a Wording,
}

impl News<'_> {
    fn says(&self) -> String {
        let News { alert, previous, wording } = *self;
        let mut said = match alert.kind {
            IncidentKind::Failures => self.of_failures(),
            IncidentKind::Warning => vec![self.of_warning()],
        };
        if previous.is_none_or(|previous| previous.severity.level != alert.severity.level) {
            said.push(wording.with("row_severity", &[("level", wording.level(alert.severity.level))]));
        }
        // A certificate is the cause if it is the first factor; each document names it again.
        let cause = |alert: &Alert| {
            let first = alert.common_factors.first().map(|factor| factor.dimension.as_str());
            let is_cause = first == Some("certificate") || alert.kind == IncidentKind::Warning;
            alert.certificates.first().filter(|_| is_cause).and_then(|finding| finding.certificate.clone())
        };
        if cause(alert).is_some() && previous.and_then(cause) != cause(alert) {
            let cause = wording.condition(&alert.certificates[0]);
            said.push(wording.with("row_cause", &[("cause", &cause)]));
        }
        said.retain(|sentence| !sentence.is_empty());
        said.join(" ")
    }

    fn of_failures(&self) -> Vec<String> {
        let News { alert, previous, wording } = *self;
        let say = |name: &str| self.hosts(name);
        let mut said = Vec::new();
        match alert.transition {
            Transition::Opened => said.push(say("row_opened")),
            Transition::Reopened => said.extend([say("row_reopened"), say("row_opened")]),
            Transition::Growing => {}
            Transition::Stable => said.push(say("row_stable")),
            Transition::Resolved => said.push(say("row_recovered")),
            Transition::Silent => said.push(say("row_silent")),
            Transition::Expired => said.push(say("row_expired")),
            Transition::Status => said.push(say("row_status")),
            Transition::Handled => said.push(say("row_handled")),
            Transition::Split | Transition::Merged => {
                let before = previous.map(|previous| previous.related.clone()).unwrap_or_default();
                let related = &alert.related;
                for (name, now, before) in [
                    ("row_split_into", &related.split_into, &before.split_into),
                    ("row_merged_from", &related.merged_from, &before.merged_from),
                ] {
                    let new: Vec<&str> = now.iter().filter(|id| !before.contains(id)).map(String::as_str).collect();
                    if !new.is_empty() {
                        said.push(wording.with(name, &[("ids", &new.join(", "))]));
                    }
                }
                if let Some(into) = &related.merged_into {
                    said.push(wording.with("row_merged_into", &[("ids", into)]));
                }
            }
        }
        if let Some(previous) = previous {
            match alert.hosts.affected.cmp(&previous.hosts.affected) {
                Ordering::Greater => said.push(say("row_more")),
                Ordering::Less => said.push(say("row_fewer")),
                Ordering::Equal => {}
            }
        }
        let recovered = previous.map_or(0, |previous| previous.hosts.recovered);
        if alert.transition != Transition::Resolved && alert.hosts.recovered != recovered {
            said.push(say("row_recovered"));
        }
        said
    }

    fn of_warning(&self) -> String {
        match self.alert.transition {
            Transition::Resolved => self.hosts("row_warning_over"),
            Transition::Expired => self.hosts("row_warning_given_up"),
            Transition::Handled => self.hosts("row_handled"),
            _ => self.hosts("row_warning"),
        }
    }

    /// A sentence about numbers of hosts.
    fn hosts(&self, name: &str) -> String {
        let News { alert, previous, wording } = *self;
        let hosts = &alert.hosts;
        let before = previous.map_or(0, |previous| previous.hosts.affected);
        wording.with(
            name,
            &[
                ("affected", &hosts.affected.to_string()),
                ("active", &hosts.active.to_string()),
                ("share", &wording.percent(hosts.share_of_active)),
                ("new", &hosts.affected.saturating_sub(before).to_string()),
                ("fewer", &before.saturating_sub(hosts.affected).to_string()),
                ("recovered", &hosts.recovered.to_string()),
                ("silent", &hosts.silent.to_string()),
                ("code", &wording.code(alert)),
            ],
        )
    }
}

fn handling(alert: &Alert) -> Vec<TimelineEntry> {
    let handling = &alert.handling;
    let notes = handling.acknowledged.iter().chain(&handling.silenced).chain(&handling.notes);
    notes
        .map(|note| TimelineEntry {
            at: note.at.0,
            kind: TimelineKind::Handling,
            who: note.by.clone(),
            says: note.why.clone(),
        })
        .collect()
}

/// The events of single hosts.
fn of_hosts(incident: &ReportData, wording: &Wording) -> impl Iterator<Item = TimelineEntry> {
    let alert = incident.newest();
    incident.hosts.iter().flat_map(move |host| {
        let subject = wording.subject_of(&host.subject, alert);
        let entry = |at: Option<i64>, kind: TimelineKind, says: String| {
            at.map(|at| TimelineEntry { at, kind, who: host.name.clone(), says })
        };
        let failed = wording.with("row_failed", &[("code", &host.code), ("subject", &subject)]);
        let failed = entry(host.first_failure, TimelineKind::HostFailed, failed);
        failed.into_iter().chain(entry(host.recovered, TimelineKind::HostRecovered, subject))
    })
}

/// The first and the last host that failed, and the first and the last that recovered, each with the name of its word:
/// the rows of hosts on the page.
pub(super) fn turning_points(incident: &ReportData, wording: &Wording) -> Vec<(&'static str, TimelineEntry)> {
    let mut entries: Vec<TimelineEntry> = of_hosts(incident, wording).collect();
    entries.sort_by_key(|entry| entry.at);
    let mut points: Vec<(&'static str, TimelineEntry)> = Vec::new();
    for (kind, first, last) in [
        (TimelineKind::HostFailed, "kind_host_failed_first", "kind_host_failed_last"),
        (TimelineKind::HostRecovered, "kind_host_recovered_first", "kind_host_recovered_last"),
    ] {
        let mut of_kind = entries.iter().filter(|entry| entry.kind == kind);
        points.extend(of_kind.next().map(|entry| (first, entry.clone())));
        points.extend(of_kind.next_back().map(|entry| (last, entry.clone())));
    }
    points
}

/// All events, one JSON object a line. Messages are in the language of the report; `timestamp_desc` and `kind` are the same
/// in every language, since searches name them.
pub(super) fn jsonl(incident: &ReportData, wording: &Wording) -> Vec<u8> {
    let mut entries = of_incident(incident, wording);
    entries.extend(of_hosts(incident, wording));
    entries.sort_by_key(|entry| entry.at);
    let id = incident.newest().id.as_str();
    let mut text = String::new();
    for entry in &entries {
        let (message, host) = match entry.kind {
            TimelineKind::HostFailed => ("message_host_failed", Some(entry.who.as_str())),
            TimelineKind::HostRecovered => ("message_host_recovered", Some(entry.who.as_str())),
            _ => ("message_other", None),
        };
        let row = TimesketchRow {
            message: match entry.who.as_str() {
                "" => entry.says.clone(),
                who => wording.with(message, &[("who", who), ("says", &entry.says)]).trim().to_owned(),
            },
            datetime: UtcTime(entry.at).to_string().replace('Z', "+00:00"),
            timestamp_desc: entry.kind.described(),
            timestamp: entry.at.saturating_mul(1_000),
            data_type: "wulog:incident",
            kind: entry.kind,
            incident: id,
            host,
        };
        let json = serde_json::to_string(&row).expect("a row holds strings and numbers");
        text.push_str(&visible_json(&json));
        text.push('\n');
    }
    text.into_bytes()
}
