//! What is known of one host, and which signals say so.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wulog_schemas::event::Form;
use wulog_schemas::hresult;
use wulog_schemas::raw::Heartbeat;
use wulog_schemas::signal::{Fact, Failing, HostFacts, HostRef, Outcome, RawPosition, ScanDone};

mod files;
mod legibility;
mod outcomes;
mod weight;

pub(super) use outcomes::Success;

use files::Shipped;
use legibility::Legibility;
use outcomes::Subject;
use weight::Weight;
pub(super) use weight::Worth;

use super::attempt::Proof;
use super::certificates::{self, Listed};
use super::config::{Limits, NormalizerConfig};
use super::file::File;
use super::files::Files;
use super::fold::{Failure, Step};
use super::gate::Admission;
use super::known::Told;
use super::thread::cut;
use super::time::Zone;
use super::wrapped::Wrapped;
use crate::parse::Entry;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// At most one [`ScanDone`] of a server in this time.
const SCAN_EVERY_MS: i64 = 15 * 60 * 1000;

/// Servers whose last scan is known: WSUS, and Microsoft's services.
const SCANNED_MAX: usize = 8;

/// Changed facts wait for so many lines, so that the block of a service start gives one signal and not ten.
const FACTS_WAIT_LINES: u32 = 50;

/// Changed facts of a host that falls silent wait so long.
const FACTS_WAIT_MS: i64 = 60_000;

/// Log time and the raw record that brought it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) log_time: i64,
    pub(super) raw: RawPosition,
}

/// Whose record is taken, when, and under which configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// Host id.
    pub(super) id: &'a str,
    pub(super) at: Moment,
    pub(super) config: &'a NormalizerConfig,
}

/// Facts to send, in order.
pub(super) type Facts = Vec<Said>;

/// A fact to send.
#[derive(Debug)]
pub(super) struct Said {
    /// The raw record that it was read from.
    pub(super) raw: RawPosition,
    pub(super) fact: Fact,
    /// The lines of an attempt, for its document.
    pub(super) proof: Option<Proof>,
}

/// One host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Host {
    /// Host id; the key of what it gives.
    #[serde(skip)]
    pub(super) id: Arc<str>,
    /// What documents were told of it.
    #[serde(skip)]
    pub(super) told: Told,
    /// Form of its latest line that has one.
    #[serde(skip)]
    form: Option<Form>,
    /// What its collector said last of its files.
    #[serde(skip)]
    shipped: Option<Shipped>,
    name: String,
    pub(super) zone: Option<Zone>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) files: Files,
    /// Records of files that were forgotten while the record was held.
    #[serde(skip)]
    forgotten: Vec<Wrapped>,
    pub(super) dimensions: BTreeMap<String, String>,
    subjects: BTreeMap<String, Subject>,
    legibility: Legibility,
    caught_up: bool,
    /// True once a heartbeat came.
    heard: bool,
    first_log: i64,
    last_event: Option<i64>,
    /// Event time of the last [`ScanDone`] by its subject, which is empty where it is not known.
    scanned: BTreeMap<String, i64>,
    /// True once a line that is not of a download told the proxy.
    pub(super) proxy_is_of_scans: bool,
    /// Log time of the last [`HostFacts`].
    facts_sent: Option<i64>,
    /// Log time since which the facts are not what was sent, and lines since then.
    changed: Option<(i64, u32)>,
    /// Log time of the last record, by which the oldest host is forgotten.
    pub(super) last_log: i64,
    /// Whether what it says counts.
    pub(super) admission: Admission,
    /// What its inventory of certificates listed, where it sends one.
    pub(super) certificates: Option<Box<Listed>>,
    /// What the host takes of memory.
    weight: Weight,
    /// The entry of this host in the index of due times.
    pub(super) due: Option<i64>,
}

impl Host {
    pub(super) fn new(id: Arc<str>, log_time: i64) -> Host {
        Host { id, first_log: log_time, last_log: log_time, ..Host::default() }
    }

    /// Place of the file of that path, made where it is new. Where there are too many, the oldest is forgotten.
    pub(super) fn file(&mut self, path: &str, limits: &Limits) -> usize {
        self.files.place(path).unwrap_or_else(|_| self.add_file(path, limits))
    }

    #[cold]
    fn add_file(&mut self, path: &str, limits: &Limits) -> usize {
        if self.files.len() >= limits.files_per_host_max.max(1) {
            let oldest = self.files.iter().min_by_key(|(_, file)| file.newest).map(|(path, _)| path.to_owned());
            let oldest = oldest.and_then(|path| self.files.remove(&path));
            self.forgotten.extend(oldest.and_then(|file| file.wrapped));
        }
        self.files.add(path)
    }

    /// True where a record of one of its files goes on in a line that has not come.
    pub(super) fn holds_record(&self) -> bool {
        !self.forgotten.is_empty() || self.files.values().any(|file| file.wrapped.is_some())
    }

