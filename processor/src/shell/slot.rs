//! The machine of one partition, and how far it is.

use std::time::Instant;

use tracing::{info, warn};

use crate::log::{Log, LogError};
use crate::machine::Machine;

pub(super) struct Slot<M> {
    pub(super) machine: M,
    /// The next offset to apply.
    pub(super) next: i64,
    /// Outputs of records below this offset are muted, since the log holds them already.
    pub(super) live_from: i64,
    /// True when the machine was rebuilt without a snapshot and has not taken over its documents yet.
    pub(super) orphan: bool,
    /// True when the record of `Machine::input_due` is appended and has not been applied yet.
    pub(super) input_on_its_way: bool,
    pub(super) snapshot_slot: u8,
    pub(super) snapshot_offset: i64,
    pub(super) snapshot_at: Instant,
    pub(super) quiet_since: Instant,
}

impl<M: Machine> Slot<M> {
    pub(super) fn is_live(&self) -> bool {
        self.next >= self.live_from
    }

    /// Lets a machine that was rebuilt without a snapshot take over its own documents, and logs the result. The machine
    /// must not write anything before.
    pub(super) fn adopt(&mut self, log: &mut dyn Log, partition: i32) -> Result<(), LogError> {
        let Some(topic) = M::ADOPTS.filter(|_| self.orphan) else { return Ok(()) };
        let documents: Vec<Vec<u8>> = log.read_latest(topic, partition)?.into_values().collect();
        let adopted = self.machine.adopt(&documents);
        self.orphan = false;
        if adopted.is_empty() {
            info!(machine = M::NAME, partition, "rebuilt from the log alone; what was open is open again");
        } else {
            warn!(
                machine = M::NAME,
                partition,
                adopted = adopted.join(", "),
                "rebuilt from the log, which no longer holds how these began: taken over from {}",
                topic.suffix()
            );
        }
        Ok(())
    }

    /// The committed offset for which this machine is valid.
    pub(super) fn valid_for(&self) -> i64 {
        self.next.max(self.live_from)
    }
}
