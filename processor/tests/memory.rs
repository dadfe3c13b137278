//! The memory budget of the Normalizer, measured by an allocator that counts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod counting;

use counting::live_bytes;
use wulog_processor::machine::{InRecord, Machine};
use wulog_processor::normalize::{Normalizer, NormalizerConfig, NormalizerLimits};
use wulog_schemas::raw::{Heartbeat, Kind, RawHeader, VERSION};

const MIB: usize = 1024 * 1024;
const T: i64 = 1_700_000_000_000;

/// An attack: its name, and the function that sends its records.
type Attack = (&'static str, fn(&mut Feed));

struct Feed {
    normalizer: Normalizer,
    records: i64,
    out: Vec<wulog_processor::machine::Output>,
}

impl Feed {
    fn new(memory_mib_max: usize) -> Feed {
        let limits = NormalizerLimits { memory_mib_max, hosts_max: 10_000_000, ..NormalizerLimits::default() };
        let config = NormalizerConfig { limits, ..NormalizerConfig::default() };
        Feed { normalizer: Normalizer::new(&config, 0, 1), records: 0, out: Vec::new() }
    }

    fn record(&mut self, host: &str, header: &RawHeader, value: &[u8]) {
        let header = header.to_bytes();
        let record = InRecord {
            partition: 0,
            offset: self.records,
            timestamp_ms: T + self.records,
            key: host.as_bytes(),
            header: Some(&header),
            value,
        };
        self.records += 1;
        self.normalizer.apply(&record, &mut self.out);
        self.out.clear();
    }

    fn line(&mut self, host: &str, file: &str, epoch: &str, number: u64) {
        let header = RawHeader {
            v: VERSION,
            host: host.to_owned(),
            file: file.to_owned(),
            epoch: epoch.to_owned(),
            offset: number * 100,
            end: number * 100 + 100,
            ..RawHeader::default()
        };
        self.record(host, &header, b"2023-11-14\t22:00:00:000\t 800\t4d2\tAgent\t*************");
    }
}

fn measured(run: impl FnOnce(&mut Feed), memory_mib_max: usize) -> (usize, Feed) {
    let before = live_bytes();
    let mut feed = Feed::new(memory_mib_max);
    run(&mut feed);
    (live_bytes() - before, feed)
}

/// All cases are one test, since all threads share the counter.
#[test]
fn memory_stays_within_the_budget_whatever_is_sent() {
    // 50,000 hosts of the usual kind, two files each with two hundred lines: the promise of the default budget.
    let usual = |feed: &mut Feed| {
        for host in 0..5_000 {
            let host = format!("{host:032}");
            for number in 0..100 {
                feed.line(&host, r"C:\Windows\WindowsUpdate.log", "9f2c61d0a4e7b511", number);
                feed.line(&host, r"C:\Windows\SoftwareDistribution\ReportingEvents.log", "9f2c61d0a4e7b512", number);
            }
        }
    };
    let (bytes, feed) = measured(usual, 10_000);
    println!("5,000 usual hosts: {} bytes each, weighed as {}", bytes / 5_000, feed.normalizer.bytes() / 5_000);
    assert!(bytes * 10 < 768 * MIB, "50,000 hosts take {} MiB", bytes * 10 / MIB);
    assert!(feed.normalizer.bytes() as usize > bytes * 7 / 10, "weighed as {} of {bytes}", feed.normalizer.bytes());
    assert!((feed.normalizer.bytes() as usize) < bytes * 3, "weighed as {} of {bytes}", feed.normalizer.bytes());
    drop(feed);

    let attacks: [Attack; 4] = [
        ("300,000 hosts", |feed| {
            for host in 0..300_000 {
                feed.line(&format!("{host:032}"), "a", "e", 0);
            }
        }),
        ("300,000 files", |feed| {
            for file in 0..300_000 {
                feed.line(&format!("{:032}", file / 1_000), &format!("file {file}"), "e", 0);
            }
        }),
        ("200 files of 16 epochs, names of 100 kB", |feed| {
            for file in 0..200 {
                for epoch in 0..16 {
                    let (file, epoch) =
                        (format!("{file}{}", "x".repeat(100_000)), format!("{epoch}{}", "y".repeat(100_000)));
                    feed.line("a", &file, &epoch, 0);
                }
            }
        }),
        ("heartbeats of many labels", |feed| {
            for beat in 0..20_000_u32 {
                let labels = (0..32).map(|label| (format!("{}{beat}", label), "x".repeat(300))).collect();
                let beat = Heartbeat { caught_up: true, labels, ..Heartbeat::default() };
                let header =
                    RawHeader { v: VERSION, kind: Kind::Heartbeat, host: "h".to_owned(), ..RawHeader::default() };
                feed.record(&format!("{:032}", feed.records), &header, &serde_json::to_vec(&beat).unwrap());
            }
        }),
    ];
    for (what, attack) in attacks {
        let (bytes, feed) = measured(attack, 64);
        println!(
            "{what}: {} MiB of 64, {} hosts left, {:?}",
            bytes / MIB,
            feed.normalizer.hosts_known(),
            feed.normalizer.set_aside()
        );
        assert!(bytes < 80 * MIB, "{what}: {} MiB", bytes / MIB);
    }
    // A well-known host outlives any number of new hosts.
    let (_, mut feed) = measured(
        |feed| {
            for number in 0..200 {
                feed.line("honest", "a", "e", number);
                feed.records += 1_000_000;
            }
        },
        16,
    );
    for host in 0..100_000 {
        feed.line(&format!("{host:032}"), "a", "e", 0);
    }
    let known = feed.normalizer.set_aside().hosts_forgotten;
    assert!(known > 0, "room was short");
    feed.line("honest", "a", "e", 5);
    assert!(feed.out.is_empty());
}
