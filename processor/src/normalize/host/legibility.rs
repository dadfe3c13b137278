//! Decides whether the logs of a host are readable.
//!
//! A host whose logs say nothing about Windows Update looks like a quiet, healthy host unless its facts say otherwise.
//! Three kinds of lines say nothing: undecoded traces, lines of other programs, and text without columns.

use serde::{Deserialize, Serialize};
use wulog_schemas::event::{Action, Form};
use wulog_schemas::signal::Unreadable;

use super::DAY_MS;
use crate::parse::Entry;

/// Why a line is unreadable; a later variant outranks an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Reason {
    Text,
    Foreign,
    Undecoded,
}

impl Reason {
    /// The word of [`wulog_schemas::signal::UNREADABLE_REASONS`].
    fn as_str(self) -> &'static str {
        match self {
            Reason::Undecoded => "undecoded",
            Reason::Foreign => "foreign",
            Reason::Text => "text",
        }
    }

    /// Returns the fault and its remedy, for an operator.
    fn remedy(self) -> &'static str {
        match self {
            Reason::Undecoded => {
                "its traces are not decoded (No Format Information found): run Get-WindowsUpdateLog on this very host, \
                 with access to Microsoft's symbol server where it is older than Windows 10 1709; or ship its \
                 C:\\Windows\\SoftwareDistribution\\ReportingEvents.log, which needs no decoding"
            }
            Reason::Foreign => {
                "only logs of other programs came from it: ship WindowsUpdate.log (before Windows 10 from C:\\Windows, \
                 since then as Get-WindowsUpdateLog writes it) or \
                 C:\\Windows\\SoftwareDistribution\\ReportingEvents.log"
            }
            Reason::Text => {
                "its log has no line with the columns of WindowsUpdate.log or ReportingEvents.log: ship the file itself, \
                 not what another program prints or exports of it"
            }
        }
    }
}

/// Whether a line is readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineLegibility {
    Readable,
    Unreadable(Reason),
    /// An empty line or a bar.
    Neither,
}

impl LineLegibility {
    fn of(entry: &Entry<'_>) -> LineLegibility {
        if entry.facts.undecoded {
            return LineLegibility::Unreadable(Reason::Undecoded);
        }
        match entry.form {
            Form::Legacy | Form::Etw | Form::ReportingEvents | Form::WuaHandler | Form::Message => {
                LineLegibility::Readable
            }
            Form::Text if entry.body.is_empty() || entry.action == Action::Separator => LineLegibility::Neither,
            Form::Text => LineLegibility::Unreadable(Reason::Text),
            _ => LineLegibility::Unreadable(Reason::Foreign),
        }
    }
}

/// A run of unreadable lines without a readable line in between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct UnreadableRun {
    reason: Reason,
    /// Event time of the first line.
    since: i64,
    /// Log time of the first line.
    since_log: i64,
    /// True where the run makes the host unreadable.
    counts: bool,
    /// True once a warning was logged.
    warned: bool,
}

/// The readability of a host's logs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Legibility {
    /// True once a line was readable.
    read: bool,
    run: Option<UnreadableRun>,
}

impl Legibility {
    /// Takes a line. Returns true where the host became unreadable, readable, or unreadable for another reason.
    pub(super) fn take(&mut self, entry: &Entry<'_>, event_time: i64, log_time: i64) -> bool {
        match LineLegibility::of(entry) {
            LineLegibility::Readable => {
                self.read = true;
                self.run.take().is_some_and(|run| run.counts)
            }
            LineLegibility::Unreadable(reason) => self.unreadable_line(reason, event_time, log_time),
            LineLegibility::Neither => false,
        }
    }

    fn unreadable_line(&mut self, reason: Reason, event_time: i64, log_time: i64) -> bool {
        // A host with readable lines has readable logs beside those of other programs. Undecoded traces count all the
        // same, since the update client writes them in place of lines that were readable before.
        if self.read && reason != Reason::Undecoded {
            return false;
        }
        let Some(run) = &mut self.run else {
            let counts = !self.read;
            self.run = Some(UnreadableRun { reason, since: event_time, since_log: log_time, counts, warned: false });
            return counts;
        };
        // A well decoded log has some undecoded lines too, so the run must last a whole day.
        let lasted = !run.counts && log_time >= run.since_log.saturating_add(DAY_MS);
        run.counts |= lasted;
        let explained = reason > run.reason;
        run.reason = run.reason.max(reason);
        run.warned &= !explained;
        run.counts && (lasted || explained)
    }

    /// Returns the reason for the host's facts; `None` while the host is readable.
    pub(super) fn unreadable(&self) -> Option<Unreadable> {
        let run = self.run.as_ref().filter(|run| run.counts)?;
        Some(Unreadable { since: run.since, reason: run.reason.as_str().to_owned() })
    }

    /// Logs the remedy, once for each reason.
    ///
    /// Logging is not an output of a machine: a machine that is loaded again may repeat the message.
    pub(super) fn warn_once(&mut self, host: &str) {
        if let Some(run) = self.run.as_mut().filter(|run| run.counts && !run.warned) {
            run.warned = true;
            tracing::warn!(
                %host,
                reason = run.reason.as_str(),
                "this host cannot be read and counts neither as active nor as healthy: {}",
                run.reason.remedy()
            );
        }
    }
}
