//! Both machines in memory, joined like the topics join them.
//!
//! `Pipeline` runs them in one thread: for `explain`, for `report` over a folder of logs, and for tests. `replay` and
//! `parse` run their Normalizers on several threads and take only the Detector and the functions below from here.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wulog_schemas::topic::Topic;

use crate::detect::{Detector, DetectorConfig};
use crate::machine::{InRecord, Machine, Output};
use crate::normalize::{Normalizer, NormalizerConfig, ParsedLine};

/// A Normalizer for each raw partition, and the Detector behind them.
pub struct Pipeline {
    normalizers: Vec<Normalizer>,
    detector: DetectorStage,
}

impl Pipeline {
    /// Machines without state, for `partitions` raw partitions.
    #[must_use]
    pub fn new(normalizer: &NormalizerConfig, detector: &DetectorConfig, partitions: i32) -> Pipeline {
        Pipeline {
            normalizers: (0..partitions).map(|partition| Normalizer::new(normalizer, partition, partitions)).collect(),
            detector: DetectorStage::new(detector),
        }
    }

    /// This pipeline, with alerts that name all affected hosts.
    #[must_use]
    pub fn naming_all_hosts(self) -> Pipeline {
        Pipeline { detector: self.detector.naming_all_hosts(), ..self }
    }

    /// Writes the state of open incidents after the last record, and reports files that ended before they were
    /// recognized as other than Windows Update logs.
    pub fn finish(&mut self, out: &mut Vec<Output>) {
        for normalizer in &mut self.normalizers {
            normalizer.end_of_files();
            tell_notices(normalizer);
        }
        self.detector.finish(out);
    }

    /// Processes one raw record and appends, in order, its event, signals and alerts.
    pub fn apply(&mut self, record: &InRecord<'_>, out: &mut Vec<Output>) {
        let Some(normalizer) = usize::try_from(record.partition).ok().and_then(|at| self.normalizers.get_mut(at))
        else {
            return;
        };
        let first = out.len();
        apply_or_skip(normalizer, record, &mut ParsedLine::default(), out);
        tell_notices(normalizer);
        self.detector.apply(first, out);
    }
}

/// A Detector that takes its signals from the outputs of Normalizers.
pub(crate) struct DetectorStage {
    detector: Detector,
    /// The offset of the next signal.
    next_signal: i64,
    alerts: Vec<Output>,
}

impl DetectorStage {
    pub(crate) fn new(config: &DetectorConfig) -> DetectorStage {
        DetectorStage { detector: Detector::new(config, 0, 1), next_signal: 0, alerts: Vec::new() }
    }

    pub(crate) fn naming_all_hosts(self) -> DetectorStage {
        DetectorStage { detector: self.detector.naming_all_hosts(), ..self }
    }

    /// Processes the signals in `outputs[first..]`, and appends the resulting alerts.
    pub(crate) fn apply(&mut self, first: usize, outputs: &mut Vec<Output>) {
        for output in &outputs[first..] {
            if output.topic == Topic::Signals {
                let signal = InRecord {
                    partition: 0,
                    offset: self.next_signal,
                    timestamp_ms: output.timestamp_ms,
                    key: output.key.as_bytes(),
                    header: None,
                    value: &output.value,
                };
                self.next_signal += 1;
                apply_or_skip(&mut self.detector, &signal, &mut (), &mut self.alerts);
            }
        }
        outputs.append(&mut self.alerts);
    }

    /// Writes the state of open incidents after the last signal.
    pub(crate) fn finish(&mut self, out: &mut Vec<Output>) {
        self.detector.finish(out);
    }
}

/// Logs the notices of a Normalizer.
pub(crate) fn tell_notices(normalizer: &mut Normalizer) {
    normalizer.take_notices().iter().for_each(|notice| tracing::warn!("{notice}"));
}

/// Applies a record, parsed ahead or not, or skips the record if the machine panics. The shell would load the machine
/// again after a panic; in memory there is no snapshot to load.
pub(crate) fn apply_or_skip<'r, M: Machine>(
    machine: &mut M,
    record: &InRecord<'r>,
    parsed: &mut M::Parsed<'r>,
    out: &mut Vec<Output>,
) {
    let before = out.len();
    if catch_unwind(AssertUnwindSafe(|| machine.apply_parsed(record, parsed, out))).is_err() {
        tracing::error!(
            machine = M::NAME,
            partition = record.partition,
            offset = record.offset,
            "panicked on this record; it is marked and skipped; please report the panic with the record"
        );
        out.truncate(before);
        machine.skip(record, "the machine panicked on this record", out);
    }
}
