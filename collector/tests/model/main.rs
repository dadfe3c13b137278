//! The collector against a model of what was written.
//!
//! Random sequences of what writers, rotation, `Get-WindowsUpdateLog`, crashes and brokers do ([`deed`]) are done to real
//! files with a real collector on them ([`world`]); what arrives, without repeats ([`downstream`]), must be what was
//! written: every line that could be read, once, in the order of its log ([`judge`]).
//!
//! `WULOG_MODEL_CASES=100000 cargo test --release -p wulog-collector --test model` tries more sequences. One that fails is
//! made as short as it gets and printed; its seed goes to `regressions.txt`, which is tried first from then on.
//!
//! Not on Windows: Wine gives a deleted file once more and lets no open one be replaced, so it would be a model of Wine.
#![cfg(not(windows))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deed;
mod downstream;
mod judge;
mod known;
mod sink;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestError, TestRunner};

use deed::{Deed, Setting};
use world::World;

/// Sequences in one run where `WULOG_MODEL_CASES` says nothing else.
const CASES: u32 = 10_000;
/// Most of a sequence's time is waiting, for backoffs and for files to settle.
const THREADS: u32 = 12;

fn run(setting: Setting, deeds: &[Deed]) -> Result<(), String> {
    let mut world = World::new(setting);
    for deed in deeds {
        world.apply(deed)?;
    }
    world.settle()
}

/// As [`run`]; a panic of the collector is a failure like any other.
fn tried(setting: Setting, deeds: &[Deed]) -> Result<(), TestCaseError> {
    let result = catch_unwind(AssertUnwindSafe(|| run(setting, deeds)));
    result.unwrap_or_else(|_| Err("panicked".to_owned())).map_err(TestCaseError::fail)
}

#[test]
fn what_arrives_is_what_was_written() {
    let cases =
        std::env::var("WULOG_MODEL_CASES").map_or(CASES, |cases| cases.parse().expect("WULOG_MODEL_CASES is a number"));
    let workers: Vec<_> = (0..THREADS)
        .map(|worker| {
            std::thread::spawn(move || {
                // One of them tries the seeds that were kept.
                let kept =
                    FileFailurePersistence::Direct(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/model/regressions.txt"));
                let failure_persistence = (worker == 0 || cases > CASES).then(|| Box::new(kept) as Box<_>);
                let config = Config {
                    cases: cases.div_ceil(THREADS),
                    failure_persistence,
                    max_shrink_iters: 2_000,
                    ..Config::default()
                };
                let sequences = (deed::setting(), prop::collection::vec(deed::deed(), 1..30));
                TestRunner::new(config).run(&sequences, |(setting, deeds)| tried(setting, &deeds))
            })
        })
        .collect();
    let failures: Vec<String> = workers
        .into_iter()
        .filter_map(|worker| match worker.join().expect("a sequence's panic is caught") {
            Ok(()) => None,
            Err(TestError::Fail(reason, (setting, deeds))) => {
                let deeds: String = deeds.iter().map(|deed| format!("    {deed:?},\n")).collect();
                Some(format!("{setting:?}, &[\n{deeds}]\n{reason}"))
            }
            Err(TestError::Abort(reason)) => Some(reason.to_string()),
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} sequences failed; to keep one, add it to known.rs:\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}
