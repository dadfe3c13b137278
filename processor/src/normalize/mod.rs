//! Entry -> Event and Signals: the Normalizer, one for each partition of `wulog.raw`.
//!
//! ```text
//! raw record -> position (new? repeat?) -> entry -> event time -> Event
//!                                            \-> thread, fold -> host -> Attempt, ScanDone, HostFacts
//! ```
//!
//! Each line gives one event, or none where it is a repeat, or not notable where only notable ones are wanted. What the lines
//! mean for certificate trust is folded per thread and kept per host; the host decides what is worth a signal. A record that
//! is no line gives an event with `error.*`.

mod classify;
mod config;
mod document;
mod pipeline_error;
mod file;
mod flags;
mod fold;
mod host;
mod hosts;
mod json;
mod known;
mod names;
mod notable;
mod observe;
mod patterns;
mod position;
mod stamp;
mod thread;
mod time;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wulog_schemas::event::FileId;
use wulog_schemas::raw::{HeaderReader, Heartbeat, Kind, RawHeaderRef, VERSION};
use wulog_schemas::signal::{self, Fact, RawPosition, Signal, Tick};
use wulog_schemas::topic::Topic;

pub use config::{Events, Limits, NormalizerConfig};
pub use patterns::{Counts, Match, PatternConfig, Patterns};
pub use time::{FileClock, UtcOffset, Zone};

use crate::format;
use crate::machine::{InRecord, Machine, Output, SnapshotError};
use crate::parse::parse;
use document::Documents;
use host::{Facts, Host, Moment, Scope};
use hosts::Hosts;
use observe::Seen;
use position::Position;
use time::Offsets;

/// Where records keep coming, a tick is passed on when log time has moved on by this.
const TICK_MS: i64 = 60_000;

/// Offsets that time zones have had: Metlakatla's -15:13 to Guam's +14:21, rounded up.
const OFFSETS_MIN: std::ops::RangeInclusive<i32> = -16 * 60..=16 * 60;

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
    headers: HeaderReader,
    documents: Documents,
}

/// All that outlives a record.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    /// Log time: the running maximum of record timestamps.
    log_time: i64,
    /// Log time of the last tick passed on.
    last_tick: Option<i64>,
    hosts: Hosts,
}

/// Why a record is no line, heartbeat or tick.
struct Malformed(String);

impl Machine for Normalizer {
    const NAME: &'static str = "normalizer";
    const FORMAT: u32 = 2;
    type Config = NormalizerConfig;

    fn new(config: &NormalizerConfig, partition: i32, partitions: i32) -> Self {
        Normalizer {
            config: config.clone(),
            partition,
            partitions,
            state: State::default(),
            headers: HeaderReader::default(),
            documents: Documents::default(),
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
        let state = postcard::from_bytes(bytes)
            .map_err(|error| SnapshotError { machine: Self::NAME, reason: error.to_string() })?;
        Ok(Normalizer {
            config: config.clone(),
            partition,
            partitions,
            state,
            headers: HeaderReader::default(),
            documents: Documents::default(),
        })
    }
}

impl Normalizer {
    fn advance(&mut self, record: &InRecord<'_>) -> Moment {
        self.state.log_time = self.state.log_time.max(record.timestamp_ms);
        Moment {
            log_time: self.state.log_time,
            raw: RawPosition { partition: record.partition, offset: record.offset },
        }
    }

    fn take(&mut self, record: &InRecord<'_>, at: Moment, out: &mut Vec<Output>) -> Result<(), Malformed> {
        let header = header(&mut self.headers, record)?;
        if header.kind == Kind::Tick {
            // A tick says that nothing else is coming: passed on at once, whenever the last one was.
            self.state.last_tick = None;
            return Ok(());
        }
        let key = key(record)?;
        let config = &self.config;
        let scope = Scope { id: key, at, config };
        if header.kind == Kind::Line && header.end <= header.offset {
            return Err(Malformed(format!("line ends at {} and begins at {}", header.end, header.offset)));
        }
        let beat: Option<Heartbeat> = match header.kind {
            Kind::Heartbeat => Some(
                serde_json::from_slice(record.value)
                    .map_err(|error| Malformed(format!("heartbeat is not JSON of its schema: {error}")))?,
            ),
            _ => None,
        };
        let (host, due) = self.state.hosts.host(key, at, config);
        host.last_log = at.log_time;
        host.set_name(&header.host, scope);
        let mut facts = Facts::new();
        match beat {
            Some(beat) => {
                host.heartbeat(beat, scope, &mut facts);
                host.settle(scope, &mut facts);
            }
            None => line(host, record, &header, scope, &mut facts, &mut self.documents, out),
        }
        send(&host.id, facts, at, out);
        due.keep(host, at, config);
        Ok(())
    }

    /// Settles what has become due at hosts that may be silent.
    fn settle_due(&mut self, at: Moment, out: &mut Vec<Output>) {
        while let Some((host, due)) = self.state.hosts.next_due(at.log_time) {
            let mut facts = Facts::new();
            let id = Arc::clone(&host.id);
            host.settle(Scope { id: &id, at, config: &self.config }, &mut facts);
            send(&id, facts, at, out);
            due.keep(host, at, &self.config);
        }
    }

    fn tick(&mut self, at: Moment, out: &mut Vec<Output>) {
        if self.state.last_tick.is_some_and(|last| at.log_time < last.saturating_add(TICK_MS)) {
            return;
        }
        self.state.last_tick = Some(at.log_time);
        let tick = Fact::Tick(Tick { partitions: self.partitions });
        out.push(signal(format!("tick/{}", self.partition).into(), at.raw, tick, at.log_time));
    }

