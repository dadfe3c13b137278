//! The words of Windows 10 and later, as `Get-WindowsUpdateLog` decodes them: no REPORT EVENTs, failures in brackets.
//!
//! The real file is rewritten by each run of that command; the fleet's file grows, as if the command ran all the time.
//!
//! Service starts, scans and settings are worded as in published logs. Few downloads and installations are published:
//! their shapes are known (`*FAILED* [CODE] Method failed [Class::Function:LINE]`, `updateId = GUID.REVISION`, two
//! 800B0109 before `Trusted Publisher: Yes` on a healthy host, 8024B303 at the end on an unhealthy one), and class
//! names and some words are this module's own. A parser should not rely on them.

use super::dialect::{CRITERIA, Dialect, MANAGED, Verdict, content, search_result};
use super::host::Form;
use super::pen::{Pen, say};
use super::spec::{Publisher, Update};

/// The form of Windows 10 and later.
pub(super) struct Modern;

impl Dialect for Modern {
    fn service_start(&self, pen: &mut Pen<'_>) {
        pen.switch_thread();
        pen.write("Shared", "* START * Service startup");
        pen.write("Shared", "InitializeSus");
        pen.write("IdleTimer", "Non-AoAc machine. Aoac operations will be ignored.");
        say!(pen, "Agent", "WU client version {}", pen.host.system.client_build);
        pen.write("Agent", "SleepStudyTracker: Machine is non-AOAC. Sleep study tracker disabled.");
        pen.write("Agent", "Base directory: C:\\Windows\\SoftwareDistribution");
        pen.write("Agent", "Datastore directory: C:\\Windows\\SoftwareDistribution\\DataStore\\DataStore.edb");
        pen.wait(100..900);
        pen.write("Shared", "UpdateNetworkState Ipv6, cNetworkInterfaces = 1.");
        pen.write("Shared", "Network state: Connected");
        failed(pen, "Misc", 0x8024_000c, "LoadHistoryEventFromRegistry completed");
        pen.write("Shared", "Power status changed");
        pen.switch_thread();
        pen.write("Agent", "Initializing global settings cache");
        say!(pen, "Agent", "WSUS server: {}", pen.host.wsus_url);
        say!(pen, "Agent", "WSUS status server: {}", pen.host.wsus_url);
        pen.write("Agent", "Alternate Download Server: NULL");
        say!(pen, "Agent", "Target group: {}", pen.host.target_group);
        pen.write("Agent", "Windows Update access disabled: No");
    }

    fn service_exit(&self, pen: &mut Pen<'_>) {
        pen.wait(60_000..600_000);
        pen.switch_thread();
        pen.write("Shared", "* END * Service exit Exit code = 0x240001");
    }

    fn scan(&self, pen: &mut Pen<'_>, found: &[&Update]) {
        let caller = begin_scan(pen);
        pen.wait(1_000..9_000);
        if pen.random.percent(20) {
            grumble(pen);
        }
        for update in found {
            say!(pen, "Agent", "Added update {} to search result", reference(update));
        }
        search_result(pen, "", found.len());
        say!(pen, "Agent", "* END * Finding updates {caller}");
    }

    fn scan_failed(&self, pen: &mut Pen<'_>, code: u32) {
        let caller = begin_scan(pen);
        pen.wait(9_000..30_000);
        failed(pen, "WebServices", code, "Web service call");
        pen.write("WebServices", "Current service auth scheme=0.");
        pen.write("WebServices", "Current Proxy auth scheme=0.");
        failed(pen, "ProtocolTalker", code, "Method failed [CAgentProtocolTalker::SyncServerUpdatesInternal:923]");
        say!(pen, "Agent", "Exit code = 0x{code:08X}");
        say!(pen, "Agent", "* END * Finding updates {caller}");
    }

