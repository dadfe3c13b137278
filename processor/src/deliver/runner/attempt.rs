//! One attempt at a delivery: a panic counts as a failure, and after a failure the files of secrets are read again.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use tracing::{error, info, warn};

use super::work::Runner;
use crate::deliver::backlog::Item;
use crate::deliver::channel::DeliveryOutcome;

/// Panics at one document after which it is parked: the pauses in between are a minute together.
const PANICS_MAX: u32 = 8;

impl Runner {
    /// Tries to deliver a document.
    pub(super) fn attempt(&mut self, item: &Item) -> DeliveryOutcome {
        let (channel, now_ms) = (&mut self.channel, self.clock.now_ms());
        let panic = match catch_unwind(AssertUnwindSafe(|| channel.deliver(item, now_ms))) {
            Ok(outcome) => return outcome,
            Err(panic) => panic_text(panic.as_ref()),
        };
        let key = item.key();
        if self.panics.0 != key {
            self.panics = (key.clone(), 0);
        }
        self.panics.1 += 1;
        error!(
            channel = self.config.name,
            key,
            panics = self.panics.1,
            "the channel panicked; please report it: {panic}"
        );
        // A panic may have left a lock or a connection unusable. If the channel cannot be opened again, the next
        // attempt fails and reports it.
        let (channel, config) = (&mut self.channel, &self.config);
        let _ = catch_unwind(AssertUnwindSafe(|| channel.renew(config)));
        if self.panics.1 >= PANICS_MAX {
            return DeliveryOutcome::Refused(format!("the channel panicked {PANICS_MAX} times: {panic}"));
        }
        DeliveryOutcome::Retry { why: format!("the channel panicked: {panic}"), after: None }
    }

    /// Reads the files of secrets again, and returns whether one has changed. If so, the channel is opened with it and
    /// the document is tried at once.
    pub(super) fn has_new_secrets(&mut self) -> bool {
        let mut config = self.config.clone();
        match config.read_secrets_again() {
            Ok(false) => return false,
            Ok(true) => {}
            Err(why) => {
                warn!(channel = self.config.name, "the secret as it was read before is used on: {why}");
                return false;
            }
        }
        if let Err(why) = self.channel.renew(&config) {
            warn!(
                channel = self.config.name,
                "a secret's file has changed and is not usable; it is used as it was: {why}"
            );
            return false;
        }
        info!(channel = self.config.name, "a secret's file has changed; the channel uses it from now on");
        self.config = config;
        if let Some(work) = &mut self.work {
            work.again_at = Instant::now();
        }
        true
    }
}

/// The text of a panic.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text").to_owned()
}
