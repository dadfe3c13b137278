//! From a log to its events: the collector reads files, with the Normalizer behind the broker.
//!
//! The sequences are those of `collector/tests/model`, of which this test uses all but one file: actions of writers,
//! rotation, crashes and brokers on real files, in any order. There, repeats are recognized by their identity; here the
//! Normalizer drops them, and the test compares `event.original`: every readable line that was written, once, in the
//! order of its log.
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

/// Default number of sequences in one run, without `WULOG_MODEL_CASES`.
const CASES: u32 = 6_000;

#[test]
fn the_events_are_what_was_written() {
    sequences::check(CASES);
}
