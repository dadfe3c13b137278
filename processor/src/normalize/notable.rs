//! Which lines are notable: those for which an operator would pay a SIEM. The rule is that of `schemas/EVENTS.md`.

use wulog_schemas::event::{Action, EventOutcome, Flag};
use wulog_schemas::hresult;

use crate::parse::Entry;

/// Decided before the document is built, so that a line which is let go costs little.
pub(super) fn is_notable(entry: &Entry<'_>, action: Action, flags: &[Flag]) -> bool {
    entry.outcome == EventOutcome::Failure
        || entry.level.is_some()
        || entry.report.is_some()
        || entry.hresult.and_then(hresult::family).is_some()
        || is_milestone(action)
        // Only a verdict has an outcome; that a check begins is nothing yet.
        || action == Action::SignatureVerification && entry.outcome != EventOutcome::Unknown
        || flags.iter().any(|flag| matches!(flag, Flag::Rewound | Flag::Lossy | Flag::Truncated))
}

/// Start and end of service, scan, download and install, by whatever words.
fn is_milestone(action: Action) -> bool {
    matches!(
        action,
        Action::ServiceStart
            | Action::ServiceStop
            | Action::ScanStart
            | Action::ScanEnd
            | Action::ScanFailed
            | Action::DownloadStart
            | Action::DownloadEnd
            | Action::DownloadSucceeded
            | Action::DownloadFailed
            | Action::DownloadCanceled
            | Action::InstallStart
            | Action::InstallEnd
            | Action::InstallSucceeded
            | Action::InstallFailed
            | Action::InstallCanceled
            | Action::UninstallStart
            | Action::UninstallEnd
            | Action::UninstallSucceeded
            | Action::UninstallFailed
            | Action::UninstallCanceled
    )
}
