//! Writes the event document of a line.

use std::ops::Range;

use bytes::Bytes;
use wulog_schemas::event::{EventOutcome, hex_digits};
use wulog_schemas::hresult::{self, Codes};
use wulog_schemas::raw::LineHash;

use super::classify::Meaning;
use super::fragment_cache::{ActionPrefixes, FailingFacts, FragmentCache, Fragments};
use super::json::Json;
use super::line::LineValues;
use super::patterns::Match;
use super::spelling::server_of_url;
use crate::parse::{Entry, Facts, LineLevel, LineOrigin, Trust, end_of_scheme, service_name};

/// The JSON between the timestamp and the message; the version in it is [`ECS_VERSION`].
///
/// [`ECS_VERSION`]: wulog_schemas::event::ECS_VERSION
const AFTER_TIMESTAMP: &str = "\",\"ecs\":{\"version\":\"9.4.0\"},\"message\":\"";

/// Writer of documents, with the buffer and the caches that all documents share.
#[derive(Clone, Debug, Default)]
pub(super) struct Documents {
    json: Json,
    cache: FragmentCache,
    prefixes: ActionPrefixes,
}

impl Documents {
    /// The document of a line, as compact JSON: an [`Event`], written field by field in the order of its type. A test
    /// reads every document as that type and writes it again.
    ///
    /// [`Event`]: wulog_schemas::event::Event
    pub(super) fn line(&mut self, line: &LineValues<'_>) -> Bytes {
        self.json.begin();
        let fragments = self.cache.fragments(line, &mut self.json);
        write(&mut self.json, line, fragments, &mut self.prefixes);
        self.json.finish()
    }
}

fn write(json: &mut Json, line: &LineValues<'_>, fragments: &Fragments, prefixes: &mut ActionPrefixes) {
    let LineValues { entry, header, .. } = line;
    let facts = &entry.facts;
    let known = line.meaning.failure.and_then(hresult::lookup);
    let server = facts.url.and_then(server_of_url);

    json.raw("{\"@timestamp\":\"").utc(line.time.millis, line.time.nanos).raw(AFTER_TIMESTAMP);
    let start = json.end();
    json.escaped(entry.message);
    let message = start..json.end();
    event(json, line, &fragments.created, prefixes, message);
    if let Some(code) = line.meaning.failure {
        json.raw(",\"error\":{\"code\":").hresult(code);
        json.optional_text(",\"type\":", known.map(|known| known.symbol));
        json.optional_text(",\"message\":", known.map(|known| known.text).filter(|text| !text.is_empty())).raw("}");
    }
    json.bytes(&fragments.host);
    log(json, entry, &fragments.file);
    process(json, line);
    json.object(",\"dll\":{\"path\":", facts.module, "}");
    json.object(",\"user\":{\"id\":", facts.sid, "}");
    if let Some(path) = line.path {
        json.raw(",\"file\":{\"path\":").text(path);
        signature(json, entry);
        json.raw("}");
    }
    let kb = facts.kb.or_else(|| line.name.and_then(|name| name.kb.as_deref()));
    match (facts.title.or_else(|| line.name.and_then(|name| name.title.as_deref())), kb) {
        (Some(title), _) => json.raw(",\"package\":{\"name\":").text(title).raw("}"),
        (None, Some(kb)) => json.raw(",\"package\":{\"name\":").upper(kb).raw("}"),
        (None, None) => json,
    };
    json.raw(",\"service\":{\"name\":\"wuauserv\",\"type\":\"windows-update\"");
    let host_facts = line.has_host_facts().then_some(&fragments.failing);
    own_or_of_host(json, ",\"version\":", line.client_build, host_facts.map(|facts| &*facts.client_build));
    json.raw("}");
    if let Some(full) = facts.url {
        url(json, full, server.as_deref());
    }
    if let Some(status_code) = facts.http_status {
        json.raw(",\"http\":{\"response\":{\"status_code\":").number(status_code).raw("}}");
    }
    device(json, entry);
    related(json, line, &fragments.related, server.as_deref());
    if line.meaning.family.is_some() {
        json.raw(",\"tags\":[\"cert-trust\"]");
    }
    json.bytes(&fragments.labels).raw(",\"wu\":{\"form\":\"").name(entry.form).raw("\"");
    json.optional_name(",\"family\":\"", line.meaning.family);
    json.optional_name(",\"operation\":\"", line.operation);
    codes(json, &entry.codes, line.meaning.outcome);
    what(json, line, kb, host_facts);
    json.optional(",\"pattern\":", line.matched.map(Match::names).as_ref());
    if let Some(head) = line.continues {
        json.raw(",\"continues\":\"").id(head).raw("\"");
    }
    json.raw(",\"time_source\":\"").name(line.time.source);
    for (at, flag) in line.flags.names().enumerate() {
        json.raw(if at == 0 { "\",\"flags\":[\"" } else { "\",\"" }).raw(flag);
    }
    json.raw(if line.flags.is_empty() { "\"," } else { "\"]," }).bytes(&fragments.epoch);
    json.number(header.offset).raw(",\"end\":").number(header.end);
    json.bytes(&fragments.partition).number(line.raw.offset).bytes(&fragments.timestamp);
}

