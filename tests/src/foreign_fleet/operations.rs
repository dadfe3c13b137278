//! The operations of a client. Each operation takes its begin, writes the lines and reports, and returns its end.

use super::catalog::Update;
use super::client::{Client, Event};

/// Delay of a report after the lines of its operation.
const REPORT_DELAY_MS: i64 = 5000;

/// The way in which a scan fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanFailure {
    pub(super) code: u32,
    /// The proxy that legacy lines name.
    pub(super) proxy: &'static str,
}

impl Client {
    pub(super) fn start_service(&mut self, at_ms: i64) -> i64 {
        self.new_process();
        if self.is_legacy() { self.legacy_start(at_ms) } else { self.modern_start(at_ms) }
    }

    pub(super) fn scan(&mut self, at_ms: i64, offered: usize) -> i64 {
        let end_ms = self.scan_begins(at_ms);
        let total = self.chance.between(901, 1800);
        let found = format!(
            "Found {offered} updates and {} categories in search; evaluated appl. rules of {} out of {total} deployed entities",
            self.chance.between(50, 95),
            self.chance.between(300, 900),
        );
        if self.is_legacy() {
            self.legacy_found(end_ms, &found)
        } else {
            self.modern_found(end_ms, &found)
        }
        let text = format!("Windows Update Client successfully detected {offered} updates.");
        self.report(end_ms + REPORT_DELAY_MS, Event::ScanDone, None, 0, &text);
        end_ms + REPORT_DELAY_MS + 100
    }

    pub(super) fn scan_fails(&mut self, at_ms: i64, failure: ScanFailure) -> i64 {
        let at_ms = self.scan_begins(at_ms);
        if self.is_legacy() {
            self.legacy_scan_fails(at_ms, failure)
        } else {
            self.modern_scan_fails(at_ms, failure.code)
        }
        let text = format!("Windows Update Client failed to detect with error 0x{:08x}.", failure.code);
        self.report(at_ms + REPORT_DELAY_MS, Event::ScanFailed, None, failure.code, &text);
        at_ms + REPORT_DELAY_MS + 100
    }

    /// The content is downloaded, but its signature is not accepted.
    pub(super) fn download_is_refused(&mut self, at_ms: i64, update: &Update, code: u32) -> i64 {
        let at_ms = self.download_begins(at_ms, update);
        self.validates(at_ms, update);
        if self.is_legacy() {
            self.legacy_refuses(at_ms, update, code)
        } else {
            self.modern_refuses(at_ms, code)
        }
        self.report(at_ms + REPORT_DELAY_MS, Event::DownloadFailed, Some(update), code, "Error: Download failed.");
        at_ms + REPORT_DELAY_MS + 1000
    }

    /// The servicing stack does not accept the package.
    pub(super) fn install_is_refused(&mut self, at_ms: i64, update: &Update, code: u32) -> i64 {
        self.new_thread();
        if self.is_legacy() {
            self.legacy_cbs_fails(at_ms, update, code)
        } else {
            self.modern_cbs_fails(at_ms, update, code)
        }
        self.report(at_ms + REPORT_DELAY_MS, Event::InstallFailed, Some(update), code, &failed_install(update, code));
        at_ms + REPORT_DELAY_MS + 1000
    }

    /// Downloads and installs an update.
    pub(super) fn install(&mut self, at_ms: i64, update: &Update) -> i64 {
        let at_ms = self.download_begins(at_ms, update);
        self.validates(at_ms, update);
        if self.is_legacy() {
            self.legacy_accepts(at_ms, update)
        } else {
            self.modern_accepts(at_ms, update)
        }
        self.report(at_ms + REPORT_DELAY_MS, Event::Downloaded, Some(update), 0, "Download succeeded.");
        let at_ms = at_ms + self.chance.between(6_000, 180_000);
        if self.is_legacy() {
            self.legacy_installed(at_ms, update)
        } else {
            self.modern_installed(at_ms, update)
        }
        let title = update.title;
        let text = format!("Installation Successful: Windows successfully installed the following update: {title}");
        self.report(at_ms + REPORT_DELAY_MS, Event::Installed, Some(update), 0, &text);
        at_ms + REPORT_DELAY_MS + 100
    }

    /// An installer fails with 1603, which does not concern trust.
    pub(super) fn installer_fails(&mut self, at_ms: i64, update: &Update) -> i64 {
        const CODE: u32 = 0x8007_0643;
        let at_ms = self.download_begins(at_ms, update);
        let history = format!(
            "LogHistory called. idUpdate={{{}}}.{}, resultMapped={CODE:08X}, resultUnMapped=FFFE",
            update.id, update.revision
        );
        self.put(at_ms, "Agent", &history);
        let exit = "Exit code = 0x00000000; Call error code = 0x80240022";
        if self.is_legacy() {
            self.put(at_ms + 10, "COMAPI", &format!("  - WARNING: {exit}"));
        } else {
            self.put(at_ms + 10, "ComApi", exit);
        }
        self.report(at_ms + REPORT_DELAY_MS, Event::InstallFailed, Some(update), CODE, &failed_install(update, CODE));
        at_ms + REPORT_DELAY_MS + 100
    }

    fn scan_begins(&mut self, at_ms: i64) -> i64 {
        self.new_thread();
        self.scans += 1;
        if self.is_legacy() {
            self.legacy_scan(at_ms)
        } else {
            self.modern_scan(at_ms)
        }
        at_ms + self.chance.between(2_000, 40_000)
    }

    fn download_begins(&mut self, at_ms: i64, update: &Update) -> i64 {
        self.new_thread();
        let done_ms = at_ms + self.chance.between(3_000, 60_000);
        if self.is_legacy() {
            self.put(at_ms, "DnldMgr", &format!("  * Title = {}", update.title));
            self.put(at_ms, "DnldMgr", &format!("  * UpdateId = {{{}}}.{}", update.id, update.revision));
        } else {
            self.put(at_ms, "Agent", &format!("Title = {}", update.title));
            let job = self.chance.guid();
            let done = format!("DO job {{{job}}} completed successfully, updateId = {}.{}", update.id, update.revision);
            self.put(done_ms, "DownloadManager", &done);
        }
        done_ms
    }

    fn validates(&mut self, at_ms: i64, update: &Update) {
        let line = format!("Validating signature for {} with dwProvFlags 0x00000080:", self.content_path(update));
        self.put(at_ms, "Misc", &line);
    }

    pub(super) fn content_path(&self, update: &Update) -> String {
        let root = if self.is_legacy() { "C:\\Windows" } else { "C:\\WINDOWS" };
        format!("{root}\\{}", update.content)
    }
}

fn failed_install(update: &Update, code: u32) -> String {
    format!(
        "Installation Failure: Windows failed to install the following update with error 0x{code:08x}: {}.",
        update.title
    )
}
