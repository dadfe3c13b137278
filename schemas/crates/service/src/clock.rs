//! The source of the current time, so that simulated fleets run in their own time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A source of wall-clock time, milliseconds since 1970 UTC.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that the caller moves: the simulated fleet of the demo and the tests.
    Simulated(Arc<AtomicI64>),
}

impl Clock {
    /// Returns the current time in milliseconds since 1970 UTC.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match self {
            Clock::System => chrono::Utc::now().timestamp_millis(),
            Clock::Simulated(now) => now.load(Ordering::Acquire),
        }
    }
}
