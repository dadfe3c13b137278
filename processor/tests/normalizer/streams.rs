//! Laws about the stream of a host's lines: chunks of a file, interleaved processes, repeats.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;
use wulog_lines::{Encoding, EncodingChoice, Frame, Framer, FramerStep};
use wulog_processor::machine::Machine as _;
use wulog_processor::normalize::{Normalizer, NormalizerConfig};
use wulog_schemas::raw::{RawHeader, VERSION};

use super::feed::{Feed, KEY, LOG_TIME, apply};

/// The lines of the corpus that UTF-8, UTF-16 and code page 1252 can all write.
fn latin_lines() -> Vec<String> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus");
    let mut logs: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|case| case.unwrap().path().join("in.log")).collect();
    logs.retain(|log| log.exists());
    logs.sort();
    let texts = logs.into_iter().map(|log| String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned());
    let lines: Vec<String> = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert!(lines.len() > 400);
    lines.into_iter().filter(|line| line.chars().all(is_latin)).collect()
}

/// Whether code page 1252 and Unicode agree on a letter, without control characters, since a log is not a binary file.
fn is_latin(letter: char) -> bool {
    matches!(letter, '\t' | ' '..='~' | '\u{a0}'..='\u{ff}')
}

/// The encoding of a file.
#[derive(Clone, Copy, Debug)]
enum Written {
    Utf8,
    Utf8Mark,
    Utf16Le,
    Cp1252,
}

impl Written {
    fn file(self, lines: &[(String, bool)], ended: bool) -> Vec<u8> {
        let mut text = String::new();
        for (at, (line, crlf)) in lines.iter().enumerate() {
            text.push_str(line);
            if ended || at + 1 < lines.len() {
                text.push_str(if *crlf { "\r\n" } else { "\n" });
            }
        }
        match self {
            Written::Utf8 => text.into_bytes(),
            Written::Utf8Mark => format!("\u{feff}{text}").into_bytes(),
            Written::Utf16Le => format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Written::Cp1252 => text.chars().map(|letter| u8::try_from(letter).expect("Latin-1")).collect(),
        }
    }

    /// The encoding in the collector's configuration.
    fn choice(self) -> EncodingChoice {
        let name = if matches!(self, Written::Cp1252) { "windows-1252" } else { "auto" };
        EncodingChoice::parse(name).unwrap()
    }
}

/// The lines of a file that grows by chunks that end at `cuts`, as the collector finds them.
fn read(file: &[u8], choice: EncodingChoice, cuts: &[Index]) -> Vec<String> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(file.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(file.len());
    let (mut framer, mut at, mut lines) = (None, 0, Vec::new());
    let mut push = |frame: &Frame<'_>| {
        let text = frame.text();
        assert!(!text.lossy);
        lines.push(String::from_utf8(text.bytes.into_owned()).unwrap());
    };
    for end in ends {
        if framer.is_none() {
            // One byte does not show the encoding; at its end a file is taken for UTF-8.
            let whole = (end == file.len() && !file.is_empty()).then_some((Encoding::Utf8, 0));
            let Some((encoding, mark_bytes)) = choice.sniff(&file[..end]).or(whole) else { continue };
            at = mark_bytes as usize;
            framer = Some(Framer::new(encoding, 1 << 20));
        }
        let framer = framer.as_mut().unwrap();
        while let FramerStep::Line(frame) = framer.step(&file[at..end]) {
            at += frame.taken;
            push(&frame);
        }
    }
    if let Some(mut framer) = framer
        && let Some(frame) = framer.finish(&file[at..])
    {
        push(&frame);
    }
    lines
}

/// A process: its id, zone and build, and the update and file at which it fails.
struct Process {
    pid: u32,
    zone: &'static str,
    build: &'static str,
    update: &'static str,
    file: &'static str,
    caller: &'static str,
}

