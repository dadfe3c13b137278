//! Entry -> Event and Signals: the Normalizer, one for each partition of `wulog.raw`.
//!
//! ```text
//! raw record -> position (new? repeat?) -> entry -> event time -> Event
//!                                            \-> thread, fold -> host -> Attempt, ScanDone, HostFacts
//! ```
//!
//! Each line gives one event, or none where it is a repeat. What the lines mean for certificate trust is folded per thread
//! and kept per host; the host decides what is worth a signal. A record that is no line gives an event with `error.*`.

mod classify;
mod config;
mod document;
mod file;
mod fold;
mod host;
mod position;
mod thread;
mod time;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wulog_schemas::event::{Flag, Form, TimeSource, event_id};
use wulog_schemas::raw::{Heartbeat, Kind, RawHeader, VERSION};
use wulog_schemas::signal::{self, Fact, Outcome, RawPosition, Signal, Tick};
use wulog_schemas::topic::Topic;

pub use config::{Limits, NormalizerConfig};
pub use time::{FileClock, UtcOffset, Zone};

use crate::machine::{InRecord, Machine, Output, SnapshotError};
use crate::parse::{Entry, Trust, parse};
use document::sub_second;
use fold::Failure;
use host::{Facts, Host, Moment};
use position::Position;
use time::{EventTime, Offsets};

/// A tick is passed on when log time has moved on by this.
const TICK_MS: i64 = 60_000;

/// An event time further ahead of log time is not believed.
const AHEAD_MAX_MS: i64 = 5 * 60 * 1000;

/// An event time further behind log time is late.
const LATE_MS: i64 = 24 * 3600 * 1000;

/// Longest record key; host ids have 32 bytes.
const KEY_BYTES_MAX: usize = 256;

/// Key of events whose record has no usable key or header.
const UNKNOWN_KEY: &str = "unknown";

/// The state machine from raw records to events and signals.
#[derive(Clone, Debug)]
pub struct Normalizer {
    config: NormalizerConfig,
    partition: i32,
    partitions: i32,
    state: State,
}

/// All that outlives a record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    /// Log time: the running maximum of record timestamps.
    log_time: i64,
    /// Log time of the last tick passed on.
    last_tick: Option<i64>,
    hosts: BTreeMap<String, Host>,
    /// Hosts by the log time at which something of theirs is due.
    due: BTreeSet<(i64, String)>,
}

/// Why a record is no line, heartbeat or tick.
struct Malformed(String);

impl Machine for Normalizer {
    const NAME: &'static str = "normalizer";
    const FORMAT: u32 = 1;
    type Config = NormalizerConfig;

    fn new(config: &NormalizerConfig, partition: i32, partitions: i32) -> Self {
        Normalizer {
            config: config.clone(),
            partition,
            partitions,
            state: State::default(),
        }
    }

    fn apply(&mut self, record: &InRecord<'_>, out: &mut Vec<Output>) {
        let at = self.advance(record);
        self.settle_due(at, out);
        if let Err(Malformed(reason)) = self.take(record, at, out) {
            out.push(self.pipeline_error(record, "malformed_record", &reason));
        }
        self.tick(at, out);
    }

    fn skip(&mut self, record: &InRecord<'_>, reason: &str, out: &mut Vec<Output>) {
        let at = self.advance(record);
        out.push(self.pipeline_error(record, "panic", reason));
        self.tick(at, out);
    }

    fn snapshot(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.state).expect("the state holds only plain values of known length")
    }

    fn restore(
        config: &NormalizerConfig,
        partition: i32,
        partitions: i32,
        bytes: &[u8],
    ) -> Result<Self, SnapshotError> {
        let state = postcard::from_bytes(bytes).map_err(|error| SnapshotError {
            machine: Self::NAME,
            reason: error.to_string(),
        })?;
        Ok(Normalizer {
            config: config.clone(),
            partition,
            partitions,
            state,
        })
    }
}

impl Normalizer {
    fn advance(&mut self, record: &InRecord<'_>) -> Moment {
        self.state.log_time = self.state.log_time.max(record.timestamp_ms);
        Moment {
            log_time: self.state.log_time,
            raw: RawPosition {
                partition: record.partition,
                offset: record.offset,
            },
        }
    }

