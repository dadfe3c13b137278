//! Action and outcome of a line: the first matching rule decides, in the order of `schemas/EVENTS.md`.

use wulog_schemas::event::{Action, EventOutcome, Form};

use super::cmtrace::{self, CmTraceTopic};
use super::facts::{Facts, MessageSubject, Trust};
use super::section::{self, Phase, Section, SectionOperation, SectionWriter};
use super::words::Words;
use super::{Entry, LineLevel, ReportVerdict};

/// Returns `event.action` and `event.outcome` of a line, without regard to other lines.
pub(super) fn describe(entry: &Entry<'_>) -> (Action, EventOutcome) {
    if entry.form.is_foreign() {
        return (Action::Log, EventOutcome::Unknown);
    }
    if entry.facts.undecoded {
        return (Action::Undecoded, EventOutcome::Unknown);
    }
    if let Some(report) = &entry.report {
        let outcome = match report.verdict() {
            ReportVerdict::Success => EventOutcome::Success,
            ReportVerdict::Failure => EventOutcome::Failure,
            ReportVerdict::Other => EventOutcome::Unknown,
        };
        return (of_report(report.event_id), outcome);
    }
    let outcome = outcome(entry);
    (action(entry, outcome == EventOutcome::Failure), outcome)
}

fn outcome(entry: &Entry<'_>) -> EventOutcome {
    let facts = &entry.facts;
    if entry.is_error_report() {
        return EventOutcome::Unknown;
    }
    let failed = entry.is_failure()
        || facts.failed
        || matches!(entry.level, Some(LineLevel::Fatal | LineLevel::Error))
        || facts.outcome_words.denied
        || entry.form == Form::WuaHandler && facts.outcome_words.failed
        || matches!(facts.trust, Some(Trust::Untrusted | Trust::Failed | Trust::Rejected))
        || facts.words.any(Words::RESULT_FAILED)
        || is_failed_transfer(facts);
    let succeeded = facts.trust == Some(Trust::Trusted)
        || facts.outcome_words.succeeded
        || entry.hresult.is_some() && !facts.outcome_words.failed;
    match (failed, succeeded) {
        (true, _) => EventOutcome::Failure,
        (false, true) => EventOutcome::Success,
        (false, false) => EventOutcome::Unknown,
    }
}

fn action(entry: &Entry<'_>, failed: bool) -> Action {
    let Entry { facts, body, .. } = entry;
    let has = |words: Words| facts.words.any(words);
    if entry.form == Form::WuaHandler {
        return of_wuahandler(body, failed);
    }
    if section::is_separator(body) {
        return Action::Separator;
    }
    if has(Words::LOGGING_INITIALIZED) || entry.message.starts_with("= ") {
        return Action::LoggingInitialized;
    }
    if let Some(section) = facts.section {
        return of_section(section, failed);
    }
    if facts.trust == Some(Trust::Rejected) || failed && has(Words::DOWNLOAD_FAILED) || is_failed_transfer(facts) {
        return Action::DownloadFailed;
    }
    if facts.outcome_words.denied && body.contains("ownload") {
        return Action::DownloadFailed;
    }
    if facts.outcome_words.denied && body.contains("nstall") {
        return if body.contains("ninstall") { Action::UninstallFailed } else { Action::InstallFailed };
    }
    if facts.trust.is_some() {
        return Action::SignatureVerification;
    }
    if failed && has(Words::SCAN_FAILED) {
        return Action::ScanFailed;
    }
    if facts.outcome_words.succeeded
        && (has(Words::DOWNLOAD_SUCCEEDED) || has(Words::TRANSFER_JOB) && has(Words::COMPLETED))
    {
        return Action::DownloadSucceeded;
    }
    if has(Words::INSTALL_ENDED) {
        let is_uninstallation = body.contains("ninstall of") || body.contains("ninstall c");
        return match (is_uninstallation, failed) {
            (true, true) => Action::UninstallFailed,
            (true, false) => Action::UninstallSucceeded,
            (false, true) => Action::InstallFailed,
            (false, false) => Action::InstallSucceeded,
        };
    }
    if body.starts_with("Starting install of ") {
        return Action::InstallStart;
    }
    if body.starts_with("Starting uninstall of ") {
        return Action::UninstallStart;
    }
    of_text(entry, failed)
}

