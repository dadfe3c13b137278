//! Level, bullets and facts of a message.

use std::ops::Range;

use super::facts::{Facts, bounded};
use super::ids::ids;
use super::level::LineLevel;
use super::origin::origin;
use super::pairs::{pairs, words_of_marks};
use super::section::section;
use super::sls::service_location;
use super::trust::trust;
use super::url::url;
use super::words::Words;
use super::{guid, time};

/// Removes bullets and the severity word: ` * WARNING: Exit code = ...`.
pub(super) fn level_and_body(message: &str) -> (Option<LineLevel>, &str) {
    let body = strip_bullet(message);
    let leveled = [("WARNING:", LineLevel::Warning), ("FATAL:", LineLevel::Fatal)];
    match leveled.into_iter().find_map(|(word, level)| Some((level, body.strip_prefix(word)?))) {
        Some((level, rest)) => (Some(level), rest.trim_start()),
        None => (None, body),
    }
}

/// Removes one bullet character and spaces; a bar of them, or the stars around `*FAILED*`, is not a bullet.
fn strip_bullet(text: &str) -> &str {
    let text = text.strip_prefix('\\').unwrap_or(text);
    let mut chars = text.chars();
    match chars.next() {
        Some('*' | '#' | '-' | ':' | '+' | '=') if chars.as_str().starts_with(' ') && !is_section(text) => {
            chars.as_str().trim_start()
        }
        _ => text,
    }
}

fn is_section(text: &str) -> bool {
    text.starts_with("* START *") || text.starts_with("* END *")
}

/// Returns the message without the second header of Insider builds: `[0]0B2C.0C34::03/07/2017-17:08:41.736
/// [agent]text`.
pub(super) fn without_trace_prefix(text: &str) -> &str {
    let Some(head) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return text;
    };
    if head.0.is_empty() || !head.0.bytes().all(|byte| byte.is_ascii_digit()) || !head.1.contains("::") {
        return text;
    }
    head.1.split_once(" [").and_then(|(_, rest)| rest.split_once(']')).map_or(text, |(_, text)| text.trim_start())
}

/// True for `Unknown( 15): GUID=... (No Format Information found).`, and for the row of numbers that tracerpt makes of one.
pub(super) fn is_undecoded(body: &str) -> bool {
    body.starts_with("Unknown(") && (body.contains("No Format Information found") || body.contains("), 0, 0, 0, 0,"))
}

/// Adds the facts of `body`, a message without bullet and level, to `facts`. Returns where a name stands in `body`. In
/// place, since facts are large and a copy is slow.
pub(super) fn facts<'a>(
    message: &str,
    body: &'a str,
    component: Option<&str>,
    facts: &mut Facts<'a>,
) -> Option<Range<usize>> {
    if body.is_empty() {
        return None;
    }
    if is_undecoded(body) {
        facts.undecoded = true;
        return None;
    }
    facts.words = Words::of(body);
    let said = without_failed(body);
    facts.failed = said.is_some();
    facts.section = section(body, component);
    trust(said.unwrap_or(body), facts);
    if message.starts_with('=') {
        under_banner(body, facts);
    }
    sentences(body, facts);
    ids(body, facts);
    let name = pairs(body, facts);
    if facts.words.any(Words::URL) {
        url(body, facts);
    }
    if facts.words.any(Words::SLS) {
        service_location(body, facts);
    }
    if facts.failed {
        facts.origin = origin(body);
    }
    rare(body, facts);
    facts.kb = facts.title.and_then(kb).or_else(|| kb(body));
    name
}

/// Removes the facts that were read from a name: `hidden` is `body` without the name.
pub(super) fn hide_name<'a>(body: &'a str, hidden: &str, facts: &mut Facts<'a>) {
    facts.words = Words::of(hidden).or(words_of_marks(hidden));
    facts.trust = None;
    facts.path = None;
    trust(without_failed(body).unwrap_or(body), facts);
    if !facts.words.any(Words::URL) {
        facts.url = None;
    }
}

/// Returns the text after `*FAILED* [80072F8F] `; copies by way of Markdown lose the stars.
fn without_failed(body: &str) -> Option<&str> {
    let rest =
        body.strip_prefix("*FAILED*").or_else(|| body.strip_prefix("FAILED").filter(|rest| rest.starts_with(" [")))?;
    let rest = rest.trim_start();
    Some(rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(rest, |(_, rest)| rest.trim_start()))
}

