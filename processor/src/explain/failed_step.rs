//! A failed step of an operation whose end is missing in the log.
//!
//! A copied part of a log, or a log of a start, often has no end of a scan, download or installation. Then a failed
//! step is the only sign of a failure. Most failed steps in healthy logs concern the client's own machine and are
//! optional: no proxy token, no restore point, no old registration. So a step counts where its code comes from a
//! server, a transfer or an installer, or where the client calls the error fatal, and no later success cancels it.

use wulog_schemas::event::{Action, Event, EventOutcome};
use wulog_schemas::hresult::{Family, parse_hresult};

use super::failure::{ExplainedFailure, ThreadKey, UNNAMED};

/// Level of the lines that the client writes where it gives up.
const FATAL: &str = "fatal";

/// The newest failed step.
#[derive(Clone, Debug, Default)]
pub(super) struct FailedStep {
    open: Option<(ThreadKey, ExplainedFailure)>,
}

impl FailedStep {
    /// Returns the failure, unless a success has cancelled it.
    pub(super) fn failure(&self) -> Option<&ExplainedFailure> {
        self.open.as_ref().map(|(_, failure)| failure)
    }

    /// Takes a line that ends no operation. `server` is the last server that the line's thread contacted.
    pub(super) fn take(&mut self, event: &Event<'_>, thread: &ThreadKey, server: Option<&str>, at: i64, dated: bool) {
        if event.event.outcome == EventOutcome::Success {
            self.step_succeeded(event.event.action, thread);
            return;
        }
        if !counts(event, dated) {
            return;
        }
        let known = self.failure();
        let (since, count) = known.map_or((at, 0), |known| (known.since, known.count));
        let is_tls = event.wu.family == Some(Family::Tls);
        let failure = ExplainedFailure {
            // Outside of an operation, the client uses TLS to find a server, which is a part of a scan.
            operation: if is_tls { "scan" } else { UNNAMED }.to_owned(),
            update: None,
            object: server.filter(|_| is_tls).map(str::to_owned),
            code: code_of(event).or(known.and_then(|known| known.code.as_deref())).map(str::to_owned),
            family: event.wu.family,
            http: event.http.map(|http| http.response.status_code),
            since,
            last: at,
            count: count + 1,
            is_by_command: false,
            dated,
        };
        self.open = Some((thread.clone(), failure));
    }

    /// Takes the end of a successful operation, which proves its steps: an installation those of an installer, other
    /// operations all others.
    pub(super) fn operation_succeeded(&mut self, operation: &str) {
        let is_installer =
            self.failure().is_some_and(|failure| origin(failure.code.as_deref()) == ErrorOrigin::Installer);
        if is_installer == (operation == "install") {
            self.open = None;
        }
    }

    /// Takes a successful step, which cancels a failed step on the same thread: the client retries a step on its
    /// thread.
    fn step_succeeded(&mut self, action: Action, thread: &ThreadKey) {
        let is_step = !matches!(action, Action::Log | Action::Report | Action::ServiceStop);
        if is_step && self.open.as_ref().is_some_and(|(failed, _)| failed == thread) {
            self.open = None;
        }
    }
}

fn code_of<'a>(event: &'a Event<'_>) -> Option<&'a str> {
    event.error.as_ref()?.code.as_deref()
}

fn counts(event: &Event<'_>, dated: bool) -> bool {
    let Some(code) = code_of(event) else {
        // The code of a failed call stands on a line of its own, which this log may lack.
        return event.message.starts_with("WS error:");
    };
    if event.event.outcome != EventOutcome::Failure {
        return false;
    }
    // Signals report the refused signature of an operation; lines without a date give no signals.
    if event.wu.family.is_some() && dated && event.event.action == Action::SignatureVerification {
        return false;
    }
    let is_fatal = event.log.level.as_deref() == Some(FATAL);
    match origin(Some(code)) {
        ErrorOrigin::Harmless => false,
        ErrorOrigin::Machine => is_fatal,
        ErrorOrigin::Remote | ErrorOrigin::Installer => true,
    }
}

/// The origin of an error, by the facility of its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorOrigin {
    /// An error that healthy clients write too.
    Harmless,
    /// The host itself: a missing file or key, a right, an interface.
    Machine,
    /// A server, the network, or the content that the server sent.
    Remote,
    /// The installer of an update.
    Installer,
}

fn origin(code: Option<&str>) -> ErrorOrigin {
    match code.and_then(parse_hresult).unwrap_or_default() {
        // WU_E_NOOP, WU_E_CALL_CANCELLED, WU_E_SERVICE_STOP, WU_E_NOT_SUPPORTED: only a step that was not done.
        0x8024_000C | 0x8024_000B | 0x8024_001E | 0x8024_0037
        // WU_E_DS_NODATA, WU_E_DS_UNKNOWNSERVICE, WU_E_DS_SERVICEEXPIRED: the service is registered later.
        | 0x8024_8007 | 0x8024_8014 | 0x8024_8015
        // WU_E_AU_*: Automatic Updates refuses a caller, because it is off or not started.
        | 0x8024_A000..=0x8024_AFFF
        // CBS_E_DPX_JOB_STATE_SAVED: express installation pauses to download more.
        | 0x800F_0816
        // CRYPT_E_NOT_FOUND, outside of a refused signature: no ticket, no stored item.
        | 0x8009_2004 => ErrorOrigin::Harmless,
        0x8024_2000..=0x8024_2FFF | 0x800F_0000..=0x800F_FFFF => ErrorOrigin::Installer,
        // WinHTTP's errors are Win32 codes.
        0x8007_2EE0..=0x8007_2FFF
        | 0x8024_0000..=0x8024_FFFF
        | 0x8019_0000..=0x8019_FFFF
        | 0x8020_0000..=0x8020_FFFF
        | 0x803D_0000..=0x803D_FFFF
        | 0x8009_0000..=0x8009_FFFF
        | 0x800B_0000..=0x800B_FFFF
        | 0x80D0_0000..=0x80D0_FFFF => ErrorOrigin::Remote,
        _ => ErrorOrigin::Machine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_tells_where_an_error_comes_from() {
        for (code, expect) in [
            ("0x8024402c", ErrorOrigin::Remote),
            ("0x80072ee7", ErrorOrigin::Remote),
            ("0x80072f8f", ErrorOrigin::Remote),
            ("0x803d0013", ErrorOrigin::Remote),
            ("0x80190194", ErrorOrigin::Remote),
            ("0x80246003", ErrorOrigin::Remote),
            ("0x800b0109", ErrorOrigin::Remote),
            ("0x80242013", ErrorOrigin::Installer),
            ("0x800f0922", ErrorOrigin::Installer),
            ("0x80070002", ErrorOrigin::Machine),
            ("0x80070005", ErrorOrigin::Machine),
            ("0x800703f0", ErrorOrigin::Machine),
            ("0x80004002", ErrorOrigin::Machine),
            ("0x80248014", ErrorOrigin::Harmless),
            ("0x800f0816", ErrorOrigin::Harmless),
            ("0x8024a000", ErrorOrigin::Harmless),
        ] {
            assert_eq!(origin(Some(code)), expect, "{code}");
        }
        assert_eq!(origin(None), ErrorOrigin::Machine);
    }
}
