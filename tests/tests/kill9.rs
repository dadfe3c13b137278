//! Kill -9 of the collector and of one of three brokers, again and again, while hosts write and rotate their logs: no
//! line is lost or repeated in `wulog.events`.
//!
//! `WULOG_KILL_SECS=600 cargo test --release -p wulog-tests --test kill9 -- --nocapture` runs longer. The seed of the
//! sequence is printed; `WULOG_KILL_SEED` sets it. With `WULOG_KILL_BROKERS=1` there is a single broker. Such a Kafka
//! breaks its own promise now and then (see [`KafkaTestbed::forgot_a_transaction`]): repeated lines are printed then.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use wulog_schemas::topic::Topic;
use wulog_tests::documents::{originals, written};
use wulog_tests::kafka::{self, KafkaTestbed};
use wulog_tests::process::{self, Running, STOP_LIMIT};

const HOSTS: [&str; 4] = ["pc-1", "pc-2", "pc-3", "srv-4"];
const SECS: u64 = 30;
/// From the last line to its event, over the recovery of broker, collector and processor on a loaded machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A xorshift generator: the same sequence for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Hosts write lines, each line once, until a stop; now and then a log is renamed and a new one begun.
fn write(logs: &Path, mut dice: Dice, stop: &AtomicBool) {
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        let folder = logs.join(HOSTS[dice.below(HOSTS.len() as u64) as usize]);
        let log = folder.join("WindowsUpdate.log");
        if dice.below(60) == 0 && log.exists() {
            fs::rename(&log, folder.join(format!("WindowsUpdate-{number}.log"))).unwrap();
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        for _ in 0..1 + dice.below(20) {
            number += 1;
            let line = format!("2023-03-01\t22:19:01:814\t1132\t1a4\tAgent\tline {number}\r\n");
            // A line is written in two steps, so that a kill may come between.
            let half = dice.below(line.len() as u64) as usize;
            file.write_all(&line.as_bytes()[..half]).unwrap();
            file.write_all(&line.as_bytes()[half..]).unwrap();
        }
        thread::sleep(dice.millis(20, 150));
    }
}

/// The lines of each host, sorted: a renamed log has two names.
fn by_host(lines: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    let mut hosts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, lines) in lines {
        let host = Path::new(&file).parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        hosts.entry(host).or_default().extend(lines);
    }
    hosts.values_mut().for_each(|lines| lines.sort());
    hosts
}

fn config(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name).with_extension("toml");
    fs::write(&path, text).unwrap();
    path
}

fn start(name: &str, config: &Path) -> Running {
    Running::start(name, &[Path::new("run"), Path::new("--config"), config])
}

fn events(broker: &KafkaTestbed, topic: &str) -> BTreeMap<String, Vec<String>> {
    let records = broker.read_topic(topic);
    by_host(originals(records.iter().map(|record| record.value.as_deref().unwrap_or_default())))
}

