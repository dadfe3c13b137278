//! `replay` as an admin runs it on a log: compared with what was live, and stopped in the middle.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use wulog_tests::embedded::lived;
use wulog_tests::fleet::{Cause, DAY_MS, Fleet, FleetSpec, HOUR_MS, Layout};
use wulog_tests::process::{Ended, Running, run};

const HOSTS: usize = 30;
const STEP_MS: i64 = HOUR_MS / 2;
/// A loaded machine may take long to begin.
const LIMIT: Duration = Duration::from_secs(60);

/// A day of peace, then a day in which every host of one server fails. Sites in UTC, since files alone don't say their zone.
fn fleet(seed: u64, hosts: usize) -> Fleet {
    let mut spec = FleetSpec::new(seed, hosts).with_outbreak(1, DAY_MS, Cause::UntrustedRoot);
    spec.layout = Layout::Sites;
    for site in spec.wsus.iter_mut().flat_map(|wsus| &mut wsus.sites) {
        (site.zone, site.utc_minutes) = ("Etc/UTC".to_owned(), 0);
    }
    Fleet::new(spec)
}

/// One log for all tests, which only read it.
fn db() -> &'static str {
    static LOG: OnceLock<(tempfile::TempDir, String)> = OnceLock::new();
    let (_, path) = LOG.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let fleet = fleet(31, HOSTS);
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
    // The raw lines give the same incident, and the state at the end of a replay is no difference.
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
    let before = (fleet(31, HOSTS).spec().start_ms + DAY_MS / 2) / 1_000;
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
    let mut fleet = fleet(32, 20);
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
    let logs = folder.path().join("logs");
    let mut fleet = fleet(33, 20);
    let end_ms = fleet.spec().start_ms + 2 * DAY_MS;
    let lines = fleet.lines_until(end_ms);
    // Many hosts with the same lines: enough work for some seconds.
    for copy in 0..COPIES {
        for (host, bytes) in &lines {
            let host = logs.join(format!("{host}-{copy}"));
            std::fs::create_dir_all(&host).unwrap();
            std::fs::write(host.join("WindowsUpdate.log"), bytes).unwrap();
        }
    }
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
        let all: usize = lines.values().map(|bytes| bytes.iter().filter(|&&byte| byte == b'\n').count()).sum();
        assert!(documents.len() < all * COPIES, "it was done before the signal: give it more lines");
        for alert in std::fs::read_to_string(&alerts).unwrap().lines() {
            serde_json::from_str::<Value>(alert).unwrap();
        }
    }
}

/// Copies of each host: some hundred thousand lines.
const COPIES: usize = 40;
