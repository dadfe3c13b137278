//! Appending to topics of the embedded log, inside the caller's transaction.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rusqlite::{Connection, OptionalExtension, params};
use wulog_schemas::topic::Topic;

/// Appends records to one topic partition inside the caller's transaction.
pub(super) struct Appender<'c> {
    connection: &'c Connection,
    next: BTreeMap<(Topic, i32), i64>,
}

impl<'c> Appender<'c> {
    pub(super) fn new(connection: &'c Connection) -> Appender<'c> {
        Appender { connection, next: BTreeMap::new() }
    }

    pub(super) fn append(
        &mut self,
        (topic, partition): (Topic, i32),
        timestamp_ms: i64,
        key: &str,
        header: Option<&[u8]>,
        value: &[u8],
    ) -> rusqlite::Result<()> {
        let next = match self.next.entry((topic, partition)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(topic_end(self.connection, topic, partition)?),
        };
        self.connection.prepare_cached("INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
            topic.suffix(),
            partition,
            *next,
            timestamp_ms,
            key,
            header.map(String::from_utf8_lossy),
            String::from_utf8_lossy(value)
        ])?;
        *next += 1;
        Ok(())
    }

    pub(super) fn finish(self) -> rusqlite::Result<()> {
        for ((topic, partition), next) in self.next {
            self.connection
                .prepare_cached("INSERT OR REPLACE INTO topic_end VALUES (?1, ?2, ?3)")?
                .execute(params![topic.suffix(), partition, next])?;
        }
        Ok(())
    }
}

/// The offset that the next record of a partition gets.
pub(super) fn topic_end(connection: &Connection, topic: Topic, partition: i32) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT next FROM topic_end WHERE topic = ?1 AND partition = ?2")?
        .query_row(params![topic.suffix(), partition], |row| row.get(0))
        .optional()
        .map(|next| next.unwrap_or(0))
}
