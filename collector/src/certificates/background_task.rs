//! Runs a slow task on a thread beside the collector's passes.

use std::thread::{Builder, JoinHandle};

/// How long an inventory waits for an answer before it is sent with the previous answer.
pub(super) const WAIT_MS: i64 = 60 * 1000;

/// A task that runs on at most one thread at a time, and its answer.
#[derive(Debug)]
pub(super) struct BackgroundTask<T> {
    /// Name of the thread.
    name: &'static str,
    /// The running thread, and when it began. The collector does not wait for the thread at its end, since the thread
    /// holds nothing that must be kept.
    asked: Option<(JoinHandle<T>, i64)>,
}

impl<T: Send + 'static> BackgroundTask<T> {
    pub(super) fn new(name: &'static str) -> BackgroundTask<T> {
        BackgroundTask { name, asked: None }
    }

    /// Starts a thread, unless the previous one still runs.
    pub(super) fn begin(&mut self, ask: impl FnOnce() -> T + Send + 'static, now_ms: i64) {
        if self.asked.is_some() {
            return;
        }
        match Builder::new().name(self.name.to_owned()).spawn(ask) {
            Ok(thread) => self.asked = Some((thread, now_ms)),
            Err(error) => tracing::warn!(thread = self.name, %error, "a thread of the inventory cannot be started"),
        }
    }

    /// Returns the answer of a finished thread, once.
    pub(super) fn answer(&mut self) -> Option<T> {
        let (thread, _) = self.asked.take_if(|(thread, _)| thread.is_finished())?;
        let answer = thread.join();
        if answer.is_err() {
            tracing::warn!(thread = self.name, "a thread of the inventory has panicked");
        }
        answer.ok()
    }

    /// Whether a thread runs for which an inventory still waits. The distance in time counts in both directions, so
    /// that a clock that was set back does not prolong the wait.
    pub(super) fn is_awaited(&self, now_ms: i64) -> bool {
        self.asked.as_ref().is_some_and(|(_, asked_ms)| now_ms.abs_diff(*asked_ms) < WAIT_MS.unsigned_abs())
    }

    #[cfg(test)]
    pub(super) fn is_under_way(&self) -> bool {
        self.asked.is_some()
    }
}
