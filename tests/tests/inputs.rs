//! Inputs of the processor's binary other than a text file: standard input, traces, event logs, archives.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use wulog_tests::line::binary;
use wulog_tests::process::{Running, run};

const LIMIT: Duration = Duration::from_secs(30);

/// Files that are not text: their first bytes, and the remedy in the message.
fn binaries() -> [(&'static str, Vec<u8>, &'static str); 4] {
    let noise = |seed: u32| (0..4_000_u32).map(move |n| (n.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 13) as u8);
    let begun = |head: &[u8], seed| head.iter().copied().chain(noise(seed)).collect::<Vec<u8>>();
    [
        ("WindowsUpdate.20240307.060152.781.1.etl", begun(b"\0\0\x01\0\x48\0\0\0", 1), "Get-WindowsUpdateLog"),
        ("System.evtx", begun(b"ElfFile\0\0\0\0\0\0\0\0\0", 2), "ReportingEvents.log"),
        ("logs.zip", begun(b"PK\x03\x04\x14\0\0\0\x08\0", 3), "unpack it"),
        ("WindowsUpdate.log.gz", begun(b"\x1F\x8B\x08\0\0\0\0\0", 4), "unpack it"),
    ]
}

/// Runs the processor with `bytes` on a pipe as standard input.
fn piped(arguments: &[&str], bytes: &[u8]) -> Output {
    let mut child = Command::new(binary("wulog-processor"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    // A thread writes, so that neither side waits for the other with a full pipe. The program may stop reading early.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn corpus(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name).join("in.log")).unwrap()
}

#[test]
fn parse_reads_standard_input_as_it_reads_the_file() {
    for name in ["w7-mslearn-8024402c", "w10-ja-80072f8f-sls", "reportingevents-all-kinds"] {
        let log = corpus(name);
        let output = piped(&["parse", "-", "--host", "pc-7"], &log);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{name}: {stderr}");
        let lines: Vec<&str> = std::str::from_utf8(&log).unwrap().lines().collect();
        let events: Vec<Value> = output
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let originals: Vec<&str> = events.iter().map(|event| event["event"]["original"].as_str().unwrap()).collect();
        assert_eq!(originals, lines, "{name}");
        assert!(events.iter().all(|event| event["host"]["name"] == "pc-7"), "{name}");
    }
    // The log names no time zone, and the command line gives none.
    let warned = piped(&["parse", "-"], &corpus("w10-ja-80072f8f-sls"));
    assert!(String::from_utf8_lossy(&warned.stderr).contains("--time-zone"));
}

#[test]
fn explain_reads_standard_input_and_its_exit_code_is_the_verdict() {
    for (name, code, part) in [
        ("w11-full-scan-download-install-wsus", 0, "nothing fails"),
        ("w7-mslearn-8024402c", 1, "0x8024402C"),
        ("cbs-800b0109-healthy-client", 2, "cannot be read"),
    ] {
        let output = piped(&["explain", "-"], &corpus(name));
        let page = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{name}: {page}");
        assert!(page.contains(part), "{name}: {page}");
        assert!(page.contains("standard input"), "{name}: {page}");
    }
    let nothing = piped(&["explain", "-"], b"");
    assert_eq!(nothing.status.code(), Some(2));
    let missing = run("wulog-processor", &["explain", "missing/WindowsUpdate.log"]);
    assert_eq!(missing.code, Some(2), "{}", missing.stderr);
    assert!(missing.stderr.contains("missing/WindowsUpdate.log"), "{}", missing.stderr);
}

#[test]
fn parse_refuses_a_binary_file_with_one_message_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, todo) in binaries() {
        for name in [name.to_owned(), format!("{name}-renamed.log")] {
            let path = folder.path().join(&name);
            fs::write(&path, &bytes).unwrap();
            let ended = run("wulog-processor", &["parse", path.to_str().unwrap()]);
            assert_eq!(ended.code, Some(1), "{name}: {}", ended.stderr);
            assert_eq!(ended.stdout, "", "{name}");
            assert_eq!(ended.stderr.matches(&name).count(), 1, "{name}: {}", ended.stderr);
            assert!(ended.stderr.contains(todo), "{name}: {}", ended.stderr);
        }
        let output = piped(&["parse", "-"], &bytes);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{name} on standard input");
    }
}

/// `standalone` is the collector, both machines and a log in one process: no binary file becomes an event, each is named
/// once, and a text beside them is read.
#[test]
fn standalone_names_each_binary_file_once_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let mut expected = Vec::new();
    for (at, (name, bytes, todo)) in binaries().into_iter().enumerate() {
        // As a log beside a text, and under its own name where the host has nothing else.
        for (host, name) in
            [(format!("mixed-{at}"), format!("{name}-renamed.log")), (format!("bare-{at}"), name.to_owned())]
        {
            fs::create_dir_all(logs.join(&host)).unwrap();
            let path = logs.join(&host).join(name);
            fs::write(&path, &bytes).unwrap();
            expected.push((path, todo));
        }
        fs::write(logs.join(format!("mixed-{at}/WindowsUpdate.log")), corpus("w7-mslearn-8024402c")).unwrap();
    }
    let db = folder.path().join("wulog.db");
    let arguments = ["standalone", "--logs", logs.to_str().unwrap(), "--db", db.to_str().unwrap()];
    let mut running = Running::start("wulog-processor", &arguments);
    let events = || {
        let log = rusqlite::Connection::open_with_flags(&db, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        let mut statement = log.prepare("SELECT value FROM record WHERE topic = 'events'").ok()?;
        let values: rusqlite::Result<Vec<String>> = statement.query_map([], |row| row.get(0)).ok()?.collect();
        values.ok()
    };
    let lines = 4 * String::from_utf8(corpus("w7-mslearn-8024402c")).unwrap().lines().count();
    running.until("an event for each line of text", LIMIT, |_| events().is_some_and(|events| events.len() >= lines));
    running.until("a warning for each binary file", LIMIT, |running| {
        let said = running.stderr();
        expected.iter().all(|(path, _)| said.contains(path.to_str().unwrap()))
    });
    let said = running.terminate().stderr;
    for (path, todo) in expected {
        let warnings: Vec<&str> = said.lines().filter(|line| line.contains(path.to_str().unwrap())).collect();
        assert_eq!(warnings.len(), 1, "{}: {warnings:?}", path.display());
        assert!(warnings[0].contains("WARN") && warnings[0].contains(todo), "{}", warnings[0]);
    }
    let events = events().unwrap();
    let is_garbage = |event: &&String| !event.contains("mixed-") || event.contains("renamed.log");
    assert_eq!(events.iter().filter(is_garbage).collect::<Vec<_>>(), Vec::<&String>::new());
}
