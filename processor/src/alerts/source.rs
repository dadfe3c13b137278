//! The source of alert documents: a topic on Kafka, the embedded log, or a file.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use wulog_schemas::topic::Topic;

use super::AlertsByIncident;
use crate::config::Config;
use crate::log::embedded::{self, EmbeddedConfig};
use crate::log::kafka::{KafkaConfig, PartitionReader};
use crate::log::{LogError, Record};

/// Where alert documents are, as the command line says.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct AlertSource {
    /// The topic of alerts, as this configuration says.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The SQLite file of `standalone`.
    #[arg(long, value_name = "FILE")]
    pub(super) db: Option<PathBuf>,
    /// A file of alert documents, one a line, as --alerts-out writes it; - is standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// The log that takes an order about incidents: a file of documents takes none.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct OrderLog {
    /// The topics of this configuration.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The SQLite file of `standalone`.
    #[arg(long, value_name = "FILE")]
    pub(super) db: Option<PathBuf>,
}

impl From<&OrderLog> for AlertSource {
    fn from(log: &OrderLog) -> AlertSource {
        AlertSource { config: log.config.clone(), db: log.db.clone(), file: None }
    }
}

impl AlertSource {
    /// The whole id of the incident that begins so.
    pub(super) fn id(&self, prefix: &str) -> anyhow::Result<String> {
        let book = self.read()?;
        let documents = book.find(prefix).with_context(|| self.name())?;
        Ok(documents.last().map_or_else(|| prefix.to_owned(), |newest| newest.id.clone()))
    }

    pub(super) fn name(&self) -> String {
        let path = self.config.as_ref().or(self.db.as_ref()).or(self.file.as_ref());
        match path {
            Some(path) if path == Path::new("-") => "standard input".to_owned(),
            path => path.map_or_else(String::new, |path| path.display().to_string()),
        }
    }

    pub(super) fn read(&self) -> anyhow::Result<AlertsByIncident> {
        match (&self.config, &self.db, &self.file) {
            (Some(path), _, _) => Ok(in_kafka(&Config::read(path)?.kafka)?.1),
            (_, Some(path), _) => Ok(in_embedded(&EmbeddedConfig::of_file(path)?)?.1),
            (_, _, Some(path)) => from_file(path),
            (None, None, None) => bail!("one of --config, --db, --file is needed"),
        }
    }

    /// A document names a configuration; here it is known where the log is.
    pub(super) fn replayed_from_here(&self, text: &str) -> String {
        let here = match (&self.config, &self.db) {
            (Some(path), _) => format!("--config {}", path.display()),
            (_, Some(path)) => format!("--db {}", path.display()),
            _ => return text.to_owned(),
        };
        crate::report::replayed_from(text, &here)
    }
}

/// The topic of alerts, by its name for messages, and its documents.
///
/// # Errors
/// When Kafka cannot be read.
pub(crate) fn in_kafka(kafka: &KafkaConfig) -> anyhow::Result<(String, AlertsByIncident)> {
    let place = Topic::Alerts.name(&kafka.topic_prefix);
    let book = from_records(&place, PartitionReader::open(kafka, Topic::Alerts, 0)?)?;
    Ok((place, book))
}

/// The topic of alerts in an embedded log, by its name for messages, and its documents.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn in_embedded(log: &EmbeddedConfig) -> anyhow::Result<(String, AlertsByIncident)> {
    let place = format!("{}, topic alerts", log.path.display());
    let book = from_records(&place, embedded::Records::open(log, Topic::Alerts)?)?;
    Ok((place, book))
}

fn from_records(
    place: &str,
    records: impl Iterator<Item = Result<Record, LogError>>,
) -> anyhow::Result<AlertsByIncident> {
    let mut book = AlertsByIncident::default();
    for record in records {
        let record = record?;
        // An empty value deletes what compaction would keep; it says nothing.
        if !record.value.is_empty() {
            add_or_skip(&mut book, &record.value, &format!("{place}, offset {}", record.offset));
        }
    }
    Ok(book)
}

/// The documents of a file, one a line; `-` is standard input.
pub(crate) fn from_file(path: &Path) -> anyhow::Result<AlertsByIncident> {
    if path == Path::new("-") {
        return from_lines("standard input", io::stdin().lock());
    }
    let file = File::open(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    from_lines(&path.display().to_string(), BufReader::new(file))
}

fn from_lines(place: &str, lines: impl BufRead) -> anyhow::Result<AlertsByIncident> {
    let mut book = AlertsByIncident::default();
    for (number, line) in lines.lines().enumerate() {
        let line = line.with_context(|| format!("{place}: reading"))?;
        if !line.trim().is_empty() {
            add_or_skip(&mut book, line.as_bytes(), &format!("{place}, line {}", number + 1));
        }
    }
    Ok(book)
}

/// Adds a document; one that cannot be read is reported and skipped, since anybody may have written it.
fn add_or_skip(book: &mut AlertsByIncident, bytes: &[u8], place: &str) {
    match serde_json::from_slice(bytes) {
        Ok(alert) => book.add(alert),
        Err(error) => tracing::warn!(%error, "{place}: no alert document that this version can read; skipped"),
    }
}
