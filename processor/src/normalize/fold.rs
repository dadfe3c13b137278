//! Folds the 3-4 lines of one failed operation into one failure, and holds back failures and steps that a later line
//! may disprove.
//!
//! A failure waits here in two cases. *Provisional*: the outcome is open, so the failure waits for a success
//! ([`NormalizerConfig::provisional_wait_secs`]). *Definite, but only its file is known*: the failure waits for REPORT
//! EVENT, which names the update some seconds later ([`NormalizerConfig::update_wait_secs`]). A failed scan does not
//! wait: its subject is the server, and earlier failures of the scan on its thread count together with it.
//!
//! A successful step waits too: a transferred job and a verified file prove that an update works only if no refusal
//! follows, so the end of the operation decides.
//!
//! A wait ends by the file's own local clock, which runs evenly while the host's offset is still unknown, or by log
//! time where the file falls silent.
//!
//! [`NormalizerConfig::provisional_wait_secs`]: super::config::NormalizerConfig::provisional_wait_secs
//! [`NormalizerConfig::update_wait_secs`]: super::config::NormalizerConfig::update_wait_secs

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wulog_schemas::hresult::Family;

use super::operation::{AttemptProof, Operation};

/// Longest time between two lines of one operation.
const FOLD_MS: i64 = 60_000;

/// Most line ids of one attempt. A failed operation has 3-10 lines, and the first lines say most.
const LINES_MAX: usize = 32;

/// A failure, as known from the lines that were read so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) pid: Option<u32>,
    pub(super) tid: Option<u32>,
    /// Number of the work item on its thread.
    pub(super) item: u32,
    /// File of the trust check.
    pub(super) path: Option<String>,
    /// Update id, lower case.
    pub(super) update: Option<String>,
    /// Server that the client contacted.
    pub(super) server: Option<String>,
    pub(super) code: u32,
    pub(super) family: Family,
    /// True once a line said that the client gave up.
    pub(super) definite: bool,
    /// True for a failure that REPORT EVENT has stated: no later line adds a fact.
    pub(super) reported: bool,
    /// True for a line that summarizes the work of another thread: REPORT EVENT, and the history of an update.
    pub(super) sums_up: bool,
    pub(super) operation: Operation,
    pub(super) dimensions: BTreeMap<String, String>,
    /// Event time of the first line, milliseconds since 1970 UTC.
    pub(super) event_time: i64,
    /// The lines of the failure. The raw record is that of the decisive line: the first definite line, else the first
    /// line.
    pub(super) proof: AttemptProof,
    /// Local time of the first line.
    pub(super) clock: i64,
    /// Local time of the file at which it counts.
    pub(super) due_clock: i64,
    /// Log time at which it counts.
    pub(super) due_log: i64,
}

impl Failure {
    /// True where no later line can add a fact, so the failure counts now.
    fn is_complete(&self) -> bool {
        self.definite && (self.reported || self.update.is_some() || self.operation == Operation::Scan)
    }

    /// True where `self` is a failure of the scan that `end` ends.
    fn is_of_scan(&self, end: &Failure) -> bool {
        self.operation == Operation::Scan && self.pid == end.pid && self.tid == end.tid
    }

    /// True where `line` belongs to the operation of `self`.
    fn takes(&self, line: &Failure) -> bool {
        let apart = self.clock.abs_diff(line.clock) > FOLD_MS.unsigned_abs();
        let same_item = self.tid == line.tid && self.item == line.item;
        let same_work = self.pid == line.pid && (same_item || line.sums_up);
        let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        !apart
            && same_work
            && self.family == line.family
            && agree(&self.update, &line.update)
            && agree(&self.path, &line.path)
    }

    fn take(&mut self, line: Failure) {
        if line.definite && !self.definite {
            self.definite = true;
            self.code = line.code;
            self.proof.raw = line.proof.raw;
            self.operation = line.operation;
            self.due_clock = line.due_clock;
            self.due_log = line.due_log;
        }
        if line.reported {
            // A report has its own offset from UTC, so its event time is the better one.
            self.reported = true;
            self.event_time = line.event_time;
        }
        self.path = self.path.take().or(line.path);
        self.update = self.update.take().or(line.update);
        self.server = self.server.take().or(line.server);
        self.proof.add(line.proof);
        for (name, value) in line.dimensions {
            self.dimensions.entry(name).or_insert(value);
        }
    }
}

/// The thread and the subject of a success.
#[derive(Debug)]
pub(super) struct SuccessScope<'a> {
    pub(super) pid: Option<u32>,
    pub(super) tid: Option<u32>,
    /// Number of the work item on the thread.
    pub(super) item: u32,
    /// The checked file; for the success of an update, the file that was checked last.
    pub(super) path: Option<&'a str>,
    /// Update id, lower case.
    pub(super) update: Option<&'a str>,
}

/// A successful step of an operation; a refusal may still follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ProvisionalSuccess {
    pub(super) pid: Option<u32>,
    pub(super) tid: Option<u32>,
    /// The file that was verified.
    pub(super) path: Option<String>,
    /// Update id, lower case.
    pub(super) update: Option<String>,
    pub(super) operation: Operation,
    pub(super) dimensions: BTreeMap<String, String>,
    pub(super) event_time: i64,
    pub(super) proof: AttemptProof,
    /// Local time of the file at which it counts.
    pub(super) due_clock: i64,
    /// Log time at which it counts.
    pub(super) due_log: i64,
}

