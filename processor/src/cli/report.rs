//! `report`: the post-mortem of one incident, from Kafka, the embedded log, a file of alerts, or logs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use chrono_tz::Tz;
use clap::Args;
use wulog_schemas::alert::Alert;
use wulog_schemas::signal::{RawPosition, Signal};
use wulog_schemas::topic::Topic;

use super::NormalizerArgs;
use crate::alerts::Book;
use crate::alerts::source::{from_file, from_records};
use crate::config::Config;
use crate::detect::{Detector, DetectorConfig};
use crate::language::Language;
use crate::log::embedded::{EmbeddedConfig, Records};
use crate::log::kafka::PartitionReader;
use crate::log::{LogError, Record};
use crate::machine::{Machine, Output};
use crate::pipeline::Pipeline;
use crate::postmortem::{HostHistory, Incident, Style, evidence_of};
use crate::replay::logs::{self, Merge};

/// Arguments of `report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The incident's id, or so much of its beginning that no other is meant; `wu-` may be left out.
    id: String,
    #[command(flatten)]
    from: ReportFrom,
    /// The folder that the files are written into; made when missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Language of the page.
    #[arg(long, value_enum, default_value_t)]
    lang: Language,
    /// IANA time zone that the page shows beside UTC, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    zone: Tz,
    #[command(flatten)]
    normalizer: NormalizerArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ReportFrom {
    /// Kafka, as this configuration says.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The SQLite file of `standalone`.
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// A file of alert documents, one a line, as --alerts-out writes it; the report then knows no single hosts.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A folder of logs of many hosts (DIR/HOST/*.log), which are replayed.
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
}

fn zone(name: &str) -> Result<Tz, String> {
    name.parse().map_err(|_| format!("unknown time zone {name:?}: use an IANA name such as Europe/Berlin"))
}

impl ReportArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let ReportFrom { config, db, file, logs } = &self.from;
        ensure!(
            logs.is_some() || self.normalizer.patterns.is_empty(),
            "--patterns is for --logs: signals of --config and --db were made with the patterns of their time"
        );
        let incident = match (config, db, file, logs) {
            (Some(path), ..) => self.of_kafka(path)?,
            (_, Some(path), ..) => self.of_embedded(path)?,
            (_, _, Some(path), _) => {
                Incident::of_documents(self.documents(&from_file(path)?, &path.display().to_string())?)
            }
            (_, _, _, Some(path)) => self.of_logs(path)?,
            (None, None, None, None) => bail!("one of --config, --db, --file, --logs is needed"),
        };
        incident.write(&self.out, Style { language: self.lang, zone: self.zone })?;
        println!("{}: report.html, hosts.csv, timeline.jsonl, alert.json", self.out.display());
        Ok(())
    }

    /// The documents of the incident, in their order.
    fn documents(&self, book: &Book, place: &str) -> anyhow::Result<Vec<Alert>> {
        ensure!(!book.is_empty(), "{place} holds no alerts");
        let documents = book.find(&self.id).with_context(|| place.to_owned())?;
        Ok(documents.into_iter().cloned().collect())
    }

    fn of_kafka(&self, path: &Path) -> anyhow::Result<Incident> {
        let config = Config::read(path)?;
        let kafka = &config.kafka;
        let place = Topic::Alerts.name(&kafka.topic_prefix);
        let book = from_records(&place, PartitionReader::open(kafka, Topic::Alerts, 0)?)?;
        let documents = self.documents(&book, &place)?;
        let again = replayed_from(newest(&documents), &format!("--config {}", quoted(path)));
        let signals = || PartitionReader::open(kafka, Topic::Signals, 0);
        let documents = with_all_names(documents, &config.detector, signals)?;
        let history = history_of(&documents, signals()?)?;
        let lines = lines_at(&documents, |at| PartitionReader::open_from(kafka, Topic::Raw, at.partition, at.offset))?;
        Ok(Incident::of_documents(documents).with_history(&history).with_lines(lines).replayed_by(again))
    }

    fn of_embedded(&self, path: &Path) -> anyhow::Result<Incident> {
        let log = EmbeddedConfig::of_file(path)?;
        let place = format!("{}, topic alerts", path.display());
        let documents = self.documents(&from_records(&place, Records::open(&log, Topic::Alerts)?)?, &place)?;
        let again = replayed_from(newest(&documents), &format!("--db {}", quoted(path)));
        let signals = || Records::open(&log, Topic::Signals);
        let documents = with_all_names(documents, &DetectorConfig::default(), signals)?;
        let history = history_of(&documents, signals()?)?;
        let lines = lines_at(&documents, |at| Records::open_from(&log, Topic::Raw, at.offset))?;
        Ok(Incident::of_documents(documents).with_history(&history).with_lines(lines).replayed_by(again))
    }

    fn of_logs(&self, folder: &Path) -> anyhow::Result<Incident> {
        let (normalizer, encoding) = (self.normalizer.config()?, self.normalizer.encoding);
        let (found, refused) = logs::refuse_binary(logs::find(folder)?, encoding)?;
        refused.iter().for_each(|refused| eprintln!("wulog-processor: {refused}"));
        let inventories = logs::inventories(folder)?;
        let records = || -> anyhow::Result<Merge> {
            Ok(Merge::open(&found, encoding, &normalizer)?.with_inventories(inventories.clone()))
        };
        let mut pipeline = Pipeline::new(&normalizer, &DetectorConfig::default(), 1).naming_all_hosts();
        let (mut history, mut book) = (HostHistory::default(), Book::default());
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
        let read_as = reading_options(std::env::args().skip(1)).into_iter().map(|option| format!(" {option}"));
        let again = format!(
            "wulog-processor replay --logs {}{} --all-hosts --alerts-out -",
            quoted(folder),
            read_as.collect::<String>()
        );
        Ok(Incident::of_documents(documents).with_history(&history).with_lines(lines).replayed_by(again))
    }
}

