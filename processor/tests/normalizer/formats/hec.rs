//! Splunk's envelope, by a schema that follows Splunk's manual, and CIM's data model Updates.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};
use wulog_processor::format::Format;

use super::{BANNER, FATAL, PLAIN, REPORT_FAILED, REPORT_INSTALLED, SEND_FAILED, UNTRUSTED, WARNING, expect, last};

const FORMAT: Format = Format::Hec;

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("hec.schema.json")).expect("JSON");
    jsonschema::validator_for(&schema).expect("a JSON Schema")
});

/// Values that CIM prescribes.
const STATUSES: [&str; 5] = ["available", "installed", "invalid", "restart required", "failure"];
const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "informational"];

#[track_caller]
pub(super) fn check(document: &Value) {
    let errors: Vec<String> = SCHEMA.iter_errors(document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {document}");
    let field = |name: &str| document["fields"][name].as_str();
    assert!(field("status").is_none_or(|status| STATUSES.contains(&status)));
    assert!(field("severity").is_some_and(|severity| SEVERITIES.contains(&severity)));
}

#[test]
fn every_line_is_an_envelope_around_its_ecs_document() {
    for (ecs, document) in super::converted(FORMAT) {
        check(&document);
        expect(
            &document,
            &[
                ("/event", ecs.clone()),
                ("/fields/wulog_id", ecs["event"]["id"].clone()),
                ("/fields/raw_partition", json!(ecs["wu"]["raw"]["partition"].to_string())),
                ("/fields/raw_offset", json!(ecs["wu"]["raw"]["offset"].to_string())),
            ],
        );
    }
}

/// Documents that Splunk's collector refuses, to show that the schema refuses them too.
#[test]
fn the_schema_refuses_what_a_collector_refuses() {
    let good = last(FORMAT, PLAIN);
    check(&good);
    let cases = [
        ("/fields/keyMap", json!({"field": "value"})),
        ("/fields/keyArray", json!(["A", [1]])),
        ("/event", Value::Null),
        ("/time", json!("now")),
        ("/stuff", json!(1)),
    ];
    for (pointer, value) in cases {
        let mut bad = good.clone();
        let (above, name) = pointer.rsplit_once('/').unwrap();
        bad.pointer_mut(above).unwrap()[name] = value;
        assert!(!SCHEMA.is_valid(&bad), "{pointer}");
    }
}

#[test]
fn a_failed_update() {
    expect(
        &last(FORMAT, REPORT_FAILED),
        &[
            ("/host", json!("pc-0042")),
            ("/source", json!(r"C:\Windows\WindowsUpdate.log")),
            ("/sourcetype", json!("wulog:event")),
            ("/fields/vendor_product", json!("Microsoft Windows Update")),
            ("/fields/dest", json!("pc-0042")),
            ("/fields/signature", json!("8468427e-6555-e8d9-5360-9cbc1d52a0bb")),
            ("/fields/signature_id", json!("8468427e-6555-e8d9-5360-9cbc1d52a0bb")),
            ("/fields/status", json!("failure")),
            ("/fields/severity", json!("medium")),
            ("/fields/vendor_status", json!("161")),
            ("/fields/app", json!("AutomaticUpdatesWuApp")),
            ("/fields/component", json!("Report")),
            ("/fields/process_id", json!("952")),
            ("/fields/tid", json!("1460")), // 5b4
            ("/fields/tag", Value::Null),
        ],
    );
}

#[test]
fn states_of_a_patch() {
    let installed = |id: &str| REPORT_INSTALLED.replace("\t183\t", &format!("\t{id}\t"));
    let cases = [
        (installed("183"), json!("installed")),
        (installed("184"), json!("restart required")),
        (installed("162"), json!("available")),
        (installed("185"), Value::Null),
        (SEND_FAILED.to_owned(), json!("failure")),
        (BANNER.to_owned(), Value::Null),
    ];
    for (line, status) in cases {
        expect(&last(FORMAT, &line), &[("/fields/status", status)]);
    }
}

#[test]
fn signature_is_the_patch_or_else_the_error() {
    let title = "Security Intelligence Update - KB2267602 (Version 1.381.1819.0)";
    let cases = [
        (REPORT_INSTALLED, json!(title), json!("KB2267602")),
        (UNTRUSTED, json!("CERT_E_UNTRUSTEDROOT"), json!("0x800b0109")),
        (PLAIN, Value::Null, Value::Null),
    ];
    for (line, signature, id) in cases {
        expect(&last(FORMAT, line), &[("/fields/signature", signature), ("/fields/signature_id", id)]);
    }
    expect(&last(FORMAT, UNTRUSTED), &[("/fields/file_name", json!("b.cab"))]);
    let server = format!(
        "{} with http://WSUS-1.corp.example:8530/a.asmx",
        PLAIN.split('\t').collect::<Vec<_>>()[..5].join("\t") + "\tSync"
    );
    expect(&last(FORMAT, &server), &[("/fields/dvc", json!("wsus-1.corp.example"))]);
}

#[test]
fn severities() {
    let cases = [(PLAIN, "informational"), (WARNING, "low"), (UNTRUSTED, "medium"), (FATAL, "high")];
    for (line, severity) in cases {
        expect(&last(FORMAT, line), &[("/fields/severity", json!(severity))]);
    }
}

/// The digits of the time in the line, which a float would round.
#[test]
fn time_is_exact() {
    for (line, time) in [(SEND_FAILED, "1677709141.814360600"), (REPORT_FAILED, "1305438427.169")] {
        let mut feed = super::super::feed::Feed::live();
        feed.lines(line);
        let ecs = feed.outputs.iter().rfind(|it| it.topic == wulog_schemas::topic::Topic::Events).unwrap();
        let written = wulog_processor::format::from_ecs(FORMAT, ecs.value.clone());
        assert!(std::str::from_utf8(&written).unwrap().starts_with(&format!("{{\"time\":{time},\"host\":")), "{line}");
    }
}
