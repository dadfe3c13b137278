//! A thread that follows `wulog.alerts` for the status page, and samples the state of the pipeline.
//!
//! Each process reads the alerts itself, outside of any group, so each shows all incidents. The thread is not part of
//! the pipeline: where the log does not answer, the page says so, and the machines are not affected.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use wulog_schemas::signal::RawPosition;
use wulog_schemas::topic::Topic;

use super::Status;
use crate::log::embedded::{self, EmbeddedConfig};
use crate::log::kafka::{KafkaConfig, PartitionReader, PartitionTail, surroundings};
use crate::log::{LogError, Record};
use crate::postmortem::evidence_of;

/// Records that are read at a time.
const READ_MAX: usize = 500;
/// Interval of looks at an idle log.
const POLL: Duration = Duration::from_millis(250);
/// Characters of a raw line that are kept; the page shows the first of them.
const LINE_CHARS_MAX: usize = 1_000;
/// Pause before a log that failed is opened again.
const RETRY: Duration = Duration::from_secs(5);
/// Interval of samples of the pipeline.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// The log from which alerts are read.
#[derive(Clone, Debug)]
pub enum AlertsLog {
    /// Kafka.
    Kafka(Box<KafkaConfig>),
    /// The embedded log of `standalone`.
    Embedded(EmbeddedConfig),
}

/// An open log.
enum OpenLog {
    Kafka(Box<PartitionTail>),
    Embedded { config: EmbeddedConfig, connection: Connection, next: i64 },
}

impl OpenLog {
    fn open(log: &AlertsLog) -> Result<OpenLog, LogError> {
        Ok(match log {
            AlertsLog::Kafka(config) => OpenLog::Kafka(Box::new(PartitionTail::open(config, Topic::Alerts, 0)?)),
            AlertsLog::Embedded(config) => {
                OpenLog::Embedded { config: config.clone(), connection: embedded::open(config)?, next: 0 }
            }
        })
    }

    /// New records, and whether the log has no further ones.
    fn read(&mut self) -> Result<(Vec<Record>, bool), LogError> {
        match self {
            OpenLog::Kafka(tail) => tail.poll(READ_MAX, POLL),
            OpenLog::Embedded { config, connection, next } => {
                let records = embedded::read(connection, Topic::Alerts, 0, *next, READ_MAX)
                    .map_err(|error| embedded::error(&config.path, "reading alerts", &error))?;
                if let Some(last) = records.last() {
                    *next = last.offset + 1; // + 1, since a position names the next record
                }
                let is_end = records.len() < READ_MAX;
                Ok((records, is_end))
            }
        }
    }

    /// The raw line at a position; `None` if it is deleted, or if the log does not answer.
    fn line(&self, log: &AlertsLog, at: RawPosition) -> Option<String> {
        let record = match (self, log) {
            (OpenLog::Embedded { connection, .. }, _) => {
                embedded::read(connection, Topic::Raw, at.partition, at.offset, 1).ok()?.into_iter().next()
            }
            (OpenLog::Kafka(_), AlertsLog::Kafka(config)) => {
                let mut reader = PartitionReader::open_from(config, Topic::Raw, at.partition, at.offset).ok()?;
                reader.next()?.ok()
            }
            (OpenLog::Kafka(_), AlertsLog::Embedded(_)) => None,
        };
        let record = record.filter(|record| record.offset == at.offset)?;
        Some(String::from_utf8_lossy(&record.value).chars().take(LINE_CHARS_MAX).collect())
    }
}

/// Follows the log until `stop`.
pub(super) fn follow(status: &Status, log: &AlertsLog, stop: &CancellationToken) {
    let (mut reader, mut sampled_at) = (None::<OpenLog>, None::<Instant>);
    while !stop.is_cancelled() {
        let step = match &mut reader {
            Some(reader) => reader.read(),
            None => OpenLog::open(log).map(|opened| {
                reader = Some(opened);
                (Vec::new(), false)
            }),
        };
        match step {
            Ok((records, is_end)) => {
                status.take(&records, is_end);
                if is_end && records.is_empty() && matches!(log, AlertsLog::Embedded(_)) {
                    pause(POLL, stop);
                }
            }
            Err(error) => {
                if status.reading_failed(&error.to_string()) {
                    warn!("the status page cannot read the alerts: {error}");
                }
                // Documents that are read again change nothing.
                reader = None;
                pause(RETRY, stop);
            }
        }
        if let (Some(reader), Some(alert)) = (&reader, status.evidence_wanted()) {
            let lines = evidence_of(&alert).into_iter().filter_map(|at| Some((at, reader.line(log, at)?)));
            status.evidence_read(&alert, lines.collect());
        }
        if sampled_at.is_none_or(|at| at.elapsed() >= SAMPLE_EVERY) {
            sampled_at = Some(Instant::now());
            if let (AlertsLog::Kafka(config), Some(OpenLog::Kafka(tail))) = (log, &reader) {
                status.surrounded_by(surroundings(tail, config).map_err(|error| error.to_string()));
            }
            status.sample();
        }
    }
}

fn pause(length: Duration, stop: &CancellationToken) {
    let until = Instant::now() + length;
    while Instant::now() < until && !stop.is_cancelled() {
        std::thread::sleep(Duration::from_millis(50));
    }
}
