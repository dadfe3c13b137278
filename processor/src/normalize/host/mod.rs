//! The state of one host, and the facts that its signals send.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wulog_schemas::event::Form;
use wulog_schemas::hresult;
use wulog_schemas::raw::Heartbeat;
use wulog_schemas::signal::{Fact, Failing, HostFacts, HostRef, Outcome, RawPosition, ScanDone};

mod certificates;
mod files;
mod legibility;
mod outcomes;
mod weight;

pub(super) use outcomes::Success;

use files::Shipped;
use legibility::Legibility;
use outcomes::SubjectOutcomes;
use weight::Weight;
pub(super) use weight::Worth;

use super::admission::Admission;
use super::certificate_list::CertificateList;
use super::config::{NormalizerConfig, NormalizerLimits};
use super::file::File;
use super::files::Files;
use super::fold::{Failure, ProvisionalSuccess};
use super::fragment_generation::FragmentGeneration;
use super::limit::cut;
use super::operation::AttemptProof;
use super::wrapped::Wrapped;
use super::zone::Zone;
use crate::parse::Entry;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// A host sends at most one [`ScanDone`] of a server in this time.
const SCAN_EVERY_MS: i64 = 15 * 60 * 1000;

/// Servers whose last scan is known: WSUS, and Microsoft's services.
const SCANNED_MAX: usize = 8;

/// How many lines changed facts wait for, so that the block of a service start gives one signal rather than ten.
const FACTS_WAIT_LINES: u32 = 50;

/// How long changed facts of a silent host wait.
const FACTS_WAIT_MS: i64 = 60_000;

/// Log time and the position of the raw record at which it was reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) log_time: i64,
    pub(super) raw: RawPosition,
}

/// The host of a record, the moment of the record, and the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordContext<'a> {
    /// Host id.
    pub(super) id: &'a str,
    pub(super) at: Moment,
    pub(super) config: &'a NormalizerConfig,
}

/// Facts to send, in order.
pub(super) type FactsToSend = Vec<FactToSend>;

/// A fact that becomes a signal where the host is admitted.
#[derive(Debug)]
pub(super) struct FactToSend {
    /// The raw record that the fact was read from.
    pub(super) raw: RawPosition,
    pub(super) fact: Fact,
    /// The lines of an attempt, for its document.
    pub(super) proof: Option<AttemptProof>,
}

/// One host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Host {
    /// Host id; the key of the host's events and signals.
    #[serde(skip)]
    pub(super) id: Arc<str>,
    /// Generation of the cached fragments of documents that are valid for this host.
    #[serde(skip)]
    pub(super) fragment_generation: FragmentGeneration,
    /// Form of its latest line that has one.
    #[serde(skip)]
    form: Option<Form>,
    /// Positions of the host's files in the latest heartbeat of its collector.
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
    subjects: BTreeMap<String, SubjectOutcomes>,
    legibility: Legibility,
    caught_up: bool,
    /// True once a heartbeat of the host was read.
    heard: bool,
    first_log: i64,
    last_event: Option<i64>,
    /// Event time of the last [`ScanDone`] by its subject, which is empty where it is not known.
    scanned: BTreeMap<String, i64>,
    /// True once a line named the proxy and was no line of a download.
    pub(super) proxy_is_of_scans: bool,
    /// Log time of the last [`HostFacts`].
    facts_sent: Option<i64>,
    /// Log time at which the facts first differed from the sent facts, and the number of lines since.
    changed: Option<(i64, u32)>,
    /// Log time of the last record, by which the oldest host is forgotten.
    pub(super) last_log: i64,
    /// Whether the host may give signals.
    pub(super) admission: Admission,
    /// The latest inventory of certificates, where the host sends one.
    pub(super) certificates: Option<Box<CertificateList>>,
    /// Memory that the host takes.
    weight: Weight,
    /// The entry of this host in the index of due times.
    pub(super) due: Option<i64>,
}

impl Host {
    pub(super) fn new(id: Arc<str>, log_time: i64) -> Host {
        Host { id, first_log: log_time, last_log: log_time, ..Host::default() }
    }

    /// The place of the file of that path. A new file is added; where the host has too many, the oldest is forgotten.
    pub(super) fn file(&mut self, path: &str, limits: &NormalizerLimits) -> usize {
        self.files.place(path).unwrap_or_else(|_| self.add_file(path, limits))
    }

    #[cold]
    fn add_file(&mut self, path: &str, limits: &NormalizerLimits) -> usize {
        if self.files.len() >= limits.files_per_host_max.max(1) {
            let oldest = self.files.iter().min_by_key(|(_, file)| file.newest).map(|(path, _)| path.to_owned());
            let oldest = oldest.and_then(|path| self.files.remove(&path));
            self.forgotten.extend(oldest.and_then(|file| file.wrapped));
        }
        self.files.add(path)
    }

    /// True where a record of one of the host's files continues in a line that was not read yet.
    pub(super) fn holds_record(&self) -> bool {
        !self.forgotten.is_empty() || self.files.values().any(|file| file.wrapped.is_some())
    }

    /// Removes and returns a held record that no longer waits for its next line: it is due, or its file was forgotten.
    pub(super) fn next_wrapped(&mut self, log_time: i64) -> Option<Wrapped> {
        let is_due = |file: &&mut File| file.wrapped.as_ref().is_some_and(|wrapped| wrapped.due() <= log_time);
        self.forgotten.pop().or_else(|| self.files.values_mut().find(is_due)?.wrapped.take())
    }

