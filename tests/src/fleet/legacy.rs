//! The words of Windows 7 to 8.1: bars and bullets, REPORT EVENTs, WER lines.

use super::dialect::{CRITERIA, Dialect, MANAGED, Verdict, content};
use super::host::Form;
use super::legacy_report::{Report, report, wer_sent};
use super::pen::Pen;
use super::spec::{Publisher, Update};

/// The legacy form.
pub(super) struct Legacy;

impl Dialect for Legacy {
    fn service_start(&self, pen: &mut Pen<'_>) {
        pen.switch_thread();
        logging_initialized(
            pen,
            pen.process.pid,
            "C:\\Windows\\system32\\svchost.exe",
            "c:\\windows\\system32\\wuaueng.dll",
        );
        pen.write("Service", "*************");
        pen.write("Service", "** START **  Service: Service startup");
        pen.write("Service", "*********");
        pen.write(
            "Agent",
            &format!("  * WU client version {}", pen.host.system.client_build),
        );
        pen.write("Agent", "  * Base directory: C:\\Windows\\SoftwareDistribution");
        pen.write("Agent", "  * Access type: No proxy");
        pen.write("Agent", "  * Network state: Connected");
        pen.wait(40_000..60_000);
        pen.write("Report", "CWERReporter::Init succeeded");
        pen.write(
            "Agent",
            "***********  Agent: Initializing Windows Update Agent  ***********",
        );
        pen.write(
            "Agent",
            "***********  Agent: Initializing global settings cache  ***********",
        );
        pen.write("Agent", &format!("  * WSUS server: {}", pen.host.wsus_url));
        pen.write("Agent", &format!("  * WSUS status server: {}", pen.host.wsus_url));
        pen.write("Agent", &format!("  * Target group: {}", pen.host.target_group));
        pen.write("Agent", "  * Windows Update access disabled: No");
        pen.write("DnldMgr", "Download manager restoring 0 downloads");
        pen.write("AU", "###########  AU: Initializing Automatic Updates  ###########");
        pen.write(
            "AU",
            &format!("AU setting next detection timeout to {}", pen.utc_in(30_000)),
        );
        pen.write("AU", &format!("  # WSUS server: {}", pen.host.wsus_url));
        pen.write("AU", "  # Detection frequency: 22");
        pen.write("AU", &format!("  # Target group: {}", pen.host.target_group));
        pen.write("AU", "  # Approval type: Scheduled (Policy)");
        pen.write("AU", "  # Auto-install minor updates: Yes (Policy)");
        pen.write(
            "Report",
            "***********  Report: Initializing static reporting data  ***********",
        );
        pen.write("Report", &format!("  * OS Version = {}", pen.host.system.os_build));
        pen.write(
            "Report",
            &format!("  * OS Product Type = {}", pen.host.system.product_type),
        );
        pen.write("Report", "  * Computer Brand = VMware, Inc.");
        pen.write("Report", "  * Computer Model = VMware Virtual Platform");
        pen.write("Report", "  * Locale ID = 1033");
        pen.write("AU", "Successfully wrote event for AU health state:0");
        pen.wait(4_900..5_100);
        pen.switch_thread();
        pen.write("Report", "CWERReporter finishing event handling. (00000000)");
    }

    fn service_exit(&self, pen: &mut Pen<'_>) {
        pen.switch_thread();
        pen.write("AU", "AU initiates service shutdown");
        pen.write("AU", "###########  AU: Uninitializing Automatic Updates  ###########");
        pen.write("Report", "CWERReporter finishing event handling. (00000000)");
        pen.write("Service", "*********");
        pen.write("Service", "**  END  **  Service: Service exit [Exit code = 0x240001]");
        pen.write("Service", "*************");
    }

