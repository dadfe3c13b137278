//! One host with a folder of logs, a collector and a sink in memory, for tests of single things.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wulog_collector::config::Input;
use wulog_collector::record::OutRecord;
use wulog_collector::sink::{Delivery, RawRecord, Sink, SinkError, Ticket};
use wulog_collector::{Collector, Config, Pass};
use wulog_schemas::raw::Kind;
use wulog_service::Clock;

/// What the sink does with records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Takes,
    /// Takes records and reports nothing.
    Silent,
    /// Says that it is full after this many.
    FullAfter(usize),
    /// Cannot be reached.
    Away,
    /// Reports every delivery as failed.
    Fails,
    /// Reports deliveries last first.
    Backwards,
    /// Never takes lines with this letter.
    Rejects(u8),
    /// Has no topic.
    Broken,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) mood: Mood,
    /// What arrived, in order.
    pub(crate) records: Vec<RawRecord>,
    pub(crate) waiting: Vec<(Ticket, RawRecord)>,
    /// How often it was asked to take a record.
    pub(crate) tries: usize,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct MemorySink(pub(crate) Arc<Mutex<Log>>);

impl Sink for MemorySink {
    fn send(&mut self, ticket: Ticket, record: &OutRecord) -> Result<(), SinkError> {
        let record = record.whole();
        let mut log = self.0.lock().unwrap();
        log.tries += 1;
        match log.mood {
            Mood::Away => return Err(SinkError::Retry("broker a:1 is away".to_owned())),
            Mood::Broken => return Err(SinkError::Fatal("topic wulog.raw is missing".to_owned())),
            Mood::FullAfter(count) if log.waiting.len() >= count => return Err(SinkError::Full),
            Mood::Rejects(letter) if record.value.contains(&letter) && record.header.kind == Kind::Line => {
                return Err(SinkError::Rejected("too large".to_owned()));
            }
            _ => {}
        }
        log.waiting.push((ticket, record));
        Ok(())
    }

    fn poll(&mut self, _: Duration) -> Vec<Delivery> {
        let mut log = self.0.lock().unwrap();
        if log.mood == Mood::Silent {
            return Vec::new();
        }
        let mut waiting = std::mem::take(&mut log.waiting);
        let fails = log.mood == Mood::Fails;
        if !fails {
            log.records.extend(waiting.iter().map(|(_, record)| record.clone()));
        }
        if log.mood == Mood::Backwards {
            waiting.reverse();
        }
        let result = || {
            if fails { Err(SinkError::Retry("leader moved".to_owned())) } else { Ok(()) }
        };
        waiting.into_iter().map(|(ticket, _)| Delivery { ticket, result: result() }).collect()
    }
}

/// One host with one folder of logs.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) sink: MemorySink,
    pub(crate) now: Arc<AtomicI64>,
    pub(crate) config: Config,
    pub(crate) collector: Option<Collector>,
}

pub(crate) const LOG: &str = "WindowsUpdate.log";

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("logs")).unwrap();
        let mut config = Config::gathered(dir.path(), &dir.path().join("state"));
        config.inputs = vec![Input::new(format!("{}/logs/*.log", dir.path().display()))];
        config.host.name = Some("PC-1".to_owned());
        config.host.id = Some("id-1".to_owned());
        config.limits.poll_interval_ms = 10;
        change(&mut config);
        let now = Arc::new(AtomicI64::new(1_573_745_640_000));
        Bench { dir, sink: MemorySink::default(), now, config, collector: None }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name)
    }

    pub(crate) fn write(&self, content: impl AsRef<[u8]>) {
        fs::write(self.file(LOG), content).unwrap();
    }

    pub(crate) fn append(&self, content: impl AsRef<[u8]>) {
        append(&self.file(LOG), content);
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.sink.0.lock().unwrap().mood = mood;
    }

    pub(crate) fn try_pass(&mut self) -> Result<Pass, wulog_collector::CollectorError> {
        let collector = self.collector.get_or_insert_with(|| {
            let clock = Clock::Simulated(self.now.clone());
            Collector::new(self.config.clone(), Box::new(self.sink.clone()), clock).unwrap()
        });
        collector.rescan();
        collector.pass(Duration::from_millis(20))
    }

    pub(crate) fn pass(&mut self) -> Pass {
        self.try_pass().unwrap()
    }

    /// Passes until all is acknowledged.
    pub(crate) fn pump(&mut self) -> Pass {
        let started = Instant::now();
        loop {
            let pass = self.pass();
            if pass.caught_up {
                return pass;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "never caught up: {pass:?}");
        }
    }

    /// Ends as kill -9 does: nothing is flushed or kept.
    pub(crate) fn crash(&mut self) {
        self.sink.0.lock().unwrap().waiting.clear();
        self.collector = None;
    }

    pub(crate) fn wait_secs(&self, secs: i64) {
        self.now.fetch_add(secs * 1000, Ordering::AcqRel);
    }

    pub(crate) fn records(&self) -> Vec<RawRecord> {
        self.sink.0.lock().unwrap().records.clone()
    }

    pub(crate) fn lines(&self) -> Vec<RawRecord> {
        self.records().into_iter().filter(|record| record.header.kind == Kind::Line).collect()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.lines().iter().map(|record| String::from_utf8(record.value.clone()).unwrap()).collect()
    }

    /// What arrived is `lines`, one letter or word each, and nothing else.
    #[track_caller]
    pub(crate) fn expect(&self, lines: &str) {
        assert_eq!(self.texts(), lines.split_whitespace().collect::<Vec<_>>());
    }

    /// Distinct epochs in order of appearance.
    pub(crate) fn epochs(&self) -> Vec<String> {
        let mut epochs: Vec<String> = self.lines().into_iter().map(|record| record.header.epoch).collect();
        epochs.dedup();
        epochs
    }
}

pub(crate) fn append(path: &Path, content: impl AsRef<[u8]>) {
    fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(content.as_ref()).unwrap();
}

/// Puts a file in place of another. Wine, unlike Windows, refuses that while the other is read: there it is rewritten.
pub(crate) fn replace(new: &Path, old: &Path) {
    if cfg!(windows) {
        fs::write(old, fs::read(new).unwrap()).unwrap();
        fs::remove_file(new).unwrap();
    } else {
        fs::rename(new, old).unwrap();
    }
}

/// One line each.
pub(crate) fn log(words: &str) -> String {
    words.split_whitespace().map(|word| format!("{word}\r\n")).collect()
}

pub(crate) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

impl Bench {
    /// Ends as a service stop does, with this grace; the next pass starts it again.
    pub(crate) fn stop(&mut self, grace: Duration) {
        self.collector.take().unwrap().drain(grace).unwrap();
        self.crash();
    }
}
