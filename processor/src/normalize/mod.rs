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

mod attempt;
mod certificates;
mod classify;
mod config;
mod document;
mod pipeline_error;
mod file;
mod files;
mod flags;
mod fold;
mod gate;
mod host;
mod hosts;
mod inventory;
mod notices;
mod json;
mod known;
mod log_kind;
mod names;
mod notable;
mod observe;
mod patterns;
mod position;
mod proxy;
mod limit;
mod stamp;
mod thread;
mod time;
mod wrapped;
mod titles;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wulog_schemas::certificate::Inventory as CertificateInventory;
use wulog_schemas::event::{EventOutcome, FileId, Form, RawFields};
use wulog_schemas::raw::{HeaderReader, Heartbeat, Kind, LineHash, RawHeaderRef, VERSION};
use wulog_schemas::signal::{self, Fact, RawPosition, Signal, Tick};
use wulog_schemas::topic::Topic;

pub use config::{Events, Limits, NormalizerConfig};
pub use inventory::Inventory;
pub use notices::SetAside;
pub use patterns::{Counts, Match, PatternConfig, Patterns};
pub use time::{FileClock, UtcOffset, Zone};

use crate::bounds::{self, DOCUMENT_BYTES_MIN};
use crate::format::{self, Format};
use crate::log_time::{self, LogClock, Said, Step, Verdict};
use crate::machine::Figure;
use crate::machine::{InRecord, Machine, Output, SnapshotError};
use crate::parse::{Entry, LocalTime, parse, restored};
use crate::question::{Answer, Question};
use document::Documents;
use gate::{Admission, Gate};
use host::{Facts, Host, Moment, Scope};
use hosts::Hosts;
use limit::LabelNames;
use observe::Seen;
use position::Position;
use time::Offsets;
use titles::Titles;
use wrapped::{Belongs, HeldLine, Wrapped};

/// Where records keep coming, a tick is passed on when log time has moved on by this.
const TICK_MS: i64 = 60_000;

/// A timestamp goes so far without confirmation: far less than the day after which a failure counts as heard of late, and
/// more than a night's pause of a small fleet.
const STEP: Step = Step::both(6 * 3600 * 1000);

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
    /// What a person should be told, until the shell takes it.
    notices: Vec<String>,
    /// What has been told of, of what gave way to a bound.
    told: SetAside,
    /// Records of this process that were none of ours, for figures.
    unreadable: u64,
}

/// Most notices that wait to be taken; files beyond it are not told of.
const NOTICES_MAX: usize = 1_000;

/// All that outlives a record.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    /// Log time: the record timestamps that are believed.
    clock: LogClock,
    /// Log time of the last tick passed on.
    last_tick: Option<i64>,
    hosts: Hosts,
    labels: LabelNames,
    gate: Gate,
    titles: Titles,
}

/// Why a record is no line, heartbeat or tick.
struct Malformed(String);

impl Machine for Normalizer {
    const NAME: &'static str = "normalizer";
    const FORMAT: u32 = 9;
    type Config = NormalizerConfig;

    fn new(config: &NormalizerConfig, partition: i32, partitions: i32) -> Self {
        Normalizer {
            config: config.clone(),
            partition,
            partitions,
            state: State::default(),
            headers: HeaderReader::default(),
            documents: Documents::default(),
            notices: Vec::new(),
            told: SetAside::default(),
            unreadable: 0,
        }
    }

    fn apply(&mut self, record: &InRecord<'_>, out: &mut Vec<Output>) {
        let (at, verdict) = self.advance(record);
        self.settle_due(at, out);
        let first = out.len();
        match self.take(record, at, out) {
            Err(Malformed(reason)) => {
                self.unreadable += 1;
                out.push(self.pipeline_error(record, "malformed_record", &reason));
            }
            // No record gives two events; what a line's record says of the clock is counted, and told of to the operator.
            Ok(()) if out[first..].iter().any(|output| output.topic == Topic::Events) => {}
            Ok(()) => out.extend(self.clock_error(record, verdict)),
        }
        self.tick(at, out);
    }

