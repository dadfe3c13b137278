//! Reading a topic of the embedded log.

use std::path::PathBuf;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use wulog_schemas::topic::Topic;

use super::append::{checksum, topic_end};
use super::{EmbeddedConfig, error, open};
use crate::log::{LogError, Record};

/// Records that [`Records`] reads at a time.
const READ_PAGE: usize = 5_000;

/// Offsets that are read one by one where a page of the file is damaged.
const SALVAGED_AT_A_TIME: i64 = 500;

/// Reads records of one topic partition from `from` on, in the order of offsets.
///
/// A row with a wrong checksum, or with a column that is not text, is returned as a record without key and header,
/// which no machine takes for a record of wulog; a warning names it. Where damage makes a page unreadable, the
/// remaining rows are read one by one.
///
/// # Errors
/// SQLite's error.
pub fn read(
    connection: &Connection,
    topic: Topic,
    partition: i32,
    from: i64,
    records_max: usize,
) -> rusqlite::Result<Vec<Record>> {
    let range = (from, i64::MAX);
    match read_range(connection, topic, partition, range, records_max) {
        Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            salvage(connection, topic, partition, from, records_max)
        }
        read => read,
    }
}

fn read_range(
    connection: &Connection,
    topic: Topic,
    partition: i32,
    (from, until): (i64, i64),
    records_max: usize,
) -> rusqlite::Result<Vec<Record>> {
    let mut statement = connection.prepare_cached(
        "SELECT offset, timestamp_ms, key, header, value, crc FROM record
         WHERE topic = ?1 AND partition = ?2 AND offset >= ?3 AND offset <= ?4 ORDER BY offset LIMIT ?5",
    )?;
    let limit = i64::try_from(records_max).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![topic.suffix(), partition, from, until, limit], |row| {
        Ok(record(row, topic, partition, row.get(0)?))
    })?;
    rows.collect()
}

/// The record in a row of any contents.
fn record(row: &Row<'_>, topic: Topic, partition: i32, offset: i64) -> Record {
    let bytes = |column: usize| match row.get_ref(column) {
        Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => Some(bytes),
        _ => None,
    };
    let is_text = |column: usize| matches!(row.get_ref(column), Ok(ValueRef::Text(_)));
    let timestamp_ms = row.get(1).unwrap_or(0);
    let header = bytes(3);
    let (key, value) = (bytes(2).unwrap_or_default(), bytes(4).unwrap_or_default());
    let has_form = is_text(2) && is_text(4) && matches!(row.get_ref(3), Ok(ValueRef::Text(_) | ValueRef::Null));
    let is_whole = match row.get_ref(5) {
        // Rows of version 1 have no checksum.
        Ok(ValueRef::Null) => true,
        Ok(ValueRef::Integer(crc)) => {
            i64::from(checksum(topic, (partition, offset), timestamp_ms, (key, header, value))) == crc
        }
        _ => false,
    };
    if !has_form || !is_whole {
        tracing::warn!(
            topic = topic.suffix(),
            partition,
            offset,
            bytes = value.len(),
            "a record of the log is not as it was written; it is passed on as damaged"
        );
        return Record { partition, offset, timestamp_ms, value: value.to_vec(), ..Record::default() };
    }
    Record {
        partition,
        offset,
        timestamp_ms,
        key: key.to_vec(),
        header: header.map(<[u8]>::to_vec),
        value: value.to_vec(),
    }
}

/// Reads the readable rows of a damaged file one by one. An unreadable row becomes a damaged record, so that readers
/// get past it.
fn salvage(
    connection: &Connection,
    topic: Topic,
    partition: i32,
    from: i64,
    records_max: usize,
) -> rusqlite::Result<Vec<Record>> {
    let end = topic_end(connection, topic, partition)?;
    let until = end.min(from.saturating_add(SALVAGED_AT_A_TIME));
    let mut records = Vec::new();
    for offset in from..until {
        if records.len() >= records_max {
            break;
        }
        match read_range(connection, topic, partition, (offset, offset), 1) {
            Ok(found) => records.extend(found),
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                tracing::warn!(topic = topic.suffix(), partition, offset, error = %e, "a record of the log cannot be read");
                records.push(Record { partition, offset, ..Record::default() });
            }
            Err(e) => return Err(e),
        }
    }
    Ok(records)
}

/// Everything in partition 0 of a topic, read a page at a time.
pub struct Records {
    path: PathBuf,
    connection: Connection,
    topic: Topic,
    next: i64,
    page: std::vec::IntoIter<Record>,
}

impl Records {
    /// Opens the file.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(config: &EmbeddedConfig, topic: Topic) -> Result<Records, LogError> {
        Records::open_from(config, topic, 0)
    }

    /// Opens the file; reading begins at `offset`, or at the oldest record after it.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open_from(config: &EmbeddedConfig, topic: Topic, offset: i64) -> Result<Records, LogError> {
        let connection = open(config)?;
        Ok(Records { path: config.path.clone(), connection, topic, next: offset, page: Vec::new().into_iter() })
    }

    /// Opens the file; reading begins at the first record whose log time is `since_ms` or later.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open_since(config: &EmbeddedConfig, topic: Topic, since_ms: i64) -> Result<Records, LogError> {
        let records = Records::open(config, topic)?;
        let question = "SELECT offset FROM record WHERE topic = ?1 AND partition = 0 AND timestamp_ms >= ?2 ORDER BY offset LIMIT 1";
        let first = records
            .connection
            .query_row(question, params![topic.suffix(), since_ms], |row| row.get(0))
            .optional()
            .and_then(|first| first.map_or_else(|| topic_end(&records.connection, topic, 0), Ok))
            .map_err(|e| error(&records.path, "looking for a time in it", &e))?;
        Ok(Records { next: first, ..records })
    }

    /// The offset of the next record, or of the oldest one behind it, and the end of the topic.
    ///
    /// # Errors
    /// As SQLite says.
    pub fn offsets(&self) -> Result<(i64, i64), LogError> {
        let ask = || -> rusqlite::Result<(i64, i64)> {
            let oldest: Option<i64> = self.connection.query_row(
                "SELECT min(offset) FROM record WHERE topic = ?1 AND partition = 0 AND offset >= ?2",
                params![self.topic.suffix(), self.next],
                |row| row.get(0),
            )?;
            let end = topic_end(&self.connection, self.topic, 0)?;
            Ok((oldest.unwrap_or(end), end))
        };
        ask().map_err(|e| error(&self.path, "asking for its offsets", &e))
    }
}

impl Iterator for Records {
    type Item = Result<Record, LogError>;

    fn next(&mut self) -> Option<Result<Record, LogError>> {
        if self.page.len() == 0 {
            match read(&self.connection, self.topic, 0, self.next, READ_PAGE) {
                Ok(page) => self.page = page.into_iter(),
                Err(e) => return Some(Err(error(&self.path, "reading", &e))),
            }
        }
        let record = self.page.next()?;
        self.next = record.offset + 1; // + 1, since a position names the next record
        Some(Ok(record))
    }
}
