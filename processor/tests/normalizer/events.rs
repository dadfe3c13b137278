//! The document of one line, field by field; expected values are read off the line.

use serde_json::{Value, json};
use wulog_schemas::raw::{Heartbeat, RawHeader, VERSION};

use super::feed::{Feed, KEY, LOG_TIME};

/// Expects these values at these paths of the last event of `lines`.
fn check(lines: &str, expect: &[(&str, Value)]) {
    check_of(&mut Feed::live(), lines, expect);
}

fn check_of(feed: &mut Feed, lines: &str, expect: &[(&str, Value)]) {
    feed.lines(lines);
    let event = feed.events().pop().expect("a line gives an event");
    for (path, value) in expect {
        let pointer = format!("/{}", path.replace('.', "/"));
        assert_eq!(event.pointer(&pointer).unwrap_or(&Value::Null), value, "{path} of {lines}\n{event}");
    }
}

#[test]
fn a_report_event() {
    check(
        super::attempts::LUP.lines().next().unwrap(),
        &[
            ("@timestamp", json!("2011-05-15T05:47:07.169Z")),
            ("event.action", json!("download-failed")),
            ("event.outcome", json!("failure")),
            ("event.code", json!("0x800b0109")),
            ("event.kind", json!("event")),
            ("event.timezone", json!("+02:00")),
            ("event.original", json!(super::attempts::LUP.lines().next().unwrap())),
            ("error.type", json!("CERT_E_UNTRUSTEDROOT")),
            ("host.id", json!(KEY)),
            ("host.name", json!("pc-0042")),
            ("log.logger", json!("Report")),
            ("tags", json!(["cert-trust"])),
            ("labels.site", json!("hamburg")),
            ("wu.form", json!("message")),
            ("wu.family", json!("untrusted_root")),
            ("wu.update_id", json!("8468427e-6555-e8d9-5360-9cbc1d52a0bb")),
            ("wu.update_revision", json!(1)),
            ("wu.caller", json!("AutomaticUpdatesWuApp")),
            ("wu.report.event_id", json!(161)),
            ("wu.report.event_name", json!("AGENT_DOWNLOAD_FAILED")),
            ("wu.report.result", json!("Failure")),
            ("wu.report.category", json!("Content Download")),
            ("wu.time_source", json!("line")),
            ("wu.raw.partition", json!(3)),
        ],
    );
}

#[test]
fn the_windows_10_form() {
    check(
        "2023/03/01 22:19:01.8143606 19924 14968 Misc            *FAILED* [80072F8F] Send request",
        &[
            ("@timestamp", json!("2023-03-01T22:19:01.814360600Z")),
            ("message", json!("*FAILED* [80072F8F] Send request")),
            ("process.pid", json!(19924)),
            ("process.thread.id", json!(14968)),
            ("event.action", json!("server-request")),
            ("event.outcome", json!("failure")),
            ("wu.family", json!("tls")),
            ("wu.time_source", json!("assumed")),
            ("wu.flags", json!(["time_assumed", "late"])),
        ],
    );
}

#[test]
fn a_banner_tells_the_zone_of_its_process_only() {
    let banner = "2017-03-28\t19:06:43:471\t 952\t5b4\tMisc\t===========  Logging initialized (build: 7.3.7600.16385, tz: +0200)  ===========";
    check(
        banner,
        &[
            ("@timestamp", json!("2017-03-28T17:06:43.471Z")),
            ("event.action", json!("logging-initialized")),
            ("service.version", json!("7.3.7600.16385")),
            ("process.thread.id", json!(0x5b4)),
            ("wu.time_source", json!("banner")),
        ],
    );
    let mut feed = Feed::live();
    check_of(
        &mut feed,
        &format!("{banner}\n2017-03-28\t19:07:00:000\t 952\t5b4\tAU\tx"),
        &[("wu.time_source", json!("banner"))],
    );
    feed.utc = Some(-60);
    check_of(
        &mut feed,
        "2017-03-28\t19:07:00:000\t 953\t5b4\tAU\tx",
        &[("wu.time_source", json!("header")), ("@timestamp", json!("2017-03-28T20:07:00.000Z"))],
    );
}

#[test]
fn a_zone_knows_summer_and_winter() {
    let mut feed = Feed::catching_up();
    feed.beat(&Heartbeat { time_zone: Some("Europe/Berlin".to_owned()), caught_up: true, ..Heartbeat::default() });
    let cases = [
        ("2019-07-01\t12:00:00:000", "2019-07-01T10:00:00.000Z", json!(["late"])),
        ("2019-12-01\t12:00:00:000", "2019-12-01T11:00:00.000Z", json!(["late"])),
        // The local hour that exists twice, and the one that does not exist.
        ("2019-10-27\t02:30:00:000", "2019-10-27T00:30:00.000Z", json!(["time_fold", "late"])),
        ("2019-03-31\t02:30:00:000", "2019-03-31T01:30:00.000Z", json!(["time_gap", "late"])),
    ];
    for (local, utc, flags) in cases {
        check_of(
            &mut feed,
            &format!("{local}\t 952\t5b4\tAU\tx"),
            &[("@timestamp", json!(utc)), ("wu.flags", flags), ("wu.time_source", json!("zone"))],
        );
    }
}

#[test]
fn a_header_without_names_gives_a_whole_event() {
    let mut feed = Feed::catching_up();
    let header = RawHeader { v: VERSION, end: 2, ..RawHeader::default() };
    feed.record(KEY.as_bytes(), Some(header.to_bytes()), b"x".to_vec());
    let event = feed.events().pop().expect("a line gives an event");
    assert_eq!([&event["event"]["original"], &event["host"]["id"]], ["x", KEY]);
}

