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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wulog_schemas::raw::{RawHeader, VERSION};

    use super::*;
    use crate::machine::{Machine, Output, parse_ahead};
    use crate::normalize::{Normalizer, NormalizerConfig};

    fn line() -> impl Strategy<Value = Vec<u8>> {
        const LINES: [&str; 6] = [
            "2023/06/10 09:00:02.1234567 1234  5678  Agent           * WARNING: Exit code = 0x800B0109",
            "2015-06-10\\t09:00:02:123\\t 988\\t1a4c\\tAgent\\t* START *",
            r#"{"message":"2023/06/10 09:00:02.1234567 1234  5678  Agent  Title = VideoTool"}"#,
            "{5812EE3F-1111-2222-3333-444455556666} 2024-03-07 06:01:52:781+0100 1 161 [AGENT_DOWNLOAD_FAILED] 101",
            "{77B0A6F1-1111-2222-3333-444455556666} 1 800b0109 UpdateOrchestrator Failure Content Download Error: x",
            "WARNING: a message without columns",
        ];
        let known = any::<prop::sample::Index>().prop_map(|at| at.get(&LINES).as_bytes().to_vec());
        prop_oneof![known, ".*".prop_map(String::into_bytes), any::<Vec<u8>>()]
    }

    proptest! {
        #[test]
        fn lines_that_are_parsed_ahead_give_the_same_outputs(lines in prop::collection::vec(line(), 1..12)) {
            let mut end = 0;
            let headers: Vec<Vec<u8>> = lines.iter().map(|line| {
                let offset = end;
                end += line.len() as u64 + 1;
                let host = "pc-1".to_owned();
                RawHeader { v: VERSION, host, epoch: "e".to_owned(), offset, end, ..RawHeader::default() }.to_bytes()
            }).collect();
            let records: Vec<InRecord<'_>> = lines.iter().zip(&headers).zip(0..).map(|((value, header), offset)| {
                let timestamp_ms = 1_700_000_000_000 + offset;
                InRecord { partition: 0, offset, timestamp_ms, key: b"pc-1", header: Some(header), value }
            }).collect();
            let new = || Normalizer::new(&NormalizerConfig::default(), 0, 1);
            let (mut one_by_one, mut ahead) = (new(), new());
            let (mut expect, mut outputs): (Vec<Output>, Vec<Output>) = (Vec::new(), Vec::new());
            records.iter().for_each(|record| one_by_one.apply(record, &mut expect));
            let mut parsed = Vec::new();
            parse_ahead::<Normalizer>(records.iter().copied(), &mut parsed);
            for (record, parsed) in records.iter().zip(&mut parsed) {
                ahead.apply_parsed(record, parsed, &mut outputs);
            }
            prop_assert_eq!(outputs, expect);
            prop_assert_eq!(ahead.snapshot(), one_by_one.snapshot());
        }
    }
}
