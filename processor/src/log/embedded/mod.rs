//! The embedded log: one SQLite file that holds all topics, so that everything runs on one machine without Kafka.
//!
//! People can look into it with SQL: `SELECT value FROM record WHERE topic = 'alerts'`. `synchronous=FULL`, since the
//! collector moves its checkpoint on the word of this log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use wulog_schemas::topic::Topic;

use super::{Log, LogError, Polled, Record, Write};

mod append;
mod records;
mod sink;

pub use records::{Records, read};
pub use sink::EmbeddedSink;

use append::{Appender, topic_end};

/// Partitions of `raw` in the embedded log. More than one buys nothing on one machine, and one is totally ordered.
pub const PARTITIONS: i32 = 1;

/// How often an idle reader looks for new records. SQLite has no notification across connections.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// How long a writer waits for another connection's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// `record` and `state` have row ids, since their rows are long: without, the file is two to three times as large.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS record (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, timestamp_ms INTEGER NOT NULL,
    key TEXT NOT NULL, header TEXT, value TEXT NOT NULL,
    PRIMARY KEY (topic, partition, offset));
CREATE TABLE IF NOT EXISTS topic_end (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS committed (
    reader TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (reader, topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (
    partition INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (partition, key));
PRAGMA user_version = 1;
";

/// Where the file is and how long it keeps what.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Path of the SQLite file; made when missing.
    pub path: PathBuf,
    /// Days that records of `raw` and `events` are kept, by log time.
    pub retention_days: u32,
    /// Days that records of `signals` are kept: the detector's history.
    pub signals_retention_days: u32,
    /// Largest size of the file in MiB; `None` lets it grow with the disk.
    pub size_max_mib: Option<u32>,
}

impl EmbeddedConfig {
    /// The defaults (7 days of raw lines and events, 35 of signals) at `path`.
    #[must_use]
    pub fn at(path: &Path) -> EmbeddedConfig {
        EmbeddedConfig { path: path.to_owned(), retention_days: 7, signals_retention_days: 35, size_max_mib: None }
    }
}

/// What an SQLite error means, in words that name the file.
pub(crate) fn error(path: &Path, doing: &str, error: &rusqlite::Error) -> LogError {
    let place = path.display();
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => LogError::Retry(format!(
            "{place}: no room while {doing}: {error}; nothing is lost: free space on that disk (or raise the size limit) and wulog goes on by itself"
        )),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            LogError::Retry(format!("{place}: locked by another process while {doing}: {error}"))
        }
        Some(rusqlite::ErrorCode::SystemIoFailure) => {
            LogError::Retry(format!("{place}: {doing} failed: {error}; check the disk that holds it"))
        }
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => LogError::Fatal(format!(
            "{place}: not a wulog log, or damaged: {error}; move it away to start a new one (the logs are read again from their start)"
        )),
        Some(rusqlite::ErrorCode::CannotOpen) => LogError::Fatal(format!(
            "{place}: cannot be opened: {error}; is its folder there, and writable, and the path itself not a folder?"
        )),
        Some(rusqlite::ErrorCode::ReadOnly) => LogError::Fatal(format!(
            "{place}: read-only: {error}; give this user write access to the file and its folder"
        )),
        _ => LogError::Fatal(format!("{place}: {doing} failed: {error}")),
    }
}

/// Opens the file for writing and makes its tables where they are missing.
///
/// # Errors
/// [`LogError::Fatal`] where the path cannot be a wulog log.
pub fn open(config: &EmbeddedConfig) -> Result<Connection, LogError> {
    let path = &config.path;
    let connection = Connection::open(path).map_err(|e| error(path, "opening it", &e))?;
    let prepare = || -> rusqlite::Result<()> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        if let Some(mib) = config.size_max_mib {
            let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
            connection.pragma_update(None, "max_page_count", i64::from(mib) * 1024 * 1024 / page_bytes)?;
        }
        connection.execute_batch(SCHEMA)
    };
    prepare().map_err(|e| error(path, "preparing it", &e))?;
    Ok(connection)
}

/// One shell's view of the file: a reader of one topic that commits with what it writes.
pub struct EmbeddedLog {
    config: EmbeddedConfig,
    connection: Connection,
    reader: &'static str,
    input: Topic,
    positions: Option<BTreeMap<i32, i64>>,
}

impl EmbeddedLog {
    /// Opens the file for the shell that is called `reader` and reads `input`.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(config: &EmbeddedConfig, reader: &'static str, input: Topic) -> Result<EmbeddedLog, LogError> {
        Ok(EmbeddedLog { config: config.clone(), connection: open(config)?, reader, input, positions: None })
    }

    fn failed(&self, doing: &str) -> impl Fn(rusqlite::Error) -> LogError + use<> {
        let (path, doing) = (self.config.path.clone(), doing.to_owned());
        move |e| error(&path, &doing, &e)
    }

    fn write_all(&mut self, writes: &[Write], next: &BTreeMap<i32, i64>) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut appender = Appender::new(&transaction);
        for write in writes {
            match (write.topic, &write.value) {
                (Topic::State, Some(value)) => {
                    transaction
                        .prepare_cached("INSERT OR REPLACE INTO state VALUES (?1, ?2, ?3)")?
                        .execute(params![write.partition, write.key, &value[..]])?;
                }
                (Topic::State, None) => {
                    transaction
                        .prepare_cached("DELETE FROM state WHERE partition = ?1 AND key = ?2")?
                        .execute(params![write.partition, write.key])?;
                }
                (topic, value) => {
                    let value = value.as_deref().unwrap_or_default();
                    let place = (topic, write.partition);
                    appender.append(place, write.timestamp_ms, &write.key, write.header.as_deref(), value)?;
                }
            }
        }
        appender.finish()?;
        for (partition, next) in next {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO committed VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![self.reader, self.input.suffix(), partition, next])?;
        }
        transaction.commit()
    }
}

