//! OpenTelemetry logs: one `LogsData` of OTLP a line, in its JSON encoding, where a 64-bit number is a string.
//!
//! Attributes have the names of OpenTelemetry's semantic conventions where there is one, else those of ECS, from which the
//! conventions took most of theirs. What describes the host and the client is the resource.

use serde::Serialize;
use serde_json::{Value, json};
use wulog_schemas::event::{Event, EventOutcome};

use super::fields;
use super::{PRODUCT, PRODUCT_VERSION, time};

/// Severity numbers of the log data model.
const INFO: u32 = 9;
const WARN: u32 = 13;
const ERROR: u32 = 17;
const FATAL: u32 = 21;

/// Fields of ECS whose attribute has another name.
const RENAMED: [(&str, &str); 13] = [
    ("event.id", "log.record.uid"),
    ("event.original", "log.record.original"),
    ("log.logger", "wu.component"),
    ("log.origin.function", "code.function.name"),
    ("log.origin.file.name", "code.file.path"),
    ("log.origin.file.line", "code.line.number"),
    ("process.name", "process.executable.name"),
    ("process.executable", "process.executable.path"),
    ("process.thread.id", "thread.id"),
    ("error.code", "wu.hresult"),
    ("error.message", "exception.message"),
    ("host.os.type", "os.type"),
    ("host.os.version", "os.version"),
];

/// Fields of ECS that a field of the record says; what is the same in every line; and copies that ECS has for searching.
const SAID: [&str; 12] = [
    "@timestamp",
    "message",
    "log.level",
    "event.action",
    "event.created",
    "ecs",
    "event.kind",
    "event.category",
    "event.type",
    "event.module",
    "service.type",
    "related.hosts",
];

/// `LogsData`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogsData {
    resource_logs: [ResourceLogs; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs {
    resource: Resource,
    scope_logs: [ScopeLogs; 1],
}

#[derive(Serialize)]
struct Resource {
    attributes: Vec<KeyValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs {
    scope: InstrumentationScope,
    log_records: [LogRecord; 1],
}

#[derive(Serialize)]
struct InstrumentationScope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    time_unix_nano: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_time_unix_nano: Option<String>,
    severity_number: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity_text: Option<String>,
    event_name: String,
    body: AnyValue,
    attributes: Vec<KeyValue>,
}

#[derive(Serialize)]
struct KeyValue {
    key: String,
    value: AnyValue,
}

#[derive(Serialize)]
enum AnyValue {
    #[serde(rename = "stringValue")]
    Text(String),
    #[serde(rename = "boolValue")]
    Bool(bool),
    /// A 64-bit number is a string in OTLP's JSON.
    #[serde(rename = "intValue")]
    Int(String),
    #[serde(rename = "arrayValue")]
    Array { values: Vec<AnyValue> },
    #[serde(rename = "kvlistValue")]
    Map { values: Vec<KeyValue> },
}

/// The event as `LogsData`.
pub(super) fn document(event: &Event<'_>) -> LogsData {
    let (resource, attributes) = attributes(event);
    let unix_nanos = |instant: time::Instant| instant.unix_nanos().map(|nanos| nanos.to_string());
    let record = LogRecord {
        time_unix_nano: time::Instant::of(&event.timestamp).and_then(unix_nanos),
        observed_time_unix_nano: unix_nanos(time::observed(event)),
        severity_number: severity(event),
        // As the line writes it.
        severity_text: event.log.level.as_ref().map(|level| level.to_uppercase()),
        event_name: event_name(event),
        body: AnyValue::Text(event.message.clone().into_owned()),
        attributes,
    };
    let scope = InstrumentationScope { name: PRODUCT, version: PRODUCT_VERSION };
    let resource = Resource { attributes: resource };
    LogsData { resource_logs: [ResourceLogs { resource, scope_logs: [ScopeLogs { scope, log_records: [record] }] }] }
}

/// Attributes of the resource, and of the record.
fn attributes(event: &Event<'_>) -> (Vec<KeyValue>, Vec<KeyValue>) {
    let mut resource = Vec::new();
    let mut record = Vec::new();
    for (path, value) in fields::leaves(fields::without(fields::of(event), &SAID)) {
        let of_resource = path.starts_with("host.") || path.starts_with("service.");
        let attribute = KeyValue { key: name(path, event), value: any_value(value) };
        if of_resource { resource.push(attribute) } else { record.push(attribute) }
    }
    (resource, record)
}

fn name(path: String, event: &Event<'_>) -> String {
    // The conventions forbid error.type on an operation that succeeded.
    if path == "error.type" && event.event.outcome == EventOutcome::Success {
        return "wu.symbol".to_owned();
    }
    match RENAMED.iter().find(|(from, _)| *from == path) {
        Some((_, to)) => (*to).to_owned(),
        None => path,
    }
}

fn any_value(value: Value) -> AnyValue {
    match value {
        Value::Bool(value) => AnyValue::Bool(value),
        // Beyond 64 bits with a sign lies only the offset of a hostile record.
        Value::Number(number) if number.is_i64() => AnyValue::Int(number.to_string()),
        Value::Number(number) => AnyValue::Text(number.to_string()),
        Value::Array(values) => AnyValue::Array { values: values.into_iter().map(any_value).collect() },
        Value::String(text) => AnyValue::Text(text),
        Value::Object(fields) => {
            let pair = |(key, value)| KeyValue { key, value: any_value(value) };
            AnyValue::Map { values: fields.into_iter().map(pair).collect() }
        }
        Value::Null => unreachable!("a field of an event is absent rather than null"),
    }
}

fn severity(event: &Event<'_>) -> u32 {
    match (event.log.level.as_deref(), event.event.outcome) {
        (Some("fatal"), _) => FATAL,
        (Some("error"), _) => ERROR,
        (Some(_), _) => WARN,
        (None, EventOutcome::Failure) => ERROR,
        (None, _) => INFO,
    }
}

/// `windows_update.download_failed`
fn event_name(event: &Event<'_>) -> String {
    let action = json!(event.event.action);
    format!("windows_update.{}", action.as_str().unwrap_or_default().replace('-', "_"))
}
