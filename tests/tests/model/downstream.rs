//! The Normalizer as the judge: a record that gives an event is accepted, a dropped record is a repeat.

use serde_json::Value;
use wulog_collector::sink::RawRecord;
use wulog_processor::machine::{InRecord, Machine};
use wulog_processor::normalize::{Normalizer, NormalizerConfig};
use wulog_schemas::topic::Topic;
use wulog_tests::documents::is_attempt;

/// 2023-03-02, the day after the day of the lines.
const LOG_TIME_MS: i64 = 1_677_715_200_000;

/// One line, as its event holds it.
pub(crate) struct Taken {
    pub(crate) file: String,
    pub(crate) epoch: String,
    pub(crate) text: String,
}

/// A Normalizer, how many records it has taken, and the lines of its events in their order.
pub(crate) struct Downstream {
    normalizer: Normalizer,
    taken: usize,
    lines: Vec<Taken>,
}

impl Default for Downstream {
    fn default() -> Downstream {
        let normalizer = Normalizer::new(&NormalizerConfig::default(), 0, 1);
        Downstream { normalizer, taken: 0, lines: Vec::new() }
    }
}

impl Downstream {
    /// All accepted lines, after these records have arrived.
    pub(crate) fn lines(&mut self, records: &[RawRecord]) -> Result<&[Taken], String> {
        // Processors come and go as well.
        let state = self.normalizer.snapshot();
        self.normalizer = Normalizer::restore(&NormalizerConfig::default(), 0, 1, &state).unwrap();
        for record in &records[self.taken..] {
            let mut outputs = Vec::new();
            let header = record.header.to_bytes();
            self.normalizer.apply(
                &InRecord {
                    partition: 0,
                    offset: self.taken as i64,
                    timestamp_ms: LOG_TIME_MS,
                    key: record.host_id.as_str().as_bytes(),
                    header: Some(&header),
                    value: &record.value,
                },
                &mut outputs,
            );
            self.taken += 1;
            for event in outputs.iter().filter(|output| output.topic == Topic::Events && !is_attempt(&output.value)) {
                self.lines.push(taken(&event.value)?);
            }
        }
        Ok(&self.lines)
    }
}

fn taken(event: &[u8]) -> Result<Taken, String> {
    let event: Value = serde_json::from_slice(event).map_err(|error| error.to_string())?;
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let has_flag = |name: &str| event["wu"]["flags"].as_array().is_some_and(|flags| flags.contains(&name.into()));
    match (text("/log/file/path"), text("/wu/line/epoch"), text("/event/original")) {
        // No file here is reverted, and no byte is damaged.
        _ if ["rewound", "lossy", "truncated"].into_iter().any(has_flag) => Err(format!("flagged: {event}")),
        (Some(file), Some(epoch), Some(text)) => Ok(Taken { file, epoch, text }),
        _ => Err(format!("no event of a line: {event}")),
    }
}
