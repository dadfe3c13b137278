//! The post-mortem of a small outbreak: what its files say, and that nobody's text in them acts. Beside it the same outbreak
//! under another configuration.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use wulog_processor::deliver::Language;
use wulog_processor::detect::{Detector, DetectorConfig, Rule};
use wulog_processor::log::Record;
use wulog_processor::machine::{InRecord, Machine};
use wulog_processor::postmortem::{HostHistory, Incident, Style, evidence_of};
use wulog_processor::replay::{Results, from_signals};
use wulog_schemas::alert::{Alert, Provenance, State, UtcTime};
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{
    Attempt, ConfigChange, Fact, HostFacts, HostRef, Outcome, RawPosition, Signal, Tick, VERSION,
};
use wulog_schemas::topic::Topic;

const START: i64 = 1_573_430_400_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const UPDATE: &str = "update:8468427e-6555-e8d9-5360-9cbc1d52a0bb";
/// A name that no host should have, and any may.
const HOSTILE: &str = "=cmd|' /C calc'!A0<script>alert(1)</script>\u{202e}\"x";
const FLEET: usize = 40;
const STRICKEN: usize = 8;
/// Of the stricken, those that succeed in the end: all but one.
const REPAIRED: usize = 7;

fn name(host: usize) -> String {
    if host == 0 { HOSTILE.to_owned() } else { format!("pc-{host:02}") }
}

/// Two days of a fleet that succeeds, then an hour in which some hosts fail, then their repair.
fn signals() -> Vec<Signal> {
    let mut signals = Vec::new();
    let mut offset = 0;
    let mut push = |at: i64, fact: Fact| {
        offset += 1;
        signals.push(Signal { v: VERSION, log_time: at, raw: RawPosition { partition: 0, offset }, fact });
    };
    let host = |host: usize| HostRef { id: format!("{host:032x}"), name: name(host) };
    let attempt = |number: usize, at: i64, subject: &str, fails: bool| {
        let dimensions: BTreeMap<String, String> = [("title".to_owned(), "VideoTool <3.2>".to_owned())].into();
        Fact::Attempt(Attempt {
            host: host(number),
            subject: subject.to_owned(),
            outcome: if fails { Outcome::Failure } else { Outcome::Success },
            family: fails.then_some(Family::UntrustedRoot),
            code: fails.then(|| "0x800b0109".to_owned()),
            operation: "install".to_owned(),
            dimensions,
            event_time: at,
            since: at,
            late: false,
        })
    };
    for number in 0..FLEET {
        let wsus = if number < STRICKEN { "wsus-2" } else { "wsus-1" };
        let facts = HostFacts {
            host: host(number),
            dimensions: [("wsus".to_owned(), wsus.to_owned())].into(),
            caught_up: true,
            last_event_time: Some(START),
            ..HostFacts::default()
        };
        push(START + number as i64, Fact::HostFacts(facts));
    }
    for hour in 0..48 {
        let at = START + HOUR + hour * HOUR;
        for number in 0..FLEET {
            push(at + number as i64, attempt(number, at + number as i64, &format!("update:{hour:032}"), false));
        }
        push(at + MINUTE, Fact::Tick(Tick { partitions: 1 }));
    }
    for number in 0..FLEET {
        push(failed_at(number), attempt(number, failed_at(number), UPDATE, number < STRICKEN));
    }
    push(START + 51 * HOUR, Fact::Tick(Tick { partitions: 1 }));
    for number in 0..REPAIRED {
        push(repaired_at(number), attempt(number, repaired_at(number), UPDATE, false));
    }
    for hour in 53..80 {
        for number in 0..FLEET {
            let at = START + hour * HOUR + number as i64;
            push(at, attempt(number, at, &format!("update:{hour:032}"), false));
        }
        push(START + hour * HOUR + MINUTE, Fact::Tick(Tick { partitions: 1 }));
    }
    signals
}

fn failed_at(number: usize) -> i64 {
    START + 50 * HOUR + number as i64 * MINUTE
}

fn repaired_at(number: usize) -> i64 {
    START + 52 * HOUR + number as i64 * MINUTE
}

