//! Builds the event document of a line.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use wulog_schemas::event::{
    Action, ECS_VERSION, Ecs, ErrorFields, Event, EventFields, EventId, EventKind, EventOutcome, EventType, FileFields,
    LogFields, PackageFields, RawFields, ReportFields, ServiceFields, SignatureFields, TimeSource, UrlFields, WuFields,
    pipeline_error_id,
};
use wulog_schemas::hresult;
use wulog_schemas::raw::{RawHeaderRef, Source};
use wulog_schemas::signal::RawPosition;

use super::classify;
use super::flags::Flags;
use super::json::Json;
use super::thread::server_of_url;
use super::time::{EventTime, format_utc};
use crate::machine::InRecord;
use crate::parse::{Entry, Level, Trust, event_name};

/// All that an event is made of.
pub(super) struct Line<'a> {
    pub(super) host_id: &'a str,
    pub(super) header: &'a RawHeaderRef<'a>,
    pub(super) original: &'a str,
    pub(super) entry: &'a Entry<'a>,
    pub(super) time: &'a EventTime,
    pub(super) flags: Flags,
    pub(super) id: EventId,
    pub(super) continues: Option<EventId>,
    /// File of the trust check that the line belongs to.
    pub(super) path: Option<&'a str>,
    pub(super) client_build: Option<&'a str>,
    pub(super) os_version: Option<&'a str>,
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) raw: RawFields,
}

/// The document of a line, as compact JSON: an [`Event`], written field by field in the order of its type. A test reads
/// every document as that type and writes it again.
pub(super) fn line(line: Line<'_>, json: &mut Json) -> Bytes {
    let Line { entry, header, .. } = line;
    let (mut action, outcome, type_) = classify::describe(entry);
    if line.continues.is_some() && action == Action::Log {
        action = Action::Continuation;
    }
    let failure = entry.hresult.filter(|code| code & 0x8000_0000 != 0);
    let known = failure.and_then(hresult::lookup);
    let family = known.and_then(|known| known.family);
    let code = failure.map(hresult::display);
    let report = entry.report.as_ref();
    let url = entry.facts.url.map(url_fields);
    let server = url.as_ref().and_then(|url| url.domain.as_deref());
    let dataset = match header.source {
        Source::WindowsUpdate => "windows_update.log",
        Source::ReportingEvents => "windows_update.reporting_events",
    };

    json.begin();
    json.raw("{\"@timestamp\":").utc(line.time.millis, line.time.nanos);
    json.raw(",\"ecs\":{\"version\":").name(ECS_VERSION);
    json.raw("},\"message\":").text(entry.message);

    json.raw(",\"event\":{\"kind\":\"event\",\"category\":[\"package\"],\"type\":[").value(&type_);
    json.raw("],\"action\":").value(&action).raw(",\"outcome\":").value(&outcome);
    match (&code, report) {
        (Some(code), _) => json.raw(",\"code\":").name(code),
        (None, Some(report)) => json.raw(",\"code\":\"").value(&report.event_id).raw("\""),
        (None, None) => json,
    };
    json.raw(",\"module\":\"windows_update\",\"dataset\":").name(dataset);
    if header.read > 0 {
        json.raw(",\"created\":").utc(header.read, sub_second(header.read));
    }
    if let Some(minutes) = line.time.offset_min {
        json.raw(",\"timezone\":").offset(minutes);
    }
    json.raw(",\"id\":").id(line.id);
    json.raw(",\"original\":").text(line.original).raw("}");

    if let Some(code) = &code {
        json.raw(",\"error\":{\"code\":").name(code);
        json.optional_text(",\"type\":", known.map(|known| known.symbol));
        json.optional_text(",\"message\":", known.map(|known| known.text).filter(|text| !text.is_empty())).raw("}");
    }
    json.raw(",\"host\":{\"id\":").text(line.host_id).raw(",\"name\":").text(&header.host);
    json.raw(",\"os\":{\"type\":\"windows\"").optional_text(",\"version\":", line.os_version).raw("}}");
    log_and_process(json, entry, header);
    let file = line.path.map(|path| FileFields { path: path.into(), code_signature: signature(entry) });
    json.optional(",\"file\":", file.as_ref());
    json.optional(",\"package\":", package(entry).as_ref());
    json.raw(",\"service\":{\"name\":\"wuauserv\",\"type\":\"windows-update\"");
    json.optional_text(",\"version\":", line.client_build).raw("}");
    json.optional(",\"url\":", url.as_ref());
    match ((!header.host.is_empty()).then_some(header.host.as_ref()), server) {
        (Some(host), Some(server)) => json.raw(",\"related\":{\"hosts\":[").text(host).raw(",").text(server).raw("]}"),
        (Some(one), None) | (None, Some(one)) => json.raw(",\"related\":{\"hosts\":[").text(one).raw("]}"),
        (None, None) => json,
    };
    if family.is_some() {
        json.raw(",\"tags\":[\"cert-trust\"]");
    }
    for (at, (name, value)) in line.labels.iter().enumerate() {
        json.raw(if at == 0 { ",\"labels\":{" } else { "," }).text(name).raw(":").text(value);
    }
    if !line.labels.is_empty() {
        json.raw("}");
    }

    json.raw(",\"wu\":{\"form\":").value(&entry.form);
    json.optional(",\"family\":", family.as_ref());
    update_and_report(json, entry);
    if let Some(head) = line.continues {
        json.raw(",\"continues\":").id(head);
    }
    json.raw(",\"time_source\":").value(&line.time.source);
    for (at, flag) in line.flags.names().enumerate() {
        json.raw(if at == 0 { ",\"flags\":[" } else { "," }).name(flag);
    }
    if !line.flags.is_empty() {
        json.raw("]");
    }
    json.raw(",\"line\":{\"epoch\":").text(&header.epoch);
    json.raw(",\"offset\":").value(&header.offset).raw(",\"end\":").value(&header.end);
    json.raw("},\"raw\":{\"partition\":").value(&line.raw.partition).raw(",\"offset\":").value(&line.raw.offset);
    json.raw(",\"timestamp\":").value(&line.raw.timestamp).raw("}}}");
    json.finish()
}

