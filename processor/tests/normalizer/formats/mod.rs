//! Events in other formats: some lines field by field, with values read off the line; the structure of every line of
//! the corpus, by the published definition of each format; and the check that no fact is lost.

mod hec;
mod ocsf;
mod otlp;

use std::collections::BTreeSet;

use serde_json::Value;
use wulog_processor::format::{Format, write};
use wulog_processor::machine::Machine;
use wulog_processor::normalize::{Normalizer, NormalizerConfig};
use wulog_schemas::event::Event;
use wulog_schemas::topic::Topic;

use super::feed::Feed;

/// A failure of a named update: outcome, code, update, caller.
const REPORT_FAILED: &str = "2011-05-15\t07:47:12:169\t 952\t5b4\tReport\tREPORT EVENT: {8D311782-E9DB-1E2A-563A-883AFD4A63DD}\t2011-05-15 07:47:07:169+0200\t1\t161\t101\t{8468427E-6555-E8D9-5360-9CBC1D52A0BB}\t1\t800b0109\tAutomaticUpdatesWuApp\tFailure\tContent Download\tError: Download failed.";

/// An installation that succeeded, with title and KB.
const REPORT_INSTALLED: &str = "2023-01-22\t09:46:00:528\t 952\t5b4\tReport\tREPORT EVENT: {5A489216-6C24-B4E2-B454-1706B6E41D2C}\t2023-01-22 09:45:55:528-0500\t1\t183\t101\t{50DA2BE2-EB8E-7BED-B0AE-179822E63B81}\t200\t0\tMoUpdateOrchestrator\tSuccess\tContent Install\tInstallation Successful: Windows successfully installed the following update: Security Intelligence Update - KB2267602 (Version 1.381.1819.0)";

/// A failure without an update, to the 100 ns.
const SEND_FAILED: &str = "2023/03/01 22:19:01.8143606 19924 14968 Misc            *FAILED* [80072F8F] Send request";

/// A failed trust check of a file, which the client calls a warning.
const UNTRUSTED: &str = "2011-11-03\t10:22:46:797\t1036\t74c\tMisc\tWARNING: Error: 0x800b0109 when verifying trust for C:\\Windows\\SoftwareDistribution\\Download\\a\\b.cab";

/// The highest level.
const FATAL: &str = "2016-10-24\t11:23:58:516\t1532\t1f40\tHandler\tFATAL: UH: 0x80070057: EvaluateApplicability failed in CCbs::EvaluateApplicability";

/// A warning without a failure.
const WARNING: &str = "2016-10-24\t11:23:58:516\t1532\t1f40\tAU\tWARNING: no network";

/// The banner of a process, with build and zone.
const BANNER: &str = "2017-03-28\t19:06:43:471\t 952\t5b4\tMisc\t===========  Logging initialized (build: 7.3.7600.16385, tz: -0330)  ===========";

/// A line without facts, with all characters that JSON must escape.
const PLAIN: &str = "2017-03-28\t19:06:44:000\t 952\t5b4\tAU\tsays \"ünï\\\u{1}\"";

/// The event of the last of `lines` from a Normalizer with this format; the conversion from ECS gives the same
/// document.
fn last(format: Format, lines: &str) -> Value {
    let last_event = |format| {
        let config = NormalizerConfig { format, attempts: false, ..NormalizerConfig::default() };
        let mut feed = Feed { normalizer: Normalizer::new(&config, 3, 12), ..Feed::catching_up() };
        feed.heartbeat(true);
        feed.lines(lines);
        let event = feed.outputs.into_iter().rfind(|output| output.topic == Topic::Events);
        event.expect("a line gives an event").value
    };
    let (written, ecs) = (last_event(format), last_event(Format::Ecs));
    let event: Event<'_> = serde_json::from_slice(&ecs).expect("an event");
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&write(format, &event)));
    assert!(!written.contains(&b'\n'), "one line");
    serde_json::from_slice(&written).expect("JSON")
}

/// Expects these values at these JSON pointers; `null` means an absent value.
#[track_caller]
fn expect(document: &Value, expected: &[(&str, Value)]) {
    for (pointer, value) in expected {
        assert_eq!(document.pointer(pointer).unwrap_or(&Value::Null), value, "{pointer} of {document}");
    }
}