/// Writes `event`, from the closing quote of the message on.
fn event(json: &mut Json, line: &LineValues<'_>, created: &[u8], prefixes: &mut ActionPrefixes, message: Range<usize>) {
    let LineValues { entry, header, .. } = line;
    let Meaning { action, outcome, .. } = line.meaning;
    json.bytes(prefixes.of(action, outcome));
    match (line.meaning.code, &entry.report) {
        (Some(code), _) => json.raw(",\"code\":").hresult(code),
        (None, Some(report)) => json.raw(",\"code\":\"").number(report.event_id).raw("\""),
        (None, None) => json,
    };
    json.optional_number(",\"severity\":", line.matched.and_then(Match::severity));
    json.bytes(created);
    if let Some(minutes) = line.time.offset_min {
        json.raw(",\"timezone\":").offset(minutes);
    }
    json.raw(",\"id\":\"").id(line.id).raw("\",\"sequence\":").number(header.offset);
    match &header.hash {
        LineHash::Crc(crc) => json.raw(",\"hash\":\"").bytes(&hex_digits(*crc)).raw("\""),
        LineHash::Text(text) => json.optional_text(",\"hash\":", Some(&**text).filter(|text| !text.is_empty())),
    };
    json.raw(",\"original\":\"");
    original(json, line, message);
    json.raw("\"}");
}

/// Writes `event.original`: the line. The message is a part of the line and already escaped, so its JSON is copied.
fn original(json: &mut Json, line: &LineValues<'_>, message: Range<usize>) {
    let (whole, part) = (line.original, line.entry.message);
    let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
    match start.checked_add(part.len()).filter(|end| *end <= whole.len()) {
        Some(end) => json.escaped(&whole[..start]).again(message).escaped(&whole[end..]),
        None => json.escaped(whole),
    };
}

/// Writes `log`, from the closing braces of `host` on.
fn log(json: &mut Json, entry: &Entry<'_>, file: &[u8]) {
    json.raw("}},\"log\":{");
    let start = json.end();
    match entry.level {
        Some(LineLevel::Warning) => json.raw(",\"level\":\"warning\""),
        Some(LineLevel::Fatal) => json.raw(",\"level\":\"fatal\""),
        Some(LineLevel::Error) => json.raw(",\"level\":\"error\""),
        None => &mut *json,
    };
    json.optional_text(",\"logger\":", entry.component).bytes(file);
    if let Some(LineOrigin { function, file, line }) = entry.facts.origin {
        json.raw(",\"origin\":{");
        let start = json.end();
        json.optional_text(",\"function\":", function);
        if file.is_some() || line.is_some() {
            json.raw(",\"file\":{");
            let start = json.end();
            json.optional_text(",\"name\":", file).optional_number(",\"line\":", line);
            json.without_first_comma(start).raw("}");
        }
        json.without_first_comma(start).raw("}");
    }
    json.without_first_comma(start).raw("}");
}

