//! The document of an attempt on `wulog.events`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use wulog_schemas::alert::NO_WSUS;
use wulog_schemas::event::{
    Action, ECS_VERSION, Ecs, ErrorFields, Event, EventFields, EventId, EventKind, EventOutcome, EventType, HostFields,
    LogFields, LogFile, OpenOperation, OsFields, PackageFields, RawFields, RelatedFields, ServiceFields, WuFields,
    attempt_id,
};
use wulog_schemas::hresult::{self, parse_hresult};
use wulog_schemas::signal::{Attempt, Outcome};

use super::operation::{AttemptProof, Operation};
use super::time::{format_utc, sub_second};
use super::update_names::UpdateNames;
use crate::parse::service_name;

/// Adds the title and KB of its update to an attempt, where a line of any host named them.
pub(super) fn name(attempt: &mut Attempt, names: &UpdateNames) {
    let Some(name) = attempt.dimensions.get("update").and_then(|update| names.of(update)) else { return };
    for (dimension, value) in [("title", &name.title), ("kb", &name.kb)] {
        if let Some(value) = value {
            attempt.dimensions.insert(dimension.to_owned(), value.clone());
        }
    }
}

/// Returns the document of an attempt: its signal and the facts of its host as one event. A SIEM rule over these
/// documents counts operations, whereas single lines of a healthy installation have codes of failures too.
pub(super) fn document<'a>(
    attempt: &'a Attempt,
    proof: &'a AttemptProof,
    host: &'a BTreeMap<String, String>,
    labels: &'a BTreeMap<String, String>,
) -> Event<'a> {
    let text = |value: &'a String| Cow::Borrowed(value.as_str());
    let of_attempt = |name: &str| attempt.dimensions.get(name).map(text);
    let failed = attempt.outcome == Outcome::Failure;
    let name = of_attempt("title").or_else(|| of_attempt("kb"));
    let known = attempt.code.as_deref().and_then(parse_hresult).and_then(hresult::lookup);
    let server = of_attempt("server").or_else(|| attempt.subject.strip_prefix("server:").map(Cow::Borrowed));
    let is_install = attempt.operation == Operation::Install.name();
    let host_name = attempt.host.name.as_str();
    let first = proof.lines.first().map(EventId::to_string).unwrap_or_default();
    Event {
        timestamp: utc(attempt.event_time),
        ecs: Ecs { version: ECS_VERSION.into() },
        message: message(attempt, name.as_deref(), known.map(|known| known.symbol)).into(),
        event: EventFields {
            kind: EventKind::Event,
            category: ["package".into()],
            type_: [if is_install { EventType::Installation } else { EventType::Info }],
            action: if failed { Action::AttemptFailed } else { Action::AttemptSucceeded },
            outcome: if failed { EventOutcome::Failure } else { EventOutcome::Success },
            code: attempt.code.as_ref().map(text),
            severity: None,
            module: "windows_update".into(),
            dataset: "windows_update.attempt".into(),
            created: None,
            start: Some(utc(proof.start)),
            timezone: None,
            id: attempt_id(&attempt.host.id, &attempt.subject, &first),
            sequence: None,
            hash: None,
            original: None,
        },
        error: attempt.code.as_ref().map(|code| ErrorFields {
            code: Some(text(code)),
            type_: known.map(|known| known.symbol.into()),
            message: known.map(|known| known.text).filter(|text| !text.is_empty()).map(Cow::Borrowed),
        }),
        host: Some(HostFields {
            id: text(&attempt.host.id),
            name: host_name.into(),
            hostname: host_name.split('.').next().unwrap_or(host_name).into(),
            os: OsFields { type_: "windows".into(), version: host.get("os_build").map(text) },
        }),
        log: LogFields {
            level: None,
            logger: None,
            file: (!proof.file.is_empty()).then(|| LogFile { path: (&*proof.file).into() }),
            origin: None,
        },
        process: None,
        dll: None,
        user: None,
        file: None,
        package: name.map(|name| PackageFields { name }),
        service: ServiceFields {
            name: "wuauserv".into(),
            type_: "windows-update".into(),
            version: host.get("client_build").map(text),
        },
        url: None,
        http: None,
        device: None,
        related: (!host_name.is_empty()).then(|| RelatedFields { hosts: vec![host_name.into()], hash: Vec::new() }),
        tags: if attempt.family.is_some() { vec!["cert-trust".into()] } else { Vec::new() },
        labels: (!labels.is_empty()).then_some(Cow::Borrowed(labels)),
        wu: WuFields {
            family: attempt.family,
            operation: open_operation(&attempt.operation),
            subject: Some(text(&attempt.subject)),
            server,
            update_id: of_attempt("update"),
            kb: of_attempt("kb"),
            caller: of_attempt("caller"),
            service_id: of_attempt("service"),
            service: attempt.dimensions.get("service").and_then(|id| service_name(id)).map(Cow::Borrowed),
            evidence: of_attempt("evidence"),
            wsus: host.get("wsus").filter(|wsus| *wsus != NO_WSUS).map(text),
            target_group: host.get("target_group").map(text),
            lines: proof.lines.iter().map(|line| line.to_string().into()).collect(),
            ..WuFields::new(
                proof.time_source,
                RawFields { partition: proof.raw.partition, offset: proof.raw.offset, timestamp: proof.log_time },
            )
        },
    }
}

/// `The download of VideoTool 3.2 (KB9990001) failed: CERT_E_UNTRUSTEDROOT (0x800b0109)`
fn message(attempt: &Attempt, name: Option<&str>, symbol: Option<&str>) -> String {
    let (kind, subject) = attempt.subject.split_once(':').unwrap_or(("", ""));
    let name = match (name, attempt.dimensions.get("kb")) {
        (Some(name), Some(kb)) if !name.contains(kb.as_str()) => Some(format!("{name} ({kb})")),
        (name, _) => name.map(str::to_owned),
    };
    let what = match (kind, name) {
        ("server", _) => format!(" at {subject}"),
        (_, Some(name)) => format!(" of {name}"),
        ("", None) => String::new(),
        (kind, None) => format!(" of {kind} {subject}"),
    };
    let Attempt { operation, outcome, .. } = attempt;
    match (outcome, attempt.dimensions.contains_key("evidence")) {
        (Outcome::Success, true) => format!("The {operation}{what} is not offered any more"),
        (Outcome::Success, false) => format!("The {operation}{what} succeeded"),
        (Outcome::Failure, _) => {
            let code = attempt.code.as_deref().unwrap_or_default();
            let code = symbol.map_or_else(|| code.to_owned(), |symbol| format!("{symbol} ({code})"));
            format!("The {operation}{what} failed: {code}")
        }
    }
}

fn open_operation(name: &str) -> Option<OpenOperation> {
    let operations =
        [OpenOperation::Scan, OpenOperation::Verification, OpenOperation::Download, OpenOperation::Install];
    operations.into_iter().find(|open| Operation::from(*open).name() == name)
}

/// RFC 3339 with milliseconds.
fn utc(millis: i64) -> String {
    format_utc(millis, sub_second(millis))
}
