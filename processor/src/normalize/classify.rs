//! What a line is about and what it says of certificate trust.

use wulog_schemas::event::{Action, EventOutcome, EventType, Form, OpenOperation};
use wulog_schemas::hresult::{self, Family, is_failure};
use wulog_schemas::signal::Outcome;

use super::attempt::Operation;
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
        // Configuration Manager says how its call ended, not what happened on the way.
        None if entry.form == Form::WuaHandler => entry.outcome == EventOutcome::Failure,
        None => entry.facts.trust == Some(Trust::Rejected) || code == FINAL_TRUST_CODE || ends_operation(entry),
    };
    Some(TrustFailure { code, family, definite })
}

/// True for the line with which an installation or the download of an update ends.
fn ends_operation(entry: &Entry<'_>) -> bool {
    entry.facts.words.any(Words::INSTALL_ENDED) || is_history(entry.body)
}

/// True for a line of the history of an update, which is written when its operation is over.
pub(super) fn is_history(body: &str) -> bool {
    body.starts_with("LogHistory called")
}

/// The family of a line's code; codes in the log of another program have none. Windows 7 calls a signature of SHA-2 "not found" when it throws the update away.
fn family(entry: &Entry<'_>, code: u32) -> Option<Family> {
    if entry.form.is_foreign() {
        return None;
    }
    hresult::family(code).or_else(|| (code == NOT_FOUND && is_thrown_away(entry)).then_some(Family::Signature))
}

/// True where the client refuses an update or a file for good.
fn is_thrown_away(entry: &Entry<'_>) -> bool {
    match &entry.report {
        Some(report) => report.verdict() == Verdict::Failure,
        None => matches!(entry.facts.trust, Some(Trust::Rejected | Trust::Failed)),
    }
}

/// What a line says that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Success {
    pub(super) operation: Operation,
    /// True for the end of an operation; a step of one may still be followed by a refusal.
    pub(super) is_whole: bool,
}

/// The success of a line's update, or of the file under check, where `action` is what the line is about.
pub(super) fn success(entry: &Entry<'_>, action: Action) -> Option<Success> {
    let whole = |operation| Some(Success { operation, is_whole: true });
    let step = |operation| Some(Success { operation, is_whole: false });
    if let Some(report) = &entry.report {
        // Download and install succeeded, with or without a restart to come.
        return match report.event_id {
            _ if report.verdict() != Verdict::Success => None,
            162 | 164 => whole(Operation::Download),
            183 | 184 | 190 | 191 | 197 | 199 => whole(Operation::Install),
            _ => None,
        };
    }
    if entry.outcome == EventOutcome::Failure {
        return None;
    }
    if entry.facts.trust == Some(Trust::Trusted) {
        return step(Operation::Verification);
    }
    match action {
        Action::DownloadSucceeded if entry.facts.words.any(Words::DOWNLOAD_SUCCEEDED) => whole(Operation::Download),
        // The file is there; the check of its signature comes next.
        Action::DownloadSucceeded => step(Operation::Download),
        Action::InstallSucceeded if entry.outcome == EventOutcome::Success => whole(Operation::Install),
        _ if entry.facts.update.is_none() => None,
        Action::DownloadEnd if entry.form == Form::WuaHandler => ended_well(entry, Operation::Download),
        Action::InstallEnd if entry.form == Form::WuaHandler => ended_well(entry, Operation::Install),
        _ if entry.body.contains("already downloaded and are valid") => whole(Operation::Download),
        _ if is_history_of_success(entry.body) => whole(Operation::Install),
        _ => None,
    }
}

/// `Update 1 (GUID) finished installing (0x00000000), Reboot Required? No` of WUAHandler.log.
fn ended_well(entry: &Entry<'_>, operation: Operation) -> Option<Success> {
    (entry.outcome == EventOutcome::Success).then_some(Success { operation, is_whole: true })
}

/// `LogHistory called. idUpdate={G}.1, resultMapped=00000000, resultUnMapped=0000`
fn is_history_of_success(body: &str) -> bool {
    let Some((_, result)) = body.strip_prefix("LogHistory called").and_then(|rest| rest.split_once("resultMapped="))
    else {
        return false;
    };
    let result = result.split([',', ' ', ';']).next().unwrap_or_default();
    let digits = result.strip_prefix("0x").unwrap_or(result);
    !digits.is_empty() && digits.bytes().all(|digit| digit == b'0')
}

