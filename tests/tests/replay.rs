//! `replay` as an admin runs it on a log: compared with the live run, and stopped in the middle.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use wulog_tests::embedded::{lived, outbreak_on_the_second_day};
use wulog_tests::fleet::{DAY_MS, HOUR_MS};
use wulog_tests::process::{Ended, Running, run};

const HOSTS: usize = 30;
const STEP_MS: i64 = HOUR_MS / 2;
/// A loaded machine may start slowly.
const LIMIT: Duration = Duration::from_secs(60);

/// One log for all tests, which only read it.
fn db() -> &'static str {
    static LOG: OnceLock<(tempfile::TempDir, String)> = OnceLock::new();
    let (_, path) = LOG.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let fleet = outbreak_on_the_second_day(31, HOSTS);
        let end_ms = fleet.spec().start_ms + 2 * DAY_MS;
        let log = lived(fleet, folder.path(), (end_ms, STEP_MS)).unwrap();
        let path = log.path.to_str().unwrap().to_owned();
        (folder, path)
    });
    path
}

fn replay(more: &[&str]) -> Ended {
    run("wulog-processor", &[&["replay", "--db", db()], more].concat())
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[track_caller]
fn expect(ended: &Ended, parts: &[&str]) {
    ended.expect_success();
    for part in parts {
        assert!(ended.stdout.contains(part), "{part:?} is not in {}", ended.stdout);
    }
}

#[test]
fn the_same_configuration_makes_no_difference() {
    let signals = replay(&["--stage", "signals", "--compare", "live"]);
    expect(&signals, &["No difference: 1 incident is the same in the live run and the replay."]);
    // The raw lines give the same incident, and the state at the end of a replay does not count as a difference.
    expect(&replay(&["--compare", "live"]), &["No difference: 1 incident is the same in the live run and the replay."]);
}

#[test]
fn a_stricter_configuration_opens_later_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("compare.html");
    let compared = |detector: &str| {
        let file = written(folder.path(), "detector.toml", &format!("[detector]\n{detector}\n"));
        let more = ["--stage", "signals", "--detector", &file, "--what-if", "--compare", "live"];
        replay(&[&more[..], &["--compare-out", page.to_str().unwrap()]].concat())
    };
    let missing = compared("min_hosts = 1000");
    expect(
        &missing,
        &["0 incidents are the same, 0 differ, 1 only in the live run, 0 only in the replay.", "untrusted_root"],
    );
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("<h2>Only in the live run</h2>"), "{html}");

    let later = compared("min_hosts = 6");
    expect(&later, &["0 incidents are the same, 1 differ, 0 only in the live run, 0 only in the replay.", " later"]);
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains(" later</td>") && !html.contains("Only in"), "{html}");
}

#[test]
fn incidents_that_opened_outside_the_range_do_not_count() {
    let before = (outbreak_on_the_second_day(31, HOSTS).spec().start_ms + DAY_MS / 2) / 1_000;
    let until = chrono::DateTime::from_timestamp(before, 0).unwrap().to_rfc3339();
    let early = replay(&["--stage", "signals", "--compare", "live", "--until", &until]);
    expect(&early, &["No difference: 0 incidents are the same"]);
    let late = replay(&["--stage", "signals", "--compare", "live", "--since", &until]);
    expect(&late, &["No difference: 1 incident is the same", "the live run: 1 incident compared, 0 outside the range"]);
}

