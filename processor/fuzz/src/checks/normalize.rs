//! Any records are taken: see `stream` for what the bytes mean.

use wulog_schemas::event::Event;
use wulog_schemas::signal::Signal;
use wulog_schemas::topic::Topic;

use super::stream::{Expect, Record, Stream};
use crate::product::machine::{InRecord, Machine, Output};
use crate::product::normalize::{Limits, Normalizer, NormalizerConfig};

/// A line: the machine is loaded again from its snapshot.
const RESTART: &[u8] = b"\x0b";

/// A first line: everything is forgotten soon.
const SMALL: &[u8] = b"\x0f";

/// A new line is one event with the line in it, a repeat none; documents are JSON of their types; a restart in the
/// middle changes nothing.
pub fn check(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
    let small = lines.next_if(|line| *line == SMALL).is_some();
    let config = if small { small_config() } else { NormalizerConfig::default() };
    let mut machine = Normalizer::new(&config, 3, 12);
    let mut restarted: Option<Normalizer> = None;
    let mut stream = Stream::new();
    for (offset, line) in lines.enumerate() {
        if line == RESTART {
            let loaded = Normalizer::restore(&config, 3, 12, &machine.snapshot());
            restarted = Some(loaded.expect("a snapshot of this machine"));
        }
        let Some(record) = stream.next(line) else { continue };
        let outputs = apply(&mut machine, &record, offset);
        check_outputs(&record, &outputs);
        if let Some(restarted) = &mut restarted {
            assert_eq!(apply(restarted, &record, offset), outputs, "differs after a restart");
        }
    }
    if let Some(restarted) = restarted {
        assert_eq!(restarted.snapshot(), machine.snapshot(), "differs after a restart");
    }
}

/// Bounds that few lines reach.
fn small_config() -> NormalizerConfig {
    let limits = Limits {
        hosts_max: 2,
        files_per_host_max: 2,
        epochs_per_file_max: 2,
        ranges_per_epoch_max: 2,
        recent_lines_max: 3,
        threads_per_file_max: 2,
        pending_per_file_max: 2,
        subjects_per_host_max: 2,
        labels_per_host_max: 1,
        value_bytes_max: 8,
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

fn check_outputs(record: &Record, outputs: &[Output]) {
    let events: Vec<&Output> = outputs.iter().filter(|output| output.topic == Topic::Events).collect();
    match record.expect {
        Expect::One => assert_eq!(events.len(), 1, "a new line is not one event: {record:?}"),
        Expect::None => assert_eq!(events.len(), 0, "a repeat is an event: {record:?}"),
        Expect::AtMostOne => assert!(events.len() <= 1, "a record is {} events: {record:?}", events.len()),
    }
    for output in outputs {
        let again = match output.topic {
            Topic::Events => {
                let event: Event<'_> = serde_json::from_slice(&output.value).expect("an event as its schema says");
                assert_eq!(event.event.original, String::from_utf8_lossy(&record.value));
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
