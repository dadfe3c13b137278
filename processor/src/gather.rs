//! Gathers the parts of one incident for its post-mortem: documents, the history of its hosts, and the lines of its
//! evidence. They come from Kafka, the embedded log, a file of alerts, or logs that are replayed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use wulog_lines::EncodingChoice;
use wulog_schemas::alert::Alert;
use wulog_schemas::signal::{RawPosition, Signal};
use wulog_schemas::topic::Topic;

use crate::alerts::{AlertsByIncident, source};
use crate::config::Config;
use crate::detect::{Detector, DetectorConfig};
use crate::log::embedded::{EmbeddedConfig, Records};
use crate::log::kafka::PartitionReader;
use crate::log::{LogError, Record};
use crate::machine::{Machine, Output};
use crate::normalize::NormalizerConfig;
use crate::pipeline::Pipeline;
use crate::postmortem::{HostHistory, ReportData, evidence_of};
use crate::replay::logs::{self, Merge};

/// The incident that is looked for.
pub(crate) struct WantedIncident<'a> {
    /// The id of the incident, or a beginning of the id that only one incident has; `wu-` may be left out.
    pub(crate) id: &'a str,
}

impl WantedIncident<'_> {
    /// From a file of alert documents, one a line. The incident then knows no single hosts.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no such incident.
    pub(crate) fn in_file(&self, path: &Path) -> anyhow::Result<ReportData> {
        let documents = self.documents(&source::from_file(path)?, &path.display().to_string())?;
        Ok(ReportData::of_documents(documents))
    }

    /// The documents of the incident, in their order.
    fn documents(&self, book: &AlertsByIncident, place: &str) -> anyhow::Result<Vec<Alert>> {
        ensure!(!book.is_empty(), "{place} holds no alerts");
        let documents = book.find(self.id).with_context(|| place.to_owned())?;
        Ok(documents.into_iter().cloned().collect())
    }

    /// From Kafka, as the configuration of this file says.
    ///
    /// # Errors
    /// When Kafka cannot be read, or holds no such incident.
    pub(crate) fn in_kafka(&self, path: &Path) -> anyhow::Result<ReportData> {
        let config = Config::read(path)?;
        let kafka = &config.kafka;
        let (place, book) = source::in_kafka(kafka)?;
        let documents = self.documents(&book, &place)?;
        let again = replayed_from(newest(&documents), &format!("--config {}", quoted(path)));
        let signals = || PartitionReader::open(kafka, Topic::Signals, 0);
        let documents = with_all_names(documents, &config.detector, signals)?;
        let history = history_of(&documents, signals()?)?;
        let lines = lines_at(&documents, |at| PartitionReader::open_from(kafka, Topic::Raw, at.partition, at.offset))?;
        Ok(ReportData::of_documents(documents).with_history(&history).with_lines(lines).replayed_by(again))
    }

    /// From the SQLite file of `standalone`.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no such incident.
    pub(crate) fn in_embedded(&self, path: &Path) -> anyhow::Result<ReportData> {
        let log = EmbeddedConfig::of_file(path)?;
        let (place, book) = source::in_embedded(&log)?;
        let documents = self.documents(&book, &place)?;
        let again = replayed_from(newest(&documents), &format!("--db {}", quoted(path)));
        let signals = || Records::open(&log, Topic::Signals);
        let documents = with_all_names(documents, &DetectorConfig::default(), signals)?;
        let history = history_of(&documents, signals()?)?;
        let lines = lines_at(&documents, |at| Records::open_from(&log, Topic::Raw, at.offset))?;
        Ok(ReportData::of_documents(documents).with_history(&history).with_lines(lines).replayed_by(again))
    }

    /// From a folder of logs of many hosts (`DIR/HOST/*.log`), which are replayed. `read_as` holds the options of the
    /// command line that say how logs are read: a replay needs the same ones.
    ///
    /// # Errors
    /// When a log cannot be read, or the replay finds no such incident.
    pub(crate) fn in_logs(
        &self,
        folder: &Path,
        normalizer: &NormalizerConfig,
        encoding: EncodingChoice,
        read_as: &[String],
    ) -> anyhow::Result<ReportData> {
        let (found, refused) = logs::refuse_binary(logs::find(folder)?, encoding)?;
        refused.iter().for_each(|refused| eprintln!("wulog-processor: {refused}"));
        let inventories = logs::inventories(folder)?;
        let records = || -> anyhow::Result<Merge> {
            Ok(Merge::open(&found, encoding, normalizer)?.with_inventories(inventories.clone()))
        };
        let mut pipeline = Pipeline::new(normalizer, &DetectorConfig::default(), 1).naming_all_hosts();
        let (mut history, mut book) = (HostHistory::default(), AlertsByIncident::default());
        let mut outputs = Vec::new();
        for record in records()? {
            pipeline.apply(&record?.as_input(), &mut outputs);
            take(&outputs, &mut history, &mut book)?;
            outputs.clear();
        }
        pipeline.finish(&mut outputs);
        take(&outputs, &mut history, &mut book)?;
        let documents = self.documents(&book, &folder.display().to_string())?;
        // The evidence is known only now, so the logs are read once more.
        let mut wanted = newest(&documents).map(evidence_of).unwrap_or_default();
        let mut lines = BTreeMap::new();
        for record in records()? {
            if wanted.is_empty() {
                break;
            }
            let record = record?;
            let at = RawPosition { partition: record.partition, offset: record.offset };
            if wanted.contains(&at) {
                lines.insert(at, line(&record));
                wanted.retain(|other| *other != at);
            }
        }
        let read_as = read_as.iter().map(|option| format!(" {option}"));
        let again = format!(
            "wulog-processor replay --logs {}{} --all-hosts --alerts-out -",
            quoted(folder),
            read_as.collect::<String>()
        );
        Ok(ReportData::of_documents(documents).with_history(&history).with_lines(lines).replayed_by(again))
    }
}