    fn take(&mut self, record: &InRecord<'_>, at: Moment, out: &mut Vec<Output>) -> Result<(), Malformed> {
        let header = header(record)?;
        if header.kind == Kind::Tick {
            return Ok(());
        }
        let key = key(record)?;
        match header.kind {
            Kind::Heartbeat => {
                let beat: Heartbeat = serde_json::from_slice(record.value)
                    .map_err(|error| Malformed(format!("heartbeat is not JSON of its schema: {error}")))?;
                let mut facts = Facts::new();
                let host = host(&mut self.state, key, at, &self.config);
                host.set_name(&header.host, &self.config);
                host.heartbeat(key, beat, at, &self.config, &mut facts);
                host.settle(key, at, &self.config, &mut facts);
                self.send(key, facts, at, out);
            }
            Kind::Line => self.line(record, key, &header, at, out)?,
            Kind::Tick => {}
        }
        self.index(key);
        Ok(())
    }

    fn line(
        &mut self,
        record: &InRecord<'_>,
        key: &str,
        header: &RawHeader,
        at: Moment,
        out: &mut Vec<Output>,
    ) -> Result<(), Malformed> {
        if header.end <= header.offset {
            return Err(Malformed(format!(
                "line ends at {} and begins at {}",
                header.end, header.offset
            )));
        }
        let text = String::from_utf8_lossy(record.value);
        let hash = u32::from_str_radix(&header.hash, 16).unwrap_or_else(|_| crc32fast::hash(record.value));
        let config = &self.config;
        let limits = &config.limits;
        let host = host(&mut self.state, key, at, config);
        host.set_name(&header.host, config);
        let offsets = Offsets {
            zone: host.zone,
            header_min: header.utc,
            ..Offsets::of_config(config)
        };
        if host.files.len() >= limits.files_per_host_max.max(1) && !host.files.contains_key(&header.file) {
            let oldest = host
                .files
                .iter()
                .min_by_key(|(_, file)| file.newest)
                .map(|(name, _)| name.clone());
            oldest.map(|name| host.files.remove(&name));
        }
        if !host.files.contains_key(&header.file) {
            host.files.insert(header.file.clone(), file::File::default());
        }
        let file = host.files.get_mut(&header.file).expect("inserted above");

        let position = file.take(&header.epoch, header.offset, header.end, hash, limits);
        if position == Position::Repeat {
            return Ok(());
        }
        let entry = parse(&text);
        let stated = file.time.stated(&entry, &offsets);
        let reread = file.is_reread(stated.as_ref().map(|time| time.millis));
        let time = event_time(stated, &entry, file, header, at.log_time);
        let flags = flags(
            &time,
            &entry,
            header,
            position,
            reread,
            matches!(text, Cow::Owned(_)),
            at.log_time,
        );
        let rewound = (position == Position::Rewound).then_some(hash);
        let id = event_id(key, &header.file, &header.epoch, header.offset, rewound);
        let continues = file.continues(entry.form, &id, &header.epoch, header.offset, header.end);
        let thread = file.thread(entry.pid, entry.tid, limits);
        thread.follow(&entry, limits.value_bytes_max);
        let path = thread.path_of(&entry).map(str::to_owned);
        let client_build = entry
            .facts
            .client_version
            .map(str::to_owned)
            .or_else(|| file.time.process(entry.pid).and_then(|process| process.build.clone()));
        let seen = Seen {
            entry: &entry,
            path: path.as_deref(),
            time: time.millis,
            file: &header.file,
        };
        let mut facts = Facts::new();
        host.saw_line(time.millis);
        learn(host, &entry, at, config);
        if !reread {
            observe(host, key, &seen, at, config, &mut facts);
        }
        host.settle(key, at, config, &mut facts);
        let value = document::line(document::Line {
            host_id: key,
            header,
            original: &text,
            entry: &entry,
            time: &time,
            flags,
            id,
            continues,
            path: path.as_deref(),
            client_build: client_build.as_deref(),
            os_version: host.os_version(),
            labels: &host.labels,
            raw: document::raw_fields(record),
        });
        out.push(Output {
            topic: Topic::Events,
            key: key.to_owned(),
            value,
            timestamp_ms: at.log_time,
        });
        self.send(key, facts, at, out);
        Ok(())
    }

    /// Settles what has become due at hosts that may be silent.
    fn settle_due(&mut self, at: Moment, out: &mut Vec<Output>) {
        while let Some((due, _)) = self.state.due.first() {
            if *due > at.log_time {
                break;
            }
            let Some((_, key)) = self.state.due.pop_first() else {
                break;
            };
            let mut facts = Facts::new();
            if let Some(host) = self.state.hosts.get_mut(&key) {
                host.due = None;
                host.settle(&key, at, &self.config, &mut facts);
            }
            self.send(&key, facts, at, out);
            self.index(&key);
        }
    }

