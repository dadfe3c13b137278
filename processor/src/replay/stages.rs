//! The stages of a replay, each on a thread of its own: reading, the Normalizers, and the caller, who takes their
//! outputs.
//!
//! ```text
//! records -> batches -> Normalizers (partitions shared out over threads) -> in the order of the records -> caller
//! ```
//!
//! The speed of threads does not change the output: the outputs come in the order of the records.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use super::ReplayError;
use super::batches::Batches;
use crate::log::Record;
use crate::machine::{Machine, Output, PARSED_AHEAD, parse_ahead};
use crate::normalize::{Normalizer, NormalizerConfig};
use crate::pipeline::{apply_or_skip, tell_notices};

/// Records in a batch: enough to make changing threads cheap, few enough for a quick start of all stages.
const BATCH_RECORDS: usize = 256;

/// Bytes of values at which a batch is complete: lines may be long.
const BATCH_BYTES: usize = 256 * 1024;

/// Batches that wait between two stages.
const BATCHES_WAITING: usize = 4;

/// Number of threads that the machine runs at the same time.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// The outputs of the Normalizers for one record.
pub(super) struct Normalized {
    /// The record's timestamp, milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
    /// Events and signals, in order.
    pub outputs: Vec<Output>,
}

/// The entry of a record in the order: its timestamp, and the thread that has its Normalizer; `None` where the replay
/// has no such partition. An error stands behind the records before it.
type OrderEntry = Result<(i64, Option<usize>), ReplayError>;

/// The outputs of the records, in their order.
pub(super) struct Stages {
    order: Batches<OrderEntry>,
    /// For each thread of Normalizers, the outputs for each of its records.
    workers: Vec<Batches<Vec<Output>>>,
}

impl Stages {
    /// Starts the threads. They end with the records, or when this value is dropped.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        config: &'scope NormalizerConfig,
        partitions: i32,
        records: impl Iterator<Item = Result<Record, ReplayError>> + Send + 'scope,
    ) -> Stages {
        let count = usize::try_from(partitions).unwrap_or(0).clamp(1, cores());
        let (mut inputs, mut workers) = (Vec::new(), Vec::new());
        for number in 0..count {
            let (input, to_normalize) = sync_channel(BATCHES_WAITING);
            let (output, batches) = sync_channel(BATCHES_WAITING);
            scope.spawn(move || normalize(config, (number, count), partitions, &to_normalize, &output));
            inputs.push(input);
            workers.push(Batches::of(batches));
        }
        let (to_order, places) = sync_channel(BATCHES_WAITING);
        scope.spawn(move || read(records, partitions, &inputs, &to_order));
        Stages { order: Batches::of(places), workers }
    }
}

impl Iterator for Stages {
    type Item = Result<Normalized, ReplayError>;

    fn next(&mut self) -> Option<Result<Normalized, ReplayError>> {
        let (timestamp_ms, worker) = match self.order.next()? {
            Ok(place) => place,
            Err(error) => return Some(Err(error)),
        };
        let outputs = worker.map_or(Some(Vec::new()), |worker| self.workers[worker].next())?;
        Some(Ok(Normalized { timestamp_ms, outputs }))
    }
}

/// Reads records and distributes them, until they end or the receiver is gone.
///
/// A batch goes to all threads before the next one begins, and the caller takes batches in the same order: so no full
/// queue can wait for an empty one.
fn read(
    records: impl Iterator<Item = Result<Record, ReplayError>>,
    partitions: i32,
    inputs: &[SyncSender<Vec<Record>>],
    places: &SyncSender<Vec<OrderEntry>>,
) {
    let mut order = Vec::new();
    let mut shares: Vec<Vec<Record>> = inputs.iter().map(|_| Vec::new()).collect();
    let mut bytes = 0;
    let share_out = |order: &mut Vec<OrderEntry>, shares: &mut [Vec<Record>]| {
        let shared = shares.iter_mut().zip(inputs).filter(|(share, _)| !share.is_empty());
        let mut sent = shared.map(|(share, input)| input.send(std::mem::take(share)).is_ok());
        sent.all(|sent| sent) && places.send(std::mem::take(order)).is_ok()
    };
    for record in records {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                order.push(Err(error));
                break;
            }
        };
        let partition = usize::try_from(record.partition).ok().filter(|_| record.partition < partitions);
        let worker = partition.map(|partition| partition % inputs.len());
        order.push(Ok((record.timestamp_ms, worker)));
        bytes += record.value.len();
        if let Some(worker) = worker {
            shares[worker].push(record);
        }
        if order.len() >= BATCH_RECORDS || bytes >= BATCH_BYTES {
            bytes = 0;
            if !share_out(&mut order, &mut shares) {
                return;
            }
        }
    }
    // The receiver may be gone.
    let _ = share_out(&mut order, &mut shares);
}

