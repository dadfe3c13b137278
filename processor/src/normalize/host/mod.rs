//! What is known of one host, and which signals say so.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wulog_schemas::event::Form;
use wulog_schemas::hresult;
use wulog_schemas::raw::Heartbeat;
use wulog_schemas::signal::{Fact, Failing, HostFacts, HostRef, Outcome, RawPosition, ScanDone};

mod outcomes;

use outcomes::Subject;

use super::config::{Limits, NormalizerConfig};
use super::file::File;
use super::fold::Failure;
use super::known::Told;
use super::thread::cut;
use super::time::Zone;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// At most one [`ScanDone`] in this time.
const SCAN_EVERY_MS: i64 = 15 * 60 * 1000;

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

/// Facts to send, each with the raw record that it was read from.
pub(super) type Facts = Vec<(RawPosition, Fact)>;

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
    name: String,
    pub(super) zone: Option<Zone>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) files: BTreeMap<String, File>,
    pub(super) dimensions: BTreeMap<String, String>,
    subjects: BTreeMap<String, Subject>,
    caught_up: bool,
    /// True once a heartbeat came.
    heard: bool,
    first_log: i64,
    last_event: Option<i64>,
    last_scan: Option<i64>,
    /// Log time of the last [`HostFacts`].
    facts_sent: Option<i64>,
    /// Log time since which the facts are not what was sent, and lines since then.
    changed: Option<(i64, u32)>,
    /// Log time of the last record, by which the oldest host is forgotten.
    pub(super) last_log: i64,
    /// The entry of this host in the index of due times.
    pub(super) due: Option<i64>,
}

impl Host {
    pub(super) fn new(id: Arc<str>, log_time: i64) -> Host {
        Host { id, first_log: log_time, last_log: log_time, ..Host::default() }
    }

    /// The file of that name, made where it is new. Where there are too many, the oldest is forgotten.
    pub(super) fn file(&mut self, name: &str, limits: &Limits) -> &mut File {
        if !self.files.contains_key(name) {
            if self.files.len() >= limits.files_per_host_max.max(1) {
                let oldest = self.files.iter().min_by_key(|(_, file)| file.newest).map(|(name, _)| name.clone());
                oldest.map(|name| self.files.remove(&name));
            }
            self.files.insert(name.to_owned(), File::default());
        }
        self.files.get_mut(name).expect("inserted above")
    }

    /// Takes the name that a record gives the host.
    pub(super) fn set_name(&mut self, name: &str, scope: Scope<'_>) {
        let name = cut(name, scope.config.limits.value_bytes_max);
        if self.name != name && !name.is_empty() {
            self.name = name.to_owned();
        }
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

    /// Takes the event time of a line.
    pub(super) fn saw_time(&mut self, event_time: i64) {
        self.last_event = Some(self.last_event.map_or(event_time, |last| last.max(event_time)));
    }

    pub(super) fn heartbeat(&mut self, beat: Heartbeat, scope: Scope<'_>, out: &mut Facts) {
        self.heard = true;
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
        }
        self.caught_up = beat.caught_up;
    }

    /// A scan ended. Its success also ends every failure to reach a server.
    pub(super) fn scanned(&mut self, outcome: Outcome, event_time: i64, scope: Scope<'_>, out: &mut Facts) {
        if outcome == Outcome::Success {
            let servers: Vec<String> =
                self.subjects.keys().filter(|name| name.starts_with("server:")).cloned().collect();
            for subject in servers {
                self.succeed_if_failing(&subject, "scan", event_time, scope, out);
            }
        }
        let too_soon = self.last_scan.is_some_and(|last| event_time < last.saturating_add(SCAN_EVERY_MS));
        if too_soon {
            return;
        }
        self.last_scan = Some(event_time);
        if self.caught_up {
            self.send_facts_if_changed(scope, out);
            out.push((scope.at.raw, Fact::ScanDone(ScanDone { host: self.named(scope), outcome, event_time })));
        }
    }

    /// Counts the failures that have waited long enough.
    pub(super) fn settle_folds(&mut self, scope: Scope<'_>, out: &mut Facts) {
        if !self.files.values().any(|file| file.folds.is_open()) {
            return;
        }
        let due: Vec<Failure> = self
            .files
            .values_mut()
            .flat_map(|file| file.folds.due(file.time.clock_millis(), scope.at.log_time))
            .collect();
        for failure in due {
            self.failed(failure, scope, out);
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
        [failures, facts, catch_up].into_iter().flatten().min()
    }

    fn catch_up(&mut self, scope: Scope<'_>, out: &mut Facts) {
        self.caught_up = true;
        self.send_facts(scope, out);
    }

    fn facts_changed(&mut self, scope: Scope<'_>) {
        self.changed.get_or_insert((scope.at.log_time, 0));
    }

    fn send_facts_if_changed(&mut self, scope: Scope<'_>, out: &mut Facts) {
        if self.changed.is_some() {
            self.send_facts(scope, out);
        }
    }

    fn send_facts(&mut self, scope: Scope<'_>, out: &mut Facts) {
        let mut dimensions = self.dimensions.clone();
        dimensions.extend(self.labels.iter().map(|(name, value)| (format!("label.{name}"), value.clone())));
        let mut failing = Vec::new();
        for (subject, known) in &mut self.subjects {
            if let (Outcome::Failure, Some(family)) = (known.outcome, known.family) {
                let code = hresult::display(known.code);
                failing.push(Failing { subject: subject.clone(), family, code, since: known.since });
                // The facts say it as well as an attempt would.
                known.sent = known.sent.or(Some(known.last));
            }
        }
        let facts = HostFacts {
            host: self.named(scope),
            dimensions,
            failing,
            last_event_time: self.last_event,
            caught_up: self.caught_up,
        };
        self.facts_sent = Some(scope.at.log_time);
        self.changed = None;
        out.push((scope.at.raw, Fact::HostFacts(facts)));
    }

    fn named(&self, scope: Scope<'_>) -> HostRef {
        HostRef { id: scope.id.to_owned(), name: self.name.clone() }
    }
}
