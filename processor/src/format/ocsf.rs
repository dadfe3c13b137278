//! OCSF 1.8.0: Application Lifecycle (6002) where the line names an update, Application Error (6008) where it only tells of
//! an error, Base Event (0) for the rest.
//!
//! The application of 6002 is the update; the product that reported is the Windows Update client, and wulog is a logger
//! on the way. What OCSF has no attribute for stands under `unmapped`, as ECS nests it; `unmapped.wu` is all of `wu.*`. Patch
//! State (5004) is not used: it is a snapshot of what a device has and lacks, which no line is.

use serde_json::{Value, json};
use wulog_schemas::event::{Action, Event, EventKind, EventOutcome, EventType};

use super::fields::{self, Object, get, put};
use super::severity::EventSeverity;
use super::{PRODUCT, PRODUCT_VERSION, time};

/// The OCSF version that documents name.
const VERSION: &str = "1.8.0";

/// Fields of ECS that are attributes of OCSF.
const MOVED: [(&str, &str); 21] = [
    ("message", "message"),
    ("event.original", "raw_data"),
    ("event.id", "metadata.uid"),
    ("log.logger", "metadata.log_provider"),
    ("log.file.path", "metadata.log_source"),
    ("tags", "metadata.labels"),
    ("service.version", "metadata.product.version"),
    ("host.id", "device.uid"),
    ("host.name", "device.hostname"),
    ("host.hostname", "device.name"),
    ("host.os.version", "device.os.version"),
    ("device.manufacturer", "device.vendor_name"),
    ("device.model.name", "device.model"),
    ("process.pid", "actor.process.pid"),
    ("process.thread.id", "actor.process.ptid"),
    ("process.name", "actor.process.name"),
    ("process.executable", "actor.process.path"),
    ("user.id", "actor.user.uid"),
    ("package.name", "app.name"),
    ("error.code", "status_code"),
    ("event.hash", "raw_data_hash.value"),
];

/// Fields of ours that OCSF has an attribute for; they stay in `unmapped.wu` too, which is whole.
const COPIED: [(&str, &str); 3] =
    [("wu.caller", "actor.app_name"), ("wu.update_id", "app.uid"), ("wu.line.offset", "metadata.sequence")];

/// Fields of ECS that attributes say in other words, below; and copies that ECS has for searching.
const SAID: [&str; 20] = [
    "@timestamp",
    "ecs",
    "event.kind",
    "event.category",
    "event.type",
    "event.outcome",
    "event.code",
    "event.module",
    "event.created",
    "event.start",
    "event.timezone",
    "event.sequence",
    "error.type",
    "error.message",
    "log.level",
    "service.name",
    "service.type",
    "host.os.type",
    "related.hosts",
    "labels",
];