/// Rules on settings and components, after those on operations.
fn of_text(entry: &Entry<'_>, failed: bool) -> Action {
    let Entry { facts, body, .. } = entry;
    let has = |words: Words| facts.words.any(words);
    let is = |names: &[&str]| {
        entry.component.is_some_and(|component| names.iter().any(|name| component.eq_ignore_ascii_case(name)))
    };
    if !failed {
        let banner = section::banner(body).unwrap_or(body);
        let sets_up = banner.starts_with("Initializing") || banner.starts_with("Uninitializing");
        let told = facts.client_version.is_some() && !entry.is_error_report() && !has(Words::SLS);
        if sets_up || told || facts.subject == Some(MessageSubject::Configuration) {
            return Action::Configuration;
        }
        let found = body.strip_prefix("Found ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let found = found && body.contains(" updates");
        if facts.subject == Some(MessageSubject::Search)
            || has(Words::SEARCH_RESULT)
            || found
            || body.starts_with("Include potentially superseded updates")
        {
            return Action::ScanProgress;
        }
    }
    if is(&["Setup"]) || has(Words::SELF_UPDATE) {
        return Action::SelfUpdate;
    }
    if entry.is_error_report() || !failed && is(&["Report", "Reporter"]) {
        return Action::Report;
    }
    if is(&["WebServices", "SLS", "EP"]) || has(Words::REQUEST.or(Words::REDIRECTION)) {
        return Action::ServerRequest;
    }
    if failed {
        return Action::OperationFailed;
    }
    if is(&["PT", "ProtocolTalker"]) {
        return Action::MetadataSync;
    }
    if is(&["DnldMgr", "DownloadManager"]) {
        return Action::DownloadProgress;
    }
    if is(&["Handler"]) { Action::HandlerStep } else { Action::Log }
}

/// True for a failed job of BITS or Delivery Optimization; a cut line may lack the code.
fn is_failed_transfer(facts: &Facts<'_>) -> bool {
    facts.words.any(Words::TRANSFER_JOB) && (facts.outcome_words.failed || facts.outcome_words.denied)
}

/// Returns the action of a line of WUAHandler, whose words differ from those of Windows Update.
fn of_wuahandler(body: &str, failed: bool) -> Action {
    match cmtrace::topic(body) {
        Some(CmTraceTopic::Scan(Phase::Start)) => Action::ScanStart,
        Some(CmTraceTopic::Scan(_)) if failed => Action::ScanFailed,
        Some(CmTraceTopic::Scan(_)) => Action::ScanEnd,
        Some(CmTraceTopic::Download(Phase::Start)) if !failed => Action::DownloadStart,
        Some(CmTraceTopic::Download(_)) if failed => Action::DownloadFailed,
        Some(CmTraceTopic::Download(_)) => Action::DownloadEnd,
        Some(CmTraceTopic::Install(phase)) if body.contains("ninstall") => {
            let ended = if failed { Action::UninstallFailed } else { Action::UninstallEnd };
            if phase == Phase::Start && !failed { Action::UninstallStart } else { ended }
        }
        Some(CmTraceTopic::Install(Phase::Start)) if !failed => Action::InstallStart,
        Some(CmTraceTopic::Install(_)) if failed => Action::InstallFailed,
        Some(CmTraceTopic::Install(_)) => Action::InstallEnd,
        Some(CmTraceTopic::Found) => Action::ScanProgress,
        _ if failed => Action::OperationFailed,
        Some(CmTraceTopic::Settings) => Action::Configuration,
        None => Action::Log,
    }
}

fn of_section(section: Section, failed: bool) -> Action {
    use SectionOperation::{Download, Install, Scan, Service, Uninstall};
    match (section.by, section.operation, section.phase) {
        (_, Service, Phase::Start) => Action::ServiceStart,
        (_, Service, _) => Action::ServiceStop,
        (SectionWriter::Client, ..) => Action::ClientCall,
        (SectionWriter::Worker, Scan, Phase::Start) => Action::ScanStart,
        (SectionWriter::Worker, Scan, _) if failed => Action::ScanFailed,
        (SectionWriter::Worker, Scan, _) => Action::ScanEnd,
        (SectionWriter::Worker, Download, Phase::Start) => Action::DownloadStart,
        (SectionWriter::Worker, Download, _) if failed => Action::DownloadFailed,
        (SectionWriter::Worker, Download, _) => Action::DownloadEnd,
        (SectionWriter::Worker, Install, Phase::Start) => Action::InstallStart,
        (SectionWriter::Worker, Install, _) if failed => Action::InstallFailed,
        (SectionWriter::Worker, Install, _) => Action::InstallEnd,
        (SectionWriter::Worker, Uninstall, Phase::Start) => Action::UninstallStart,
        (SectionWriter::Worker, Uninstall, _) if failed => Action::UninstallFailed,
        (SectionWriter::Worker, Uninstall, _) => Action::UninstallEnd,
    }
}

fn of_report(event_id: u32) -> Action {
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