/// How a scan ended, where the line ends one. `scan_code` is the failure that its thread saw on the way.
pub(super) fn scan_done(entry: &Entry<'_>, scan_code: Option<u32>) -> Option<Outcome> {
    match &entry.report {
        Some(report) => match report.event_id {
            147 if report.verdict() == Verdict::Success => Some(Outcome::Success),
            148 => Some(Outcome::Failure),
            _ => None,
        },
        None if entry.form == Form::WuaHandler => match entry.action {
            Action::ScanEnd if entry.outcome == EventOutcome::Success => Some(Outcome::Success),
            Action::ScanFailed => Some(Outcome::Failure),
            _ => None,
        },
        None if super::thread::Thread::ends_scan(entry) => {
            let own = entry.hresult.filter(|code| !is_failure(*code));
            let failed = own.or(scan_code).or(entry.hresult).is_some_and(is_failure);
            Some(if failed { Outcome::Failure } else { Outcome::Success })
        }
        None => None,
    }
}

/// The operation that a failure belongs to: what a report says, else what is open on the thread, else what the line is
/// about. A TLS failure outside of any operation is one of looking for a server.
pub(super) fn operation(entry: &Entry<'_>, action: Action, open: Option<OpenOperation>, family: Family) -> Operation {
    match entry.report.as_ref().map(|report| report.event_id) {
        Some(161..=170) => return Operation::Download,
        Some(181..=204 | 521..=546) => return Operation::Install,
        Some(141..=158) => return Operation::Scan,
        _ => {}
    }
    if let Some(open) = open {
        return open.into();
    }
    match (action, entry.component) {
        (Action::ScanFailed, _) => Operation::Scan,
        (Action::DownloadFailed, _) | (_, Some("DnldMgr" | "DownloadManager" | "DWNLDMGR")) => Operation::Download,
        (Action::InstallFailed, _) | (_, Some("Handler" | "HANDLER")) => Operation::Install,
        _ if family == Family::Tls => Operation::Scan,
        // The agent synchronizes metadata in a scan; a file's signature is checked by Misc.
        (_, Some("Misc" | "MISC")) => Operation::Verification,
        _ if family == Family::Metadata => Operation::Scan,
        _ if is_history(entry.body) => Operation::Install,
        _ => Operation::Verification,
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
        Action::Log if continues && !entry.form.is_foreign() => Action::Continuation,
        Action::OperationFailed if open == Some(OpenOperation::Scan) && entry.facts.words.any(Words::EXIT_CODE) => {
            Action::ScanFailed
        }
        // The handler ends both with the same words.
        action if open == Some(OpenOperation::Uninstall) => match action {
            Action::InstallStart => Action::UninstallStart,
            Action::InstallSucceeded => Action::UninstallSucceeded,
            Action::InstallFailed => Action::UninstallFailed,
            action => action,
        },
        action => action,
    }
}

/// True for a line that tells of an uninstallation, by itself or by the operation of its thread.
pub(super) fn is_of_uninstallation(entry: &Entry<'_>, action: Action, open: Option<OpenOperation>) -> bool {
    match &entry.report {
        Some(report) => matches!(report.event_id, 221..=225),
        None => open == Some(OpenOperation::Uninstall) || operation_of(action) == Some(OpenOperation::Uninstall),
    }
}

/// The operation that an action is a part of, as far as its name says.
pub(super) fn operation_of(action: Action) -> Option<OpenOperation> {
    match action {
        Action::ScanStart | Action::ScanProgress | Action::ScanEnd | Action::ScanFailed => Some(OpenOperation::Scan),
        Action::DownloadStart | Action::DownloadProgress | Action::DownloadEnd | Action::DownloadFailed => {
            Some(OpenOperation::Download)
        }
        Action::InstallStart | Action::InstallEnd | Action::InstallSucceeded | Action::InstallFailed => {
            Some(OpenOperation::Install)
        }
        Action::UninstallStart | Action::UninstallEnd | Action::UninstallSucceeded | Action::UninstallFailed => {
            Some(OpenOperation::Uninstall)
        }
        _ => None,
    }
}

/// True for a failure of the update that the operation on its thread is about. Outside of an operation only what says
/// itself that it is about an update counts: the thread may have gone on to something else.
pub(super) fn is_of_update(meaning: &Meaning, open: Option<OpenOperation>) -> bool {
    use Action::{DownloadFailed, InstallFailed, SignatureVerification, UninstallFailed};
    if meaning.outcome != EventOutcome::Failure {
        return false;
    }
    match open {
        Some(open) => open != OpenOperation::Scan,
        None => {
            matches!(meaning.action, DownloadFailed | InstallFailed | UninstallFailed | SignatureVerification)
                || meaning.family.is_some_and(|family| family != Family::Tls)
        }
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
