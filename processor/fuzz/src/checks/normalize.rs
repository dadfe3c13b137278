//! Any records are taken: see `stream` for what the bytes mean.

use wulog_schemas::event::Event;
use wulog_schemas::signal::Signal;
use wulog_schemas::topic::Topic;

use super::stream::{Expect, Record, Stream};
use crate::product::machine::{InRecord, Machine, Output};
use crate::product::normalize::{Normalizer, NormalizerConfig, NormalizerLimits};

/// A line: the machine is loaded again from its snapshot.
const RESTART: &[u8] = b"\x0b";

/// A first line: everything is forgotten soon.
const SMALL: &[u8] = b"\x0f";

/// Later than any record that is held waits for its next line, in milliseconds.
const LATER_MS: i64 = 3_600_000;

/// A new line is one event with the line in it, at once or when its record is complete, and a repeat none; documents are JSON of their types; a restart in the
/// middle changes nothing.
pub fn check(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
    let small = lines.next_if(|line| *line == SMALL).is_some();
    let config = if small { small_config() } else { NormalizerConfig::default() };
    let mut machine = Normalizer::new(&config, 3, 12);
    let mut restarted: Option<Normalizer> = None;
    let mut stream = Stream::new();
    let mut pending = Pending::default();
    let mut last = (0, i64::MIN);
    for (offset, line) in lines.enumerate() {
        if line == RESTART {
            let loaded = Normalizer::restore(&config, 3, 12, &machine.snapshot());
            restarted = Some(loaded.expect("a snapshot of this machine"));
        }
        let Some(record) = stream.next(line) else { continue };
        let outputs = apply(&mut machine, &record, offset);
        last = (offset + 1, last.1.max(record.timestamp_ms));
        pending.check(&record, &outputs);
        if let Some(restarted) = &mut restarted {
            assert_eq!(apply(restarted, &record, offset), outputs, "differs after a restart");
        }
    }
    let tick = Record::tick(last.1.saturating_add(LATER_MS));
    let outputs = apply(&mut machine, &tick, last.0);
    if let Some(restarted) = &mut restarted {
        assert_eq!(apply(restarted, &tick, last.0), outputs, "differs after a restart");
    }
    pending.check(&tick, &outputs);
    pending.check_end(tick.timestamp_ms < i64::MAX);
    if let Some(restarted) = restarted {
        assert_eq!(restarted.snapshot(), machine.snapshot(), "differs after a restart");
    }
}

/// Bounds that few lines reach.
fn small_config() -> NormalizerConfig {
    let limits = NormalizerLimits {
        hosts_max: 2,
        files_per_host_max: 2,
        epochs_per_file_max: 2,
        ranges_per_epoch_max: 2,
        recent_lines_max: 3,
        threads_per_file_max: 2,
        pending_per_file_max: 2,
        subjects_per_host_max: 2,
        labels_per_host_max: 1,
        updates_named_max: 2,
        value_bytes_max: 8,
        ..NormalizerLimits::default()
    };
    NormalizerConfig { limits, ..NormalizerConfig::default() }
}

fn apply(machine: &mut Normalizer, record: &Record, offset: usize) -> Vec<Output> {
    let record = InRecord {
        partition: 3,
        offset: i64::try_from(offset).expect("an input is shorter"),
        timestamp_ms: record.timestamp_ms,
        key: &record.key,
        header: record.header.as_deref(),
        value: &record.value,
    };
    let mut outputs = Vec::new();
    machine.apply(&record, &mut outputs);
    outputs
}

/// Lines that may be events still.
#[derive(Default)]
struct Pending {
    /// Lines of which an event must come.
    due: Vec<String>,
    /// Lines and other records of which one may come.
    possible: Vec<String>,
}

impl Pending {
    fn check(&mut self, record: &Record, outputs: &[Output]) {
        let value = String::from_utf8_lossy(&record.value).into_owned();
        match record.expect {
            Expect::One => self.due.push(value),
            Expect::None => {}
            Expect::AtMostOne => self.possible.push(value),
        }
        for output in outputs {
            let again = match output.topic {
                Topic::Events => {
                    let event: Event<'_> = serde_json::from_slice(&output.value).expect("an event as its schema says");
                    // An attempt has no line of its own, and may become due at any record.
                    if let Some(original) = &event.event.original {
                        self.take(original, record);
                    }
                    serde_json::to_vec(&event)
                }
                Topic::Signals => serde_json::to_vec(
                    &serde_json::from_slice::<Signal>(&output.value).expect("a signal as its schema says"),
                ),
                other => panic!("the Normalizer wrote to {other:?}"),
            };
            let again = again.expect("what was read can be written");
            assert_eq!(String::from_utf8_lossy(&output.value), String::from_utf8_lossy(&again));
        }
    }

    /// Takes the line of an event off the list.
    fn take(&mut self, original: &str, record: &Record) {
        let at = |lines: &[String]| lines.iter().position(|line| line == original);
        if let Some(at) = at(&self.due) {
            self.due.remove(at);
        } else if let Some(at) = at(&self.possible) {
            self.possible.remove(at);
        } else {
            panic!("an event of a line that did not come, or a second one: {original:?} at {record:?}");
        }
    }

    /// At the end of time every new line was an event.
    fn check_end(&self, time_went_on: bool) {
        assert!(!time_went_on || self.due.is_empty(), "a new line is no event: {:?}", self.due);
    }
}
