//! The state of one log file of a host.

use serde::{Deserialize, Serialize};
use wulog_schemas::event::{EventId, FileId, Form};

use super::config::NormalizerLimits;
use super::fold::Folds;
use super::log_kind::LogKind;
use super::position::Epoch;
use super::thread::Threads;
use super::time::FileTime;
use super::wrapped::Wrapped;
use crate::parse::{CMTRACE_BEGIN, Entry};

/// The line that continuations refer to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RecordHead {
    id: EventId,
    epoch: FileId,
    /// Offset at which the next line must begin to continue the head.
    end: u64,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct File {
    /// Epochs, the latest last.
    epochs: Vec<Epoch>,
    pub(super) time: FileTime,
    pub(super) threads: Threads,
    pub(super) folds: Folds,
    head: Option<RecordHead>,
    /// The kind of the log.
    pub(super) kind: LogKind,
    /// A record that continues in the next line.
    pub(super) wrapped: Option<Wrapped>,
    /// Newest event time of the lines.
    pub(super) newest: i64,
    /// Lines up to this event time were read in an earlier epoch.
    reread_until: Option<i64>,
}

impl Default for File {
    fn default() -> Self {
        File {
            epochs: Vec::new(),
            time: FileTime::default(),
            threads: Threads::default(),
            folds: Folds::default(),
            head: None,
            kind: LogKind::default(),
            wrapped: None,
            newest: i64::MIN,
            reread_until: None,
        }
    }
}

impl File {
    /// Returns the epoch of that name; `id` creates the id of a new epoch. A known file begins a new epoch where a
    /// checkpoint was lost or the file was replaced.
    pub(super) fn epoch(&mut self, name: &str, id: impl FnOnce() -> FileId, limits: &NormalizerLimits) -> &mut Epoch {
        let at = match self.epochs.iter().rposition(|known| known.name == name) {
            Some(at) => at,
            None => {
                if !self.epochs.is_empty() && self.newest > i64::MIN {
                    self.reread_until = Some(self.newest);
                }
                if self.epochs.len() >= limits.epochs_per_file_max.max(1) {
                    self.epochs.remove(0);
                }
                self.epochs.push(Epoch::new(name, id()));
                self.epochs.len() - 1
            }
        };
        &mut self.epochs[at]
    }

    /// Returns the offset up to which the latest epoch is read.
    pub(super) fn read_bytes(&self) -> u64 {
        self.epochs.last().map_or(0, Epoch::end)
    }

    /// True for a line that an earlier epoch had: its time is not newer than that epoch's newest line.
    pub(super) fn is_reread(&mut self, stated: Option<i64>) -> bool {
        let Some(until) = self.reread_until else { return false };
        if stated.is_some_and(|millis| millis > until) {
            self.reread_until = None;
            return false;
        }
        true
    }

    /// Returns the id of the line that this line continues, if any.
    pub(super) fn continues(
        &mut self,
        entry: &Entry<'_>,
        id: EventId,
        epoch: FileId,
        offset: u64,
        end: u64,
    ) -> Option<EventId> {
        match entry.form {
            // A dated line begins a record of its own, whatever form it has.
            Form::Text if entry.time.is_some() => {
                self.head = None;
                None
            }
            // A cut record of Configuration Manager has no form, but does not continue another line.
            Form::Text if !entry.message.trim_start().starts_with(CMTRACE_BEGIN) => {
                let head = self.head.as_mut().filter(|head| head.epoch == epoch && head.end == offset)?;
                head.end = end;
                Some(head.id)
            }
            _ => {
                self.head = Some(RecordHead { id, epoch, end });
                None
            }
        }
    }
}