    /// Keeps the index of due times in step with a host.
    fn index(&mut self, key: &str) {
        let Some(host) = self.state.hosts.get_mut(key) else {
            return;
        };
        // What was due at once has been settled, so a due time lies ahead and settle_due() ends.
        let due = host
            .next_due(&self.config)
            .map(|due| due.max(self.state.log_time.saturating_add(1)));
        if host.due == due {
            return;
        }
        if let Some(old) = host.due {
            self.state.due.remove(&(old, key.to_owned()));
        }
        host.due = due;
        if let Some(due) = due {
            self.state.due.insert((due, key.to_owned()));
        }
    }

    fn send(&self, key: &str, facts: Facts, at: Moment, out: &mut Vec<Output>) {
        out.extend(
            facts
                .into_iter()
                .map(|(raw, fact)| signal(key.to_owned(), raw, fact, at.log_time)),
        );
    }

    fn tick(&mut self, at: Moment, out: &mut Vec<Output>) {
        if self
            .state
            .last_tick
            .is_some_and(|last| at.log_time < last.saturating_add(TICK_MS))
        {
            return;
        }
        self.state.last_tick = Some(at.log_time);
        let tick = Fact::Tick(Tick {
            partitions: self.partitions,
        });
        out.push(signal(format!("tick/{}", self.partition), at.raw, tick, at.log_time));
    }

    fn pipeline_error(&self, record: &InRecord<'_>, kind: &'static str, reason: &str) -> Output {
        let value = document::pipeline_error(record, kind, reason, self.state.log_time);
        Output {
            topic: Topic::Events,
            key: UNKNOWN_KEY.to_owned(),
            value,
            timestamp_ms: self.state.log_time,
        }
    }
}

fn signal(key: String, raw: RawPosition, fact: Fact, log_time: i64) -> Output {
    let signal = Signal {
        v: signal::VERSION,
        log_time,
        raw,
        fact,
    };
    let value = serde_json::to_vec(&signal).expect("a signal holds only strings, numbers and string maps");
    Output {
        topic: Topic::Signals,
        key,
        value,
        timestamp_ms: log_time,
    }
}

fn header(record: &InRecord<'_>) -> Result<RawHeader, Malformed> {
    let bytes = record
        .header
        .ok_or_else(|| Malformed("record has no header wulog".to_owned()))?;
    let header: RawHeader = serde_json::from_slice(bytes)
        .map_err(|error| Malformed(format!("header is not JSON of its schema: {error}")))?;
    if header.v != VERSION {
        return Err(Malformed(format!(
            "contract version {} is not supported, only {VERSION}",
            header.v
        )));
    }
    Ok(header)
}

fn key<'a>(record: &InRecord<'a>) -> Result<&'a str, Malformed> {
    let key = std::str::from_utf8(record.key).map_err(|_| Malformed("key is not UTF-8".to_owned()))?;
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Malformed(format!(
            "key has {} bytes, not 1 to {KEY_BYTES_MAX}",
            key.len()
        )));
    }
    Ok(key)
}

/// The host, made where it is new. Where there are too many, the sixteenth that was silent longest is forgotten, all at
/// once, so that a full map costs little for each host.
fn host<'a>(state: &'a mut State, key: &str, at: Moment, config: &NormalizerConfig) -> &'a mut Host {
    if !state.hosts.contains_key(key) {
        let hosts_max = config.limits.hosts_max.max(1);
        if state.hosts.len() >= hosts_max {
            let mut oldest: Vec<(i64, String)> = state
                .hosts
                .iter()
                .map(|(key, host)| (host.last_log, key.clone()))
                .collect();
            oldest.sort_unstable();
            for (_, key) in oldest.into_iter().take(hosts_max / 16 + 1) {
                if let Some(due) = state.hosts.remove(&key).and_then(|host| host.due) {
                    state.due.remove(&(due, key));
                }
            }
        }
        state.hosts.insert(key.to_owned(), Host::new(at.log_time));
    }
    let host = state.hosts.get_mut(key).expect("inserted above");
    host.last_log = at.log_time;
    host
}