/// Facts that few lines hold.
fn rare<'a>(body: &'a str, facts: &mut Facts<'a>) {
    let after = |mark: &str| memchr::memmem::find(body.as_bytes(), mark.as_bytes()).map(|at| &body[at + mark.len()..]);
    if facts.words.any(Words::HTTP_STATUS) {
        let rest = after("HTTP status code").or_else(|| after("http status code"));
        let rest = rest.or_else(|| after("HTTP/1.").and_then(|rest| rest.get(1..))).unwrap_or_default();
        let rest = rest.trim_start_matches([' ', '=', ':', '[']);
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        facts.http_status = rest[..digits].parse().ok().filter(|status| (100..600).contains(status));
    }
    if facts.words.any(Words::SID) {
        // A SID in a path names the owner of the folder, not the user for whom the client works.
        let digits = after(" S-1-").unwrap_or_default();
        let bytes = digits.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'-').count();
        let start = body.len() - digits.len();
        facts.sid =
            if bytes > 0 { bounded(body[start - "S-1-".len()..start + bytes].trim_end_matches('-')) } else { None };
    }
    if facts.words.any(Words::CORRELATION) {
        let rest = after("cV").unwrap_or_default();
        let value = rest.trim_start_matches([' ', '=', ':']);
        let end = value.find([')', ' ', ']', ',', ';']).unwrap_or(value.len());
        // `cV` inside of another word is not the key of a correlation vector.
        facts.correlation = bounded(&value[..end]).filter(|vector| value.len() < rest.len() && vector.contains('.'));
    }
}

/// `= Process: C:\Windows\system32\svchost.exe`, `= Module: c:\windows\system32\wuaueng.dll`
fn under_banner<'a>(body: &'a str, facts: &mut Facts<'a>) {
    if let Some(rest) = body.strip_prefix("Process:") {
        facts.process = bounded(rest.trim());
    } else if let Some(rest) = body.strip_prefix("Module:") {
        facts.module = bounded(rest.trim());
    }
}

/// Adds facts of whole sentences, which are recognized by their first words.
fn sentences<'a>(body: &'a str, facts: &mut Facts<'a>) {
    let first_word = |text: &'a str| bounded(text.split(' ').next().unwrap_or(text));
    if facts.words.any(Words::LOGGING_INITIALIZED) {
        banner(body, facts);
    } else if let Some(rest) = body.strip_prefix("WU client version ") {
        facts.client_version = first_word(rest.trim());
    } else if let Some(rest) = body.strip_prefix("WU client with version ") {
        facts.client_version = first_word(rest);
    } else if let Some(rest) = body.strip_prefix("Client version: Core: ") {
        facts.client_version = first_word(rest);
    } else if let Some(rest) = body.strip_prefix("WER Report sent: ") {
        wer(rest, facts);
    }
}

/// Reads `Logging initialized (build: 7.5.7601.17514, tz: -0400)`; a copy may have lost the first half.
fn banner<'a>(text: &'a str, facts: &mut Facts<'a>) {
    if let Some((_, rest)) = text.split_once("build: ") {
        facts.client_version = bounded(rest.split([',', ')']).next().unwrap_or(rest).trim());
    }
    if let Some((_, rest)) = text.split_once("tz: ") {
        facts.banner_offset_min = time::offset(rest).map(|(minutes, _)| minutes);
    }
}

/// `7.5.7601.17514 0x800b0109 8468427E-... Download 101 Managed`
fn wer<'a>(text: &'a str, facts: &mut Facts<'a>) {
    let mut words = text.split(' ');
    facts.client_version = words.next().and_then(bounded);
    facts.update = words.nth(1).and_then(guid::take).map(|(guid, _)| guid).filter(|guid| !guid::is_nil(guid));
}

/// `KB` and six to eight digits.
pub(super) fn kb(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    for at in memchr::memchr2_iter(b'K', b'k', bytes) {
        if bytes.get(at + 1).is_none_or(|byte| byte | 0x20 != b'b') {
            continue;
        }
        let digits = bytes[at + 2..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_bounded = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        if is_bounded && (6..=8).contains(&digits) {
            return Some(&text[at..at + 2 + digits]);
        }
    }
    None
}
