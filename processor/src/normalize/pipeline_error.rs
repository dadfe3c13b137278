//! The document of a record that is not a valid line.

use wulog_schemas::event::{
    Action, ECS_VERSION, Ecs, ErrorFields, Event, EventFields, EventKind, EventOutcome, EventType, LogFields,
    ServiceFields, TimeSource, WuFields, pipeline_error_id,
};
use wulog_schemas::signal::RawPosition;

use super::line::raw_fields;
use super::time::{format_utc, sub_second};
use crate::machine::InRecord;

/// Returns the document of a record that is not a valid line.
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
            severity: None,
            module: "windows_update".into(),
            dataset: "windows_update.log".into(),
            created: None,
            start: None,
            timezone: None,
            id: pipeline_error_id(raw),
            sequence: None,
            hash: None,
            original: Some(original),
        },
        error: Some(ErrorFields { code: None, type_: Some(kind.into()), message: Some(reason.into()) }),
        host: None,
        log: LogFields { level: None, logger: None, file: None, origin: None },
        process: None,
        dll: None,
        user: None,
        file: None,
        package: None,
        service: ServiceFields { name: "wuauserv".into(), type_: "windows-update".into(), version: None },
        url: None,
        http: None,
        device: None,
        related: None,
        tags: Vec::new(),
        labels: None,
        wu: WuFields::new(TimeSource::Log, raw_fields(record)),
    };
    serde_json::to_vec(&event).expect("an event holds only strings, numbers and string maps")
}
