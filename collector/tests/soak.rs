//! A soak: the collector as a process, 200 hosts, 400 lines a second, logs that are renamed all the time, some of them
//! twice between two looks. Nothing may be lost, nothing repeated, and memory must stay flat.
//!
//! ```text
//! WULOG_SOAK_SECS=3600 cargo test --release --workspace --test soak -- --ignored --nocapture
//! ```
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod agent;

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agent::{Bench, PATIENCE};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

const HOSTS: usize = 200;
const LINES_PER_SEC: u64 = 400;
/// A log is renamed after so many lines: each host's about every 25 s.
const LINES_PER_LOG: u64 = 50;
/// Every so many renames there are two, with a short log between them that is never seen under its first name.
const TWICE_EVERY: u64 = 4;
/// Renamed logs that a host keeps.
const KEPT: u64 = 3;
const STEP: Duration = Duration::from_millis(50);
/// Memory is noted this often.
const NOTED_EVERY: Duration = Duration::from_secs(10);
/// So long the collector gains memory by right: it remembers 16 versions of each log, a rename every 25 s.
const WARM_UP: Duration = Duration::from_secs(450);
/// What later memory may be above that of the first third, or of the warm-up: allocators give pages back late.
const GROWTH_MAX_KB: u64 = 3 * 1024;

/// One writer, and how its logs are renamed.
struct Host {
    folder: PathBuf,
    /// `*.log` names the renamed logs too: `WindowsUpdate-7.log`. Otherwise they are `WindowsUpdate.log.1` and so on, which
    /// no input names.
    dated: bool,
    written: u64,
    in_log: u64,
    renames: u64,
}

impl Host {
    fn write(&mut self, name: usize, lines: u64) {
        let mut log = OpenOptions::new().create(true).append(true).open(self.folder.join("WindowsUpdate.log")).unwrap();
        let mut text = String::new();
        for _ in 0..lines {
            self.written += 1;
            // As long as real ones.
            text += &format!("2023/03/01 22:19:01.8143606 {name} {:08} Agent {}\n", self.written, "x".repeat(100));
        }
        log.write_all(text.as_bytes()).unwrap();
        self.in_log += lines;
    }

    fn rename(&mut self) {
        let log = self.folder.join("WindowsUpdate.log");
        self.renames += 1;
        self.in_log = 0;
        if self.dated {
            fs::rename(log, self.folder.join(format!("WindowsUpdate-{}.log", self.renames))).unwrap();
            if let Some(old) = self.renames.checked_sub(KEPT) {
                let _ = fs::remove_file(self.folder.join(format!("WindowsUpdate-{old}.log")));
            }
            return;
        }
        let numbered = |number: u64| self.folder.join(format!("WindowsUpdate.log.{number}"));
        for number in (1..KEPT).rev() {
            let _ = fs::rename(numbered(number), numbered(number + 1));
        }
        fs::rename(log, numbered(1)).unwrap();
    }
}

/// Which lines of each host arrived, and how often any came again.
#[derive(Default)]
struct Arrived {
    lines: HashMap<usize, Vec<bool>>,
    total: u64,
    repeated: u64,
}

impl Arrived {
    fn take(&mut self, text: &[u8]) {
        let text = std::str::from_utf8(text).unwrap();
        // Heartbeats are JSON.
        if !text.starts_with("2023/") {
            return;
        }
        let words: Vec<&str> = text.split(' ').collect();
        let (host, line): (usize, usize) = (words[2].parse().unwrap(), words[3].parse().unwrap());
        let lines = self.lines.entry(host).or_default();
        lines.resize(lines.len().max(line), false);
        self.total += 1;
        self.repeated += u64::from(std::mem::replace(&mut lines[line - 1], true));
    }

    fn lost(&self, hosts: &[Host]) -> u64 {
        let missing = |(name, host): (usize, &Host)| {
            host.written - self.lines.get(&name).map_or(0, |lines| lines.iter().filter(|here| **here).count() as u64)
        };
        hosts.iter().enumerate().map(missing).sum()
    }
}

/// Resident memory, and the part of it that is no file's, in kB.
fn memory_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn consumer(bench: &Bench) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bench.cluster.bootstrap_servers())
        .set("group.id", "soak")
        .create()
        .unwrap();
    let mut place = TopicPartitionList::new();
    place.add_partition_offset("wulog.raw", 0, Offset::Beginning).unwrap();
    consumer.assign(&place).unwrap();
    consumer
}