const PROCESSES: [Process; 3] = [
    Process {
        pid: 952,
        zone: "+0200",
        build: "7.6.7600.256",
        update: "8468427E-6555-E8D9-5360-9CBC1D52A0BB",
        file: r"C:\Windows\SoftwareDistribution\Download\89ce\one.cab",
        caller: "AutomaticUpdates",
    },
    Process {
        pid: 1896,
        zone: "-0330",
        build: "7.5.7601.17514",
        update: "1F2E3D4C-6555-E8D9-5360-9CBC1D52A0BB",
        file: r"C:\Windows\SoftwareDistribution\Download\4411\two.exe",
        caller: "CcmExec",
    },
    Process {
        pid: 40,
        zone: "+0000",
        build: "7.9.9600.18340",
        update: "00112233-6555-E8D9-5360-9CBC1D52A0BB",
        file: r"C:\Windows\SoftwareDistribution\Download\9f02\three.msu",
        caller: "wusa",
    },
];

impl Process {
    /// A start of the client, a search, and a failing download, in less time than any failure waits.
    fn lines(&self) -> Vec<String> {
        let Process { pid, zone, build, update, file, caller } = self;
        let report = format!(
            "REPORT EVENT: {{8D311782-E9DB-1E2A-563A-883AFD4A63DD}}\t2015-05-15 07:47:07:169{zone}\t1\t161\t101\t\
             {{{update}}}\t1\t800b0109\t{caller}\tFailure\tContent Download\tError: Download failed."
        );
        [
            (1, "Misc", format!("===========  Logging initialized (build: {build}, tz: {zone})  ===========")),
            (1, "Misc", format!("  = Process: C:\\Windows\\{caller}.exe")),
            (1, "Agent", format!("** START **  Agent: Finding updates [CallerId = {caller}]")),
            (1, "Agent", "  * Online = Yes; Ignore download priority = No".to_owned()),
            (1, "Agent", format!("**  END  **  Agent: Finding updates [CallerId = {caller}]")),
            (2, "DnldMgr", format!("** START **  DnldMgr: Downloading updates [CallerId = {caller}]")),
            (2, "DnldMgr", format!("  * Updates to download = 1\tupdateId = {{{update}}}.1")),
            (2, "Misc", format!("Validating signature for {file}:")),
            (2, "Misc", "\t Microsoft signed: No".to_owned()),
            (2, "Misc", format!("WARNING: Error: 0x800b0109 when verifying trust for {file}")),
            (2, "DnldMgr", "WARNING: File failed postprocessing, error = 800b0109".to_owned()),
            (2, "DnldMgr", format!("**  END  **  DnldMgr: Downloading updates [CallerId = {caller}]")),
            (3, "Report", report),
            (1, "Service", "**  END  **  Service: Service exit [Exit code = 0x240001]".to_owned()),
        ]
        .into_iter()
        .enumerate()
        .map(|(at, (thread, component, text))| {
            format!("2015-05-15\t07:47:07:{:03}\t{pid:4}\t{:x}\t{component}\t{text}", at * 20, pid * 16 + thread)
        })
        .collect()
    }
}

/// Events by process, without the fields for the position of the line.
fn events_of(pid: u32, feed: &Feed) -> Vec<Value> {
    let mut events = feed.events();
    events.retain(|event| event["process"]["pid"] == pid);
    for event in &mut events {
        for (object, fields) in [("event", &["id", "sequence"][..]), ("wu", &["line", "raw", "continues"])] {
            fields.iter().for_each(|field| drop(event[object].as_object_mut().unwrap().remove(*field)));
        }
    }
    events
}

/// A host with these lines, followed by a silence longer than any wait.
fn fed<Line: AsRef<str>>(lines: &[Line]) -> Feed {
    let mut feed = Feed::live();
    for line in lines {
        feed.lines(line.as_ref());
    }
    feed.tick(10 * 60_000);
    feed
}

/// Attempts, each as its JSON, since they come in the order of the lines.
fn attempts(feed: &Feed) -> BTreeSet<String> {
    feed.attempts().iter().map(|attempt| serde_json::to_string(attempt).unwrap()).collect()
}