#[test]
fn files_have_no_live_run_but_may_be_compared_with_documents() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let mut fleet = outbreak_on_the_second_day(32, 20);
    let end_ms = fleet.spec().start_ms + 2 * DAY_MS;
    for host in fleet.hosts() {
        std::fs::create_dir_all(logs.join(&host.name)).unwrap();
    }
    for (host, bytes) in fleet.lines_until(end_ms) {
        std::fs::write(logs.join(host).join("WindowsUpdate.log"), bytes).unwrap();
    }
    let logs = logs.to_str().unwrap();
    let refused = run("wulog-processor", &["replay", "--logs", logs, "--compare", "live"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("--logs has no live run"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--alerts-out"), "{}", refused.stderr);

    let alerts = folder.path().join("alerts.jsonl");
    let alerts = alerts.to_str().unwrap();
    run("wulog-processor", &["replay", "--logs", logs, "--alerts-out", alerts]).expect_success();
    let compared = run("wulog-processor", &["replay", "--logs", logs, "--compare", alerts]);
    expect(&compared, &["No difference: 1 incident is the same in ", "alerts.jsonl and the replay."]);
}

/// The outputs of a replay that is stopped are those of one whose records end there.
#[test]
fn a_replay_that_is_stopped_leaves_whole_documents() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, all) = many_logs(folder.path());
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let (events, alerts) = (folder.path().join("events.jsonl"), folder.path().join("alerts.jsonl"));
        let arguments = [
            "replay",
            "--logs",
            logs.to_str().unwrap(),
            "--events-out",
            events.to_str().unwrap(),
            "--alerts-out",
            alerts.to_str().unwrap(),
        ];
        let _ = std::fs::remove_file(&events);
        let mut running = Running::start("wulog-processor", &arguments);
        running.until("events", LIMIT, |_| std::fs::metadata(&events).is_ok_and(|file| file.len() > 1_000_000));
        let sent = Command::new("kill").args([&format!("-{signal}"), &running.pid().to_string()]).status().unwrap();
        assert!(sent.success());
        let ended = running.ended_within(LIMIT);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("stopped by SIG{signal}: replayed from 20")), "{}", ended.stderr);
        assert!(!ended.stderr.contains('\r'), "standard error is no terminal: {}", ended.stderr);

        let text = std::fs::read_to_string(&events).unwrap();
        assert!(text.ends_with('\n'), "the last line is whole");
        let documents: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told = format!("{} events", documents.len());
        assert!(ended.stderr.contains(&told), "{told} are in the file: {}", ended.stderr);
        assert!(documents.len() < all, "it was done before the signal: give it more lines");
        for alert in std::fs::read_to_string(&alerts).unwrap().lines() {
            serde_json::from_str::<Value>(alert).unwrap();
        }
    }
}

/// Documents of a file of JSON lines.
fn documents(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn rfc3339(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms).unwrap().to_rfc3339()
}