/// A class and an activity of it, with their captions.
struct Class {
    uid: u32,
    name: &'static str,
    category: (u32, &'static str),
    activity: (u32, &'static str),
}

impl Class {
    fn of(event: &Event<'_>) -> Class {
        let application = |uid, name, activity| Class { uid, name, category: (6, "Application Activity"), activity };
        if event.event.kind == EventKind::PipelineError {
            return application(6008, "Application Error", (2, "Translation Error"));
        }
        if event.wu.update_id.is_some() || event.package.is_some() {
            return application(6002, "Application Lifecycle", lifecycle(event));
        }
        if event.error.is_some() || event.event.outcome == EventOutcome::Failure {
            return application(6008, "Application Error", (1, "General Error"));
        }
        Class { uid: 0, name: "Base Event", category: (0, "Uncategorized"), activity: (99, "Other") }
    }

    fn put(&self, event: &Event<'_>, document: &mut Object) {
        let (activity, caption) = self.activity;
        // An activity that is Other is named by the source.
        let name = if activity == 99 { json!(event.event.action) } else { json!(caption) };
        put(document, "class_uid", self.uid);
        put(document, "class_name", self.name);
        put(document, "category_uid", self.category.0);
        put(document, "category_name", self.category.1);
        put(document, "activity_id", activity);
        put(document, "activity_name", name);
        put(document, "type_uid", self.uid * 100 + activity);
        put(document, "type_name", format!("{}: {caption}", self.name));
    }
}

/// What happens to the update: it comes, it goes, or something on the way to either.
fn lifecycle(event: &Event<'_>) -> (u32, &'static str) {
    match event.event.type_ {
        [EventType::Installation] => (1, "Install"),
        [EventType::Deletion] => (2, "Remove"),
        [EventType::Info] if event.event.action == Action::Revert => (2, "Remove"),
        [EventType::Info] => (8, "Update"),
    }
}

/// The event as an OCSF document.
pub(super) fn document(event: &Event<'_>) -> Object {
    let ecs = fields::of(event);
    let mut document = Object::new();
    Class::of(event).put(event, &mut document);
    put_times(event, &mut document);
    put_severity(event, &mut document);
    put_status(event, &mut document);
    put_metadata(event, &mut document);
    // A process needs its id there; a thread alone stays under its own name.
    let has_process = get(&ecs, "process.pid").is_some();
    let moved = || MOVED.into_iter().filter(|(from, _)| has_process || *from != "process.thread.id");
    for (from, to) in moved().chain(COPIED) {
        if let Some(value) = get(&ecs, from) {
            put(&mut document, to, value.clone());
        }
    }
    put_host(event, &mut document);
    if document.contains_key("raw_data_hash") {
        put(&mut document, "raw_data_hash.algorithm_id", 99);
        put(&mut document, "raw_data_hash.algorithm", "CRC-32");
    }
    let named: Vec<&str> = moved().map(|(from, _)| from).chain(SAID).collect();
    put(&mut document, "unmapped", fields::without(ecs, &named));
    document
}

fn put_times(event: &Event<'_>, document: &mut Object) {
    match time::Instant::of(&event.timestamp) {
        Some(instant) => {
            put(document, "time", instant.millis());
            // `time` has milliseconds, the line perhaps 100 ns.
            put(document, "time_dt", event.timestamp.clone());
        }
        None => put(document, "time", event.wu.raw.timestamp),
    }
    if let Some(start) = &event.event.start
        && let Some(instant) = time::Instant::of(start)
    {
        put(document, "start_time", instant.millis());
        put(document, "start_time_dt", start.clone());
    }
    if let Some(minutes) = event.event.timezone.as_deref().and_then(time::offset_minutes) {
        put(document, "timezone_offset", minutes);
    }
}

fn put_severity(event: &Event<'_>, document: &mut Object) {
    let (id, caption) = match EventSeverity::of(event) {
        EventSeverity::Informational => (1, "Informational"),
        EventSeverity::Low => (2, "Low"),
        EventSeverity::Medium => (3, "Medium"),
        EventSeverity::High => (4, "High"),
    };
    put(document, "severity_id", id);
    put(document, "severity", caption);
}

fn put_status(event: &Event<'_>, document: &mut Object) {
    let (id, caption) = match event.event.outcome {
        EventOutcome::Success => (1, "Success"),
        EventOutcome::Failure => (2, "Failure"),
        EventOutcome::Unknown => (0, "Unknown"),
    };
    put(document, "status_id", id);
    put(document, "status", caption);
    // A code that is no failure is event.code only; that of a REPORT EVENT without any is its event id.
    let is_id =
        event.wu.report.as_ref().is_some_and(|report| event.event.code == Some(report.event_id.to_string().into()));
    if let Some(code) = event.event.code.as_ref().filter(|_| !is_id) {
        put(document, "status_code", code.as_ref());
    }
    if let Some(error) = &event.error {
        let detail: Vec<&str> = [&error.type_, &error.message].into_iter().flatten().map(AsRef::as_ref).collect();
        if !detail.is_empty() {
            put(document, "status_detail", detail.join(": "));
        }
    }
}

fn put_metadata(event: &Event<'_>, document: &mut Object) {
    let wulog = json!({"name": PRODUCT, "vendor_name": PRODUCT, "version": PRODUCT_VERSION});
    let is_line = event.event.kind == EventKind::Event;
    let client = json!({"name": "Windows Update Agent", "vendor_name": "Microsoft"});
    put(document, "metadata.version", VERSION);
    put(document, "metadata.profiles", json!(["host", "datetime"]));
    put(document, "metadata.product", if is_line { client } else { wulog });
    put(document, "metadata.loggers", json!([{"name": PRODUCT, "version": PRODUCT_VERSION}]));
    put(document, "metadata.logged_time", time::observed(event).millis());
    if let Some(text) = time::original(event) {
        put(document, "metadata.original_time", text);
    }
    if let Some(file) = &event.log.file {
        put(document, "metadata.log_name", fields::file_name(&file.path));
    }
    if let Some(level) = &event.log.level {
        // As the line writes it.
        put(document, "metadata.log_level", level.to_uppercase());
    }
    if let Some(report) = &event.wu.report {
        put(document, "metadata.event_code", report.event_id.to_string());
    }
    if let Some(labels) = event.labels.as_deref().filter(|labels| !labels.is_empty()) {
        let tags = labels.iter().map(|(name, value)| json!({"name": name, "value": value}));
        put(document, "metadata.tags", Value::Array(tags.collect()));
    }
}

fn put_host(event: &Event<'_>, document: &mut Object) {
    let Some(host) = &event.host else { return };
    // No line tells a desktop from a server.
    put(document, "device.type_id", 0);
    put(document, "device.type", "Unknown");
    put(document, "device.os.name", "Windows");
    put(document, "device.os.type_id", 100);
    put(document, "device.os.type", "Windows");
    // 7601 of 6.1.7601
    if let Some(build) = host.os.version.as_deref().and_then(|version| version.split('.').nth(2)) {
        put(document, "device.os.build", build);
    }
}
