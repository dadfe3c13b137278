//! Every field of every line of the corpus against expectations that were written from the line, by hand.
//!
//! `tests/corpus/NAME/events.jsonl` holds one object a line of `in.log`, with the dotted names of all fields that the line, or
//! the lines above it, determine; a field that is not there must not be in the event either.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use wulog_tests::process;

/// Fields that depend on the reader, the path and the run instead of the line.
const NOT_OF_THE_LINE: [&str; 22] = [
    "ecs.version",
    "error.message",
    "event.category",
    "event.created",
    "event.dataset",
    "event.hash",
    "event.id",
    "event.kind",
    "event.module",
    "event.original",
    "event.sequence",
    "host.hostname",
    "host.id",
    "host.name",
    "host.os.type",
    "log.file.path",
    "related.hosts",
    "service.name",
    "service.type",
    "wu.line",
    "wu.pattern",
    "wu.raw",
];

type Fields = BTreeMap<String, Value>;

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| case.is_dir());
    cases.sort();
    cases
}

fn parse(log: &Path, arguments: &[&str]) -> Vec<Value> {
    let mut all = vec![PathBuf::from("parse"), log.to_owned()];
    all.extend(arguments.iter().map(PathBuf::from));
    let ended = process::run("wulog-processor", &all);
    // There are warnings about logs of other programs, and about logs without times.
    let complaints = ended.stderr.lines().filter(|line| !line.contains(" WARN ")).collect::<Vec<_>>();
    assert_eq!((ended.code, complaints), (Some(0), Vec::new()), "{}", log.display());
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn expected(case: &Path) -> Vec<Fields> {
    let path = case.join("events.jsonl");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    with_host_facts(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Adds to failing lines the facts of their host from earlier lines, as `EVENTS.md` says, so that a log with a hundred
/// failures need not repeat them.
fn with_host_facts(mut lines: Vec<Fields>) -> Vec<Fields> {
    let mut host = Fields::new();
    for line in &mut lines {
        for name in ["wu.wsus", "wu.target_group", "service.version"] {
            match (line.get(name), host.get(name)) {
                (Some(told), _) => _ = host.insert(name.to_owned(), told.clone()),
                (None, Some(known)) if line.get("event.outcome") == Some(&"failure".into()) => {
                    line.insert(name.to_owned(), known.clone());
                }
                (None, _) => {}
            }
        }
    }
    lines
}

/// The fields of a document that depend on the line, by dotted name.
fn of_the_line(events: &[Value], number: usize) -> Fields {
    let mut fields = Fields::new();
    flatten(&events[number], "", &mut fields);
    fields
        .retain(|name, _| !NOT_OF_THE_LINE.iter().any(|other| name == other || name.starts_with(&format!("{other}."))));
    // Expectations name the line that a line continues by its number, from 1.
    if let Some(head) = fields.get_mut("wu.continues") {
        *head = events.iter().position(|event| event["event"]["id"] == *head).map_or(Value::Null, |at| (at + 1).into());
    }
    // The flag `late` and the time of reading depend on the day of the test.
    if let Some(Value::Array(flags)) = fields.get_mut("wu.flags") {
        flags.retain(|flag| flag != "late");
        if flags.is_empty() {
            fields.remove("wu.flags");
        }
    }
    if fields["wu.time_source"] == "read" {
        fields.insert("wu.time_source".to_owned(), "log".into());
    }
    if fields["wu.time_source"] == "log" {
        fields.remove("@timestamp");
    }
    fields
}

fn flatten(value: &Value, name: &str, fields: &mut Fields) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(value, &name, fields);
            }
        }
        value => _ = fields.insert(name.to_owned(), value.clone()),
    }
}

/// Differences of a case, and how many fields were compared.
fn compare(case: &Path, events: &[Value], differences: &mut Vec<String>) -> usize {
    let expected = expected(case);
    let name = case.file_name().unwrap().to_string_lossy();
    assert_eq!(events.len(), expected.len(), "lines of {name}");
    let mut compared = 0;
    for (number, expect) in expected.iter().enumerate() {
        let found = of_the_line(events, number);
        let names: BTreeSet<&String> = found.keys().chain(expect.keys()).collect();
        compared += names.len();
        let differs = |field: &&&String| found.get(**field) != expect.get(**field);
        differences.extend(names.iter().filter(differs).map(|field| {
            let show = |fields: &Fields| fields.get(*field).map_or("nothing".to_owned(), Value::to_string);
            format!("{name}:{} {field}: {} where {} is expected", number + 1, show(&found), show(expect))
        }));
    }
    compared
}

#[test]
fn every_field_of_every_line_is_as_expected() {
    let mut differences = Vec::new();
    let (mut lines, mut fields) = (0, 0);
    let cases = corpus();
    assert!(cases.len() >= 62, "only {} cases", cases.len());
    for case in &cases {
        let events = parse(&case.join("in.log"), &[]);
        lines += events.len();
        fields += compare(case, &events, &mut differences);
    }
    println!("{} logs, {lines} lines, {fields} fields, {} differences", cases.len(), differences.len());
    assert!(differences.is_empty(), "{} of {fields} fields differ:\n{}", differences.len(), differences.join("\n"));
}

/// The live log of Windows 2000 to 8.1 is written in the code page of the system.
#[test]
fn a_code_page_gives_the_same_fields() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/w8-de-nonascii-titles");
    let text = fs::read_to_string(case.join("in.log")).unwrap();
    let (bytes, _, unmappable) = encoding_rs::WINDOWS_1252.encode(&text);
    assert!(!unmappable && bytes.len() < text.len());
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("WindowsUpdate.log");
    fs::write(&log, bytes).unwrap();
    let mut differences = Vec::new();
    compare(&case, &parse(&log, &["--encoding", "windows-1252"]), &mut differences);
    assert_eq!(differences, Vec::<String>::new());
}
