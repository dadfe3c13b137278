//! Cached JSON fragments of documents: host, labels, file, epoch, and when the line was read.
//!
//! Lines come in runs of one file, and all documents of a run share these fragments, so each fragment is written once
//! for each run.

use std::collections::BTreeMap;

use wulog_schemas::alert::NO_WSUS;
use wulog_schemas::event::{Action, EventOutcome};
use wulog_schemas::raw::Source;

use super::classify::type_of;
use super::json::Json;
use super::line::LineValues;
use super::time::sub_second;

/// The fragments of the last document, and the values from which they were written.
#[derive(Clone, Debug, Default)]
pub(super) struct FragmentCache {
    /// Generation of the fragments, counted from 1.
    generation: u64,
    host_name: String,
    file: String,
    epoch: String,
    /// Source of the line, and the time at which the collector read it.
    read: Option<(Source, i64)>,
    /// Partition of `wulog.raw`, and the record's timestamp.
    raw: Option<(i32, i64)>,
    fragments: Fragments,
}

/// Fragments of JSON, as documents contain them.
#[derive(Clone, Debug, Default)]
pub(super) struct Fragments {
    /// A comma and `host`, without the closing braces of `host` and `host.os`.
    pub(super) host: Box<[u8]>,
    /// A comma and `log.file`.
    pub(super) file: Box<[u8]>,
    /// Facts of the host for lines that report a failure.
    pub(super) failing: FailingFacts,
    /// Elements of `related.hosts`.
    pub(super) related: Box<[u8]>,
    /// A comma and `labels`; empty where the host has none.
    pub(super) labels: Box<[u8]>,
    /// `wu.line` up to the name of its offset.
    pub(super) epoch: Box<[u8]>,
    /// A comma and `event.module`, `event.dataset` and `event.created`.
    pub(super) created: Box<[u8]>,
    /// From the closing brace of `wu.line` up to the name of the raw record's offset.
    pub(super) partition: Box<[u8]>,
    /// From the raw record's timestamp to the end of the document.
    pub(super) timestamp: Box<[u8]>,
}

/// Facts of the host for a line about a failure that does not state them: each is a comma and a member, or empty where
/// the fact is not known.
///
/// Failing events are grouped by server, group and build. Other lines carry only their own facts, since these
/// dimensions would make every document a tenth larger.
#[derive(Clone, Debug, Default)]
pub(super) struct FailingFacts {
    /// `service.version`
    pub(super) client_build: Box<[u8]>,
    /// `wu.wsus`
    pub(super) wsus: Box<[u8]>,
    /// `wu.target_group`
    pub(super) target_group: Box<[u8]>,
}

/// The first members of `event` by action and outcome; each entry is written at its first use.
#[derive(Clone, Debug, Default)]
pub(super) struct ActionPrefixes(Vec<Box<[u8]>>);

impl ActionPrefixes {
    /// Returns the JSON from the closing quote of the message up to and including `event.outcome`.
    pub(super) fn of(&mut self, action: Action, outcome: EventOutcome) -> &[u8] {
        const OUTCOMES: usize = 3;
        let at = action as usize * OUTCOMES + outcome as usize;
        if self.0.len() <= at {
            self.0.resize_with(at + 1, Box::default);
        }
        let prefix = &mut self.0[at];
        if prefix.is_empty() {
            let start = "\",\"event\":{\"kind\":\"event\",\"category\":[\"package\"],\"type\":[\"";
            let text = [start, type_of(action).into(), "\"],\"action\":\"", action.into()];
            let end = ["\",\"outcome\":\"", outcome.into(), "\""];
            *prefix = (text.concat() + &end.concat()).into_bytes().into();
        }
        prefix
    }
}

impl FragmentCache {
    /// Returns the fragments for a line. Invalid fragments are written at the end of `json` and moved from there into
    /// the cache.
    pub(super) fn fragments(&mut self, line: &LineValues<'_>, json: &mut Json) -> &Fragments {
        let header = line.header;
        let is_valid = line.generation.is_some_and(|generation| generation.is(self.generation))
            && self.epoch == header.epoch
            && self.host_name == header.host
            && self.file == header.file;
        if !is_valid {
            self.write(line, json);
        }
        self.write_times(line, json);
        &self.fragments
    }

    /// Writes the fragments that lines share which were read in one pass, and the fragments that lines share whose
    /// records have the same timestamp.
    fn write_times(&mut self, line: &LineValues<'_>, json: &mut Json) {
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
            self.fragments.created = json.cut_off(start);
        }
        let raw = (line.raw.partition, line.raw.timestamp);
        if self.raw != Some(raw) {
            self.raw = Some(raw);
            json.raw("},\"raw\":{\"partition\":").number(raw.0).raw(",\"offset\":");
            self.fragments.partition = json.cut_off(start);
            json.raw(",\"timestamp\":").number(raw.1).raw("}}}");
            self.fragments.timestamp = json.cut_off(start);
        }
    }

    /// Writes the fragments of host, labels, file and epoch.
    fn write(&mut self, line: &LineValues<'_>, json: &mut Json) {
        // Invalidate first: a panic below must not leave half-written fragments valid.
        self.generation += 1;
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
        self.fragments.host = json.cut_off(start);
        json.object(",\"file\":{\"path\":", Some(&*header.file).filter(|file| !file.is_empty()), "}");
        self.fragments.file = json.cut_off(start);
        let mut fact = |member: &str, dimension: &str| {
            let known = line.dimensions.get(dimension).map(String::as_str).filter(|value| *value != NO_WSUS);
            json.optional_text(member, known);
            json.cut_off(start)
        };
        self.fragments.failing = FailingFacts {
            client_build: fact(",\"version\":", "client_build"),
            wsus: fact(",\"wsus\":", "wsus"),
            target_group: fact(",\"target_group\":", "target_group"),
        };
        if !name.is_empty() {
            json.text(name);
        }
        self.fragments.related = json.cut_off(start);
        labels(json, line.labels);
        self.fragments.labels = json.cut_off(start);
        json.raw("\"line\":{\"epoch\":").text(&header.epoch).raw(",\"offset\":");
        self.fragments.epoch = json.cut_off(start);

        name.clone_into(&mut self.host_name);
        (*header.file).clone_into(&mut self.file);
        (*header.epoch).clone_into(&mut self.epoch);
        if let Some(generation) = line.generation {
            generation.set(self.generation);
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
