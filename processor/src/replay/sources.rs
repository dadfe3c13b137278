//! The sources of a replay's records: a folder of logs, the embedded log, or Kafka.

use std::path::Path;

use wulog_lines::EncodingChoice;
use wulog_schemas::topic::Topic;

use super::logs::Merge;
use super::progress::{Progress, WorkCounter, counted};
use super::{ReplayError, Results, from_raw, from_signals, logs, merge};
use crate::detect::DetectorConfig;
use crate::log::embedded::{self, EmbeddedConfig};
use crate::log::kafka::{KafkaConfig, PartitionReader};
use crate::normalize::NormalizerConfig;

/// The records that are run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Stage {
    /// Raw lines: events and alerts.
    Raw,
    /// Signals: alerts only.
    Signals,
}

impl Stage {
    fn topic(self) -> Topic {
        match self {
            Stage::Raw => Topic::Raw,
            Stage::Signals => Topic::Signals,
        }
    }
}

/// The settings of both machines.
type Machines<'a> = (&'a NormalizerConfig, &'a DetectorConfig);

/// Replays the logs of many hosts (`DIR/HOST/*.log`). `on_refused` is called at once for each file that is not text.
///
/// # Errors
/// When a file cannot be read, or a result cannot be written.
pub(crate) fn logs(
    folder: &Path,
    encoding: EncodingChoice,
    machines: Machines<'_>,
    results: &mut Results<'_>,
    on_refused: impl Fn(&ReplayError),
) -> anyhow::Result<()> {
    let (found, refused) = logs::refuse_binary(logs::find(folder)?, encoding)?;
    refused.iter().for_each(on_refused);
    let inventories = logs::inventories(folder)?;
    let bytes = found.iter().filter_map(|log| log.path.metadata().ok()).map(|file| file.len()).sum();
    let done = WorkCounter::default();
    results.progress = Progress::on_terminal(bytes, &done);
    let records = Merge::open(&found, encoding, machines.0)?.with_inventories(inventories).counted(&done);
    from_raw(machines, 1, records, results)?;
    Ok(())
}

/// Replays a topic of the embedded log, from `begin_ms` (log time) on or from its oldest record.
///
/// # Errors
/// When the log cannot be read, or a result cannot be written.
pub(crate) fn embedded(
    log: &EmbeddedConfig,
    stage: Stage,
    begin_ms: Option<i64>,
    machines: Machines<'_>,
    results: &mut Results<'_>,
) -> anyhow::Result<()> {
    let records = match begin_ms {
        Some(begin_ms) => embedded::Records::open_since(log, stage.topic(), begin_ms)?,
        None => embedded::Records::open(log, stage.topic())?,
    };
    let (first, end) = records.offsets()?;
    let done = WorkCounter::default();
    results.progress = Progress::on_terminal(distance(first, end), &done);
    let records = counted(first, &done, records).map(|record| Ok(record?));
    match stage {
        Stage::Raw => from_raw(machines, embedded::PARTITIONS, records, results)?,
        Stage::Signals => from_signals(machines.1, records, results)?,
    }
    Ok(())
}

/// Replays a topic of Kafka, from `begin_ms` (log time) on or from its oldest record.
///
/// # Errors
/// When Kafka cannot be read, or a result cannot be written.
pub(crate) fn kafka(
    kafka: &KafkaConfig,
    raw_partitions: i32,
    stage: Stage,
    begin_ms: Option<i64>,
    machines: Machines<'_>,
    results: &mut Results<'_>,
) -> anyhow::Result<()> {
    let partitions = match stage {
        Stage::Raw => raw_partitions,
        Stage::Signals => 1,
    };
    let readers = (0..partitions)
        .map(|partition| match begin_ms {
            Some(begin_ms) => PartitionReader::open_since(kafka, stage.topic(), partition, begin_ms),
            None => PartitionReader::open(kafka, stage.topic(), partition),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let offsets: Vec<(i64, i64)> = readers.iter().map(PartitionReader::offsets).collect();
    let done = WorkCounter::default();
    results.progress = Progress::on_terminal(offsets.iter().map(|(first, end)| distance(*first, *end)).sum(), &done);
    let readers = readers.into_iter().zip(offsets).map(|(reader, (first, _))| counted(first, &done, reader)).collect();
    let records = merge::by_log_time(readers).map(|record| Ok(record?));
    match stage {
        Stage::Raw => from_raw(machines, partitions, records, results)?,
        Stage::Signals => from_signals(machines.1, records, results)?,
    }
    Ok(())
}

/// Returns the distance of two offsets.
fn distance(first: i64, end: i64) -> u64 {
    u64::try_from(end - first).unwrap_or(0)
}
