//! Downloads and installations in the legacy forms.

use super::report::{QUEUE_MS, Report, wer_finished, wer_sent};
use super::{begin, caller, end, reference};
use crate::fleet::dialect::{Verdict, content};
use crate::fleet::pen::{Pen, say};
use crate::fleet::spec::{Publisher, Update};

/// Returns the path of the downloaded file.
pub(super) fn download(pen: &mut Pen<'_>, update: &Update) -> String {
    let (url, path) = content(pen);
    let job = pen.random.guid();
    pen.switch_thread();
    let caller = caller(pen);
    begin(pen, "AU", "AU: Download updates");
    pen.write("AU", "  # Approved updates = 1");
    end(pen, "AU", "AU: Download updates");
    begin(pen, "Agent", &format!("Agent: Downloading updates {caller}"));
    pen.write("Agent", "  * Updates to download = 1");
    say!(pen, "Agent", "  *   Title = {}", update.title);
    say!(pen, "Agent", "  *   UpdateId = {}", reference(update));
    say!(pen, "DnldMgr", "***********  DnldMgr: New download job [UpdateId = {}]  ***********", reference(update));
    say!(pen, "DnldMgr", "  * BITS job initialized, JobId = {{{job}}}");
    say!(pen, "DnldMgr", "  * Downloading from {url} to {path} (full file).");
    end(pen, "Agent", &format!("Agent: Downloading updates {caller}"));
    pen.wait(QUEUE_MS - 50..QUEUE_MS + 50);
    Report::new(167, "Content Download", "Download started.").about(update).write(pen, QUEUE_MS);
    pen.wait(5_000..60_000);
    pen.switch_thread();
    say!(pen, "DnldMgr", "BITS job {{{job}}} completed successfully");
    path
}

pub(super) fn download_succeeded(pen: &mut Pen<'_>, update: &Update, path: &str) {
    say!(pen, "Misc", "Validating signature for {path} with dwProvFlags 0x00000080:");
    pen.write(
        "Misc",
        if update.publisher == Publisher::Microsoft { " Microsoft signed: Yes" } else { " Microsoft signed: No" },
    );
    pen.write("AU", "AU checked download status and it changed: Downloading is completed");
    pen.wait(QUEUE_MS - 50..QUEUE_MS + 50);
    Report::new(162, "Content Download", "Download succeeded.").about(update).write(pen, QUEUE_MS);
    wer_finished(pen);
}

pub(super) fn download_untrusted(pen: &mut Pen<'_>, update: &Update, path: &str, code: u32) -> i64 {
    say!(pen, "Misc", "Validating signature for {path}:");
    say!(pen, "Misc", "WARNING: Error: 0x{code:08x} when verifying trust for {path}");
    say!(pen, "Misc", "WARNING: Digital Signatures on file {path} are not trusted: Error 0x{code:08x}");
    let definite_ms = pen.now_ms();
    say!(pen, "DnldMgr", "WARNING: File failed postprocessing, error = {code:08x}");
    say!(pen, "DnldMgr", "Error 0x{code:08x} occurred while downloading update; notifying dependent calls.");
    pen.wait(QUEUE_MS - 50..QUEUE_MS + 50);
    Report::new(161, "Content Download", "Error: Download failed.")
        .about(update)
        .by("AutomaticUpdatesWuApp")
        .failed(code)
        .write(pen, QUEUE_MS);
    wer_sent(pen, &update.id, code, "Download");
    definite_ms
}

pub(super) fn install(pen: &mut Pen<'_>, update: &Update, verdict: Verdict) -> i64 {
    pen.wait(2_000..30_000);
    pen.switch_thread();
    let caller = caller(pen);
    begin(pen, "Agent", &format!("Agent: Installing updates {caller}"));
    pen.write("Agent", "  * Updates to install = 1");
    say!(pen, "Agent", "  *   Title = {}", update.title);
    say!(pen, "Agent", "  *   UpdateId = {}", reference(update));
    let text = format!("Installation Started: Windows successfully started the following update: {}", update.title);
    Report::new(181, "Content Install", &text).about(update).write(pen, 0);
    let code = if let Verdict::InstallFailed { code } = verdict { code } else { 0 };
    handler(pen, update, code);
    end(pen, "Agent", &format!("Agent: Installing updates {caller}"));
    pen.wait(QUEUE_MS - 50..QUEUE_MS + 50);
    let definite_ms = pen.now_ms();
    if code == 0 {
        let text =
            format!("Installation Successful: Windows successfully installed the following update: {}", update.title);
        Report::new(183, "Content Install", &text).about(update).write(pen, QUEUE_MS);
        wer_finished(pen);
    } else {
        let text = format!(
            "Installation Failure: Windows failed to install the following update with error 0x{code:08x}: {}.",
            update.title
        );
        Report::new(182, "Content Install", &text).about(update).failed(code).write(pen, QUEUE_MS);
        wer_sent(pen, &update.id, code, "Install");
    }
    definite_ms
}

/// The installer: component-based servicing for Microsoft's packages, a command line for others.
fn handler(pen: &mut Pen<'_>, update: &Update, code: u32) {
    if update.publisher == Publisher::Microsoft {
        begin(pen, "Handler", "Handler: CBS Install");
        say!(pen, "Handler", "Starting install of CBS update {}", update.id);
        pen.wait(20_000..90_000);
        let installer_error = u8::from(code != 0);
        say!(
            pen,
            "Handler",
            "Completed install of CBS update with type=0, requiresReboot=0, installerError={installer_error}, hr=0x{code:x}"
        );
        end(pen, "Handler", "Handler: CBS Install");
    } else {
        begin(pen, "Handler", "Handler: Command Line Install");
        pen.write("Handler", "  : Updates to install = 1");
        pen.wait(5_000..40_000);
        let result = if code == 0 { "Succeeded" } else { "Failed" };
        say!(
            pen,
            "Handler",
            "  : Command line install completed. Return code = 0x{code:08x}, Result = {result}, Reboot required = false"
        );
        end(pen, "Handler", "Handler: Command Line Install");
    }
}