/// Events of the whole corpus, of a host with a known offset and labels, and of records that are not lines.
fn corpus() -> Vec<Vec<u8>> {
    let mut feed = Feed::live();
    feed.utc = Some(-210);
    for log in super::feed::corpus() {
        feed.lines(&log);
    }
    for line in [REPORT_FAILED, REPORT_INSTALLED, SEND_FAILED, UNTRUSTED, FATAL, WARNING, BANNER, PLAIN] {
        feed.lines(line);
    }
    feed.record(b"k", None, b"x\xff".to_vec());
    let events = feed.outputs.into_iter().filter(|output| output.topic == Topic::Events);
    events.map(|output| output.value.to_vec()).collect()
}

/// Every event of the corpus with its document in a format.
fn converted(format: Format) -> Vec<(Value, Value)> {
    let pair = |ecs: Vec<u8>| {
        let event: Event<'_> = serde_json::from_slice(&ecs).expect("an event");
        let document = serde_json::from_slice(&write(format, &event)).expect("JSON");
        (serde_json::from_slice(&ecs).expect("JSON"), document)
    };
    let pairs: Vec<_> = corpus().into_iter().map(pair).collect();
    assert!(pairs.len() > 480, "{} events", pairs.len());
    pairs
}

/// Collects strings and numbers with the last name of their path, numbers as text.
fn values(document: &Value, name: &str, found: &mut Vec<(String, String)>) {
    match document {
        Value::Object(fields) => {
            let at = |inner: &String| if name.is_empty() { inner.clone() } else { format!("{name}.{inner}") };
            fields.iter().for_each(|(inner, value)| values(value, &at(inner), found));
        }
        Value::Array(items) => items.iter().for_each(|item| values(item, name, found)),
        Value::String(text) => found.push((name.to_owned(), text.clone())),
        other => found.push((name.to_owned(), other.to_string())),
    }
}

/// Values that are not searched for: they are equal in every line, or have other words, which the tables of each format
/// check.
const IN_OTHER_WORDS: [&str; 14] = [
    "@timestamp",
    "ecs.version",
    "event.kind",
    "event.category",
    "event.type",
    "event.module",
    "event.action",
    "event.outcome",
    "event.created",
    "event.timezone",
    "error.type",
    "error.message",
    "log.level",
    "service.type",
];

#[test]
fn no_format_loses_a_value() {
    for format in [Format::Ocsf, Format::Otlp, Format::Hec] {
        for (ecs, document) in converted(format) {
            let (mut from, mut to) = (Vec::new(), Vec::new());
            values(&ecs, "", &mut from);
            values(&document, "", &mut to);
            let to: BTreeSet<&str> = to.iter().map(|(_, value)| value.as_str()).collect();
            for (name, value) in from.iter().filter(|(name, _)| !IN_OTHER_WORDS.contains(&name.as_str())) {
                let constant = name == "service.name" || name == "host.os.type";
                assert!(constant || to.contains(value.as_str()), "{format:?} lost {name} = {value}: {document}");
            }
        }
    }
}

#[test]
fn ecs_is_what_the_normalizer_writes() {
    for ecs in corpus() {
        let event: Event<'_> = serde_json::from_slice(&ecs).unwrap();
        assert_eq!(String::from_utf8_lossy(&write(Format::Ecs, &event)), String::from_utf8_lossy(&ecs));
    }
}

/// Times, offsets and numbers at the edge of their types: no format panics, and each writes JSON.
#[test]
fn hostile_records_are_written_in_every_format() {
    for log_time in [i64::MIN, -1, 0, 253_402_300_800_000, i64::MAX] {
        let mut feed = Feed::live();
        feed.log_time = log_time;
        feed.line_at("x", u64::MAX - 1, u64::MAX);
        feed.record(b"", None, b"x".to_vec());
        for output in feed.outputs.iter().filter(|output| output.topic == Topic::Events) {
            let event: Event<'_> = serde_json::from_slice(&output.value).unwrap();
            for format in [Format::Ocsf, Format::Otlp, Format::Hec] {
                let document: Value = serde_json::from_slice(&write(format, &event)).unwrap();
                match format {
                    Format::Ocsf => ocsf::check(&document),
                    Format::Otlp => otlp::check(&document),
                    _ => hec::check(&document),
                }
            }
        }
    }
}
