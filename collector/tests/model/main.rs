//! The collector against a model of what was written.
//!
//! Random sequences of what writers, rotation, `Get-WindowsUpdateLog`, crashes and brokers do ([`deed`]) are done to real
//! files with a real collector on them ([`world`]); what arrives, without repeats ([`downstream`]), must be what was
//! written: every line that could be read, once, in the order of its log ([`judge`]). Here repeats are told by their
//! identity; `tests/tests/model` has the same sequences with the Normalizer behind the broker.
//!
//! [`sequences`] says how to try more of them, and how to repeat one that failed.
//!
//! Not on Windows: Wine gives a deleted file once more and lets no open one be replaced, so it would be a model of Wine.
#![cfg(not(windows))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deed;
mod downstream;
mod judge;
mod known;
mod sequences;
mod sink;
mod world;

/// Sequences in one run where `WULOG_MODEL_CASES` says nothing else.
const CASES: u32 = 10_000;

#[test]
fn what_arrives_is_what_was_written() {
    sequences::check(CASES);
}
