//! How often the log is made, and where.

use std::path::PathBuf;
use std::time::Duration;

/// Windows 10 and later keep traces in place of WindowsUpdate.log; `Get-WindowsUpdateLog` makes the log of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetWindowsUpdateLog {
    /// The log that is made; an input must name it to be read.
    pub log_path: PathBuf,
    /// How often.
    pub every: Duration,
}