fn hosts(share: &Path) -> Vec<Host> {
    let host = |name: usize| {
        let folder = share.join(if name.is_multiple_of(2) { "dated" } else { "numbered" }).join(format!("PC-{name}"));
        fs::create_dir_all(&folder).unwrap();
        // Not all at once: the first rename of each comes at its own time.
        let in_log = name as u64 % LINES_PER_LOG;
        Host { folder, dated: name.is_multiple_of(2), written: 0, in_log, renames: 0 }
    };
    (0..HOSTS).map(host).collect()
}

#[test]
#[ignore = "takes minutes: WULOG_SOAK_SECS, 60 without it"]
fn nothing_is_lost_or_repeated_and_memory_is_flat() {
    let seconds = std::env::var("WULOG_SOAK_SECS").map_or(60, |text| text.parse().unwrap());
    let bench = Bench::new("");
    let share = bench.dir.path().join("share");
    let mut hosts = hosts(&share);
    let at = share.display();
    bench.configure(&format!(
        "[[input]]\npaths = ['{at}/dated/*/*.log', '{at}/numbered/*/WindowsUpdate.log']\n\
         host_pattern = '(?P<host>[^/]+)/[^/]+$'\n"
    ));
    let consumer = consumer(&bench);
    let mut arrived = Arrived::default();
    let running = bench.start();
    // What is renamed before the first look at its folder cannot be told from a log that nobody asked for.
    hosts.iter_mut().enumerate().for_each(|(name, host)| host.write(name, 1));
    let started = Instant::now();
    while arrived.lost(&hosts) > 0 {
        assert!(started.elapsed() < PATIENCE, "the first line of each host does not arrive");
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            arrived.take(message.unwrap().payload().unwrap());
        }
    }
    let begun = Instant::now();
    let (mut notes, mut given, mut next) = (Vec::<(u64, u64)>::new(), 0u64, 0usize);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let due = begun.elapsed().as_millis() as u64 * LINES_PER_SEC / 1000;
        while given < due {
            let (name, host) = (next % HOSTS, &mut hosts[next % HOSTS]);
            host.write(name, 1);
            (given, next) = (given + 1, next + 1);
            if host.in_log >= LINES_PER_LOG {
                host.rename();
                if host.renames.is_multiple_of(TWICE_EVERY) {
                    host.write(name, 2);
                    given += 2;
                    host.rename();
                }
            }
        }
        while let Some(message) = consumer.poll(Duration::ZERO) {
            arrived.take(message.unwrap().payload().unwrap());
        }
        let second = begun.elapsed().as_secs();
        if notes.last().is_none_or(|(noted, _)| second >= noted + NOTED_EVERY.as_secs()) {
            notes.push((second, memory_kb(running.pid())));
            println!(
                "{second:>5} s  {:>6} kB  {given} written, {} arrived, {} repeated",
                notes.last().unwrap().1,
                arrived.total,
                arrived.repeated
            );
        }
        std::thread::sleep(STEP);
    }
    let quiet = Instant::now();
    while arrived.lost(&hosts) > 0 && quiet.elapsed() < PATIENCE {
        while let Some(message) = consumer.poll(Duration::from_millis(100)) {
            arrived.take(message.unwrap().payload().unwrap());
        }
    }
    let written: u64 = hosts.iter().map(|host| host.written).sum();
    let renames: u64 = hosts.iter().map(|host| host.renames).sum();
    let lost = arrived.lost(&hosts);
    let of_host = |name: usize, host: &Host| {
        let lines = arrived.lines.get(&name).map_or(&[][..], Vec::as_slice);
        let missing: Vec<u64> =
            (1..=host.written).filter(|line| lines.get(*line as usize - 1) != Some(&true)).collect();
        (!missing.is_empty()).then(|| format!("  {} has no line {missing:?}", host.folder.display()))
    };
    let lines: Vec<String> = hosts.iter().enumerate().filter_map(|(name, host)| of_host(name, host)).collect();
    lines.iter().take(10).for_each(|line| println!("{line}"));
    println!("{written} lines, {renames} renames: {lost} lost, {} repeated", arrived.repeated);
    running.terminate();
    let begins = (seconds / 3).max(WARM_UP.as_secs());
    let first = notes.iter().filter(|(second, _)| *second <= begins).map(|(_, kb)| *kb).max().unwrap();
    let last = notes.last().unwrap().1;
    println!("memory: {first} kB at most in the first {begins} s, {last} kB at the end");
    assert_eq!((lost, arrived.repeated), (0, 0));
    assert!(last <= first + GROWTH_MAX_KB, "memory grows: {notes:?}");
}