    fn scan(&self, pen: &mut Pen<'_>, found: &[&Update]) {
        let call = begin_scan(pen);
        let url = format!("{}/ClientWebService/client.asmx", pen.host.wsus_url);
        if pen.host.system.form == Form::Legacy81 {
            pen.write("EP", &format!("Got WSUS Client/Server URL: \"{url}\""));
        }
        for phase in ["Synchronizing server updates", "Synchronizing extended update info"] {
            pen.write("PT", &format!("+++++++++++  PT: {phase}  +++++++++++"));
            pen.write("PT", &format!("  + ServiceId = {MANAGED}, Server URL = {url}"));
            pen.wait(2_000..12_000);
        }
        if pen.random.percent(20) {
            grumble(pen);
        }
        for update in found {
            pen.write(
                "Agent",
                &format!("  * Added update {} to search result", reference(update)),
            );
        }
        let evaluated = pen.random.within(120..900);
        let deployed = evaluated + pen.random.within(100..900);
        let categories = pen.random.within(50..90);
        pen.write(
            "Agent",
            &format!(
                "  * Found {} updates and {categories} categories in search; evaluated appl. rules of {evaluated} out of {deployed} deployed entities",
                found.len()
            ),
        );
        end_scan(pen, &call, &format!("  # {} updates detected", found.len()));
        let text = format!("Windows Update Client successfully detected {} updates.", found.len());
        pen.wait(4_950..5_050);
        report(
            pen,
            5_000,
            &Report {
                event: 147,
                category: "Software Synchronization",
                text: &text,
                ..Report::SUCCESS
            },
        );
        let status = Report {
            event: 156,
            category: "Pre-Deployment Check",
            text: "Reporting client status.",
            ..Report::SUCCESS
        };
        report(pen, 5_000, &status);
        pen.write("Report", "CWERReporter finishing event handling. (00000000)");
    }

    fn scan_failed(&self, pen: &mut Pen<'_>, code: u32) {
        let call = begin_scan(pen);
        let url = format!("{}/ClientWebService/client.asmx", pen.host.wsus_url);
        pen.write("PT", "+++++++++++  PT: Synchronizing server updates  +++++++++++");
        pen.write("PT", &format!("  + ServiceId = {MANAGED}, Server URL = {url}"));
        pen.wait(10_000..25_000);
        pen.write("Misc", &format!("WARNING: Send failed with hr = {code:08x}."));
        pen.write(
            "Misc",
            &format!("WARNING: SendRequest failed with hr = {code:08x}. Proxy List used: <(null)> Bypass List used : <(null)> Auth Schemes used : <>"),
        );
        pen.write("Agent", &format!("  * WARNING: Exit code = 0x{code:08X}"));
        end_scan(
            pen,
            &call,
            &format!("  # WARNING: Search callback failed, result = 0x{code:08X}"),
        );
        pen.wait(4_950..5_050);
        let text = format!("Windows Update Client failed to detect with error 0x{code:08x}.");
        report(
            pen,
            5_000,
            &Report {
                event: 148,
                code,
                failed: true,
                category: "Software Synchronization",
                text: &text,
                ..Report::SUCCESS
            },
        );
        pen.write(
            "Report",
            "CWERReporter::HandleEvents - WER report upload completed with status 0x8",
        );
        wer_sent(pen, "00000000-0000-0000-0000-000000000000", code, "Scan");
    }

    fn attempt(&self, pen: &mut Pen<'_>, update: &Update, verdict: Verdict) -> i64 {
        let path = download(pen, update);
        let Verdict::Untrusted { code, .. } = verdict else {
            download_succeeded(pen, update, &path);
            return install(pen, update, verdict);
        };
        download_untrusted(pen, update, &path, code)
    }

    fn upload(&self, pen: &mut Pen<'_>) {
        if pen.process.unsent == 0 {
            return;
        }
        pen.wait(60_000..600_000);
        pen.switch_thread();
        let (events, server) = (pen.process.unsent, &pen.host.wsus_url);
        pen.write(
            "Report",
            &format!("Uploading {events} events using cached cookie, reporting URL = {server}/ReportingWebService/ReportingWebService.asmx"),
        );
        pen.wait(20..200);
        pen.write("Report", &format!("Reporter successfully uploaded {events} events."));
        pen.process.unsent = 0;
    }

