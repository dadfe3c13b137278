//! From a log to its events: what the collector makes of files, with the Normalizer behind the broker.
//!
//! The sequences of `collector/tests/model`, of which this uses all but one file: what writers, rotation, crashes and brokers
//! do to real files, in any order. There, repeats are told by their identity; here it is the Normalizer that drops them, and
//! what is judged is `event.original` of its events: every line that was written and could be read, once, in the order of
//! its log.
#![cfg(not(windows))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../collector/tests/model/deed.rs"]
mod deed;
mod downstream;
#[path = "../../../collector/tests/model/judge.rs"]
mod judge;
#[path = "../../../collector/tests/model/known.rs"]
mod known;
#[path = "../../../collector/tests/model/sequences.rs"]
mod sequences;
#[path = "../../../collector/tests/model/sink.rs"]
mod sink;
#[path = "../../../collector/tests/model/world.rs"]
mod world;

/// Sequences in one run where `WULOG_MODEL_CASES` says nothing else.
const CASES: u32 = 6_000;

#[test]
fn the_events_are_what_was_written() {
    sequences::check(CASES);
}