/// The time of an event: what the line says, unless that cannot be, and something near where it says nothing.
fn event_time(
    stated: Option<EventTime>,
    entry: &Entry<'_>,
    file: &mut file::File,
    header: &RawHeader,
    log_time: i64,
) -> EventTime {
    let Some(mut time) = stated else {
        let (millis, source) = match file.time.last_millis() {
            Some(last) => (last, TimeSource::Previous),
            None if header.read > 0 && header.read <= log_time.saturating_add(AHEAD_MAX_MS) => {
                (header.read, TimeSource::Read)
            }
            None => (log_time, TimeSource::Log),
        };
        let mut flags = vec![Flag::TimeMissing];
        if entry.time.is_some() && !entry.facts.undecoded {
            flags.push(Flag::TimeSuspect);
        }
        return EventTime {
            millis,
            nanos: sub_second(millis),
            offset_min: None,
            source,
            flags,
        };
    };
    if time.millis > log_time.saturating_add(AHEAD_MAX_MS) {
        time.millis = log_time;
        time.nanos = sub_second(log_time);
        time.flags.push(Flag::TimeSuspect);
    }
    file.time.set_last_millis(time.millis);
    file.newest = file.newest.max(time.millis);
    time
}

fn flags(
    time: &EventTime,
    entry: &Entry<'_>,
    header: &RawHeader,
    position: Position,
    reread: bool,
    lossy: bool,
    log_time: i64,
) -> Vec<Flag> {
    let mut flags = Vec::new();
    let mut flag = |holds: bool, flag: Flag| {
        if holds {
            flags.push(flag);
        }
    };
    flag(reread, Flag::Reread);
    flag(position == Position::Rewound, Flag::Rewound);
    flag(header.lossy || lossy, Flag::Lossy);
    flag(header.truncated, Flag::Truncated);
    flag(time.millis < log_time.saturating_sub(LATE_MS), Flag::Late);
    flag(entry.facts.undecoded, Flag::Undecoded);
    flags.extend(&time.flags);
    flags
}

/// Takes what a line says of its host.
fn learn(host: &mut Host, entry: &Entry<'_>, at: Moment, config: &NormalizerConfig) {
    let facts = &entry.facts;
    if let Some(server) = facts.wsus_server {
        host.set_dimension("wsus", thread::server_of_url(server).as_deref(), at, config);
    } else if let Some(server) = facts.url.filter(|url| is_wsus_url(url)).and_then(thread::server_of_url) {
        host.set_dimension("wsus", Some(&server), at, config);
    }
    if let Some(build) = facts.client_version {
        host.set_dimension("client_build", Some(build), at, config);
    }
    if let Some(version) = facts.os_version {
        host.set_dimension("os_build", Some(&os_build(version)), at, config);
    }
    if let Some(group) = facts.target_group {
        host.set_dimension("target_group", Some(group), at, config);
    }
    let form = match entry.form {
        Form::Legacy => "legacy",
        Form::Etw => "etw",
        _ => return,
    };
    host.set_dimension("form", Some(form), at, config);
}

/// Services of a WSUS server, unless Microsoft's own servers answer.
fn is_wsus_url(url: &str) -> bool {
    let url = url.to_ascii_lowercase();
    let service = url.contains("/clientwebservice/") || url.contains("/reportingwebservice/");
    service && !url.contains(".microsoft.com") && !url.contains(".windowsupdate.com")
}

/// `6.1.7600.0.0.197008` is build 6.1.7600 with service pack and suite; `10.0.19045.2728` is a build already.
fn os_build(version: &str) -> Cow<'_, str> {
    let parts: Vec<&str> = version.split('.').collect();
    if parts.len() > 4 {
        Cow::Owned(parts[..3].join("."))
    } else {
        Cow::Borrowed(version)
    }
}

/// A line as the fold sees it.
struct Seen<'a> {
    entry: &'a Entry<'a>,
    path: Option<&'a str>,
    time: i64,
    file: &'a str,
}

