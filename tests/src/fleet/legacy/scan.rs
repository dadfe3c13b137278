//! Scans in the legacy forms.

use super::report::{QUEUE_MS, Report, wer_finished, wer_sent};
use super::{begin, caller, end, reference};
use crate::fleet::dialect::{CRITERIA, MANAGED, search_result};
use crate::fleet::host::Form;
use crate::fleet::pen::{Pen, say};
use crate::fleet::spec::Update;

pub(super) fn succeeded(pen: &mut Pen<'_>, found: &[&Update]) {
    let call = begin_scan(pen);
    let url = format!("{}/ClientWebService/client.asmx", pen.host.wsus_url);
    if pen.host.system.form == Form::Legacy81 {
        say!(pen, "EP", "Got WSUS Client/Server URL: \"{url}\"");
    }
    for phase in ["Synchronizing server updates", "Synchronizing extended update info"] {
        say!(pen, "PT", "+++++++++++  PT: {phase}  +++++++++++");
        say!(pen, "PT", "  + ServiceId = {MANAGED}, Server URL = {url}");
        pen.wait(2_000..12_000);
    }
    if pen.random.percent(20) {
        grumble(pen);
    }
    for update in found {
        say!(pen, "Agent", "  * Added update {} to search result", reference(update));
    }
    search_result(pen, "  * ", found.len());
    end_scan(pen, &call, &format!("  # {} updates detected", found.len()));
    let text = format!("Windows Update Client successfully detected {} updates.", found.len());
    pen.wait(QUEUE_MS - 50..QUEUE_MS + 50);
    Report::new(147, "Software Synchronization", &text).write(pen, QUEUE_MS);
    Report::new(156, "Pre-Deployment Check", "Reporting client status.").write(pen, QUEUE_MS);
    wer_finished(pen);
}

pub(super) fn failed(pen: &mut Pen<'_>, code: u32) {
    let call = begin_scan(pen);
    let url = format!("{}/ClientWebService/client.asmx", pen.host.wsus_url);
    pen.write("PT", "+++++++++++  PT: Synchronizing server updates  +++++++++++");
    say!(pen, "PT", "  + ServiceId = {MANAGED}, Server URL = {url}");
    pen.wait(10_000..25_000);
    say!(pen, "Misc", "WARNING: Send failed with hr = {code:08x}.");
    say!(
        pen,
        "Misc",
        "WARNING: SendRequest failed with hr = {code:08x}. Proxy List used: <(null)> Bypass List used : <(null)> Auth Schemes used : <>"
    );
    say!(pen, "Agent", "  * WARNING: Exit code = 0x{code:08X}");
    end_scan(pen, &call, &format!("  # WARNING: Search callback failed, result = 0x{code:08X}"));
    pen.wait(QUEUE_MS - 50..QUEUE_MS + 50);
    let text = format!("Windows Update Client failed to detect with error 0x{code:08x}.");
    Report::new(148, "Software Synchronization", &text).failed(code).write(pen, QUEUE_MS);
    wer_sent(pen, "00000000-0000-0000-0000-000000000000", code, "Scan");
}

/// Writes the begin of a scan. Returns the caller and the call, which the end names again.
fn begin_scan(pen: &mut Pen<'_>) -> [String; 2] {
    let call = pen.random.guid();
    pen.switch_thread();
    pen.write("AU", "Triggering Online detection (non-interactive)");
    begin(pen, "AU", "AU: Search for updates");
    say!(pen, "AU", "<<## SUBMITTED ## AU: Search for updates [CallId = {{{call}}}]");
    pen.switch_thread();
    let caller = caller(pen);
    let client = pen.host.system.client_build;
    begin(pen, "Agent", &format!("Agent: Finding updates {caller}"));
    pen.write("Agent", "  * Online = Yes; Ignore download priority = No");
    say!(pen, "Agent", "  * Criteria = \"{CRITERIA}\"");
    say!(pen, "Agent", "  * ServiceID = {MANAGED} Managed");
    pen.write("Agent", "  * Search Scope = {Machine}");
    pen.write("Setup", "Checking for agent SelfUpdate");
    say!(pen, "Setup", "Client version: Core: {client}  Aux: {client}");
    pen.write("Misc", "Validating signature for C:\\Windows\\SoftwareDistribution\\SelfUpdate\\wuident.cab with dwProvFlags 0x00000080:");
    pen.write("Misc", " Microsoft signed: NA");
    pen.write("Setup", "SelfUpdate check completed.  SelfUpdate is NOT required.");
    [caller, call]
}

fn end_scan(pen: &mut Pen<'_>, [caller, call]: &[String; 2], result: &str) {
    end(pen, "Agent", &format!("Agent: Finding updates {caller}"));
    pen.switch_thread();
    say!(pen, "AU", ">>##  RESUMED  ## AU: Search for updates [CallId = {{{call}}}]");
    pen.write("AU", result);
    end(pen, "AU", &format!("AU: Search for updates [CallId = {{{call}}}]"));
    pen.write("AU", "Successfully wrote event for AU health state:0");
}

/// Lines of a healthy host that look like failures.
fn grumble(pen: &mut Pen<'_>) {
    let rule = pen.random.guid();
    pen.write("PT", "WARNING: Cached cookie has expired or new PID is available");
    pen.write("Handler", "FATAL: UH: 0x80070057: EvaluateApplicability failed in CCbs::EvaluateApplicability");
    say!(pen, "Agent", "WARNING: Failed to evaluate Installed rule, updateId = {{{rule}}}.202, hr = 80070057");
}
