//! Known faults of such pipelines that this stage can prevent, one case each. The detector's tests cover windows,
//! baselines and lifecycle.

use std::path::Path;

use serde_json::{Value, json};
use wulog_schemas::raw::Heartbeat;

use super::feed::{Feed, LOG_TIME};

/// A log of the corpus, without its last line ending.
fn log(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus").join(name).join("in.log");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.trim_end_matches('\n').replace('\r', "")
}

fn verdicts_of(lines: &str) -> Vec<String> {
    let mut feed = Feed::live();
    feed.lines(lines);
    feed.tick(10 * 60_000);
    feed.verdicts()
}

/// Several lines for one failure, and healthy installations that log its code: the outcomes are read off the whole logs
/// by eye.
#[test]
fn a_whole_log_folds_to_its_outcomes() {
    // The trust check fails (5 lines with the code), and the report names the update; another update is installed, with
    // a restart to come.
    assert_eq!(
        verdicts_of(&log("w7-full-scan-download-install-thirdparty-800b0109")),
        [
            "failure update:4b7c21d8-5f0e-4a93-9c1d-2e6608f1a3b7 0x800b0109",
            "success update:b0d3e5a1-77c4-4f28-8e19-5a92c6d40e13"
        ]
    );
    // Three lines with the code, then `Trusted Publisher: Yes` and a download and an installation that succeed: two
    // steps of the chain.
    assert_eq!(
        verdicts_of(&log("w81-healthy-thirdparty-800b0109-then-success")),
        ["success update:9e4d17c3-b052-4f86-a7d1-3c60e8b5f294"; 2]
    );
    assert_eq!(
        verdicts_of(&log("w11-full-scan-download-install-wsus")),
        ["success update:7c1e0f3a-52d4-4b60-9f1e-3a8d27b5c401"]
    );
    // Two codes of one cause in seven lines: the last code counts.
    assert_eq!(
        verdicts_of(&log("w10-thirdparty-8024b303-failed")),
        ["failure update:91b3d7e2-6a0f-4c15-8e92-b7d04f3a61c8 0x8024b303"]
    );
}

/// A benign code of certificate trust, and failures that do not concern trust.
#[test]
fn a_line_without_a_trust_failure_gives_no_attempt() {
    for name in
        ["w11-2025-80248014-authtoken-80092004", "w10-2004-startup", "w7-cbs-80070057-wsus", "w2019-wsus-content-404"]
    {
        let failures: Vec<String> =
            verdicts_of(&log(name)).into_iter().filter(|it| it.starts_with("failure")).collect();
        assert_eq!(failures, Vec::<String>::new(), "{name}");
    }
}

const FAILED: &str = "2017-05-16\t10:00:05:000\t1020\te2c\tReport\tREPORT EVENT: {D3AE8947-4B1E-49C2-8D70-5E93A1F6C216}\t2017-05-16 10:00:00:000-0700\t1\t161\t101\t{8468427E-6555-E8D9-5360-9CBC1D52A0BB}\t1\tCODE\tAutomaticUpdates\tFailure\tContent Download\tError: Download failed.";

/// Every spelling of a code gives the same failure.
#[test]
fn a_decimal_code_is_the_same_failure() {
    for code in ["800b0109", "0x800B0109", "-2146762487", "2148204809"] {
        let expect = ["failure update:8468427e-6555-e8d9-5360-9cbc1d52a0bb 0x800b0109"];
        assert_eq!(verdicts_of(&FAILED.replace("CODE", code)), expect, "{code}");
    }
}

/// A looping host: the same failure every minute for a day gives one attempt.
#[test]
fn a_looping_host_gives_one_attempt() {
    let mut feed = Feed::live();
    for minute in 0..600 {
        let line = FAILED
            .replace("CODE", "800b0109")
            .replace("10:00:0", &format!("{:02}:{:02}:0", 10 + minute / 60, minute % 60));
        feed.lines(&line);
    }
    assert_eq!(feed.verdicts().len(), 1);
}

/// `Get-WindowsUpdateLog` rewrites the whole file: the same lines under a new epoch are flagged and do not count again.
#[test]
fn a_regenerated_file_counts_nothing_twice() {
    let text = log("w10-thirdparty-8024b303-failed");
    let mut feed = Feed::live();
    feed.lines(&text);
    feed.tick(10 * 60_000);
    let before = feed.verdicts();
    feed.epoch = "00aa11bb22cc33dd";
    feed.offset = 0;
    feed.lines(&text);
    feed.tick(10 * 60_000);
    assert_eq!(feed.verdicts(), before);
    let events = feed.events();
    let again = &events[events.len() / 2..];
    let is_reread =
        |event: &&Value| event["wu"]["flags"].as_array().is_some_and(|flags| flags.contains(&json!("reread")));
    assert_eq!(again.iter().filter(is_reread).count(), again.len());
}

/// A laptop that is back after a week, and a clock that is ahead: the first is flagged `late`, the second is not
/// believed.
#[test]
fn a_late_line_and_a_clock_ahead_are_flagged() {
    let line = |day: &str| {
        format!("{day}\t12:00:00:000\t 952\t5b4\tDnldMgr\tWARNING: File failed postprocessing, error = 800b0109")
    };
    let flags_of = |line: &str| {
        let mut feed = Feed::live();
        feed.utc = Some(0);
        feed.lines(line);
        feed.events().pop().map(|event| event["wu"]["flags"].clone()).unwrap_or_default()
    };
    // Log time is 2030-01-01 00:00.
    assert_eq!(LOG_TIME, 1_893_456_000_000);
    assert_eq!(flags_of(&line("2029-12-24")), json!(["late"]));
    assert_eq!(flags_of(&line("2029-12-31")), Value::Null);
    assert_eq!(flags_of(&line("2030-01-01")), json!(["time_suspect"]));
}