    fn other_program(&self, pen: &mut Pen<'_>) {
        let pid = 4 * u32::try_from(pen.random.within(500..2400)).expect("a small number");
        pen.switch_thread();
        logging_initialized(
            pen,
            pid,
            "C:\\Windows\\system32\\mmc.exe",
            "C:\\Windows\\system32\\wuapi.dll",
        );
        pen.write_as(pid, "COMAPI", "-------------");
        pen.write_as(pid, "COMAPI", "-- START --  COMAPI: Search [ClientId = LogMeIn]");
        pen.write_as(pid, "COMAPI", "---------");
        pen.write_as(pid, "COMAPI", "<<-- SUBMITTED -- COMAPI: Search [ClientId = LogMeIn]");
        pen.wait(3_000..9_000);
        pen.write_as(pid, "COMAPI", ">>--  RESUMED  -- COMAPI: Search [ClientId = LogMeIn]");
        pen.write_as(pid, "COMAPI", "  - Updates found = 0");
        pen.write_as(pid, "COMAPI", "---------");
        pen.write_as(pid, "COMAPI", "--  END  --  COMAPI: Search [ClientId = LogMeIn]");
        pen.write_as(pid, "COMAPI", "-------------");
    }
}

/// Each process that opens the log begins with this. Its later lines often carry the older time.
fn logging_initialized(pen: &mut Pen<'_>, pid: u32, process: &str, module: &str) {
    let began_ticks = pen.now_ticks;
    let build = pen.host.system.client_build;
    let tz = pen.offset();
    pen.write_as(
        pid,
        "Misc",
        &format!("===========  Logging initialized (build: {build}, tz: {tz})  ==========="),
    );
    pen.wait(0..120);
    pen.write_as(pid, "Misc", &format!("  = Process: {process}"));
    pen.write_as(pid, "Misc", &format!("  = Module: {module}"));
    pen.now_ticks = began_ticks;
}

/// Lines that look bad on a host that is well.
fn grumble(pen: &mut Pen<'_>) {
    let rule = pen.random.guid();
    pen.write("PT", "WARNING: Cached cookie has expired or new PID is available");
    pen.write(
        "Handler",
        "FATAL: UH: 0x80070057: EvaluateApplicability failed in CCbs::EvaluateApplicability",
    );
    pen.write(
        "Agent",
        &format!("WARNING: Failed to evaluate Installed rule, updateId = {{{rule}}}.202, hr = 80070057"),
    );
}

fn caller(pen: &mut Pen<'_>) -> String {
    if pen.host.system.form == Form::Legacy7 {
        return "[CallerId = AutomaticUpdates]".to_owned();
    }
    pen.process.next_call += 1;
    format!("[CallerId = AutomaticUpdates  Id = {}]", pen.process.next_call)
}

/// Returns the caller and the call, which the end names again.
fn begin_scan(pen: &mut Pen<'_>) -> [String; 2] {
    let call = pen.random.guid();
    pen.switch_thread();
    pen.write("AU", "Triggering Online detection (non-interactive)");
    pen.write("AU", "#############");
    pen.write("AU", "## START ##  AU: Search for updates");
    pen.write("AU", "#########");
    pen.write(
        "AU",
        &format!("<<## SUBMITTED ## AU: Search for updates [CallId = {{{call}}}]"),
    );
    pen.switch_thread();
    let caller = caller(pen);
    let client = pen.host.system.client_build;
    pen.write("Agent", "*************");
    pen.write("Agent", &format!("** START **  Agent: Finding updates {caller}"));
    pen.write("Agent", "*********");
    pen.write("Agent", "  * Online = Yes; Ignore download priority = No");
    pen.write("Agent", &format!("  * Criteria = \"{CRITERIA}\""));
    pen.write("Agent", &format!("  * ServiceID = {MANAGED} Managed"));
    pen.write("Agent", "  * Search Scope = {Machine}");
    pen.write("Setup", "Checking for agent SelfUpdate");
    pen.write("Setup", &format!("Client version: Core: {client}  Aux: {client}"));
    pen.write(
        "Misc",
        "Validating signature for C:\\Windows\\SoftwareDistribution\\SelfUpdate\\wuident.cab with dwProvFlags 0x00000080:",
    );
    pen.write("Misc", " Microsoft signed: NA");
    pen.write("Setup", "SelfUpdate check completed.  SelfUpdate is NOT required.");
    [caller, call]
}