fn incident() -> (Incident, Alert) {
    let mut detector = Detector::new(&DetectorConfig::default(), 0, 1);
    let (mut outputs, mut history) = (Vec::new(), HostHistory::default());
    for (offset, signal) in (0..).zip(signals()) {
        let value = serde_json::to_vec(&signal).unwrap();
        let record =
            InRecord { partition: 0, offset, timestamp_ms: signal.log_time, key: b"host", header: None, value: &value };
        detector.apply(&record, &mut outputs);
        history.take(signal);
    }
    let alerts = outputs.iter().filter(|output| output.topic == Topic::Alerts);
    let documents: Vec<Alert> = alerts.map(|output| serde_json::from_slice(&output.value).unwrap()).collect();
    let newest = documents.last().expect("the outbreak is alerted").clone();
    assert!(documents.iter().all(|document| document.id == newest.id), "one incident");
    let lines = evidence_of(&newest).into_iter().map(|at| (at, format!("line {} </pre><b>", at.offset))).collect();
    (Incident::of_documents(documents).with_history(&history).with_lines(lines), newest)
}

fn written(incident: &Incident, language: Language) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    incident.write(folder.path(), Style { language, zone: chrono_tz::Europe::Berlin }).unwrap();
    let names = ["report.html", "hosts.csv", "timeline.jsonl", "alert.json"];
    names.map(|name| (name.to_owned(), fs::read_to_string(folder.path().join(name)).unwrap())).into()
}

#[test]
fn the_files_say_when_each_host_failed_and_recovered() {
    let (incident, newest) = incident();
    assert_eq!((newest.hosts.affected, newest.hosts.recovered), (STRICKEN as u64, REPAIRED as u64));
    let files = written(&incident, Language::En);
    let again: Alert = serde_json::from_str(&files["alert.json"]).unwrap();
    assert_eq!(again, newest);

    let rows: Vec<&str> = files["hosts.csv"].lines().collect();
    assert_eq!(rows.len(), 1 + STRICKEN, "{rows:#?}");
    for number in 1..STRICKEN {
        let recovered = if number < REPAIRED { UtcTime(repaired_at(number)).to_string() } else { String::new() };
        let begin = format!("pc-{number:02},{},0x800b0109,{UPDATE},", UtcTime(failed_at(number)));
        let row = rows.iter().find(|row| row.starts_with(&begin)).unwrap_or_else(|| panic!("{begin}: {rows:#?}"));
        assert!(row.contains(&format!(">,{recovered},0,")) && row.ends_with(",wsus-2"), "{row}");
    }

    let page = &files["report.html"];
    let text = |expect: &str| assert!(page.contains(expect), "{expect} is not in the page:\n{page}");
    text(&format!("{STRICKEN} of {FLEET} active hosts"));
    text("0x800b0109 CERT_E_UNTRUSTEDROOT");
    text("2019-11-13 02:00:00 (03:00)");
    text("wsus-2");
    if newest.state == State::Resolved {
        text("resolved at");
    }
    assert_eq!(page.matches("<rect class=\"bar\"").count(), 1, "all failed within one hour");

    let german = &written(&incident, Language::De)["report.html"];
    assert!(german.contains("<html lang=\"de\">") && german.contains("Betroffene Rechner"));
}