/// Each event carries the facts of its host that earlier lines gave.
#[test]
fn an_event_says_what_is_known_of_its_host_by_then() {
    let mut feed = Feed::live();
    let line = "2023-03-01\t22:19:01:814\t1132\t1a4\tAgent\tx";
    let host = |site: &str, os: Value| [("labels.site", json!(site)), ("host.os.version", os)];
    check_of(&mut feed, line, &host("hamburg", Value::Null));
    let labels = [("site".to_owned(), "berlin".to_owned())].into();
    feed.beat(&Heartbeat { labels, ..Heartbeat::default() });
    check_of(&mut feed, line, &host("berlin", Value::Null));
    check_of(&mut feed, "2023-03-01\t22:19:01:814\t1132\t1a4\tAgent\t  * OS Version = 6.1.7601.1.0.65792", &[]);
    check_of(&mut feed, line, &host("berlin", json!("6.1.7601")));
}

#[test]
fn a_time_in_the_future_is_not_believed() {
    check(
        "2031-01-01\t00:00:00:000\t 952\t5b4\tAU\tx",
        &[("@timestamp", json!("2030-01-01T00:00:00.000Z")), ("wu.flags", json!(["time_suspect", "time_assumed"]))],
    );
}

#[test]
fn an_offset_that_no_zone_has_is_not_believed() {
    let mut feed = Feed::live();
    for utc in [i32::MIN, i32::MAX] {
        feed.utc = Some(utc);
        check_of(&mut feed, "2017-03-28\t19:07:00:000\t 952\t5b4\tAU\tx", &[("wu.time_source", json!("assumed"))]);
    }
}

#[test]
fn undecoded_records_have_no_time() {
    check(
        "2018-11-18 05:06:42.6402602 2024  4948  Shared          * START * Service startup\n\
         1600/12/31 19:00:00.0000000 2024  4948                  Unknown( 15): GUID=ddc77097-c75e-ca69-9b47-2e2b7b591a90 (No Format Information found).",
        &[
            ("@timestamp", json!("2018-11-18T05:06:42.640260200Z")),
            ("event.action", json!("undecoded")),
            ("log.logger", Value::Null),
            ("wu.flags", json!(["time_missing", "late", "undecoded"])),
            ("wu.time_source", json!("previous")),
        ],
    );
}

#[test]
fn a_continuation_refers_to_its_head() {
    let mut feed = Feed::live();
    feed.lines("2007-07-12\t03:24:18:390\t1012\t1c4\tMisc\tRegistering binary:\nC:\\WINDOWS\\system32\\regsvr32.exe /s wuapi.dll");
    let events = feed.events();
    assert_eq!(events[1]["wu"]["continues"], events[0]["event"]["id"]);
    assert_eq!(events[1]["@timestamp"], events[0]["@timestamp"]);
    assert_eq!(events[1]["event"]["action"], "continuation");
}

#[test]
fn a_verdict_belongs_to_the_file_above() {
    check(
        "2008-07-19 18:33:03:863 1164 179c Misc Validating signature for C:\\Windows\\wuident.cab:\n\
         2008-07-19 18:33:03:886 1164 179c Misc Microsoft signed: Yes",
        &[("file.path", json!("C:\\Windows\\wuident.cab")), ("file.code_signature.trusted", json!(true))],
    );
}

#[test]
fn repeats_are_dropped_and_reverted_files_are_flagged() {
    let mut feed = Feed::live();
    feed.line_at("a", 0, 10);
    feed.line_at("a", 0, 10);
    assert_eq!(feed.events().len(), 1);
    feed.line_at("b", 0, 10);
    let events = feed.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[1]["wu"]["flags"], json!(["rewound", "time_missing"]));
    assert_ne!(events[0]["event"]["id"], events[1]["event"]["id"]);
}

#[test]
fn a_lost_checkpoint_flags_lines_that_were_read_before() {
    let line = "2017-03-28\t19:07:00:000\t 952\t5b4\tAU\tx";
    let mut feed = Feed::live();
    feed.lines(line);
    feed.epoch = "00000000000000ff";
    feed.offset = 0;
    check_of(&mut feed, line, &[("wu.flags", json!(["reread", "time_assumed", "late"]))]);
    check_of(&mut feed, &line.replace("19:07", "19:08"), &[("wu.flags", json!(["time_assumed", "late"]))]);
}

#[test]
fn a_record_that_is_not_a_line_is_an_event_too() {
    let good = br#"{"v":1,"file":"f","epoch":"e","offset":0,"end":2}"#;
    let cases: [(&[u8], Option<&[u8]>); 6] = [
        (b"k", None),
        (b"k", Some(b"{")),
        (b"k", Some(br#"{"v":9}"#)),
        (b"k", Some(br#"{"v":1,"offset":5,"end":5}"#)),
        (b"", Some(good)),
        (b"\xff", Some(good)),
    ];
    for (key, header) in cases {
        let mut feed = Feed::catching_up();
        feed.record(key, header.map(<[u8]>::to_vec), b"x\xff".to_vec());
        let event = feed.events().pop().unwrap();
        assert_eq!(event["event"]["kind"], "pipeline_error", "{header:?}");
        assert_eq!(event["event"]["original"], "x\u{fffd}");
        assert_eq!(event["error"]["type"], "malformed_record");
        assert_eq!(&*feed.outputs[0].key, "unknown");
        assert_eq!(feed.outputs[0].timestamp_ms, LOG_TIME);
    }
}
