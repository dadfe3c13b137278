//! The shell's promise, on the embedded log with a small machine: no output is lost or repeated, whatever happens.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use wulog_collector::sink::{RawRecord, Sink, SinkError};
use wulog_processor::log::embedded::{self, EmbeddedConfig, EmbeddedLog, EmbeddedSink};
use wulog_processor::log::{Log, LogError, Polled, Write};
use wulog_processor::machine::{InRecord, Machine, Output, SnapshotError};
use wulog_processor::metrics::Metrics;
use wulog_processor::shell::{Shell, ShellConfig};
use wulog_schemas::host::HostId;
use wulog_schemas::raw::RawHeader;
use wulog_schemas::topic::Topic;
use wulog_service::Clock;

/// Adds up the lengths of values and outputs the sum after each; panics on "boom", also where a record is parsed ahead.
struct Sum(u64);

impl Machine for Sum {
    const NAME: &'static str = "sum";
    const FORMAT: u32 = 1;
    type Config = ();
    /// The length of the value.
    type Parsed<'r> = Option<usize>;

    fn new((): &(), _partition: i32, _partitions: i32) -> Sum {
        Sum(0)
    }

    fn apply(&mut self, record: &InRecord<'_>, out: &mut Vec<Output>) {
        self.apply_parsed(record, &mut None, out);
    }

    fn parse(record: &InRecord<'_>, parsed: &mut Option<usize>) {
        assert_ne!(record.value, b"boom", "a poisoned record");
        *parsed = Some(record.value.len());
    }

    fn apply_parsed(&mut self, record: &InRecord<'_>, parsed: &mut Option<usize>, out: &mut Vec<Output>) {
        if parsed.is_none() {
            Self::parse(record, parsed);
        }
        let bytes = parsed.expect("the record was parsed");
        self.0 += bytes as u64;
        let padding = " ".repeat(bytes.saturating_sub(1000)); // a long line makes a long event
        out.push(said(record, &format!("{}{padding}", self.0)));
    }

    fn skip(&mut self, record: &InRecord<'_>, _reason: &str, out: &mut Vec<Output>) {
        out.push(said(record, "skipped"));
    }

    fn snapshot(&self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    fn restore((): &(), _partition: i32, _partitions: i32, bytes: &[u8]) -> Result<Sum, SnapshotError> {
        let bytes = bytes.try_into().map_err(|_| SnapshotError { machine: "sum", reason: "not 8 bytes".to_owned() })?;
        Ok(Sum(u64::from_le_bytes(bytes)))
    }
}

fn said(record: &InRecord<'_>, text: &str) -> Output {
    Output {
        topic: Topic::Events,
        key: record.offset.to_string().into(),
        value: text.as_bytes().to_vec().into(),
        timestamp_ms: record.timestamp_ms,
    }
}

fn append(config: &EmbeddedConfig, lines: &[&str]) {
    let mut sink = EmbeddedSink::open(config, Clock::System).unwrap();
    for (ticket, line) in lines.iter().enumerate() {
        let record = RawRecord {
            host_id: HostId::of_gathered("pc-1"),
            header: RawHeader::default(),
            value: line.as_bytes().to_vec(),
        };
        sink.send(ticket as u64, &record.into()).unwrap();
    }
    assert!(sink.poll(Duration::ZERO).iter().all(|delivery| delivery.result.is_ok()));
}

fn events(config: &EmbeddedConfig) -> Vec<String> {
    let connection = embedded::open(config).unwrap();
    let records = embedded::read(&connection, Topic::Events, 0, 0, usize::MAX).unwrap();
    records.into_iter().map(|record| String::from_utf8(record.value).unwrap()).collect()
}

fn shell(config: &EmbeddedConfig, wrap: impl FnOnce(EmbeddedLog) -> Box<dyn Log>) -> Shell<Sum> {
    let log = EmbeddedLog::open(config, "sum", Topic::Raw).unwrap();
    let config = ShellConfig { batch_records_max: 2, snapshot_after_records: 3, ..ShellConfig::default() };
    Shell::new(config, (), wrap(log))
}

/// Steps until the end of the log; returns the first error that cannot be retried.
fn to_end(shell: &mut Shell<Sum>) -> Result<(), LogError> {
    for _ in 0..200 {
        match shell.step(Duration::ZERO) {
            Ok(step) if step.at_end => return Ok(()),
            Ok(_) | Err(LogError::Retry(_)) => {}
            Err(fatal) => return Err(fatal),
        }
    }
    panic!("the end was not reached in 200 steps");
}

fn embedded_log(folder: &Path) -> EmbeddedConfig {
    EmbeddedConfig::at(&folder.join("wulog.db"))
}

#[test]
fn a_shell_that_is_dropped_anywhere_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let config = embedded_log(folder.path());
    append(&config, &["a", "bb", "ccc", "dddd", "eeeee", "ffffff", "g"]);
    for life in 0..12 {
        let mut shell = shell(&config, |log| Box::new(log));
        for _ in 0..life {
            shell.step(Duration::ZERO).unwrap();
        } // and dropped without `finish`, as a kill -9 does
    }
    assert_eq!(events(&config), ["1", "3", "6", "10", "15", "21", "22"]);
}

