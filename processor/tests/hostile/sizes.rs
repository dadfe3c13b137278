//! No document is too large for its topic, for any record.

use proptest::prelude::*;
use wulog_processor::bounds::DOCUMENT_BYTES_MAX;
use wulog_processor::detect::{Detector, DetectorConfig};
use wulog_processor::format::Format;
use wulog_processor::machine::{InRecord, Machine, Output};
use wulog_processor::normalize::{Normalizer, NormalizerConfig};
use wulog_schemas::alert::Alert;
use wulog_schemas::hresult::Family;
use wulog_schemas::raw::{Heartbeat, Kind, RawHeader, Source, VERSION};
use wulog_schemas::signal::{Attempt, Fact, HostFacts, HostRef, Outcome, RawPosition, Signal, Tick};
use wulog_schemas::topic::Topic;

use crate::fleet::{MINUTE, START};

const FORMATS: [Format; 4] = [Format::Ecs, Format::Ocsf, Format::Otlp, Format::Hec];

fn normalized(format: Format, records: &[(Vec<u8>, RawHeader, Vec<u8>)]) -> Vec<Output> {
    let config = NormalizerConfig { format, ..NormalizerConfig::default() };
    let mut normalizer = Normalizer::new(&config, 0, 1);
    let mut out = Vec::new();
    for ((key, header, value), offset) in records.iter().zip(40..) {
        let header = header.to_bytes();
        let record = InRecord { partition: 0, offset, timestamp_ms: START, key, header: Some(&header), value };
        normalizer.apply(&record, &mut out);
    }
    out
}

fn report(text: &str) -> String {
    format!(
        "{{8D311782-E9DB-1E2A-563A-883AFD4A63DD}}\t2023-11-14 22:00:00:000+0000\t1\t161 [AGENT_DOWNLOAD_FAILED]\t101\t\
         {{8468427E-6555-E8D9-5360-9CBC1D52A0BB}}\t1\t800b0109\tAutomaticUpdates\tFailure\tContent Download\t{text}"
    )
}

fn header(file: &str, end: u64) -> RawHeader {
    RawHeader {
        v: VERSION,
        host: "pc-1".to_owned(),
        file: file.to_owned(),
        source: Source::ReportingEvents,
        epoch: "9f2c61d0a4e7b511".to_owned(),
        offset: 0,
        end,
        ..RawHeader::default()
    }
}