    fn skip(&mut self, record: &InRecord<'_>, reason: &str, out: &mut Vec<Output>) {
        let at = self.moment(record, self.state.clock.now_ms());
        out.push(self.pipeline_error(record, "panic", reason));
        self.tick(at, out);
    }

    fn refused(&self, (partition, offset): (i32, i64), why: &str) -> Option<Output> {
        let timestamp_ms = self.state.clock.now_ms();
        let record = InRecord { partition, offset, timestamp_ms, key: b"", header: None, value: b"" };
        Some(self.pipeline_error(&record, "output_too_large", why))
    }

    fn take_notices(&mut self) -> Vec<String> {
        let now = self.set_aside();
        let mut notices = now.notices(&self.told);
        if !notices.is_empty() {
            self.told = now;
        }
        notices.append(&mut self.notices);
        notices
    }

    fn figures(&self) -> Vec<Figure> {
        self.set_aside().figures(self.hosts_known(), self.bytes(), self.bytes_max(), self.unreadable)
    }

    fn answer(&self, question: &Question) -> Option<Answer> {
        match question {
            Question::Files(id) => Some(Answer::Files(self.state.hosts.known(id)?.files_read())),
            // What hosts fail at, the Detector answers.
            _ => None,
        }
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
        let mut normalizer = Normalizer { state, ..Normalizer::new(config, partition, partitions) };
        normalizer.told = normalizer.set_aside();
        Ok(normalizer)
    }
}

impl Normalizer {
    /// Moves log time as far as the record's timestamp is believed. The moment of the record itself is log time, or what
    /// its own line confirms of a timestamp that is set aside.
    fn advance(&mut self, record: &InRecord<'_>) -> (Moment, Verdict) {
        if self.state.clock.follow(record.timestamp_ms, STEP) {
            return (self.moment(record, self.state.clock.now_ms()), Verdict::Believed);
        }
        let said = Said {
            timestamp_ms: record.timestamp_ms,
            host: std::str::from_utf8(record.key).unwrap_or_default(),
            stated_ms: self.stated(record),
        };
        let verdict = self.state.clock.take(said, self.state.hosts.len(), STEP);
        if verdict == Verdict::WentBack {
            self.state.last_tick = None;
            self.state.hosts.go_back(self.state.clock.now_ms());
        }
        (self.moment(record, log_time::time_of(said, &self.state.clock)), verdict)
    }

    fn moment(&self, record: &InRecord<'_>, log_time: i64) -> Moment {
        Moment { log_time, raw: RawPosition { partition: record.partition, offset: record.offset } }
    }

    /// The local time that the record's line states by itself, where it is a line.
    fn stated(&mut self, record: &InRecord<'_>) -> Option<i64> {
        let header = header(&mut self.headers, record).ok().filter(|header| header.kind == Kind::Line)?;
        key(record).ok().filter(|_| header.end > header.offset)?;
        let text = text(record.value);
        let time = parse(&text).time.filter(LocalTime::is_plausible)?;
        Some(time.millis())
    }

    /// The document that tells of a jump of the clock, when it begins and when log time goes back.
    fn clock_error(&self, record: &InRecord<'_>, verdict: Verdict) -> Option<Output> {
        let now = time::format_utc(self.state.clock.now_ms(), document::sub_second(self.state.clock.now_ms()));
        let reason = match verdict {
            Verdict::Believed | Verdict::SetAside => return None,
            Verdict::Impossible => {
                format!("the record's timestamp, {} ms since 1970, is none; log time stays {now}", record.timestamp_ms)
            }
            Verdict::Returned(records) => format!(
                "the timestamps of {records} records before this one were far from log time, {now}, and nothing confirmed them; log \
                 time went on without them"
            ),
            Verdict::WentBack => format!("log time was wrong and goes back to {now}, which lines of two hosts confirm"),
        };
        Some(self.pipeline_error(record, "clock_jump", &reason))
    }

