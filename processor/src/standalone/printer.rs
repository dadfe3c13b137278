//! Alerts on standard output, and as documents in a file.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use rusqlite::{Connection, OptionalExtension, params};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use wulog_schemas::alert::{Alert, Transition};
use wulog_schemas::topic::Topic;

use crate::log::LogError;
use crate::log::embedded::{self, EmbeddedConfig};
use crate::report::{print_alert, print_update};

/// Width of printed alerts.
const COLUMNS: usize = 80;

/// Prints each alert document once, over restarts too.
pub(super) struct Printer {
    path: PathBuf,
    connection: Connection,
    out: Option<(PathBuf, std::fs::File)>,
    /// The next alert to print.
    next: i64,
    /// The same as the file knows it: behind while the file cannot be written.
    kept: i64,
}

impl Printer {
    const READER: &'static str = "printer";

    pub(super) fn open(log: &EmbeddedConfig, out: Option<&Path>) -> anyhow::Result<Printer> {
        let connection = embedded::open(log)?;
        let next = connection
            .query_row("SELECT next FROM committed WHERE reader = ?1", [Printer::READER], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        let out = out.map(|path| {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            file.map(|file| (path.to_owned(), file)).with_context(|| format!("{}: cannot be written", path.display()))
        });
        Ok(Printer { path: log.path.clone(), connection, out: out.transpose()?, next, kept: next })
    }

    pub(super) fn run(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut waiting = false;
        loop {
            let stopping = stop.is_cancelled();
            self.print_new()?;
            match self.keep() {
                Ok(()) => waiting = false,
                Err(LogError::Retry(_)) if waiting && !stopping => {}
                Err(LogError::Retry(why)) => {
                    warn!("after a restart alerts may be printed again: {why}");
                    waiting = true;
                }
                Err(fatal) => return Err(fatal.into()),
            }
            if stopping {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn print_new(&mut self) -> anyhow::Result<()> {
        let read = embedded::read(&self.connection, Topic::Alerts, 0, self.next, 100);
        let records = match read.map_err(|e| embedded::error(&self.path, "reading alerts", &e)) {
            Err(LogError::Retry(why)) => {
                warn!("alerts are not printed now: {why}");
                return Ok(());
            }
            read => read?,
        };
        for record in records {
            self.next = record.offset + 1; // + 1, since a position names the next record
            let alert: Alert = match serde_json::from_slice(&record.value) {
                Ok(alert) => alert,
                Err(error) => {
                    warn!(topic = "alerts", offset = record.offset, %error, "no alert that this version can read; skipped");
                    continue;
                }
            };
            if let Some((path, file)) = &mut self.out {
                let line = [record.value.as_slice(), b"\n"].concat();
                file.write_all(&line).with_context(|| format!("{}: writing alerts", path.display()))?;
            }
            let text = match alert.transition {
                Transition::Opened | Transition::Reopened => print_alert(&alert, COLUMNS),
                _ => print_update(&alert, COLUMNS),
            };
            writeln!(io::stdout(), "{text}").context("standard output")?;
        }
        Ok(())
    }

    /// Notes what is printed.
    fn keep(&mut self) -> Result<(), LogError> {
        if self.next > self.kept {
            let noted = self.connection.execute(
                "INSERT OR REPLACE INTO committed VALUES (?1, ?2, 0, ?3)",
                params![Printer::READER, Topic::Alerts.suffix(), self.next],
            );
            noted.map_err(|e| embedded::error(&self.path, "noting what is printed", &e))?;
            self.kept = self.next;
        }
        Ok(())
    }
}
