//! Reading a topic of the embedded log.

use std::path::PathBuf;

use rusqlite::{Connection, params};
use wulog_schemas::topic::Topic;

use super::{EmbeddedConfig, error, open};
use crate::log::{LogError, Record};

/// Records that [`Records`] reads at a time.
const READ_PAGE: usize = 5_000;

/// Reads records of one topic partition from `from` on, in offset order.
///
/// # Errors
/// As SQLite says.
pub fn read(
    connection: &Connection,
    topic: Topic,
    partition: i32,
    from: i64,
    records_max: usize,
) -> rusqlite::Result<Vec<Record>> {
    let mut statement = connection.prepare_cached(
        "SELECT offset, timestamp_ms, key, header, value FROM record
         WHERE topic = ?1 AND partition = ?2 AND offset >= ?3 ORDER BY offset LIMIT ?4",
    )?;
    let limit = i64::try_from(records_max).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![topic.suffix(), partition, from, limit], |row| {
        Ok(Record {
            partition,
            offset: row.get(0)?,
            timestamp_ms: row.get(1)?,
            key: row.get::<_, String>(2)?.into_bytes(),
            header: row.get::<_, Option<String>>(3)?.map(String::into_bytes),
            value: row.get::<_, String>(4)?.into_bytes(),
        })
    })?;
    rows.collect()
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
        let connection = open(config)?;
        Ok(Records { path: config.path.clone(), connection, topic, next: 0, page: Vec::new().into_iter() })
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