/// What `lib/utils.py` of Timesketch asks of a row: `message`, `datetime` in ISO 8601, and `timestamp_desc`.
#[test]
fn every_row_of_the_timeline_can_be_imported() {
    let (incident, newest) = incident();
    let files = written(&incident, Language::En);
    let rows: Vec<Value> = files["timeline.jsonl"].lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for row in &rows {
        for field in ["message", "datetime", "timestamp_desc"] {
            assert!(row[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {row}");
        }
        let time = chrono::DateTime::parse_from_rfc3339(row["datetime"].as_str().unwrap()).unwrap();
        assert_eq!(row["timestamp"].as_i64(), Some(time.timestamp_micros()), "{row}");
    }
    let count = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).count();
    assert_eq!((count("host_failed"), count("host_recovered")), (STRICKEN, REPAIRED));
    assert_eq!(count("document"), newest.seq as usize);
    assert!(rows.is_sorted_by_key(|row| row["timestamp"].as_i64()));
}

#[test]
fn nobodys_text_acts() {
    let (incident, _) = incident();
    let files = written(&incident, Language::En);
    let page = &files["report.html"];
    for forbidden in ["<script", "</pre><b>", "<3.2>", "\u{202e}", "http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(forbidden), "{forbidden:?} is in the page");
    }
    assert!(page.contains("default-src 'none'"));
    assert!(page.contains("&lt;script&gt;"), "the host is named");
    let row = files["hosts.csv"].lines().nth(1).unwrap();
    assert!(row.starts_with("\"'=cmd|"), "{row}");
    assert!(files.values().all(|text| !text.contains('\u{202e}')));
}

#[test]
fn a_report_from_alerts_alone_says_what_is_missing() {
    let (_, newest) = incident();
    let files = written(&Incident::of_documents(vec![newest]), Language::En);
    assert!(files["report.html"].contains("The source holds alert documents only."));
    assert!(!files["report.html"].contains("<rect class=\"bar\""), "no curve without first failures");
    assert_eq!(files["hosts.csv"].lines().count(), 1);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let (incident, _) = incident();
    let style = Style { language: Language::En, zone: chrono_tz::UTC };
    let error = incident.write(Path::new("/dev/null/report"), style).unwrap_err().to_string();
    assert!(error.starts_with("/dev/null/report: cannot be written"), "{error}");
}

#[test]
fn a_report_on_20_000_hosts_is_small() {
    const HOSTS: usize = 20_000;
    let (_, mut newest) = incident();
    newest.hosts.names = (0..HOSTS).map(|number| format!("pc-{number:05}.corp.example.com")).collect();
    newest.hosts.affected = HOSTS as u64;
    newest.time.updated = UtcTime(newest.time.onset.0 + HOUR);
    let mut history = HostHistory::default();
    for (number, host) in newest.hosts.names.iter().enumerate() {
        let at = newest.time.onset.0 + number as i64;
        let fact = Fact::Attempt(Attempt {
            host: HostRef { id: format!("{number:032x}"), name: host.clone() },
            subject: UPDATE.to_owned(),
            outcome: Outcome::Failure,
            family: Some(Family::UntrustedRoot),
            code: Some("0x800b0109".to_owned()),
            operation: "install".to_owned(),
            dimensions: BTreeMap::new(),
            event_time: at,
            since: at,
            late: false,
        });
        history.take(Signal { v: VERSION, log_time: at, raw: RawPosition::default(), fact });
    }
    let files = written(&Incident::of_documents(vec![newest]).with_history(&history), Language::En);
    assert_eq!(files["hosts.csv"].lines().count(), 1 + HOSTS);
    assert!(files["hosts.csv"].lines().skip(1).all(|row| row.contains(",0x800b0109,")));
    assert!(files["report.html"].len() < 5_000_000, "{} bytes", files["report.html"].len());
    assert!(files["report.html"].contains("200 of 20000 affected hosts"));
}

/// Names of the rules that the incident met, in a replay of the signals by a detector with a rule.
fn rules_met(what_if: bool) -> Vec<String> {
    let recorded = ConfigChange {
        detector: serde_json::to_value(DetectorConfig::default()).unwrap(),
        provenance: Provenance {
            version: "0.1.0".to_owned(),
            config_hash: "0123456789abcdef".to_owned(),
            schema_hash: String::new(),
            code_table_hash: String::new(),
        },
    };
    let first = Signal { v: VERSION, log_time: START, raw: RawPosition::default(), fact: Fact::Config(recorded) };
    let records = (0..).zip([first].into_iter().chain(signals())).map(|(offset, signal)| {
        let (timestamp_ms, value) = (signal.log_time, serde_json::to_vec(&signal).unwrap());
        Ok(Record { offset, timestamp_ms, key: b"host".to_vec(), value, ..Record::default() })
    });
    let rule: Rule = serde_json::from_value(serde_json::json!({
        "name": "three of a server", "min_hosts": 3, "within_secs": 3600, "by": "wsus",
    }))
    .unwrap();
    let given = DetectorConfig { rules: vec![rule], ..DetectorConfig::default() };
    let mut alerts = Vec::new();
    let mut results = Results { alerts_out: Some(Box::new(&mut alerts)), what_if, ..Results::default() };
    from_signals(&given, records, &mut results).unwrap();
    drop(results);
    let last: Alert =
        serde_json::from_slice(alerts.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap()).unwrap();
    last.detection.rules_met
}

#[test]
fn a_recorded_configuration_counts_unless_the_question_is_what_if() {
    assert_eq!(rules_met(false), Vec::<String>::new());
    assert_eq!(rules_met(true), ["three of a server"]);
}
