//! The commands as users call them: exit codes, what is said, and what is done.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod agent;

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use agent::{Bench, names};

/// 26 bytes of lines with their endings as one byte each, 28 in the file.
const TWO_LINES: &str = "first line\r\nsecond line a\u{fc}\r\n";
const LOG: &str = "WindowsUpdate.log";

#[test]
fn versions_and_wrong_words() {
    let bench = Bench::new("");
    bench.run(&["--version"]).expect(0, &["wulog-collector 0.1.0"]);
    bench.run(&["ship"]).expect(2, &["unrecognized subcommand 'ship'"]);
    bench.run(&["cursor", "reset"]).expect(2, &["<FILE>"]);
    bench.run(&["run", "--config", "/nowhere/c.toml"]).expect(2, &["/nowhere/c.toml"]);
}

#[test]
fn check_config_says_what_is_wrong_and_where() {
    let bench = Bench::new("");
    let config = bench.config().display().to_string();
    let check = |code, said: &[&str]| bench.run(&["check-config", "--config", &config]).expect(code, said);
    check(3, &["logs/*.log: no file matches"]);
    fs::write(bench.log(LOG), TWO_LINES).unwrap();
    check(0, &["collector.toml: valid"]);
    // By the environment, as a service manager gives it.
    bench.run(&["check-config"]).expect(0, &["collector.toml: valid"]);
    bench.configure("[limits]\nline_bytes_max = 1");
    check(2, &[&format!("{config}:6:"), "limits.line_bytes_max"]);
    bench.configure("[limits]\nline_bytes = 1");
    check(2, &[&format!("{config}:6:"), "line_bytes"]);
    bench.configure("'linger.mss' = 5");
    check(2, &[&config, "linger.mss"]);
    bench.configure("'security.protocol' = 'ssl'\n'ssl.ca.location' = '/nowhere/ca.pem'");
    check(2, &[&config, "ssl.ca.location"]);
    // Nothing was begun.
    assert!(!bench.dir.path().join("state").exists());
}

#[test]
fn a_test_reads_and_connects_and_ships_nothing() {
    let bench = Bench::new("");
    fs::write(bench.log(LOG), TWO_LINES).unwrap();
    fs::write(bench.log("empty.log"), "").unwrap();
    bench.run(&["test"]).expect(
        0,
        &[
            "WindowsUpdate.log: Utf8, starts with \"first line",
            "empty.log: is empty",
            "topic wulog.raw has 1 partitions; nothing was shipped",
        ],
    );
    assert_eq!(bench.records(), []);
    assert!(!bench.dir.path().join("state").exists());
    bench.cluster.broker_down(1).unwrap();
    bench.run(&["test"]).expect(1, &[&bench.cluster.bootstrap_servers()]);
}

#[test]
fn positions_are_shown_and_one_is_forgotten() {
    let bench = Bench::new("");
    fs::write(bench.log(LOG), TWO_LINES).unwrap();
    fs::write(bench.log("other.log"), "other\n").unwrap();
    bench.run(&["cursor", "show"]).expect(0, &["generation 0, 0 files"]);
    bench.ship(3);
    let first = bench.shipped();
    let show = bench.run(&["cursor", "show"]);
    let file = bench.log(LOG).display().to_string();
    let epoch = &first.iter().find(|line| line.text == "first line").unwrap().epoch;
    show.expect(0, &["2 files", &file, &format!("epoch {epoch}  acknowledged up to offset 27 (byte 29 of the file)")]);

    // Not while a collector runs: it would write its own positions over that.
    let running = bench.start();
    running.until("it has started", || running.stderr().contains("collector started"));
    bench.run(&["cursor", "reset", &file]).expect(1, &["in use", "stop the collector first"]);
    bench.run(&["cursor", "show"]).expect(0, &[&file]);
    running.terminate();
    bench.run(&["cursor", "reset", "third.log"]).expect(1, &["third.log", "cursor show"]);

    // By a name that holds in the folder where it is called.
    bench.run(&["cursor", "reset", LOG]).expect(0, &["was acknowledged up to offset 27", "from its start"]);
    let show = bench.run(&["cursor", "show"]);
    show.expect(0, &["1 files", "other.log"]);
    assert!(!show.stdout.contains(LOG), "{show:?}");
    bench.ship(5);
    let again = &bench.shipped()[3..];
    let texts: Vec<&str> = again.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["first line", "second line a\u{fc}"]);
    assert!(again.iter().all(|line| line.epoch != *epoch && line.epoch == again[0].epoch), "{again:?}");
}

#[test]
fn a_sealed_machine_begins_anew() {
    let bench = Bench::new("");
    fs::write(bench.log(LOG), TWO_LINES).unwrap();
    bench.ship(2);
    let running = bench.start();
    running.until("it has started", || running.stderr().contains("collector started"));
    bench.run(&["seal"]).expect(1, &["in use", "stop the collector first"]);
    running.terminate();
    bench.run(&["seal"]).expect(0, &["sealed", "machine id of its own"]);
    assert_eq!(names(&bench.dir.path().join("state")), ["lock"]);
    bench.run(&["cursor", "show"]).expect(0, &["0 files"]);
    bench.ship(4);
    let shipped = bench.shipped();
    assert_eq!((shipped[2].offset, &shipped[2].text), (0, &shipped[0].text));
    assert_ne!(shipped[2].epoch, shipped[0].epoch);

    // What all clones would share is said.
    bench.configure("[host]\nid = 'image-1'");
    bench.run(&["seal"]).expect(3, &["[host] id is set"]);
}

#[test]
fn one_state_directory_has_one_collector() {
    let bench = Bench::new("");
    let running = bench.start();
    running.until("it has started", || running.stderr().contains("collector started"));
    bench.run(&["run"]).expect(1, &["state", "in use by another collector"]);
    running.terminate();
}

#[test]
fn a_line_leaves_at_once_however_long_kafka_took_for_the_one_before() {
    let bench = Bench::new("");
    bench.cluster.broker_round_trip_time(1, Duration::from_millis(50)).unwrap();
    let running = bench.start();
    for number in 1..=5 {
        let written = Instant::now();
        fs::OpenOptions::new().create(true).append(true).open(bench.log(LOG)).unwrap().write_all(b"line\n").unwrap();
        running.until("the line is in the topic", || bench.shipped().len() == number);
        // Files are looked at four times a second. A round trip takes 50 ms, and this test's own consumer some of them.
        let took = written.elapsed();
        assert!(number == 1 || took < Duration::from_secs(3), "line {number}: {took:?}");
    }
    running.terminate();
}
