//! One host's Windows Update client: its facts, and the writing of its lines and reports.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::catalog::{Form, Kind, SITES, Site, Update, pick_kind};
use super::chance::Chance;
use super::{Spec, days};

/// A host.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: String,
    pub(super) site: &'static Site,
    pub(super) kind: &'static Kind,
    pub(super) build: &'static str,
    /// WSUS server; `None` for a host of Windows Update.
    pub(super) server: Option<&'static str>,
    pub(super) group: &'static str,
    pub(super) caller: &'static str,
    pub(super) has_log: bool,
    pub(super) has_reports: bool,
    /// Time from which its clock is wrong, and the error.
    pub(super) clock_error: Option<(i64, i64)>,
    pub(super) chance: Chance,
    /// Contents of `WindowsUpdate.log` and `ReportingEvents.log`.
    pub(super) log: String,
    pub(super) reports: String,
    pub(super) scans: u32,
    utc_minutes: i64,
    date_format: &'static str,
    pid: i64,
    tid: i64,
}

impl Client {
    pub(super) fn new(spec: &Spec, index: usize) -> Client {
        let mut chance = Chance::new(spec.seed, "client", index as u64);
        let sites = if spec.hosts < 60 { &SITES[..2] } else { &SITES[..] };
        let site = &sites[chance.weighted(&sites.iter().map(|site| site.weight).collect::<Vec<_>>())];
        let kind = pick_kind(&mut chance, spec.scenario.is_2019());
        let build = chance.pick(kind.builds);
        let server = (!chance.percent(8)).then_some(site.server);
        let is_modern = kind.form == Form::Modern;
        let draw = chance.below(100) as u32;
        let has_log = !is_modern || draw >= spec.reports_only_percent;
        let has_reports = draw < if is_modern { spec.reports_only_percent.max(22) } else { 10 };
        let modern_callers = ["UpdateOrchestrator", "UpdateOrchestrator", "CcmExec"];
        Client {
            name: format!("{}-{}{index:04}", site.code, if chance.percent(20) { "S" } else { "PC" }),
            group: chance.pick(&["Early", "Everyone", "Everyone", "Machines"]),
            caller: if is_modern { chance.pick(&modern_callers) } else { "AutomaticUpdates" },
            clock_error: None,
            // The decoded form carries no zone, so those hosts log UTC.
            utc_minutes: if is_modern && has_log { 0 } else { site.utc_minutes },
            date_format: if is_modern && chance.percent(75) { "%Y/%m/%d" } else { "%Y-%m-%d" },
            log: String::new(),
            reports: String::new(),
            scans: chance.between(1, 900) as u32,
            pid: 0,
            tid: 0,
            site,
            kind,
            build,
            server,
            has_log,
            has_reports,
            chance,
        }
    }

    pub(super) fn is_legacy(&self) -> bool {
        self.kind.form == Form::Legacy
    }

    pub(super) fn server_url(&self) -> String {
        match self.server {
            Some(server) => format!("{}/ClientWebService/client.asmx", wsus_url(server)),
            None => "https://fe2.update.microsoft.com/v6/ClientWebService/client.asmx".to_owned(),
        }
    }

    /// Id and name of the service that the host scans.
    pub(super) fn service(&self) -> (&'static str, &'static str) {
        match self.server {
            Some(_) => ("3DA21691-E39D-4DA6-8A4B-B43877BCB1B7", "Managed"),
            None => (super::WINDOWS_UPDATE, "Windows Update"),
        }
    }

    pub(super) fn new_process(&mut self) {
        self.pid = self.chance.between(600, 9999);
        self.new_thread();
    }

    pub(super) fn new_thread(&mut self) {
        self.tid = self.chance.between(0x100, 0x3fff);
    }

    /// Local time by the host's clock.
    fn local(&self, at_ms: i64) -> DateTime<Utc> {
        let error_ms = self.clock_error.filter(|(from_ms, _)| at_ms >= *from_ms).map_or(0, |(_, error_ms)| error_ms);
        let local_ms = at_ms + error_ms + self.utc_minutes * 60_000;
        DateTime::from_timestamp_millis(local_ms).expect("clocks here are off by less than ten years")
    }

