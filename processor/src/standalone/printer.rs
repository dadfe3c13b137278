//! Alerts on standard output, and as documents in a file.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use rusqlite::{Connection, OptionalExtension, params};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use wulog_schemas::alert::{Alert, Transition};
use wulog_schemas::topic::Topic;

use crate::log::LogError;
use crate::log::embedded::{self, EmbeddedConfig};
use crate::metrics::Metrics;
use crate::report::{print_alert, print_update, replayed_from};

/// How long after a failed attempt alerts are written again.
const RETRY: Duration = Duration::from_secs(5);

/// Width of printed alerts.
const COLUMNS: usize = 80;

/// Prints each alert document once, over restarts too.
pub(super) struct Printer {
    path: PathBuf,
    connection: Connection,
    /// The file for documents.
    out: Option<PathBuf>,
    /// Whether alerts reach somebody by other ways than standard output.
    has_other_ears: bool,
    /// The next alert to print.
    next: i64,
    /// The same as the file knows it: behind while the file cannot be written.
    kept: i64,
}

/// Appends to a file, which is opened each time: a file that was moved away is made again. What was written of `bytes` is taken
/// back where the rest could not be.
fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    let before = file.metadata()?;
    let written = file.write_all(bytes);
    if written.is_err() && before.is_file() {
        // The disk is full, and a shorter file needs no room.
        let _ = file.set_len(before.len());
    }
    written
}

impl Printer {
    const READER: &'static str = "printer";

    pub(super) fn open(log: &EmbeddedConfig, out: Option<&Path>, has_other_ears: bool) -> anyhow::Result<Printer> {
        let connection = embedded::open(log)?;
        let next = connection
            .query_row("SELECT next FROM committed WHERE reader = ?1", [Printer::READER], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        if let Some(path) = out {
            // A wrong path is better told at the start than at the first alert.
            append(path, b"").with_context(|| format!("{}: cannot be written", path.display()))?;
        }
        let out = out.map(Path::to_owned);
        Ok(Printer { path: log.path.clone(), connection, out, has_other_ears, next, kept: next })
    }

    pub(super) fn run(&mut self, metrics: &Metrics, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut waiting = false;
        // When to try again to write what could not be written.
        let mut try_at = Instant::now();
        loop {
            let stopping = stop.is_cancelled();
            if stopping || Instant::now() >= try_at {
                let told = self.print_new()?;
                if let Some(why) = &told {
                    warn!(retry_in_s = RETRY.as_secs(), "{why}; alerts wait until it can be written");
                    try_at = Instant::now() + RETRY;
                }
                metrics.problem("printer", told.map(|why| format!("Alerts cannot be written: {why}.")));
            }
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

    /// Prints what is new, up to the first alert that cannot be written: then says why. A full disk is no reason to stop
    /// detection, which does not need the copy.
    fn print_new(&mut self) -> anyhow::Result<Option<String>> {
        let read = embedded::read(&self.connection, Topic::Alerts, 0, self.next, 100);
        let records = match read.map_err(|e| embedded::error(&self.path, "reading alerts", &e)) {
            Err(LogError::Retry(why)) => {
                warn!("alerts are not printed now: {why}");
                return Ok(None);
            }
            read => read?,
        };
        for record in records {
            let mut alert: Alert = match serde_json::from_slice(&record.value) {
                Ok(alert) => alert,
                Err(error) => {
                    warn!(topic = "alerts", offset = record.offset, %error, "no alert that this version can read; skipped");
                    self.next = record.offset + 1; // + 1, since a position names the next record
                    continue;
                }
            };
            if let Some(path) = &self.out {
                let line = [record.value.as_slice(), b"\n"].concat();
                if let Err(error) = append(path, &line) {
                    return Ok(Some(format!("{}: {error}", path.display())));
                }
            }
            self.next = record.offset + 1; // + 1, since a position names the next record
            // The document in the file stays as the log has it; who reads the printed one runs the command here.
            let log = format!("--db {}", self.path.display());
            alert.replay = replayed_from(&alert.replay, &log);
            alert.hosts.full_list = alert.hosts.full_list.map(|command| replayed_from(&command, &log));
            let text = match alert.transition {
                Transition::Opened | Transition::Reopened => print_alert(&alert, COLUMNS),
                _ => print_update(&alert, COLUMNS),
            };
            if let Err(error) = writeln!(io::stdout(), "{text}") {
                // Who reads standard output alone has gone: there is nobody to go on for.
                if error.kind() == io::ErrorKind::BrokenPipe && !self.has_other_ears {
                    return Err(error).context("standard output");
                }
                warn!(alert = alert.id, "standard output: {error}; this alert is not printed");
            }
        }
        Ok(None)
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
