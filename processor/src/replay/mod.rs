//! Replay: the same machines over a range of past records, with outputs to files and without any effect on the live
//! log.
//!
//! From `wulog.signals` the alerts are byte-identical to live. From `wulog.raw` or from log files they are the same
//! incidents, hosts and onsets. The machines start from the oldest record, so that they have at `since` the state of
//! the live run, unless the caller asks for a shorter time before `since`; only documents within the range are written.

use std::io::{self, Write as _};
use std::thread;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use wulog_schemas::alert::{Times, UtcTime};
use wulog_schemas::signal::{Fact, Signal};
use wulog_schemas::topic::Topic;
use wulog_schemas::visible::visible_json;

use crate::detect::{Detector, DetectorConfig};
use crate::format::event_time_ms;
use crate::log::{LogError, Record};
use crate::machine::{InRecord, Machine, Output};
use crate::normalize::NormalizerConfig;
use crate::pipeline::DetectorStage;
use progress::Progress;
use stages::{Normalized, Stages};

mod batches;
mod cursor;
pub mod files;
mod folders;
pub mod logs;
pub mod merge;
pub mod progress;
mod read_ahead;
pub(crate) mod sources;
mod stages;

/// The reason for which a replay stopped.
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
        /// The system's reason.
        why: io::Error,
    },
    /// An output could not be written.
    #[error("writing the result: {0}")]
    Output(#[from] io::Error),
}

/// The time by which a document belongs to a [`Range`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum RangeTime {
    /// The time in the line; for an alert, the first failures of its hosts.
    Event,
    /// The time at which the log received the record that led to the document.
    #[default]
    Log,
}

/// Times whose documents are written: from `since_ms` on, before `until_ms`.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// First time that is written, milliseconds since 1970 UTC.
    pub since_ms: i64,
    /// First time that is not written.
    pub until_ms: i64,
    /// The time that is compared.
    pub by: RangeTime,
}

impl Range {
    /// Whether a document is written. An alert spans the time from its onset to its newest host. A document without an
    /// event time is judged by its log time.
    fn holds(&self, output: &Output) -> bool {
        let of_event = match (self.by, output.topic) {
            (RangeTime::Event, Topic::Events) => event_time_ms(&output.value).map(|at| (at, at)),
            (RangeTime::Event, Topic::Alerts) => alert_times(&output.value),
            _ => None,
        };
        let (first, last) = of_event.unwrap_or((output.timestamp_ms, output.timestamp_ms));
        first < self.until_ms && last >= self.since_ms
    }

    /// Whether neither a record of this log time nor a later one can lead to a written document. A line may come long
    /// after its time, so by event time no such record exists.
    fn is_over(&self, log_time_ms: i64) -> bool {
        self.by == RangeTime::Log && log_time_ms >= self.until_ms
    }
}

/// Onset and newest host of an alert.
fn alert_times(document: &[u8]) -> Option<(i64, i64)> {
    #[derive(serde::Deserialize)]
    struct Document {
        time: Times,
    }
    let Document { time } = serde_json::from_slice(document).ok()?;
    Some((time.onset.0, time.last_new_host.0.max(time.onset.0)))
}

impl Default for Range {
    fn default() -> Range {
        Range { since_ms: i64::MIN, until_ms: i64::MAX, by: RangeTime::Log }
    }
}

/// Receives a document.
pub type TakeDocument<'a> = Box<dyn FnMut(&[u8]) + 'a>;

/// The destinations of documents, one JSON document a line, and the number of documents.
#[derive(Default)]
pub struct Results<'a> {
    /// Destination of events; `None` drops them.
    pub events_out: Option<Box<dyn io::Write + 'a>>,
    /// Destination of signals.
    pub signals_out: Option<Box<dyn io::Write + 'a>>,
    /// Destination of alerts.
    pub alerts_out: Option<Box<dyn io::Write + 'a>>,
    /// Receives each alert document, including those outside the range.
    pub alert_seen: Option<TakeDocument<'a>>,
    /// The range that is written.
    pub range: Range,
    /// Alerts name all affected hosts, however many they are.
    pub all_hosts: bool,
    /// Skips the configuration that signals record, so that the given configuration applies throughout.
    pub what_if: bool,
    /// Shows the progress to a person.
    pub progress: Option<Progress>,
    /// After cancellation the replay ends before the next record, as if there were no further one.
    pub stop: CancellationToken,
    /// Whether the replay was stopped.
    pub stopped: bool,
    /// Raw records read.
    pub records: u64,
    /// Events written or dropped.
    pub events: u64,
    /// Alert documents written or dropped.
    pub alerts: u64,
    /// Timestamps of the first and of the latest record read.
    pub log_times: Option<(UtcTime, UtcTime)>,
}

