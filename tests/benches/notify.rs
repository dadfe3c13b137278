//! From a line in a log file to the request at a webhook, and what a dead channel beside it costs.
//!
//! `standalone` runs as a process over the folders of 600 hosts. At each of 200 updates three hosts fail, and a rule makes an
//! incident of the third: the time runs from before that host's line is written until the endpoint has the whole request.
//! This is done in turn with one channel and with a second one whose endpoint is dead; the CPU time of the process is
//! compared within one run, since machines differ.
//!
//! ```text
//! cargo bench --workspace --bench notify
//! ```
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use wulog_schemas::alert::Alert;
use wulog_tests::alerts::Desk;
use wulog_tests::process::eventually;
use wulog_tests::receiver::{Answer, Receiver, get};

const INCIDENTS: usize = 200;
/// The rule makes an incident of so many hosts.
const HOSTS_EACH: usize = 3;
/// One incident after the other, so that each is measured by itself and not the queue before it.
const PAUSE: Duration = Duration::from_millis(150);
const LIMIT: Duration = Duration::from_secs(120);
/// What issue and operators ask for.
const P99_MAX: Duration = Duration::from_secs(3);
/// With and without the dead channel, so many times in turn.
const ROUNDS: usize = 2;

struct Round {
    latencies: Vec<Duration>,
    cpu: Duration,
}

fn update(number: usize) -> String {
    format!("{number:08x}-6555-e8d9-5360-9cbc1d52a0bb")
}

/// A line of ReportingEvents.log, written now.
fn line(host: usize, number: usize, failed: bool) -> String {
    let time = chrono::Utc::now().format("%Y-%m-%d %H:%M:%S:%3f");
    let guid = format!("{{{number:08X}-0000-4000-8000-{host:012X}}}");
    let update = update(number).to_uppercase();
    if failed {
        format!(
            "{guid}\t{time}+0000\t1\t161 [AGENT_DOWNLOAD_FAILED]\t101\t{{{update}}}\t1\t800b0109\tAutomaticUpdates\tFailure\t\
             Content Download\tError: Download failed.\r\n"
        )
    } else {
        format!(
            "{guid}\t{time}+0000\t1\t147 [AGENT_DETECTION_FINISHED]\t101\t{{00000000-0000-0000-0000-000000000000}}\t0\t0\t\
             AutomaticUpdates\tSuccess\tSoftware Synchronization\tWindows Update Client successfully detected 0 updates.\r\n"
        )
    }
}

fn append(desk: &Desk, host: usize, line: &str) {
    let folder = desk.path("logs").join(format!("pc-{host:04}"));
    let path = folder.join("ReportingEvents.log");
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(line.as_bytes()).unwrap();
}

/// User and system time of a process so far, in the kernel's hundredths of a second.
fn cpu_of(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name of the program stands in parentheses and may hold blanks.
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = [fields[11], fields[12]].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

fn round(with_dead: bool) -> Round {
    let alive = Receiver::start(|_| Answer::Status(204, ""));
    let dead = Receiver::start(|_| Answer::Status(503, ""));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let webhook = |name: &str, url: &str| format!("[[channels]]\nname = '{name}'\nkind = 'webhook'\nurl = '{url}'\n");
    let mut config = format!(
        "[http]\nlisten = '127.0.0.1:{port}'\n[detector]\nmin_hosts = 1000000\n[[detector.rules]]\nname = 'three at an update'\n\
         min_hosts = {HOSTS_EACH}\nwithin_secs = 86400\nby = 'update'\n{}",
        webhook("alive", &alive.url())
    );
    if with_dead {
        config += &webhook("dead", &dead.url());
    }
    let desk = Desk::new(&config);
    for host in 0..INCIDENTS * HOSTS_EACH {
        fs::create_dir(desk.path("logs").join(format!("pc-{host:04}"))).unwrap();
        append(&desk, host, &line(host, 0, false));
    }
    let running = desk.start(if with_dead { 2 } else { 1 });
    let active = format!("figure=\"hosts_by_state\",state=\"active\"}} {}", INCIDENTS * HOSTS_EACH);
    eventually("all hosts are caught up with", LIMIT, || get(port, "/metrics").contains(&active));

    let (mut begun, before) = (Vec::new(), cpu_of(running.pid()));
    for incident in 0..INCIDENTS {
        let hosts = incident * HOSTS_EACH..(incident + 1) * HOSTS_EACH;
        let last = hosts.end - 1;
        for host in hosts {
            let failed = line(host, incident + 1, true);
            if host == last {
                begun.push(Instant::now());
            }
            append(&desk, host, &failed);
        }
        std::thread::sleep(PAUSE);
    }
    // The number of the update tells which incident a document is of.
    let arrived = || -> Vec<Option<Duration>> {
        let mut first: Vec<Option<Duration>> = vec![None; INCIDENTS];
        for request in alive.requests() {
            let alert: Alert = serde_json::from_slice(&request.body).unwrap();
            for subject in &alert.subjects {
                let place = (0..INCIDENTS).find(|place| subject.subject == format!("update:{}", update(place + 1)));
                if let Some(place) = place {
                    let took = request.at.saturating_duration_since(begun[place]);
                    first[place] = Some(first[place].map_or(took, |known| known.min(took)));
                }
            }
        }
        first
    };
    eventually("an alert of each incident", LIMIT, || arrived().iter().all(Option::is_some));
    let cpu = cpu_of(running.pid()) - before;
    assert!(!with_dead || !dead.requests().is_empty(), "the dead endpoint was tried");
    let latencies = arrived().into_iter().flatten().collect();
    running.terminate().expect_success();
    Round { latencies, cpu }
}

fn report(name: &str, rounds: &[Round]) -> Duration {
    let mut all: Vec<Duration> = rounds.iter().flat_map(|round| round.latencies.iter().copied()).collect();
    all.sort();
    let at = |share: usize| all[(all.len() * share / 100).min(all.len() - 1)];
    let cpu: Duration = rounds.iter().map(|round| round.cpu).sum();
    println!(
        "{name}: {} incidents, from line to notification p50 {:.2} s, p90 {:.2} s, p99 {:.2} s, max {:.2} s; {:.2} CPU-s",
        all.len(),
        at(50).as_secs_f64(),
        at(90).as_secs_f64(),
        at(99).as_secs_f64(),
        all[all.len() - 1].as_secs_f64(),
        cpu.as_secs_f64()
    );
    at(99)
}

fn main() {
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(round(false));
        beside.push(round(true));
    }
    let p99 = report("one channel", &alone).max(report("beside a dead one", &beside));
    let cpu = |rounds: &[Round]| rounds.iter().map(|round| round.cpu.as_secs_f64()).sum::<f64>();
    println!("a dead channel: {:.2} times the CPU time of the process", cpu(&beside) / cpu(&alone));
    assert!(p99 <= P99_MAX, "p99 is {p99:?}");
}
