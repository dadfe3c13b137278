//! Feeds lines to a Normalizer in the way of a collector.

use std::path::Path;

use serde_json::Value;
use wulog_processor::machine::{InRecord, Machine, Output};
use wulog_processor::normalize::{Normalizer, NormalizerConfig};
use wulog_schemas::raw::{Heartbeat, Kind, RawHeader, VERSION};
use wulog_schemas::signal::{Attempt, Fact, HostFacts, Outcome, ScanDone, Signal};
use wulog_schemas::topic::Topic;

/// 2030-01-01: later than every line, so that no line is ahead of log time.
pub(crate) const LOG_TIME: i64 = 1_893_456_000_000;

pub(crate) const KEY: &str = "04a7c795a928a5d09b0cbad5910a34d5";

/// One record, owned.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) timestamp_ms: i64,
    pub(crate) key: Vec<u8>,
    pub(crate) header: Option<Vec<u8>>,
    pub(crate) value: Vec<u8>,
}

/// A Normalizer, its input so far, and its output.
pub(crate) struct Feed {
    pub(crate) normalizer: Normalizer,
    pub(crate) records: Vec<Record>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) log_time: i64,
    pub(crate) key: &'static str,
    pub(crate) file: &'static str,
    pub(crate) epoch: &'static str,
    pub(crate) utc: Option<i32>,
    pub(crate) offset: u64,
}

impl Feed {
    /// A host that has not caught up yet.
    pub(crate) fn catching_up() -> Feed {
        Feed {
            normalizer: Normalizer::new(&NormalizerConfig::default(), 3, 12),
            records: Vec::new(),
            outputs: Vec::new(),
            log_time: LOG_TIME,
            key: KEY,
            file: r"C:\Windows\WindowsUpdate.log",
            epoch: "9f2c61d0a4e7b511",
            utc: None,
            offset: 0,
        }
    }

    /// A host that has caught up, so that its signals are sent.
    pub(crate) fn live() -> Feed {
        let mut feed = Feed::catching_up();
        feed.heartbeat(true);
        feed
    }

    pub(crate) fn heartbeat(&mut self, caught_up: bool) {
        let labels = [("site".to_owned(), "hamburg".to_owned())].into();
        let beat = Heartbeat { version: "0.1.0".to_owned(), caught_up, labels, ..Heartbeat::default() };
        self.beat(&beat);
    }

    pub(crate) fn beat(&mut self, beat: &Heartbeat) {
        let header =
            RawHeader { v: VERSION, kind: Kind::Heartbeat, host: "pc-0042".to_owned(), ..RawHeader::default() };
        self.record(KEY.as_bytes(), Some(header.to_bytes()), serde_json::to_vec(beat).expect("a heartbeat is JSON"));
    }

    pub(crate) fn tick(&mut self, after_ms: i64) {
        self.log_time += after_ms;
        self.record(b"", Some(RawHeader::tick().to_bytes()), Vec::new());
    }

    pub(crate) fn lines(&mut self, text: &str) -> &mut Feed {
        for line in text.split('\n') {
            let end = self.offset + line.len() as u64 + 1;
            self.line_at(line, self.offset, end);
            self.offset = end;
        }
        self
    }

    pub(crate) fn line_at(&mut self, line: &str, offset: u64, end: u64) {
        let hash: u32 = line.bytes().fold(7, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let header = RawHeader {
            v: VERSION,
            host: "pc-0042".to_owned(),
            file: self.file.to_owned(),
            epoch: self.epoch.to_owned(),
            offset,
            end,
            hash: format!("{hash:08x}"),
            read: self.log_time,
            utc: self.utc,
            ..RawHeader::default()
        };
        self.record(self.key.as_bytes(), Some(header.to_bytes()), line.as_bytes().to_vec());
    }

    pub(crate) fn record(&mut self, key: &[u8], header: Option<Vec<u8>>, value: Vec<u8>) {
        let record = Record { timestamp_ms: self.log_time, key: key.to_vec(), header, value };
        apply(&mut self.normalizer, &record, self.records.len(), &mut self.outputs);
        self.records.push(record);
    }

    /// All events so far, of lines and of other records.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.documents().into_iter().filter(|event| !is_attempt(event)).collect()
    }

    /// All documents of attempts so far.
    pub(crate) fn attempt_documents(&self) -> Vec<Value> {
        self.documents().into_iter().filter(is_attempt).collect()
    }

    fn documents(&self) -> Vec<Value> {
        let events = self.outputs.iter().filter(|output| output.topic == Topic::Events);
        events.map(|output| serde_json::from_slice(&output.value).expect("an event is JSON")).collect()
    }

    /// All signals so far but ticks.
    pub(crate) fn signals(&self) -> Vec<Value> {
        let signals = self.outputs.iter().filter(|output| output.topic == Topic::Signals);
        let signals = signals.map(|output| serde_json::from_slice::<Value>(&output.value).expect("a signal is JSON"));
        signals.filter(|signal| signal["kind"] != "tick").collect()
    }

    fn facts(&self) -> Vec<Fact> {
        let signals = self.outputs.iter().filter(|output| output.topic == Topic::Signals);
        signals.map(|output| serde_json::from_slice::<Signal>(&output.value).expect("a signal").fact).collect()
    }

    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.facts().into_iter().filter_map(|fact| if let Fact::Attempt(it) = fact { Some(it) } else { None }).collect()
    }

    pub(crate) fn scans(&self) -> Vec<ScanDone> {
        self.facts()
            .into_iter()
            .filter_map(|fact| if let Fact::ScanDone(it) = fact { Some(it) } else { None })
            .collect()
    }

    pub(crate) fn host_facts(&self) -> Vec<HostFacts> {
        self.facts()
            .into_iter()
            .filter_map(|fact| if let Fact::HostFacts(it) = fact { Some(it) } else { None })
            .collect()
    }

    pub(crate) fn ticks(&self) -> usize {
        self.facts().iter().filter(|fact| matches!(fact, Fact::Tick(_))).count()
    }

    /// `outcome subject code` of each attempt.
    pub(crate) fn verdicts(&self) -> Vec<String> {
        let verdict = |it: Attempt| match it.outcome {
            Outcome::Success => format!("success {}", it.subject),
            Outcome::Failure => format!("failure {} {}", it.subject, it.code.unwrap_or_default()),
        };
        self.attempts().into_iter().map(verdict).collect()
    }
}

/// True for the document of an attempt.
pub(crate) fn is_attempt(event: &Value) -> bool {
    event["event"]["dataset"] == "windows_update.attempt"
}

pub(crate) fn apply(normalizer: &mut Normalizer, record: &Record, offset: usize, outputs: &mut Vec<Output>) {
    let record = InRecord {
        partition: 3,
        offset: offset as i64,
        timestamp_ms: record.timestamp_ms,
        key: &record.key,
        header: record.header.as_deref(),
        value: &record.value,
    };
    normalizer.apply(&record, outputs);
}

/// The text of each log of the corpus.
pub(crate) fn corpus() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus");
    let cases = std::fs::read_dir(folder).expect("the corpus is part of the tree");
    let mut logs: Vec<_> = cases.map(|case| case.expect("it can be listed").path().join("in.log")).collect();
    logs.retain(|log| log.exists());
    logs.sort();
    let text = |log| String::from_utf8_lossy(&std::fs::read(log).expect("a log can be read")).into_owned();
    logs.iter().map(text).collect()
}
