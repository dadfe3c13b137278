//! REPORT EVENT and ReportingEvents.log: both hold the same record, separated by tabs or by the spaces of a copy.
//!
//! ```text
//! {instance} time+zone namespace event source {update} revision hresult app result category text [correlation vector]
//! ```
//!
//! A table that was exported has `,`, `;` or `|` between its fields, with or without quotes around them.

use wulog_schemas::hresult::parse_hresult;

use super::column_split::braces_behind_prefix;
use super::event_ids::event_name;
use super::guid;
use super::time::{self, LocalTime};

/// The result column of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportVerdict {
    /// `Success`.
    Success,
    /// `Failure`.
    Failure,
    /// `Started`, `Pending` and the like.
    Other,
}

/// The fields of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Report<'a> {
    /// GUID of this occurrence.
    pub instance: &'a str,
    /// The time of the event, with the zone.
    pub time: Option<LocalTime>,
    /// 1 for clients.
    pub namespace: Option<u32>,
    /// Event id, such as 161.
    pub event_id: u32,
    /// The name of the event, by the specification, else as the line gives it.
    pub event_name: Option<&'a str>,
    /// Client sub-component: 101 the agent, 102 automatic updates.
    pub source: Option<u32>,
    /// Update, where the event has one.
    pub update: Option<&'a str>,
    /// Revision of the update.
    pub revision: Option<u32>,
    /// HRESULT, zero for success.
    pub hresult: Option<u32>,
    /// Calling application; may hold spaces.
    pub app: &'a str,
    /// The result column.
    pub result: &'a str,
    /// `Content Download`, `Software Synchronization` ...
    pub category: &'a str,
    /// The text, which contains the title of the update.
    pub text: &'a str,
    /// Correlation vector of Windows 10+.
    pub correlation: Option<&'a str>,
}

impl Report<'_> {
    /// Returns the result column as a verdict.
    #[must_use]
    pub fn verdict(&self) -> ReportVerdict {
        match self.result {
            "Success" | "Erfolg" | "Erfolgreich" | "Succès" | "Réussite" => ReportVerdict::Success,
            "Failure" | "Fehler" | "Fehlgeschlagen" | "Échec" | "Echec" => ReportVerdict::Failure,
            _ => ReportVerdict::Other,
        }
    }

    /// True where the record reaches at least its category, so that all decisive fields are there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.result.is_empty() && !self.category.is_empty()
    }
}

/// Words of the result column, which end an app name that holds spaces.
const RESULTS: [&str; 18] = [
    "Success",
    "Failure",
    "Started",
    "Pending",
    "Canceled",
    "Cancelled",
    "Aborted",
    "Deferred",
    "Unknown",
    "Erfolg",
    "Erfolgreich",
    "Fehler",
    "Fehlgeschlagen",
    "Succès",
    "Réussite",
    "Échec",
    "Echec",
    "Gestartet",
];

/// Categories, needed only where a copy turned the tabs into spaces.
const CATEGORIES: [&str; 12] = [
    "Software Synchronization",
    "Pre-Deployment Check",
    "Content Download",
    "Content Installation",
    "Content Install",
    "Content Uninstallation",
    "Content Uninstall",
    "Content Commit",
    "Content Revert",
    "Agent Detection",
    "Self Update",
    "Reboot",
];

/// Fields of a record.
const FIELDS: usize = 12;

/// Digits of a code that is written in full.
const HRESULT_DIGITS: usize = 8;

/// The separators of a copy; a web page turns runs of blanks into non-breaking blanks.
const BLANKS: [char; 3] = ['\t', ' ', '\u{a0}'];

/// Returns `text` without leading blanks.
fn behind_blanks(text: &str) -> &str {
    text.trim_start_matches(BLANKS)
}

/// Reads the record in a `REPORT EVENT: ` message.
pub(super) fn report_event(message: &str) -> Option<Report<'_>> {
    record(message.strip_prefix("REPORT EVENT:")?.trim_start())
}

/// Reads a whole line of ReportingEvents.log.
pub(super) fn reporting_events(line: &str) -> Option<Report<'_>> {
    if line.starts_with('{') { record(line) } else { None }
}

/// Reads a line of ReportingEvents.log after blanks or the prefix of a search tool.
pub(super) fn copied(line: &str) -> Option<Report<'_>> {
    record(braces_behind_prefix(line)?).filter(|report| report.time.is_some())
}

