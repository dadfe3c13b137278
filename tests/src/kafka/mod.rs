//! A real Kafka 4.x for tests: one broker, started in seconds from jars that Maven fetches once.
//!
//! A broker is held by a small shell script that watches a pipe from this process (`kafka/bin/hold.sh`): if a test ends
//! in any way, even by kill -9, its broker ends and its folder is removed. The tests of one binary share a broker
//! ([`shared`]); a test that hurts its broker starts a private one ([`KafkaTestbed::start`]).

mod broker;
mod jars;
pub mod proxy;
mod topic;

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub use broker::{KafkaTestbed, SCRAM_PASSWORD, SCRAM_USER};
pub use jars::Skip;
pub use topic::TopicRecord;

/// The broker that the tests of this binary share. It lives until the process ends.
///
/// # Errors
/// [`Skip`] where this machine cannot run Kafka.
///
/// # Panics
/// When Kafka is there and does not start.
pub fn shared() -> Result<&'static KafkaTestbed, Skip> {
    static SHARED: OnceLock<Result<KafkaTestbed, Skip>> = OnceLock::new();
    SHARED.get_or_init(KafkaTestbed::start).as_ref().map_err(Clone::clone)
}

/// Unwraps a testbed. Without a testbed, prints one line that `test` is skipped, with the reason, and returns `None`;
/// with `CI=true` this is a failure instead.
///
/// # Panics
/// With `CI=true`, if there is no testbed.
#[must_use]
pub fn or_skip<T>(test: &str, testbed: Result<T, Skip>) -> Option<T> {
    let skip = match testbed {
        Ok(testbed) => return Some(testbed),
        Err(skip) => skip,
    };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test}: {skip}, and with CI=true it may not be skipped");
    // The test harness hides the output of the print macros.
    let line = format!("SKIPPED {test}: {skip}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("standard error can be written");
    None
}

/// A prefix for topics and groups that no other test uses, on this broker or another.
#[must_use]
pub fn unique_prefix(test: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{test}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