    fn attempt(&self, pen: &mut Pen<'_>, update: &Update, verdict: Verdict) -> i64 {
        let call = begin_download(pen, update);
        let Verdict::Untrusted { chain_code, code } = verdict else {
            if update.publisher == Publisher::ThirdParty {
                // On a healthy host the chain policy of Microsoft's root is tried first and fails; then the publisher
                // is found.
                chain_checks_failed(pen, 0x800b_0109);
                pen.write("Misc", "Trusted Publisher: Yes");
            }
            let downloaded_ms = pen.now_ms();
            say!(pen, "DownloadManager", "updateId = {}, DownloadResult: DownloadSucceeded", reference(update));
            end_download(pen, &call);
            let installed_ms = install(pen, update, verdict);
            return if verdict == Verdict::Installed { downloaded_ms } else { installed_ms };
        };
        chain_checks_failed(pen, chain_code);
        let definite_ms = pen.now_ms();
        failed(pen, "DownloadManager", code, &format!("File failed postprocessing, updateId = {}", reference(update)));
        failed(pen, "DownloadManager", code, "Method failed [CDownloadJob::PostProcessFile:2217]");
        say!(
            pen,
            "DownloadManager",
            "Error 0x{code:08X} occurred while downloading update; notifying dependent calls."
        );
        end_download(pen, &call);
        definite_ms
    }

    fn upload(&self, pen: &mut Pen<'_>) {
        // Uploads to the server are not in this log.
        pen.process.unsent = 0;
    }

    fn other_program(&self, pen: &mut Pen<'_>) {
        let pid = 4 * u32::try_from(pen.random.within(500..11_000)).expect("a small number");
        pen.switch_thread();
        pen.write_as(pid, "ComApi", "* START *   Search ClientId = Windows Defender");
        pen.wait(3_000..9_000);
        pen.write_as(pid, "ComApi", "Updates found = 0");
        pen.write_as(pid, "ComApi", "* END *   Search ClientId = Windows Defender");
    }
}

/// A failure in the spelling of this version of Windows 10.
fn failed(pen: &mut Pen<'_>, component: &str, code: u32, what: &str) {
    if pen.host.system.form == Form::Modern1607 {
        let what = if what == "Web service call" { "Web service call failed with" } else { what };
        let comma = if what.ends_with("with") { "" } else { "," };
        pen.write(component, &format!("{what}{comma} hr = {code:08X}"));
    } else {
        pen.write(component, &format!("*FAILED* [{code:08X}] {what}"));
    }
}

/// Lines of a healthy host that look like failures; 80092004 even belongs to the codes of cryptography.
fn grumble(pen: &mut Pen<'_>) {
    failed(
        pen,
        "Misc",
        0x8009_2004,
        "Method failed to get auth token. [CUpdateEndpointProvider::GenerateSecurityTokenWithAuthTickets:1674]",
    );
    failed(pen, "Misc", 0x8007_0057, "Method failed [AuthTicketHelper::AddTickets:1236]");
    failed(pen, "Agent", 0x8024_8014, "GetServiceObject couldn't find service '7971F918-A847-4430-9279-4A52D1EFE18D'.");
}

fn chain_checks_failed(pen: &mut Pen<'_>, code: u32) {
    for _ in 0..2 {
        failed(pen, "Misc", code, "Method failed [CertificateChain::VerifyPolicy:318]");
    }
}