/// True for the first part of a record that is wrapped before its event id; the part alone is unreadable.
pub(crate) fn is_begun(line: &str) -> bool {
    let text = braces_behind_prefix(line).unwrap_or_default();
    guid::take(text).is_some_and(|(_, rest)| {
        let rest = rest.trim_start();
        rest.is_empty() || text.starts_with('{') && rest.bytes().take(4).all(|byte| byte.is_ascii_digit())
    })
}

/// True for the start of a record up to the year of its time. A later part of a wrapped record may begin with the id of
/// the update, but no date follows that id.
pub(crate) fn is_dated(line: &str) -> bool {
    let text = braces_behind_prefix(line).unwrap_or_default();
    guid::take(text).is_some_and(|(_, rest)| {
        let date = rest.trim_start().as_bytes();
        date.len() > 4 && date[..4].iter().all(u8::is_ascii_digit) && matches!(date[4], b'-' | b'/' | b'.')
    })
}

/// True where the first part of a record holds only its instance, so that the next part begins with the time.
pub(crate) fn awaits_time(line: &str) -> bool {
    let text = line
        .rsplit_once("REPORT EVENT:")
        .map_or_else(|| braces_behind_prefix(line), |(_, text)| Some(text.trim_start()));
    text.and_then(guid::take).is_some_and(|(_, rest)| rest.trim().is_empty())
}

/// Returns how many identifying fields of a record are readable in a text that was joined from parts: its GUIDs, its
/// time and its code. A wrongly joined part breaks the field in which the record was cut.
pub(crate) fn fields_read(text: &str, report: Option<&Report<'_>>) -> usize {
    let Some(report) = report else { return 0 };
    let known = [report.is_whole(), report.time.is_some(), report.hresult.is_some(), RESULTS.contains(&report.result)];
    1 + known.into_iter().filter(|is_known| *is_known).count() + guid::find_all(text).count()
}

/// Reads a record. Most records have their tabs; a copy may have runs of blanks in place of all or some of them.
fn record(text: &str) -> Option<Report<'_>> {
    let (instance, rest) = guid::take(text)?;
    let separated =
        rest.strip_prefix('\t').and_then(|rest| fields(instance, FieldCursor { rest, separator: Separator::Tab }));
    if separated.as_ref().is_some_and(|report| report.time.is_some() && RESULTS.contains(&report.result)) {
        return separated;
    }
    if memchr::memchr_iter(b'\t', text.as_bytes()).take(FIELDS).count() + 1 >= FIELDS && separated.is_some() {
        return separated;
    }
    let Some(rest) = rest.strip_prefix(BLANKS) else { return exported(instance, rest) };
    fields(instance, FieldCursor { rest: rest.trim_start(), separator: Separator::Blanks }).or(separated)
}

/// Reads a record of a table whose first field ends at `rest`: `","2024-03-07 06:01:52:781+0100","1",...`.
fn exported<'a>(instance: &'a str, rest: &'a str) -> Option<Report<'a>> {
    let rest = rest.strip_prefix('"').unwrap_or(rest);
    let separator = rest.chars().next().filter(|c| matches!(c, ',' | ';' | '|'))?;
    let cursor = FieldCursor { rest: &rest[1..], separator: Separator::Char(separator) };
    fields(instance, cursor).filter(|report| report.time.is_some())
}

fn fields<'a>(instance: &'a str, mut cursor: FieldCursor<'a>) -> Option<Report<'a>> {
    let time = cursor.time();
    let namespace = cursor.field().parse().ok();
    let (event_id, written_name) = cursor.event_id()?;
    let source = cursor.field().parse().ok();
    let update = guid::take(cursor.field()).map(|(guid, _)| guid).filter(|guid| !guid::is_nil(guid));
    let revision = cursor.field().parse().ok().filter(|_| update.is_some());
    let code = cursor.field();
    // A line that was cut within the code has only some of its digits.
    let is_cut_off = cursor.rest.is_empty() && code.len() < HRESULT_DIGITS;
    let hresult = parse_hresult(code).filter(|_| !is_cut_off);
    let (app, result) = cursor.app_and_result();
    let category = cursor.category();
    let (text, correlation) = cursor.text();
    Some(Report {
        instance,
        time,
        namespace,
        event_id,
        event_name: event_name(event_id).or(written_name),
        source,
        update,
        revision,
        hresult,
        app,
        result,
        category,
        text,
        correlation,
    })
}

/// The separator of the fields.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Separator {
    Tab,
    /// Any run of tabs and blanks.
    Blanks,
    /// The separator of a table, whose fields may be quoted.
    Char(char),
}

