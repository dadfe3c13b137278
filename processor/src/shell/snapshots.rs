//! Loads machines from snapshots and the log, and writes snapshots.

use std::collections::BTreeMap;
use std::time::Instant;

use tracing::{info, warn};

use super::Shell;
use super::slot::Slot;
use crate::log::LogError;
use crate::machine::Machine;
use crate::snapshot::{Snapshot, SnapshotOwner};

/// State records in one transaction: 8 chunks of 512 KiB.
const SNAPSHOT_WRITES_PER_COMMIT: usize = 8;

/// A snapshot whose machine has panicked this often is not loaded again, since the snapshot may be the cause.
const SNAPSHOT_PANICS_MAX: u32 = 3;

impl<M: Machine> Shell<M> {
    pub(super) fn load(&mut self, partition: i32, target: i64, oldest: i64) -> Result<Slot<M>, LogError> {
        let owner = SnapshotOwner { machine: M::NAME, format: M::FORMAT, partition };
        let mut slot = Slot {
            machine: M::new(&self.machine_config, partition, self.partitions),
            next: oldest,
            live_from: target,
            orphan: false,
            input_on_its_way: false,
            snapshot_slot: 0,
            snapshot_offset: -1,
            snapshot_at: Instant::now(),
            quiet_since: Instant::now(),
        };
        for snapshot in owner.decode(&self.log.read_state(partition)?) {
            let panics = self.panics.get(&(partition, snapshot.offset)).copied().unwrap_or(0);
            if snapshot.offset > target || panics >= SNAPSHOT_PANICS_MAX {
                continue;
            }
            match M::restore(&self.machine_config, partition, self.partitions, &snapshot.bytes) {
                Ok(machine) => {
                    slot.machine = machine;
                    slot.next = snapshot.offset.max(oldest);
                    slot.snapshot_offset = snapshot.offset;
                    slot.snapshot_slot = snapshot.slot;
                    break;
                }
                Err(refused) => warn!(partition, "{refused}; trying an older one, then the log itself"),
            }
        }
        let known_from = slot.snapshot_offset.max(0);
        if slot.next > known_from {
            warn!(
                machine = M::NAME,
                partition,
                from = known_from,
                to = slot.next,
                "history in this range is gone from the log; going on without it"
            );
        }
        info!(machine = M::NAME, partition, snapshot = slot.snapshot_offset, next = target, "loaded");
        Ok(slot)
    }

    pub(super) fn snapshot_where_due(&mut self) -> Result<(), LogError> {
        let after_records = i64::try_from(self.config.snapshot_after_records).unwrap_or(i64::MAX);
        let due: Vec<i32> = self
            .slots
            .iter()
            .filter(|(_, slot)| {
                slot.is_live()
                    && (slot.next - slot.snapshot_offset.max(0) >= after_records
                        || slot.snapshot_at.elapsed() >= self.config.snapshot_after)
            })
            .map(|(&partition, _)| partition)
            .collect();
        due.into_iter().try_for_each(|partition| self.write_snapshot(partition))
    }

    pub(super) fn write_snapshot(&mut self, partition: i32) -> Result<(), LogError> {
        let Some(slot) = self.slots.get_mut(&partition) else { return Ok(()) };
        slot.snapshot_at = Instant::now();
        if !slot.is_live() || slot.next <= slot.snapshot_offset {
            return Ok(());
        }
        slot.adopt(&mut *self.log, partition)?;
        let owner = SnapshotOwner { machine: M::NAME, format: M::FORMAT, partition };
        let snapshot = Snapshot { offset: slot.next, slot: 1 - slot.snapshot_slot, bytes: slot.machine.snapshot() };
        let bytes = snapshot.bytes.len();
        self.metrics.snapshot(partition, bytes, self.config.clock.now_ms());
        let here = BTreeMap::from([(partition, slot.next)]);
        let (older, newer, in_slot) = (slot.snapshot_offset, snapshot.offset, snapshot.slot);
        let writes = owner.encode(snapshot, self.config.clock.now_ms());
        for part in writes.chunks(SNAPSHOT_WRITES_PER_COMMIT) {
            match self.log.commit(part, &here) {
                Err(LogError::Refused { why, .. }) => {
                    let what = "no snapshot: a part of it is too large for its topic";
                    warn!(machine = M::NAME, partition, bytes, "{what}: {why}");
                    return Ok(());
                }
                done => done?,
            }
        }
        slot.snapshot_slot = in_slot;
        slot.snapshot_offset = newer;
        info!(machine = M::NAME, partition, offset = newer, bytes, "snapshot written");
        // The older snapshot stays as the second slot, so the records that it needs must stay too.
        if older >= 0 { self.log.not_needed_below(partition, older) } else { Ok(()) }
    }
}
