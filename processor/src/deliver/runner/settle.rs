//! The steps after an attempt: the document is settled, tried again, or parked.

use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::work::{NOTES_READ_EVERY, Runner};
use crate::deliver::backlog::Item;
use crate::deliver::channel::DeliveryOutcome;
use crate::deliver::set_aside::{SKIP, SetAside};
use crate::log::LogError;
use crate::log::alert_queue::{ChannelPosition, LastDelivery};

/// Interval at which a failing delivery is reported again after the first failure.
const REPORTED_EVERY: Duration = Duration::from_secs(60);

impl Runner {
    pub(super) fn delivered(&mut self, item: &Item, answer: &str, began: Instant) -> Result<(), LogError> {
        let Some(work) = &mut self.work else { return Ok(()) };
        if work.backoff.failures() > 0 {
            info!(channel = self.config.name, key = item.key(), answer, "delivered after failures");
        }
        self.metrics.delivered(began.elapsed());
        self.recipients_refused(item, &[], None)?;
        let last = self.last(item);
        self.settle(item, Some(last))
    }

    pub(super) fn last(&self, item: &Item) -> LastDelivery {
        LastDelivery { id: item.alert.id.clone(), seq: item.alert.seq, time_ms: self.clock.now_ms() }
    }

    pub(super) fn not_delivered(&mut self, item: &Item, outcome: DeliveryOutcome) -> Result<(), LogError> {
        if self.has_new_secrets() {
            return Ok(()); // they are tried at once
        }
        match outcome {
            DeliveryOutcome::Retry { why, after } => self.try_later(item, &why, after)?,
            DeliveryOutcome::Barred(why) => {
                self.try_later(item, &why, None)?;
                self.park_if_alone_refused(item, &why)?;
            }
            DeliveryOutcome::Refused(why) => self.park(item, &why)?,
            DeliveryOutcome::Delivered(_) | DeliveryOutcome::Partly { .. } => {}
        }
        Ok(())
    }

    pub(super) fn try_later(&mut self, item: &Item, why: &str, after: Option<Duration>) -> Result<(), LogError> {
        let Some(work) = &mut self.work else { return Ok(()) };
        let pause = work.backoff.pause(after, fastrand::f64());
        work.again_at = Instant::now() + pause;
        self.metrics.failed();
        if work.reported.is_none_or(|reported| reported.elapsed() >= REPORTED_EVERY) {
            work.reported = Some(Instant::now());
            warn!(
                channel = self.config.name,
                key = item.key(),
                failures = work.backoff.failures(),
                retry_in_ms = pause.as_millis(),
                "not delivered; nothing is lost: {why}"
            );
        }
        self.skip_if_ordered(item)
    }

    /// Parks the head if the endpoint has refused it for `barred_patience` and takes the next document.
    fn park_if_alone_refused(&mut self, item: &Item, why: &str) -> Result<(), LogError> {
        let Some(work) = &mut self.work else { return Ok(()) };
        let since = *work.barred_since.get_or_insert_with(Instant::now);
        // An operator's order may have ended the head in the meantime.
        let is_head = work.backlog.head().is_some_and(|head| head.offset == item.offset);
        let next = work.backlog.second().cloned().filter(|_| is_head && since.elapsed() >= self.barred_patience);
        let Some(next) = next else { return Ok(()) };
        let began = Instant::now();
        match self.attempt(&next) {
            DeliveryOutcome::Delivered(answer) => {
                self.park(item, why)?;
                self.delivered(&next, &answer, began)
            }
            DeliveryOutcome::Partly { answer, lacking } => {
                self.park(item, why)?;
                self.delivered_to_some(&next, answer, lacking, began)
            }
            _ => Ok(()),
        }
    }

    fn park(&mut self, item: &Item, why: &str) -> Result<(), LogError> {
        let aside = SetAside::new(item, self.clock.now_ms(), None, why);
        self.queue.note(&aside.key(), Some(&aside.to_bytes()))?;
        self.metrics.parked();
        if let Some(work) = &mut self.work {
            work.parked.insert(aside.key());
        }
        error!(
            channel = self.config.name,
            key = item.key(),
            "parked, since it cannot be delivered as it is: {why}; later alerts go on; see `channels status` and `channels replay`"
        );
        self.settle(item, None)
    }

    /// Skips a document that fails again and again, if an operator has ordered it.
    fn skip_if_ordered(&mut self, item: &Item) -> Result<(), LogError> {
        let Some(work) = &mut self.work else { return Ok(()) };
        if work.skip_looked_at.elapsed() < NOTES_READ_EVERY {
            return Ok(());
        }
        work.skip_looked_at = Instant::now();
        let key = format!("{SKIP}{}", item.key());
        if !self.queue.notes()?.contains_key(&key) {
            return Ok(());
        }
        warn!(channel = self.config.name, key = item.key(), "skipped, as an operator ordered");
        self.queue.note(&key, None)?;
        self.settle(item, None)
    }

    /// Removes the head, which is delivered or set aside, so that the next document follows.
    pub(super) fn settle(&mut self, item: &Item, last: Option<LastDelivery>) -> Result<(), LogError> {
        let Some(work) = &mut self.work else { return Ok(()) };
        work.backlog.done();
        work.backoff.reset();
        work.barred_since = None;
        work.reported = None;
        work.again_at = Instant::now();
        let released = work.held.get(&item.alert.id).is_some_and(|held| held.released);
        if released && let Some(held) = work.held.remove(&item.alert.id) {
            self.queue.note(&held.aside.key(), None)?;
        }
        self.advance_to_backlog(last)
    }

    pub(super) fn advance_to_backlog(&mut self, last: Option<LastDelivery>) -> Result<(), LogError> {
        let Some(work) = &self.work else { return Ok(()) };
        let next = work.backlog.position();
        self.advance(next, last)
    }

    /// Commits the position if it has moved.
    pub(super) fn advance(&mut self, next: i64, last: Option<LastDelivery>) -> Result<(), LogError> {
        let Some(work) = &mut self.work else { return Ok(()) };
        work.backlog.read_up_to(next);
        let next = work.backlog.position();
        let moved = next != work.position.next || last.is_some();
        if moved {
            let position = ChannelPosition { next, last: last.or_else(|| work.position.last.clone()) };
            self.queue.commit(&position)?;
            work.position = position;
        }
        Ok(())
    }
}
