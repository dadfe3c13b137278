//! Raw records -> events and signals, in memory: lines per CPU-second of the Normalizer.
//!
//! The limit of comparison is serde_json, which writes the same documents from memory. A document has ten times the
//! bytes of its line, so most of the work is writing.
//!
//! The lines are those of the corpus, all forms of Windows 2000 to 11: each host ships one of its logs over and over at
//! advancing offsets, some lines at a time, between those of other hosts.

mod measure;

use std::fs;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use wulog_processor::machine::{InRecord, Machine, Output, PARSED_AHEAD, parse_ahead};
use wulog_processor::normalize::{Normalizer, NormalizerConfig};
use wulog_processor::parse::parse;
use wulog_schemas::event::Event;
use wulog_schemas::host::HostId;
use wulog_schemas::raw::{Heartbeat, Kind, RawHeader, Source, VERSION};
use wulog_schemas::topic::Topic;

use measure::CpuTime;

const HOSTS: usize = 1_000;
const LINES_PER_HOST: usize = 16;
/// 2030-01-01: later than every line, so that no line is ahead of log time.
const START_MS: i64 = 1_893_456_000_000;
/// Time between two rounds; a host writes its few hundred lines a day in bursts.
const ROUND_MS: i64 = 60_000;

struct Record {
    key: String,
    header: Vec<u8>,
    value: Vec<u8>,
}

struct Host {
    id: HostId,
    header: RawHeader,
    lines: Vec<String>,
    next_line: usize,
}

struct Fleet {
    hosts: Vec<Host>,
    log_time: i64,
    offset: i64,
}