fn process(json: &mut Json, line: &LineValues<'_>) {
    let LineValues { entry, .. } = line;
    let executable = entry.facts.process;
    let Some(pid) = entry.pid else {
        if let Some(path) = executable {
            json.raw(",\"process\":{").optional_text("\"name\":", line.process_name);
            json.raw(if line.process_name.is_some() { ",\"executable\":" } else { "\"executable\":" })
                .text(path)
                .raw("}");
        } else if let Some(tid) = entry.tid {
            json.raw(",\"process\":{\"thread\":{\"id\":").number(tid).raw("}}");
        }
        return;
    };
    json.raw(",\"process\":{\"pid\":").number(pid);
    if let Some(tid) = entry.tid {
        json.raw(",\"thread\":{\"id\":").number(tid).raw("}");
    }
    json.optional_text(",\"name\":", line.process_name).optional_text(",\"executable\":", executable).raw("}");
}

fn url(json: &mut Json, full: &str, server: Option<&str>) {
    let (domain, port) = match server.map(|server| (server, server.rsplit_once(':'))) {
        Some((_, Some((domain, port)))) if !domain.is_empty() => (Some(domain), port.parse::<u16>().ok()),
        Some((server, _)) => (Some(server), None),
        None => (None, None),
    };
    json.raw(",\"url\":{\"full\":").text(full).optional_text(",\"domain\":", domain);
    json.optional_number(",\"port\":", port);
    if let Some(end) = end_of_scheme(full) {
        json.raw(",\"scheme\":").lower(&full[..end]);
    }
    json.raw("}");
}

fn device(json: &mut Json, entry: &Entry<'_>) {
    let Facts { manufacturer, model, .. } = &entry.facts;
    let (manufacturer, model) = (manufacturer.as_deref(), model.as_deref());
    if manufacturer.is_none() && model.is_none() {
        return;
    }
    let comma = if manufacturer.is_some() { "," } else { "" };
    json.raw(",\"device\":{").optional_text("\"manufacturer\":", manufacturer);
    if let Some(model) = model {
        json.raw(comma).raw("\"model\":{\"name\":").text(model).raw("}");
    }
    json.raw("}");
}

fn related(json: &mut Json, line: &LineValues<'_>, host: &[u8], server: Option<&str>) {
    // A host's name excludes the port.
    let server = server.map(|server| server.rsplit_once(':').map_or(server, |(domain, _)| domain));
    let hash = line.path.and_then(named_by_hash).or_else(|| line.entry.facts.url.and_then(named_by_hash));
    if host.is_empty() && server.is_none() && hash.is_none() {
        return;
    }
    json.raw(",\"related\":{");
    let has_hosts = !host.is_empty() || server.is_some();
    if has_hosts {
        json.raw("\"hosts\":[").bytes(host);
        json.optional_text(if host.is_empty() { "" } else { "," }, server).raw("]");
    }
    if let Some(hash) = hash {
        json.raw(if has_hosts { ",\"hash\":[" } else { "\"hash\":[" }).lower(hash).raw("]");
    }
    json.raw("}");
}

