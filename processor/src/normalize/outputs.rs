//! The records that the Normalizer writes: signals, and the documents of attempts.

use std::sync::Arc;

use wulog_schemas::signal::{self, Fact, RawPosition, Signal};
use wulog_schemas::topic::Topic;

use super::admission::Admission;
use super::attempt;
use super::config::NormalizerConfig;
use super::host::{FactsToSend, Host, RecordContext};
use super::update_names::UpdateNames;
use crate::bounds::{self, DOCUMENT_BYTES_MIN};
use crate::format::{self, Format};
use crate::machine::Output;

/// Sends the facts of a host as signals, where the host is admitted. The document of an attempt goes before its signal.
pub(super) fn send(
    host: &Host,
    facts: FactsToSend,
    scope: RecordContext<'_>,
    names: &UpdateNames,
    out: &mut Vec<Output>,
) {
    if host.admission != Admission::Admitted {
        return;
    }
    let log_time = scope.at.log_time;
    for mut fact in facts {
        if let Fact::Attempt(attempt) = &mut fact.fact {
            attempt::name(attempt, names);
            if let Some(proof) = fact.proof.as_ref().filter(|_| scope.config.attempts) {
                let event = attempt::document(attempt, proof, &host.dimensions, &host.labels);
                let ecs = format::write(Format::Ecs, &event);
                let value = bounds::fit_event(scope.config.format, ecs.into(), document_bytes_max(scope.config));
                out.push(Output { topic: Topic::Events, key: Arc::clone(&host.id), value, timestamp_ms: log_time });
            }
        }
        out.push(signal(Arc::clone(&host.id), fact.raw, fact.fact, log_time));
    }
}

/// One record of `wulog.signals`.
pub(super) fn signal(key: Arc<str>, raw: RawPosition, fact: Fact, log_time: i64) -> Output {
    let signal = Signal { v: signal::VERSION, log_time, raw, fact };
    let value = serde_json::to_vec(&signal).expect("a signal holds only strings, numbers and string maps");
    let value = bounds::fit_json(value, bounds::DOCUMENT_BYTES_MAX);
    Output { topic: Topic::Signals, key, value: value.into(), timestamp_ms: log_time }
}

/// The configured bound on a document, but at least the bytes that the smallest document needs.
pub(super) fn document_bytes_max(config: &NormalizerConfig) -> usize {
    config.limits.document_bytes_max.max(DOCUMENT_BYTES_MIN)
}
