//! The figures of the loop: records, bytes, lag, readiness, and the figures of the machines.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wulog_schemas::topic::Topic;

use super::{Shell, ShellProgress};
use crate::log::Record;
use crate::machine::Machine;
use crate::metrics::Figures;

impl<M: Machine> Shell<M> {
    /// Counts the records that a committed batch read and wrote, and its lag.
    pub(super) fn note_moved(&mut self, records: &[Record], written: BTreeMap<Topic, (u64, u64)>) {
        let bytes = |values: &mut dyn Iterator<Item = usize>| values.sum::<usize>() as u64;
        let read = bytes(&mut records.iter().map(|record| record.value.len()));
        self.metrics.moved(M::INPUT.suffix(), "in", records.len() as u64, read);
        for (topic, (count, size)) in written {
            self.metrics.moved(topic.suffix(), "out", count, size);
        }
        let now_ms = self.config.clock.now_ms();
        let newest: BTreeMap<i32, i64> = records.iter().map(|record| (record.partition, record.timestamp_ms)).collect();
        for (partition, timestamp_ms) in newest {
            self.metrics.lag_seconds(partition, now_ms.saturating_sub(timestamp_ms).max(0) as f64 / 1000.0);
        }
        for (partition, end) in self.log.ends() {
            if let Some(slot) = self.slots.get(&partition) {
                self.metrics.lag_records(partition, end.saturating_sub(slot.next).max(0));
            }
        }
    }

    /// Records one round of the loop, and at intervals the machines' figures.
    pub(super) fn note_round(&mut self, step: ShellProgress) {
        const ASKED_EVERY: Duration = Duration::from_secs(10);
        let waits = self.slots.iter().any(|(_, slot)| !slot.is_live());
        let ready = match waits || self.unsettled {
            true => Err("its machines are being loaded".to_owned()),
            false => Ok(()),
        };
        self.metrics.round(ready);
        if step.at_end {
            // After the last record there may be ends of transactions, which count as offsets but cannot be read.
            for &partition in &self.owned {
                self.metrics.lag_seconds(partition, 0.0);
                self.metrics.lag_records(partition, 0);
            }
        }
        if self.asked_at.is_none_or(|asked| asked.elapsed() >= ASKED_EVERY) {
            self.asked_at = Some(Instant::now());
            let mut figures = Figures::new();
            for figure in self.slots.values().flat_map(|slot| slot.machine.figures()) {
                *figures.entry((figure.name, figure.labels)).or_default() += figure.value;
            }
            self.metrics.figures(figures);
        }
    }
}
