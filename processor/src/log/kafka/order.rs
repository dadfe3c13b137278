//! Records of several partitions in the order of log time.
//!
//! After an outage a processor finds hours of records in each partition. In the order of fetching, the detector would
//! see one partition's evening before another's morning, and its windows would be wrong. So fetched records wait here
//! until every partition has a record to compare or is at its end (as in Kafka Streams). At the head of the log the
//! wait costs one empty fetch.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::log::Record;
use crate::log_time::{LogClock, order_time};

#[derive(Debug, Default)]
struct Lane {
    /// Records with their positions in the order.
    records: VecDeque<(i64, Record)>,
    /// Log time of the fetched records: a leader's clock may step, log time does not follow every step.
    clock: LogClock,
    /// The log holds no further record behind `records`.
    ended: bool,
    /// The partition did not answer in time, and is not waited for until it does.
    silent: bool,
}

impl Lane {
    /// Log time of the first record.
    fn head_ms(&self) -> Option<i64> {
        self.records.front().map(|(place, _)| *place)
    }

    fn is_awaited(&self) -> bool {
        self.records.is_empty() && !self.ended && !self.silent
    }
}

/// The fetched records of the owned partitions.
#[derive(Debug, Default)]
pub(super) struct InOrder {
    lanes: BTreeMap<i32, Lane>,
    len: usize,
}

impl InOrder {
    /// Drops all records and starts again with these partitions.
    pub(super) fn start(&mut self, partitions: impl IntoIterator<Item = i32>) {
        self.lanes = partitions.into_iter().map(|partition| (partition, Lane::default())).collect();
        self.len = 0;
    }

    /// Takes in a fetched record; records of a partition come in offset order.
    pub(super) fn push(&mut self, record: Record) {
        if let Some(lane) = self.lanes.get_mut(&record.partition) {
            (lane.ended, lane.silent) = (false, false);
            lane.records.push_back((order_time(&mut lane.clock, record.timestamp_ms), record));
            self.len += 1;
        }
    }

    /// The end of a partition was reached.
    pub(super) fn end(&mut self, partition: i32) {
        if let Some(lane) = self.lanes.get_mut(&partition) {
            (lane.ended, lane.silent) = (true, false);
        }
    }

    /// Whether a partition may still have an earlier record than the fetched ones.
    pub(super) fn is_waiting(&self) -> bool {
        self.lanes.values().any(Lane::is_awaited)
    }

    /// Stops waiting for the partitions that have not answered.
    pub(super) fn give_up_waiting(&mut self) {
        for lane in self.lanes.values_mut().filter(|lane| lane.is_awaited()) {
            lane.silent = true;
        }
    }

    /// Number of waiting records.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Moves the records whose turn it is into `out`, until `out` has `records_max`, or until a record must be held
    /// because of its log time. Returns true in the second case.
    pub(super) fn take(
        &mut self,
        out: &mut Vec<Record>,
        records_max: usize,
        mut is_held: impl FnMut(i64) -> bool,
    ) -> bool {
        while out.len() < records_max && !self.is_waiting() {
            let heads = self.lanes.iter().filter_map(|(partition, lane)| Some((lane.head_ms()?, *partition)));
            let Some((head_ms, partition)) = heads.min() else { return false };
            if is_held(head_ms) {
                return true;
            }
            let Some(lane) = self.lanes.get_mut(&partition) else { return false };
            self.len -= 1;
            out.extend(lane.records.pop_front().map(|(_, record)| record));
        }
        false
    }

    /// Partitions with nothing left.
    pub(super) fn at_end(&self) -> BTreeSet<i32> {
        self.lanes.iter().filter(|(_, lane)| lane.ended && lane.records.is_empty()).map(|(at, _)| *at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_700_000_000_000;

    /// A record this many milliseconds after a time of this century; other times are invalid.
    fn record(partition: i32, offset: i64, after_ms: i64) -> Record {
        Record { partition, offset, timestamp_ms: T + after_ms, ..Record::default() }
    }

    fn taken(order: &mut InOrder) -> Vec<(i32, i64)> {
        let mut out = Vec::new();
        order.take(&mut out, usize::MAX, |_| false);
        out.iter().map(|record| (record.partition, record.offset)).collect()
    }

    #[test]
    fn a_record_waits_until_each_partition_has_answered() {
        let mut order = InOrder::default();
        order.start([0, 1, 2]);
        order.push(record(0, 0, 50));
        order.push(record(1, 0, 40));
        assert!(order.is_waiting() && taken(&mut order).is_empty());
        order.end(2);
        // After 1@0, partition 1 may still hold a record before 50.
        assert_eq!(taken(&mut order), [(1, 0)]);
        order.push(record(1, 1, 45));
        order.end(1);
        assert_eq!(taken(&mut order), [(1, 1), (0, 0)]);
        assert_eq!(order.at_end(), BTreeSet::from([1, 2]));
        assert_eq!(order.len(), 0);
    }

    #[test]
    fn a_silent_partition_is_not_waited_for_until_it_answers() {
        let mut order = InOrder::default();
        order.start([0, 1]);
        order.push(record(0, 0, 50));
        order.end(0);
        order.give_up_waiting();
        assert_eq!(taken(&mut order), [(0, 0)]);
        assert_eq!(order.at_end(), BTreeSet::from([0]));
        order.push(record(1, 0, 10));
        assert_eq!(taken(&mut order), [(1, 0)]);
        assert!(order.is_waiting());
    }

    #[test]
    fn a_clock_that_steps_back_does_not_reorder() {
        let mut order = InOrder::default();
        order.start([0, 1]);
        for (offset, time) in [(0, 100), (1, 10)] {
            order.push(record(0, offset, time));
        }
        order.push(record(1, 0, 90));
        order.push(record(1, 1, 101));
        order.end(0);
        order.end(1);
        assert_eq!(taken(&mut order), [(1, 0), (0, 0), (0, 1), (1, 1)]);
    }
}
