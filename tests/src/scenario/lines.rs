//! Doings -> lines of WindowsUpdate.log as clients before Windows 10 write them, in local time, with hexadecimal thread
//! ids, and the records that a collector makes of them.

use chrono::{DateTime, TimeDelta};
use wulog_processor::machine::InRecord;
use wulog_processor::normalize::NormalizerConfig;
use wulog_schemas::hresult::Family;
use wulog_schemas::raw::{Heartbeat, Kind, RawHeader, VERSION};
use wulog_schemas::signal::HostRef;

use super::life::{Doing, Subject, What};
use super::plan::Plan;
use super::population::Host;
use super::queue::Queue;
use super::world::{PARTITIONS, Sink};
use crate::fleet::random::Random;

const FILE: &str = r"C:\Windows\WindowsUpdate.log";

/// The style of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// The usual style.
    #[default]
    Usual,
    /// Codes of file checks in decimal, signed or unsigned by chance.
    Decimal,
    /// Healthy downloads log 0x800b0109 before they succeed.
    HealthyCodes,
}

/// The Normalizer of a site with a pattern for S07: 80092004 has several meanings, but only one at the end of a
/// download.
pub(super) fn normalizer() -> NormalizerConfig {
    let pattern = serde_json::json!({
        "name": "sha2-not-supported",
        "regex": "File failed postprocessing, error = 80092004",
        "family": "signature",
        "code": "0x80092004",
        "counts": "definite",
    });
    serde_json::from_value(serde_json::json!({ "patterns": [pattern] })).expect("a pattern as the README explains it")
}

struct Raw {
    host: u32,
    key: String,
    header: RawHeader,
    value: Vec<u8>,
}

#[derive(Default)]
struct State {
    offset: u64,
    live: bool,
    /// Lines of the time before its collector.
    waiting: Vec<String>,
    greeted_as: String,
}

/// Makes raw records.
pub(super) struct Lines<'a> {
    plan: &'a Plan,
    style: Style,
    states: Vec<State>,
    queue: Queue<Raw>,
    offsets: [i64; PARTITIONS as usize],
}

