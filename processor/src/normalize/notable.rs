//! Decides which lines are notable: lines that are worth their price in a SIEM. The rule is that of
//! `schemas/EVENTS.md`.

use wulog_schemas::event::{Action, EventOutcome, Flag};

use super::line::LineValues;

/// True for a notable line. Decided before the document is built, so that a dropped line costs little.
pub(super) fn is_notable(line: &LineValues<'_>) -> bool {
    let LineValues { entry, meaning, flags, matched, .. } = line;
    meaning.outcome == EventOutcome::Failure
        || entry.level.is_some()
        || entry.report.is_some()
        || meaning.family.is_some()
        || matched.is_some()
        || is_milestone(meaning.action)
        // Only the verdict of a check has an outcome; the beginning of a check is not notable.
        || meaning.action == Action::SignatureVerification && meaning.outcome != EventOutcome::Unknown
        || [Flag::Rewound, Flag::Lossy, Flag::Truncated].into_iter().any(|flag| flags.has(flag))
}

/// True for start and end of service, scan, download and installation, whatever their words.
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
