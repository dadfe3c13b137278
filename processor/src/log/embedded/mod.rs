//! The embedded log: one SQLite file with all topics, so that wulog runs on one machine without Kafka.
//!
//! People can read the file with SQL: `SELECT value FROM record WHERE topic = 'alerts'`. `synchronous=FULL`, since the
//! collector moves its checkpoint after an acknowledgement of this log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use wulog_schemas::topic::Topic;
use wulog_service::Clock;

use super::{Log, LogError, Polled, Record, Write};

mod append;
mod channel;
mod lock;
mod private;
mod records;
mod schema;
mod sink;

pub use channel::EmbeddedQueue;
pub use lock::Lock;
pub use records::{Records, read};
pub use schema::check_in_background;
pub use sink::EmbeddedSink;

use append::{Appender, topic_end};

/// Partitions of `raw` in the embedded log. More partitions gain nothing on one machine, and one partition is totally
/// ordered.
pub const PARTITIONS: i32 = 1;

/// How often an idle reader looks for new records. SQLite has no notification across connections.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// How long a writer waits for another connection's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Path, size and retention of the file.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Path of the SQLite file; created if missing.
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

    /// The same configuration for a file that must exist: a command that only reads a log creates none.
    ///
    /// # Errors
    /// If there is no file.
    pub fn of_file(path: &Path) -> anyhow::Result<EmbeddedConfig> {
        anyhow::ensure!(path.is_file(), "{}: no file; expected what `standalone --db` wrote", path.display());
        Ok(EmbeddedConfig::at(path))
    }
}

/// Explains an SQLite error in words that name the file.
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
        Some(rusqlite::ErrorCode::NotADatabase) => LogError::Fatal(format!(
            "{place}: not the SQLite file of standalone, or damaged: {error}; check the path; if standalone writes this file, move it away to \
             start a new one (the logs are read again from their start)"
        )),
        Some(rusqlite::ErrorCode::DatabaseCorrupt) => LogError::Retry(format!(
            "{place}: damaged: {doing} failed: {error}; check the disk; what is readable is read on. If this goes on, move the file away \
             to start a new one (the logs are read again from their start)"
        )),
        Some(rusqlite::ErrorCode::TooBig) => {
            LogError::Refused { places: Vec::new(), why: format!("{place}: {doing}: {error}") }
        }
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
    private::make(path)?;
    let connection = Connection::open(path).map_err(|e| error(path, "opening it", &e))?;
    // The check comes before any write: a file of another program stays unchanged.
    schema::expect_ours(&connection, path)?;
    let prepare = || -> rusqlite::Result<()> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        if let Some(mib) = config.size_max_mib {
            let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
            connection.pragma_update(None, "max_page_count", i64::from(mib) * 1024 * 1024 / page_bytes)?;
        }
        schema::make(&connection)
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
    /// The committed offsets that this reader knows: if the file has others, another process reads under the reader's
    /// name.
    known: BTreeMap<i32, i64>,
}

/// The result of one transaction of a reader.
enum Written {
    Done,
    /// Another process has committed for this reader in the meantime.
    Fenced,
}

