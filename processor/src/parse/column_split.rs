//! Splits a line into its columns and its message, in every form that files and copies of files have.

use wulog_schemas::event::Form;

use super::component::{is_component, known_prefix};
use super::line_columns::{Columns, trim};
use super::time::{self, TakenTime, TimeWriter};
use super::{cmtrace, csv, foreign};

/// The legacy pid is `%4d`.
const LEGACY_PID_BYTES: usize = 4;

/// Width of the component column of the ETW form, `PadRight(15)` and a space; more blanks mean an empty component.
const ETW_COMPONENT_BYTES: usize = 15;

/// Returns the columns of a line, by the first form that matches.
pub(super) fn split(line: &str) -> Columns<'_> {
    dated(line).unwrap_or_else(|| without_date(line))
}

/// Splits a line that does not begin with a date. Few lines do not, so this is a separate function: inlined, each part
/// of the chain copied the columns of every line, and the code of all parts lay between the parts that nearly every
/// line needs.
#[cold]
#[inline(never)]
fn without_date(line: &str) -> Columns<'_> {
    masked(line)
        .or_else(|| cmtrace::split(line))
        .or_else(|| csv::split(line))
        .or_else(|| undated(line))
        .or_else(|| component_only(line))
        .or_else(|| foreign::undated(line))
        .or_else(|| behind_prefix(line))
        .unwrap_or(Columns {
            form: if starts_with_level(line) { Form::Message } else { Form::Text },
            time: None,
            pid: None,
            tid: None,
            component: None,
            level: None,
            message: trim(line),
        })
}

fn dated(line: &str) -> Option<Columns<'_>> {
    let taken = match time::take(line) {
        Some(taken) => taken,
        None => behind_search_prefix(line)?,
    };
    if taken.rest.starts_with([',', ';'])
        && let Some(exported) = csv::split(line)
    {
        return Some(exported);
    }
    Some(own(&taken).unwrap_or_else(|| foreign::dated(&taken)))
}

#[cold]
#[inline(never)]
fn behind_search_prefix(line: &str) -> Option<TakenTime<'_>> {
    time::take(skip_search_prefix(line.trim_start()))
}

/// Splits the columns after a date and time, where they are those of Windows Update; other programs write dates too.
fn own<'a>(taken: &TakenTime<'a>) -> Option<Columns<'a>> {
    let time = Some(taken.time);
    let (form, rest) = match taken.writer {
        TimeWriter::Etw => (Form::Etw, taken.rest),
        TimeWriter::Legacy => (Form::Legacy, taken.rest),
    };
    let may_be_glued = form == Form::Legacy && !rest.starts_with('\t');
    if let Some(columns) = may_be_glued.then(|| glued(rest)).flatten() {
        return Some(Columns { time, ..columns });
    }
    let Some((pid, tid, rest)) = ids(rest, form) else {
        let columns = Columns { form, time, pid: None, tid: None, component: None, level: None, message: trim(rest) };
        return taken.fraction.then_some(columns);
    };
    // Clients before 5.8 write the zone into the time and have no component.
    let (component, message) = match taken.time.offset_min {
        Some(_) => (None, rest),
        None => component(rest, form),
    };
    // A date and two numbers prove nothing, since many programs write them.
    let is_own = taken.fraction || taken.time.offset_min.is_some() || component.is_some_and(is_component);
    is_own.then(|| Columns {
        form,
        time,
        pid: Some(pid),
        tid: Some(tid),
        component,
        level: None,
        message: trim(message),
    })
}

/// Longest prefix of a search tool: a path of Windows and a line number.
const PREFIX_BYTES_MAX: usize = 300;

/// Splits a line after the name of its file and a line number, `C:\logs\wu.txt:12:2019-03-05 ...`, after `> ` of a
/// quoting mail, or after a header of syslog.
fn behind_prefix(line: &str) -> Option<Columns<'_>> {
    let head = &line.as_bytes()[..line.len().min(PREFIX_BYTES_MAX)];
    // A header of syslog ends in `TAG: `, in `- ` or in a bracket; a list may number its lines in brackets.
    let ends_prefix = |(at, byte): (usize, &u8)| matches!(byte, b':' | b'>' | b'-' | b']' | b'|').then_some(at);
    head.iter().enumerate().filter_map(ends_prefix).find_map(|at| {
        let rest = line[at + 1..].trim_start_matches(['\u{feff}', ' ', '\t']);
        let starts = rest.as_bytes().first().is_some_and(u8::is_ascii_digit);
        let taken = starts.then(|| time::take(rest)).flatten().filter(|taken| taken.fraction)?;
        own(&taken).filter(|columns| columns.pid.is_some())
    })
}

/// Returns the text after such a prefix that begins with `{`, as a record of ReportingEvents.log does.
pub(super) fn braces_behind_prefix(line: &str) -> Option<&str> {
    let head = &line.as_bytes()[..line.len().min(PREFIX_BYTES_MAX)];
    let at = memchr::memchr(b'{', head)?;
    let before = line[..at].trim_end();
    // A list numbers its lines, and a table quotes its fields.
    let is_number = before.trim_matches(['"', ',', ';', '|', ' ', '\t']).bytes().all(|byte| byte.is_ascii_digit());
    (is_number || before.ends_with([':', '>', '|', '"', '`', '*', '-', '\u{2022}'])).then(|| &line[at..])
}

