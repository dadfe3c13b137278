//! The parts of documents that are the same in line after line: those that name the host, its labels, the file and its
//! epoch, and when it was read. Lines come in runs of one file, so they are written once a run.

use std::cell::Cell;
use std::collections::BTreeMap;

use wulog_schemas::event::{Action, EventOutcome};
use wulog_schemas::raw::Source;

use super::classify::type_of;
use super::document::{Line, sub_second};
use super::json::Json;
use super::names::Named;

/// Which of the parts ever written say what is known of a host; none once it has changed. The memory of one [`Known`],
/// which numbers them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told(Cell<u64>);

impl Told {
    /// What is known of the host has changed.
    pub(super) fn forget(&self) {
        self.0.set(0);
    }

    /// True where the parts of that number say what is known. Those of number 0 were never written.
    fn is_in(&self, number: u64) -> bool {
        number > 0 && self.0.get() == number
    }
}

/// The parts of the document that was written last, and what they were made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Number of the parts, from 1.
    number: u64,
    host_name: String,
    file: String,
    epoch: String,
    /// Source, and when it was read.
    read: Option<(Source, i64)>,
    /// Partition of `wulog.raw`, and the record's timestamp.
    raw: Option<(i32, i64)>,
    parts: Parts,
}

/// The parts, as documents have them.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    /// `host` without the braces that end it and its `os`.
    pub(super) host: Box<[u8]>,
    /// `log.file`, behind the comma of what stands before it.
    pub(super) file: Box<[u8]>,
    /// Elements of `related.hosts`.
    pub(super) related: Box<[u8]>,
    /// `labels`, behind a comma, where the host has any.
    pub(super) labels: Box<[u8]>,
    /// `wu.line` up to the name of its offset.
    pub(super) epoch: Box<[u8]>,
    /// `event.module`, `event.dataset` and `event.created`, behind a comma.
    pub(super) created: Box<[u8]>,
    /// From the end of `wu.line` up to the raw record's offset.
    pub(super) partition: Box<[u8]>,
    /// From there to the end of the document.
    pub(super) timestamp: Box<[u8]>,
}

/// The beginnings of `event`, each written when it is first asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Heads(Vec<Box<[u8]>>);

impl Heads {
    /// From the end of the message to `event.outcome`.
    pub(super) fn of(&mut self, action: Action, outcome: EventOutcome) -> &[u8] {
        const OUTCOMES: usize = 3;
        let at = action as usize * OUTCOMES + outcome as usize;
        if self.0.len() <= at {
            self.0.resize_with(at + 1, Box::default);
        }
        let head = &mut self.0[at];
        if head.is_empty() {
            let start = "\",\"event\":{\"kind\":\"event\",\"category\":[\"package\"],\"type\":[\"";
            let text = [start, type_of(action).name(), "\"],\"action\":\"", action.name()];
            let end = ["\",\"outcome\":\"", outcome.name(), "\""];
            *head = (text.concat() + &end.concat()).into_bytes().into();
        }
        head
    }
}

impl Known {
    /// The parts for a line; they are written at the end of `json` and taken out of it where they are not known.
    pub(super) fn parts(&mut self, line: &Line<'_>, json: &mut Json) -> &Parts {
        let header = line.header;
        let is_known = line.told.is_some_and(|told| told.is_in(self.number))
            && self.epoch == header.epoch
            && self.host_name == header.host
            && self.file == header.file;
        if !is_known {
            self.write(line, json);
        }
        self.moments(line, json);
        &self.parts
    }

    /// What is the same in the lines that were read, and came, together.
    fn moments(&mut self, line: &Line<'_>, json: &mut Json) {
        let start = json.end();
        let read = (line.header.source, line.header.read);
        if self.read != Some(read) {
            self.read = Some(read);
            json.raw(match read.0 {
                Source::WindowsUpdate => ",\"module\":\"windows_update\",\"dataset\":\"windows_update.log\"",
                Source::ReportingEvents => {
                    ",\"module\":\"windows_update\",\"dataset\":\"windows_update.reporting_events\""
                }
                Source::WuaHandler => ",\"module\":\"windows_update\",\"dataset\":\"windows_update.wuahandler\"",
            });
            if read.1 > 0 {
                json.raw(",\"created\":\"").utc(read.1, sub_second(read.1)).raw("\"");
            }
            self.parts.created = json.cut_off(start);
        }
        let raw = (line.raw.partition, line.raw.timestamp);
        if self.raw != Some(raw) {
            self.raw = Some(raw);
            json.raw("},\"raw\":{\"partition\":").number(raw.0).raw(",\"offset\":");
            self.parts.partition = json.cut_off(start);
            json.raw(",\"timestamp\":").number(raw.1).raw("}}}");
            self.parts.timestamp = json.cut_off(start);
        }
    }

    fn write(&mut self, line: &Line<'_>, json: &mut Json) {
        // From here on they are no host's.
        self.number += 1;
        let header = line.header;
        let start = json.end();
        let name = &*header.host;
        let short = memchr::memchr(b'.', name.as_bytes()).map_or(name, |end| &name[..end]);
        json.raw(",\"host\":{\"id\":")
            .text(line.host_id)
            .raw(",\"name\":")
            .text(name)
            .raw(",\"hostname\":")
            .text(short);
        let version = line.dimensions.get("os_build").map(String::as_str);
        json.raw(",\"os\":{\"type\":\"windows\"").optional_text(",\"version\":", version);
        self.parts.host = json.cut_off(start);
        json.object(",\"file\":{\"path\":", Some(&*header.file).filter(|file| !file.is_empty()), "}");
        self.parts.file = json.cut_off(start);
        if !name.is_empty() {
            json.text(name);
        }
        self.parts.related = json.cut_off(start);
        labels(json, line.labels);
        self.parts.labels = json.cut_off(start);
        json.raw("\"line\":{\"epoch\":").text(&header.epoch).raw(",\"offset\":");
        self.parts.epoch = json.cut_off(start);

        name.clone_into(&mut self.host_name);
        (*header.file).clone_into(&mut self.file);
        (*header.epoch).clone_into(&mut self.epoch);
        if let Some(told) = line.told {
            told.0.set(self.number);
        }
    }
}

fn labels(json: &mut Json, labels: &BTreeMap<String, String>) {
    for (at, (name, value)) in labels.iter().enumerate() {
        json.raw(if at == 0 { ",\"labels\":{" } else { "," }).text(name).raw(":").text(value);
    }
    if !labels.is_empty() {
        json.raw("}");
    }
}
