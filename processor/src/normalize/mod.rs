//! Entry -> Event and Signals: the Normalizer, one for each partition of `wulog.raw`.
//!
//! ```text
//! raw record -> entry -> position (new? repeat?) -> placement: file, event time, thread -> derivation -> Event
//!     -> classify, trust_outcome -> fold -> host -> Attempt, ScanDone, HostFacts -> outputs
//! ```
//!
//! `intake` drops lines that were read before, `placement` finds file, thread and time of a new line, and `derivation` writes
//! its event. A line that is not notable gives no event where only notable lines are wanted. Trust outcomes of lines are
//! folded per thread and kept per host; the host decides which become signals. A record that is no line gives an event with
//! `error.*`.

mod raw_record;
mod clock;
mod admission;
mod intake;
mod position;
mod wrapped;
mod placement;
mod file;
mod files;
mod log_kind;
mod time;
mod zone;
mod event_time;
mod flags;
mod thread;
mod derivation;
mod trust_failure;
mod classify;
mod patterns;
mod host_dimensions;
mod proxy;
mod update_names;
mod line;
mod notable;
mod document;
mod fragment_cache;
mod fragment_generation;
mod json;
mod trust_outcome;
mod fold;
mod operation;
mod host;
mod hosts;
mod attempt;
mod outputs;
mod certificates;
mod certificate_list;
mod pipeline_error;
mod inventory;
mod notices;
mod config;
mod limit;
mod spelling;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wulog_schemas::certificate::Inventory as CertificateInventory;
use wulog_schemas::raw::{HeaderReader, Heartbeat, Kind};
use wulog_schemas::signal::{Fact, RawPosition, Tick};
use wulog_schemas::topic::Topic;

pub use config::{Events, NormalizerConfig, NormalizerLimits};
pub use intake::ParsedLine;
pub use inventory::HostNamesFile;
pub use notices::SetAsideCounts;
pub use patterns::{Counts, Match, PatternConfig, Patterns};
pub use time::FileClock;
pub use zone::{UtcOffset, Zone};

use crate::bounds;
use crate::format::{self, Format};
use crate::log_time::LogClock;
use crate::machine::Figure;
use crate::machine::{InRecord, Machine, Output, SnapshotError};
use crate::question::{Answer, Question};
use admission::{Admission, AdmissionControl};
use derivation::{NOTICES_MAX, Targets};
use document::Documents;
use host::{FactsToSend, Moment, RecordContext};
use hosts::HostsById;
use intake::{flush, take_line};
use limit::LabelNames;
use line::raw_fields;
use outputs::{document_bytes_max, send, signal};
use raw_record::{Malformed, header, key};
use update_names::UpdateNames;

/// While records arrive, a tick is sent each time that log time has advanced by this much.
const TICK_MS: i64 = 60_000;

/// Key of events whose record has no usable key or header.
const UNKNOWN_KEY: &str = "unknown";

/// The state machine from raw records to events and signals.
#[derive(Clone, Debug)]
pub struct Normalizer {
    config: NormalizerConfig,
    partition: i32,
    partitions: i32,
    state: NormalizerState,
    headers: HeaderReader,
    documents: Documents,
    /// Notices for the operator, until the shell takes them.
    notices: Vec<String>,
    /// The counts of the last notices about bounds.
    noticed: SetAsideCounts,
    /// Malformed records that this process read, for metrics.
    unreadable: u64,
}

/// The state that a snapshot holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct NormalizerState {
    /// Log time, which follows the timestamps of records as far as they are believed.
    clock: LogClock,
    /// Log time of the last tick that was sent.
    last_tick: Option<i64>,
    hosts: HostsById,
    labels: LabelNames,
    admission: AdmissionControl,
    update_names: UpdateNames,
}

impl Machine for Normalizer {
    const NAME: &'static str = "normalizer";
    const FORMAT: u32 = 9;
    type Config = NormalizerConfig;
    type Parsed<'r> = ParsedLine<'r>;

    fn new(config: &NormalizerConfig, partition: i32, partitions: i32) -> Self {
        Normalizer {
            config: config.clone(),
            partition,
            partitions,
            state: NormalizerState::default(),
            headers: HeaderReader::default(),
            documents: Documents::default(),
            notices: Vec::new(),
            noticed: SetAsideCounts::default(),
            unreadable: 0,
        }
    }

    fn apply(&mut self, record: &InRecord<'_>, out: &mut Vec<Output>) {
        self.apply_parsed(record, &mut ParsedLine::default(), out);
    }