fn corpus() -> Vec<(Source, Vec<String>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus");
    let entries = fs::read_dir(dir).expect("the corpus is part of the tree");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    names.retain(|name| name.is_dir());
    names.sort();
    let read = |name: &std::path::PathBuf| {
        let is_report = name.to_string_lossy().contains("reportingevents");
        let source = if is_report { Source::ReportingEvents } else { Source::WindowsUpdate };
        let text = fs::read(name.join("in.log")).expect("every case has an in.log");
        (source, String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
    };
    names.iter().map(read).collect()
}

impl Fleet {
    fn new() -> Fleet {
        let logs = corpus();
        let hosts = (0..HOSTS).map(|index| {
            let name = format!("pc-{index:04}");
            let (source, lines) = logs[index % logs.len()].clone();
            let header = RawHeader {
                v: VERSION,
                host: name.clone(),
                file: r"C:\Windows\WindowsUpdate.log".to_owned(),
                source,
                epoch: format!("{:016x}", (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                utc: Some(60),
                ..RawHeader::default()
            };
            Host { id: HostId::of_gathered(&name), header, lines, next_line: 0 }
        });
        Fleet { hosts: hosts.collect(), log_time: START_MS, offset: 0 }
    }

    fn heartbeats(&mut self) -> Vec<Record> {
        let labels = [("site".to_owned(), "hamburg".to_owned()), ("ring".to_owned(), "broad".to_owned())].into();
        let beat = Heartbeat { version: "0.1.0".to_owned(), caught_up: true, labels, ..Heartbeat::default() };
        let value = serde_json::to_vec(&beat).expect("a heartbeat is plain data");
        let record = |host: &Host| {
            let header =
                RawHeader { v: VERSION, kind: Kind::Heartbeat, host: host.header.host.clone(), ..RawHeader::default() };
            Record { key: host.id.to_string(), header: header.to_bytes(), value: value.clone() }
        };
        self.hosts.iter().map(record).collect()
    }

    fn round(&mut self) -> Vec<Record> {
        self.log_time += ROUND_MS;
        let mut records = Vec::with_capacity(HOSTS * LINES_PER_HOST);
        for host in &mut self.hosts {
            for _ in 0..LINES_PER_HOST {
                let line = &host.lines[host.next_line % host.lines.len()];
                host.next_line += 1;
                let header = &mut host.header;
                header.offset = header.end;
                header.end += line.len() as u64 + 1;
                header.hash = format!("{:08x}", crc32fast::hash(line.as_bytes()));
                header.read = self.log_time;
                records.push(Record {
                    key: host.id.to_string(),
                    header: header.to_bytes(),
                    value: line.clone().into_bytes(),
                });
            }
        }
        records
    }
}

/// The records as the shell reads them.
fn inputs(records: &[Record], timestamp_ms: i64, offset: i64) -> impl Iterator<Item = InRecord<'_>> {
    records.iter().zip(offset..).map(move |(record, offset)| {
        let Record { key, header, value } = record;
        InRecord { partition: 3, offset, timestamp_ms, key: key.as_bytes(), header: Some(header), value }
    })
}

/// Applies records as the shell does.
fn apply(normalizer: &mut Normalizer, records: &[Record], log_time: i64, offset: i64, out: &mut Vec<Output>) {
    let mut parsed = Vec::new();
    for (records, offset) in records.chunks(PARSED_AHEAD).zip((offset..).step_by(PARSED_AHEAD)) {
        parse_ahead::<Normalizer>(inputs(records, log_time, offset), &mut parsed);
        for (record, parsed) in inputs(records, log_time, offset).zip(&mut parsed) {
            normalizer.apply_parsed(&record, parsed, out);
        }
    }
}

fn normalize(criterion: &mut Criterion<CpuTime>) {
    let mut fleet = Fleet::new();
    let mut normalizer = Normalizer::new(&NormalizerConfig::default(), 3, 12);
    apply(&mut normalizer, &fleet.heartbeats(), START_MS, 0, &mut Vec::new());
    let mut group = criterion.benchmark_group("normalize");
    group.throughput(Throughput::Elements((HOSTS * LINES_PER_HOST) as u64));
    group.bench_function("raw record to document", |bencher| {
        bencher.iter_batched(
            || {
                let records = fleet.round();
                fleet.offset += records.len() as i64;
                (records, fleet.log_time, fleet.offset)
            },
            |(records, log_time, offset)| {
                // As in the shell, the outputs of a batch are dropped before the next batch.
                for batch in records.chunks(500) {
                    let mut out = Vec::new();
                    apply(&mut normalizer, batch, log_time, offset, &mut out);
                }
                records
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Measures serde_json on the last step alone.
fn limit(criterion: &mut Criterion<CpuTime>) {
    let mut fleet = Fleet::new();
    let mut normalizer = Normalizer::new(&NormalizerConfig::default(), 3, 12);
    apply(&mut normalizer, &fleet.heartbeats(), START_MS, 0, &mut Vec::new());
    let mut out = Vec::new();
    apply(&mut normalizer, &fleet.round(), fleet.log_time, 0, &mut out);
    let events = out.iter().filter(|output| output.topic == Topic::Events);
    let events: Vec<Event<'_>> =
        events.map(|event| serde_json::from_slice(&event.value).expect("an event is of its schema")).collect();
    let mut group = criterion.benchmark_group("limit");
    group.throughput(Throughput::Elements(events.len() as u64));
    let mut document = Vec::new();
    group.bench_function("serde_json writes the documents", |bencher| {
        bencher.iter(|| {
            for event in &events {
                document.clear();
                serde_json::to_writer(&mut document, event).expect("memory takes it");
                std::hint::black_box(&document);
            }
        });
    });
    group.finish();
}

fn take_apart(criterion: &mut Criterion<CpuTime>) {
    let lines: Vec<String> = corpus().into_iter().flat_map(|(_, lines)| lines).collect();
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(lines.len() as u64));
    group.bench_function("line to entry", |bencher| {
        bencher.iter(|| lines.iter().filter(|line| parse(std::hint::black_box(line)).hresult.is_some()).count());
    });
    group.finish();
}

criterion_group!(name = benches; config = measure::criterion(); targets = take_apart, normalize, limit);
criterion_main!(benches);