/// Folds what a line says of certificate trust.
fn observe(host: &mut Host, key: &str, seen: &Seen<'_>, at: Moment, config: &NormalizerConfig, out: &mut Facts) {
    let entry = seen.entry;
    let Some(file) = host.files.get_mut(seen.file) else {
        return;
    };
    let due = file.folds.due(file.newest, at.log_time);
    let thread = file.thread(entry.pid, entry.tid, &config.limits).clone();
    for failure in due {
        host.failed(key, failure, at, config, out);
    }
    if let Some(failure) = failure(seen, &thread, at, config) {
        let Some(file) = host.files.get_mut(seen.file) else {
            return;
        };
        if let Some(failure) = file.folds.add(failure, config.limits.pending_per_file_max) {
            host.failed(key, failure, at, config, out);
        }
    }
    if classify::is_success(entry) {
        succeeded(host, key, seen, &thread, at, config, out);
    }
    if let Some(outcome) = classify::scan_done(entry, thread.scan_code) {
        if let (Outcome::Success, Some(file)) = (outcome, host.files.get_mut(seen.file)) {
            file.folds.scan_succeeded();
        }
        host.scanned(key, outcome, seen.time, at, config, out);
    }
}

fn failure(seen: &Seen<'_>, thread: &thread::Thread, at: Moment, config: &NormalizerConfig) -> Option<Failure> {
    let entry = seen.entry;
    let trust = classify::trust_failure(entry)?;
    let reported = entry.report.is_some();
    let update = entry
        .facts
        .update
        .map(str::to_ascii_lowercase)
        .or_else(|| thread.update.clone().filter(|_| !reported));
    let wait_secs = if trust.definite {
        config.update_wait_secs
    } else {
        config.provisional_wait_secs
    };
    let wait_ms = i64::from(wait_secs) * 1000;
    let server = entry
        .facts
        .url
        .and_then(thread::server_of_url)
        .or_else(|| thread.server.clone().filter(|_| !reported));
    Some(Failure {
        pid: entry.pid,
        tid: entry.tid,
        path: seen
            .path
            .map(|path| thread::cut(path, config.limits.value_bytes_max).to_owned()),
        update,
        server,
        code: trust.code,
        family: trust.family,
        definite: trust.definite,
        reported,
        operation: classify::operation(entry, trust.family).to_owned(),
        dimensions: dimensions(entry, thread, config),
        event_time: seen.time,
        raw: at.raw,
        due_event: seen.time.saturating_add(wait_ms),
        due_log: at.log_time.saturating_add(wait_ms),
    })
}

/// Dimensions of an attempt, from its line and from the lines above on its thread.
fn dimensions(entry: &Entry<'_>, thread: &thread::Thread, config: &NormalizerConfig) -> BTreeMap<String, String> {
    let from_thread = |value: &Option<String>| value.clone().filter(|_| entry.report.is_none());
    let caller = entry
        .report
        .as_ref()
        .map(|report| report.app)
        .filter(|app| !app.is_empty())
        .or(entry.facts.caller);
    let found = [
        (
            "title",
            entry
                .facts
                .title
                .map(str::to_owned)
                .or_else(|| from_thread(&thread.title)),
        ),
        ("kb", entry.facts.kb.map(str::to_ascii_uppercase)),
        (
            "service",
            entry
                .facts
                .service
                .map(str::to_ascii_lowercase)
                .or_else(|| from_thread(&thread.service)),
        ),
        (
            "caller",
            caller.map(str::to_owned).or_else(|| from_thread(&thread.caller)),
        ),
    ];
    let bounded = |value: String| thread::cut(&value, config.limits.value_bytes_max).to_owned();
    found
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), bounded(value?))))
        .collect()
}

fn succeeded(
    host: &mut Host,
    key: &str,
    seen: &Seen<'_>,
    thread: &thread::Thread,
    at: Moment,
    config: &NormalizerConfig,
    out: &mut Facts,
) {
    let entry = seen.entry;
    let trusted = entry.facts.trust == Some(Trust::Trusted);
    let own = entry.facts.update.map(str::to_ascii_lowercase);
    let update = own.or_else(|| thread.update.clone().filter(|_| entry.report.is_none() && !trusted));
    if entry.report.is_none() {
        if let Some(file) = host.files.get_mut(seen.file) {
            file.folds.thread_succeeded(entry.pid, entry.tid, seen.path);
        }
    }
    if let Some(update) = update {
        for file in host.files.values_mut() {
            file.folds.update_succeeded(&update);
        }
        let operation = match entry.report.as_ref().map(|report| report.event_id) {
            Some(181..) => "install",
            _ => "download",
        };
        let mut dimensions = dimensions(entry, thread, config);
        dimensions.insert("update".to_owned(), update.clone());
        host.update_succeeded(key, &update, operation, dimensions, seen.time, at, config, out);
    } else if let Some(path) = seen.path.filter(|_| trusted) {
        host.file_succeeded(key, path, seen.time, at, config, out);
    }
}