impl Log for EmbeddedLog {
    fn partitions(&mut self) -> Result<i32, LogError> {
        Ok(if self.input == Topic::Raw { PARTITIONS } else { 1 })
    }

    fn poll(&mut self, records_max: usize, wait: Duration) -> Result<Polled, LogError> {
        let Some(positions) = &mut self.positions else {
            let owned = (0..self.partitions()?).collect();
            return Ok(Polled { owned: Some(owned), ..Polled::default() });
        };
        let mut polled = Polled::default();
        let until = std::time::Instant::now() + wait;
        loop {
            for (&partition, next) in positions.iter_mut() {
                let room = records_max.saturating_sub(polled.records.len());
                let records = read(&self.connection, self.input, partition, *next, room)
                    .map_err(|e| error(&self.config.path, "reading", &e))?;
                match records.last() {
                    Some(last) => *next = last.offset + 1, // + 1, since a position names the next record
                    None => drop(polled.at_end.insert(partition)),
                }
                polled.records.extend(records);
            }
            if !polled.records.is_empty() || std::time::Instant::now() >= until {
                return Ok(polled);
            }
            std::thread::sleep(POLL_INTERVAL.min(wait));
            polled.at_end = BTreeSet::new();
        }
    }

    fn committed(&mut self, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, i64>, LogError> {
        let read = || -> rusqlite::Result<BTreeMap<i32, i64>> {
            self.connection
                .prepare_cached("SELECT partition, next FROM committed WHERE reader = ?1 AND topic = ?2")?
                .query_map(params![self.reader, self.input.suffix()], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        };
        let mut committed = read().map_err(self.failed("reading the committed offsets"))?;
        committed.retain(|partition, _| partitions.contains(partition));
        Ok(committed)
    }

    fn oldest(&mut self, partition: i32) -> Result<i64, LogError> {
        let oldest: Option<i64> = self
            .connection
            .query_row(
                "SELECT min(offset) FROM record WHERE topic = ?1 AND partition = ?2",
                params![self.input.suffix(), partition],
                |row| row.get(0),
            )
            .map_err(self.failed("reading the oldest offset"))?;
        match oldest {
            Some(offset) => Ok(offset),
            None => topic_end(&self.connection, self.input, partition).map_err(self.failed("reading the end offset")),
        }
    }

    fn start_at(&mut self, positions: &BTreeMap<i32, i64>) -> Result<(), LogError> {
        self.positions = Some(positions.clone());
        Ok(())
    }

    fn commit(&mut self, writes: &[Write], next: &BTreeMap<i32, i64>) -> Result<(), LogError> {
        let failed = self.failed("writing");
        self.write_all(writes, next).map_err(failed)
    }

    fn read_state(&mut self, partition: i32) -> Result<BTreeMap<String, Vec<u8>>, LogError> {
        let rows = || -> rusqlite::Result<BTreeMap<String, Vec<u8>>> {
            let mut statement = self.connection.prepare("SELECT key, value FROM state WHERE partition = ?1")?;
            let rows = statement.query_map([partition], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        rows().map_err(self.failed("reading snapshots"))
    }

    fn read_latest(&mut self, topic: Topic, partition: i32) -> Result<BTreeMap<String, Vec<u8>>, LogError> {
        let records = read(&self.connection, topic, partition, 0, usize::MAX);
        let records = records.map_err(self.failed(&format!("reading {}", topic.suffix())))?;
        // In offset order, so that the last of a key stays.
        let pair = |record: Record| (String::from_utf8_lossy(&record.key).into_owned(), record.value);
        Ok(records.into_iter().map(pair).collect())
    }

    fn not_needed_below(&mut self, partition: i32, offset: i64) -> Result<(), LogError> {
        let prune = |topics: &[Topic], days: u32, below: i64| -> rusqlite::Result<()> {
            for topic in topics {
                let newest: Option<i64> = self.connection.query_row(
                    "SELECT timestamp_ms FROM record WHERE topic = ?1 AND partition = ?2 ORDER BY offset DESC LIMIT 1",
                    params![topic.suffix(), partition],
                    |row| row.get(0),
                ).optional()?;
                let oldest_kept_ms = newest.unwrap_or(0) - i64::from(days) * 86_400_000;
                self.connection.execute(
                    "DELETE FROM record WHERE topic = ?1 AND partition = ?2 AND offset < ?3 AND timestamp_ms < ?4",
                    params![topic.suffix(), partition, below, oldest_kept_ms],
                )?;
            }
            Ok(())
        };
        let pruned = match self.input {
            Topic::Raw => prune(&[Topic::Raw], self.config.retention_days, offset)
                .and_then(|()| prune(&[Topic::Events], self.config.retention_days, i64::MAX)),
            input => prune(&[input], self.config.signals_retention_days, offset),
        };
        pruned.map_err(self.failed("forgetting old records"))
    }
}
