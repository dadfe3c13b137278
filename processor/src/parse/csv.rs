//! Columns of a CSV export: by a spreadsheet, by `Export-Csv`, by the decoder itself.
//!
//! ```text
//! "2019-03-05","07:41:00:417","912","1b0c","Agent","  * WARNING: Exit code = 0x800B0109"
//! 2023/03/01 22:19:01.4037009;19924;14968;SLS;Making request
//! Unknown( 15), 0, 0, 0, 0, 0, 0, 0x0000000000000000, 0x0000ABCD, 0x00001234, 0, 0, , 133542001234567890, 0, 0
//! ```
//!
//! Quotes inside of a field stay doubled, as the file has them.

use wulog_schemas::event::Form;

use super::component::is_component;
use super::line_columns::{Columns, trim};
use super::time::{self, LocalTime, TakenTime, TimeWriter};

/// Seconds between 1601, where a FILETIME begins, and 1970.
const FILETIME_TO_UNIX_SECS: i64 = 11_644_473_600;

/// Ticks of a FILETIME in a second.
const TICKS_PER_SEC: i64 = 10_000_000;

/// Bound of the split of a row of the decoder's own table; the last field that is read is the time, at index 13.
const TRACE_FIELDS: usize = 19;

pub(super) fn split(line: &str) -> Option<Columns<'_>> {
    let line = line.trim_start();
    match line.as_bytes().first()? {
        b'"' | b'0'..=b'9' => exported(line),
        b'U' => traced(line),
        _ => None,
    }
}

fn exported(line: &str) -> Option<Columns<'_>> {
    let (first, separator, rest) = first_field(line)?;
    // A column with a date alone is followed by a column with the time.
    let (taken, rest) = match owned(first) {
        Some(taken) => (taken, rest),
        None => {
            let (time, rest) = field(rest, separator)?;
            (owned(&format!("{first} {time}"))?, rest)
        }
    };
    let (form, base) = match taken.writer {
        TimeWriter::Etw => (Form::Etw, 10),
        TimeWriter::Legacy => (Form::Legacy, 16),
    };
    let (pid, rest) = field(rest, separator)?;
    let (tid, rest) = field(rest, separator)?;
    let (component, message) = field(rest, separator)?;
    let component = component.trim();
    let known = is_component(component) || component.is_empty() && taken.fraction;
    Some(Columns {
        form,
        time: Some(taken.time),
        pid: Some(pid.trim().parse().ok()?),
        tid: Some(u32::from_str_radix(tid.trim(), base).ok()?),
        component: Some(component).filter(|name| !name.is_empty()),
        level: None,
        message: trim(last_field(message)),
    })
    .filter(|_| known || taken.fraction)
}

/// Returns a time without its borrowed text.
fn owned(text: &str) -> Option<TakenTime<'static>> {
    let taken = time::take(text.trim())?;
    taken.rest.trim().is_empty().then_some(TakenTime { rest: "", ..taken })
}

/// Returns the first field, the separator after it and the rest.
fn first_field(line: &str) -> Option<(&str, u8, &str)> {
    [b',', b';', b'\t'].into_iter().find_map(|separator| {
        let (value, rest) = field(line, separator)?;
        let is_short = value.len() <= "2023. 03. 01 22:19:01.4037009".len() + SEPARATORS_BYTES_MAX;
        is_short.then_some((value, separator, rest))
    })
}

/// Bytes that the separators of other cultures add to a time.
const SEPARATORS_BYTES_MAX: usize = 16;

/// Returns the next field without its quotes, and the text after its separator.
fn field(text: &str, separator: u8) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(' ');
    match text.strip_prefix('"') {
        Some(inner) => {
            let (value, rest) = split_at(inner, b'"')?;
            Some((value, rest.strip_prefix(char::from(separator))?))
        }
        None => split_at(text, separator),
    }
}

/// Returns the texts before and after the first such byte.
fn split_at(text: &str, ascii: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(ascii, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

/// Returns the last column up to its closing quote; columns after it do not belong to Windows Update.
fn last_field(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').map_or(text, |inner| inner.strip_suffix('"').unwrap_or(inner))
}

/// Splits a record that tracerpt could not decode, in its own table of columns.
fn traced(line: &str) -> Option<Columns<'_>> {
    line.strip_prefix("Unknown(")?;
    let mut fields = line.splitn(TRACE_FIELDS + 1, ',').map(str::trim);
    let id = |text: &str| u32::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let (pid, tid) = (fields.nth(8).and_then(id)?, fields.next().and_then(id)?);
    let ticks: i64 = fields.nth(3)?.parse().ok().filter(|ticks: &i64| *ticks > 0)?;
    let secs = ticks.div_euclid(TICKS_PER_SEC) - FILETIME_TO_UNIX_SECS;
    let nanos = u32::try_from(ticks.rem_euclid(TICKS_PER_SEC) * 100).ok()?;
    let time = Some(LocalTime { secs, nanos, offset_min: Some(0) });
    Some(Columns {
        form: Form::Etw,
        time,
        pid: Some(pid),
        tid: Some(tid),
        component: None,
        level: None,
        message: trim(line),
    })
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn columns_of_exports_are_read() {
        let check = |line: &str, form: Form, pid: u32, tid: u32, component: Option<&str>, message: &str| {
            let entry = parse(line);
            assert_eq!(
                (entry.form, entry.pid, entry.tid, entry.component, entry.message, entry.time.is_some()),
                (form, Some(pid), Some(tid), component, message, true),
                "{line}"
            );
        };
        let code = "* WARNING: Exit code = 0x800B0109";
        for line in [
            r#""2019-03-05","07:41:00:417","912","1b0c","Agent","  * WARNING: Exit code = 0x800B0109""#,
            r#""2019-03-05";"07:41:00:417";"912";"1b0c";"Agent";"  * WARNING: Exit code = 0x800B0109""#,
            "2019-03-05,07:41:00:417,912,1b0c,Agent,  * WARNING: Exit code = 0x800B0109",
        ] {
            check(line, Form::Legacy, 912, 0x1b0c, Some("Agent"), code);
        }
        for line in [
            r#""2023/03/01 22:19:01.4037009","19924","14968","SLS","Making request, again""#,
            "2023/03/01 22:19:01.4037009;19924;14968;SLS;Making request, again",
            r#""2023/03/01","22:19:01.4037009","19924","14968","SLS","Making request, again""#,
        ] {
            check(line, Form::Etw, 19924, 14968, Some("SLS"), "Making request, again");
        }
        let traced = "Unknown( 15), 0, 0, 0, 0, 0, 0, 0x0000000000000000, 0x0000ABCD, 0x00001234, 0, 0, , 133542001234567890, 0, 0";
        check(traced, Form::Etw, 0xABCD, 0x1234, None, traced);
        let entry = parse(traced);
        // date -u -d @$((133542001234567890/10000000-11644473600))
        assert_eq!((entry.time.map(|time| time.secs), entry.facts.undecoded), (Some(1_709_726_523), true));
    }

    #[test]
    fn tables_of_other_programs_are_text() {
        for line in [
            r#""Date","Time","PID","TID","Component","Message""#,
            r#""PC1","2024-03-07 05:10:11","Update for x","Failed""#,
            r#""2024-03-07 05:10:11","12","34","Updater","failed 0x800b0109""#,
            "EventTrace, Header, 0, 0, 0, 0, 0, 0x0000000000000000, 0x00000001, 0x00000002, 0, 0, , {0}, , 131072",
            "\"",
            "1,2,3",
        ] {
            assert_eq!(parse(line).form, Form::Text, "{line}");
        }
    }
}
