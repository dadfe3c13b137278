//! A failure that a log tells of.

use wulog_schemas::hresult::Family;

/// Operation of a failure that no line ties to one.
pub(super) const UNNAMED: &str = "unnamed";

/// A failure that names no update, and one of the same operation that does, are one within this time.
pub(super) const SAME_MS: u64 = 120_000;

/// Process and thread of a file.
pub(super) type Thread = (String, Option<u32>, Option<u32>);

/// One thing that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// `scan`, `download`, `install`, `uninstall` or `verification`.
    pub(super) operation: String,
    pub(super) update: Option<String>,
    /// File or server, where no update is known.
    pub(super) object: Option<String>,
    pub(super) code: Option<String>,
    pub(super) family: Option<Family>,
    /// HTTP status of the line, where it names one.
    pub(super) http: Option<u16>,
    pub(super) since: i64,
    pub(super) last: i64,
    /// Attempts that failed.
    pub(super) count: u32,
    /// True where the installer is a program of its own, which a command line starts.
    pub(super) is_by_command: bool,
    /// True where the lines have a time, so that `since` is one.
    pub(super) dated: bool,
}

impl Failure {
    /// True where no line names what fails.
    pub(super) fn is_unnamed(&self) -> bool {
        self.update.is_none() && self.object.is_none()
    }

    /// True where both tell of one end of an operation; several lines, and several logs, tell of it. Two logs of one scan
    /// may differ by the UTC offset, which a log of the client lacks, so the code of a scan suffices.
    pub(super) fn is_same_end(&self, other: &Failure) -> bool {
        let is_same_scan = self.operation == "scan" && self.code == other.code;
        self.operation == other.operation && (self.last.abs_diff(other.last) < SAME_MS || is_same_scan)
    }
}