    /// Takes out a record that waits for its next line no longer: it is due, or its file was forgotten.
    pub(super) fn next_wrapped(&mut self, log_time: i64) -> Option<Wrapped> {
        let is_due = |file: &&mut File| file.wrapped.as_ref().is_some_and(|wrapped| wrapped.due() <= log_time);
        self.forgotten.pop().or_else(|| self.files.values_mut().find(is_due)?.wrapped.take())
    }

    /// What is to be said of its files that had nothing of Windows Update.
    pub(super) fn strange_files(&mut self) -> Vec<String> {
        let Host { name, files, .. } = self;
        files.iter_mut().filter_map(|(path, file)| Some(file.kind.at_end()?.notice(name, path))).collect()
    }

    /// Takes the name that a record gives the host.
    pub(super) fn set_name(&mut self, name: &str, scope: Scope<'_>) {
        let name = cut(name, scope.config.limits.value_bytes_max);
        if self.name != name && !name.is_empty() {
            self.name = name.to_owned();
        }
    }

    /// Takes whether the host counts. From when it does, its facts say what it said in vain before.
    pub(super) fn set_admission(&mut self, admission: Admission, scope: Scope<'_>) {
        if self.admission == Admission::SetAside && admission == Admission::Admitted {
            self.facts_changed(scope);
        }
        self.admission = admission;
    }

    /// Host name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// True where the dimension is known.
    pub(super) fn has_dimension(&self, name: &str) -> bool {
        self.dimensions.contains_key(name)
    }

    /// Takes a dimension; `None` removes it.
    pub(super) fn set_dimension(&mut self, name: &str, value: Option<&str>, scope: Scope<'_>) {
        let value = value.map(|value| cut(value, scope.config.limits.value_bytes_max));
        if self.dimensions.get(name).map(String::as_str) == value {
            return;
        }
        match value {
            Some(value) => self.dimensions.insert(name.to_owned(), value.to_owned()),
            None => self.dimensions.remove(name),
        };
        self.told.forget();
        self.facts_changed(scope);
    }

    /// Takes the form of a line as a dimension. Nearly every line has that of the one before.
    pub(super) fn set_form(&mut self, form: Form, scope: Scope<'_>) {
        if self.form == Some(form) {
            return;
        }
        let name = match form {
            Form::Legacy => "legacy",
            Form::Etw => "etw",
            _ => return,
        };
        self.set_dimension("form", Some(name), scope);
        self.form = Some(form);
    }

    /// Counts a line that facts wait for.
    pub(super) fn count_line(&mut self) {
        if let Some((_, lines)) = &mut self.changed {
            *lines = lines.saturating_add(1);
        }
    }

    /// Notes whether a line could be read.
    pub(super) fn saw_line(&mut self, entry: &Entry<'_>, event_time: i64, scope: Scope<'_>) {
        if self.legibility.take(entry, event_time, scope.at.log_time) {
            self.facts_changed(scope);
        }
    }

    /// Takes the event time of a line.
    pub(super) fn saw_time(&mut self, event_time: i64) {
        self.last_event = Some(self.last_event.map_or(event_time, |last| last.max(event_time)));
    }

    pub(super) fn heartbeat(&mut self, beat: Heartbeat, scope: Scope<'_>, out: &mut Facts) {
        self.heard = true;
        self.shipped = Some(Shipped::of(&beat, scope));
        if let (Some(hash), Some(seen)) = (&beat.certificates, beat.certificates_seen) {
            certificates::seen(self, hash, seen, scope, out);
        }
        if let Some(zone) = beat.time_zone.and_then(|name| Zone::try_from(name).ok()) {
            self.zone = Some(zone);
        }
        let limits = &scope.config.limits;
        let bounded = |text: &str| cut(text, limits.value_bytes_max).to_owned();
        let labels: BTreeMap<String, String> = beat
            .labels
            .iter()
            .take(limits.labels_per_host_max)
            .map(|(name, value)| (bounded(name), bounded(value)))
            .collect();
        if labels != self.labels {
            self.labels = labels;
            self.told.forget();
            self.facts_changed(scope);
        }
        if beat.caught_up && !self.caught_up {
            self.catch_up(scope, out);
        } else if !beat.caught_up && self.caught_up {
            // What comes now is a backlog: the facts before the next attempt say so.
            self.facts_changed(scope);
        }
        self.caught_up = beat.caught_up;
    }

