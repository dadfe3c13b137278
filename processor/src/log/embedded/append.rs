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
        let (header, value) = (header.map(String::from_utf8_lossy), String::from_utf8_lossy(value));
        let texts = (key.as_bytes(), header.as_deref().map(str::as_bytes), value.as_bytes());
        let crc = checksum(topic, (partition, *next), timestamp_ms, texts);
        self.connection
            .prepare_cached("INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
            .execute(params![topic.suffix(), partition, *next, timestamp_ms, key, header, value, crc])?;
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

/// The CRC-32 of all columns of a row, so that a row that differs from the written one is detected.
pub(super) fn checksum(
    topic: Topic,
    (partition, offset): (i32, i64),
    timestamp_ms: i64,
    (key, header, value): (&[u8], Option<&[u8]>, &[u8]),
) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(topic.suffix().as_bytes());
    crc.update(&partition.to_le_bytes());
    crc.update(&offset.to_le_bytes());
    crc.update(&timestamp_ms.to_le_bytes());
    for text in [Some(key), header, Some(value)] {
        // Lengths distinguish an absent header from an empty one, and keep texts apart.
        crc.update(&text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        crc.update(text.unwrap_or_default());
    }
    crc.finalize()
}

/// The offset that the next record of a partition gets.
pub(super) fn topic_end(connection: &Connection, topic: Topic, partition: i32) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT next FROM topic_end WHERE topic = ?1 AND partition = ?2")?
        .query_row(params![topic.suffix(), partition], |row| row.get(0))
        .optional()
        .map(|next| next.unwrap_or(0))
}