#[test]
fn a_record_that_panics_is_marked_and_skipped_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = embedded_log(folder.path());
    append(&config, &["a", "bb", "boom", "ccc"]);
    to_end(&mut shell(&config, |log| Box::new(log))).unwrap();
    assert_eq!(events(&config), ["1", "3", "skipped", "6"]);
    append(&config, &["dd"]);
    to_end(&mut shell(&config, |log| Box::new(log))).unwrap();
    assert_eq!(events(&config), ["1", "3", "skipped", "6", "8"]);
}

/// A log that fails every third commit: half of these after the transaction went through, like a time-out.
struct Flaky {
    log: EmbeddedLog,
    commits: u32,
}

impl Log for Flaky {
    fn partitions(&mut self) -> Result<i32, LogError> {
        self.log.partitions()
    }
    fn poll(&mut self, records_max: usize, wait: Duration) -> Result<Polled, LogError> {
        self.log.poll(records_max, wait)
    }
    fn committed(&mut self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, i64>, LogError> {
        self.log.committed(partitions)
    }
    fn oldest(&mut self, partition: i32) -> Result<i64, LogError> {
        self.log.oldest(partition)
    }
    fn start_at(&mut self, positions: &BTreeMap<i32, i64>) -> Result<(), LogError> {
        self.log.start_at(positions)
    }
    fn commit(&mut self, writes: &[Write], next: &BTreeMap<i32, i64>) -> Result<(), LogError> {
        self.commits += 1;
        match self.commits % 6 {
            0 => Err(LogError::Retry("lost before".to_owned())),
            3 => self.log.commit(writes, next).and(Err(LogError::Retry("lost after".to_owned()))),
            _ => self.log.commit(writes, next),
        }
    }
    fn read_state(&mut self, partition: i32) -> Result<BTreeMap<String, Vec<u8>>, LogError> {
        self.log.read_state(partition)
    }
    fn read_latest(&mut self, topic: Topic, partition: i32) -> Result<BTreeMap<String, Vec<u8>>, LogError> {
        self.log.read_latest(topic, partition)
    }
    fn not_needed_below(&mut self, partition: i32, offset: i64) -> Result<(), LogError> {
        self.log.not_needed_below(partition, offset)
    }
}

#[test]
fn a_commit_of_unknown_outcome_neither_loses_nor_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let config = embedded_log(folder.path());
    let lines: Vec<String> = (1..=40).map(|length| "x".repeat(length)).collect();
    append(&config, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    to_end(&mut shell(&config, |log| Box::new(Flaky { log, commits: 0 }))).unwrap();
    let expected: Vec<String> = (1..=40u64).map(|n| (n * (n + 1) / 2).to_string()).collect();
    assert_eq!(events(&config), expected);
}

#[test]
fn a_stop_after_a_failed_commit_neither_loses_nor_repeats() {
    for commits in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        let config = embedded_log(folder.path());
        append(&config, &["a", "bb", "ccc", "dddd", "eeeee", "ffffff", "g"]);
        let mut stopped = shell(&config, |log| Box::new(Flaky { log, commits }));
        let failed = (0..10).any(|_| stopped.step(Duration::ZERO).is_err());
        assert!(failed, "a commit fails before the end");
        // At the stop the log answers again.
        assert!(stopped.finish().is_err());
        to_end(&mut shell(&config, |log| Box::new(log))).unwrap();
        assert_eq!(events(&config), ["1", "3", "6", "10", "15", "21", "22"]);
    }
}

