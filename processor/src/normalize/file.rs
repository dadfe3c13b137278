//! What is remembered of one log file of a host.

use serde::{Deserialize, Serialize};
use wulog_schemas::event::{EventId, FileId, Form};

use super::config::Limits;
use super::fold::Folds;
use super::log_kind::LogKind;
use super::position::Epoch;
use super::thread::Threads;
use super::time::FileTime;
use super::wrapped::Wrapped;
use crate::parse::{CMTRACE_BEGIN, Entry};

/// The line that continuations refer to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    id: EventId,
    epoch: FileId,
    /// Where the next line must begin to continue it.
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
    head: Option<Head>,
    /// Which kind of log it is.
    pub(super) kind: LogKind,
    /// A record that goes on in the next line.
    pub(super) wrapped: Option<Wrapped>,
    /// Newest event time of its lines.
    pub(super) newest: i64,
    /// Lines up to this event time were read before, in an earlier epoch.
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
    /// The epoch of that name; `id` names a new one. A new epoch of a known file begins where a checkpoint was lost, or
    /// the file was replaced.
    pub(super) fn epoch(&mut self, name: &str, id: impl FnOnce() -> FileId, limits: &Limits) -> &mut Epoch {
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

    /// The offset in the latest epoch up to which it is read.
    pub(super) fn read_bytes(&self) -> u64 {
        self.epochs.last().map_or(0, Epoch::end)
    }

    /// True for a line that an earlier epoch had brought: it is not newer than what came before.
    pub(super) fn is_reread(&mut self, stated: Option<i64>) -> bool {
        let Some(until) = self.reread_until else { return false };
        if stated.is_some_and(|millis| millis > until) {
            self.reread_until = None;
            return false;
        }
        true
    }

    /// The id of the line that a line continues, where it does.
    pub(super) fn continues(
        &mut self,
        entry: &Entry<'_>,
        id: EventId,
        epoch: FileId,
        offset: u64,
        end: u64,
    ) -> Option<EventId> {
        match entry.form {
            // A dated line begins something of its own, whatever form it has.
            Form::Text if entry.time.is_some() => {
                self.head = None;
                None
            }
            // A record of Configuration Manager that is cut off has no form, but continues nothing.
            Form::Text if !entry.message.trim_start().starts_with(CMTRACE_BEGIN) => {
                let head = self.head.as_mut().filter(|head| head.epoch == epoch && head.end == offset)?;
                head.end = end;
                Some(head.id)
            }
            _ => {
                self.head = Some(Head { id, epoch, end });
                None
            }
        }
    }
}
