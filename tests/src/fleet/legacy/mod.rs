//! The words of Windows 7 to 8.1: bars and bullets, REPORT EVENTs, WER lines.

mod attempt;
mod report;
mod scan;

use super::dialect::{Dialect, Verdict};
use super::host::Form;
use super::pen::{Pen, say};
use super::spec::Update;

use report::wer_finished;

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
        begin(pen, "Service", "Service: Service startup");
        say!(pen, "Agent", "  * WU client version {}", pen.host.system.client_build);
        pen.write("Agent", "  * Base directory: C:\\Windows\\SoftwareDistribution");
        pen.write("Agent", "  * Access type: No proxy");
        pen.write("Agent", "  * Network state: Connected");
        pen.wait(40_000..60_000);
        pen.write("Report", "CWERReporter::Init succeeded");
        pen.write("Agent", "***********  Agent: Initializing Windows Update Agent  ***********");
        pen.write("Agent", "***********  Agent: Initializing global settings cache  ***********");
        say!(pen, "Agent", "  * WSUS server: {}", pen.host.wsus_url);
        say!(pen, "Agent", "  * WSUS status server: {}", pen.host.wsus_url);
        say!(pen, "Agent", "  * Target group: {}", pen.host.target_group);
        pen.write("Agent", "  * Windows Update access disabled: No");
        pen.write("DnldMgr", "Download manager restoring 0 downloads");
        pen.write("AU", "###########  AU: Initializing Automatic Updates  ###########");
        say!(pen, "AU", "AU setting next detection timeout to {}", pen.utc_in(30_000));
        say!(pen, "AU", "  # WSUS server: {}", pen.host.wsus_url);
        pen.write("AU", "  # Detection frequency: 22");
        say!(pen, "AU", "  # Target group: {}", pen.host.target_group);
        pen.write("AU", "  # Approval type: Scheduled (Policy)");
        pen.write("AU", "  # Auto-install minor updates: Yes (Policy)");
        pen.write("Report", "***********  Report: Initializing static reporting data  ***********");
        say!(pen, "Report", "  * OS Version = {}", pen.host.system.os_build);
        say!(pen, "Report", "  * OS Product Type = {}", pen.host.system.product_type);
        pen.write("Report", "  * Computer Brand = VMware, Inc.");
        pen.write("Report", "  * Computer Model = VMware Virtual Platform");
        pen.write("Report", "  * Locale ID = 1033");
        pen.write("AU", "Successfully wrote event for AU health state:0");
        pen.wait(4_900..5_100);
        pen.switch_thread();
        wer_finished(pen);
    }

    fn service_exit(&self, pen: &mut Pen<'_>) {
        pen.switch_thread();
        pen.write("AU", "AU initiates service shutdown");
        pen.write("AU", "###########  AU: Uninitializing Automatic Updates  ###########");
        wer_finished(pen);
        end(pen, "Service", "Service: Service exit [Exit code = 0x240001]");
    }

    fn scan(&self, pen: &mut Pen<'_>, found: &[&Update]) {
        scan::succeeded(pen, found);
    }

    fn scan_failed(&self, pen: &mut Pen<'_>, code: u32) {
        scan::failed(pen, code);
    }

    fn attempt(&self, pen: &mut Pen<'_>, update: &Update, verdict: Verdict) -> i64 {
        let path = attempt::download(pen, update);
        let Verdict::Untrusted { code, .. } = verdict else {
            attempt::download_succeeded(pen, update, &path);
            return attempt::install(pen, update, verdict);
        };
        attempt::download_untrusted(pen, update, &path, code)
    }

    fn upload(&self, pen: &mut Pen<'_>) {
        if pen.process.unsent == 0 {
            return;
        }
        pen.wait(60_000..600_000);
        pen.switch_thread();
        let (events, server) = (pen.process.unsent, &pen.host.wsus_url);
        say!(
            pen,
            "Report",
            "Uploading {events} events using cached cookie, reporting URL = {server}/ReportingWebService/ReportingWebService.asmx"
        );
        pen.wait(20..200);
        say!(pen, "Report", "Reporter successfully uploaded {events} events.");
        pen.process.unsent = 0;
    }

    fn other_program(&self, pen: &mut Pen<'_>) {
        let pid = 4 * u32::try_from(pen.random.within(500..2400)).expect("a small number");
        pen.switch_thread();
        logging_initialized(pen, pid, "C:\\Windows\\system32\\mmc.exe", "C:\\Windows\\system32\\wuapi.dll");
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
    pen.write_as(pid, "Misc", &format!("===========  Logging initialized (build: {build}, tz: {tz})  ==========="));
    pen.wait(0..120);
    pen.write_as(pid, "Misc", &format!("  = Process: {process}"));
    pen.write_as(pid, "Misc", &format!("  = Module: {module}"));
    pen.now_ticks = began_ticks;
}

/// Opens a section, as each component does with a character of its own.
fn begin(pen: &mut Pen<'_>, component: &str, title: &str) {
    let bar = bar(component);
    pen.write(component, &bar.repeat(13));
    pen.write(component, &format!("{bar}{bar} START {bar}{bar}  {title}"));
    pen.write(component, &bar.repeat(9));
}

/// Closes it.
fn end(pen: &mut Pen<'_>, component: &str, title: &str) {
    let bar = bar(component);
    pen.write(component, &bar.repeat(9));
    pen.write(component, &format!("{bar}{bar}  END  {bar}{bar}  {title}"));
    pen.write(component, &bar.repeat(13));
}

fn bar(component: &str) -> &'static str {
    match component {
        "AU" => "#",
        "Handler" => ":",
        _ => "*",
    }
}

fn caller(pen: &mut Pen<'_>) -> String {
    if pen.host.system.form == Form::Legacy7 {
        return "[CallerId = AutomaticUpdates]".to_owned();
    }
    pen.process.next_call += 1;
    format!("[CallerId = AutomaticUpdates  Id = {}]", pen.process.next_call)
}

fn reference(update: &Update) -> String {
    format!("{{{}}}.{}", update.id, update.revision)
}