fn end_scan(pen: &mut Pen<'_>, [caller, call]: &[String; 2], result: &str) {
    pen.write("Agent", "*********");
    pen.write("Agent", &format!("**  END  **  Agent: Finding updates {caller}"));
    pen.write("Agent", "*************");
    pen.switch_thread();
    pen.write(
        "AU",
        &format!(">>##  RESUMED  ## AU: Search for updates [CallId = {{{call}}}]"),
    );
    pen.write("AU", result);
    pen.write("AU", "#########");
    pen.write(
        "AU",
        &format!("##  END  ##  AU: Search for updates [CallId = {{{call}}}]"),
    );
    pen.write("AU", "#############");
    pen.write("AU", "Successfully wrote event for AU health state:0");
}

/// Returns the path of the downloaded file.
fn download(pen: &mut Pen<'_>, update: &Update) -> String {
    let (url, path) = content(pen);
    let job = pen.random.guid();
    pen.switch_thread();
    let caller = caller(pen);
    pen.write("AU", "#############");
    pen.write("AU", "## START ##  AU: Download updates");
    pen.write("AU", "#########");
    pen.write("AU", "  # Approved updates = 1");
    pen.write("AU", "#########");
    pen.write("AU", "##  END  ##  AU: Download updates");
    pen.write("AU", "#############");
    pen.write("Agent", "*************");
    pen.write("Agent", &format!("** START **  Agent: Downloading updates {caller}"));
    pen.write("Agent", "*********");
    pen.write("Agent", "  * Updates to download = 1");
    pen.write("Agent", &format!("  *   Title = {}", update.title));
    pen.write("Agent", &format!("  *   UpdateId = {}", reference(update)));
    pen.write(
        "DnldMgr",
        &format!(
            "***********  DnldMgr: New download job [UpdateId = {}]  ***********",
            reference(update)
        ),
    );
    pen.write("DnldMgr", &format!("  * BITS job initialized, JobId = {{{job}}}"));
    pen.write("DnldMgr", &format!("  * Downloading from {url} to {path} (full file)."));
    pen.write("Agent", "*********");
    pen.write("Agent", &format!("**  END  **  Agent: Downloading updates {caller}"));
    pen.write("Agent", "*************");
    pen.wait(4_950..5_050);
    report(
        pen,
        5_000,
        &Report {
            event: 167,
            category: "Content Download",
            text: "Download started.",
            ..Report::of(update)
        },
    );
    pen.wait(5_000..60_000);
    pen.switch_thread();
    pen.write("DnldMgr", &format!("BITS job {{{job}}} completed successfully"));
    path
}

fn download_succeeded(pen: &mut Pen<'_>, update: &Update, path: &str) {
    pen.write(
        "Misc",
        &format!("Validating signature for {path} with dwProvFlags 0x00000080:"),
    );
    pen.write(
        "Misc",
        if update.publisher == Publisher::Microsoft {
            " Microsoft signed: Yes"
        } else {
            " Microsoft signed: No"
        },
    );
    pen.write(
        "AU",
        "AU checked download status and it changed: Downloading is completed",
    );
    pen.wait(4_950..5_050);
    report(
        pen,
        5_000,
        &Report {
            event: 162,
            category: "Content Download",
            text: "Download succeeded.",
            ..Report::of(update)
        },
    );
    pen.write("Report", "CWERReporter finishing event handling. (00000000)");
}

fn download_untrusted(pen: &mut Pen<'_>, update: &Update, path: &str, code: u32) -> i64 {
    pen.write("Misc", &format!("Validating signature for {path}:"));
    pen.write(
        "Misc",
        &format!("WARNING: Error: 0x{code:08x} when verifying trust for {path}"),
    );
    pen.write(
        "Misc",
        &format!("WARNING: Digital Signatures on file {path} are not trusted: Error 0x{code:08x}"),
    );
    let definite_ms = pen.now_ms();
    pen.write(
        "DnldMgr",
        &format!("WARNING: File failed postprocessing, error = {code:08x}"),
    );
    pen.write(
        "DnldMgr",
        &format!("Error 0x{code:08x} occurred while downloading update; notifying dependent calls."),
    );
    pen.wait(4_950..5_050);
    report(
        pen,
        5_000,
        &Report {
            event: 161,
            code,
            caller: "AutomaticUpdatesWuApp",
            failed: true,
            category: "Content Download",
            text: "Error: Download failed.",
            ..Report::of(update)
        },
    );
    pen.write(
        "Report",
        "CWERReporter::HandleEvents - WER report upload completed with status 0x8",
    );
    wer_sent(pen, &update.id, code, "Download");
    definite_ms
}