    fn parse<'r>(record: &InRecord<'r>, parsed: &mut ParsedLine<'r>) {
        parsed.read(record.value);
    }

    fn apply_parsed<'r>(&mut self, record: &InRecord<'r>, parsed: &mut ParsedLine<'r>, out: &mut Vec<Output>) {
        let (at, verdict) = self.advance(record);
        self.settle_due(at, out);
        let first = out.len();
        match self.take(record, parsed, at, out) {
            Err(Malformed(reason)) => {
                self.unreadable += 1;
                out.push(self.pipeline_error(record, "malformed_record", &reason));
            }
            // A record gives at most one event. A clock error at the record of a line is counted, and the operator gets
            // a notice.
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
        let mut notices = now.notices(&self.noticed);
        if !notices.is_empty() {
            self.noticed = now;
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
            // Other questions go to the Detector.
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
        normalizer.noticed = normalizer.set_aside();
        Ok(normalizer)
    }
}

impl Normalizer {
    fn moment(&self, record: &InRecord<'_>, log_time: i64) -> Moment {
        Moment { log_time, raw: RawPosition { partition: record.partition, offset: record.offset } }
    }

    fn take<'r>(
        &mut self,
        record: &InRecord<'r>,
        parsed: &mut ParsedLine<'r>,
        at: Moment,
        out: &mut Vec<Output>,
    ) -> Result<(), Malformed> {
        let mut header = header(&mut self.headers, record)?;
        limit::header(&mut header, &self.config.limits);
        if header.kind == Kind::Tick {
            // A tick means the partition is idle, so forward it now instead of once a minute.
            self.state.last_tick = None;
            return Ok(());
        }
        let key = key(record)?;
        let config = &self.config;
        let scope = RecordContext { id: key, at, config };
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
            let control = &mut self.state.admission;
            let admission = control.admit(host.admission, &header.host, at.log_time, config, self.partitions);
            host.set_admission(admission, scope);
        }
        let mut facts = FactsToSend::new();
        match (beat, &inventory) {
            (Some(beat), _) => {
                host.heartbeat(beat, scope, &mut facts);
                host.settle(scope, &mut facts);
            }
            (None, Some(inventory)) => {
                let raw = raw_fields(record);
                let key = Arc::clone(&host.id);
                for event in certificates::take(host, inventory, scope, raw, &mut facts) {
                    let ecs = format::write(Format::Ecs, &event);
                    let value = bounds::fit_event(config.format, ecs.into(), document_bytes_max(config));
                    let key = Arc::clone(&key);
                    out.push(Output { topic: Topic::Events, key, value, timestamp_ms: at.log_time });
                }
            }
            (None, None) => {
                let mut targets = Targets {
                    scope,
                    facts: &mut facts,
                    documents: &mut self.documents,
                    notices: &mut self.notices,
                    names: &mut self.state.update_names,
                    out,
                };
                take_line(host, record, parsed, &header, &mut targets);
                // Only records of forgotten files are left: due records were settled before this record.
                while let Some(wrapped) = host.next_wrapped(i64::MIN) {
                    flush(host, wrapped, &mut targets);
                }
            }
        }
        send(host, facts, scope, &self.state.update_names, out);
        due.keep(host, at, config);
        self.write_forgotten(at, out);
        Ok(())
    }

    /// Writes the held lines of hosts that are forgotten now.
    fn write_forgotten(&mut self, at: Moment, out: &mut Vec<Output>) {
        while let Some(mut host) = self.state.hosts.next_forgotten() {
            let id = Arc::clone(&host.id);
            let scope = RecordContext { id: &id, at, config: &self.config };
            // The host is forgotten, so its facts are dropped: no signal may name it.
            let mut facts = FactsToSend::new();
            let mut targets = Targets {
                scope,
                facts: &mut facts,
                documents: &mut self.documents,
                notices: &mut self.notices,
                names: &mut self.state.update_names,
                out: &mut *out,
            };
            while let Some(wrapped) = host.next_wrapped(i64::MAX) {
                flush(&mut host, wrapped, &mut targets);
            }
        }
    }

    /// Adds a notice for each file that ended without a line of Windows Update; for a caller whose files do not grow.
    pub fn end_of_files(&mut self) {
        let notices = self.state.hosts.strange_files();
        self.notices.extend(notices.into_iter().take(NOTICES_MAX));
    }

    /// Settles the hosts whose due time has come, since they may be silent.
    fn settle_due(&mut self, at: Moment, out: &mut Vec<Output>) {
        let at = Moment { log_time: self.state.clock.now_ms(), ..at };
        while let Some((host, due)) = self.state.hosts.next_due(at.log_time) {
            let mut facts = FactsToSend::new();
            let id = Arc::clone(&host.id);
            let scope = RecordContext { id: &id, at, config: &self.config };
            let mut targets = Targets {
                scope,
                facts: &mut facts,
                documents: &mut self.documents,
                notices: &mut self.notices,
                names: &mut self.state.update_names,
                out,
            };
            while let Some(wrapped) = host.next_wrapped(at.log_time) {
                flush(host, wrapped, &mut targets);
            }
            host.settle(scope, &mut facts);
            send(host, facts, scope, &self.state.update_names, out);
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