impl ProvisionalSuccess {
    /// True where a refusal of this update or file, or on this thread, disproves the step.
    fn is_refused(&self, update: Option<&str>, path: Option<&str>, thread: (Option<u32>, Option<u32>)) -> bool {
        match (self.update.as_deref(), update) {
            (Some(own), Some(refused)) => own == refused,
            _ => (self.pid, self.tid) == thread || path.is_some() && self.path.as_deref() == path,
        }
    }
}

/// The waiting failures and successful steps of one file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Folds {
    open: Vec<Failure>,
    steps: Vec<ProvisionalSuccess>,
}

impl Folds {
    /// Adds the failure of a line. Returns the failures that count now: a complete failure merged from its lines, and
    /// with the end of a scan also the other failures of that scan.
    pub(super) fn add(&mut self, line: Failure, open_max: usize) -> Vec<Failure> {
        let failure = match self.open.iter().position(|open| open.takes(&line)) {
            Some(at) => {
                let mut failure = self.open.remove(at);
                failure.take(line);
                failure
            }
            None => line,
        };
        if failure.is_complete() {
            let mut complete = Vec::new();
            if failure.operation == Operation::Scan {
                complete.extend(self.open.extract_if(.., |open| open.is_of_scan(&failure)));
            }
            complete.push(failure);
            return complete;
        }
        self.open.push(failure);
        // Beyond the bound the oldest failure counts as it is.
        if self.open.len() > open_max.max(1) { vec![self.open.remove(0)] } else { Vec::new() }
    }

    /// Adds a successful step. Returns the oldest step, which then counts, where there are too many.
    pub(super) fn add_step(&mut self, step: ProvisionalSuccess, steps_max: usize) -> Option<ProvisionalSuccess> {
        let same = |known: &&mut ProvisionalSuccess| {
            known.update == step.update
                && known.operation == step.operation
                && (step.update.is_some() || known.path == step.path)
        };
        if let Some(known) = self.steps.iter_mut().find(same) {
            known.proof.add(step.proof);
            return None;
        }
        self.steps.push(step);
        if self.steps.len() > steps_max.max(1) { Some(self.steps.remove(0)) } else { None }
    }

    /// Drops the steps that a refusal disproves.
    pub(super) fn refused(&mut self, update: Option<&str>, path: Option<&str>, thread: (Option<u32>, Option<u32>)) {
        self.steps.retain(|step| !step.is_refused(update, path, thread));
    }

    /// Drops the provisional failures that the success of an update disproves, and the update's steps, which the
    /// success replaces.
    pub(super) fn update_succeeded(&mut self, update: &str) {
        self.open.retain(|failure| failure.definite || failure.update.as_deref() != Some(update));
        self.steps.retain(|step| step.update.as_deref() != Some(update));
    }

    /// Drops the provisional failures that a success disproves: failures in the same work item of the same thread that
    /// are not about another file or update.
    pub(super) fn item_succeeded(&mut self, done: &SuccessScope<'_>) {
        self.open.retain(|failure| {
            let other_path = matches!((failure.path.as_deref(), done.path), (Some(a), Some(b)) if a != b);
            let other_update = failure.update.is_some() && failure.update.as_deref() != done.update;
            let other_item = (failure.pid, failure.tid, failure.item) != (done.pid, done.tid, done.item);
            failure.definite || other_item || other_path || other_update
        });
    }

    /// Drops the provisional failures that a successful scan disproves: failures of scans, and failures without update
    /// and file, which concern the server.
    pub(super) fn scan_succeeded(&mut self) {
        self.open.retain(|failure| {
            let is_of_update = failure.update.is_some() || failure.path.is_some();
            failure.definite || failure.operation != Operation::Scan && is_of_update
        });
    }

    /// True where a failure or a step waits.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty() || !self.steps.is_empty()
    }

    /// Removes and returns the failures whose wait is over at these times.
    pub(super) fn due(&mut self, clock: i64, log_time: i64) -> Vec<Failure> {
        self.open.extract_if(.., |failure| failure.due_clock <= clock || failure.due_log <= log_time).collect()
    }

    /// Removes and returns the steps that no refusal followed in time.
    pub(super) fn due_steps(&mut self, clock: i64, log_time: i64) -> Vec<ProvisionalSuccess> {
        self.steps.extract_if(.., |step| step.due_clock <= clock || step.due_log <= log_time).collect()
    }

    /// Log time at which the next waiting failure or step counts.
    pub(super) fn next_due_log(&self) -> Option<i64> {
        let failures = self.open.iter().map(|failure| failure.due_log);
        failures.chain(self.steps.iter().map(|step| step.due_log)).min()
    }
}

impl AttemptProof {
    /// Adds the lines of a later proof of the same attempt.
    fn add(&mut self, later: AttemptProof) {
        for line in later.lines {
            if self.lines.len() < LINES_MAX && !self.lines.contains(&line) {
                self.lines.push(line);
            }
        }
    }
}
