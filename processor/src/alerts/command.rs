//! The command line of `alerts`.

use std::io::{self, Write};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use wulog_schemas::handling::OrderKind;
use wulog_schemas::visible::visible_json;

use super::order::{Covers, Given, give};
use super::source::{AlertSource, OrderLog};
use super::{list, show};

/// Arguments of `alerts`.
#[derive(Debug, Args)]
pub struct AlertsArgs {
    #[command(subcommand)]
    what: AlertsVerb,
}

#[derive(Debug, Subcommand)]
enum AlertsVerb {
    /// One line an incident, open ones first.
    List {
        #[command(flatten)]
        from: AlertsFrom,
        /// List closed incidents too: resolved, merged, expired.
        #[arg(long)]
        all: bool,
    },
    /// All facts of one incident: hosts, begin, shared factors, steps to check, evidence.
    Show {
        /// The id of the incident, or a beginning of the id that only one incident has; `wu-` may be left out.
        id: String,
        #[command(flatten)]
        from: AlertsFrom,
        /// Print the newest document as JSON instead.
        #[arg(long)]
        json: bool,
    },
    /// Acknowledge an incident: channels then leave out documents about mere growth.
    Ack(OrderOfOne),
    /// Hold notifications until a time: of one incident, or of a family, label or update during planned work.
    Silence(OrderOfMany),
    /// Add a note to the documents of an incident.
    Note(OrderOfOne),
    /// End the acknowledgement or the silences of this scope.
    Clear(OrderOfMany),
}

/// An order about one incident.
#[derive(Debug, Args)]
struct OrderOfOne {
    /// The id of the incident, or a beginning of the id that only one incident has.
    id: String,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    log: OrderLog,
}

/// An order about one incident or several.
#[derive(Debug, Args)]
struct OrderOfMany {
    /// The id of one incident, or a beginning of the id that only one incident has.
    id: Option<String>,
    #[command(flatten)]
    covers: Covers,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    log: OrderLog,
}

impl OrderOfOne {
    fn give(&self, action: OrderKind) -> anyhow::Result<String> {
        let id = AlertSource::from(&self.log).id(&self.id)?;
        give(self.given.order(action, Some(id.clone()), &Covers::default())?, &self.log)?;
        Ok(format!("ordered for {id}\n"))
    }
}

impl OrderOfMany {
    fn give(&self, action: OrderKind) -> anyhow::Result<String> {
        let incident = self.id.as_deref().map(|id| AlertSource::from(&self.log).id(id)).transpose()?;
        let about = incident.clone().unwrap_or_else(|| "the incidents that it covers".to_owned());
        give(self.given.order(action, incident, &self.covers)?, &self.log)?;
        Ok(format!("ordered for {about}\n"))
    }
}

/// Where alert documents are, and how wide the terminal is.
#[derive(Debug, Args)]
struct AlertsFrom {
    #[command(flatten)]
    source: AlertSource,
    /// Columns of the text.
    #[arg(long, value_name = "COLUMNS", default_value_t = 80)]
    width: usize,
}

impl AlertsArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub fn run(&self) -> anyhow::Result<()> {
        let text = match &self.what {
            AlertsVerb::List { from, all } => list(&from.source.read()?, *all, from.width),
            AlertsVerb::Ack(order) => order.give(OrderKind::Acknowledge)?,
            AlertsVerb::Note(order) => order.give(OrderKind::Note)?,
            AlertsVerb::Silence(order) => order.give(OrderKind::Silence)?,
            AlertsVerb::Clear(order) => order.give(OrderKind::Clear)?,
            AlertsVerb::Show { id, from, json } => {
                let book = from.source.read()?;
                ensure!(!book.is_empty(), "{} holds no alerts", from.source.name());
                let documents = book.find(id).with_context(|| from.source.name())?;
                match documents.last() {
                    Some(newest) if *json => {
                        let json = serde_json::to_string(newest)?;
                        visible_json(&json).into_owned() + "\n"
                    }
                    _ => from.source.replayed_from_here(&show(&documents, from.width)),
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
