//! What a line is about and what it says of certificate trust.

use wulog_schemas::event::{Action, EventOutcome, EventType};
use wulog_schemas::hresult::{self, Family};
use wulog_schemas::signal::Outcome;

use crate::parse::{Entry, Operation, Phase, Trust, Verdict, find};

/// 8024B303 is the last word of the Windows 10+ client on a signer that is not trusted.
const FINAL_TRUST_CODE: u32 = 0x8024_B303;

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
    let family = hresult::family(code)?;
    // Error Reporting repeats what REPORT EVENT said before.
    if entry.message.starts_with("WER Report sent") {
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

/// True where a line says that its update, or the file under check, is good.
pub(super) fn is_success(entry: &Entry<'_>) -> bool {
    match &entry.report {
        // Download and install succeeded, with or without a restart to come.
        Some(report) => {
            report.verdict() == Verdict::Success
                && matches!(report.event_id, 162 | 164 | 183 | 184 | 190 | 191 | 197 | 199)
        }
        None => {
            entry.facts.trust == Some(Trust::Trusted) || matches!(entry.facts.operation, Some((_, Phase::Succeeded)))
        }
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

/// `event.action`, `event.outcome` and `event.type` of a line.
pub(super) fn describe(entry: &Entry<'_>) -> (Action, EventOutcome, EventType) {
    let (action, outcome) = match &entry.report {
        Some(report) => (report_action(report.event_id), outcome_of_report(entry)),
        None => message_action(entry),
    };
    let type_ = match action {
        Action::InstallStart
        | Action::InstallPending
        | Action::InstallEnd
        | Action::InstallSucceeded
        | Action::InstallFailed
        | Action::InstallCanceled => EventType::Installation,
        _ => EventType::Info,
    };
    (action, outcome, type_)
}

fn outcome_of_report(entry: &Entry<'_>) -> EventOutcome {
    match entry.report.as_ref().map(|report| report.verdict()) {
        Some(Verdict::Success) => EventOutcome::Success,
        Some(Verdict::Failure) => EventOutcome::Failure,
        _ => EventOutcome::Unknown,
    }
}

fn report_action(event_id: u32) -> Action {
    match event_id {
        141 => Action::ScanStart,
        147 => Action::ScanEnd,
        145 | 146 | 148 | 157 | 158 => Action::ScanFailed,
        149 => Action::ServerRequest,
        161 => Action::DownloadFailed,
        162 | 164 => Action::DownloadSucceeded,
        163 => Action::DownloadCanceled,
        165 | 166 | 168..=170 => Action::DownloadProgress,
        167 => Action::DownloadStart,
        181 => Action::InstallStart,
        182 | 195 | 198 | 203 | 204 => Action::InstallFailed,
        183 | 184 | 190 | 191 | 197 | 199 => Action::InstallSucceeded,
        186 | 187 | 192 | 200 => Action::InstallCanceled,
        188 | 189 | 201 => Action::InstallPending,
        185 | 196 => Action::UpdateVisibility,
        193 | 194 | 202 => Action::Reboot,
        221 => Action::UninstallFailed,
        222 | 224 => Action::UninstallSucceeded,
        223 | 225 => Action::UninstallCanceled,
        521..=525 => Action::Commit,
        541..=546 => Action::Revert,
        _ => Action::Report,
    }
}

fn message_action(entry: &Entry<'_>) -> (Action, EventOutcome) {
    use EventOutcome::{Failure, Success, Unknown};
    let facts = &entry.facts;
    let failed = facts.failed || entry.hresult.is_some_and(is_failure);
    let by_code = if failed { Failure } else { Unknown };
    if facts.undecoded {
        return (Action::Undecoded, Unknown);
    }
    if facts.banner_offset_min.is_some() || find::LOGGING_INITIALIZED.is_in(entry.message) {
        return (Action::LoggingInitialized, Unknown);
    }
    if let Some((operation, phase)) = facts.operation.filter(|_| !entry.message.starts_with("WER ")) {
        return match (operation, phase) {
            (Operation::Service, Phase::Start) => (Action::ServiceStart, Unknown),
            (Operation::Service, _) => (Action::ServiceStop, by_code),
            (Operation::Scan, Phase::Start) => (Action::ScanStart, Unknown),
            (Operation::Scan, _) => (Action::ScanEnd, by_code),
            (Operation::Download, Phase::Start) => (Action::DownloadStart, Unknown),
            (Operation::Download, Phase::End) => (Action::DownloadEnd, by_code),
            (Operation::Download, Phase::Succeeded) => (Action::DownloadSucceeded, Success),
            (Operation::Install, Phase::Start) => (Action::InstallStart, Unknown),
            (Operation::Install, Phase::End) => (Action::InstallEnd, by_code),
            (Operation::Install, Phase::Succeeded) => (Action::InstallSucceeded, Success),
        };
    }
    if let Some(trust) = facts.trust {
        return match trust {
            Trust::Checking | Trust::Unknown => (Action::SignatureVerification, Unknown),
            Trust::Trusted => (Action::SignatureVerification, Success),
            Trust::Untrusted | Trust::Failed => (Action::SignatureVerification, Failure),
            Trust::Rejected => (Action::DownloadFailed, Failure),
        };
    }
    if facts.self_update {
        return (Action::SelfUpdate, by_code);
    }
    let told = facts.client_version.is_some() || facts.wsus_server.is_some() || facts.target_group.is_some();
    if !entry.message.starts_with("WER ") && (told || facts.os_version.is_some() && facts.url.is_none()) {
        return (Action::Configuration, Unknown);
    }
    if entry.message.starts_with("WER ") || matches!(entry.component, Some("Report" | "Reporter" | "REPORT")) && !failed
    {
        return (Action::Report, Unknown);
    }
    if failed {
        let action = if is_request(entry) { Action::ServerRequest } else { Action::OperationFailed };
        return (action, Failure);
    }
    if matches!(entry.component, Some("PT" | "ProtocolTalker")) {
        return (Action::MetadataSync, Unknown);
    }
    if is_request(entry) { (Action::ServerRequest, Unknown) } else { (Action::Log, Unknown) }
}

fn is_request(entry: &Entry<'_>) -> bool {
    const PARTS: [&[u8]; 6] =
        [b"WinHttp:", b"Send request", b"SendRequest", b"Send failed", b"Web service call", b"Library download error"];
    let message = entry.message.as_bytes();
    matches!(entry.component, Some("WebServices" | "SLS"))
        // One pass for all: the parts begin with three letters that are rare inside of lines.
        || memchr::memchr3_iter(b'W', b'S', b'L', message)
            .any(|at| PARTS.into_iter().any(|part| message[at..].starts_with(part)))
}

fn is_failure(code: u32) -> bool {
    code & 0x8000_0000 != 0
}
