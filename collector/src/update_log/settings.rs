//! The settings of runs of `Get-WindowsUpdateLog`.

use std::path::PathBuf;
use std::time::Duration;

/// How often `Get-WindowsUpdateLog` runs and where its log goes. Windows 10 and later keep traces in place of
/// WindowsUpdate.log; the command converts the traces to a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetWindowsUpdateLog {
    /// The log that is made; an input must name it to be read.
    pub log_path: PathBuf,
    /// Time between two runs.
    pub every: Duration,
}