/// The figure is the distance to the end of the partition after each batch.
#[test]
fn the_lag_in_records_is_told_while_a_backlog_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let config = embedded_log(folder.path());
    append(&config, &["a", "bb", "ccc", "dddd", "eeeee"]);
    let metrics = Metrics::new();
    let mut shell = shell(&config, |log| Box::new(log)).noting_in(&metrics);
    let mut lags = Vec::new();
    for _ in 0..4 {
        shell.step(Duration::ZERO).unwrap();
        let page = metrics.render();
        let lag = page
            .lines()
            .find_map(|line| line.strip_prefix("wulog_processor_lag_records{machine=\"sum\",partition=\"0\"} "));
        lags.push(lag.map(str::to_owned));
    }
    // The first step only takes the partition; two records go in a batch.
    let lag = |records: &str| Some(records.to_owned());
    assert_eq!(lags, [None, lag("3"), lag("1"), lag("0")]);
}

#[test]
fn ticks_are_appended_to_a_quiet_partition() {
    let folder = tempfile::tempdir().unwrap();
    let config = embedded_log(folder.path());
    append(&config, &["a"]);
    let log = EmbeddedLog::open(&config, "sum", Topic::Raw).unwrap();
    let shell_config = ShellConfig { tick_after_idle: Some(Duration::ZERO), ..ShellConfig::default() };
    let mut shell: Shell<Sum> = Shell::new(shell_config, (), Box::new(log));
    for _ in 0..4 {
        shell.step(Duration::ZERO).unwrap();
    }
    let raw = embedded::read(&embedded::open(&config).unwrap(), Topic::Raw, 0, 1, 1).unwrap();
    let header: RawHeader = serde_json::from_slice(raw[0].header.as_deref().unwrap()).unwrap();
    assert_eq!(header, RawHeader::tick());
}

#[test]
fn a_full_disk_is_a_retry_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let full = EmbeddedConfig { size_max_mib: Some(1), ..embedded_log(folder.path()) };
    let mut sink = EmbeddedSink::open(&full, Clock::System).unwrap();
    let record =
        RawRecord { host_id: HostId::of_gathered("pc-1"), header: RawHeader::default(), value: vec![b'x'; 400 * 1024] };
    let mut acknowledged = 0;
    let why = loop {
        sink.send(acknowledged, &record.clone().into()).unwrap();
        match sink.poll(Duration::ZERO).remove(0).result {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 10, "1 MiB cannot hold this");
    };
    let SinkError::Retry(why) = why else { panic!("expected a retry, got {why}") };
    assert!(why.contains("wulog.db") && why.contains("free space"), "{why}");

    let roomy = EmbeddedConfig { size_max_mib: None, ..full };
    let mut sink = EmbeddedSink::open(&roomy, Clock::System).unwrap();
    sink.send(acknowledged, &record.clone().into()).unwrap();
    assert!(sink.poll(Duration::ZERO).remove(0).result.is_ok());
    let raw = embedded::read(&embedded::open(&roomy).unwrap(), Topic::Raw, 0, 0, usize::MAX).unwrap();
    assert_eq!(raw.len() as u64, acknowledged + 1);
}

#[test]
fn a_full_disk_stops_the_shell_without_loss() {
    let folder = tempfile::tempdir().unwrap();
    let roomy = embedded_log(folder.path());
    let line = "x".repeat(300 * 1024);
    append(&roomy, &[&line, &line, &line]);
    let full = EmbeddedConfig { size_max_mib: Some(1), ..roomy.clone() };
    let mut stuck = shell(&full, |log| Box::new(log));
    let errors = (0..40).filter_map(|_| stuck.step(Duration::ZERO).err()).collect::<Vec<_>>();
    assert!(!errors.is_empty() && errors.iter().all(|error| matches!(error, LogError::Retry(_))), "{errors:?}");
    drop(stuck);
    to_end(&mut shell(&roomy, |log| Box::new(log))).unwrap();
    assert_eq!(events(&roomy).len(), 3);
}

#[test]
fn a_path_that_cannot_be_a_log_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let Err(LogError::Fatal(why)) = embedded::open(&EmbeddedConfig::at(folder.path())) else {
        panic!("a folder is no log")
    };
    assert!(why.contains(&folder.path().display().to_string()) && why.contains("folder"), "{why}");
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to be looked at as one ".repeat(4)).unwrap();
    let Err(LogError::Fatal(why)) = embedded::open(&EmbeddedConfig::at(&text)) else { panic!("a text is no log") };
    assert!(why.contains("notes.txt") && why.contains("not the SQLite file of standalone"), "{why}");
}
