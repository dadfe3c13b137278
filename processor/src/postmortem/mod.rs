//! `wulog-processor report`: the post-mortem of one incident, as files that a team can work on.
//!
//! ```text
//! alert documents of the incident --\
//! signals -> HostHistory ------------+-> Incident -> page      -> report.html
//! raw lines of the evidence --------/             \-> hosts    -> hosts.csv
//!                                                 \-> timeline -> timeline.jsonl
//! ```
//!
//! A source may lack a part: a file of alerts has no signals, and raw lines are deleted before alerts are. The report is
//! written from the parts that are there, and names the [`Gap`]s.

mod certificates;
mod curve;
mod hosts;
mod page;
mod phrases;
mod sentences;
pub(crate) mod spreadsheet;
mod timeline;
mod wording;
mod words;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use wulog_schemas::alert::{Alert, IncidentKind};
use wulog_schemas::signal::RawPosition;
use wulog_schemas::visible::visible_json;

use wording::Wording;

pub use hosts::{AffectedHost, ConfigurationChange, HostHistory};
pub(crate) use page::{STYLE, path_segment, percent};

use crate::language::Language;
use crate::question::MemberHost;

/// All data of a report.
#[derive(Debug)]
pub struct ReportData {
    /// The documents of the incident in their order; at least one.
    documents: Vec<Alert>,
    /// The affected hosts by first failure; empty where no signals were read.
    hosts: Vec<AffectedHost>,
    /// Changes of the detector's configuration from a day before the onset on.
    changes: Vec<ConfigurationChange>,
    /// The raw lines of the evidence.
    lines: BTreeMap<RawPosition, String>,
    gaps: Vec<Gap>,
    /// A command that writes the documents again, if it differs from the command in the newest document.
    replay: Option<String>,
    /// Whether the status page shows the incident, with a page for each host.
    is_live: bool,
}

/// A part that the source of the report does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// The source has no signals: the report has only the numbers of first failures and recoveries.
    NoSignals,
    /// The newest document names fewer hosts than are affected.
    NamesCut,
    /// No raw line was found for the evidence.
    NoLines,
    /// The status page of this process knows no single hosts of the incident.
    NoHosts,
    /// The Detector keeps the newest success of a host, and not the first one.
    NewestSuccess,
}

/// Language and time zone of the report.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Language of the page.
    pub language: Language,
    /// Time zone that is shown beside UTC.
    pub zone: Tz,
}

/// The reason for which a report was not written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file of the report could not be written.
    #[error("{}: cannot be written: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        why: io::Error,
    },
    /// The page could not be built: a fault of wulog.
    #[error("the page could not be made: {0}; please report this with the alert's document")]
    Page(#[from] minijinja::Error),
}

impl ReportData {
    /// An incident whose source has alert documents only.
    ///
    /// # Panics
    /// Where `documents` is empty.
    #[must_use]
    pub fn of_documents(documents: Vec<Alert>) -> ReportData {
        assert!(!documents.is_empty(), "an incident has a document");
        ReportData {
            documents,
            hosts: Vec::new(),
            changes: Vec::new(),
            lines: BTreeMap::new(),
            gaps: vec![Gap::NoSignals, Gap::NoLines],
            replay: None,
            is_live: false,
        }
    }

    /// Sets the command that writes the documents again, for a source that the documents do not name.
    #[must_use]
    pub fn replayed_by(mut self, command: String) -> ReportData {
        self.replay = Some(command);
        self
    }

    /// Adds the hosts' failures and recoveries from signals.
    #[must_use]
    pub fn with_history(mut self, history: &HostHistory) -> ReportData {
        self.hosts = history.affected(self.newest());
        self.changes = history.changes_of(self.newest());
        self.gaps.retain(|gap| *gap != Gap::NoSignals);
        if !self.newest().hosts.names_complete {
            self.gaps.push(Gap::NamesCut);
        }
        self
    }

    /// Adds the raw lines of the evidence, by the position of each.
    #[must_use]
    pub fn with_lines(mut self, lines: BTreeMap<RawPosition, String>) -> ReportData {
        if !lines.is_empty() {
            self.gaps.retain(|gap| *gap != Gap::NoLines);
        }
        self.lines = lines;
        self
    }

    /// Adds the hosts that the running Detector knows; `None` where this process cannot ask the Detector.
    #[must_use]
    pub(crate) fn with_members(mut self, members: Option<Vec<MemberHost>>) -> ReportData {
        self.is_live = true;
        self.gaps.retain(|gap| *gap == Gap::NoLines);
        let Some(members) = members else {
            self.gaps.push(Gap::NoHosts);
            return self;
        };
        if members.iter().any(|member| member.recovered) {
            self.gaps.push(Gap::NewestSuccess);
        }
        self.hosts = members.into_iter().map(AffectedHost::from).collect();
        self
    }

    /// The sections of the report as HTML, for a page of its own.
    ///
    /// # Errors
    /// Where the template cannot be filled: a fault of wulog.
    pub(crate) fn sections(&self, style: Style) -> Result<String, ReportError> {
        page::sections(self, style)
    }

    /// The newest document, which holds all facts.
    fn newest(&self) -> &Alert {
        self.documents.last().expect("an incident has a document")
    }

    /// Writes `report.html`, `hosts.csv`, `timeline.jsonl` and `alert.json` into `folder`, which is created if it is
    /// missing.
    ///
    /// # Errors
    /// If a file cannot be written; the error names the file.
    pub fn write(&self, folder: &Path, style: Style) -> Result<(), ReportError> {
        let failed = |path: &Path, why| ReportError::File { path: path.to_owned(), why };
        std::fs::create_dir_all(folder).map_err(|why| failed(folder, why))?;
        let alert = serde_json::to_string_pretty(self.newest()).expect("an alert document is plain data");
        let files = [
            ("report.html", page::html(self, style)?.into_bytes()),
            ("hosts.csv", spreadsheet::csv(&self.hosts)),
            ("timeline.jsonl", timeline::jsonl(self, &Wording::of(style))),
            ("alert.json", (visible_json(&alert).into_owned() + "\n").into_bytes()),
        ];
        for (name, bytes) in files {
            let path = folder.join(name);
            std::fs::write(&path, bytes).map_err(|why| failed(&path, why))?;
        }
        Ok(())
    }
}

/// The English name of a dimension, for people.
pub(crate) fn dimension_in_words(name: &str) -> String {
    Wording::of(Style { language: Language::En, zone: Tz::UTC }).dimension(name)
}

/// The failure and its cause in one or two sentences, for a notification.
pub(crate) fn what_and_why(alert: &Alert, language: Language) -> String {
    let incident = ReportData::of_documents(vec![alert.clone()]);
    let wording = Wording::of(Style { language, zone: Tz::UTC });
    let sentences = sentences::SentenceData { incident: &incident, alert, wording: &wording }.happened();
    // The second sentence calls a warning a warning, and the last sentence tells the end: the notification has both
    // already.
    let said = if alert.kind == IncidentKind::Warning { 1 } else { 2 };
    sentences[..said].join(" ")
}

/// Whether the German texts have a translation of a sentence; tests of other modules call this.
#[cfg(test)]
pub(crate) fn has_german(sentence: &str) -> bool {
    phrases::Phrases::german().find(sentence).is_some()
}

/// The positions of an incident's evidence in `wulog.raw`.
#[must_use]
pub fn evidence_of(alert: &Alert) -> Vec<RawPosition> {
    let exemplars = alert.evidence.exemplars.iter();
    exemplars.map(|exemplar| RawPosition { partition: exemplar.partition, offset: exemplar.offset }).collect()
}
