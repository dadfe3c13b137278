//! Replay: a stretch of time again through the same machines, into files, without touching what is live.
//!
//! From `wulog.signals` the alerts are byte-identical to live. From `wulog.raw` or from log files they are the same
//! incidents, hosts and onsets. The machines always start from the oldest record there is, so that they know at
//! `since` what live knew; only what falls into the range is written.

use std::io::{self, Write as _};
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use wulog_schemas::alert::UtcTime;
use wulog_schemas::signal::{Fact, Signal};
use wulog_schemas::topic::Topic;
use wulog_schemas::visible::visible_json;

use crate::detect::{Detector, DetectorConfig};
use crate::log::{LogError, Record};
use crate::machine::{InRecord, Machine, Output};
use crate::normalize::NormalizerConfig;
use crate::pipeline::Pipeline;
use progress::Progress;

pub mod files;
pub mod logs;
pub mod merge;
pub mod progress;

/// Why a replay stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A log (Kafka or SQLite) could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A log file or its folder could not be read.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        why: io::Error,
    },
    /// What came out could not be written.
    #[error("writing the result: {0}")]
    Output(#[from] io::Error),
}

/// Log times that are written: from `since_ms` on, before `until_ms`.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// First log time that is written, milliseconds since 1970 UTC.
    pub since_ms: i64,
    /// First log time that is not.
    pub until_ms: i64,
}

impl Default for Range {
    fn default() -> Range {
        Range { since_ms: i64::MIN, until_ms: i64::MAX }
    }
}

/// Where documents go, one JSON document a line, and how many went there.
#[derive(Default)]
pub struct Results<'a> {
    /// Takes events; `None` lets them go.
    pub events_out: Option<Box<dyn io::Write + 'a>>,
    /// Takes signals.
    pub signals_out: Option<Box<dyn io::Write + 'a>>,
    /// Takes alerts.
    pub alerts_out: Option<Box<dyn io::Write + 'a>>,
    /// Told of each alert document, also of those outside the range.
    pub alert_seen: Option<Box<dyn FnMut(&[u8]) + 'a>>,
    /// The range that is written.
    pub range: Range,
    /// Alerts name all affected hosts, however many they are.
    pub all_hosts: bool,
    /// The configuration that signals record is skipped, so that the given one counts throughout.
    pub what_if: bool,
    /// Tells a person how far it is.
    pub progress: Option<Progress>,
    /// Once this is cancelled, the replay ends before the next record, as if there were no further one.
    pub stop: CancellationToken,
    /// Whether it ended so.
    pub stopped: bool,
    /// Raw records read.
    pub records: u64,
    /// Events written or let go.
    pub events: u64,
    /// Alert documents written or let go.
    pub alerts: u64,
    /// Timestamps of the first and of the latest record read.
    pub log_times: Option<(UtcTime, UtcTime)>,
}

impl Results<'_> {
    /// Whether the replay goes on; tells how far it is.
    fn goes_on(&mut self) -> bool {
        self.stopped = self.stop.is_cancelled();
        if let Some(progress) = &mut self.progress {
            progress.tell(self.records, Instant::now());
        }
        !self.stopped
    }

    /// Remembers between which log times the records lie.
    fn see(&mut self, record: &Record) {
        let at = UtcTime(record.timestamp_ms);
        let (first, last) = self.log_times.unwrap_or((at, at));
        self.log_times = Some((first, last.max(at)));
    }

    fn write(&mut self, outputs: &[Output]) -> io::Result<()> {
        for output in outputs {
            if let (Topic::Alerts, Some(seen)) = (output.topic, &mut self.alert_seen) {
                seen(&output.value);
            }
            if !(self.range.since_ms..self.range.until_ms).contains(&output.timestamp_ms) {
                continue;
            }
            let out = match output.topic {
                Topic::Events => {
                    self.events += 1;
                    &mut self.events_out
                }
                Topic::Signals => &mut self.signals_out,
                Topic::Alerts => {
                    self.alerts += 1;
                    &mut self.alerts_out
                }
                Topic::Raw | Topic::State => continue,
            };
            if let Some(out) = out {
                out.write_all(visible_json(&String::from_utf8_lossy(&output.value)).as_bytes())?;
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(progress) = &mut self.progress {
            progress.end();
        }
        [&mut self.events_out, &mut self.signals_out, &mut self.alerts_out]
            .into_iter()
            .flatten()
            .try_for_each(|out| out.flush())
    }
}

/// Runs raw records, merged by log time, through both machines. Each incident that is still open in the end gets a
/// document with its state.
///
/// # Errors
/// What reading or writing says.
pub fn from_raw(
    (normalizer, detector): (&NormalizerConfig, &DetectorConfig),
    partitions: i32,
    records: impl Iterator<Item = Result<Record, ReplayError>>,
    results: &mut Results<'_>,
) -> Result<(), ReplayError> {
    let mut pipeline = Pipeline::new(normalizer, detector, partitions);
    if results.all_hosts {
        pipeline = pipeline.naming_all_hosts();
    }
    let mut outputs = Vec::new();
    for record in records {
        let record = record?;
        if !results.goes_on() {
            break;
        }
        results.see(&record);
        if record.timestamp_ms >= results.range.until_ms {
            break;
        }
        results.records += 1;
        pipeline.apply(&record.as_input(), &mut outputs);
        results.write(&outputs)?;
        outputs.clear();
    }
    pipeline.finish(&mut outputs);
    results.write(&outputs)?;
    Ok(results.finish()?)
}

/// Runs signals through the Detector: the documents are byte for byte those that it wrote, so none is added.
///
/// # Errors
/// What reading or writing says.
pub fn from_signals(
    detector: &DetectorConfig,
    records: impl Iterator<Item = Result<Record, ReplayError>>,
    results: &mut Results<'_>,
) -> Result<(), ReplayError> {
    let mut machine = Detector::new(detector, 0, 1);
    if results.all_hosts {
        machine = machine.naming_all_hosts();
    }
    let mut outputs = Vec::new();
    for record in records {
        let record = record?;
        if !results.goes_on() {
            break;
        }
        results.see(&record);
        results.records += 1;
        if results.what_if && is_configuration(&record) {
            continue;
        }
        let input: InRecord<'_> = record.as_input();
        machine.apply(&input, &mut outputs);
        results.write(&outputs)?;
        outputs.clear();
    }
    Ok(results.finish()?)
}

fn is_configuration(record: &Record) -> bool {
    matches!(Signal::from_bytes(&record.value), Ok(Signal { fact: Fact::Config(_), .. }))
}
