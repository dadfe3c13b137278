//! The operation that a line is a step of, and the lines that show how it ended.

use serde::{Deserialize, Serialize};
use wulog_schemas::event::{EventId, OpenOperation, TimeSource};
use wulog_schemas::signal::RawPosition;

/// The operation of an attempt. The order is that of the steps on an update: a success proves the steps before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Operation {
    /// A search for updates.
    Scan,
    /// The check of a signature outside of the other operations.
    Verification,
    /// A download with the check of the downloaded file.
    Download,
    /// An installation. An uninstallation is not an attempt.
    Install,
}

impl Operation {
    /// The name in signals, which is also that in events.
    pub(super) fn name(self) -> &'static str {
        match self {
            Operation::Scan => "scan",
            Operation::Verification => "verification",
            Operation::Download => "download",
            Operation::Install => "install",
        }
    }

    /// True where a success of this operation ends a failure of `failed`. A download verifies its files, so download
    /// and verification prove each other; neither proves that an installation works.
    pub(super) fn ends(self, failed: Operation) -> bool {
        self.place() >= failed.place()
    }

    /// Returns the place in the chain of steps.
    fn place(self) -> u8 {
        match self {
            Operation::Scan => 0,
            Operation::Verification | Operation::Download => 1,
            Operation::Install => 2,
        }
    }
}

impl From<OpenOperation> for Operation {
    fn from(open: OpenOperation) -> Operation {
        match open {
            OpenOperation::Scan => Operation::Scan,
            OpenOperation::Verification => Operation::Verification,
            OpenOperation::Download => Operation::Download,
            OpenOperation::Install | OpenOperation::Uninstall => Operation::Install,
        }
    }
}

/// The lines that show an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AttemptProof {
    /// Position of the decisive raw record.
    pub(super) raw: RawPosition,
    /// Log time of that record.
    pub(super) log_time: i64,
    /// Ids of the lines, the first one first.
    pub(super) lines: Vec<EventId>,
    /// Event time of the first line, milliseconds since 1970 UTC.
    pub(super) start: i64,
    /// Where that time comes from.
    pub(super) time_source: TimeSource,
    /// The file of the lines.
    pub(super) file: Box<str>,
}
