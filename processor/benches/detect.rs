//! Signals -> alerts, in memory: signals per CPU-second of the Detector.
//!
//! The input is a week of a fleet: facts daily, a scan every 18 h and an update after each, ticks of all partitions
//! every five minutes. A few hosts fail by themselves; on the sixth day the hosts of one WSUS server fail at one
//! update. Then follow the memory of a million hosts, and the time of a restart with a hundred thousand.

mod measure;

use std::time::Instant;

use criterion::measurement::Measurement;
use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use wulog_processor::detect::{Detector, DetectorConfig};
use wulog_processor::machine::{InRecord, Machine};
use wulog_processor::question::{HostSearch, Question};
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{
    Attempt, Fact, FactRef, HostFacts, HostRef, Outcome, RawPosition, ScanDone, Signal, SignalRef, Tick, VERSION,
};

use measure::CpuTime;

const HOSTS: i64 = 2_000;
const PARTITIONS: i32 = 4;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Monday, 2019-11-11 00:00 UTC.
const START_MS: i64 = 1_573_430_400_000;
const DAYS: i64 = 7;

fn host(index: i64) -> HostRef {
    HostRef { id: format!("{:032x}", index * 7919), name: format!("pc-{index:04}") }
}

fn facts(index: i64, time: i64) -> Fact {
    let dimensions = [
        ("wsus", format!("wsus{}.corp.example:8530", index % 20)),
        ("os_build", format!("10.0.1904{}", index / 4 % 3)),
        ("client_build", "10.0.19041.1".to_owned()),
        ("form", "etw".to_owned()),
        ("label.site", ["hamburg", "lyon", "turin"][(index as usize) / 7 % 3].to_owned()),
    ];
    host_facts(index, dimensions, time)
}

fn host_facts<const N: usize>(index: i64, dimensions: [(&str, String); N], time: i64) -> Fact {
    Fact::HostFacts(HostFacts {
        host: host(index),
        dimensions: dimensions.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        failing: Vec::new(),
        last_event_time: Some(time),
        caught_up: true,
        unreadable: None,
    })
}

fn attempt(index: i64, time: i64) -> Fact {
    let outbreak = index % 20 == 0 && time > START_MS + 5 * 24 * HOUR_MS;
    let failed = outbreak || (index * 31 + time / HOUR_MS) % 5_000 == 0;
    let update = if outbreak { "8468427e-6555-e8d9-5360-9cbc1d52a0bb" } else { "11111111-2222-3333-4444-555555555555" };
    let dimensions = [("caller", "AutomaticUpdatesWuApp"), ("title", "Reader 11.0.4"), ("update", update)];
    Fact::Attempt(Attempt {
        host: host(index),
        subject: format!("update:{update}"),
        outcome: if failed { Outcome::Failure } else { Outcome::Success },
        family: failed.then_some(Family::UntrustedRoot),
        code: failed.then(|| "0x800b0109".to_owned()),
        operation: "download".to_owned(),
        dimensions: dimensions.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        event_time: time,
        since: time,
        late: false,
    })
}

fn signals() -> Vec<Vec<u8>> {
    let mut timed: Vec<(i64, i64, Fact)> = Vec::new();
    let end = START_MS + DAYS * 24 * HOUR_MS;
    for index in 0..HOSTS {
        // Spread over 18 h, in an order that differs from that of the hosts.
        let first = START_MS + index * 7919 % HOSTS * 18 * HOUR_MS / HOSTS;
        timed.extend((0..DAYS).map(|day| first + day * 24 * HOUR_MS).map(|time| (time, index, facts(index, time))));
        for step in 0.. {
            let time = first + MINUTE_MS + step * 18 * HOUR_MS;
            if time >= end {
                break;
            }
            let done = ScanDone { host: host(index), outcome: Outcome::Success, event_time: time, subject: None };
            timed.push((time, index, Fact::ScanDone(done)));
            timed.push((time + 2 * MINUTE_MS, index, attempt(index, time + 2 * MINUTE_MS)));
        }
    }
    for minute in (0..DAYS * 24 * 60).step_by(5) {
        let tick = |partition| (START_MS + minute * MINUTE_MS, partition, Fact::Tick(Tick { partitions: PARTITIONS }));
        timed.extend((0..i64::from(PARTITIONS)).map(tick));
    }
    timed.sort_by_key(|(time, index, _)| (*time, *index));
    let bytes = |((log_time, index, fact), offset)| {
        let partition = (index % i64::from(PARTITIONS)) as i32;
        let signal = Signal { v: VERSION, log_time, raw: RawPosition { partition, offset }, fact };
        serde_json::to_vec(&signal).expect("a signal is plain data")
    };
    timed.into_iter().zip(0..).map(bytes).collect()
}