impl EmbeddedLog {
    /// Opens the file for the shell that is called `reader` and reads `input`.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(config: &EmbeddedConfig, reader: &'static str, input: Topic) -> Result<EmbeddedLog, LogError> {
        let (connection, known) = (open(config)?, BTreeMap::new());
        Ok(EmbeddedLog { config: config.clone(), connection, reader, input, positions: None, known })
    }

    fn failed(&self, doing: &str) -> impl Fn(rusqlite::Error) -> LogError + use<> {
        let (path, doing) = (self.config.path.clone(), doing.to_owned());
        move |e| error(&path, &doing, &e)
    }

    fn write_all(&mut self, writes: &[Write], next: &BTreeMap<i32, i64>) -> rusqlite::Result<Written> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let committed = committed(&transaction, self.reader, self.input)?;
        if next.keys().any(|partition| committed.get(partition) != self.known.get(partition)) {
            return Ok(Written::Fenced);
        }
        let mut appender = Appender::new(&transaction);
        for write in writes {
            match (write.topic, &write.value) {
                (Topic::State, Some(value)) => {
                    transaction
                        .prepare_cached("INSERT OR REPLACE INTO state (partition, key, value) VALUES (?1, ?2, ?3)")?
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
        transaction.commit()?;
        self.known.extend(next);
        Ok(Written::Done)
    }
}

/// The committed offsets of a reader, by partition.
fn committed(connection: &Connection, reader: &str, input: Topic) -> rusqlite::Result<BTreeMap<i32, i64>> {
    connection
        .prepare_cached("SELECT partition, next FROM committed WHERE reader = ?1 AND topic = ?2")?
        .query_map(params![reader, input.suffix()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

fn largest(writes: &[Write]) -> Vec<usize> {
    let bytes = |write: &Write| write.value.as_ref().map_or(0, |value| value.len());
    writes.iter().enumerate().max_by_key(|(_, write)| bytes(write)).map(|(place, _)| place).into_iter().collect()
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
        let read = committed(&self.connection, self.reader, self.input);
        let mut committed = read.map_err(self.failed("reading the committed offsets"))?;
        self.known.clone_from(&committed);
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

    fn ends(&mut self) -> BTreeMap<i32, i64> {
        let end = |partition| Some((partition, topic_end(&self.connection, self.input, partition).ok()?));
        self.positions.iter().flatten().filter_map(|(partition, _)| end(*partition)).collect()
    }

    fn start_at(&mut self, positions: &BTreeMap<i32, i64>) -> Result<(), LogError> {
        self.positions = Some(positions.clone());
        Ok(())
    }

    fn commit(&mut self, writes: &[Write], next: &BTreeMap<i32, i64>) -> Result<(), LogError> {
        let failed = self.failed("writing");
        match self.write_all(writes, next) {
            Ok(Written::Done) => Ok(()),
            Ok(Written::Fenced) => Err(LogError::Retry(format!(
                "{}: another process has committed as {} meanwhile; this one writes nothing and goes on from there. Run one wulog on a file",
                self.config.path.display(),
                self.reader
            ))),
            Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::TooBig) => Err(LogError::Refused {
                // SQLite does not name the record, so the largest one is refused first.
                places: largest(writes),
                why: format!("{}: {e}", self.config.path.display()),
            }),
            Err(e) => {
                if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) {
                    // Indexes can be rebuilt from the rows; where the rows are damaged, this statement changes nothing.
                    let _ = self.connection.execute_batch("REINDEX");
                }
                Err(failed(e))
            }
        }
    }

    fn read_state(&mut self, partition: i32) -> Result<BTreeMap<String, Vec<u8>>, LogError> {
        let rows = || -> rusqlite::Result<BTreeMap<String, Vec<u8>>> {
            let mut statement = self.connection.prepare("SELECT key, value FROM state WHERE partition = ?1")?;
            let mut rows = statement.query([partition])?;
            let mut state = BTreeMap::new();
            while let Some(row) = rows.next()? {
                // A row that is not one of our snapshots is skipped: the machine is loaded from an older snapshot, or
                // from the records.
                if let (Ok(key), Ok(value)) = (row.get(0), row.get(1)) {
                    state.insert(key, value);
                }
            }
            Ok(state)
        };
        match rows() {
            Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
                let path = self.config.path.display();
                tracing::warn!(%path, error = %e, "snapshots are damaged; the records are read again");
                Ok(BTreeMap::new())
            }
            rows => rows.map_err(self.failed("reading snapshots")),
        }
    }

    fn read_latest(&mut self, topic: Topic, partition: i32) -> Result<BTreeMap<String, Vec<u8>>, LogError> {
        let records = read(&self.connection, topic, partition, 0, usize::MAX);
        let records = records.map_err(self.failed(&format!("reading {}", topic.suffix())))?;
        // In the order of offsets, so that the last value of a key remains.
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
                // A record that is dated ahead of this machine's clock must not make all other records look old.
                let newest = newest.unwrap_or(0).min(Clock::System.now_ms());
                let oldest_kept_ms = newest.saturating_sub(i64::from(days) * 86_400_000);
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