impl<'a> Lines<'a> {
    pub(super) fn new(plan: &'a Plan, hosts: usize, style: Style) -> Lines<'a> {
        let states = (0..hosts).map(|_| State::default()).collect();
        Lines { plan, style, states, queue: Queue::new(), offsets: [0; PARTITIONS as usize] }
    }

    fn heartbeat(&mut self, host: &Host, reference: &HostRef, arrives: i64, caught_up: bool) {
        let labels = host.labels().map(|(name, value)| (name.trim_start_matches("label.").to_owned(), value)).collect();
        let beat = Heartbeat { version: "1".to_owned(), caught_up, labels, ..Heartbeat::default() };
        let header =
            RawHeader { v: VERSION, kind: Kind::Heartbeat, host: reference.name.clone(), ..RawHeader::default() };
        let value = serde_json::to_vec(&beat).expect("a heartbeat is plain data");
        self.queue.push(arrives, Raw { host: host.index, key: reference.id.clone(), header, value });
    }

    fn line(&mut self, host: &Host, reference: &HostRef, arrives: i64, epoch: u64, line: &str) {
        let state = &mut self.states[host.index as usize];
        let offset = state.offset;
        state.offset += line.len() as u64 + 1;
        let header = RawHeader {
            v: VERSION,
            host: reference.name.clone(),
            file: FILE.to_owned(),
            epoch: format!("{epoch:016x}"),
            offset,
            end: offset + line.len() as u64 + 1,
            hash: format!("{:08x}", line.bytes().fold(7_u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)))),
            read: arrives,
            ..RawHeader::default()
        };
        let value = line.as_bytes().to_vec();
        for _ in 0..self.plan.copies {
            let raw = Raw { host: host.index, key: reference.id.clone(), header: header.clone(), value: value.clone() };
            self.queue.push(arrives, raw);
        }
    }

    fn lines_of(&self, host: &Host, doing: &Doing) -> Vec<String> {
        let mut pen = Pen { host, time: doing.time, lines: Vec::new() };
        match doing.what {
            What::Scan { ok: true } => pen.report(
                147,
                None,
                "0",
                "Success",
                "Software Synchronization",
                "Windows Update Client successfully detected 0 updates.",
            ),
            What::Scan { ok: false } => pen.report(
                148,
                None,
                "8024402c",
                "Failure",
                "Software Synchronization",
                "Windows Update Client failed to detect with error 0x8024402c.",
            ),
            What::Attempt { subject: Subject::Server(name), failed: Some((_, code)), .. } => {
                pen.server_failed(name, &code[2..])
            }
            // A successful scan is reported by the scan itself.
            What::Attempt { subject: Subject::Server(_), failed: None, .. } => {}
            What::Attempt { subject, failed: Some((family, code)), .. } => {
                pen.failed(subject, family, code, self.style)
            }
            What::Attempt { subject, failed: None, .. } => {
                if self.style == Style::HealthyCodes {
                    let path = path_of(subject);
                    pen.write("Misc", &format!("Validating signature for {path}:"));
                    pen.write("Misc", &format!("WARNING: Error: 0x800b0109 when verifying trust for {path}"));
                    pen.write(
                        "Misc",
                        &format!("WARNING: Digital Signatures on file {path} are not trusted: Error 0x800b0109"),
                    );
                    pen.write("Misc", " Trusted Publisher: Yes");
                }
                let update = subject.text()[7..].to_uppercase();
                pen.report(162, Some(&update), "0", "Success", "Content Download", "Download succeeded.");
            }
        }
        pen.lines
    }

    fn banner(&self, host: &Host, time: i64) -> Vec<String> {
        let mut pen = Pen { host, time, lines: Vec::new() };
        let offset = host.utc_hours();
        let sign = if offset < 0 { '-' } else { '+' };
        let build = host.system.client_build;
        pen.write(
            "Misc",
            &format!("===========  Logging initialized (build: {build}, tz: {sign}{:02}00)  ===========", offset.abs()),
        );
        pen.write("Misc", r"  = Process: C:\Windows\system32\svchost.exe");
        pen.write("Misc", r"  = Module: c:\windows\system32\wuaueng.dll");
        pen.write("Agent", &format!("  * WU client version {build}"));
        pen.write("Agent", &format!("  * WSUS server: http://{}", host.wsus_server()));
        pen.write(
            "Agent",
            &format!("  * Target group: {}", if host.system.server { "Servers" } else { "Workstations" }),
        );
        let os = host.system.os_build;
        let suite = if os.matches('.').count() == 2 { ".1.0.256" } else { "" };
        pen.write("Report", &format!("  * OS Version = {os}{suite}"));
        pen.lines
    }
}

impl Sink for Lines<'_> {
    fn host_begins(&mut self, host: &Host, reference: HostRef, arrives: i64) {
        self.heartbeat(host, &reference, arrives, false);
        let mut lines = self.banner(host, super::time::START);
        let state = &mut self.states[host.index as usize];
        state.live = true;
        state.greeted_as.clone_from(&reference.id);
        lines.append(&mut state.waiting);
        for line in lines {
            self.line(host, &reference, arrives, 1, &line);
        }
        self.heartbeat(host, &reference, arrives, true);
    }

    fn take(&mut self, host: &Host, reference: HostRef, doing: &Doing) {
        let lines = self.lines_of(host, doing);
        let again = matches!(doing.what, What::Attempt { again: true, .. });
        let state = &mut self.states[host.index as usize];
        if !again && state.live && state.greeted_as != reference.id {
            *state = State::default();
            self.host_begins(host, reference.clone(), doing.arrives);
        }
        let state = &mut self.states[host.index as usize];
        if !state.live {
            state.waiting.extend(lines);
            return;
        }
        let epoch = if again { doing.arrives.unsigned_abs() } else { 1 };
        for line in lines {
            self.line(host, &reference, doing.arrives, epoch, &line);
        }
    }

    fn tick(&mut self, time: i64, feed: &mut dyn FnMut(&InRecord<'_>)) {
        while let Some((timestamp_ms, raw)) = self.queue.pop_until(time) {
            let partition = i32::try_from(raw.host).expect("a small number") % PARTITIONS;
            self.feed(partition, timestamp_ms, raw.key.as_bytes(), &raw.header, &raw.value, feed);
        }
        for partition in 0..PARTITIONS {
            self.feed(partition, time, b"tick", &RawHeader::tick(), b"", feed);
        }
    }
}