proptest! {
    #[test]
    fn any_chunks_of_any_encoding_give_the_lines_that_were_written(
        lines in prop::collection::vec(
            (prop_oneof![select(latin_lines()), "[\t -~\u{a0}-\u{ff}]{0,40}"], any::<bool>()),
            1..12,
        ),
        written in select(vec![Written::Utf8, Written::Utf8Mark, Written::Utf16Le, Written::Cp1252]),
        ended in any::<bool>(),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let file = written.file(&lines, ended);
        let got = read(&file, written.choice(), &cuts);
        let mut wanted: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
        // There is no line behind the last ending.
        if !ended && wanted.last() == Some(&"") {
            wanted.pop();
        }
        prop_assert_eq!(&got, &wanted);
        prop_assert!(fed(&got).outputs == fed(&wanted).outputs);
    }

    #[test]
    fn processes_that_write_between_each_other_say_what_each_says_alone(
        order in Just((0..PROCESSES.len()).flat_map(|at| vec![at; PROCESSES[at].lines().len()]).collect::<Vec<_>>())
            .prop_shuffle(),
    ) {
        let mut lines: Vec<_> = PROCESSES.iter().map(|process| process.lines().into_iter()).collect();
        let mixed: Vec<String> = order.iter().map(|at| lines[*at].next().unwrap()).collect();
        let mixed = fed(&mixed);
        let mut expected = BTreeSet::new();
        for process in &PROCESSES {
            let alone = fed(&process.lines());
            prop_assert_eq!(events_of(process.pid, &mixed), events_of(process.pid, &alone));
            expected.extend(attempts(&alone));
        }
        prop_assert_eq!(expected.len(), PROCESSES.len());
        prop_assert_eq!(attempts(&mixed), expected);
    }

    #[test]
    fn repeated_lines_change_nothing(
        repeats in prop::collection::vec((any::<Index>(), any::<Index>()), 1..40),
    ) {
        let mut feed = Feed::live();
        for process in &PROCESSES {
            feed.lines(&process.lines().join("\n"));
            feed.tick(5_000);
        }
        feed.lines(super::attempts::LUP);
        feed.tick(10 * 60_000);
        // (after which record, which record again)
        let mut again: Vec<(usize, usize)> = Vec::new();
        for (which, later) in &repeats {
            let which = which.index(feed.records.len());
            if !feed.records[which].value.is_empty() && !feed.records[which].value.starts_with(b"{\"version\"") {
                again.push((which + later.index(feed.records.len() - which), which));
            }
        }
        let mut normalizer = Normalizer::new(&NormalizerConfig::default(), 3, 12);
        let mut outputs = Vec::new();
        for (offset, record) in feed.records.iter().enumerate() {
            apply(&mut normalizer, record, offset, &mut outputs);
            for (_, which) in again.iter().filter(|(after, _)| *after == offset) {
                apply(&mut normalizer, &feed.records[*which], feed.records.len() + which, &mut outputs);
            }
        }
        prop_assert!(outputs == feed.outputs, "repeats {:?} are not skipped", again);
    }

    #[test]
    fn the_raw_line_can_be_had_back_or_the_event_says_that_it_cannot(
        line in any::<Vec<u8>>(),
        scarred in any::<bool>(),
    ) {
        let header = RawHeader {
            v: VERSION,
            host: "pc-0042".to_owned(),
            epoch: "9f2c61d0a4e7b511".to_owned(),
            end: 1,
            lossy: scarred,
            read: LOG_TIME,
            ..RawHeader::default()
        };
        let mut feed = Feed::live();
        feed.record(KEY.as_bytes(), Some(header.to_bytes()), line.clone());
        let events = feed.events();
        prop_assert_eq!(events.len(), 1);
        let original = events[0]["event"]["original"].as_str().unwrap();
        let says_lossy = events[0]["wu"]["flags"].as_array().is_some_and(|flags| flags.contains(&"lossy".into()));
        prop_assert_eq!(original.as_bytes() != line || scarred, says_lossy);
    }
}
