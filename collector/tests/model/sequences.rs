//! Random sequences, many side by side, and how one that fails is told and tried again.
//!
//! `WULOG_MODEL_CASES=100000 cargo test --release -p wulog-collector --test model` tries more of them. One that fails is made
//! as short as it gets and printed, with the `WULOG_MODEL_SEED` that repeats the run; to keep one, add it to `known.rs`.

use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::deed::{self, Deed, Setting};
use super::world::World;

/// Most of a sequence's time is waiting, for backoffs and for files to settle.
const THREADS: u32 = 12;

/// Does all of it, and judges.
pub(crate) fn run(setting: Setting, deeds: &[Deed]) -> Result<(), String> {
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

/// Tries `cases` sequences, or as many as `WULOG_MODEL_CASES` says.
pub(crate) fn check(cases: u32) {
    let cases = set("WULOG_MODEL_CASES").unwrap_or(cases);
    // A number that nobody chose.
    let seed: u64 = set("WULOG_MODEL_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let workers: Vec<_> = (0..THREADS)
        .map(|worker| {
            std::thread::spawn(move || {
                let config = Config {
                    cases: cases.div_ceil(THREADS),
                    failure_persistence: None,
                    max_shrink_iters: 2_000,
                    ..Config::default()
                };
                let mut bytes = [0; 32];
                bytes[..8].copy_from_slice(&seed.to_le_bytes());
                bytes[8..12].copy_from_slice(&worker.to_le_bytes());
                let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
                let sequences = (deed::setting(), prop::collection::vec(deed::deed(), 1..30));
                let mut runner = TestRunner::new_with_rng(config, random);
                runner.run(&sequences, |(setting, deeds)| tried(setting, &deeds))
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
        "{} sequences failed; WULOG_MODEL_SEED={seed} WULOG_MODEL_CASES={cases} repeats them; to keep one, add it to \
         collector/tests/model/known.rs:\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

/// The number that an environment variable holds.
fn set<T: FromStr>(variable: &str) -> Option<T> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, which is no number that fits")))
}