impl Lines<'_> {
    fn feed(
        &mut self,
        partition: i32,
        timestamp_ms: i64,
        key: &[u8],
        header: &RawHeader,
        value: &[u8],
        feed: &mut dyn FnMut(&InRecord<'_>),
    ) {
        let next = &mut self.offsets[partition.unsigned_abs() as usize];
        let offset = *next;
        *next += 1;
        let header = header.to_bytes();
        feed(&InRecord { partition, offset, timestamp_ms, key, header: Some(&header), value });
    }
}

fn path_of(subject: Subject) -> String {
    let folder = subject.text()[7..].replace('-', "");
    format!(r"C:\Windows\SoftwareDistribution\Download\{folder}\{}.cab", &folder[..12])
}

/// Writes lines at a local time.
struct Pen<'a> {
    host: &'a Host,
    time: i64,
    lines: Vec<String>,
}

impl Pen<'_> {
    fn write(&mut self, component: &str, message: &str) {
        let local = DateTime::from_timestamp_millis(self.time + self.host.utc_hours() * super::time::HOUR);
        let local = local.expect("a time of this century").format("%Y-%m-%d\t%H:%M:%S:%3f");
        let (pid, tid) = (1_000 + self.host.index % 900, 0x1a4 + self.host.index % 64);
        self.lines.push(format!("{local}\t{pid:4}\t{tid:x}\t{component}\t{message}"));
        self.time += 15;
    }

    fn report(&mut self, event: u16, update: Option<&str>, code: &str, result: &str, category: &str, text: &str) {
        let zone = self.host.utc_hours();
        let happened =
            DateTime::from_timestamp_millis(self.time).expect("a time of this century") + TimeDelta::hours(zone);
        let happened = happened.format("%Y-%m-%d %H:%M:%S:%3f");
        let sign = if zone < 0 { '-' } else { '+' };
        let seed = self.time.unsigned_abs() ^ (u64::from(self.host.index) << 44);
        let instance = Random::stream(seed, "report", u64::from(event)).guid();
        let (update, revision) = update.map_or(("00000000-0000-0000-0000-000000000000", 0), |update| (update, 200));
        // The reporter works through its queue every five seconds.
        self.time += 5_000;
        self.write(
            "Report",
            &format!(
                "REPORT EVENT: {{{instance}}}\t{happened}{sign}{:02}00\t1\t{event}\t101\t{{{update}}}\t{revision}\t{code}\tAutomaticUpdatesWuApp\t{result}\t{category}\t{text}",
                zone.abs()
            ),
        );
    }

    fn failed(&mut self, subject: Subject, family: Family, code: &str, style: Style) {
        let path = path_of(subject);
        let number = u32::from_str_radix(&code[2..], 16).expect("a code of this suite");
        let spelled = match (style, self.host.index % 2) {
            (Style::Decimal, 0) => number.to_string(),
            (Style::Decimal, _) => number.cast_signed().to_string(),
            _ => code.to_owned(),
        };
        if family == Family::UntrustedRoot || style == Style::Decimal {
            self.write("Misc", &format!("WARNING: File cert verification failed for {path} with {spelled}"));
        }
        self.write("Misc", &format!("WARNING: Error: {code} when verifying trust for {path}"));
        self.write("Misc", &format!("WARNING: Digital Signatures on file {path} are not trusted: Error {code}"));
        self.write("DnldMgr", &format!("WARNING: File failed postprocessing, error = {}", &code[2..]));
        let update = subject.text()[7..].to_uppercase();
        self.report(161, Some(&update), &code[2..], "Failure", "Content Download", "Error: Download failed.");
    }

    fn server_failed(&mut self, name: &str, code: &str) {
        self.write("PT", "+++++++++++  PT: Synchronizing server updates  +++++++++++");
        self.write("PT", &format!("  + ServiceId = {{9482F4B4-E343-43B6-B170-9A65BC822C77}}, Server URL = https://{name}/v6/ClientWebService/client.asmx"));
        self.write("Misc", &format!("WARNING: Send failed with hr = {code}."));
        let text = format!("Windows Update Client failed to detect with error 0x{code}.");
        self.report(148, None, code, "Failure", "Software Synchronization", &text);
    }
}