#[test]
fn a_line_of_control_characters_is_cut_and_flagged_in_every_format() {
    let value = report(&"\u{1}".repeat(120_000)).into_bytes();
    for format in FORMATS {
        let out = normalized(format, &[(b"a".to_vec(), header("x", 120_200), value.clone())]);
        let event = out.iter().find(|output| output.topic == Topic::Events).unwrap();
        assert!(event.value.len() <= DOCUMENT_BYTES_MAX, "{format:?}: {}", event.value.len());
        let text = String::from_utf8(event.value.to_vec()).unwrap();
        assert!(text.contains("truncated"), "{format:?}");
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
    let out = normalized(Format::Ecs, &[(b"a".to_vec(), header("x", 120_200), value)]);
    let event: serde_json::Value = serde_json::from_slice(&out[0].value).unwrap();
    assert_eq!(event["wu"]["raw"]["offset"], 40);
    assert_eq!(event["wu"]["update_id"], "8468427e-6555-e8d9-5360-9cbc1d52a0bb");
    assert!(event["event"]["original"].as_str().unwrap().starts_with("{8D311782"));
}

/// Pieces of a hostile text: characters with long escapes, and texts that a parser recognizes.
fn piece() -> impl Strategy<Value = String> {
    let unit = prop_oneof![
        Just("\u{1}"),
        Just("\""),
        Just("\\"),
        Just("\u{7f}"),
        Just("\u{9b}"),
        Just("\u{202e}"),
        Just("\u{fffd}"),
        Just("\u{1f600}"),
        Just("é"),
        Just("\t"),
        Just("a"),
        Just(" key = "),
        Just("https://wsus.example/"),
        Just("0x800b0109 "),
        Just("C:\\x\\"),
        Just("{8468427E-6555-E8D9-5360-9CBC1D52A0BB}"),
    ];
    (unit, prop_oneof![0..40_usize, 0..5_000_usize, 0..120_000_usize]).prop_map(|(unit, times)| {
        let mut text = unit.repeat(times);
        text.truncate(text.floor_char_boundary(300_000));
        text
    })
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 1..4).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = String> {
    let legacy = |text: String| format!("2023-11-14\t22:00:00:000\t 800\t4d2\tMisc\tWARNING: {text}");
    prop_oneof![text(), text().prop_map(|text| report(&text)), text().prop_map(legacy)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_document_of_any_record_fits(
        key in prop_oneof![Just(vec![1_u8; 256]), prop::collection::vec(any::<u8>(), 0..300)],
        (host, file, epoch, hash) in (text(), text(), text(), text()),
        values in prop::collection::vec(value(), 1..3),
        labels in prop::collection::btree_map(piece(), text(), 0..40),
        format in prop::sample::select(FORMATS.to_vec()),
    ) {
        let header = RawHeader { host, epoch, hash, end: 1, ..header(&file, 1) };
        let beat = Heartbeat { caught_up: true, labels, ..Heartbeat::default() };
        let beat_header = RawHeader { kind: Kind::Heartbeat, ..header.clone() };
        let mut records = vec![(key.clone(), beat_header, serde_json::to_vec(&beat).unwrap())];
        records.extend(values.into_iter().zip(0..).map(|(value, at)| {
            (key.clone(), RawHeader { offset: at, end: at + 1, ..header.clone() }, value.into_bytes())
        }));
        records.push((key, RawHeader { v: 9, ..header }, vec![1; 400_000]));
        for output in normalized(format, &records) {
            prop_assert!(output.value.len() <= DOCUMENT_BYTES_MAX, "{} bytes for {:?}", output.value.len(), output.topic);
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&output.value).is_ok());
        }
    }
}

#[test]
fn an_alert_about_hosts_of_control_characters_fits() {
    let name = |host: u32| format!("{host:05}") + &"\u{1}".repeat(250);
    let of = |host: u32| HostRef { id: format!("{host:032x}"), name: name(host) };
    let mut detector = Detector::new(&DetectorConfig::default(), 0, 1);
    let mut out = Vec::new();
    let mut apply = |fact: Fact, log_time: i64| {
        let signal = Signal { v: 1, log_time, raw: RawPosition { partition: 0, offset: 0 }, fact };
        let value = serde_json::to_vec(&signal).unwrap();
        let record =
            InRecord { partition: 0, offset: 0, timestamp_ms: log_time, key: b"x", header: None, value: &value };
        detector.apply(&record, &mut out);
    };
    for host in 0..2_000 {
        let facts = HostFacts { host: of(host), last_event_time: Some(START), caught_up: true, ..HostFacts::default() };
        apply(Fact::HostFacts(facts), START);
    }
    for host in 0..1_000 {
        let time = START + MINUTE + i64::from(host);
        apply(
            Fact::Attempt(Attempt {
                host: of(host),
                subject: "update:8468427e-6555-e8d9-5360-9cbc1d52a0bb".to_owned(),
                outcome: Outcome::Failure,
                family: Some(Family::UntrustedRoot),
                code: Some("0x800b0109".to_owned()),
                operation: "install".to_owned(),
                dimensions: [("title".to_owned(), "\u{1}".repeat(4_000))].into(),
                event_time: time,
                since: time,
                late: false,
            }),
            time,
        );
    }
    for minute in 2..100 {
        apply(Fact::Tick(Tick { partitions: 1 }), START + minute * MINUTE);
    }
    let alerts: Vec<&Output> = out.iter().filter(|output| output.topic == Topic::Alerts).collect();
    assert!(!alerts.is_empty());
    for alert in &alerts {
        assert!(alert.value.len() <= DOCUMENT_BYTES_MAX, "{}", alert.value.len());
    }
    let last: Alert = serde_json::from_slice(&alerts.last().unwrap().value).unwrap();
    assert!(last.hosts.affected >= 900 && !last.hosts.names_complete, "{} hosts", last.hosts.affected);
    assert!(last.hosts.full_list.is_some_and(|command| command.ends_with("--all-hosts")));
}
