//! What a line is about and what it says of certificate trust.

use wulog_schemas::event::{Action, EventOutcome, EventType, OpenOperation};
use wulog_schemas::hresult::{self, Family, is_failure};
use wulog_schemas::signal::Outcome;

use super::patterns::Match;
use crate::parse::{Entry, Trust, Verdict, Words};

/// 8024B303 is the last word of the Windows 10+ client on a signer that is not trusted.
const FINAL_TRUST_CODE: u32 = 0x8024_B303;

/// CRYPT_E_NOT_FOUND: in most lines it says nothing of trust.
const NOT_FOUND: u32 = 0x8009_2004;

/// A failure of certificate trust in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrustFailure {
    pub(super) code: u32,
    pub(super) family: Family,
    /// True where the client gave up; a healthy third-party install logs 0x800B0109 too, and then succeeds.
    pub(super) definite: bool,
}

/// A line's trust failure, where it has one.
pub(super) fn trust_failure(entry: &Entry<'_>) -> Option<TrustFailure> {
    let code = entry.hresult?;
    let family = family(entry, code)?;
    // Error Reporting repeats what REPORT EVENT said before.
    if entry.is_error_report() {
        return None;
    }
    let definite = match &entry.report {
        Some(report) => match report.verdict() {
            Verdict::Failure => true,
            Verdict::Success => return None,
            Verdict::Other => false,
        },
        None => entry.facts.trust == Some(Trust::Rejected) || code == FINAL_TRUST_CODE,
    };
    Some(TrustFailure { code, family, definite })
}

/// The family of a line's code. Windows 7 calls a signature of SHA-2 "not found" when it throws the update away.
fn family(entry: &Entry<'_>, code: u32) -> Option<Family> {
    hresult::family(code).or_else(|| (code == NOT_FOUND && is_thrown_away(entry)).then_some(Family::Signature))
}

/// True where the client refuses an update or a file for good.
fn is_thrown_away(entry: &Entry<'_>) -> bool {
    match &entry.report {
        Some(report) => report.verdict() == Verdict::Failure,
        None => matches!(entry.facts.trust, Some(Trust::Rejected | Trust::Failed)),
    }
}

/// True where a line says that its update, or the file under check, is good.
pub(super) fn is_success(entry: &Entry<'_>) -> bool {
    match &entry.report {
        // Download and install succeeded, with or without a restart to come.
        Some(report) => {
            report.verdict() == Verdict::Success
                && matches!(report.event_id, 162 | 164 | 183 | 184 | 190 | 191 | 197 | 199)
        }
        None => entry.facts.trust == Some(Trust::Trusted) || entry.facts.words.any(Words::DOWNLOAD_SUCCEEDED),
    }
}

/// How a scan ended, where the line ends one. `scan_code` is the failure that its thread saw on the way.
pub(super) fn scan_done(entry: &Entry<'_>, scan_code: Option<u32>) -> Option<Outcome> {
    match &entry.report {
        Some(report) => match report.event_id {
            147 if report.verdict() == Verdict::Success => Some(Outcome::Success),
            148 => Some(Outcome::Failure),
            _ => None,
        },
        None if super::thread::Thread::ends_scan(entry) => {
            let failed = scan_code.or(entry.hresult).is_some_and(is_failure);
            Some(if failed { Outcome::Failure } else { Outcome::Success })
        }
        None => None,
    }
}

/// The operation of an attempt: `download`, `install`, `scan` or `signature`.
pub(super) fn operation(entry: &Entry<'_>, family: Family) -> &'static str {
    match entry.report.as_ref().map(|report| report.event_id) {
        Some(161..=170) => return "download",
        Some(181..=204 | 221..=225 | 521..=546) => return "install",
        Some(141..=158) => return "scan",
        _ => {}
    }
    match entry.component {
        Some("DnldMgr" | "DownloadManager" | "DWNLDMGR") => "download",
        Some("Handler" | "HANDLER") => "install",
        Some("Misc" | "MISC") if family != Family::Tls => "signature",
        _ if family == Family::Tls || family == Family::Metadata => "scan",
        _ => "signature",
    }
}

/// What an event says of its line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meaning {
    pub(super) action: Action,
    pub(super) outcome: EventOutcome,
    /// `event.code`.
    pub(super) code: Option<u32>,
    /// The same where it is that of a failure.
    pub(super) failure: Option<u32>,
    pub(super) family: Option<Family>,
}

/// What a line says by itself, where `open` is the operation of its thread, and by the patterns that match it.
pub(super) fn meaning(
    entry: &Entry<'_>,
    open: Option<OpenOperation>,
    continues: bool,
    matched: Option<&Match<'_>>,
) -> Meaning {
    let own = entry.hresult.filter(|_| entry.is_failure());
    let failure = own.or_else(|| matched.and_then(Match::failure));
    let (action, outcome) = match (action(entry, open, continues), matched.and_then(Match::failure)) {
        (Action::Log | Action::Continuation, Some(_)) => (Action::OperationFailed, EventOutcome::Failure),
        (action, Some(_)) => (action, EventOutcome::Failure),
        (action, None) => (action, entry.outcome),
    };
    // A code without the failure bit in a line that failed is none: `Return code = 0x00000643, Result = Failed`.
    let success = entry.hresult.filter(|code| *code != 0 && outcome != EventOutcome::Failure);
    let family = matched.and_then(Match::family).or_else(|| failure.and_then(|code| family(entry, code)));
    Meaning { action, outcome, code: failure.or(success), failure, family }
}

/// `event.action` of a line, where `open` is the operation of its thread.
fn action(entry: &Entry<'_>, open: Option<OpenOperation>, continues: bool) -> Action {
    match entry.action {
        Action::Log if continues => Action::Continuation,
        Action::OperationFailed if open == Some(OpenOperation::Scan) && entry.facts.words.any(Words::EXIT_CODE) => {
            Action::ScanFailed
        }
        action => action,
    }
}

/// `event.type` of an action.
pub(super) fn type_of(action: Action) -> EventType {
    match action {
        Action::InstallStart
        | Action::InstallPending
        | Action::InstallEnd
        | Action::InstallSucceeded
        | Action::InstallFailed
        | Action::InstallCanceled => EventType::Installation,
        Action::UninstallStart
        | Action::UninstallEnd
        | Action::UninstallSucceeded
        | Action::UninstallFailed
        | Action::UninstallCanceled => EventType::Deletion,
        _ => EventType::Info,
    }
}
