//! A collector on real files, into a sink in memory.

use std::fs;
use std::io::Write;
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wulog_collector::config::Input;
use wulog_collector::record::OutRecord;
use wulog_collector::sink::{Delivery, RawRecord, Sink, SinkError, Ticket};
use wulog_collector::{Collector, Config};
use wulog_schemas::raw::Kind;
use wulog_service::Clock;

pub(crate) const LOG: &str = "WindowsUpdate.log";
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
struct MemorySink(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    /// Takes all and reports nothing.
    silent: bool,
    waiting: Vec<(Ticket, RawRecord)>,
    records: Vec<RawRecord>,
}

impl Sink for MemorySink {
    fn send(&mut self, ticket: Ticket, record: &OutRecord) -> Result<(), SinkError> {
        self.0.lock().unwrap().waiting.push((ticket, record.whole()));
        Ok(())
    }

    fn poll(&mut self, _: Duration) -> Vec<Delivery> {
        let mut log = self.0.lock().unwrap();
        if log.silent {
            return Vec::new();
        }
        let waiting = std::mem::take(&mut log.waiting);
        log.records.extend(waiting.iter().map(|(_, record)| record.clone()));
        waiting.into_iter().map(|(ticket, _)| Delivery { ticket, result: Ok(()) }).collect()
    }
}

pub(crate) struct Bench {
    pub(crate) config: Config,
    sink: MemorySink,
    collector: Option<Collector>,
    /// Goes last: a file that is open cannot be removed.
    pub(crate) dir: TempDir,
}

impl Bench {
    /// Follows `logs\*.log`.
    pub(crate) fn new() -> Bench {
        Bench::with("*.log")
    }

    /// Follows `logs\PATTERN`.
    pub(crate) fn with(pattern: &str) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("logs")).unwrap();
        let mut config = Config::gathered(dir.path(), &dir.path().join("state"));
        config.inputs = vec![Input::new(format!(r"{}\logs\{pattern}", dir.path().display()))];
        config.host.name = Some("PC-1".to_owned());
        config.limits.poll_interval_ms = 10;
        Bench { dir, config, sink: MemorySink::default(), collector: None }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name)
    }

    pub(crate) fn silent(&self, silent: bool) {
        self.sink.0.lock().unwrap().silent = silent;
    }

    pub(crate) fn pass(&mut self) -> bool {
        let collector = self.collector.get_or_insert_with(|| {
            Collector::new(self.config.clone(), Box::new(self.sink.clone()), Clock::System).unwrap()
        });
        collector.rescan();
        collector.pass(Duration::from_millis(20)).unwrap().caught_up
    }

    /// Passes until all is acknowledged.
    #[track_caller]
    pub(crate) fn pump(&mut self) {
        let begun = Instant::now();
        while !self.pass() {
            assert!(begun.elapsed() < PATIENCE, "never caught up: {:?}", self.texts());
        }
    }

    pub(crate) fn stop(&mut self) {
        self.collector.take().unwrap().drain(Duration::ZERO).unwrap();
    }

    pub(crate) fn records(&self) -> Vec<RawRecord> {
        self.sink.0.lock().unwrap().records.clone()
    }

    fn lines(&self) -> Vec<RawRecord> {
        self.records().into_iter().filter(|record| record.header.kind == Kind::Line).collect()
    }

    fn texts(&self) -> Vec<String> {
        self.lines().into_iter().map(|line| String::from_utf8(line.value).unwrap()).collect()
    }

    /// Catches up; what arrived since the beginning is `words`, a line each, of so many epochs.
    #[track_caller]
    pub(crate) fn expect(&mut self, words: &str, epochs: usize) {
        self.expect_lines(words);
        let mut seen: Vec<String> = self.lines().into_iter().map(|line| line.header.epoch).collect();
        seen.dedup();
        assert_eq!(seen.len(), epochs, "epochs");
    }

    #[track_caller]
    pub(crate) fn expect_lines(&mut self, words: &str) {
        self.pump();
        assert_eq!(self.texts(), words.split_whitespace().collect::<Vec<_>>());
    }
}

/// Appends a line for each word, as a writer that shares with `share`.
#[track_caller]
pub(crate) fn append(path: &Path, words: &str, share: u32) -> fs::File {
    let mut file = fs::OpenOptions::new().append(true).create(true).share_mode(share).open(path).unwrap();
    for word in words.split_whitespace() {
        write!(file, "{word}\r\n").unwrap();
    }
    file
}