/// The unread rest of the record.
struct FieldCursor<'a> {
    rest: &'a str,
    separator: Separator,
}

impl<'a> FieldCursor<'a> {
    /// Returns the next field; where the tabs are lost, the next word.
    fn field(&mut self) -> &'a str {
        if self.separator == Separator::Tab {
            let end = memchr::memchr(b'\t', self.rest.as_bytes());
            let (field, rest) = end.map_or((self.rest, ""), |end| (&self.rest[..end], &self.rest[end + 1..]));
            self.rest = rest;
            return field.trim_matches(' ');
        }
        if let Separator::Char(separator) = self.separator {
            return self.cell(separator);
        }
        let text = behind_blanks(self.rest);
        let (field, rest) = text.split_at(text.find(BLANKS).unwrap_or(text.len()));
        self.rest = behind_blanks(rest);
        field
    }

    /// Returns the next field of a table, without its quotes. Quotes inside of the field stay doubled.
    fn cell(&mut self, separator: char) -> &'a str {
        let text = self.rest.trim_start_matches(' ');
        let Some(inner) = text.strip_prefix('"') else {
            let (field, rest) = text.split_once(separator).unwrap_or((text, ""));
            self.rest = rest;
            return field.trim_matches(' ');
        };
        let is_end = |at: &usize| inner[at + 1..].is_empty() || inner[at + 1..].starts_with(separator);
        let end = memchr::memchr_iter(b'"', inner.as_bytes()).find(is_end);
        self.rest = end.and_then(|end| inner.get(end + 2..)).unwrap_or_default();
        inner[..end.unwrap_or(inner.len())].trim_matches(' ')
    }

    fn time(&mut self) -> Option<LocalTime> {
        if self.separator != Separator::Blanks {
            return time::take(self.field()).map(|taken| taken.time);
        }
        let taken = time::take(self.rest)?;
        self.rest = taken.rest;
        Some(taken.time)
    }

    /// Reads `182`, or `182 [AGENT_INSTALLING_FAILED]` since Windows 8.1.
    fn event_id(&mut self) -> Option<(u32, Option<&'a str>)> {
        let field = self.field();
        let (id, name) = if self.separator != Separator::Blanks {
            field.split_once(' ').unwrap_or((field, ""))
        } else {
            let end = if self.rest.starts_with('[') { self.rest.find(']').map_or(0, |end| end + 1) } else { 0 };
            let (name, rest) = self.rest.split_at(end);
            self.rest = rest;
            (field, name)
        };
        let name = name.trim().strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        Some((id.parse().ok()?, name.filter(|name| !name.is_empty())))
    }

    /// Splits app name and result. An app name may hold blanks; it ends before a result word that a category follows,
    /// or, without a category, before the first result word.
    fn app_and_result(&mut self) -> (&'a str, &'a str) {
        if self.separator != Separator::Blanks {
            return (self.field(), self.field());
        }
        let rest = self.rest;
        let words = || {
            let of_word = |word: &'a str| (word.as_ptr().addr() - rest.as_ptr().addr(), word);
            rest.split(BLANKS).map(of_word).filter(|(_, word)| RESULTS.contains(word))
        };
        let behind = |(at, word): (usize, &str)| behind_blanks(&rest[at + word.len()..]);
        let before_category =
            words().find(|found| CATEGORIES.into_iter().any(|category| behind(*found).starts_with(category)));
        match before_category.or_else(|| words().next()) {
            Some((at, word)) => {
                self.rest = behind((at, word));
                (rest[..at].trim(), word)
            }
            None => {
                self.rest = "";
                (rest.trim(), "")
            }
        }
    }

    fn category(&mut self) -> &'a str {
        if self.separator != Separator::Blanks {
            return self.field();
        }
        let known = CATEGORIES.into_iter().find(|category| self.rest.starts_with(category)).map_or(0, str::len);
        // An unknown category ends at the next tab or double blank.
        let gap = || self.rest.find('\t').or_else(|| self.rest.find("  ")).unwrap_or_default();
        let (category, rest) = self.rest.split_at(if known > 0 { known } else { gap() });
        self.rest = behind_blanks(rest);
        category.trim_end()
    }

    fn text(&mut self) -> (&'a str, Option<&'a str>) {
        if self.separator == Separator::Tab {
            let text = self.field();
            let correlation = self.rest.trim();
            return (text.trim(), (!correlation.is_empty()).then_some(correlation));
        }
        let text = self.rest.trim();
        let last = match self.separator {
            // An unquoted text may contain the separator, so it extends to the last field.
            Separator::Char(separator) if !text.starts_with('"') => text.rsplit_once(separator),
            Separator::Char(separator) => {
                let text = self.cell(separator);
                let correlation = self.cell(separator);
                return (text.trim(), (!correlation.is_empty()).then_some(correlation));
            }
            _ => text.rsplit_once(BLANKS),
        };
        match last {
            Some((before, last)) if is_correlation_vector(last) => (before.trim_end(), Some(last)),
            _ => (text, None),
        }
    }
}