impl Results<'_> {
    /// Whether the replay continues; updates the progress.
    fn goes_on(&mut self) -> bool {
        self.stopped = self.stop.is_cancelled();
        if let Some(progress) = &mut self.progress {
            progress.tell(self.records, Instant::now());
        }
        !self.stopped
    }

    /// Notes the range of log times of the records.
    fn see(&mut self, timestamp_ms: i64) {
        let at = UtcTime(timestamp_ms);
        let (first, last) = self.log_times.unwrap_or((at, at));
        self.log_times = Some((first, last.max(at)));
    }

    fn write(&mut self, outputs: &[Output]) -> io::Result<()> {
        for output in outputs {
            if let (Topic::Alerts, Some(seen)) = (output.topic, &mut self.alert_seen) {
                seen(&output.value);
            }
            if !self.range.holds(output) {
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

/// Runs raw records, merged by log time, through both machines, on threads of their own. Each incident that is open at
/// the end gets a document with its state.
///
/// # Errors
/// Errors of reading or writing.
pub fn from_raw(
    (normalizer, detector): (&NormalizerConfig, &DetectorConfig),
    partitions: i32,
    records: impl Iterator<Item = Result<Record, ReplayError>> + Send,
    results: &mut Results<'_>,
) -> Result<(), ReplayError> {
    let mut detector = DetectorStage::new(detector);
    if results.all_hosts {
        detector = detector.naming_all_hosts();
    }
    thread::scope(|scope| {
        for normalized in Stages::start(scope, normalizer, partitions, records) {
            let Normalized { timestamp_ms, mut outputs } = normalized?;
            if !results.goes_on() {
                break;
            }
            results.see(timestamp_ms);
            if results.range.is_over(timestamp_ms) {
                break;
            }
            results.records += 1;
            detector.apply(0, &mut outputs);
            results.write(&outputs)?;
        }
        Ok::<(), ReplayError>(())
    })?;
    let mut outputs = Vec::new();
    detector.finish(&mut outputs);
    results.write(&outputs)?;
    Ok(results.finish()?)
}

/// Runs signals through the Detector: the documents are byte for byte those of the live run, so no document is added.
///
/// # Errors
/// Errors of reading or writing.
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
        results.see(record.timestamp_ms);
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const HOUR: i64 = 3_600_000;
    /// 2023-03-01 00:00:00 UTC.
    const DAY: i64 = 1_677_628_800_000;

    fn output(topic: Topic, log_hour: i64, value: &'static str) -> Output {
        let timestamp_ms = DAY + log_hour * HOUR;
        Output { topic, key: "".into(), value: Bytes::from_static(value.as_bytes()), timestamp_ms }
    }

    /// (topic, log time in hours, document, in 10:00-12:00 by log time, in it by event time)
    #[test]
    fn a_document_is_in_a_range_by_one_of_its_times() {
        let alert = r#"{"time":{"onset":"2023-03-01T09:00:00.000Z","ongoing_at_start":false,
            "last_new_host":"2023-03-01T10:00:00.000Z","opened":"2023-03-01T20:00:00.000Z",
            "updated":"2023-03-01T20:00:00.000Z"}}"#;
        for (topic, log_hour, value, by_log, by_event) in [
            (Topic::Events, 11, r#"{"@timestamp":"2023-03-01T09:59:59.999Z"}"#, true, false),
            (Topic::Events, 9, r#"{"@timestamp":"2023-03-01T10:00:00.000Z"}"#, false, true),
            (Topic::Events, 12, r#"{"@timestamp":"2023-03-01T11:59:59.999Z"}"#, false, true),
            (Topic::Events, 11, r#"{"@timestamp":"2023-03-01T12:00:00.000Z"}"#, true, false),
            (Topic::Events, 11, "{}", true, true),
            (Topic::Alerts, 20, alert, false, true),
            (Topic::Signals, 11, r#"{"log_time":0}"#, true, true),
        ] {
            let (since_ms, until_ms) = (DAY + 10 * HOUR, DAY + 12 * HOUR);
            let output = output(topic, log_hour, value);
            let is_in = |by| Range { since_ms, until_ms, by }.holds(&output);
            assert_eq!(
                (is_in(RangeTime::Log), is_in(RangeTime::Event)),
                (by_log, by_event),
                "{value} at {log_hour}:00"
            );
        }
    }

    #[test]
    fn by_event_time_a_replay_reads_to_the_end() {
        let range = |by| Range { since_ms: DAY, until_ms: DAY + HOUR, by };
        assert!(!range(RangeTime::Log).is_over(DAY + HOUR - 1));
        assert!(range(RangeTime::Log).is_over(DAY + HOUR));
        assert!(!range(RangeTime::Event).is_over(DAY + HOUR));
    }
}