#[test]
fn nothing_is_lost_or_repeated_over_kills_of_collector_and_broker() {
    let name = "nothing_is_lost_or_repeated_over_kills_of_collector_and_broker";
    let brokers = from_environment("WULOG_KILL_BROKERS").unwrap_or(3);
    let testbed = if brokers == 1 { KafkaTestbed::start() } else { KafkaTestbed::start_cluster() };
    let Some(mut broker) = kafka::or_skip(name, testbed) else { return };
    let secs = from_environment("WULOG_KILL_SECS").unwrap_or(SECS);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = from_environment("WULOG_KILL_SEED").unwrap_or(now.as_nanos() as u64 | 1);
    println!("WULOG_KILL_SEED={seed}");
    let mut dice = Dice(seed);

    let folder = tempfile::tempdir().unwrap();
    let (logs, prefix) = (folder.path().join("logs"), kafka::unique_prefix("kill9"));
    HOSTS.iter().for_each(|host| fs::create_dir_all(logs.join(host)).unwrap());
    let kafka = format!("[kafka]\n'bootstrap.servers' = '{}'\n'reconnect.backoff.max.ms' = 500\n", broker.bootstrap());
    let processor = format!(
        "topic_prefix = '{prefix}'\ninstance = 'one'\n[topics]\nraw_partitions = 4\n{kafka}'session.timeout.ms' = 6000\n"
    );
    let processor = config(folder.path(), "processor", &processor);
    let collector = format!(
        "topic_prefix = '{prefix}'\nstate_dir = '{}'\n[limits]\nrescan_interval_ms = 100\n{kafka}\
         [[input]]\npaths = ['{}/*/*.log']\ntime_zone = 'UTC'\nhost_pattern = '(?P<host>[^/]+)/[^/]+$'\n",
        folder.path().join("state").display(),
        logs.display(),
    );
    let collector = config(folder.path(), "collector", &collector);
    let create = [Path::new("topics"), Path::new("create"), Path::new("--config"), &processor];
    process::run("wulog-processor", &create).expect_success();

    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (logs, dice, stop) = (logs.clone(), Dice(seed ^ 0x9E37_79B9_7F4A_7C15), Arc::clone(&stop));
        thread::spawn(move || write(&logs, dice, &stop))
    };
    let processing = start("wulog-processor", &processor);
    let mut collecting = start("wulog-collector", &collector);
    let (until, mut kills) = (Instant::now() + Duration::from_secs(secs), (0, 0));
    while Instant::now() < until {
        thread::sleep(dice.millis(200, 4000));
        if dice.below(4) == 0 {
            broker.kill9_node(1 + dice.below(brokers) as usize);
            kills.1 += 1;
            thread::sleep(dice.millis(0, 3000));
        }
        collecting.kill9();
        kills.0 += 1;
        thread::sleep(dice.millis(0, 1000));
        collecting = start("wulog-collector", &collector);
        if broker.is_killed() {
            thread::sleep(dice.millis(0, 2000));
            broker.restart();
        }
    }
    stop.store(true, Ordering::Release);
    writer.join().unwrap();

    let expected = by_host(written(&logs));
    let lines: usize = expected.values().map(Vec::len).sum();
    let topic = Topic::Events.name(&prefix);
    let stopped = Instant::now();
    // Counted before they are compared, which takes longer.
    let is_missing = || {
        broker.read_topic(&topic).len() < lines
            || events(&broker, &topic).into_values().map(|lines| BTreeSet::from_iter(lines).len()).sum::<usize>()
                < lines
    };
    while is_missing() {
        let say = |running: &Running| running.stderr().lines().rev().take(40).collect::<Vec<_>>().join("\n");
        assert!(
            stopped.elapsed() < LIMIT,
            "not an event for each of {lines} lines; newest first, the collector says:\n{}\nand the processor:\n{}",
            say(&collecting),
            say(&processing)
        );
        thread::sleep(Duration::from_millis(200));
    }
    println!("all are events {:?} after the last line", stopped.elapsed());
    // An orderly stop ships the remaining lines, so that repeated lines show.
    for running in [collecting, processing] {
        running.terminate_within(STOP_LIMIT).expect_success();
    }
    println!("{lines} lines over {} kills of the collector and {} of the broker", kills.0, kills.1);
    for (host, got) in events(&broker, &topic) {
        let expected = &expected[&host];
        let repeated: Vec<&String> = got.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
        let lost: Vec<&String> = expected.iter().filter(|line| got.binary_search(line).is_err()).collect();
        assert!(lost.is_empty(), "{host}: lost {lost:?}");
        if brokers == 1 && broker.forgot_a_transaction() {
            println!("{host}: {} lines are repeated, of transactions that Kafka forgot", repeated.len());
            continue;
        }
        assert!(repeated.is_empty(), "{host}: repeated {repeated:?}");
        assert_eq!(got.len(), expected.len(), "{host}");
    }
}