fn log_and_process(json: &mut Json, entry: &Entry<'_>, header: &RawHeaderRef<'_>) {
    let level = entry.level.map(|level| match level {
        Level::Warning => "\"level\":\"warning\"",
        Level::Fatal => "\"level\":\"fatal\"",
    });
    json.raw(",\"log\":{").raw(level.unwrap_or_default());
    let comma = |needed: bool| if needed { "," } else { "" };
    if let Some(component) = entry.component {
        json.raw(comma(level.is_some())).raw("\"logger\":").text(component);
    }
    if !header.file.is_empty() {
        json.raw(comma(level.is_some() || entry.component.is_some()));
        json.raw("\"file\":{\"path\":").text(&header.file).raw("}");
    }
    json.raw("}");
    if let Some(pid) = &entry.pid {
        json.raw(",\"process\":{\"pid\":").value(pid);
        if let Some(tid) = &entry.tid {
            json.raw(",\"thread\":{\"id\":").value(tid).raw("}");
        }
        json.raw("}");
    }
}

fn update_and_report(json: &mut Json, entry: &Entry<'_>) {
    let facts = &entry.facts;
    let report = entry.report.as_ref();
    json.optional(",\"update_id\":", facts.update.map(lower).as_ref());
    json.optional(",\"update_revision\":", facts.revision.as_ref());
    json.optional(",\"kb\":", facts.kb.map(str::to_ascii_uppercase).as_ref());
    let app = report.map(|report| report.app).filter(|app| !app.is_empty());
    json.optional_text(",\"caller\":", app.or(facts.caller));
    json.optional(",\"service_id\":", facts.service.map(lower).as_ref());
    json.optional(",\"wsus\":", facts.wsus_server.and_then(server_of_url).as_ref());
    json.optional_text(",\"target_group\":", facts.target_group);
    let report = report.map(|report| ReportFields {
        instance: lower(report.instance),
        event_id: report.event_id,
        event_name: event_name(report.event_id).map(Cow::Borrowed),
        namespace: report.namespace,
        source_id: report.source,
        result: report.result.into(),
        category: report.category.into(),
        correlation: report.correlation.map(Cow::Borrowed),
    });
    json.optional(",\"report\":", report.as_ref());
}

