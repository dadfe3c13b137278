//! What a good citizen does with lines and with the machine: redaction, a pace, a bound on memory.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wulog_collector::record::OutRecord;
use wulog_collector::sink::{Delivery, RawRecord, Sink, SinkError, Ticket};
use wulog_collector::{Collector, Config, Pass};
use wulog_schemas::raw::Kind;
use wulog_service::Clock;

/// Takes all, and reports it where it is not mute.
#[derive(Clone, Default)]
struct MemorySink(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    mute: bool,
    records: Vec<RawRecord>,
    waiting: Vec<Ticket>,
}

impl Sink for MemorySink {
    fn send(&mut self, ticket: Ticket, record: &OutRecord) -> Result<(), SinkError> {
        let mut log = self.0.lock().unwrap();
        log.records.push(record.whole());
        log.waiting.push(ticket);
        Ok(())
    }

    fn poll(&mut self, _: Duration) -> Vec<Delivery> {
        let mut log = self.0.lock().unwrap();
        let tickets = if log.mute { Vec::new() } else { std::mem::take(&mut log.waiting) };
        tickets.into_iter().map(|ticket| Delivery { ticket, result: Ok(()) }).collect()
    }
}

impl MemorySink {
    fn lines(&self) -> Vec<RawRecord> {
        let log = self.0.lock().unwrap();
        log.records.iter().filter(|record| record.header.kind == Kind::Line).cloned().collect()
    }
}

/// A collector of one file with this content and these settings.
fn collector(folder: &tempfile::TempDir, content: &str, settings: &str) -> (Collector, MemorySink) {
    let log = folder.path().join("WindowsUpdate.log");
    fs::write(&log, content).unwrap();
    let state = folder.path().join(format!("state-{}", settings.len()));
    let text = format!("state_dir = '{}'\n{settings}\n[[input]]\npaths = ['{}']\n", state.display(), log.display());
    let (config, sink) = (Config::parse(&text, "test").unwrap(), MemorySink::default());
    (Collector::new(config, Box::new(sink.clone()), Clock::System).unwrap(), sink)
}

fn pass_until(collector: &mut Collector, done: impl Fn(&Pass) -> bool) -> Pass {
    let started = Instant::now();
    loop {
        let pass = collector.pass(Duration::from_millis(20)).unwrap();
        if done(&pass) {
            return pass;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{pass:?}");
    }
}

#[test]
fn redaction_changes_the_line_and_not_its_identity() {
    let folder = tempfile::tempdir().unwrap();
    let content = "C:\\Users\\ann\\x\nnothing to hide\n";
    let (mut plain, as_it_is) = collector(&folder, content, "");
    let rule = r"[[redact]]
regex = '(?i)(\\users\\)[^\\]+'
replace = '${1}someone'
";
    let (mut hiding, hidden) = collector(&folder, content, rule);
    for collector in [&mut plain, &mut hiding] {
        pass_until(collector, |pass| pass.caught_up);
    }
    let (as_it_is, hidden) = (as_it_is.lines(), hidden.lines());
    assert_eq!(hidden[0].value, br"C:\Users\someone\x");
    assert_eq!(hidden[1].value, as_it_is[1].value);
    let identity = |record: &RawRecord| (record.header.offset, record.header.end, record.header.hash.clone());
    assert_eq!(hidden.iter().map(identity).collect::<Vec<_>>(), as_it_is.iter().map(identity).collect::<Vec<_>>());
    // IEEE 802.3, of what stands in the file.
    assert_eq!(hidden[0].header.hash, format!("{:08x}", crc32fast::hash(br"C:\Users\ann\x")));
}

#[test]
fn bytes_a_second_are_a_bound_on_the_average() {
    let folder = tempfile::tempdir().unwrap();
    let content = "x".repeat(99).to_string() + "\n";
    let content = content.repeat(6000);
    let settings = "[limits]\nbytes_per_second = 200000\nline_bytes_max = 1024\nbytes_in_flight = 262144";
    let (mut paced, sink) = collector(&folder, &content, settings);
    let started = Instant::now();
    pass_until(&mut paced, |pass| pass.caught_up);
    // One second's worth at once, 400,000 bytes in two more; the last chunk may be overdrawn.
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(1800), "{took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(sink.lines().len(), 6000);
}

#[test]
fn empty_lines_take_no_more_than_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "[limits]\nbytes_in_flight = 1048576";
    let (mut collector, sink) = collector(&folder, &"\n".repeat(100_000), settings);
    sink.0.lock().unwrap().mute = true;
    let mut in_flight = 0;
    for _ in 0..20 {
        in_flight = collector.pass(Duration::from_millis(10)).unwrap().in_flight;
    }
    // Beside its bytes each record costs 600.
    assert!((500..=1_048_576 / 600).contains(&in_flight), "{in_flight}");
    sink.0.lock().unwrap().mute = false;
    pass_until(&mut collector, |pass| pass.caught_up);
    assert_eq!(sink.lines().len(), 100_000);
}

#[test]
fn a_sink_that_reports_nothing_stops_reading_at_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let content = ("x".repeat(99) + "\n").repeat(50_000);
    let settings = "[limits]\nline_bytes_max = 1024\nbytes_in_flight = 1048576";
    let (mut collector, sink) = collector(&folder, &content, settings);
    sink.0.lock().unwrap().mute = true;
    for _ in 0..20 {
        collector.pass(Duration::from_millis(10)).unwrap();
    }
    let held = sink.lines();
    // Twice value and header, since librdkafka has a copy; and a last chunk.
    let bytes: usize = held.iter().map(|line| 2 * (line.value.len() + line.header.to_bytes().len())).sum();
    assert!(bytes < 1_048_576 + 131_072, "{bytes}");
    assert!(held.len() > 500, "{}", held.len());
    sink.0.lock().unwrap().mute = false;
    pass_until(&mut collector, |pass| pass.caught_up);
    assert_eq!(sink.lines().len(), 50_000);
}
