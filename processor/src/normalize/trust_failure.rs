//! The failure of certificate trust that a line states, without regard to other lines.

use wulog_schemas::event::{EventOutcome, Form};
use wulog_schemas::hresult::{self, Family};

use crate::parse::{Entry, ReportVerdict, Trust, Words};

/// The code with which the client of Windows 10 and later gives up on a file whose signer is not trusted.
const FINAL_TRUST_CODE: u32 = 0x8024_B303;

/// CRYPT_E_NOT_FOUND, which in most lines does not concern trust.
const NOT_FOUND: u32 = 0x8009_2004;

/// A failure of certificate trust in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrustFailure {
    pub(super) code: u32,
    pub(super) family: Family,
    /// True where the client gave up; a healthy third-party install logs 0x800B0109 too, and then succeeds.
    pub(super) definite: bool,
}

/// The trust failure of a line, by its code.
pub(super) fn trust_failure(entry: &Entry<'_>) -> Option<TrustFailure> {
    let code = entry.hresult?;
    let family = family(entry, code)?;
    // A line of Error Reporting repeats an earlier REPORT EVENT.
    if entry.is_error_report() {
        return None;
    }
    let definite = match &entry.report {
        Some(report) => match report.verdict() {
            ReportVerdict::Failure => true,
            ReportVerdict::Success => return None,
            ReportVerdict::Other => false,
        },
        // A line of Configuration Manager states how its call ended, and no step of the call.
        None if entry.form == Form::WuaHandler => entry.outcome == EventOutcome::Failure,
        None => entry.facts.trust == Some(Trust::Rejected) || code == FINAL_TRUST_CODE || ends_operation(entry),
    };
    Some(TrustFailure { code, family, definite })
}

/// True for the line with which an installation or the download of an update ends.
fn ends_operation(entry: &Entry<'_>) -> bool {
    entry.facts.words.any(Words::INSTALL_ENDED) || is_history(entry.body)
}

/// True for a line of the history of an update, which is written after the update's operation.
pub(super) fn is_history(body: &str) -> bool {
    body.starts_with("LogHistory called")
}

/// The family of a line's code; a code in the log of another program has no family. Windows 7 reports a SHA-2 signature as
/// "not found" when it rejects the update.
pub(super) fn family(entry: &Entry<'_>, code: u32) -> Option<Family> {
    if entry.form.is_foreign() {
        return None;
    }
    hresult::family(code).or_else(|| (code == NOT_FOUND && is_thrown_away(entry)).then_some(Family::Signature))
}

/// True where the client finally rejects an update or a file.
fn is_thrown_away(entry: &Entry<'_>) -> bool {
    match &entry.report {
        Some(report) => report.verdict() == ReportVerdict::Failure,
        None => matches!(entry.facts.trust, Some(Trust::Rejected | Trust::Failed)),
    }
}
