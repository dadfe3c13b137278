//! Takes lines of raw records: drops repeats, holds records that continue over lines, and hands on each new line.

use std::borrow::Cow;

use wulog_schemas::event::{FileId, Form, RawFields};
use wulog_schemas::raw::{HeaderReader, RawHeaderRef};

use super::derivation::{Targets, derive};
use super::host::{Host, RecordContext};
use super::line::raw_fields;
use super::placement::NewLine;
use super::position::Position;
use super::raw_record::{hash_of, text};
use super::wrapped::{Belongs, HeldLine, Wrapped};
use crate::machine::InRecord;
use crate::parse::{Entry, parse, restored};

/// The line of a record, parsed before the record is applied: parsing needs no state.
#[derive(Debug, Default)]
pub struct ParsedLine<'r> {
    /// The line; `None` where the value was not parsed.
    text: Option<&'r str>,
    entry: Entry<'r>,
}

impl<'r> ParsedLine<'r> {
    /// Parses the value of a record. Neither a JSON document nor a value that is not UTF-8 is parsed.
    pub(super) fn read(&mut self, value: &'r [u8]) {
        if value.starts_with(b"{\"") {
            return;
        }
        if let Cow::Borrowed(text) = text(value) {
            self.text = Some(text);
            self.entry.read(text);
        }
    }
}

/// Takes a line that was not read before: at once, or, where its record continues, together with the lines after it.
pub(super) fn take_line<'r>(
    host: &mut Host,
    record: &InRecord<'r>,
    parsed: &mut ParsedLine<'r>,
    header: &RawHeaderRef<'_>,
    targets: &mut Targets<'_>,
) {
    let RecordContext { id: key, config, .. } = targets.scope;
    let limits = &config.limits;
    let hash = hash_of(header, record.value);
    let place = host.file(&header.file, limits);
    let epoch = host.files[place].epoch(&header.epoch, || FileId::new(key, &header.file, &header.epoch), limits);
    let epoch_id = epoch.id;
    let position = epoch.take(header.offset, header.end, hash, limits);
    if position == Position::Repeat {
        return;
    }
    let line =
        NewLine { header, value: record.value, raw: raw_fields(record), position, epoch: epoch_id, lossy: false };
    match parsed.text {
        Some(text) => take_text(host, record, &line, text, &mut parsed.entry, targets),
        None => {
            let text = text(record.value);
            let line = NewLine { lossy: matches!(text, Cow::Owned(_)), ..line };
            take_text(host, record, &line, &text, &mut parse(&text), targets);
        }
    }
}

/// Takes the text of a line, from which `entry` was parsed.
fn take_text(
    host: &mut Host,
    record: &InRecord<'_>,
    line: &NewLine<'_>,
    text: &str,
    entry: &mut Entry<'_>,
    targets: &mut Targets<'_>,
) {
    // Nearly every line has a form, or continues a line that has one.
    let original = if is_formless(entry) { restored(text) } else { None };
    match original.as_deref().map(parse) {
        Some(mut restored) if restored.form.is_record() && restored.time.is_some() => {
            hold_or_derive(host, record, line, text, &mut restored, targets);
        }
        _ => hold_or_derive(host, record, line, text, entry, targets),
    }
}

/// Adds a line to the record that its file holds, begins such a record with it, or derives its event.
fn hold_or_derive(
    host: &mut Host,
    record: &InRecord<'_>,
    line: &NewLine<'_>,
    text: &str,
    entry: &mut Entry<'_>,
    targets: &mut Targets<'_>,
) {
    let RecordContext { at, config, .. } = targets.scope;
    let limits = &config.limits;
    let &NewLine { header, position, epoch, .. } = line;
    let place = host.file(&header.file, limits);
    let file = &mut host.files[place];
    if let Some(held) = file.wrapped.as_mut() {
        let belongs = held.belongs(entry, text, epoch, header.offset);
        if belongs != Belongs::No {
            held.add(HeldLine::new(record, position, epoch), header.end, at.log_time);
        }
        if belongs != Belongs::Yes
            && let Some(whole) = file.wrapped.take()
        {
            flush(host, whole, targets);
        }
        if belongs != Belongs::No {
            return;
        }
    }
    let held = || HeldLine::new(record, position, epoch);
    if let Some(begun) = Wrapped::begun(entry, text, held, header.end, at.log_time) {
        // Looked up again, since the index may have changed while the previous record was written.
        let place = host.file(&header.file, limits);
        host.files[place].wrapped = Some(begun);
        return;
    }
    derive(host, line, text, entry, targets);
}

/// Derives the events of a held record that waits for no further line. The first line has the fields of all lines.
pub(super) fn flush(host: &mut Host, wrapped: Wrapped, targets: &mut Targets<'_>) {
    let (joined, lines) = wrapped.into_parts();
    let mut reader = HeaderReader::default();
    for (number, held) in lines.iter().enumerate() {
        let Ok(header) = reader.read(&held.header) else { continue };
        let raw = RawFields { partition: held.partition, offset: held.offset, timestamp: held.timestamp_ms };
        let text = text(&held.value);
        let lossy = matches!(text, Cow::Owned(_));
        let (position, epoch) = (held.position, held.epoch);
        let line = NewLine { header: &header, value: &held.value, raw, position, epoch, lossy };
        let mut entry = match number {
            0 => parse(&joined),
            _ => Entry::continuation(&text),
        };
        derive(host, &line, &text, &mut entry, targets);
    }
}

/// True for a line in which neither columns nor a time were read.
fn is_formless(entry: &Entry<'_>) -> bool {
    entry.form == Form::Text && entry.time.is_none() && entry.report.is_none()
}
