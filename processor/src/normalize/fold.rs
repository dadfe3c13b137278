//! Folds the 3-4 lines of one failed operation into one failure.
//!
//! A failure waits here in two cases. *Provisional*: the outcome is open, so it waits for a success
//! ([`NormalizerConfig::provisional_wait_secs`]). *Definite, but only its file is known*: REPORT EVENT, which names the
//! update, is seconds away ([`NormalizerConfig::update_wait_secs`]). Time is the file's own local clock, which runs evenly
//! while the host's offset is still unknown, or log time where the file falls silent.
//!
//! [`NormalizerConfig::provisional_wait_secs`]: super::config::NormalizerConfig::provisional_wait_secs
//! [`NormalizerConfig::update_wait_secs`]: super::config::NormalizerConfig::update_wait_secs

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::RawPosition;

/// Lines of one operation stand at most so far apart.
const FOLD_MS: i64 = 60_000;

/// A failure as far as its lines have told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) pid: Option<u32>,
    pub(super) tid: Option<u32>,
    /// File of the trust check.
    pub(super) path: Option<String>,
    /// Update id, lower case.
    pub(super) update: Option<String>,
    /// Server that was talked to.
    pub(super) server: Option<String>,
    pub(super) code: u32,
    pub(super) family: Family,
    /// True once a line said that the client gave up.
    pub(super) definite: bool,
    /// True where no later line can tell more: REPORT EVENT.
    pub(super) reported: bool,
    pub(super) operation: String,
    pub(super) dimensions: BTreeMap<String, String>,
    /// Event time of the first line, milliseconds since 1970 UTC.
    pub(super) event_time: i64,
    /// The raw record that decides: the first definite line, else the first.
    pub(super) raw: RawPosition,
    /// Local time of the first line.
    pub(super) clock: i64,
    /// Local time of the file at which it counts.
    pub(super) due_clock: i64,
    /// Log time at which it counts.
    pub(super) due_log: i64,
}

impl Failure {
    /// True where nothing more is to be learned.
    fn is_complete(&self) -> bool {
        self.definite && (self.reported || self.update.is_some())
    }

    /// True where `line` belongs to the operation of `self`.
    fn takes(&self, line: &Failure) -> bool {
        let apart = self.clock.abs_diff(line.clock) > FOLD_MS.unsigned_abs();
        // REPORT EVENT comes from another thread of the same process.
        let same_thread = self.pid == line.pid && (self.tid == line.tid || line.reported);
        let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        !apart
            && same_thread
            && self.family == line.family
            && agree(&self.update, &line.update)
            && agree(&self.path, &line.path)
    }

    fn take(&mut self, line: Failure) {
        if line.definite && !self.definite {
            self.definite = true;
            self.code = line.code;
            self.raw = line.raw;
            self.operation = line.operation;
            self.due_clock = line.due_clock;
            self.due_log = line.due_log;
        }
        if line.reported {
            // Its time has an offset of its own.
            self.reported = true;
            self.event_time = line.event_time;
        }
        self.path = self.path.take().or(line.path);
        self.update = self.update.take().or(line.update);
        self.server = self.server.take().or(line.server);
        for (name, value) in line.dimensions {
            self.dimensions.entry(name).or_insert(value);
        }
    }
}

/// The failures of one file that wait.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Folds {
    open: Vec<Failure>,
}

impl Folds {
    /// Takes a line's failure; gives it back, with what the fold knew, where it counts now.
    pub(super) fn add(&mut self, line: Failure, open_max: usize) -> Option<Failure> {
        let at = self.open.iter().position(|open| open.takes(&line));
        let failure = match at {
            Some(at) => {
                let mut failure = self.open.remove(at);
                failure.take(line);
                failure
            }
            None => line,
        };
        if failure.is_complete() {
            return Some(failure);
        }
        self.open.push(failure);
        // Beyond the bound the oldest counts as it stands.
        if self.open.len() > open_max.max(1) { Some(self.open.remove(0)) } else { None }
    }

    /// Drops what the success of an update disproves.
    pub(super) fn update_succeeded(&mut self, update: &str) {
        self.open.retain(|failure| failure.definite || failure.update.as_deref() != Some(update));
    }

    /// Drops what a success on the same thread disproves: all that is not about another file.
    pub(super) fn thread_succeeded(&mut self, pid: Option<u32>, tid: Option<u32>, path: Option<&str>) {
        self.open.retain(|failure| {
            let other_path = matches!((failure.path.as_deref(), path), (Some(a), Some(b)) if a != b);
            failure.definite || failure.pid != pid || failure.tid != tid || other_path
        });
    }

    /// Drops what a successful scan disproves: that its server could not be reached.
    pub(super) fn scan_succeeded(&mut self) {
        self.open.retain(|failure| failure.definite || failure.update.is_some() || failure.path.is_some());
    }

    /// True where a failure waits.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes out what counts at these times.
    pub(super) fn due(&mut self, clock: i64, log_time: i64) -> Vec<Failure> {
        let is_due = |failure: &Failure| failure.due_clock <= clock || failure.due_log <= log_time;
        let (due, open) = std::mem::take(&mut self.open).into_iter().partition(is_due);
        self.open = open;
        due
    }

    /// Log time at which the next one counts.
    pub(super) fn next_due_log(&self) -> Option<i64> {
        self.open.iter().map(|failure| failure.due_log).min()
    }
}