    fn pipeline_error(&self, record: &InRecord<'_>, kind: &'static str, reason: &str) -> Output {
        let value = pipeline_error::pipeline_error(record, kind, reason, self.state.log_time);
        let value = format::from_ecs(self.config.format, value.into());
        Output { topic: Topic::Events, key: UNKNOWN_KEY.into(), value, timestamp_ms: self.state.log_time }
    }
}

/// Takes a line: its event, and what it says of its host.
fn line(
    host: &mut Host,
    record: &InRecord<'_>,
    header: &RawHeaderRef<'_>,
    scope: Scope<'_>,
    facts: &mut Facts,
    documents: &mut Documents,
    out: &mut Vec<Output>,
) {
    let Scope { id: key, at, config } = scope;
    let limits = &config.limits;
    let text = text(record.value);
    let hash = u32::from_str_radix(&header.hash, 16).unwrap_or_else(|_| crc32fast::hash(record.value));
    let offsets = Offsets {
        zone: host.zone,
        header_min: header.utc.filter(|minutes| OFFSETS_MIN.contains(minutes)),
        ..Offsets::of_config(config)
    };
    let file = host.file(&header.file, limits);
    let epoch = file.epoch(&header.epoch, || FileId::new(key, &header.file, &header.epoch), limits);
    let epoch_id = epoch.id;
    let position = epoch.take(header.offset, header.end, hash, limits);
    if position == Position::Repeat {
        return;
    }
    let entry = parse(&text);
    host.count_line();
    observe::learn(host, &entry, scope);
    // Once more, and once for all that the file says: what was learned may not be borrowed over it.
    let file = host.files.get_mut(&*header.file).expect("the file has taken the line's position");
    let stated = file.time.stated(&entry, &offsets);
    let reread = file.is_reread(stated.as_ref().map(|time| time.millis));
    let time = stamp::event_time(stated, &entry, file, header, at.log_time);
    let flags = stamp::flags(&time, &entry, header, position, reread, matches!(text, Cow::Owned(_)), at.log_time);
    let file_id = if position == Position::Rewound { epoch_id.rewound(hash) } else { epoch_id };
    let id = file_id.line(header.offset);
    let continues = file.continues(entry.form, id, epoch_id, header.offset, header.end);
    let thread = file.threads.of(&entry, limits);
    let operation = thread.follow(&entry, limits.value_bytes_max);
    let process = file.time.process(entry.pid);
    let matched = config.patterns.find(&text, &entry, limits.value_bytes_max);
    let labels = matched.as_ref().map_or(Cow::Borrowed(&host.labels), |matched| matched.beside(&host.labels));
    let line = document::Line {
        meaning: classify::meaning(&entry, operation, continues.is_some(), matched.as_ref()),
        operation,
        host_id: key,
        header,
        original: &text,
        entry: &entry,
        time: &time,
        flags,
        id,
        continues,
        path: thread.path_of(&entry),
        client_build: entry.facts.client_version.or_else(|| process.and_then(|process| process.build.as_deref())),
        process_name: process.and_then(|process| process.name.as_deref()),
        dimensions: &host.dimensions,
        labels: &labels,
        told: matches!(labels, Cow::Borrowed(_)).then_some(&host.told),
        matched: matched.as_ref(),
        raw: document::raw_fields(record),
    };
    if config.events == Events::All || notable::is_notable(&line) {
        let value = format::from_ecs(config.format, documents.line(&line));
        out.push(Output { topic: Topic::Events, key: Arc::clone(&host.id), value, timestamp_ms: at.log_time });
    }
    let own = classify::trust_failure(&entry);
    let trust = matched.as_ref().map_or(own, |matched| matched.trust(own));
    let clock = file.time.clock_millis();
    host.saw_time(time.millis);
    if !reread {
        let seen = Seen { entry: &entry, trust, time: time.millis, clock, file: &header.file };
        observe::observe(host, &seen, scope, facts);
    }
    host.settle(scope, facts);
}

/// The value as text; what is no UTF-8 is replaced, and the text owned.
fn text(value: &[u8]) -> Cow<'_, str> {
    // The strict check is the fast one.
    simdutf8::basic::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value), Cow::Borrowed)
}

fn send(key: &Arc<str>, facts: Facts, at: Moment, out: &mut Vec<Output>) {
    out.extend(facts.into_iter().map(|(raw, fact)| signal(Arc::clone(key), raw, fact, at.log_time)));
}

fn signal(key: Arc<str>, raw: RawPosition, fact: Fact, log_time: i64) -> Output {
    let signal = Signal { v: signal::VERSION, log_time, raw, fact };
    let value = serde_json::to_vec(&signal).expect("a signal holds only strings, numbers and string maps");
    Output { topic: Topic::Signals, key, value: value.into(), timestamp_ms: log_time }
}

fn header<'a>(reader: &'a mut HeaderReader, record: &InRecord<'a>) -> Result<RawHeaderRef<'a>, Malformed> {
    let bytes = record.header.ok_or_else(|| Malformed("record has no header wulog".to_owned()))?;
    let header = reader.read(bytes).map_err(|error| Malformed(format!("header is not JSON of its schema: {error}")))?;
    if header.v != VERSION {
        return Err(Malformed(format!("contract version {} is not supported, only {VERSION}", header.v)));
    }
    Ok(header)
}

fn key<'a>(record: &InRecord<'a>) -> Result<&'a str, Malformed> {
    let key = std::str::from_utf8(record.key).map_err(|_| Malformed("key is not UTF-8".to_owned()))?;
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Malformed(format!("key has {} bytes, not 1 to {KEY_BYTES_MAX}", key.len())));
    }
    Ok(key)
}
