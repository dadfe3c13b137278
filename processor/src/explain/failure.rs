//! A failure in a log.

use wulog_schemas::hresult::Family;

/// Operation of a failure that no line assigns to an operation.
pub(super) const UNNAMED: &str = "unnamed";

/// A failure without an update and a failure of the same operation with one count as the same failure within this time.
pub(super) const SAME_MS: u64 = 120_000;

/// Process and thread of a file.
pub(super) type ThreadKey = (String, Option<u32>, Option<u32>);

/// A failure of one operation at one update, file or server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExplainedFailure {
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
    /// Number of failed attempts.
    pub(super) count: u32,
    /// True where the installer is a separate program, which a command line starts.
    pub(super) is_by_command: bool,
    /// True where the lines have a time, so that `since` is valid.
    pub(super) dated: bool,
}

impl ExplainedFailure {
    /// True where no line names the update, file or server.
    pub(super) fn is_unnamed(&self) -> bool {
        self.update.is_none() && self.object.is_none()
    }

    /// True where both failures describe the same end of an operation, which several lines and several logs may state.
    /// Two logs of one scan may differ by the UTC offset, which the client's log lacks, so equal codes suffice for a
    /// scan.
    pub(super) fn is_same_end(&self, other: &ExplainedFailure) -> bool {
        let is_same_scan = self.operation == "scan" && self.code == other.code;
        self.operation == other.operation && (self.last.abs_diff(other.last) < SAME_MS || is_same_scan)
    }
}
