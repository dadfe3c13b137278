//! `alerts list` and `alerts show`: the printed text, compared as a whole, and the messages without an alert.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use wulog_processor::alerts::{AlertsByIncident, LookupError, list, show};
use wulog_processor::log::embedded::{EmbeddedConfig, EmbeddedLog};
use wulog_processor::log::{Log, Write};
use wulog_schemas::alert::{Alert, Level, State, Transition, UtcTime};
use wulog_schemas::topic::Topic;

const HOUR: i64 = 3_600_000;

/// The first example of the contract: opened 2019-11-14 15:20:06 UTC, 4 of 196 hosts.
fn example() -> Alert {
    let text = include_str!("../../../schemas/examples/alert.json");
    serde_json::from_str::<Vec<Alert>>(text).unwrap().remove(0)
}

/// The example during a day: 12 hosts, then stable.
fn life() -> Vec<Alert> {
    let mut growing = example();
    (growing.seq, growing.transition, growing.severity.level) = (2, Transition::Growing, Level::High);
    (growing.hosts.affected, growing.hosts.new_since_last) = (12, 8);
    growing.summary = growing.summary.replace("4 of 196 active hosts (2.0 %)", "12 of 196 active hosts (6.1 %)");
    growing.summary = growing.summary.replace("all 4 have", "all have");
    growing.time.updated = UtcTime(growing.time.updated.0 + HOUR);
    let mut stable = growing.clone();
    (stable.seq, stable.transition, stable.hosts.new_since_last) = (3, Transition::Stable, 0);
    (stable.hosts.recovered, stable.hosts.silent) = (2, 1);
    stable.time.updated = UtcTime(stable.time.updated.0 + 24 * HOUR);
    vec![example(), growing, stable]
}

fn with_id(id: &str, severity: Level, state: State) -> Alert {
    let mut alert = example();
    alert.id = id.to_owned();
    (alert.severity.level, alert.state) = (severity, state);
    if state == State::Resolved {
        alert.transition = Transition::Resolved;
    }
    alert
}

fn book(alerts: impl IntoIterator<Item = Alert>) -> AlertsByIncident {
    let mut book = AlertsByIncident::default();
    alerts.into_iter().for_each(|alert| book.add(alert));
    book
}

/// Five incidents: two of one severity, one resolved, one of the year before, one without a common factor.
fn several() -> AlertsByIncident {
    let mut old = with_id("wu-0000000000000001", Level::Critical, State::Open);
    old.time.onset = UtcTime(old.time.onset.0 - 400 * 24 * HOUR);
    let mut alone = with_id("wu-9f2c61d1a4e7b512", Level::Low, State::Open);
    alone.common_factors.clear();
    (alone.hosts.affected, alone.hosts.active) = (12_345, 1_000_000);
    let resolved = with_id("wu-aaaaaaaaaaaaaaaa", Level::Low, State::Resolved);
    let mut foreign = with_id("wu-bbbbbbbbbbbbbbbb", Level::High, State::Open);
    foreign.common_factors[0].value = "b\u{fc}ro\u{1b}[2J".to_owned();
    book(life().into_iter().chain([old, alone, resolved, foreign]))
}

#[test]
fn a_list_has_the_worst_on_top() {
    assert_eq!(list(&several(), false, 80), include_str!("printed/list.txt"));
    assert_eq!(list(&several(), true, 100), include_str!("printed/list_all_100.txt"));
    assert_eq!(list(&AlertsByIncident::default(), false, 80), "0 open\n");
}

#[test]
fn an_incident_with_its_history() {
    let documents = life();
    assert_eq!(show(&documents.iter().collect::<Vec<_>>(), 80), include_str!("printed/show.txt"));
}

#[test]
fn a_long_history_keeps_its_first_and_its_newest() {
    let documents: Vec<Alert> = (1..=50)
        .map(|seq| {
            let mut alert = example();
            alert.seq = seq;
            alert
        })
        .collect();
    let text = show(&documents.iter().collect::<Vec<_>>(), 80);
    let history: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("HISTORY")).collect();
    assert_eq!(history.len(), 22);
    assert!(history[1].starts_with("  #1 ") && history[2] == "  ... 30 more", "{history:#?}");
    assert!(history[3].starts_with("  #32 ") && history[21].starts_with("  #50 "), "{history:#?}");
}