/// Returns the SHA-1 in the name of a file: `...\25cd5f57efc246cf2e8f6d2ec4cbf2d7b4e48f45`,
/// `.../1319061_93efa2cc....cab`.
fn named_by_hash(path: &str) -> Option<&str> {
    const SHA1_DIGITS: usize = 40;
    let path = &path[..memchr::memchr2(b'?', b'#', path.as_bytes()).unwrap_or(path.len())];
    let name = &path[memchr::memrchr2(b'\\', b'/', path.as_bytes()).map_or(0, |at| at + 1)..];
    let stem = &name[..memchr::memchr(b'.', name.as_bytes()).unwrap_or(name.len())];
    let digits = &stem[memchr::memrchr(b'_', stem.as_bytes()).map_or(0, |at| at + 1)..];
    (digits.len() == SHA1_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}

/// Writes `wu.hresults`: all codes of the line. In a failed line, a code without the failure bit is not an HRESULT.
fn codes(json: &mut Json, codes: &Codes, outcome: EventOutcome) {
    let mut has_any = false;
    for code in codes.all().filter(|code| hresult::is_failure(*code) || outcome != EventOutcome::Failure) {
        json.raw(if has_any { ",{\"code\":" } else { ",\"hresults\":[{\"code\":" }).hresult(code);
        json.optional_text(",\"symbol\":", hresult::lookup(code).map(|known| known.symbol)).raw("}");
        has_any = true;
    }
    if has_any {
        json.raw("]");
    }
}

/// Writes the members of `wu` for the objects that the line names: update, caller, service, servers, report.
fn what(json: &mut Json, line: &LineValues<'_>, kb: Option<&str>, host_facts: Option<&FailingFacts>) {
    let entry = line.entry;
    let facts = &entry.facts;
    let report = entry.report.as_ref();
    json.optional_lower(",\"update_id\":", facts.update.or(line.update.as_deref()));
    json.optional_number(",\"update_revision\":", facts.revision);
    if let Some(kb) = kb {
        json.raw(",\"kb\":").upper(kb);
    }
    let app = report.map(|report| report.app).filter(|app| !app.is_empty());
    json.optional_text(",\"caller\":", app.or(facts.caller));
    json.optional_lower(",\"service_id\":", facts.service);
    json.optional_text(",\"service\":", facts.service.and_then(service_name));
    let wsus = facts.wsus.and_then(server_of_url);
    own_or_of_host(json, ",\"wsus\":", wsus.as_deref(), host_facts.map(|facts| &*facts.wsus));
    own_or_of_host(json, ",\"target_group\":", facts.target_group, host_facts.map(|facts| &*facts.target_group));
    json.optional_lower(",\"proxy\":", facts.proxy);
    json.optional_lower(",\"client_id\":", facts.client);
    json.optional_lower(",\"call_id\":", facts.call);
    json.optional_lower(",\"job_id\":", facts.job);
    json.optional_text(",\"correlation\":", report.and_then(|report| report.correlation).or(facts.correlation));
    if let Some(report) = report {
        json.raw(",\"report\":{\"instance\":").lower(report.instance);
        json.raw(",\"event_id\":").number(report.event_id).optional_text(",\"event_name\":", report.event_name);
        json.optional_number(",\"namespace\":", report.namespace).optional_number(",\"source_id\":", report.source);
        json.raw(",\"result\":").text(report.result).raw(",\"category\":").text(report.category).raw("}");
    }
}

/// Writes `name` and the text of the line, else the member of the host, which may be empty.
#[inline]
fn own_or_of_host(json: &mut Json, name: &str, own: Option<&str>, of_host: Option<&[u8]>) {
    match (own, of_host) {
        (Some(text), _) => json.raw(name).text(text),
        (None, Some(member)) => json.bytes(member),
        (None, None) => json,
    };
}

fn signature(json: &mut Json, entry: &Entry<'_>) {
    let trusted = match entry.facts.trust {
        Some(Trust::Trusted) => true,
        Some(Trust::Untrusted | Trust::Failed | Trust::Rejected) => false,
        Some(Trust::Checking | Trust::Unknown) | None => return,
    };
    let status = entry.hresult.and_then(hresult::lookup).filter(|_| !trusted).map(|known| known.symbol);
    json.raw(",\"code_signature\":{\"trusted\":").raw(if trusted { "true" } else { "false" });
    json.optional_text(",\"status\":", status).raw("}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_name_the_ecs_version_of_the_contract() {
        let version = format!("\"ecs\":{{\"version\":\"{}\"}}", wulog_schemas::event::ECS_VERSION);
        assert!(AFTER_TIMESTAMP.contains(&version));
    }
}