    fn take(&mut self, record: &InRecord<'_>, at: Moment, out: &mut Vec<Output>) -> Result<(), Malformed> {
        let mut header = header(&mut self.headers, record)?;
        limit::header(&mut header, &self.config.limits);
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
        let inventory: Option<CertificateInventory> = match header.kind {
            Kind::Certificates => Some(
                serde_json::from_slice(record.value)
                    .map_err(|error| Malformed(format!("inventory is not JSON of its schema: {error}")))?,
            ),
            _ => None,
        };
        let beat = beat.map(|beat| self.state.labels.admit(beat, key, &config.limits));
        let (host, due) = self.state.hosts.host(key, at, config, self.partitions);
        host.last_log = at.log_time;
        host.set_name(&header.host, scope);
        if host.admission != Admission::Admitted || config.inventory.is_given() {
            let gate = &mut self.state.gate;
            let admission = gate.admit(host.admission, &header.host, at.log_time, config, self.partitions);
            host.set_admission(admission, scope);
        }
        let mut facts = Facts::new();
        match (beat, &inventory) {
            (Some(beat), _) => {
                host.heartbeat(beat, scope, &mut facts);
                host.settle(scope, &mut facts);
            }
            (None, Some(inventory)) => {
                let raw = document::raw_fields(record);
                let key = Arc::clone(&host.id);
                for event in certificates::take(host, inventory, scope, raw, &mut facts) {
                    let ecs = format::write(Format::Ecs, &event);
                    let value = bounds::fit_event(config.format, ecs.into(), document_bytes_max(config));
                    let key = Arc::clone(&key);
                    out.push(Output { topic: Topic::Events, key, value, timestamp_ms: at.log_time });
                }
            }
            (None, None) => {
                let mut into = Into {
                    scope,
                    facts: &mut facts,
                    documents: &mut self.documents,
                    notices: &mut self.notices,
                    titles: &mut self.state.titles,
                    out,
                };
                take_line(host, record, &header, &mut into);
                // Only files that were forgotten have waited: what is due was settled before the record.
                while let Some(wrapped) = host.next_wrapped(i64::MIN) {
                    flush(host, wrapped, &mut into);
                }
            }
        }
        send(host, facts, scope, &self.state.titles, out);
        due.keep(host, at, config);
        self.write_forgotten(at, out);
        Ok(())
    }

    /// Writes the lines that were held for hosts that are forgotten now.
    fn write_forgotten(&mut self, at: Moment, out: &mut Vec<Output>) {
        while let Some(mut host) = self.state.hosts.next_forgotten() {
            let id = Arc::clone(&host.id);
            let scope = Scope { id: &id, at, config: &self.config };
            // The host is gone, so its signals have nobody that they tell of.
            let mut facts = Facts::new();
            let mut into = Into {
                scope,
                facts: &mut facts,
                documents: &mut self.documents,
                notices: &mut self.notices,
                titles: &mut self.state.titles,
                out: &mut *out,
            };
            while let Some(wrapped) = host.next_wrapped(i64::MAX) {
                flush(&mut host, wrapped, &mut into);
            }
        }
    }

    /// Says of each file that has ended, where no file goes on, whether it is a log of Windows Update at all.
    pub fn end_of_files(&mut self) {
        let notices = self.state.hosts.strange_files();
        self.notices.extend(notices.into_iter().take(NOTICES_MAX));
    }

    /// Settles what has become due at hosts that may be silent.
    fn settle_due(&mut self, at: Moment, out: &mut Vec<Output>) {
        let at = Moment { log_time: self.state.clock.now_ms(), ..at };
        while let Some((host, due)) = self.state.hosts.next_due(at.log_time) {
            let mut facts = Facts::new();
            let id = Arc::clone(&host.id);
            let scope = Scope { id: &id, at, config: &self.config };
            let mut into = Into {
                scope,
                facts: &mut facts,
                documents: &mut self.documents,
                notices: &mut self.notices,
                titles: &mut self.state.titles,
                out,
            };
            while let Some(wrapped) = host.next_wrapped(at.log_time) {
                flush(host, wrapped, &mut into);
            }
            host.settle(scope, &mut facts);
            send(host, facts, scope, &self.state.titles, out);
            due.keep(host, at, &self.config);
        }
    }