    /// Notices about the files of the host that had no line of Windows Update.
    pub(super) fn strange_files(&mut self) -> Vec<String> {
        let Host { name, files, .. } = self;
        files.iter_mut().filter_map(|(path, file)| Some(file.kind.at_end()?.notice(name, path))).collect()
    }

    /// Sets the name of the host from a record.
    pub(super) fn set_name(&mut self, name: &str, scope: RecordContext<'_>) {
        let name = cut(name, scope.config.limits.value_bytes_max);
        if self.name != name && !name.is_empty() {
            self.name = name.to_owned();
        }
    }

    /// Sets whether the host may give signals. A host that is admitted late sends its facts again, since its earlier
    /// signals were dropped.
    pub(super) fn set_admission(&mut self, admission: Admission, scope: RecordContext<'_>) {
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

    /// Sets a dimension; `None` removes it.
    pub(super) fn set_dimension(&mut self, name: &str, value: Option<&str>, scope: RecordContext<'_>) {
        let value = value.map(|value| cut(value, scope.config.limits.value_bytes_max));
        if self.dimensions.get(name).map(String::as_str) == value {
            return;
        }
        match value {
            Some(value) => self.dimensions.insert(name.to_owned(), value.to_owned()),
            None => self.dimensions.remove(name),
        };
        self.fragment_generation.invalidate();
        self.facts_changed(scope);
    }

    /// Sets the form of a line as a dimension. Nearly every line has the form of the line before.
    pub(super) fn set_form(&mut self, form: Form, scope: RecordContext<'_>) {
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
    pub(super) fn saw_line(&mut self, entry: &Entry<'_>, event_time: i64, scope: RecordContext<'_>) {
        if self.legibility.take(entry, event_time, scope.at.log_time) {
            self.facts_changed(scope);
        }
    }

    /// Takes the event time of a line.
    pub(super) fn saw_time(&mut self, event_time: i64) {
        self.last_event = Some(self.last_event.map_or(event_time, |last| last.max(event_time)));
    }

    pub(super) fn heartbeat(&mut self, beat: Heartbeat, scope: RecordContext<'_>, out: &mut FactsToSend) {
        self.heard = true;
        self.shipped = Some(Shipped::of(&beat, scope));
        if let (Some(hash), Some(seen)) = (&beat.certificates, beat.certificates_seen) {
            self.certificates_seen(hash, seen, scope, out);
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
            self.fragment_generation.invalidate();
            self.facts_changed(scope);
        }
        if beat.caught_up && !self.caught_up {
            self.catch_up(scope, out);
        } else if !beat.caught_up && self.caught_up {
            // Further lines are a backlog, and the facts before the next attempt must say so.
            self.facts_changed(scope);
        }
        self.caught_up = beat.caught_up;
    }

    /// Sends that a scan at `subject` ended, unless another scan at that subject ended within [`SCAN_EVERY_MS`].
    pub(super) fn scanned(
        &mut self,
        outcome: Outcome,
        subject: Option<String>,
        event_time: i64,
        scope: RecordContext<'_>,
        out: &mut FactsToSend,
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
        out.push(FactToSend { raw: scope.at.raw, fact: Fact::ScanDone(scan), proof: None });
    }

    /// Takes the failures whose wait is over, and the steps that no refusal followed.
    pub(super) fn settle_folds(&mut self, scope: RecordContext<'_>, out: &mut FactsToSend) {
        if !self.files.values().any(|file| file.folds.is_open()) {
            return;
        }
        let (mut failures, mut steps): (Vec<Failure>, Vec<ProvisionalSuccess>) = (Vec::new(), Vec::new());
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

    /// Sends the facts and failures whose wait is over.
    pub(super) fn settle(&mut self, scope: RecordContext<'_>, out: &mut FactsToSend) {
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
        let of_file =
            |file: &File| file.folds.next_due_log().into_iter().chain(file.wrapped.as_ref().map(Wrapped::due)).min();
        let files = self.files.values().filter_map(of_file).min();
        let facts = self.changed.filter(|_| self.caught_up).map(|(since, _)| since.saturating_add(FACTS_WAIT_MS));
        let wait = self.first_log.saturating_add(i64::from(config.catch_up_wait_secs) * 1000);
        let catch_up = (!self.caught_up && !self.heard).then_some(wait);
        [files, facts, catch_up].into_iter().flatten().min()
    }

    fn catch_up(&mut self, scope: RecordContext<'_>, out: &mut FactsToSend) {
        self.caught_up = true;
        self.send_facts(scope, out);
    }

    fn facts_changed(&mut self, scope: RecordContext<'_>) {
        self.changed.get_or_insert((scope.at.log_time, 0));
    }

    /// Sends changed facts of the host before an attempt or a scan. The facts name the host's dimensions, and whether
    /// the host is still reading a backlog.
    fn send_facts_if_unsent(&mut self, scope: RecordContext<'_>, out: &mut FactsToSend) {
        if self.changed.is_some() || self.facts_sent.is_none() {
            self.send_facts(scope, out);
        }
    }

    fn send_facts(&mut self, scope: RecordContext<'_>, out: &mut FactsToSend) {
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
        out.push(FactToSend { raw: scope.at.raw, fact: Fact::HostFacts(facts), proof: None });
    }

    fn named(&self, scope: RecordContext<'_>) -> HostRef {
        HostRef { id: scope.id.to_owned(), name: self.name.clone() }
    }
}
