//! Records that continue over several lines, in copies and in logs of Configuration Manager: they are held until their
//! last line has come.
//!
//! ```text
//! {5812EE3F-...} 2024-03-07 06:01:52:781+0100 1 161 [AGENT_DOWNLOAD_FAILED] 101      the record, with the fields of all lines
//! {77B0A6F1-...} 1 800b0109 UpdateOrchestrator Failure Content Download Error: ...   continues it
//! ```
//!
//! The first line becomes the event with all fields; each further line becomes an event that refers to the first. Logs
//! that Windows itself writes have no such records, so none of their lines waits.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use wulog_schemas::event::{FileId, Form};

use super::position::Position;
use crate::machine::InRecord;
use crate::parse::{
    CMTRACE_END, Entry, awaits_time, fields_read, is_begun_report, is_dated_report, is_open_cmtrace, parse,
};

/// Most held lines of one record: a message of Configuration Manager may list some dozen updates.
const LINES_MAX: usize = 64;

/// Most held bytes of one record.
const BYTES_MAX: usize = 32 * 1024;

/// How long a record waits for its next line in log time. A copy is complete from the start, and a live log writes a
/// record at once.
const WAIT_MS: i64 = 5_000;

/// The rule by which lines belong to one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum WrapKind {
    /// Configuration Manager: all lines up to the end mark.
    Marked,
    /// A report, or a message without columns: further lines as long as they have no form of their own.
    Formless,
}

/// One line with its raw record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct HeldLine {
    pub(super) header: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp_ms: i64,
    pub(super) position: Position,
    pub(super) epoch: FileId,
}

impl HeldLine {
    pub(super) fn new(record: &InRecord<'_>, position: Position, epoch: FileId) -> HeldLine {
        HeldLine {
            header: record.header.unwrap_or_default().to_vec(),
            value: record.value.to_vec(),
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            position,
            epoch,
        }
    }
}

/// The lines of a record that is not complete yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Wrapped {
    kind: WrapKind,
    lines: Vec<HeldLine>,
    bytes: usize,
    /// Offset at which the next line of the record must begin.
    end: u64,
    /// Log time of its last line.
    last_log: i64,
}

/// Whether a line belongs to the held record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    /// The line does not belong to the record, which ended before it.
    No,
    /// The line belongs to the record, and further lines may follow.
    Yes,
    /// The line is the last of the record.
    Last,
}

impl Wrapped {
    /// Returns the record that a line begins, where it is incomplete.
    pub(super) fn begun(
        entry: &Entry<'_>,
        text: &str,
        line: impl FnOnce() -> HeldLine,
        end: u64,
        log_time: i64,
    ) -> Option<Wrapped> {
        let kind = match entry.form {
            Form::Text if is_open_cmtrace(text) => WrapKind::Marked,
            Form::Text if is_begun_report(text) => WrapKind::Formless,
            Form::Message if entry.report.is_none() => WrapKind::Formless,
            _ if entry.report.as_ref().is_some_and(|report| !report.is_whole()) => WrapKind::Formless,
            // A report that is cut before its event id; any columns may stand before it.
            _ if entry.report.is_none() && entry.body.starts_with("REPORT EVENT:") => WrapKind::Formless,
            _ => return None,
        };
        Some(Wrapped { kind, lines: vec![line()], bytes: text.len(), end, last_log: log_time })
    }

    /// Whether a line that begins at `offset` of its epoch belongs to the record.
    pub(super) fn belongs(&self, entry: &Entry<'_>, text: &str, epoch: FileId, offset: u64) -> Belongs {
        let is_next = self.end == offset && self.lines.last().is_some_and(|last| last.epoch == epoch);
        let fits = self.lines.len() < LINES_MAX && self.bytes + text.len() <= BYTES_MAX;
        if !is_next || !fits {
            return Belongs::No;
        }
        match self.kind {
            WrapKind::Marked if is_open_cmtrace(text) => Belongs::No,
            WrapKind::Marked if text.contains(CMTRACE_END) => Belongs::Last,
            WrapKind::Marked => Belongs::Yes,
            WrapKind::Formless => {
                let is_text = entry.form == Form::Text && entry.time.is_none() && !text.trim().is_empty();
                let is_time = entry.time.is_some() && entry.report.is_none() && awaits_time(&self.joined(" "));
                // A part may begin with a word that is a component, such as `Orchestrator`.
                let is_word = || entry.form == Form::Message && entry.report.is_none() && self.lacks(text);
                let is_part = (is_text || is_time) && !self.begins_another(text) || is_word();
                if is_part { Belongs::Yes } else { Belongs::No }
            }
        }
    }

    /// True where a line is the first part of the next record.
    fn begins_another(&self, text: &str) -> bool {
        let last = self.lines.last().map_or(&[][..], |line| line.value.trim_ascii_end());
        if last.ends_with(b"REPORT EVENT:") {
            return false;
        }
        is_dated_report(text)
            || is_begun_report(text) && parse(&self.joined(" ")).report.is_some_and(|it| it.is_whole())
    }

    /// True where the line adds readable fields to the record.
    fn lacks(&self, text: &str) -> bool {
        // Most held lines are messages and not records.
        if !self.lines.iter().any(|line| line.value.contains(&b'{')) {
            return false;
        }
        let read = |text: &str| fields_read(text, parse(text).report.as_ref());
        let (words, letters) = (self.joined(" "), self.joined(""));
        let known = read(&words).max(read(&letters));
        known > 0 && read(&format!("{words} {text}")).max(read(&format!("{letters}{text}"))) > known
    }

    /// Adds a line that belongs to the record.
    pub(super) fn add(&mut self, line: HeldLine, end: u64, log_time: i64) {
        self.bytes += line.value.len();
        self.lines.push(line);
        (self.end, self.last_log) = (end, log_time);
    }

    /// Log time at which the wait for a further line ends.
    pub(super) fn due(&self) -> i64 {
        self.last_log.saturating_add(WAIT_MS)
    }

    /// Returns the joined text of all lines, and the lines.
    pub(super) fn into_parts(self) -> (String, Vec<HeldLine>) {
        let joined = match self.kind {
            WrapKind::Marked => self.joined("\n"),
            WrapKind::Formless => self.without_wraps(),
        };
        (joined, self.lines)
    }

    fn joined(&self, with: &str) -> String {
        let texts: Vec<_> = self.lines.iter().map(|line| String::from_utf8_lossy(&line.value)).collect();
        let parts: Vec<&str> = texts.iter().map(|text| text.trim_matches(['\r', '\n'])).collect();
        parts.join(with)
    }

    /// Returns the joined text. Most copies wrap between words, so lines are joined with a blank; a console wraps at
    /// its width, so they are joined without one. Of a record, the text with more readable fields counts.
    fn without_wraps(&self) -> String {
        let words = self.joined(" ");
        if self.lines.len() < 2 || !words.contains('{') {
            return words;
        }
        let letters = self.joined("");
        let read = |text: &str| fields_read(text, parse(text).report.as_ref());
        let by_letters = match read(&letters).cmp(&read(&words)) {
            Ordering::Greater => true,
            Ordering::Equal => self.has_one_width(),
            Ordering::Less => false,
        };
        if by_letters { letters } else { words }
    }

    /// True where all lines but the last have the same length, as word wrapping hardly produces.
    fn has_one_width(&self) -> bool {
        let [full @ .., _] = &self.lines[..] else { return false };
        let width = |line: &HeldLine| String::from_utf8_lossy(&line.value).trim_matches(['\r', '\n']).chars().count();
        full.len() > 1 && full.iter().all(|line| width(line) == width(&full[0]))
    }
}