/// The command of a document, which names a configuration, for the log that the report was made from.
fn replayed_from(newest: Option<&Alert>, here: &str) -> String {
    let Some(alert) = newest else { return String::new() };
    // The report has a document with all names where its own one was cut short.
    let command = alert.hosts.full_list.as_ref().unwrap_or(&alert.replay);
    crate::report::replayed_from(command, here)
}

fn newest(documents: &[Alert]) -> Option<&Alert> {
    documents.last()
}

fn take(outputs: &[Output], history: &mut HostHistory, book: &mut AlertsByIncident) -> anyhow::Result<()> {
    for output in outputs {
        match output.topic {
            Topic::Signals => history.take(Signal::from_bytes(&output.value).context("a signal of this replay")?),
            Topic::Alerts => book.add(serde_json::from_slice(&output.value).context("an alert of this replay")?),
            Topic::Raw | Topic::Events | Topic::State => {}
        }
    }
    Ok(())
}

/// Where the newest document names some hosts only: the same document with all names, made again from the signals.
fn with_all_names<I, E>(
    mut documents: Vec<Alert>,
    config: &DetectorConfig,
    signals: impl Fn() -> Result<I, LogError>,
) -> anyhow::Result<Vec<Alert>>
where
    I: Iterator<Item = Result<Record, E>>,
    E: Into<LogError>,
{
    let Some(cut) = documents.last_mut().filter(|alert| !alert.hosts.names_complete) else { return Ok(documents) };
    let mut detector = Detector::new(config, 0, 1).naming_all_hosts();
    let mut outputs = Vec::new();
    for record in signals()? {
        detector.apply(&record.map_err(Into::into)?.as_input(), &mut outputs);
        for output in outputs.drain(..).filter(|output| output.topic == Topic::Alerts) {
            let whole: Option<Alert> = serde_json::from_slice(&output.value).ok();
            if let Some(whole) = whole.filter(|whole| (&whole.id, whole.seq) == (&cut.id, cut.seq)) {
                *cut = whole;
                return Ok(documents);
            }
        }
    }
    Ok(documents)
}

fn history_of<E: Into<LogError>>(
    documents: &[Alert],
    signals: impl Iterator<Item = Result<Record, E>>,
) -> anyhow::Result<HostHistory> {
    let names = newest(documents).map(|alert| alert.hosts.names.clone()).unwrap_or_default();
    let mut history = HostHistory::of(names);
    for record in signals {
        let record = record.map_err(Into::into)?;
        // A record that is no signal was reported by the detector; it tells of no host.
        if let Ok(signal) = Signal::from_bytes(&record.value) {
            history.take(signal);
        }
    }
    Ok(history)
}

/// The raw lines of the evidence that are still there.
fn lines_at<I, E>(
    documents: &[Alert],
    open: impl Fn(RawPosition) -> Result<I, LogError>,
) -> anyhow::Result<BTreeMap<RawPosition, String>>
where
    I: Iterator<Item = Result<Record, E>>,
    E: Into<LogError>,
{
    let mut lines = BTreeMap::new();
    for at in newest(documents).map(evidence_of).unwrap_or_default() {
        let first = open(at)?.next().transpose().map_err(Into::into)?;
        if let Some(record) = first.filter(|record| record.offset == at.offset) {
            lines.insert(at, line(&record));
        }
    }
    Ok(lines)
}

fn line(record: &Record) -> String {
    String::from_utf8_lossy(&record.value).into_owned()
}

/// A path as one word of a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+:,@%=".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word() {
        for (path, expect) in
            [("logs/a-1", "logs/a-1"), ("my logs", "'my logs'"), ("it's", "'it'\\''s'"), ("$x", "'$x'")]
        {
            assert_eq!(quoted(Path::new(path)), expect);
        }
    }
}