    fn tick(&mut self, at: Moment, out: &mut Vec<Output>) {
        let at = Moment { log_time: self.state.clock.now_ms(), ..at };
        if self.state.last_tick.is_some_and(|last| at.log_time < last.saturating_add(TICK_MS)) {
            return;
        }
        self.state.last_tick = Some(at.log_time);
        let tick = Fact::Tick(Tick { partitions: self.partitions });
        out.push(signal(format!("tick/{}", self.partition).into(), at.raw, tick, at.log_time));
    }

    fn pipeline_error(&self, record: &InRecord<'_>, kind: &'static str, reason: &str) -> Output {
        let log_time = self.state.clock.now_ms();
        let value = pipeline_error::pipeline_error(record, kind, reason, log_time);
        let value = bounds::fit_event(self.config.format, value.into(), document_bytes_max(&self.config));
        Output { topic: Topic::Events, key: UNKNOWN_KEY.into(), value, timestamp_ms: log_time }
    }
}

/// Where what a line says goes.
struct Into<'a> {
    scope: Scope<'a>,
    facts: &'a mut Facts,
    documents: &'a mut Documents,
    notices: &'a mut Vec<String>,
    titles: &'a mut Titles,
    out: &'a mut Vec<Output>,
}

/// A line that is new, and where it stands.
struct Placed<'a> {
    header: &'a RawHeaderRef<'a>,
    value: &'a [u8],
    raw: RawFields,
    position: Position,
    epoch: FileId,
    /// True where bytes of the value could not be decoded.
    lossy: bool,
}

/// Takes a line: at once, or together with those after it where its record goes on.
fn take_line(host: &mut Host, record: &InRecord<'_>, header: &RawHeaderRef<'_>, into: &mut Into<'_>) {
    let Scope { id: key, at, config } = into.scope;
    let limits = &config.limits;
    let hash = hash_of(header, record.value);
    let place = host.file(&header.file, limits);
    let file = &mut host.files[place];
    let epoch = file.epoch(&header.epoch, || FileId::new(key, &header.file, &header.epoch), limits);
    let epoch_id = epoch.id;
    let position = epoch.take(header.offset, header.end, hash, limits);
    if position == Position::Repeat {
        return;
    }
    let text = text(record.value);
    let mut entry = Entry::default();
    entry.read(&text);
    // Nearly every line has a form, or continues one that has.
    let original = if is_formless(&entry) { restored(&text) } else { None };
    if let Some(restored) = original.as_deref().map(parse)
        && restored.form.is_record()
        && restored.time.is_some()
    {
        entry = restored;
    }
    if let Some(held) = file.wrapped.as_mut() {
        let belongs = held.belongs(&entry, &text, epoch_id, header.offset);
        if belongs != Belongs::No {
            held.add(HeldLine::new(record, position, epoch_id), header.end, at.log_time);
        }
        if belongs != Belongs::Yes
            && let Some(whole) = file.wrapped.take()
        {
            flush(host, whole, into);
        }
        if belongs != Belongs::No {
            return;
        }
    }
    let line = || HeldLine::new(record, position, epoch_id);
    if let Some(begun) = Wrapped::begun(&entry, &text, line, header.end, at.log_time) {
        // Another file of the name may have taken its place while the record before was written.
        let place = host.file(&header.file, limits);
        host.files[place].wrapped = Some(begun);
        return;
    }
    let raw = document::raw_fields(record);
    let lossy = matches!(text, Cow::Owned(_));
    let placed = Placed { header, value: record.value, raw, position, epoch: epoch_id, lossy };
    write(host, &placed, &text, &mut entry, into);
}

