//! A question that takes long, asked by a thread beside the collector's passes.

use std::thread::{Builder, JoinHandle};

/// The inventory waits for an answer for so long, and then goes out with the answer before.
pub(super) const WAIT_MS: i64 = 60 * 1000;

/// At most one thread at a time, and what it answers.
#[derive(Debug)]
pub(super) struct BackgroundTask<T> {
    /// Name of the thread.
    name: &'static str,
    /// The thread that is under way, and when it began. A thread is not waited for when the collector ends: it holds nothing
    /// that must be kept.
    asked: Option<(JoinHandle<T>, i64)>,
}

impl<T: Send + 'static> BackgroundTask<T> {
    pub(super) fn new(name: &'static str) -> BackgroundTask<T> {
        BackgroundTask { name, asked: None }
    }

    /// Begins a thread, unless the one before is still under way.
    pub(super) fn begin(&mut self, ask: impl FnOnce() -> T + Send + 'static, now_ms: i64) {
        if self.asked.is_some() {
            return;
        }
        match Builder::new().name(self.name.to_owned()).spawn(ask) {
            Ok(thread) => self.asked = Some((thread, now_ms)),
            Err(error) => tracing::warn!(thread = self.name, %error, "a thread of the inventory cannot be started"),
        }
    }

    /// The answer of a thread that has ended, once.
    pub(super) fn answer(&mut self) -> Option<T> {
        let (thread, _) = self.asked.take_if(|(thread, _)| thread.is_finished())?;
        let answer = thread.join();
        if answer.is_err() {
            tracing::warn!(thread = self.name, "a thread of the inventory has panicked");
        }
        answer.ok()
    }

    /// Whether a thread is under way that is still worth waiting for. A clock that was set back must not make the inventory
    /// wait.
    pub(super) fn is_awaited(&self, now_ms: i64) -> bool {
        self.asked.as_ref().is_some_and(|(_, asked_ms)| now_ms.abs_diff(*asked_ms) < WAIT_MS.unsigned_abs())
    }

    #[cfg(test)]
    pub(super) fn is_under_way(&self) -> bool {
        self.asked.is_some()
    }
}
