//! OTLP logs. The types follow `opentelemetry/proto/logs/v1/logs.proto` in its JSON encoding, for the parts in use.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use wulog_processor::format::Format;

use super::super::feed::KEY;
use super::{BANNER, FATAL, PLAIN, REPORT_FAILED, REPORT_INSTALLED, SEND_FAILED, UNTRUSTED, WARNING, last};

const FORMAT: Format = Format::Otlp;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LogsData {
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ResourceLogs {
    resource: Resource,
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ScopeLogs {
    scope: Scope,
    log_records: Vec<LogRecord>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    name: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LogRecord {
    time_unix_nano: Option<String>,
    observed_time_unix_nano: Option<String>,
    severity_number: u32,
    severity_text: Option<String>,
    event_name: String,
    body: AnyValue,
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyValue {
    key: String,
    value: AnyValue,
}

#[derive(Deserialize)]
enum AnyValue {
    #[serde(rename = "stringValue")]
    Text(String),
    #[serde(rename = "boolValue")]
    Bool(bool),
    #[serde(rename = "intValue")]
    Int(String),
    #[serde(rename = "arrayValue")]
    Array(ArrayValue),
    #[serde(rename = "kvlistValue")]
    Map(MapValue),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MapValue {
    values: Vec<KeyValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArrayValue {
    values: Vec<AnyValue>,
}

/// The one record of a document, with its attributes as text: `"x"`, `7`, `true`, `["x"]`.
struct Record {
    log: LogRecord,
    resource: BTreeMap<String, String>,
    attributes: BTreeMap<String, String>,
}

fn record(document: &Value) -> Record {
    let data = LogsData::deserialize(document).unwrap_or_else(|error| panic!("{error} in {document}"));
    let [logs] = <[_; 1]>::try_from(data.resource_logs).ok().expect("one resource");
    let [scope] = <[_; 1]>::try_from(logs.scope_logs).ok().expect("one scope");
    assert_eq!((scope.scope.name.as_str(), scope.scope.version.as_str()), ("wulog", env!("CARGO_PKG_VERSION")));
    let [log] = <[_; 1]>::try_from(scope.log_records).ok().expect("one record");
    Record { resource: unique(&logs.resource.attributes), attributes: unique(&log.attributes), log }
}

fn unique(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let map: BTreeMap<String, String> = attributes.iter().map(|it| (it.key.clone(), text(&it.value))).collect();
    assert_eq!(map.len(), attributes.len(), "a key is there once: {:?}", map.keys());
    map
}

fn text(value: &AnyValue) -> String {
    match value {
        AnyValue::Text(text) => format!("{text:?}"),
        AnyValue::Bool(value) => value.to_string(),
        AnyValue::Int(number) => number.parse::<i64>().expect("64 bits").to_string(),
        AnyValue::Array(array) => {
            format!("[{}]", array.values.iter().map(text).collect::<Vec<_>>().join(","))
        }
        AnyValue::Map(map) => {
            let pairs = map.values.iter().map(|pair| format!("{:?}:{}", pair.key, text(&pair.value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
        }
    }
}

pub(super) fn check(document: &Value) {
    let Record { log, .. } = record(document);
    for nanos in [&log.time_unix_nano, &log.observed_time_unix_nano].into_iter().flatten() {
        nanos.parse::<u64>().expect("fixed64");
    }
    assert!([9, 13, 17, 21].contains(&log.severity_number));
    assert!(log.event_name.strip_prefix("windows_update.").is_some_and(|name| !name.contains('-')), "{document}");
}

#[test]
fn every_line_is_a_log_record() {
    for (ecs, document) in super::converted(FORMAT) {
        check(&document);
        let Record { log, attributes, .. } = record(&document);
        let quoted = |value: &Value| format!("{:?}", value.as_str().expect("text"));
        assert_eq!(attributes["log.record.uid"], quoted(&ecs["event"]["id"]));
        // An attempt has no line of its own.
        let original = ecs["event"].get("original").map(quoted);
        assert_eq!(attributes.get("log.record.original"), original.as_ref());
        assert_eq!(text(&log.body), quoted(&ecs["message"]));
        for name in ["partition", "offset", "timestamp"] {
            assert_eq!(attributes[&format!("wu.raw.{name}")], ecs["wu"]["raw"][name].to_string());
        }
    }
}

#[track_caller]
fn attributes(found: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        let found = found.get(*key).map_or("absent", String::as_str);
        assert_eq!(found, *value, "{key}");
    }
}

#[test]
fn a_report_event() {
    let Record { log, resource, attributes: found } = record(&last(FORMAT, REPORT_FAILED));
    assert_eq!(log.time_unix_nano.as_deref(), Some("1305438427169000000")); // 07:47:07:169+0200
    assert_eq!(log.observed_time_unix_nano.as_deref(), Some("1893456000000000000")); // when the collector read it
    assert_eq!(log.event_name, "windows_update.download_failed");
    attributes(
        &resource,
        &[
            ("host.id", &format!("{KEY:?}")),
            ("host.name", "\"pc-0042\""),
            ("os.type", "\"windows\""),
            ("service.name", "\"wuauserv\""),
        ],
    );
    attributes(
        &found,
        &[
            ("process.pid", "952"),
            ("thread.id", "1460"), // 5b4
            ("error.type", "\"CERT_E_UNTRUSTEDROOT\""),
            ("exception.message", "\"chain ends in a root that is not trusted\""),
            ("wu.hresult", "\"0x800b0109\""),
            ("wu.component", "\"Report\""),
            ("wu.update_id", "\"8468427e-6555-e8d9-5360-9cbc1d52a0bb\""),
            ("wu.update_revision", "1"),
            ("wu.report.event_id", "161"),
            ("wu.report.result", "\"Failure\""),
            ("log.file.path", r#""C:\\Windows\\WindowsUpdate.log""#),
            ("labels.site", "\"hamburg\""),
            ("tags", "[\"cert-trust\"]"),
            ("event.outcome", "\"failure\""),
            ("event.timezone", "\"+02:00\""),
        ],
    );
}

#[test]
fn values_of_other_types_and_of_success() {
    attributes(&record(&last(FORMAT, UNTRUSTED)).attributes, &[("file.code_signature.trusted", "false")]);
    attributes(
        &record(&last(FORMAT, REPORT_INSTALLED)).attributes,
        &[("error.type", "absent"), ("event.outcome", "\"success\""), ("wu.kb", "\"KB2267602\"")],
    );
    attributes(&record(&last(FORMAT, BANNER)).resource, &[("service.version", "\"7.3.7600.16385\"")]);
    let success = REPORT_FAILED.replace("\tFailure\t", "\tSuccess\t");
    attributes(
        &record(&last(FORMAT, &success)).attributes,
        &[("error.type", "absent"), ("wu.symbol", "\"CERT_E_UNTRUSTEDROOT\"")],
    );
}

/// Numbers of the log data model: INFO 9, WARN 13, ERROR 17, FATAL 21.
#[test]
fn severities_names_and_full_precision() {
    let cases = [
        (PLAIN, 9, None, "windows_update.log", "1490728004000000000"),
        (WARNING, 13, Some("WARNING"), "windows_update.log", "1477308238516000000"),
        (UNTRUSTED, 13, Some("WARNING"), "windows_update.signature_verification", "1320315766797000000"),
        (SEND_FAILED, 17, None, "windows_update.server_request", "1677709141814360600"),
        (FATAL, 21, Some("FATAL"), "windows_update.operation_failed", "1477308238516000000"),
    ];
    for (line, number, word, name, nanos) in cases {
        let Record { log, .. } = record(&last(FORMAT, line));
        assert_eq!((log.severity_number, log.severity_text.as_deref()), (number, word), "{line}");
        assert_eq!((log.event_name.as_str(), log.time_unix_nano.as_deref()), (name, Some(nanos)), "{line}");
    }
}
