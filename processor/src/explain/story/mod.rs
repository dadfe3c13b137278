//! The story of one host's log: the documents and signals of its lines, summarized.
//!
//! Trust failures come from the newest host facts, which the Detector reads too, so that `explain` never contradicts an
//! alert. All other failures, and successes, come from the events.

mod events;

use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::event::Event;
use wulog_schemas::signal::{Attempt, Fact, Failing, HostFacts, Outcome, Signal, Unreadable};
use wulog_schemas::topic::Topic;

use super::failed_step::FailedStep;
use super::failure::{ExplainedFailure, SAME_MS, ThreadKey};
use crate::machine::Output;
use events::key;

/// Most updates, failures and names that are kept, of each kind; a page shows a handful of them.
const KEPT_MAX: usize = 10_000;

/// The summary of one host's log, as far as it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    /// Number of lines of the update client, of any form.
    pub(super) lines: u64,
    /// Number of lines that the decoder of traces had no format for.
    pub(super) undecoded: u64,
    /// Number of lines with bytes that are no letters of the encoding.
    pub(super) lossy: u64,
    /// Number of lines of other programs, by their form.
    pub(super) foreign: BTreeMap<&'static str, u64>,
    /// Event times of the oldest and the newest line with a time of its own.
    pub(super) span: Option<(i64, i64)>,
    /// UTC offset of the newest dated line, minutes east; `None` where UTC was assumed.
    pub(super) offset_min: Option<i32>,
    pub(super) os: Option<String>,
    pub(super) client: Option<String>,
    pub(super) wsus: Option<String>,
    pub(super) target_group: Option<String>,
    pub(super) proxy: Option<String>,
    /// Names of the update services that lines name, `windows_update`, `wsus` ...
    pub(super) services: BTreeSet<String>,
    pub(super) scan: Option<LastScan>,
    /// Failures without relation to certificate trust, and trust failures that give no signal, by operation and update.
    failures: BTreeMap<String, ExplainedFailure>,
    pub(super) successes: BTreeMap<String, SucceededUpdate>,
    facts: Option<HostFacts>,
    attempts: BTreeMap<String, Attempt>,
    /// Title and KB by update id.
    names: BTreeMap<String, UpdateLabel>,
    /// Code of the last failure in the open scan of a thread.
    scanning: BTreeMap<ThreadKey, Option<String>>,
    /// Last server that a thread contacted.
    servers: BTreeMap<ThreadKey, String>,
    /// Number of operations that have started on a thread.
    starts: BTreeMap<ThreadKey, u32>,
    /// The newest attempt of each failure.
    tries: BTreeMap<String, Try>,
    /// The newest failed step that no success has cancelled; it counts where the log has no end of a scan.
    step: FailedStep,
}

/// The end of the last scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LastScan {
    pub(super) at: i64,
    /// `None` where the scan succeeded, or failed without a code.
    pub(super) code: Option<String>,
    pub(super) failed: bool,
}

/// The successful operation on an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum UpdateOperation {
    Installed,
    Downloaded,
    Uninstalled,
}

/// An update at which an operation succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SucceededUpdate {
    pub(super) done: UpdateOperation,
    pub(super) at: i64,
}

/// The attempt of a line: its thread, and the number of operations that had started on this thread.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Try {
    thread: ThreadKey,
    starts: u32,
    at: i64,
}

