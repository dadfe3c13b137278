//! Every line of every log in the corpus becomes exactly one event with the whole line, for any age, damage and
//! encoding.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use wulog_tests::documents::{self, Lines, expect_same, expect_valid, originals, schema};
use wulog_tests::process;

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut logs: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("in.log"))
        .filter(|log| log.exists())
        .collect();
    logs.sort();
    assert!(logs.len() >= 40, "only {} logs", logs.len());
    logs
}

/// The events of `wulog-processor parse FILE...`, one JSON document each.
fn parse(files: &[PathBuf]) -> Vec<String> {
    let mut arguments = vec![PathBuf::from("parse")];
    arguments.extend_from_slice(files);
    let ended = process::run("wulog-processor", &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // There are warnings about a log without a time zone, an unreadable log, and several folders, and no others.
    assert!(ended.stderr.lines().all(|line| line.contains(" WARN ")), "{}", ended.stderr);
    ended.stdout.lines().map(str::to_owned).collect()
}

fn written(files: &[PathBuf]) -> Lines {
    files.iter().map(|file| (file.display().to_string(), documents::split(&fs::read(file).unwrap()))).collect()
}

#[test]
fn every_line_is_one_valid_event() {
    let files = corpus();
    let events = parse(&files);
    expect_same(&originals(events.iter().map(String::as_bytes)), &written(&files));
    let schema = schema("event");
    events.iter().for_each(|event| expect_valid(&schema, event.as_bytes()));
}

#[test]
fn utf_16_gives_the_same_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut wide_files = Vec::new();
    for (number, file) in corpus().iter().enumerate() {
        let text = fs::read_to_string(file).unwrap();
        let wide: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        let path = folder.path().join(format!("{number}.log"));
        fs::write(&path, wide).unwrap();
        wide_files.push(path);
    }
    let events = parse(&wide_files);
    let lines = |lines: Lines| lines.into_values().collect::<Vec<_>>();
    let wide = originals(events.iter().map(String::as_bytes));
    let expected: Lines = wide_files
        .iter()
        .map(|path| path.display().to_string())
        .zip(corpus().iter().map(|file| documents::split(&fs::read(file).unwrap())))
        .collect();
    assert_eq!(lines(wide.clone()).len(), corpus().len());
    expect_same(&wide, &expected);
}

/// The fourteen lines that started this project. Expected values are read from the first line by eye.
#[test]
fn the_fourteen_lines_name_the_failure() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/w7-lup-800b0109-report/in.log");
    let events: Vec<Value> = parse(&[file]).iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    assert_eq!(events.len(), 14);
    let check = |event: &Value, pointer: &str, expected: &str| {
        assert_eq!(event.pointer(pointer).and_then(Value::as_str), Some(expected), "{pointer} of {event}");
    };
    let first = &events[0];
    check(first, "/@timestamp", "2011-05-15T05:47:07.169Z"); // 07:47:07:169+0200
    check(first, "/event/action", "download-failed");
    check(first, "/event/outcome", "failure");
    check(first, "/error/code", "0x800b0109");
    check(first, "/wu/family", "untrusted_root");
    check(first, "/wu/update_id", "8468427e-6555-e8d9-5360-9cbc1d52a0bb");
    check(first, "/wu/caller", "AutomaticUpdatesWuApp");
    check(first, "/log/logger", "Report");
    // The line about the upload of a crash report repeats the code and is not a second failure.
    check(&events[2], "/log/logger", "Report");
    let failures = events.iter().filter(|event| event["event"]["outcome"] == "failure").count();
    assert_eq!(failures, 1, "one failure in fourteen lines");
}