fn caller(pen: &mut Pen<'_>) -> String {
    pen.process.next_call += 1;
    let id = pen.process.next_call;
    if pen.host.system.form == Form::Modern1607 {
        return format!("[CallerId = UpdateOrchestrator  Id = {id}]");
    }
    // A correlation vector: 96 random bits in base 64, then counters.
    let vector: String = (0..16).map(|_| char::from(*pen.random.pick(BASE64))).collect();
    format!("CallerId = UpdateOrchestrator  Id = {id} (cV = {vector}.1.0)")
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn begin_scan(pen: &mut Pen<'_>) -> String {
    pen.switch_thread();
    let caller = caller(pen);
    let url = format!("{}/ClientWebService/client.asmx", pen.host.wsus_url);
    let (os, client) = (pen.host.system.os_build, pen.host.system.client_build);
    say!(pen, "Agent", "* START * Finding updates {caller}");
    pen.write("Agent", "Online = Yes; Interactive = No; AllowCachedResults = No; Ignore download priority = No");
    say!(pen, "Agent", "ServiceID = {MANAGED} Managed");
    pen.write("Agent", "Search Scope = {Machine}");
    pen.write("Agent", "Caller SID for Applicability: S-1-5-18");
    say!(pen, "Agent", "Criteria = {CRITERIA}");
    let hours = pen.random.within(100..999);
    say!(
        pen,
        "SLS",
        "Making request with URL HTTPS://slscr.update.microsoft.com/SLS/{{9482F4B4-E343-43B6-B170-9A65BC822C77}}/x64/{os}/0?CH={hours}&L=en-US&P=&PT=0x65&WUA={client}&MK=VMware%2C+Inc.&MD=VMware7%2C1 and send SLS events."
    );
    say!(pen, "Misc", "Got WSUS Client/Server URL: {url}\"\"");
    say!(pen, "ProtocolTalker", "ServiceId = {MANAGED}, Server URL = {url}");
    pen.write("WebServices", "Auto proxy settings for this web service call.");
    caller
}

fn begin_download(pen: &mut Pen<'_>, update: &Update) -> String {
    let (url, path) = content(pen);
    pen.wait(1_000..30_000);
    pen.switch_thread();
    let caller = caller(pen);
    say!(pen, "DownloadManager", "* START * Begin Downloading Updates {caller}");
    pen.write("DownloadManager", "Updates to download = 1");
    say!(pen, "DownloadManager", "Title = {}", update.title);
    say!(pen, "DownloadManager", "Generating download request for update {{{}}}.{}", update.id, update.revision);
    say!(pen, "DownloadManager", "Downloading from {url} to {path} (full file).");
    pen.wait(4_000..90_000);
    let job = pen.random.guid();
    say!(pen, "DownloadManager", "BITS job {{{job}}} completed successfully");
    say!(pen, "Misc", "Validating signature for {path} with dwProvFlags 0x00000080:");
    caller
}

fn end_download(pen: &mut Pen<'_>, caller: &str) {
    say!(pen, "DownloadManager", "* END * Begin Downloading Updates {caller}");
}

fn install(pen: &mut Pen<'_>, update: &Update, verdict: Verdict) -> i64 {
    pen.wait(2_000..30_000);
    pen.switch_thread();
    let caller = caller(pen);
    let kind = if update.publisher == Publisher::Microsoft { "CBS Install" } else { "Command Line Install" };
    say!(pen, "Agent", "* START * Installing updates {caller}");
    pen.write("Agent", "Updates to install = 1");
    say!(pen, "Agent", "Title = {}", update.title);
    say!(pen, "Agent", "UpdateId = {}", reference(update));
    say!(pen, "DownloadManager", "Preparing update for install, updateId = {{{}}}.{}.", update.id, update.revision);
    say!(pen, "Handler", "* START * {kind}");
    pen.wait(5_000..90_000);
    let definite_ms = pen.now_ms();
    let code = if let Verdict::InstallFailed { code } = verdict { code } else { 0 };
    if update.publisher == Publisher::Microsoft {
        let error = u8::from(code != 0);
        say!(
            pen,
            "Handler",
            "Completed install of CBS update with type=0, requiresReboot=0, installerError={error}, hr=0x{code:x}"
        );
    } else {
        let result = if code == 0 { "Succeeded" } else { "Failed" };
        say!(
            pen,
            "Handler",
            "Command line install completed. Return code = 0x{code:08x}, Result = {result}, Reboot required = false"
        );
    }
    say!(pen, "Handler", "* END * {kind}");
    say!(pen, "Agent", "* END * Installing updates {caller}");
    definite_ms
}

fn reference(update: &Update) -> String {
    format!("{}.{}", update.id, update.revision)
}