impl Try {
    /// True where both lines belong to the same attempt: they are close in time, and no operation started between them.
    fn is_same(&self, other: &Try) -> bool {
        let is_started_again = self.thread == other.thread && self.starts != other.starts;
        self.at.abs_diff(other.at) < SAME_MS && !is_started_again
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct UpdateLabel {
    title: Option<String>,
    kb: Option<String>,
}

impl Story {
    /// Takes the outputs of one record.
    pub(super) fn take(&mut self, outputs: &[Output]) {
        for output in outputs {
            match output.topic {
                Topic::Events => {
                    if let Ok(event) = serde_json::from_slice::<Event<'_>>(&output.value) {
                        self.event(&event);
                    }
                }
                Topic::Signals => {
                    if let Ok(signal) = Signal::from_bytes(&output.value) {
                        self.fact(signal.fact);
                    }
                }
                Topic::Raw | Topic::Alerts | Topic::State => {}
            }
        }
    }

    /// Returns why the log is unreadable; `None` for a readable log.
    pub(super) fn unreadable(&self) -> Option<&Unreadable> {
        self.facts.as_ref()?.unreadable.as_ref()
    }

    /// Returns the present failures, the newest first; failures of certificate trust come before all others.
    pub(super) fn failing(&self) -> Vec<ExplainedFailure> {
        let mut failing: Vec<ExplainedFailure> =
            self.facts.iter().flat_map(|facts| &facts.failing).map(|failing| self.trust_failure(failing)).collect();
        let updates: BTreeSet<&str> = failing.iter().filter_map(|failure| failure.update.as_deref()).collect();
        let is_scan_known = failing.iter().any(|failure| failure.operation == "scan");
        let told = |failure: &ExplainedFailure| match &failure.update {
            Some(update) => updates.contains(update.as_str()),
            None => failure.operation == "scan" && is_scan_known,
        };
        let mut others = Vec::new();
        for failure in self.failures.values() {
            if !told(failure) {
                others.push(failure.clone());
            }
        }
        failing.extend(others);
        let named: Vec<ExplainedFailure> = failing.iter().filter(|failure| !failure.is_unnamed()).cloned().collect();
        failing.retain(|failure| !failure.is_unnamed() || !named.iter().any(|named| named.is_same_end(failure)));
        if failing.is_empty() && self.scan.is_none() {
            failing.extend(self.step.failure().cloned());
        }
        failing.sort_by_key(|failure| (failure.family.is_none(), std::cmp::Reverse(failure.last)));
        failing
    }

    fn trust_failure(&self, failing: &Failing) -> ExplainedFailure {
        let attempt = self.attempts.get(&failing.subject);
        let (kind, object) = failing.subject.split_once(':').unwrap_or(("", &failing.subject));
        let by_kind = match kind {
            "server" => "scan",
            "update" => "download",
            _ => "verification",
        };
        // A download that fails at its server's TLS certificate has the server as subject, and the update beside it.
        let fetched = || attempt.filter(|_| kind == "server").and_then(|attempt| attempt.dimensions.get("update"));
        let update = if kind == "update" { Some(object) } else { fetched().map(String::as_str) };
        let of_update = self.failures.values().filter(|known| update.is_some() && known.update.as_deref() == update);
        // An update can fail at its download, its installation and its removal: the newest failure with this code is
        // meant.
        let seen = of_update
            .filter(|known| known.code.as_deref().is_none_or(|code| code == failing.code))
            .max_by_key(|known| known.last);
        // Signals name the removal of an update as an installation.
        let is_removal = seen.is_some_and(|seen| seen.operation == "uninstall");
        ExplainedFailure {
            operation: match attempt.map_or(by_kind, |attempt| &attempt.operation) {
                "install" if is_removal => "uninstall",
                // Signals of older versions have this operation.
                "signature" => by_kind,
                operation => operation,
            }
            .to_owned(),
            update: update.map(str::to_owned),
            object: (kind != "update" && object != "unknown").then(|| object.to_owned()),
            code: Some(failing.code.clone()),
            family: Some(failing.family),
            http: None,
            since: failing.since,
            last: seen.map_or(failing.since, |known| known.last.max(failing.since)),
            count: seen.map_or(1, |known| known.count),
            is_by_command: seen.is_some_and(|known| known.is_by_command),
            dated: true,
        }
    }

    /// Returns `VideoTool 3.2 (KB9990001)`, as far as any line names the update.
    pub(super) fn name_of(&self, update: &str) -> Option<String> {
        let name = self.names.get(update)?;
        match (&name.title, &name.kb) {
            (Some(title), Some(kb)) if !title.contains(kb.as_str()) => Some(format!("{title} ({kb})")),
            (Some(title), _) => Some(title.clone()),
            (None, kb) => kb.clone(),
        }
    }

    fn fact(&mut self, fact: Fact) {
        match fact {
            Fact::HostFacts(facts) => self.facts = Some(facts),
            Fact::Attempt(attempt) => {
                let update = attempt.dimensions.get("update").cloned();
                let title = attempt.dimensions.get("title").map(String::as_str);
                self.learn(update.as_deref(), title, attempt.dimensions.get("kb").map(String::as_str));
                match attempt.outcome {
                    Outcome::Success => self.attempt_succeeded(&attempt),
                    Outcome::Failure if self.attempts.len() < KEPT_MAX => {
                        self.attempts.insert(attempt.subject.clone(), attempt);
                    }
                    Outcome::Failure => {}
                }
            }
            Fact::ScanDone(done) => {
                let failed = done.outcome == Outcome::Failure;
                let known = self.scan.as_ref().filter(|scan| scan.at == done.event_time && scan.failed == failed);
                let code = known.and_then(|scan| scan.code.clone());
                self.scan = Some(LastScan { at: done.event_time, code, failed });
            }
            Fact::Tick(_) | Fact::Config(_) | Fact::Handling(_) | Fact::Certificates(_) => {}
        }
    }

    /// Ends the failures that the Detector considers ended: an operation succeeded, by any program, or a later scan no
    /// longer offers the update.
    fn attempt_succeeded(&mut self, attempt: &Attempt) {
        let Some(update) = attempt.subject.strip_prefix("update:") else { return };
        let is_not_offered = attempt.dimensions.get("evidence").is_some_and(|evidence| evidence == "not_offered");
        let (done, ended): (UpdateOperation, &[&str]) = match attempt.operation.as_str() {
            "install" => (UpdateOperation::Installed, &["install", "download"]),
            "download" if !is_not_offered => (UpdateOperation::Downloaded, &["download"]),
            _ if is_not_offered => (UpdateOperation::Downloaded, &["install", "download"]),
            _ => return,
        };
        for operation in ended {
            let key = key(operation, Some(update));
            if self.failures.get(&key).is_some_and(|failure| failure.last <= attempt.event_time) {
                self.failures.remove(&key);
            }
        }
        if !is_not_offered {
            self.note(update, done, attempt.event_time);
        }
    }

    fn note(&mut self, update: &str, done: UpdateOperation, at: i64) {
        if self.successes.len() >= KEPT_MAX && !self.successes.contains_key(update) {
            return;
        }
        let known = self.successes.entry(update.to_owned()).or_insert(SucceededUpdate { done, at });
        // A signal may repeat the success of a line, and an installed update may be downloaded again.
        if at > known.at && !(known.done == UpdateOperation::Installed && done == UpdateOperation::Downloaded) {
            known.done = done;
        } else if at == known.at {
            known.done = known.done.min(done);
        }
        known.at = known.at.max(at);
    }

    fn learn(&mut self, update: Option<&str>, title: Option<&str>, kb: Option<&str>) {
        let Some(update) = update.filter(|_| self.names.len() < KEPT_MAX) else { return };
        let name = self.names.entry(update.to_owned()).or_default();
        // A line with only the KB of an update has the KB in place of the package's name.
        if let Some(title) = title.filter(|title| Some(*title) != kb) {
            name.title.get_or_insert_with(|| title.to_owned());
        }
        if let Some(kb) = kb {
            name.kb.get_or_insert_with(|| kb.to_owned());
        }
    }

    /// True where the log has readable lines of the update client.
    pub(super) fn has_told(&self, failing: &[ExplainedFailure]) -> bool {
        let has_end = self.scan.is_some() || !self.successes.is_empty() || !failing.is_empty();
        self.lines > 0 && self.unreadable().is_none() && (has_end || !self.is_mostly_undecoded())
    }

    /// True where the decoder of traces had no format for most lines.
    pub(super) fn is_mostly_undecoded(&self) -> bool {
        self.undecoded * 2 > self.lines
    }
}