/// Writes the lines of a record that is as complete as it gets: the first with the fields of all.
fn flush(host: &mut Host, wrapped: Wrapped, into: &mut Into<'_>) {
    let (joined, lines) = wrapped.into_parts();
    let mut reader = HeaderReader::default();
    for (number, line) in lines.iter().enumerate() {
        let Ok(header) = reader.read(&line.header) else { continue };
        let raw = RawFields { partition: line.partition, offset: line.offset, timestamp: line.timestamp_ms };
        let text = text(&line.value);
        let lossy = matches!(text, Cow::Owned(_));
        let (position, epoch) = (line.position, line.epoch);
        let placed = Placed { header: &header, value: &line.value, raw, position, epoch, lossy };
        let mut entry = match number {
            0 => parse(&joined),
            _ => Entry::continuation(&text),
        };
        write(host, &placed, &text, &mut entry, into);
    }
}

/// True for a line in which neither columns nor a time were read.
fn is_formless(entry: &Entry<'_>) -> bool {
    entry.form == Form::Text && entry.time.is_none() && entry.report.is_none()
}

/// CRC-32 of a line, as its header says it.
fn hash_of(header: &RawHeaderRef<'_>, value: &[u8]) -> u32 {
    match &header.hash {
        LineHash::Crc(crc) => *crc,
        LineHash::Text(text) => u32::from_str_radix(text, 16).unwrap_or_else(|_| crc32fast::hash(value)),
    }
}

/// Writes the event of a line, and takes what it says of its host.
fn write(host: &mut Host, placed: &Placed<'_>, text: &str, entry: &mut Entry<'_>, into: &mut Into<'_>) {
    let Placed { header, position, epoch: epoch_id, .. } = *placed;
    let scope = into.scope;
    let Scope { id: key, at, config } = scope;
    let limits = &config.limits;
    let offsets = Offsets {
        zone: host.zone,
        header_min: header.utc.filter(|minutes| OFFSETS_MIN.contains(minutes)),
        ..Offsets::of_config(config)
    };
    let place = host.file(&header.file, limits);
    let kind = &mut host.files[place].kind;
    if let Some(strange) = kind.take(entry)
        && into.notices.len() < NOTICES_MAX
    {
        into.notices.push(strange.notice(&header.host, &header.file));
    }
    let form = kind.form_of(entry);
    if form.is_foreign() {
        entry.make_foreign(form);
    }
    let entry = &*entry;
    host.count_line();
    if !form.is_foreign() {
        observe::learn(host, entry, scope);
    }
    let file = &mut host.files[place];
    let stated = file.time.stated(entry, &offsets);
    let counts = file.kind.counts(entry, stated.is_some());
    let reread = file.is_reread(stated.as_ref().map(|time| time.millis));
    let time = stamp::event_time(stated, entry, file, header, at.log_time);
    let flags = stamp::flags(&time, entry, header, position, reread, placed.lossy, at.log_time);
    let file_id = match position {
        Position::Rewound => epoch_id.rewound(hash_of(header, placed.value)),
        Position::New | Position::Repeat => epoch_id,
    };
    let id = file_id.line(header.offset);
    let continues = file.continues(entry, id, epoch_id, header.offset, header.end);
    let thread = file.threads.of(entry, limits);
    let operation = match form {
        form if form.is_foreign() => None,
        // Configuration Manager has no sections: each line says what it is about.
        Form::WuaHandler => {
            thread.follow(entry, limits.value_bytes_max);
            classify::operation_of(entry.action)
        }
        _ => thread.follow(entry, limits.value_bytes_max),
    };
    if !form.is_foreign() {
        observe::name_updates(into.titles, entry, thread, limits);
    }
    let process = file.time.process(entry.pid).filter(|_| !form.is_foreign());
    let matched = config.patterns.find(text, entry, limits.value_bytes_max);
    let labels = matched.as_ref().map_or(Cow::Borrowed(&host.labels), |matched| matched.beside(&host.labels));
    let meaning = classify::meaning(entry, operation, continues.is_some(), matched.as_ref());
    let names_own = entry.facts.update.is_some() && meaning.outcome == EventOutcome::Failure;
    let is_of_update = names_own || classify::is_of_update(&meaning, operation);
    let update = is_of_update.then(|| thread.update_of(entry, operation)).flatten();
    let line = document::Line {
        meaning,
        name: update.as_deref().and_then(|update| into.titles.of(update)),
        update,
        operation,
        host_id: key,
        header,
        original: text,
        entry,
        time: &time,
        flags,
        id,
        continues,
        path: thread.path_of(entry),
        client_build: entry.facts.client_version.or_else(|| process.and_then(|process| process.build.as_deref())),
        process_name: process.and_then(|process| process.name.as_deref()),
        dimensions: &host.dimensions,
        labels: &labels,
        told: matches!(labels, Cow::Borrowed(_)).then_some(&host.told),
        matched: matched.as_ref(),
        raw: placed.raw,
    };
    if config.events == Events::All || notable::is_notable(&line) {
        let value = bounds::fit_event(config.format, into.documents.line(&line), document_bytes_max(config));
        into.out.push(Output { topic: Topic::Events, key: Arc::clone(&host.id), value, timestamp_ms: at.log_time });
    }
    let own = classify::trust_failure(entry);
    let trust = matched.as_ref().map_or(own, |matched| matched.trust(own));
    let clock = file.time.clock_millis();
    host.saw_line(entry, time.millis, scope);
    if counts {
        host.saw_time(time.millis);
    }
    if counts && !reread {
        let seen = Seen {
            entry,
            trust,
            action: meaning.action,
            open: operation,
            id,
            time: time.millis,
            time_source: time.source,
            clock,
            file: &header.file,
        };
        observe::observe(host, &seen, scope, into.facts);
    }
    host.settle(scope, into.facts);
}

