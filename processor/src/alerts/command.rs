//! The command line of `alerts`, and where documents come from.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use wulog_schemas::handling::Action;
use wulog_schemas::topic::Topic;
use wulog_schemas::visible::visible_json;

use super::order::{Covers, Given, give};
use super::{Book, list, show};
use crate::config::Config;
use crate::log::embedded::{self, EmbeddedConfig};
use crate::log::kafka::PartitionReader;
use crate::log::{LogError, Record};

/// Arguments of `alerts`.
#[derive(Debug, Args)]
pub struct AlertsArgs {
    #[command(subcommand)]
    what: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// One line an incident, open ones first.
    List {
        #[command(flatten)]
        from: From,
        /// Those that are over too: resolved, merged, given up.
        #[arg(long)]
        all: bool,
    },
    /// All that is known of one incident: who, since when, what they share, what to check, the proof.
    Show {
        /// Its id, or so much of its beginning that no other is meant; `wu-` may be left out.
        id: String,
        #[command(flatten)]
        from: From,
        /// Print the newest document as JSON instead.
        #[arg(long)]
        json: bool,
    },
    /// Say that somebody works on an incident: channels then leave out its mere progress.
    Ack(OrderOfOne),
    /// Keep channels from notifying until a time: one incident, or all of a family, label or update during planned work.
    Silence(OrderOfMany),
    /// Write a remark into the documents of an incident.
    Note(OrderOfOne),
    /// End the acknowledgement or the silences of this scope.
    Clear(OrderOfMany),
}

/// An order about one incident.
#[derive(Debug, Args)]
struct OrderOfOne {
    /// The incident's id, or so much of its beginning that no other is meant.
    id: String,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    place: Place,
}

/// An order about one incident or several.
#[derive(Debug, Args)]
struct OrderOfMany {
    /// One incident's id, or so much of its beginning that no other is meant.
    id: Option<String>,
    #[command(flatten)]
    covers: Covers,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    place: Place,
}

impl OrderOfOne {
    fn give(&self, action: Action) -> anyhow::Result<String> {
        let id = self.place.id(&self.id)?;
        give(self.given.order(action, Some(id.clone()), &Covers::default())?, &self.place)?;
        Ok(format!("ordered for {id}\n"))
    }
}

impl OrderOfMany {
    fn give(&self, action: Action) -> anyhow::Result<String> {
        let incident = self.id.as_deref().map(|id| self.place.id(id)).transpose()?;
        let about = incident.clone().unwrap_or_else(|| "the incidents that it covers".to_owned());
        give(self.given.order(action, incident, &self.covers)?, &self.place)?;
        Ok(format!("ordered for {about}\n"))
    }
}

/// Where alert documents are, and how wide the terminal is.
#[derive(Debug, Args)]
struct From {
    #[command(flatten)]
    place: Place,
    /// Columns of the text.
    #[arg(long, value_name = "COLUMNS", default_value_t = 80)]
    width: usize,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Place {
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

impl AlertsArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub fn run(&self) -> anyhow::Result<()> {
        let text = match &self.what {
            Verb::List { from, all } => list(&from.place.read()?, *all, from.width),
            Verb::Ack(order) => order.give(Action::Acknowledge)?,
            Verb::Note(order) => order.give(Action::Note)?,
            Verb::Silence(order) => order.give(Action::Silence)?,
            Verb::Clear(order) => order.give(Action::Clear)?,
            Verb::Show { id, from, json } => {
                let book = from.place.read()?;
                ensure!(!book.is_empty(), "{} holds no alerts", from.place.name());
                let documents = book.find(id).with_context(|| from.place.name())?;
                match documents.last() {
                    Some(newest) if *json => {
                        let json = serde_json::to_string(newest)?;
                        visible_json(&json).into_owned() + "\n"
                    }
                    _ => from.place.replayed_from_here(&show(&documents, from.width)),
                }
            }
        };
        match io::stdout().write_all(text.as_bytes()) {
            // `... | head` is no failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("standard output"),
        }
    }
}

impl Place {
    /// The whole id of the incident that begins so.
    fn id(&self, prefix: &str) -> anyhow::Result<String> {
        let book = self.read()?;
        let documents = book.find(prefix).with_context(|| self.name())?;
        Ok(documents.last().map_or_else(|| prefix.to_owned(), |newest| newest.id.clone()))
    }

    fn name(&self) -> String {
        let path = self.config.as_ref().or(self.db.as_ref()).or(self.file.as_ref());
        match path {
            Some(path) if path == Path::new("-") => "standard input".to_owned(),
            path => path.map_or_else(String::new, |path| path.display().to_string()),
        }
    }

    fn read(&self) -> anyhow::Result<Book> {
        match (&self.config, &self.db, &self.file) {
            (Some(path), _, _) => {
                let config = Config::read(path)?;
                let topic = Topic::Alerts.name(&config.kafka.topic_prefix);
                from_records(&topic, PartitionReader::open(&config.kafka, Topic::Alerts, 0)?)
            }
            (_, Some(path), _) => {
                let place = format!("{}, topic alerts", path.display());
                from_records(&place, embedded::Records::open(&EmbeddedConfig::of_file(path)?, Topic::Alerts)?)
            }
            (_, _, Some(path)) => from_file(path),
            (None, None, None) => bail!("one of --config, --db, --file is needed"),
        }
    }

    /// A document names a configuration; here it is known where the log is.
    fn replayed_from_here(&self, text: &str) -> String {
        let here = match (&self.config, &self.db) {
            (Some(path), _) => format!("--config {}", path.display()),
            (_, Some(path)) => format!("--db {}", path.display()),
            _ => return text.to_owned(),
        };
        crate::report::replayed_from(text, &here)
    }
}

pub(crate) fn from_records(
    place: &str,
    records: impl Iterator<Item = Result<Record, LogError>>,
) -> anyhow::Result<Book> {
    let mut book = Book::default();
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
pub(crate) fn from_file(path: &Path) -> anyhow::Result<Book> {
    if path == Path::new("-") {
        return from_lines("standard input", io::stdin().lock());
    }
    let file = File::open(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    from_lines(&path.display().to_string(), BufReader::new(file))
}

fn from_lines(place: &str, lines: impl BufRead) -> anyhow::Result<Book> {
    let mut book = Book::default();
    for (number, line) in lines.lines().enumerate() {
        let line = line.with_context(|| format!("{place}: reading"))?;
        if !line.trim().is_empty() {
            add_or_skip(&mut book, line.as_bytes(), &format!("{place}, line {}", number + 1));
        }
    }
    Ok(book)
}

/// Adds a document; one that cannot be read is told of and skipped, since anybody may have written it.
fn add_or_skip(book: &mut Book, bytes: &[u8], place: &str) {
    match serde_json::from_slice(bytes) {
        Ok(alert) => book.add(alert),
        Err(error) => tracing::warn!(%error, "{place}: no alert document that this version can read; skipped"),
    }
}
