//! The meaning of a line: its action, outcome and code, with the operation that is open on its thread.

use wulog_schemas::event::{Action, EventOutcome, EventType, Form, OpenOperation};
use wulog_schemas::hresult::{Family, is_failure};
use wulog_schemas::signal::Outcome;

use super::operation::Operation;
use super::patterns::Match;
use super::trust_failure::{family, is_history};
use crate::parse::{Entry, Phase, ReportVerdict, Section, SectionOperation, SectionWriter, Trust, Words};

/// A success in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatedSuccess {
    pub(super) operation: Operation,
    /// True for the end of an operation; after a step of an operation the client may still reject the update.
    pub(super) is_whole: bool,
}

/// Returns the success of a line's update, or of the file under check; `action` is the action of the line.
pub(super) fn success(entry: &Entry<'_>, action: Action) -> Option<StatedSuccess> {
    let whole = |operation| Some(StatedSuccess { operation, is_whole: true });
    let step = |operation| Some(StatedSuccess { operation, is_whole: false });
    if let Some(report) = &entry.report {
        // Download and install succeeded, with or without a restart to come.
        return match report.event_id {
            _ if report.verdict() != ReportVerdict::Success => None,
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
        // The check of the file's signature follows, so the download is only a step.
        Action::DownloadSucceeded => step(Operation::Download),
        Action::InstallSucceeded if entry.outcome == EventOutcome::Success => whole(Operation::Install),
        _ if entry.facts.update.is_none() => None,
        Action::DownloadEnd if entry.form == Form::WuaHandler => ended_well(entry, Operation::Download),
        Action::InstallEnd if entry.form == Form::WuaHandler => ended_well(entry, Operation::Install),
        _ if entry.facts.words.any(Words::ALREADY_DOWNLOADED) => whole(Operation::Download),
        _ if is_history_of_success(entry.body) => whole(Operation::Install),
        _ => None,
    }
}

/// `Update 1 (GUID) finished installing (0x00000000), Reboot Required? No` of WUAHandler.log.
fn ended_well(entry: &Entry<'_>, operation: Operation) -> Option<StatedSuccess> {
    (entry.outcome == EventOutcome::Success).then_some(StatedSuccess { operation, is_whole: true })
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

/// Returns how a scan ended, where the line ends a scan. `scan_code` is the code of the last failure in the scan on
/// this thread.
pub(super) fn scan_done(entry: &Entry<'_>, scan_code: Option<u32>) -> Option<Outcome> {
    match &entry.report {
        Some(report) => match report.event_id {
            147 if report.verdict() == ReportVerdict::Success => Some(Outcome::Success),
            148 => Some(Outcome::Failure),
            _ => None,
        },
        None if entry.form == Form::WuaHandler => match entry.action {
            Action::ScanEnd if entry.outcome == EventOutcome::Success => Some(Outcome::Success),
            Action::ScanFailed => Some(Outcome::Failure),
            _ => None,
        },
        None if ends_search(entry) => {
            let own = entry.hresult.filter(|code| !is_failure(*code));
            let failed = own.or(scan_code).or(entry.hresult).is_some_and(is_failure);
            Some(if failed { Outcome::Failure } else { Outcome::Success })
        }
        None => None,
    }
}

/// True for the line that ends a search of the agent.
fn ends_search(entry: &Entry<'_>) -> bool {
    entry.facts.section
        == Some(Section { operation: SectionOperation::Scan, phase: Phase::End, by: SectionWriter::Worker })
}

/// Returns the operation of a failure: the operation of the report, else the open operation of the thread, else the
/// operation that the line is about. A TLS failure outside of any operation counts as part of a scan, since a scan
/// contacts a server.
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
        // The component Misc checks the signatures of files; the agent synchronizes metadata in a scan.
        (_, Some("Misc" | "MISC")) => Operation::Verification,
        _ if family == Family::Metadata => Operation::Scan,
        _ if is_history(entry.body) => Operation::Install,
        _ => Operation::Verification,
    }
}

/// The meaning of a line, as in its event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meaning {
    pub(super) action: Action,
    pub(super) outcome: EventOutcome,
    /// `event.code`.
    pub(super) code: Option<u32>,
    /// `event.code` where it is the code of a failure.
    pub(super) failure: Option<u32>,
    pub(super) family: Option<Family>,
}

/// Returns the meaning of a line; `open` is the operation of its thread, `matched` are the patterns that match the
/// line.
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
    // In a line that failed, a code without the failure bit is no HRESULT: `Return code = 0x00000643, Result = Failed`.
    let success = entry.hresult.filter(|code| *code != 0 && outcome != EventOutcome::Failure);
    let family = matched.and_then(Match::family).or_else(|| failure.and_then(|code| family(entry, code)));
    Meaning { action, outcome, code: failure.or(success), failure, family }
}

/// `event.action` of a line; `open` is the operation of its thread.
fn action(entry: &Entry<'_>, open: Option<OpenOperation>, continues: bool) -> Action {
    match entry.action {
        Action::Log if continues && !entry.form.is_foreign() => Action::Continuation,
        Action::OperationFailed if open == Some(OpenOperation::Scan) && entry.facts.words.any(Words::EXIT_CODE) => {
            Action::ScanFailed
        }
        // The handler ends installations and uninstallations with the same words, so the open operation decides.
        action if open == Some(OpenOperation::Uninstall) => match action {
            Action::InstallStart => Action::UninstallStart,
            Action::InstallSucceeded => Action::UninstallSucceeded,
            Action::InstallFailed => Action::UninstallFailed,
            action => action,
        },
        action => action,
    }
}

/// True for a line about an uninstallation, by its own words or by the operation of its thread.
pub(super) fn is_of_uninstallation(entry: &Entry<'_>, action: Action, open: Option<OpenOperation>) -> bool {
    match &entry.report {
        Some(report) => matches!(report.event_id, 221..=225),
        None => open == Some(OpenOperation::Uninstall) || operation_of(action) == Some(OpenOperation::Uninstall),
    }
}

/// Returns the operation that the name of an action implies.
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

/// True for a failure of the update of the thread's operation. Outside of an operation only a line about an update
/// counts, since the thread may already work on another task.
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