/// The value as text; what is no UTF-8 is replaced, and the text owned.
fn text(value: &[u8]) -> Cow<'_, str> {
    // The strict check is the fast one.
    simdutf8::basic::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value), Cow::Borrowed)
}

/// Sends what a host has to say, where it counts; before each attempt its document.
fn send(host: &Host, facts: Facts, scope: Scope<'_>, titles: &Titles, out: &mut Vec<Output>) {
    if host.admission != Admission::Admitted {
        return;
    }
    let log_time = scope.at.log_time;
    for mut said in facts {
        if let Fact::Attempt(attempt) = &mut said.fact {
            attempt::name(attempt, titles);
            if let Some(proof) = said.proof.as_ref().filter(|_| scope.config.attempts) {
                let event = attempt::document(attempt, proof, &host.dimensions, &host.labels);
                let ecs = format::write(Format::Ecs, &event);
                let value = bounds::fit_event(scope.config.format, ecs.into(), document_bytes_max(scope.config));
                out.push(Output { topic: Topic::Events, key: Arc::clone(&host.id), value, timestamp_ms: log_time });
            }
        }
        out.push(signal(Arc::clone(&host.id), said.raw, said.fact, log_time));
    }
}

fn signal(key: Arc<str>, raw: RawPosition, fact: Fact, log_time: i64) -> Output {
    let signal = Signal { v: signal::VERSION, log_time, raw, fact };
    let value = serde_json::to_vec(&signal).expect("a signal holds only strings, numbers and string maps");
    let value = bounds::fit_json(value, bounds::DOCUMENT_BYTES_MAX);
    Output { topic: Topic::Signals, key, value: value.into(), timestamp_ms: log_time }
}

/// No configuration may ask for documents that cannot be made.
fn document_bytes_max(config: &NormalizerConfig) -> usize {
    config.limits.document_bytes_max.max(DOCUMENT_BYTES_MIN)
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
