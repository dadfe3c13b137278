//! Merges the partitions of one topic into one stream, ordered by log time, partition and offset.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::log::{LogError, Record};
use crate::log_time::{LogClock, order_time};

/// Merges partitions, each in the order of offsets. A partition's position is its log time, by the rule of the
/// machines: an unconfirmed timestamp far ahead moves nothing.
pub fn by_log_time<I>(partitions: Vec<I>) -> impl Iterator<Item = Result<Record, LogError>>
where
    I: Iterator<Item = Result<Record, LogError>>,
{
    let mut partitions: Vec<PartitionQueue<I>> = partitions
        .into_iter()
        .map(|records| PartitionQueue { records, head: None, clock: LogClock::default() })
        .collect();
    let mut order: Option<BinaryHeap<Reverse<(i64, i32, usize)>>> = None;
    std::iter::from_fn(move || {
        let order = match &mut order {
            Some(order) => order,
            None => {
                let mut filled = BinaryHeap::new();
                for (at, partition) in partitions.iter_mut().enumerate() {
                    match partition.advance() {
                        Ok(place) => filled.extend(place.map(|(time, number)| Reverse((time, number, at)))),
                        Err(error) => return Some(Err(error)),
                    }
                }
                order.insert(filled)
            }
        };
        let Reverse((_, _, at)) = order.pop()?;
        let record = partitions[at].head.take()?;
        match partitions[at].advance() {
            Ok(place) => order.extend(place.map(|(time, number)| Reverse((time, number, at)))),
            Err(error) => return Some(Err(error)),
        }
        Some(Ok(record))
    })
}

struct PartitionQueue<I> {
    records: I,
    head: Option<Record>,
    clock: LogClock,
}

impl<I: Iterator<Item = Result<Record, LogError>>> PartitionQueue<I> {
    /// Reads the next record and returns its position: log time and partition.
    fn advance(&mut self) -> Result<Option<(i64, i32)>, LogError> {
        let Some(record) = self.records.next().transpose()? else { return Ok(None) };
        let place = (order_time(&mut self.clock, record.timestamp_ms), record.partition);
        self.head = Some(record);
        Ok(Some(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_700_000_000_000;

    #[test]
    fn log_time_then_partition_then_offset() {
        let partition = |number: i32, times: &[i64]| {
            let records: Vec<Result<Record, LogError>> = times
                .iter()
                .zip(0..)
                .map(|(&timestamp_ms, offset)| {
                    Ok(Record { partition: number, offset, timestamp_ms: T + timestamp_ms, ..Record::default() })
                })
                .collect();
            records.into_iter()
        };
        // In partition 0 the clock steps back: its third record stays behind its second.
        let merged = by_log_time(vec![partition(0, &[10, 30, 5, 31]), partition(1, &[10, 20, 30])]);
        let places: Vec<(i32, i64)> = merged.map(|record| record.unwrap()).map(|r| (r.partition, r.offset)).collect();
        assert_eq!(places, [(0, 0), (1, 0), (1, 1), (0, 1), (0, 2), (1, 2), (0, 3)]);
        // A record of a wrong year keeps its position, and delays no later record.
        let year_9999 = 253_402_300_799_000 - T;
        let merged = by_log_time(vec![partition(0, &[10, year_9999, 20, 40]), partition(1, &[15, 30])]);
        let places: Vec<(i32, i64)> = merged.map(|record| record.unwrap()).map(|r| (r.partition, r.offset)).collect();
        assert_eq!(places, [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (0, 3)]);
    }
}