/// Skips the prefix that `Select-String` and other tools put before a line: `C:\Windows\WindowsUpdate.log:2264:`, or a
/// typing error.
fn skip_search_prefix(line: &str) -> &str {
    let ends_name = |colon: &usize| line[..*colon].ends_with(".log");
    if let Some(colon) = memchr::memchr_iter(b':', line.as_bytes()).find(ends_name) {
        let rest = &line[colon + 1..];
        return rest.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix(':').map_or(line, str::trim_start);
    }
    let junk = line.bytes().take_while(u8::is_ascii_alphabetic).count();
    if junk <= 2 { &line[junk..] } else { line }
}

/// Splits columns whose tabs a copy lost: `18:30:03 992810Service...` is pid ` 992`, tid `810`, component `Service`.
fn glued(rest: &str) -> Option<Columns<'_>> {
    let pid = rest.get(..LEGACY_PID_BYTES)?.trim_start().parse().ok()?;
    let rest = &rest[LEGACY_PID_BYTES..];
    let digits = rest.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).count();
    let tid = u32::from_str_radix(rest.get(..digits.min(8))?, 16).ok()?;
    let rest = &rest[digits.min(8)..];
    let component = known_prefix(rest)?;
    let message = trim(&rest[component.len()..]);
    Some(Columns {
        form: Form::Legacy,
        time: None,
        pid: Some(pid),
        tid: Some(tid),
        component: Some(component),
        level: None,
        message,
    })
}

/// Splits a line of an article with a masked date: `YYYY/MM/DD HH:MM:SS.4926861 22576 27056 SLS ...`.
fn masked(line: &str) -> Option<Columns<'_>> {
    let rest = line.strip_prefix("YYYY/MM/DD HH:MM:SS.")?.trim_start_matches(|c: char| c.is_ascii_digit());
    let (pid, tid, rest) = ids(rest, Form::Etw)?;
    let (component, message) = component(rest, Form::Etw);
    Some(Columns {
        form: Form::Etw,
        time: None,
        pid: Some(pid),
        tid: Some(tid),
        component,
        level: None,
        message: trim(message),
    })
}

/// Splits a copied line that lost its date and time: `1060 15a8 PT WARNING: ...`.
fn undated(line: &str) -> Option<Columns<'_>> {
    let (pid, tid, rest) = ids(line, Form::Legacy)?;
    let (component, message) = component(rest, Form::Legacy);
    let component = Some(component.filter(|name| is_component(name))?);
    Some(Columns {
        form: Form::Legacy,
        time: None,
        pid: Some(pid),
        tid: Some(tid),
        component,
        level: None,
        message: trim(message),
    })
}

fn component_only(line: &str) -> Option<Columns<'_>> {
    let (component, message) = component(line, Form::Legacy);
    let component = Some(component.filter(|name| is_component(name))?);
    Some(Columns {
        form: Form::Message,
        time: None,
        pid: None,
        tid: None,
        component,
        level: None,
        message: trim(message),
    })
}

/// Returns process and thread id at the start of `text`, and the rest, which begins with a blank.
pub(super) fn ids(text: &str, form: Form) -> Option<(u32, u32, &str)> {
    let (pid, rest) = word(text)?;
    let (tid, rest) = word(rest)?;
    // One old page of Microsoft's documentation has hexadecimal pids in the ETW form, so both bases are tried.
    let pid = decimal(pid).unwrap_or_else(|| hex(pid));
    let tid = match form {
        Form::Legacy => hex(tid),
        _ => decimal(tid).unwrap_or_else(|| hex(tid)),
    };
    Some((pid, tid, rest))
}

/// Returns the value of a word of decimal digits; `None` for other words.
fn decimal(word: &str) -> Option<u32> {
    word.bytes().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))
}

/// Returns the value of a word of hex digits.
fn hex(word: &str) -> u32 {
    // The low half byte of a digit is its value; that of a letter is its value minus nine.
    word.bytes().fold(0, |value, byte| (value << 4) | (u32::from(byte & 15) + 9 * u32::from(byte >> 6)))
}

/// Returns `text` without leading tabs and spaces.
pub(super) fn behind_blanks(text: &str) -> &str {
    &text[text.bytes().take_while(|byte| matches!(byte, b'\t' | b' ')).count()..]
}

/// Returns the next word of one to eight hex digits, as ids have, and the text after it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = behind_blanks(text);
    let end = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    let fits = (1..=8).contains(&end) && (end == text.len() || matches!(text.as_bytes()[end], b'\t' | b' '));
    fits.then(|| (&text[..end], &text[end..]))
}

fn component(text: &str, form: Form) -> (Option<&str>, &str) {
    if let Some((name, message)) = text.strip_prefix('\t').and_then(split_at_tab) {
        return (Some(trim(name)).filter(|name| !name.is_empty()), message);
    }
    let trimmed = behind_blanks(text);
    if form == Form::Etw && text.len() - trimmed.len() > ETW_COMPONENT_BYTES {
        return (None, trimmed);
    }
    let end = trimmed.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let followed = end == trimmed.len() || matches!(trimmed.as_bytes()[end], b'\t' | b' ');
    if end == 0 || !followed || !trimmed.as_bytes()[0].is_ascii_alphabetic() {
        return (None, trimmed);
    }
    (Some(&trimmed[..end]), &trimmed[end..])
}

fn split_at_tab(text: &str) -> Option<(&str, &str)> {
    let tab = memchr::memchr(b'\t', text.as_bytes())?;
    Some((&text[..tab], &text[tab + 1..]))
}

fn starts_with_level(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("WARNING:") || line.starts_with("FATAL:")
}
