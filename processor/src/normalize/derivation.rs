//! Derives the event of a new line, and the facts of its host that become signals.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use wulog_schemas::event::EventOutcome;
use wulog_schemas::topic::Topic;

use super::classify;
use super::config::Events;
use super::document::Documents;
use super::host::{FactsToSend, Host, RecordContext};
use super::line::LineValues;
use super::outputs::document_bytes_max;
use super::placement::{NewLine, Placement, locate};
use super::time::Offsets;
use super::trust_failure::trust_failure;
use super::trust_outcome::{self, TrustLine};
use super::update_names::UpdateNames;
use super::{host_dimensions, notable};
use crate::bounds;
use crate::machine::Output;
use crate::parse::Entry;

/// Offsets from UTC that time zones have had: from Metlakatla's -15:13 to Guam's +14:21, rounded up; in minutes.
const OFFSETS_MIN: RangeInclusive<i32> = -16 * 60..=16 * 60;

/// Most notices that wait for the shell; beyond this number a file of another program gives no notice.
pub(super) const NOTICES_MAX: usize = 1_000;

/// The scope of a record, and the outputs and caches that its lines write to.
pub(super) struct Targets<'a> {
    pub(super) scope: RecordContext<'a>,
    pub(super) facts: &'a mut FactsToSend,
    pub(super) documents: &'a mut Documents,
    pub(super) notices: &'a mut Vec<String>,
    pub(super) names: &'a mut UpdateNames,
    pub(super) out: &'a mut Vec<Output>,
}

/// Writes the event of a line, and updates its host by the line.
pub(super) fn derive(host: &mut Host, new: &NewLine<'_>, text: &str, entry: &mut Entry<'_>, targets: &mut Targets<'_>) {
    let header = new.header;
    let scope = targets.scope;
    let RecordContext { id: key, at, config } = scope;
    let limits = &config.limits;
    let offsets = Offsets {
        zone: host.zone,
        header_min: header.utc.filter(|minutes| OFFSETS_MIN.contains(minutes)),
        ..Offsets::of_config(config)
    };
    let place = host.file(&header.file, limits);
    let kind = &mut host.files[place].kind;
    if let Some(strange) = kind.take(entry)
        && targets.notices.len() < NOTICES_MAX
    {
        targets.notices.push(strange.notice(&header.host, &header.file));
    }
    let form = kind.form_of(entry);
    if form.is_foreign() {
        entry.make_foreign(form);
    }
    let entry = &*entry;
    host.count_line();
    if !form.is_foreign() {
        host_dimensions::learn(host, entry, scope);
    }
    let placement = locate(&mut host.files[place], new, entry, form, &offsets, limits, at.log_time);
    let Placement { time, flags, id, continues, thread, operation, process, clock, counts, reread } = placement;
    if !form.is_foreign() {
        targets.names.learn_from(entry, thread, limits);
    }
    let matched = config.patterns.find(text, entry, limits.value_bytes_max);
    let labels = matched.as_ref().map_or(Cow::Borrowed(&host.labels), |matched| matched.beside(&host.labels));
    let meaning = classify::meaning(entry, operation, continues.is_some(), matched.as_ref());
    let names_own = entry.facts.update.is_some() && meaning.outcome == EventOutcome::Failure;
    let is_of_update = names_own || classify::is_of_update(&meaning, operation);
    let update = is_of_update.then(|| thread.update_of(entry, operation)).flatten();
    let line = LineValues {
        meaning,
        name: update.as_deref().and_then(|update| targets.names.of(update)),
        update,
        operation,
        host_id: key,
        header,
        original: text,
        entry,
        time: &time,
        flags,
        id,
        continues,
        path: thread.path_of(entry),
        client_build: entry.facts.client_version.or_else(|| process.and_then(|process| process.build.as_deref())),
        process_name: process.and_then(|process| process.name.as_deref()),
        dimensions: &host.dimensions,
        labels: &labels,
        generation: matches!(labels, Cow::Borrowed(_)).then_some(&host.fragment_generation),
        matched: matched.as_ref(),
        raw: new.raw,
    };
    if config.events == Events::All || notable::is_notable(&line) {
        let value = bounds::fit_event(config.format, targets.documents.line(&line), document_bytes_max(config));
        targets.out.push(Output { topic: Topic::Events, key: Arc::clone(&host.id), value, timestamp_ms: at.log_time });
    }
    let own = trust_failure(entry);
    let trust = matched.as_ref().map_or(own, |matched| matched.trust(own));
    host.saw_line(entry, time.millis, scope);
    if counts {
        host.saw_time(time.millis);
    }
    if counts && !reread {
        let line = TrustLine {
            entry,
            trust,
            action: meaning.action,
            open: operation,
            id,
            time: time.millis,
            time_source: time.source,
            clock,
            file: &header.file,
        };
        trust_outcome::observe(host, &line, scope, targets.facts);
    }
    host.settle(scope, targets.facts);
}