    /// A scan at `subject` ended: says so, unless another one there ended just before.
    pub(super) fn scanned(
        &mut self,
        outcome: Outcome,
        subject: Option<String>,
        event_time: i64,
        scope: Scope<'_>,
        out: &mut Facts,
    ) {
        let key = subject.as_deref().unwrap_or_default();
        let last = self.scanned.get(key);
        if last.is_some_and(|last| event_time < last.saturating_add(SCAN_EVERY_MS)) {
            return;
        }
        if last.is_none() && self.scanned.len() >= SCANNED_MAX {
            let oldest = self.scanned.iter().min_by_key(|(_, at)| **at).map(|(name, _)| name.clone());
            oldest.and_then(|oldest| self.scanned.remove(&oldest));
        }
        self.scanned.insert(key.to_owned(), event_time);
        self.send_facts_if_unsent(scope, out);
        let scan = ScanDone { host: self.named(scope), outcome, event_time, subject };
        out.push(Said { raw: scope.at.raw, fact: Fact::ScanDone(scan), proof: None });
    }

    /// Counts the failures that have waited long enough, and the steps that no refusal followed.
    pub(super) fn settle_folds(&mut self, scope: Scope<'_>, out: &mut Facts) {
        if !self.files.values().any(|file| file.folds.is_open()) {
            return;
        }
        let (mut failures, mut steps): (Vec<Failure>, Vec<Step>) = (Vec::new(), Vec::new());
        for file in self.files.values_mut() {
            let clock = file.time.clock_millis();
            failures.extend(file.folds.due(clock, scope.at.log_time));
            steps.extend(file.folds.due_steps(clock, scope.at.log_time));
        }
        for failure in failures {
            self.failed(failure, scope, out);
        }
        for step in steps {
            self.step_succeeded(step, scope, out);
        }
    }

    /// Sends what has waited long enough.
    pub(super) fn settle(&mut self, scope: Scope<'_>, out: &mut Facts) {
        self.settle_folds(scope, out);
        let deadline = self.first_log.saturating_add(i64::from(scope.config.catch_up_wait_secs) * 1000);
        if !self.caught_up && !self.heard && scope.at.log_time >= deadline {
            self.caught_up = true;
            self.catch_up(scope, out);
        }
        let waited = self.changed.is_some_and(|(since, lines)| {
            lines >= FACTS_WAIT_LINES || scope.at.log_time >= since.saturating_add(FACTS_WAIT_MS)
        });
        let old = self.facts_sent.is_some_and(|sent| scope.at.log_time >= sent.saturating_add(DAY_MS));
        if self.caught_up && (waited || old) {
            self.send_facts(scope, out);
        }
    }

    /// Log time at which [`Host::settle`] has something to do, even if no record of this host comes.
    pub(super) fn next_due(&self, config: &NormalizerConfig) -> Option<i64> {
        let failures = self.files.values().filter_map(|file| file.folds.next_due_log()).min();
        let facts = self.changed.filter(|_| self.caught_up).map(|(since, _)| since.saturating_add(FACTS_WAIT_MS));
        let wait = self.first_log.saturating_add(i64::from(config.catch_up_wait_secs) * 1000);
        let catch_up = (!self.caught_up && !self.heard).then_some(wait);
        let wrapped = self.files.values().filter_map(|file| file.wrapped.as_ref()).map(Wrapped::due).min();
        [failures, facts, catch_up, wrapped].into_iter().flatten().min()
    }

    fn catch_up(&mut self, scope: Scope<'_>, out: &mut Facts) {
        self.caught_up = true;
        self.send_facts(scope, out);
    }

    fn facts_changed(&mut self, scope: Scope<'_>) {
        self.changed.get_or_insert((scope.at.log_time, 0));
    }

    /// Sends facts that the detector lacks. An attempt or a scan comes after the facts of its host: they name the host's
    /// dimensions, and say that it is history while the host is not caught up.
    fn send_facts_if_unsent(&mut self, scope: Scope<'_>, out: &mut Facts) {
        if self.changed.is_some() || self.facts_sent.is_none() {
            self.send_facts(scope, out);
        }
    }

    fn send_facts(&mut self, scope: Scope<'_>, out: &mut Facts) {
        let mut dimensions = self.dimensions.clone();
        dimensions.extend(self.labels.iter().map(|(name, value)| (format!("label.{name}"), value.clone())));
        let mut failing = Vec::new();
        for (subject, known) in &self.subjects {
            for (family, known) in &known.failing {
                let code = hresult::display(known.code);
                failing.push(Failing { subject: subject.clone(), family: *family, code, since: known.since });
            }
        }
        let facts = HostFacts {
            host: self.named(scope),
            dimensions,
            failing,
            last_event_time: self.last_event,
            caught_up: self.caught_up,
            unreadable: self.legibility.unreadable(),
        };
        self.legibility.warn_once(&self.name);
        self.facts_sent = Some(scope.at.log_time);
        self.changed = None;
        out.push(Said { raw: scope.at.raw, fact: Fact::HostFacts(facts), proof: None });
    }

    fn named(&self, scope: Scope<'_>) -> HostRef {
        HostRef { id: scope.id.to_owned(), name: self.name.clone() }
    }
}