fn install(pen: &mut Pen<'_>, update: &Update, verdict: Verdict) -> i64 {
    pen.wait(2_000..30_000);
    pen.switch_thread();
    let caller = caller(pen);
    pen.write("Agent", "*************");
    pen.write("Agent", &format!("** START **  Agent: Installing updates {caller}"));
    pen.write("Agent", "*********");
    pen.write("Agent", "  * Updates to install = 1");
    pen.write("Agent", &format!("  *   Title = {}", update.title));
    pen.write("Agent", &format!("  *   UpdateId = {}", reference(update)));
    let text = format!(
        "Installation Started: Windows successfully started the following update: {}",
        update.title
    );
    report(
        pen,
        0,
        &Report {
            event: 181,
            category: "Content Install",
            text: &text,
            ..Report::of(update)
        },
    );
    let code = if let Verdict::InstallFailed { code } = verdict {
        code
    } else {
        0
    };
    handler(pen, update, code);
    pen.write("Agent", "*********");
    pen.write("Agent", &format!("**  END  **  Agent: Installing updates {caller}"));
    pen.write("Agent", "*************");
    pen.wait(4_950..5_050);
    let definite_ms = pen.now_ms();
    if code == 0 {
        let text = format!(
            "Installation Successful: Windows successfully installed the following update: {}",
            update.title
        );
        report(
            pen,
            5_000,
            &Report {
                event: 183,
                category: "Content Install",
                text: &text,
                ..Report::of(update)
            },
        );
        pen.write("Report", "CWERReporter finishing event handling. (00000000)");
    } else {
        let text = format!(
            "Installation Failure: Windows failed to install the following update with error 0x{code:08x}: {}.",
            update.title
        );
        report(
            pen,
            5_000,
            &Report {
                event: 182,
                code,
                failed: true,
                category: "Content Install",
                text: &text,
                ..Report::of(update)
            },
        );
        wer_sent(pen, &update.id, code, "Install");
    }
    definite_ms
}

/// The installer itself: component-based servicing for Microsoft's packages, a command line for other people's.
fn handler(pen: &mut Pen<'_>, update: &Update, code: u32) {
    if update.publisher == Publisher::Microsoft {
        pen.write("Handler", ":::::::::::::");
        pen.write("Handler", ":: START ::  Handler: CBS Install");
        pen.write("Handler", ":::::::::");
        pen.write("Handler", &format!("Starting install of CBS update {}", update.id));
        pen.wait(20_000..90_000);
        let installer_error = u8::from(code != 0);
        pen.write(
            "Handler",
            &format!("Completed install of CBS update with type=0, requiresReboot=0, installerError={installer_error}, hr=0x{code:x}"),
        );
        pen.write("Handler", ":::::::::");
        pen.write("Handler", "::  END  ::  Handler: CBS Install");
    } else {
        pen.write("Handler", ":::::::::::::");
        pen.write("Handler", ":: START ::  Handler: Command Line Install");
        pen.write("Handler", ":::::::::");
        pen.write("Handler", "  : Updates to install = 1");
        pen.wait(5_000..40_000);
        let result = if code == 0 { "Succeeded" } else { "Failed" };
        pen.write(
            "Handler",
            &format!("  : Command line install completed. Return code = 0x{code:08x}, Result = {result}, Reboot required = false"),
        );
        pen.write("Handler", ":::::::::");
        pen.write("Handler", "::  END  ::  Handler: Command Line Install");
    }
    pen.write("Handler", ":::::::::::::");
}

fn reference(update: &Update) -> String {
    format!("{{{}}}.{}", update.id, update.revision)
}