/// The service restarts under the same process id after a change to winter time: the newer of banner and report
/// decides, and a late report does not bring the old offset back.
#[test]
fn an_offset_is_the_newest_that_is_known() {
    let mut feed = Feed::live();
    feed.lines("2014-10-25\t20:00:00:000\t 952\t5b4\tMisc\t===========  Logging initialized (build: 7.6.7601.18847, tz: +0200)  ===========");
    let report = |time: &str, event: &str| {
        format!(
            "2014-10-26\t{time}\t 952\t5b4\tReport\tREPORT EVENT: {{D3AE8947-4B1E-49C2-8D70-5E93A1F6C216}}\t{event}\t1\t147\t101\t{{00000000-0000-0000-0000-000000000000}}\t0\t0\tAutomaticUpdates\tSuccess\tSoftware Synchronization\tx"
        )
    };
    feed.lines(&report("08:00:05:000", "2014-10-26 08:00:00:000+0100"));
    feed.lines("2014-10-26\t08:01:00:000\t 952\t5b4\tAU\tx");
    feed.lines(&report("09:00:00:000", "2014-10-25 21:00:00:000+0200"));
    feed.lines("2014-10-26\t09:01:00:000\t 952\t5b4\tAU\tx");
    let times: Vec<Value> = feed.events().iter().map(|event| event["@timestamp"].clone()).collect();
    let expect = [
        "2014-10-25T18:00:00.000Z",
        "2014-10-26T07:00:00.000Z",
        "2014-10-26T07:01:00.000Z",
        "2014-10-25T19:00:00.000Z",
        "2014-10-26T08:01:00.000Z",
    ];
    assert_eq!(times, expect);
}

/// Two processes with builds and zones of their own in one file do not share them.
#[test]
fn processes_in_one_file_keep_their_state() {
    let mut feed = Feed::live();
    feed.lines("2014-07-01\t08:00:00:000\t 100\t1\tMisc\t===========  Logging initialized (build: 7.6.7601.18847, tz: +0200)  ===========");
    feed.lines("2014-07-01\t06:00:00:000\t 200\t1\tMisc\t===========  Logging initialized (build: 7.6.7600.256, tz: -0000)  ===========");
    feed.lines("2014-07-01\t08:00:01:000\t 100\t1\tAgent\t** START **  Agent: Finding updates [CallerId = A]");
    feed.lines("2014-07-01\t06:00:01:000\t 200\t1\tAgent\tx");
    feed.lines("2014-07-01\t08:00:02:000\t 100\t1\tAgent\tx");
    let seen: Vec<Value> = feed
        .events()
        .iter()
        .map(|event| json!([event["@timestamp"], event["service"]["version"], event["wu"]["operation"]]))
        .collect();
    assert_eq!(
        seen[2..],
        [
            json!(["2014-07-01T06:00:01.000Z", "7.6.7601.18847", "scan"]),
            json!(["2014-07-01T06:00:01.000Z", "7.6.7600.256", null]),
            json!(["2014-07-01T06:00:02.000Z", "7.6.7601.18847", "scan"]),
        ]
    );
}

/// A first collector ships weeks of log in a minute: its attempts are history, at their own times, until the collector
/// reports that it has caught up.
#[test]
fn a_backlog_is_history_until_the_host_has_caught_up() {
    let mut feed = Feed::catching_up();
    feed.beat(&Heartbeat { caught_up: false, ..Heartbeat::default() });
    feed.lines(&log("w7-full-scan-download-install-thirdparty-800b0109"));
    feed.tick(10 * 60_000);
    assert_eq!(feed.verdicts().len(), 2);
    assert!(feed.attempts().iter().all(|attempt| attempt.late));
    assert!(feed.host_facts().iter().all(|facts| !facts.caught_up));
    let before = feed.verdicts().len();
    feed.heartbeat(true);
    assert_eq!(feed.verdicts().len(), before, "what was told is not told again");
    let facts = feed.host_facts();
    let failing: Vec<&str> =
        facts.last().map(|facts| facts.failing.iter().map(|it| it.subject.as_str()).collect()).unwrap_or_default();
    assert_eq!(failing, ["update:4b7c21d8-5f0e-4a93-9c1d-2e6608f1a3b7"]);
    assert_eq!(facts.last().map(|facts| facts.caught_up), Some(true));
}

/// Agent and download manager write nested sections: the end of the inner one does not end the outer one.
#[test]
fn nested_sections_are_one_operation() {
    let mut feed = Feed::live();
    let line = |component: &str, text: &str| format!("2014-07-01\t08:00:00:000\t 100\t1\t{component}\t{text}");
    let sections = [
        ("Agent", "** START **  Agent: Downloading updates [CallerId = A]", Some("download")),
        ("DnldMgr", "** START **  DnldMgr: Downloading updates [CallerId = A]", Some("download")),
        ("DnldMgr", "**  END  **  DnldMgr: Downloading updates [CallerId = A]", Some("download")),
        ("Agent", "  * Updates to download = 1", Some("download")),
        ("Agent", "**  END  **  Agent: Downloading updates [CallerId = A]", Some("download")),
        ("Agent", "x", None),
    ];
    for (component, text, expect) in sections {
        feed.lines(&line(component, text));
        let event = feed.events().pop().expect("a line gives an event");
        assert_eq!(event["wu"]["operation"].as_str(), expect, "{text}");
    }
}
