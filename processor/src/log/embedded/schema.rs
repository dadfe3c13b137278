//! The tables of the embedded log, and the check for them.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::{LogError, error};

/// The version of the tables. Version 1 had no checksums.
const VERSION: i64 = 2;

/// `record` and `state` have row ids because their rows are long: without row ids the file is two to three times as
/// large. `crc` is the CRC-32 of the other columns; it is absent in rows of version 1.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS record (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, timestamp_ms INTEGER NOT NULL,
    key TEXT NOT NULL, header TEXT, value TEXT NOT NULL, crc INTEGER,
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
PRAGMA user_version = 2;
";

/// Checks that the file is empty or a log of wulog, without writing.
///
/// # Errors [`LogError::Fatal`] if another program, or a newer wulog, wrote the file.
pub(super) fn expect_ours(connection: &Connection, path: &Path) -> Result<(), LogError> {
    let ask = || -> rusqlite::Result<(i64, i64, Option<i64>)> {
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let ours = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'topic_end'";
        Ok((version, tables, connection.query_row(ours, [], |row| row.get(0)).optional()?))
    };
    let (version, tables, ours) = ask().map_err(|e| error(path, "opening it", &e))?;
    let place = path.display();
    if version > VERSION && (ours.is_some() || tables == 0) {
        return Err(LogError::Fatal(format!(
            "{place}: its tables have version {version}, and this wulog knows only those up to {VERSION}: use the wulog that made it, or \
             move it away to start a new one; it was left as it is"
        )));
    }
    if (tables > 0 || version != 0) && ours.is_none() {
        return Err(LogError::Fatal(format!(
            "{place}: not a wulog log but another program's database; it was left as it is: name another file"
        )));
    }
    Ok(())
}

/// Creates missing tables, and adds the columns that version 1 did not have.
pub(super) fn make(connection: &Connection) -> rusqlite::Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == VERSION {
        return Ok(());
    }
    // Several connections of one process may create the tables at once.
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let made = || -> rusqlite::Result<()> {
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 1 {
            connection.execute_batch("ALTER TABLE record ADD COLUMN crc INTEGER")?;
        }
        connection.execute_batch(SCHEMA)
    };
    let made = made();
    connection.execute_batch(if made.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    made
}

/// Checks all pages of the file in a thread of its own, since a large file takes minutes, and warns of damage.
pub fn check_in_background(path: PathBuf) {
    std::thread::spawn(move || {
        let check = || -> rusqlite::Result<String> {
            let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        };
        let said = check().unwrap_or_else(|error| error.to_string());
        if said == "ok" {
            tracing::debug!(path = %path.display(), "the pages of the log are sound");
        } else {
            tracing::warn!(
                path = %path.display(),
                said,
                "the log is damaged; readable records are read, and each damaged record is reported when a reader meets it; check the disk"
            );
        }
    });
}