/// Ids of events in their order.
fn ids<'a>(events: impl IntoIterator<Item = &'a Value>) -> Vec<&'a str> {
    let mut ids: Vec<&str> = events.into_iter().map(|event| event["event"]["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// Hosts ship every half hour, so lines before a time are in the log after that time.
#[test]
fn a_range_by_event_time_holds_the_lines_that_say_these_times() {
    let folder = tempfile::tempdir().unwrap();
    let (all, ranged, alerts) =
        (folder.path().join("all.jsonl"), folder.path().join("ranged.jsonl"), folder.path().join("alerts.jsonl"));
    replay(&["--events-out", all.to_str().unwrap()]).expect_success();
    let all = documents(&all);
    let begin = outbreak_on_the_second_day(31, HOSTS).spec().start_ms + DAY_MS / 2 + STEP_MS / 2;
    let end = begin + 4 * HOUR_MS;
    let (since, until) = (rfc3339(begin), rfc3339(end));
    let between = |by: &'static str| {
        let more = ["--by", by, "--since", &since, "--until", &until, "--events-out", ranged.to_str().unwrap()];
        replay(&more).expect_success();
        documents(&ranged)
    };
    let says = |event: &&Value| {
        let at = chrono::DateTime::parse_from_rfc3339(event["@timestamp"].as_str().unwrap()).unwrap();
        (begin..end).contains(&at.timestamp_millis())
    };
    let expect: Vec<&Value> = all.iter().filter(says).collect();
    assert!(expect.len() > 100 && expect.len() < all.len() / 2, "{} of {}", expect.len(), all.len());
    assert_eq!(ids(&between("event")), ids(expect.iter().copied()));
    assert_ne!(ids(&between("log")), ids(expect), "the log has other lines at these times");

    // An alert counts where the first failures of its hosts reach into the range.
    let alerts_between = |since: i64, until: i64| {
        let (since, until) = (rfc3339(since), rfc3339(until));
        let more = ["--by", "event", "--since", &since, "--until", &until, "--alerts-out", alerts.to_str().unwrap()];
        replay(&more).expect_success();
        documents(&alerts)
    };
    assert!(alerts_between(begin, end).is_empty(), "nobody has failed yet");
    let outbreak = outbreak_on_the_second_day(31, HOSTS).spec().start_ms + DAY_MS;
    let found = alerts_between(outbreak, outbreak + DAY_MS);
    assert!(!found.is_empty());
    for alert in found {
        let onset = chrono::DateTime::parse_from_rfc3339(alert["time"]["onset"].as_str().unwrap()).unwrap();
        assert!(onset.timestamp_millis() >= outbreak, "{onset}");
    }
}

#[test]
fn a_warm_up_reads_less_and_writes_the_same_events() {
    let folder = tempfile::tempdir().unwrap();
    let since = rfc3339(outbreak_on_the_second_day(31, HOSTS).spec().start_ms + 30 * HOUR_MS);
    let replayed = |name: &str, more: &[&str]| {
        let path = folder.path().join(name);
        let out = ["--since", &since, "--events-out", path.to_str().unwrap()];
        let ended = replay(&[&out[..], more].concat());
        ended.expect_success();
        let records = ended.stderr.split("replayed ").nth(1).and_then(|said| said.split(' ').next()).unwrap();
        (records.parse::<usize>().unwrap(), documents(&path))
    };
    let (all, events) = replayed("all.jsonl", &[]);
    let (warmed, warmed_events) = replayed("warmed.jsonl", &["--warm-up", "6h"]);
    let (least, _) = replayed("least.jsonl", &["--warm-up", "1h"]);
    assert!(least < warmed && warmed < all, "{least}, {warmed}, {all} records");
    assert!(!events.is_empty());
    assert_eq!(ids(&warmed_events), ids(&events));
    let refused = run("wulog-processor", &["replay", "--logs", "/", "--since", &since, "--warm-up", "6h"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("--warm-up is for --db and --config"), "{}", refused.stderr);
}

/// Under `script` of util-linux standard error is a terminal.
#[test]
fn progress_is_one_line_on_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, _) = many_logs(folder.path());
    let command = format!(
        "'{}' replay --logs '{}' --events-out /dev/null",
        wulog_tests::line::binary("wulog-processor").display(),
        logs.display()
    );
    let script = Path::new("/usr/bin/script");
    if !script.exists() {
        eprintln!("SKIPPED: util-linux's script is missing");
        return;
    }
    let ended = Running::start_program(script, &["--quiet", "--return", "--command", &command, "/dev/null"])
        .ended_within(Duration::from_secs(120));
    ended.expect_success();
    let screen = ended.stdout;
    let (progress, rest) = screen.rsplit_once("\r\x1b[K").unwrap();
    let shown: Vec<&str> = progress.split("\x1b[K").filter(|text| text.contains("records/s")).collect();
    assert!(!shown.is_empty(), "{screen:?}");
    for text in shown {
        assert!(text.starts_with('\r') && text.ends_with(" left") && !text.contains('\n'), "{text:?} in {screen:?}");
        assert!(text.trim_start().ends_with(" left") && text.len() < 80, "{text:?}");
    }
    assert!(rest.starts_with("replayed ") && !rest.contains("records/s"), "{rest:?}");
}

/// Many hosts with the same lines, enough work for some seconds; returns the number of lines too.
fn many_logs(folder: &Path) -> (PathBuf, usize) {
    let logs = folder.join("logs");
    let mut fleet = outbreak_on_the_second_day(33, 20);
    let end_ms = fleet.spec().start_ms + 2 * DAY_MS;
    let mut lines = 0;
    for (host, bytes) in fleet.lines_until(end_ms) {
        lines += COPIES * bytes.iter().filter(|&&byte| byte == b'\n').count();
        for copy in 0..COPIES {
            let host = logs.join(format!("{host}-{copy}"));
            std::fs::create_dir_all(&host).unwrap();
            std::fs::write(host.join("WindowsUpdate.log"), &bytes).unwrap();
        }
    }
    (logs, lines)
}

/// Number of copies of each host: half a million lines, which take longer than the second before progress is shown.
const COPIES: usize = 120;
