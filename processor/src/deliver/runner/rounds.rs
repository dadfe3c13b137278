//! One round after another: read documents, decide on each, deliver the oldest, report figures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::attempt::panic_text;
use super::take_over::{item, parked_among};
use super::work::{Held, NOTES_READ_EVERY, Runner};
use crate::deliver::backlog::Item;
use crate::deliver::channel::DeliveryOutcome;
use crate::deliver::filter::{Decision, decide};
use crate::deliver::set_aside::SetAside;
use crate::log::{LogError, Record};

/// Longest wait of one poll: short, since a new alert is to be delivered within a second.
const POLL_WAIT: Duration = Duration::from_millis(200);
/// Pause after a log error that can be retried.
const LOG_PAUSE: Duration = Duration::from_secs(1);
impl Runner {
    /// Runs until `stop`.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when a person must act; nothing is lost.
    pub(crate) fn run(&mut self, stop: &CancellationToken) -> Result<(), LogError> {
        while !stop.is_cancelled() {
            self.rounds.turn(Instant::now());
            // Work that a panic leaves unfinished is dropped: the channel starts again from its committed position.
            match catch_unwind(AssertUnwindSafe(|| self.step())) {
                Ok(Ok(())) => self.loop_panics.reset(),
                Ok(Err(LogError::Retry(why))) => {
                    warn!(channel = self.config.name, "{why}");
                    self.give_up();
                    self.wait(LOG_PAUSE, stop);
                }
                Ok(Err(fatal)) => return Err(fatal),
                Err(panic) => {
                    let pause = self.loop_panics.pause(None, fastrand::f64());
                    error!(
                        channel = self.config.name,
                        retry_in_ms = pause.as_millis(),
                        "the channel panicked and starts again from its position; please report it: {}",
                        panic_text(panic.as_ref())
                    );
                    self.metrics.failed();
                    self.give_up();
                    self.wait(pause, stop);
                }
            }
        }
        Ok(())
    }

    fn wait(&mut self, pause: Duration, stop: &CancellationToken) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !stop.is_cancelled() {
            self.rounds.turn(Instant::now());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn step(&mut self) -> Result<(), LogError> {
        let (room, wait) = match &self.work {
            None => (0, POLL_WAIT),
            Some(work) if work.backlog.len() > 0 => {
                (work.backlog.room(), POLL_WAIT.min(work.again_at.saturating_duration_since(Instant::now())))
            }
            Some(work) => (work.backlog.room(), POLL_WAIT),
        };
        let polled = self.queue.poll(room, wait)?;
        if let Some(owned) = polled.owned {
            self.owned = owned;
            self.give_up();
        }
        if self.owned && self.work.is_none() {
            return self.take_over();
        }
        for record in polled.records {
            self.read(record)?;
        }
        self.release();
        self.deliver()?;
        self.deliver_late()?;
        self.read_parked_again()?;
        self.tend();
        self.report();
        Ok(())
    }

    fn give_up(&mut self) {
        self.work = None;
        self.channel.forget();
        self.metrics.idle();
    }

    fn read(&mut self, record: Record) -> Result<(), LogError> {
        let next = record.offset + 1; // + 1, since a position names the next document
        let (offset, empty) = (record.offset, record.value.is_empty());
        let Some(item) = item(record) else {
            if !empty {
                error!(channel = self.config.name, offset, "not an alert that this version can read; it is skipped");
                self.metrics.unreadable();
            }
            return self.advance(next, None);
        };
        if let Some(work) = &mut self.work {
            work.backlog.read_up_to(item.offset);
        }
        self.decide(item)
    }

    /// Puts a document into the backlog, sets it aside, or leaves it out.
    pub(super) fn decide(&mut self, item: Item) -> Result<(), LogError> {
        let now_ms = self.clock.now_ms();
        let Some(work) = &mut self.work else { return Ok(()) };
        let told = work.history.of(&item.alert.id).copied();
        let decided = decide(&self.config.wants, &item.alert, told.as_ref(), now_ms);
        work.history.note(&item.alert, !matches!(decided, Decision::Skip(_)));
        let superseded = work.held.remove(&item.alert.id).map(|held| held.aside);
        match decided {
            Decision::Send => work.backlog.push(item),
            Decision::Skip(why) => {
                tracing::debug!(channel = self.config.name, key = item.key(), why, "left out");
                work.backlog.read_up_to(item.offset + 1); // + 1, since a position names the next document
                self.channel.recall(&item.alert, false);
                self.metrics.left_out();
            }
            Decision::Hold { until_ms, why } => {
                let aside = SetAside::new(&item, now_ms, Some(until_ms), why);
                self.queue.note(&aside.key(), Some(&aside.to_bytes()))?;
                info!(channel = self.config.name, key = item.key(), why, until_ms, "held");
                work.backlog.read_up_to(item.offset + 1); // + 1, since a position names the next document
                work.held.insert(item.alert.id.clone(), Held { aside, item, released: false });
                return self.advance_to_backlog(None);
            }
        }
        if let Some(aside) = superseded {
            self.queue.note(&aside.key(), None)?;
        }
        self.advance_to_backlog(None)
    }

    /// Puts held documents whose time has come back into the backlog.
    fn release(&mut self) {
        let now_ms = self.clock.now_ms();
        let Some(work) = &mut self.work else { return };
        let is_due = |held: &&mut Held| !held.released && held.aside.until_ms.is_none_or(|until| until <= now_ms);
        for held in work.held.values_mut().filter(is_due) {
            held.released = true;
            work.backlog.push_released(held.item.clone());
        }
    }

    fn deliver(&mut self) -> Result<(), LogError> {
        let Some(work) = &mut self.work else { return Ok(()) };
        if Instant::now() < work.again_at {
            return Ok(());
        }
        let Some(item) = work.backlog.head().cloned() else { return Ok(()) };
        let began = Instant::now();
        match self.attempt(&item) {
            DeliveryOutcome::Delivered(answer) => self.delivered(&item, &answer, began),
            DeliveryOutcome::Partly { answer, lacking } => self.delivered_to_some(&item, answer, lacking, began),
            outcome => self.not_delivered(&item, outcome),
        }
    }

    /// Reads the parked documents again, since `channels replay` and `channels skip` of an operator end them from
    /// another process.
    fn read_parked_again(&mut self) -> Result<(), LogError> {
        let Some(work) = &mut self.work else { return Ok(()) };
        if work.parked.is_empty() || work.parked_read_at.elapsed() < NOTES_READ_EVERY {
            return Ok(());
        }
        work.parked_read_at = Instant::now();
        work.parked = parked_among(&self.queue.notes()?);
        Ok(())
    }

    fn tend(&mut self) {
        let Some(work) = &self.work else { return };
        if work.backoff.failures() > 0 {
            return;
        }
        match self.channel.tend(self.clock.now_ms()) {
            DeliveryOutcome::Delivered(_) | DeliveryOutcome::Partly { .. } => {}
            DeliveryOutcome::Retry { why, .. } | DeliveryOutcome::Barred(why) | DeliveryOutcome::Refused(why) => {
                self.metrics.failed();
                warn!(channel = self.config.name, "open incidents could not be sent again: {why}");
            }
        }
    }

    fn report(&mut self) {
        let Some(work) = &self.work else { return };
        let oldest = work.backlog.items().map(|item| item.alert.time.updated.0).min();
        let age_ms = oldest.map_or(0, |oldest| self.clock.now_ms().saturating_sub(oldest).max(0));
        self.metrics.backlog(work.backlog.len(), work.held.len(), age_ms);
        self.metrics.parked_now(work.parked.len());
    }
}