/// The document of a record that is no line.
pub(super) fn pipeline_error(record: &InRecord<'_>, kind: &'static str, reason: &str, log_time: i64) -> Vec<u8> {
    let raw = RawPosition { partition: record.partition, offset: record.offset };
    let original = String::from_utf8_lossy(record.value);
    let event = Event {
        timestamp: format_utc(log_time, sub_second(log_time)),
        ecs: Ecs { version: ECS_VERSION.into() },
        message: reason.into(),
        event: EventFields {
            kind: EventKind::PipelineError,
            category: ["package".into()],
            type_: [EventType::Info],
            action: Action::PipelineError,
            outcome: EventOutcome::Failure,
            code: None,
            module: "windows_update".into(),
            dataset: "windows_update.log".into(),
            created: None,
            timezone: None,
            id: pipeline_error_id(raw),
            original,
        },
        error: Some(ErrorFields { code: None, type_: Some(kind.into()), message: Some(reason.into()) }),
        host: None,
        log: LogFields { level: None, logger: None, file: None },
        process: None,
        file: None,
        package: None,
        service: ServiceFields { name: "wuauserv".into(), type_: "windows-update".into(), version: None },
        url: None,
        related: None,
        tags: Vec::new(),
        labels: None,
        wu: WuFields {
            form: None,
            family: None,
            update_id: None,
            update_revision: None,
            kb: None,
            caller: None,
            service_id: None,
            wsus: None,
            target_group: None,
            report: None,
            continues: None,
            time_source: TimeSource::Log,
            flags: Vec::new(),
            line: None,
            raw: raw_fields(record),
        },
    };
    serde_json::to_vec(&event).expect("an event holds only strings, numbers and string maps")
}

/// Where the record stands.
pub(super) fn raw_fields(record: &InRecord<'_>) -> RawFields {
    RawFields { partition: record.partition, offset: record.offset, timestamp: record.timestamp_ms }
}

fn package<'a>(entry: &Entry<'a>) -> Option<PackageFields<'a>> {
    let kb = || entry.facts.kb.map(|kb| Cow::Owned(kb.to_ascii_uppercase()));
    entry.facts.title.map(Cow::Borrowed).or_else(kb).map(|name| PackageFields { name })
}

fn signature<'a>(entry: &Entry<'_>) -> Option<SignatureFields<'a>> {
    let trusted = match entry.facts.trust? {
        Trust::Trusted => true,
        Trust::Untrusted | Trust::Failed | Trust::Rejected => false,
        Trust::Checking | Trust::Unknown => return None,
    };
    let status = entry.hresult.and_then(hresult::lookup).filter(|_| !trusted).map(|known| known.symbol.into());
    Some(SignatureFields { trusted, status })
}

fn url_fields(full: &str) -> UrlFields<'_> {
    let (domain, port) = match server_of_url(full).map(Cow::into_owned) {
        Some(server) => match server.rsplit_once(':') {
            Some((domain, port)) if !domain.is_empty() => (Some(domain.to_owned()), port.parse().ok()),
            _ => (Some(server), None),
        },
        None => (None, None),
    };
    let scheme = full.split_once("://").map(|(scheme, _)| Cow::Owned(scheme.to_ascii_lowercase()));
    UrlFields { full: full.into(), domain: domain.map(Cow::Owned), port, scheme }
}

/// GUIDs are written in both cases; documents have the lower.
fn lower(text: &str) -> Cow<'_, str> {
    Cow::Owned(text.to_ascii_lowercase())
}

/// Nanoseconds within the second of a time in milliseconds.
pub(super) fn sub_second(millis: i64) -> u32 {
    u32::try_from(millis.rem_euclid(1000)).map_or(0, |millis| millis * 1_000_000)
}