/// Runs the Normalizers of thread `number` of `count`: those of the partitions `number`, `number + count`, ...
fn normalize(
    config: &NormalizerConfig,
    (number, count): (usize, usize),
    partitions: i32,
    input: &Receiver<Vec<Record>>,
    output: &SyncSender<Vec<Vec<Output>>>,
) {
    let numbers = (0..partitions).skip(number).step_by(count);
    let mut normalizers: Vec<Normalizer> =
        numbers.map(|partition| Normalizer::new(config, partition, partitions)).collect();
    while let Ok(records) = input.recv() {
        let mut normalized = Vec::with_capacity(records.len());
        let mut parsed = Vec::new();
        for records in records.chunks(PARSED_AHEAD) {
            parse_ahead::<Normalizer>(records.iter().map(Record::as_input), &mut parsed);
            for (record, parsed) in records.iter().zip(&mut parsed) {
                let mut outputs = Vec::new();
                let partition = usize::try_from(record.partition).unwrap_or(0);
                if let Some(normalizer) = normalizers.get_mut(partition / count) {
                    apply_or_skip(normalizer, &record.as_input(), parsed, &mut outputs);
                    tell_notices(normalizer);
                }
                normalized.push(outputs);
            }
        }
        if output.send(normalized).is_err() {
            break;
        }
    }
    for normalizer in &mut normalizers {
        normalizer.end_of_files();
        tell_notices(normalizer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(partition: i32, offset: i64) -> Record {
        // Records without a header: each becomes an event that names it.
        Record { partition, offset, timestamp_ms: 1_700_000_000_000 + offset, ..Record::default() }
    }

    /// Partition and offset that each event of the outputs names.
    fn places(outputs: &[Output]) -> Vec<(i32, i64)> {
        let events = outputs.iter().filter(|output| output.topic == wulog_schemas::topic::Topic::Events);
        let place = |output: &Output| {
            let event: serde_json::Value = serde_json::from_slice(&output.value).unwrap();
            let raw = &event["wu"]["raw"];
            (i32::try_from(raw["partition"].as_i64().unwrap()).unwrap(), raw["offset"].as_i64().unwrap())
        };
        events.map(place).collect()
    }

    #[test]
    fn outputs_come_in_the_order_of_the_records() {
        let config = NormalizerConfig::default();
        // Most records belong to one partition, so its thread is behind the other threads.
        let given: Vec<(i32, i64)> =
            (0..5_000).map(|offset| (if offset % 7 == 0 { 1 + (offset % 3) as i32 } else { 0 }, offset)).collect();
        let records: Vec<_> = given.iter().map(|&(partition, offset)| Ok(record(partition, offset))).collect();
        let taken: Vec<(i32, i64)> = thread::scope(|scope| {
            let stages = Stages::start(scope, &config, 4, records.into_iter());
            stages.flat_map(|normalized| places(&normalized.unwrap().outputs)).collect()
        });
        assert_eq!(taken, given);
    }

    #[test]
    fn an_error_comes_behind_the_records_before_it() {
        let config = NormalizerConfig::default();
        let error = || Err(ReplayError::Output(std::io::Error::other("gone")));
        let records = (0..700).map(|offset| Ok(record(0, offset))).chain([error()]).chain([Ok(record(0, 700))]);
        thread::scope(|scope| {
            let mut stages = Stages::start(scope, &config, 1, records);
            assert_eq!(stages.by_ref().take_while(Result::is_ok).count(), 700);
            assert!(stages.next().is_none(), "nothing is read behind an error");
        });
    }

    #[test]
    fn an_endless_input_ends_with_its_receiver() {
        let config = NormalizerConfig::default();
        let endless = (0..).map(|offset| Ok(record((offset % 3) as i32, offset)));
        let taken = thread::scope(|scope| Stages::start(scope, &config, 2, endless).take(1_000).count());
        assert_eq!(taken, 1_000);
    }
}
