//! The envelope that Splunk's HTTP Event Collector takes at `/services/collector/event`: time, host, source and sourcetype
//! for Splunk, the ECS document as the event, and indexed fields beside it.
//!
//! The indexed fields have the names of Splunk's Common Information Model, data model Updates, so that searches and `tstats`
//! find updates and their errors without a field alias. They are flat and strings, since the collector refuses a request
//! with anything nested among them. Tags are search-time knowledge in Splunk: `deploy/siem/splunk` has them.

use serde::Serialize;
use wulog_schemas::event::{Action, Event, EventOutcome, OpenOperation};

use super::fields::{self, Object, put};
use super::severity::EventSeverity;
use super::time::Instant;

/// The sourcetype of every event; `event.dataset` tells the two logs apart.
const SOURCETYPE: &str = "wulog:event";

/// CIM's name for what finds and installs the patches.
const VENDOR_PRODUCT: &str = "Microsoft Windows Update";

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    sourcetype: &'static str,
    event: &'a Event<'a>,
    fields: Object,
}

/// The event in its envelope.
pub(super) fn document(event: &Event<'_>) -> Vec<u8> {
    let envelope = Envelope {
        host: event.host.as_ref().map(|host| host.name.as_ref()).filter(|name| !name.is_empty()),
        source: event.log.file.as_ref().map(|file| file.path.as_ref()),
        sourcetype: SOURCETYPE,
        event,
        fields: indexed(event),
    };
    let rest = serde_json::to_string(&envelope).expect("an event holds only strings, numbers and string maps");
    // Written as text, since a float has no room for the seconds of today and their 100 ns.
    let time = Instant::of(&event.timestamp).map(|time| format!("\"time\":{},", time.seconds()));
    format!("{{{}{}", time.unwrap_or_default(), &rest[1..]).into_bytes()
}

fn indexed(event: &Event<'_>) -> Object {
    let wu = &event.wu;
    let mut indexed = Object::new();
    let mut field = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            put(&mut indexed, name, value);
        }
    };
    let (signature, signature_id) = signature(event);
    field("vendor_product", Some(VENDOR_PRODUCT));
    field("dest", event.host.as_ref().map(|host| host.name.as_ref()));
    field("dvc", server(event));
    field("signature", signature);
    field("signature_id", signature_id);
    field("status", status(event));
    field("severity", Some(severity(event)));
    field("vendor_status", wu.report.as_ref().map(|report| report.event_id.to_string()).as_deref());
    field("file_name", event.file.as_ref().and_then(|file| file.path.as_deref()).map(fields::file_name));
    field("app", wu.caller.as_deref());
    field("component", event.log.logger.as_deref());
    let process = event.process.as_ref();
    field("process_id", process.and_then(|process| process.pid).map(|pid| pid.to_string()).as_deref());
    field("tid", process.and_then(|process| process.thread.as_ref()).map(|thread| thread.id.to_string()).as_deref());
    field("wulog_id", Some(&event.event.id));
    field("raw_partition", Some(&wu.raw.partition.to_string()));
    field("raw_offset", Some(&wu.raw.offset.to_string()));
    indexed
}

/// What the line is about: the update by title and KB or id, else the error by symbol and code.
fn signature<'a>(event: &'a Event<'_>) -> (Option<&'a str>, Option<&'a str>) {
    let (kb, update) = (event.wu.kb.as_deref(), event.wu.update_id.as_deref());
    let title = event.package.as_ref().map(|package| package.name.as_ref());
    if let Some(id) = kb.or(update) {
        return (title.or(Some(id)), Some(id));
    }
    let error = event.error.as_ref();
    let symbol = error.and_then(|error| error.type_.as_deref());
    (title.or(symbol), error.and_then(|error| error.code.as_deref()))
}

/// CIM has five words for the state of a patch. `failure` is said of every failure, the others only of a named update.
fn status(event: &Event<'_>) -> Option<&'static str> {
    /// REPORT EVENTs of an installation that is complete only after a restart, and of one that waits for it.
    const WITH_RESTART: [u32; 6] = [184, 191, 193, 194, 199, 224];
    if event.event.outcome == EventOutcome::Failure {
        return Some("failure");
    }
    let named = event.wu.update_id.is_some() || event.package.is_some();
    let restart = event.wu.report.as_ref().is_some_and(|report| WITH_RESTART.contains(&report.event_id));
    match event.event.action {
        _ if !named => None,
        _ if restart => Some("restart required"),
        Action::InstallSucceeded => Some("installed"),
        // An update that is not offered any more may be installed or withdrawn.
        Action::AttemptSucceeded if event.wu.evidence.is_some() => None,
        Action::AttemptSucceeded if event.wu.operation == Some(OpenOperation::Install) => Some("installed"),
        Action::AttemptSucceeded => Some("available"),
        Action::DownloadStart
        | Action::DownloadProgress
        | Action::DownloadEnd
        | Action::DownloadSucceeded
        | Action::InstallPending
        | Action::InstallStart => Some("available"),
        _ => None,
    }
}

/// The five words of CIM, of which `critical` is no line's.
fn severity(event: &Event<'_>) -> &'static str {
    match EventSeverity::of(event) {
        EventSeverity::Informational => "informational",
        EventSeverity::Low => "low",
        EventSeverity::Medium => "medium",
        EventSeverity::High => "high",
    }
}

/// The patch server, which CIM calls the device.
fn server<'a>(event: &'a Event<'_>) -> Option<&'a str> {
    let domain = event.url.as_ref().and_then(|url| url.domain.as_deref());
    domain.or_else(|| event.wu.wsus.as_deref().map(|server| server.split(':').next().unwrap_or(server)))
}
