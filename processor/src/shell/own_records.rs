//! Records that the shell appends to the input of a machine: its start configuration, and ticks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bytes::Bytes;
use wulog_schemas::raw::RawHeader;
use wulog_schemas::topic::Topic;

use super::{Shell, to_write};
use crate::log::{LogError, Write};
use crate::machine::Machine;

impl<M: Machine> Shell<M> {
    /// Appends the record of `Machine::input_due` of each live machine to its own input: the start configuration, if it
    /// is new.
    pub(super) fn append_due_input(&mut self) -> Result<(), LogError> {
        for (&partition, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.is_live()) {
            let Some(mut output) = slot.machine.input_due() else {
                slot.input_on_its_way = false;
                continue;
            };
            if !slot.input_on_its_way {
                output.timestamp_ms = self.config.clock.now_ms();
                self.log.commit(&[to_write(output, partition)], &BTreeMap::from([(partition, slot.next)]))?;
                slot.input_on_its_way = true;
            }
        }
        Ok(())
    }

    /// Appends a tick to each partition that has been quiet long enough: a machine's clock is always data.
    pub(super) fn tick(&mut self, at_end: &BTreeSet<i32>) -> Result<(), LogError> {
        let Some(idle) = self.config.tick_after_idle else { return Ok(()) };
        let mut writes = Vec::new();
        let mut next = BTreeMap::new();
        for partition in at_end {
            let Some(slot) = self.slots.get_mut(partition) else { continue };
            if slot.is_live() && slot.quiet_since.elapsed() >= idle {
                slot.quiet_since = Instant::now();
                next.insert(*partition, slot.next);
                writes.push(Write {
                    topic: Topic::Raw,
                    partition: *partition,
                    timestamp_ms: self.config.clock.now_ms(),
                    key: format!("tick/{partition}").into(),
                    header: Some(RawHeader::tick().to_bytes()),
                    value: Some(Bytes::new()),
                });
            }
        }
        if writes.is_empty() { Ok(()) } else { self.log.commit(&writes, &next) }
    }
}