    /// Offset from UTC as `+02:00`, with the given separator.
    pub(super) fn offset(&self, separator: &str) -> String {
        let (sign, minutes) = (if self.utc_minutes < 0 { '-' } else { '+' }, self.utc_minutes.abs());
        format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
    }

    /// Writes one line of `WindowsUpdate.log`.
    pub(super) fn put(&mut self, at_ms: i64, component: &str, message: &str) {
        if !self.has_log {
            return;
        }
        let local = self.local(at_ms);
        let (pid, tid) = (self.pid, self.tid);
        let written = if self.is_legacy() {
            let clock = local.format("%Y-%m-%d\t%H:%M:%S:%3f");
            write!(self.log, "{clock}\t{pid:4}\t{tid:x}\t{component}\t{message}\r\n")
        } else {
            let (date, clock) = (local.format(self.date_format), local.format("%H:%M:%S%.3f"));
            let rest = self.chance.below(10_000);
            write!(self.log, "{date} {clock}{rest:04} {pid:<5} {tid:<5} {component:<15} {message}\r\n")
        };
        written.expect("a String takes everything");
    }

    /// Writes an event to `ReportingEvents.log`, and its REPORT EVENT line to a legacy log a few seconds later.
    pub(super) fn report(&mut self, at_ms: i64, event: Event, update: Option<&Update>, code: u32, text: &str) {
        let made_ms = at_ms - self.chance.between(0, 5000);
        let made = self.local(made_ms).format("%Y-%m-%d %H:%M:%S:%3f");
        let made = format!("{made}{}", self.offset(""));
        let guid = self.chance.guid();
        let (id, revision) = match update {
            Some(update) => (update.id.as_str(), update.revision),
            None => ("00000000-0000-0000-0000-000000000000", 0),
        };
        let code = if code == 0 { "0".to_owned() } else { format!("{code:08x}") };
        let (number, name, result, category) = event.words();
        let tail = format!("101\t{{{id}}}\t{revision}\t{code}\t{}\t{result}\t{category}\t{text}", self.caller);
        if self.is_legacy() {
            self.put(at_ms, "Report", &format!("REPORT EVENT: {{{guid}}}\t{made}\t1\t{number}\t{tail}"));
        }
        if self.has_reports {
            let vector = if self.is_legacy() { String::new() } else { format!("\t{}.1.0.2", self.chance.hex(16)) };
            write!(self.reports, "{{{guid}}}\t{made}\t1\t{number} [{name}]\t{tail}{vector}\r\n")
                .expect("a String takes everything");
        }
    }

    /// Sets a clock that is wrong by minutes, a day or days from the beginning, as in every fleet.
    pub(super) fn set_wrong_clock(&mut self) {
        let error_ms = self.chance.pick(&[4 * 60_000, -9 * 60_000, 26 * super::HOUR_MS, days(-3)]);
        self.clock_error = Some((i64::MIN, error_ms));
    }
}

/// The kind of a report.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    ScanDone,
    ScanFailed,
    DownloadFailed,
    Downloaded,
    InstallFailed,
    Installed,
}

impl Event {
    fn words(self) -> (u32, &'static str, &'static str, &'static str) {
        match self {
            Event::ScanDone => (147, "AGENT_DETECTION_FINISHED", "Success", "Software Synchronization"),
            Event::ScanFailed => (148, "AGENT_DETECTION_FAILED", "Failure", "Software Synchronization"),
            Event::DownloadFailed => (161, "AGENT_DOWNLOAD_FAILED", "Failure", "Content Download"),
            Event::Downloaded => (162, "AGENT_DOWNLOAD_SUCCEEDED", "Success", "Content Download"),
            Event::InstallFailed => (182, "AGENT_INSTALLING_FAILED", "Failure", "Content Install"),
            Event::Installed => (183, "AGENT_INSTALLING_SUCCEEDED", "Success", "Content Install"),
        }
    }
}

/// URL of a WSUS server.
pub(super) fn wsus_url(server: &str) -> String {
    format!("http://{server}.corp.example:8530")
}