fn detect(criterion: &mut Criterion<CpuTime>) {
    let signals = signals();
    let config = DetectorConfig::default();
    let mut group = criterion.benchmark_group("detect");
    group.throughput(Throughput::Elements(signals.len() as u64));
    group.bench_function("signal to alerts", |bencher| {
        bencher.iter_batched(
            || Detector::new(&config, 0, 1),
            |mut detector| {
                let mut out = Vec::new();
                for (value, offset) in signals.iter().zip(0..) {
                    let record = InRecord { partition: 0, offset, timestamp_ms: 0, key: b"", header: None, value };
                    detector.apply(&record, &mut out);
                }
                assert!(!out.is_empty(), "the outbreak gives alerts");
                (detector, out)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("signal from JSON", |bencher| {
        let is_tick = |value: &&Vec<u8>| {
            let signal = SignalRef::as_written(value).expect("it was written as a signal");
            matches!(signal.fact, FactRef::Tick(_))
        };
        bencher.iter(|| signals.iter().filter(is_tick).count());
    });
    group.finish();
}

/// Number of hosts of the fleet whose memory is measured, and of the fleet that is restarted.
const MANY_HOSTS: i64 = 1_000_000;
const RESTARTED_HOSTS: i64 = 100_000;

/// Feeds the signals of a large fleet one after the other, so that only the detector uses memory: facts of seven
/// dimensions (300 sites with a WSUS server and a target group each, 40 builds, 5 rings), a scan and an update a day
/// for ten days, and one host in a hundred that fails.
fn large_fleet(detector: &mut Detector, hosts: i64) -> u64 {
    let (mut count, mut out) = (0, Vec::new());
    let mut apply = |log_time: i64, index: i64, fact: Fact| {
        let raw = RawPosition { partition: (index % i64::from(PARTITIONS)) as i32, offset: count };
        let signal = Signal { v: VERSION, log_time, raw, fact };
        let value = serde_json::to_vec(&signal).expect("a signal is plain data");
        let record = InRecord { partition: 0, offset: count, timestamp_ms: 0, key: b"", header: None, value: &value };
        detector.apply(&record, &mut out);
        out.clear();
        count += 1;
    };
    for day in 0..10 {
        for index in 0..hosts {
            let time = START_MS + day * 24 * HOUR_MS + index * 20 * HOUR_MS / hosts;
            if index % (hosts / 100) == 0 {
                for partition in 0..i64::from(PARTITIONS) {
                    apply(time, partition, Fact::Tick(Tick { partitions: PARTITIONS }));
                }
            }
            if day == 0 {
                apply(time, index, facts_of_many(index, time));
            }
            let done = ScanDone { host: host(index), outcome: Outcome::Success, event_time: time, subject: None };
            apply(time, index, Fact::ScanDone(done));
            let update = format!("update:{:08x}-2222-3333-4444-555555555555", day * 7 + index % 7);
            let Fact::Attempt(attempt) = attempt(index, time) else { unreachable!("it is an attempt") };
            let failed = index % 100 == day;
            let attempt = Attempt {
                subject: if failed { format!("file:{}.cab", index % 1000) } else { update },
                outcome: if failed { Outcome::Failure } else { Outcome::Success },
                family: failed.then_some(Family::Expired),
                code: failed.then(|| "0x800b0101".to_owned()),
                ..attempt
            };
            apply(time, index, Fact::Attempt(attempt));
        }
    }
    count.unsigned_abs()
}

fn facts_of_many(index: i64, time: i64) -> Fact {
    let (site, build) = (index * 7919 % 300, index % 40);
    let dimensions = [
        ("client_build", format!("10.0.19041.{build}")),
        ("form", "etw".to_owned()),
        ("label.ring", format!("ring-{}", index / 300 % 5)),
        ("label.site", format!("site-{site}")),
        ("os_build", format!("10.0.{}", 19041 + build)),
        ("target_group", format!("clients of site {site}")),
        ("wsus", format!("wsus{site}.corp.example:8530")),
    ];
    host_facts(index, dimensions, time)
}

/// A line of `/proc/self/status`, in MB; without this file the bench reports no memory.
fn status_mb(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024 / 1_000_000)
}

/// Times the questions of the status page. The Detector answers them between two batches of signals, so each question
/// delays the signals.
fn time_questions(detector: &Detector) {
    let hosts =
        |text: &str, state: &str| Question::Hosts(HostSearch { text: text.to_owned(), state: state.to_owned() });
    for (name, question) in [
        ("the fleet", Question::Fleet),
        ("the first hosts of all", hosts("", "")),
        ("failing hosts", hosts("", "failing")),
        ("silent hosts", hosts("", "silent")),
        ("hosts by a part of the name", hosts("pc-77", "")),
        ("hosts by a server", hosts("wsus77.corp", "")),
        ("hosts by an HRESULT", hosts("0x800b0101", "")),
        ("hosts by nothing that is known", hosts("no such text", "")),
        ("one host", Question::Host("pc-500000".to_owned())),
        ("certificates", Question::Certificates),
    ] {
        let began = CpuTime.start();
        let answer = detector.answer(&question);
        println!("  question for {name}: {} ms of CPU time", CpuTime.end(began).as_millis());
        assert!(answer.is_some());
    }
}

fn memory_and_restart() {
    let config = DetectorConfig::default();
    let before = status_mb("VmRSS").unwrap_or_default();
    let mut detector = Detector::new(&config, 0, 1);
    let began = Instant::now();
    let signals = large_fleet(&mut detector, MANY_HOSTS);
    assert_eq!(detector.hosts_known() as i64, MANY_HOSTS);
    let filled = status_mb("VmRSS").unwrap_or_default();
    println!(
        "fleet of {MANY_HOSTS} hosts, {signals} signals in {:.1} s: {} MB",
        began.elapsed().as_secs_f64(),
        filled - before
    );
    time_questions(&detector);
    let bytes = detector.snapshot();
    let peak = status_mb("VmHWM").unwrap_or_default();
    println!("  its snapshot: {} MB; the peak with it: {} MB", bytes.len() / 1_000_000, peak - before);
    drop((bytes, detector));
    let mut detector = Detector::new(&config, 0, 1);
    large_fleet(&mut detector, RESTARTED_HOSTS);
    let bytes = detector.snapshot();
    let began = Instant::now();
    let restored = Detector::restore(&config, 0, 1, &bytes).expect("it is a snapshot");
    let took = began.elapsed().as_millis();
    println!("  restart with {} hosts, {} MB: {took} ms", restored.hosts_known(), bytes.len() / 1_000_000);
}

criterion_group!(name = benches; config = measure::criterion(); targets = detect);

fn main() {
    // `cargo bench --bench detect -- fleet` measures memory alone and first, so that no other memory is counted.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    if filter.as_deref().is_none_or(|filter| filter == "fleet") {
        memory_and_restart();
    }
    if filter.as_deref() != Some("fleet") {
        benches();
    }
}
