//! Builds the event document of a line.

use std::borrow::Cow;
use std::collections::BTreeMap;

use wulog_schemas::event::{
    Action, ECS_VERSION, Ecs, ErrorFields, Event, EventFields, EventKind, EventOutcome, EventType, FileFields, Flag,
    HostFields, LineFields, LogFields, LogFile, OsFields, PackageFields, ProcessFields, RawFields, RelatedFields,
    ReportFields, ServiceFields, SignatureFields, ThreadFields, TimeSource, UrlFields, WuFields, pipeline_error_id,
};
use wulog_schemas::hresult;
use wulog_schemas::raw::{RawHeader, Source};
use wulog_schemas::signal::RawPosition;

use super::classify;
use super::thread::server_of_url;
use super::time::{EventTime, format_offset, format_utc};
use crate::machine::InRecord;
use crate::parse::{Entry, Level, Trust, event_name};

/// All that an event is made of.
pub(super) struct Line<'a> {
    pub(super) host_id: &'a str,
    pub(super) header: &'a RawHeader,
    pub(super) original: &'a str,
    pub(super) entry: &'a Entry<'a>,
    pub(super) time: &'a EventTime,
    pub(super) flags: Vec<Flag>,
    pub(super) id: String,
    pub(super) continues: Option<String>,
    /// File of the trust check that the line belongs to.
    pub(super) path: Option<&'a str>,
    pub(super) client_build: Option<&'a str>,
    pub(super) os_version: Option<&'a str>,
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) raw: RawFields,
}

/// The document of a line, as compact JSON.
pub(super) fn line(line: Line<'_>) -> Vec<u8> {
    let Line { entry, header, .. } = line;
    let (mut action, outcome, type_) = classify::describe(entry);
    if line.continues.is_some() && action == Action::Log {
        action = Action::Continuation;
    }
    let failure = entry.hresult.filter(|code| code & 0x8000_0000 != 0);
    let known = failure.and_then(hresult::lookup);
    let family = failure.and_then(hresult::family);
    let code = failure.map(hresult::display);
    let report = entry.report.as_ref();
    let url = entry.facts.url.map(url_fields);
    let server = url.as_ref().and_then(|url| url.domain.clone());
    let name = (!header.host.is_empty()).then_some(header.host.as_str());
    let hosts: Vec<Cow<'_, str>> = name.map(Cow::Borrowed).into_iter().chain(server).collect();
    let event = Event {
        timestamp: format_utc(line.time.millis, line.time.nanos),
        ecs: Ecs { version: ECS_VERSION.into() },
        message: entry.message.into(),
        event: EventFields {
            kind: EventKind::Event,
            category: ["package".into()],
            type_: [type_],
            action,
            outcome,
            code: code.clone().or_else(|| report.map(|report| report.event_id.to_string())).map(Cow::Owned),
            module: "windows_update".into(),
            dataset: match header.source {
                Source::WindowsUpdate => "windows_update.log".into(),
                Source::ReportingEvents => "windows_update.reporting_events".into(),
            },
            created: (header.read > 0).then(|| format_utc(header.read, sub_second(header.read))),
            timezone: line.time.offset_min.map(format_offset),
            id: line.id,
            original: line.original.into(),
        },
        error: code.map(|code| ErrorFields {
            code: Some(code.into()),
            type_: known.map(|known| known.symbol.into()),
            message: known.map(|known| known.text).filter(|text| !text.is_empty()).map(Cow::Borrowed),
        }),
        host: Some(HostFields {
            id: line.host_id.into(),
            name: header.host.as_str().into(),
            os: OsFields { type_: "windows".into(), version: line.os_version.map(Cow::Borrowed) },
        }),
        log: LogFields {
            level: entry.level.map(|level| match level {
                Level::Warning => "warning".into(),
                Level::Fatal => "fatal".into(),
            }),
            logger: entry.component.map(Cow::Borrowed),
            file: (!header.file.is_empty()).then(|| LogFile { path: header.file.as_str().into() }),
        },
        process: entry.pid.map(|pid| ProcessFields { pid, thread: entry.tid.map(|id| ThreadFields { id }) }),
        file: line.path.map(|path| FileFields { path: path.into(), code_signature: signature(entry) }),
        package: package(entry),
        service: ServiceFields {
            name: "wuauserv".into(),
            type_: "windows-update".into(),
            version: line.client_build.map(Cow::Borrowed),
        },
        url,
        related: (!hosts.is_empty()).then_some(RelatedFields { hosts }),
        tags: if family.is_some() { vec!["cert-trust".into()] } else { Vec::new() },
        labels: (!line.labels.is_empty()).then_some(Cow::Borrowed(line.labels)),
        wu: WuFields {
            form: Some(entry.form),
            family,
            update_id: entry.facts.update.map(lower),
            update_revision: entry.facts.revision,
            kb: entry.facts.kb.map(|kb| Cow::Owned(kb.to_ascii_uppercase())),
            caller: report
                .map(|report| report.app)
                .filter(|app| !app.is_empty())
                .or(entry.facts.caller)
                .map(Cow::Borrowed),
            service_id: entry.facts.service.map(lower),
            wsus: entry.facts.wsus_server.and_then(server_of_url).map(Cow::Owned),
            target_group: entry.facts.target_group.map(Cow::Borrowed),
            report: report.map(|report| ReportFields {
                instance: lower(report.instance),
                event_id: report.event_id,
                event_name: event_name(report.event_id).map(Cow::Borrowed),
                namespace: report.namespace,
                source_id: report.source,
                result: report.result.into(),
                category: report.category.into(),
                correlation: report.correlation.map(Cow::Borrowed),
            }),
            continues: line.continues.map(Cow::Owned),
            time_source: line.time.source,
            flags: line.flags,
            line: Some(LineFields { epoch: header.epoch.as_str().into(), offset: header.offset, end: header.end }),
            raw: line.raw,
        },
    };
    to_json(&event)
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
    to_json(&event)
}

/// Where the record stands.
pub(super) fn raw_fields(record: &InRecord<'_>) -> RawFields {
    RawFields { partition: record.partition, offset: record.offset, timestamp: record.timestamp_ms }
}

fn to_json(event: &Event<'_>) -> Vec<u8> {
    serde_json::to_vec(event).expect("an event holds only strings, numbers and string maps")
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
    let (domain, port) = match server_of_url(full) {
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
