//! The post-mortem of a small outbreak: the contents of its files, and the check that foreign text does not act in
//! them. Also the same outbreak under another configuration.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use wulog_processor::detect::{Detector, DetectorConfig, Rule};
use wulog_processor::language::Language;
use wulog_processor::log::Record;
use wulog_processor::machine::{InRecord, Machine};
use wulog_processor::postmortem::{HostHistory, ReportData, Style, evidence_of};
use wulog_processor::replay::{Results, from_signals};
use wulog_schemas::alert::{Alert, Provenance, State, UtcTime};
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{Attempt, ConfigChange, Fact, HostRef, Outcome, RawPosition, Signal, VERSION};
use wulog_schemas::topic::Topic;

mod outbreak;

use outbreak::{FLEET, HOUR, REPAIRED, START, STRICKEN, UPDATE, WSUS, failed_at, outbreak, repair, repaired_at};

/// The outbreak and its repair.
fn signals() -> Vec<Signal> {
    outbreak().into_iter().chain(repair()).collect()
}

fn incident() -> (ReportData, Alert) {
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
    (ReportData::of_documents(documents).with_history(&history).with_lines(lines), newest)
}

fn written(incident: &ReportData, language: Language) -> BTreeMap<String, String> {
    written_in(incident, Style { language, zone: chrono_tz::Europe::Berlin })
}

fn written_in(incident: &ReportData, style: Style) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    incident.write(folder.path(), style).unwrap();
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
        assert!(row.contains(&format!(" (KB9990001),{recovered},0,")) && row.ends_with(&format!(",{WSUS}")), "{row}");
    }

    let page = &files["report.html"];
    let text = |expect: &str| assert!(page.contains(expect), "{expect} is not in the page:\n{page}");
    text(&format!("{STRICKEN} of {FLEET} active hosts"));
    text("0x800b0109 CERT_E_UNTRUSTEDROOT");
    text("2019-11-13 02:00:00 (03:00)");
    text(&format!("WSUS server {WSUS}"));
    if newest.state == State::Resolved {
        text("resolved at");
    }
    assert_eq!(page.matches("<rect class=\"bar\"").count(), 1, "all failed within one hour");

    text(">onset 2019-11-13 02:00 UTC (03:00)<");
    assert!(page.contains("in parentheses in Europe&#x2f;Berlin"));
    let utc = &written_in(&incident, Style { language: Language::En, zone: chrono_tz::UTC })["report.html"];
    assert!(utc.contains("Times are in UTC.") && !utc.contains("parentheses") && !utc.contains("02:00:00 ("));
}

/// The text of a page, without its elements.
fn text_of(page: &str) -> String {
    let body = page.split("<body>").nth(1).unwrap();
    seen(
        &body
            .split('<')
            .filter_map(|element| element.split_once('>'))
            .map(|(_, text)| text)
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

/// The text of a page as its reader sees it.
fn seen(page: &str) -> String {
    let entities = [("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    entities.iter().fold(page.to_owned(), |page, (entity, text)| page.replace(entity, text))
}

#[test]
fn a_german_report_is_german() {
    let (incident, newest) = incident();
    let files = written(&incident, Language::De);
    let page = seen(&files["report.html"]);
    assert!(page.contains("<html lang=\"de\">") && page.contains("Betroffene Rechner"));
    let english = newest.remediation.iter().flat_map(|step| [Some(&step.check), step.on.as_ref()]).flatten();
    let english = english.chain(&newest.severity.reasons).chain([&newest.summary]);
    for sentence in english {
        assert!(!page.contains(sentence.as_str()), "{sentence:?} is English");
    }
    for word in
        [" hosts ", "hosts (", "Affected", "Healthy", "opened", "growing", "resolved", "gamma", "auf Englisch zitiert"]
    {
        assert!(!text_of(&files["report.html"]).contains(word), "{word:?} is in the German page");
    }
    assert!(
        page.contains("WSUS-Server wsus-2.corp.example:8530") && page.contains(">Beginn 2019-11-13 02:00 UTC (03:00)<")
    );
    assert!(files["timeline.jsonl"].contains("scheiterte erstmals"));

    // A sentence that this version does not know is quoted, and the page says so.
    let mut other = newest;
    other.severity.reasons.push("a sentence of another version".to_owned());
    let page = &written(&ReportData::of_documents(vec![other]), Language::De)["report.html"];
    assert!(page.contains("a sentence of another version") && page.contains("auf Englisch zitiert"));
}

#[test]
fn a_row_of_the_timeline_says_what_is_new() {
    let (incident, newest) = incident();
    let page = &written(&incident, Language::En)["report.html"];
    assert_eq!(seen(page).matches(&newest.summary).count(), 0, "no summary is repeated");
    let timeline: Vec<Value> = written(&incident, Language::En)["timeline.jsonl"]
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let said = |what: &str| timeline.iter().filter(|row| row["message"].as_str().unwrap().contains(what)).count();
    assert_eq!(said("#1 opened: "), 1);
    assert_eq!(said(&format!("{STRICKEN} in all")), 1, "{timeline:#?}");
    assert_eq!(said(&format!("{REPAIRED} of {STRICKEN} affected hosts have recovered")), 1, "{timeline:#?}");
}

#[test]
fn the_command_of_the_source_stands_at_the_end() {
    let (incident, newest) = incident();
    assert!(seen(&written(&incident, Language::En)["report.html"]).contains(&newest.replay));
    let page = seen(
        &written(&incident.replayed_by("wulog-processor replay --logs my".to_owned()), Language::En)["report.html"],
    );
    assert!(page.contains("The same document again: wulog-processor replay --logs my<"));
    assert!(!page.contains("processor.toml"));
}

/// The requirements of Timesketch's `lib/utils.py` for a row: `message`, `datetime` in ISO 8601, and `timestamp_desc`.
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
fn foreign_text_does_not_act_in_pages() {
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
    let files = written(&ReportData::of_documents(vec![newest]), Language::En);
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
    let files = written(&ReportData::of_documents(vec![newest]).with_history(&history), Language::En);
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