#[test]
fn ids_may_be_short() {
    let several = several();
    let found = |prefix: &str| several.find(prefix).map(|documents| documents.last().unwrap().id.clone());
    for prefix in ["wu-aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa", "WU-A", "a", " aaaa "] {
        assert_eq!(found(prefix).unwrap(), "wu-aaaaaaaaaaaaaaaa", "{prefix}");
    }
    assert_eq!(several.find("9f2c61d0a4e7b511").unwrap().len(), 3);
    assert_eq!(found("wu-f"), Err(LookupError::Unknown("wu-f".to_owned())));
    let LookupError::Ambiguous { count: 2, ids, .. } = found("9f2c").unwrap_err() else { panic!("two begin so") };
    assert_eq!(ids, "wu-9f2c61d0a4e7b511, wu-9f2c61d1a4e7b512");
    let LookupError::Ambiguous { count: 5, .. } = found("wu").unwrap_err() else { panic!("all begin so") };
}

/// Runs the binary; gives exit code, standard output, standard error.
fn run(arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wulog-processor"))
        .arg("alerts")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let ended = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

fn lines(alerts: &[Alert]) -> Vec<u8> {
    alerts.iter().flat_map(|alert| serde_json::to_vec(alert).unwrap().into_iter().chain(*b"\n")).collect()
}

/// The same documents from a file, from standard input and from the embedded log give the same text, except for the
/// replay command.
#[test]
fn every_source_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (file, db) = (folder.path().join("alerts.jsonl"), folder.path().join("wulog.db"));
    std::fs::write(&file, lines(&life())).unwrap();
    let writes: Vec<Write> = life()
        .iter()
        .map(|alert| Write {
            topic: Topic::Alerts,
            partition: 0,
            timestamp_ms: alert.time.updated.0,
            key: alert.id.clone().into(),
            header: None,
            value: Some(serde_json::to_vec(alert).unwrap().into()),
        })
        .collect();
    let mut log = EmbeddedLog::open(&EmbeddedConfig::at(&db), "test", Topic::Signals).unwrap();
    log.commit(&writes, &[(0, 0)].into()).unwrap();
    let (file, db) = (file.to_str().unwrap(), db.to_str().unwrap());

    let expect = include_str!("printed/show.txt");
    assert_eq!(run(&["show", "9f2c", "--file", file], b""), (Some(0), expect.to_owned(), String::new()));
    assert_eq!(run(&["show", "9f2c", "--file", "-"], &lines(&life())).1, expect);
    let (code, from_db, _) = run(&["show", "9f2c", "--db", db], b"");
    let words = |text: &str| text.split_whitespace().filter(|word| *word != "\\").collect::<Vec<_>>().join(" ");
    let expect = words(expect).replace("--config processor.toml", &format!("--db {db}"));
    assert_eq!((code, words(&from_db)), (Some(0), expect));
    let newest = serde_json::from_str::<Alert>(&run(&["show", "9f2c", "--db", db, "--json"], b"").1).unwrap();
    assert_eq!(newest, life()[2]);
    assert!(run(&["list", "--db", db], b"").1.starts_with("ID       STATE    SEVERITY "));
}

#[test]
fn an_unreadable_source_or_an_unknown_incident_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (empty, broken) = (path("empty.jsonl"), path("broken.jsonl"));
    std::fs::write(&empty, "").unwrap();
    std::fs::write(&broken, [lines(&life()), b"\n{\"id\":\"wu-1\"}\n".to_vec()].concat()).unwrap();
    let cases: [(&[&str], i32, &str); 6] = [
        (&["show", "wu-77", "--file", "-"], 1, "standard input holds no alerts"),
        (&["show", "wu-77", "--file", &empty], 1, "empty.jsonl holds no alerts"),
        (&["list", "--file", &path("none.jsonl")], 1, "none.jsonl: cannot be read"),
        (&["list", "--db", &path("none.db")], 1, "none.db: no file; expected what `standalone --db` wrote"),
        (&["list", "--config", &path("none.toml")], 2, "none.toml"),
        (&["list"], 2, "--config <FILE>|--db <FILE>|--file <FILE>"),
    ];
    for (arguments, code, expect) in cases {
        let (ended, stdout, stderr) = run(arguments, b"");
        assert_eq!((ended, stdout.as_str()), (Some(code), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expect), "{arguments:?}: {stderr}");
    }
    // One unreadable document hides none of the others.
    let (ended, stdout, stderr) = run(&["list", "--file", &broken], b"");
    assert_eq!(ended, Some(0), "{stderr}");
    assert_eq!(stdout, run(&["list", "--file", "-"], &lines(&life())).1);
    assert!(stderr.contains("broken.jsonl, line 5: no alert document that this version can read"), "{stderr}");
    let (_, _, stderr) = run(&["show", "77", "--file", "-"], &lines(&life()));
    assert!(stderr.contains("no incident 77; `wulog-processor alerts list --all` names"), "{stderr}");
}