/// True for a base of 16 or 22 base64 digits and counters: `elerOJgZdE+e2lIG.1.0.0.3.0`.
fn is_correlation_vector(word: &str) -> bool {
    let Some((base, counters)) = word.split_once('.') else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    matches!(base.len(), 16 | 22)
        && base.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        && counters.split('.').all(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "{5812EE3F-B242-BD00-E263-35F7A0085A4D}\t2024-03-07 06:01:52:781+0100\t1\t161 [AGENT_DOWNLOAD_FAILED]\t101\t{77B0A6F1-2E40-4C55-8A27-6E8D0F2A9001}\t1\t800b0109\tUpdate Orchestrator\tFailure\tContent Download\tError: Download failed.";

    #[track_caller]
    fn check(line: &str) {
        let report = reporting_events(line).or_else(|| copied(line)).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(report, reporting_events(RECORD).expect("it is a record"), "{line}");
    }

    #[test]
    fn copies_have_the_fields_of_the_record() {
        check(&RECORD.replace('\t', "    "));
        // Non-breaking blanks, as a web page shows runs of blanks.
        check(&RECORD.replace('\t', "\u{a0}\u{a0} \u{a0}"));
        check(&RECORD.replace('\t', "\u{a0}"));
        for prefix in
            ["  ", "\t", "> ", "C:\\a b\\ReportingEvents.log:12:", "ReportingEvents.log-44-", "* ", "- ", "\u{2022} "]
        {
            check(&format!("{prefix}{}", RECORD.replace('\t', " ")));
        }
    }

    /// As `Import-Csv`, a spreadsheet or a tool that numbers lines writes them.
    #[test]
    fn exported_tables_have_the_fields_of_the_record() {
        for separator in [",", ";", "|"] {
            check(&RECORD.replace('\t', separator));
            let quoted = format!("\"{}\"", RECORD.replace('\t', &format!("\"{separator}\"")));
            check(&quoted);
            check(&format!("17{separator}{quoted}"));
            check(&format!("\"17\"{separator}{quoted}"));
        }
        check(&format!("   17  {RECORD}"));
        check(&format!("17\t{RECORD}"));
        // Quotes only around the field that needs them, a separator in an unquoted text, and a correlation vector.
        let text = "Installation Failure: it failed, as before: Reader, 24.2.";
        let line = RECORD.replace("Error: Download failed.", text) + "\tabcDEFghijkLMNOP.1.0.2";
        let expect = reporting_events(&line).expect("it is a record");
        for table in [line.replace('\t', ","), line.replace('\t', ",").replace(text, &format!("\"{text}\""))] {
            assert_eq!(reporting_events(&table), Some(expect.clone()), "{table}");
        }
        assert_eq!((expect.text, expect.correlation), (text, Some("abcDEFghijkLMNOP.1.0.2")));
        // A list of GUIDs is not a record.
        for line in ["{5812EE3F-B242-BD00-E263-35F7A0085A4D},{5812EE3F-B242-BD00-E263-35F7A0085A4D},1,2,3", "{}, 1"] {
            assert_eq!(reporting_events(line), None, "{line}");
        }
    }

    /// The last line of a file that is still being written: complete fields are read, and half a code is not taken for
    /// a code.
    #[test]
    fn a_record_that_is_cut_off_has_no_half_code() {
        let code = RECORD.find("800b0109").expect("it has a code");
        for end in code..code + HRESULT_DIGITS {
            let report = reporting_events(&RECORD[..end]).expect("it is a record");
            assert_eq!((report.event_id, report.hresult), (161, None), "{end}");
        }
        let whole = reporting_events(&RECORD[..code + HRESULT_DIGITS]).expect("it is a record");
        assert_eq!(whole.hresult, Some(0x800B_0109));
        let zero = RECORD.replace("800b0109", "0");
        assert_eq!(reporting_events(&zero).expect("it is a record").hresult, Some(0));
    }
}
