//! Messages of both binaries to systemd, and messages as JSON.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use wulog_schemas::alert::{Level, Transition};
use wulog_tests::alerts::{Desk, document};
use wulog_tests::process::{Ended, Running, eventually};
use wulog_tests::receiver::{Answer, Receiver};

const LIMIT: Duration = Duration::from_secs(60);
/// Nobody listens there.
const KAFKA: &str = "[kafka]\n'bootstrap.servers' = '127.0.0.1:1'\n";

/// A folder, and the socket of a service manager in it.
struct Bench {
    folder: tempfile::TempDir,
    socket: UnixDatagram,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        Bench { folder, socket }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    /// Starts a binary as systemd does with `WatchdogSec=` of one second.
    fn start(&self, binary: &str, arguments: &[&str]) -> Running {
        let arguments: Vec<String> = [
            &format!("NOTIFY_SOCKET={}", self.path("notify").display()),
            "WATCHDOG_USEC=1000000",
            &wulog_tests::line::binary(binary).display().to_string(),
        ]
        .into_iter()
        .chain(arguments.iter().copied())
        .map(str::to_owned)
        .collect();
        Running::start_program(Path::new("/usr/bin/env"), &arguments)
    }

    fn standalone(&self, more: &[&str]) -> Running {
        let (logs, db) = (self.path("logs").display().to_string(), self.path("wulog.db").display().to_string());
        self.start("wulog-processor", &[&["standalone", "--logs", &logs, "--db", &db], more].concat())
    }

    /// The next message within the time.
    fn hear(&self, limit: Duration) -> Option<String> {
        let until = Instant::now() + limit;
        let mut buffer = [0; 256];
        while Instant::now() < until {
            if let Ok(length) = self.socket.recv(&mut buffer) {
                return Some(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
        }
        None
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn check(bench: &Bench, running: Running) {
    assert_eq!(bench.hear(LIMIT).as_deref(), Some("READY=1"), "{}", running.stderr());
    for _ in 0..3 {
        assert_eq!(bench.hear(Duration::from_secs(10)).as_deref(), Some("WATCHDOG=1"), "{}", running.stderr());
    }
    let ended = running.terminate();
    ended.expect_success();
    let mut last = String::new();
    while let Some(next) = bench.hear(Duration::from_millis(300)) {
        last = next;
    }
    assert_eq!(last, "STOPPING=1");
}

#[test]
fn standalone_says_ready_alive_and_stopping() {
    let bench = Bench::new();
    check(&bench, bench.standalone(&[]));
}

#[test]
fn the_processor_is_ready_while_it_waits_for_brokers() {
    let bench = Bench::new();
    let config = bench.file("processor.toml", KAFKA);
    let running = bench.start("wulog-processor", &["run", "--config", &config]);
    assert_eq!(bench.hear(LIMIT).as_deref(), Some("READY=1"), "{}", running.stderr());
    assert_eq!(bench.hear(LIMIT).as_deref(), Some("WATCHDOG=1"), "{}", running.stderr());
}

#[test]
fn the_collector_says_ready_alive_and_stopping() {
    let bench = Bench::new();
    let text = format!(
        "state_dir = '{}'\n{KAFKA}[[input]]\npaths = ['{}/*.log']\n",
        bench.path("state").display(),
        bench.path("logs").display()
    );
    let config = bench.file("collector.toml", &text);
    check(&bench, bench.start("wulog-collector", &["run", "--config", &config]));
}

/// One loop hangs while the others run: its endpoint neither answers nor closes, for longer than the watchdog waits.
#[test]
fn a_loop_that_hangs_is_not_covered_by_the_others() {
    let (bench, hung) = (Bench::new(), Receiver::start(|_| Answer::Hang(Duration::from_secs(60))));
    let desk = Desk::new(&format!(
        "[[channels]]\nname = \"hung\"\nkind = \"webhook\"\nurl = \"{}\"\ntimeout_secs = 30\n",
        hung.url()
    ));
    desk.start(1).terminate().expect_success();
    desk.append(&[document(1, 1, Transition::Opened, Level::High)]);
    let words = ["--config", &text(&desk.config()), "--logs", &text(&desk.path("logs")), "--db", &text(&desk.db())];
    let _running = bench.start("wulog-processor", &[&["standalone"], &words[..]].concat());
    assert_eq!(bench.hear(LIMIT).as_deref(), Some("READY=1"));
    eventually("a request", LIMIT, || !hung.requests().is_empty());
    let until = Instant::now() + LIMIT;
    while Instant::now() < until && bench.hear(Duration::from_millis(1500)).is_some() {}
    assert_eq!(bench.hear(Duration::from_secs(5)), None, "a loop hangs for 30 s, and the watchdog is fed");
}

fn objects(ended: &Ended) -> Vec<Value> {
    let parsed = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    ended.stderr.lines().map(parsed).collect()
}

#[test]
fn messages_are_json_objects_where_that_is_asked_for() {
    let bench = Bench::new();
    let mut running = bench.standalone(&["--log-format", "json"]);
    running.until("a message", LIMIT, |running| running.stderr().contains("the logs are read"));
    let ended = running.terminate();
    ended.expect_success();
    let lines = objects(&ended);
    let read =
        lines.iter().find(|line| line["message"].as_str().is_some_and(|text| text.contains("are read"))).unwrap();
    assert_eq!((&read["level"], &read["fields"]["files"]), (&"INFO".into(), &0.into()));
    let names: BTreeSet<&str> = read.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["fields", "level", "message", "target", "time"]));

    // A failure is a JSON object too, for both binaries.
    let config = bench.file("wrong.toml", "no = 1\n");
    for (binary, command) in [("wulog-processor", "run"), ("wulog-collector", "run")] {
        let words = ["--log-format", "json", command, "--config", &config];
        let ended = wulog_tests::process::run(binary, &words);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        let last = objects(&ended).pop().unwrap();
        assert_eq!(last["level"], "ERROR");
        assert!(last["message"].as_str().unwrap().contains("wrong.toml:1"), "{last}");
    }
}