/// The command of a document, which names a configuration, for the log that the report was made from.
fn replayed_from(newest: Option<&Alert>, here: &str) -> String {
    let Some(alert) = newest else { return String::new() };
    // The report has a document with all names where its own one was cut short.
    let command = alert.hosts.full_list.as_ref().unwrap_or(&alert.replay);
    crate::report::replayed_from(command, here)
}

/// The options among `arguments` that say how logs are read, as they were typed: a replay needs the same ones.
fn reading_options(arguments: impl Iterator<Item = String>) -> Vec<String> {
    const OPTIONS: [&str; 4] = ["--utc-offset", "--time-zone", "--encoding", "--patterns"];
    let mut found = Vec::new();
    let mut arguments = arguments.skip(1); // 1, since the first one is `report`
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, None),
        };
        if OPTIONS.contains(&name.as_str()) {
            let value = value.or_else(|| arguments.next()).unwrap_or_default();
            found.push(format!("{name}={}", quoted(Path::new(&value))));
        }
    }
    found
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+:,@%=".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn newest(documents: &[Alert]) -> Option<&Alert> {
    documents.last()
}

fn take(outputs: &[Output], history: &mut HostHistory, book: &mut Book) -> anyhow::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_reads_logs_as_the_report_did() {
        let options = |line: &str| reading_options(line.split(' ').map(str::to_owned)).join(" ");
        assert_eq!(options("report wu-1 --logs d --out o"), "");
        assert_eq!(
            options(
                "report wu-1 --utc-offset -02:00 --logs d --encoding=windows-1252 --patterns a.toml --patterns b.toml"
            ),
            "--utc-offset=-02:00 --encoding=windows-1252 --patterns=a.toml --patterns=b.toml"
        );
    }

    #[test]
    fn a_path_is_one_word() {
        for (path, expect) in
            [("logs/a-1", "logs/a-1"), ("my logs", "'my logs'"), ("it's", "'it'\\''s'"), ("$x", "'$x'")]
        {
            assert_eq!(quoted(Path::new(path)), expect);
        }
    }
}
