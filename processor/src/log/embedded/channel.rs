//! A channel's view of the embedded log. Its position and its notes are rows of `state`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};
use wulog_schemas::topic::Topic;

use super::{EmbeddedConfig, POLL_INTERVAL, error, open, read, topic_end};
use crate::log::alert_queue::{AlertQueue, ChannelPosition, PolledAlerts, note_prefix};
use crate::log::{LogError, Record};

/// Number of documents that are read at a time.
const PAGE: usize = 500;

/// The topic of alerts as one channel reads it.
pub struct EmbeddedQueue {
    config: EmbeddedConfig,
    connection: Connection,
    prefix: String,
    told: bool,
    next: i64,
}

impl EmbeddedQueue {
    /// Opens the file for a channel.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(config: &EmbeddedConfig, channel: &str) -> Result<EmbeddedQueue, LogError> {
        let connection = open(config)?;
        let prefix = note_prefix(channel);
        Ok(EmbeddedQueue { config: config.clone(), connection, prefix, told: false, next: 0 })
    }

    fn failed(&self, doing: &str) -> impl Fn(rusqlite::Error) -> LogError + use<> {
        let (path, doing) = (self.config.path.clone(), doing.to_owned());
        move |e| error(&path, &doing, &e)
    }

    fn put(&self, key: &str, value: Option<&[u8]>) -> rusqlite::Result<usize> {
        let key = format!("{}{key}", self.prefix);
        match value {
            Some(value) => self
                .connection
                .prepare_cached("INSERT OR REPLACE INTO state VALUES (0, ?1, ?2)")?
                .execute(params![key, value]),
            None => {
                self.connection.prepare_cached("DELETE FROM state WHERE partition = 0 AND key = ?1")?.execute([key])
            }
        }
    }
}

impl AlertQueue for EmbeddedQueue {
    fn poll(&mut self, room: usize, wait: Duration) -> Result<PolledAlerts, LogError> {
        if !self.told {
            // One process has the file, so this process has every channel.
            self.told = true;
            return Ok(PolledAlerts { owned: Some(true), records: Vec::new() });
        }
        let until = Instant::now() + wait;
        loop {
            if room > 0 {
                let records = read(&self.connection, Topic::Alerts, 0, self.next, room);
                let records = records.map_err(self.failed("reading alerts"))?;
                if let Some(last) = records.last() {
                    self.next = last.offset + 1; // + 1, since a position names the next record
                    return Ok(PolledAlerts { owned: None, records });
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(PolledAlerts::default());
            }
            std::thread::sleep(POLL_INTERVAL.min(left));
        }
    }

    fn start_at(&mut self, next: i64) -> Result<(), LogError> {
        self.next = next;
        Ok(())
    }

    fn committed(&mut self) -> Result<Option<ChannelPosition>, LogError> {
        let key = format!("{}position", self.prefix);
        let value: Option<Vec<u8>> = self
            .connection
            .query_row("SELECT value FROM state WHERE partition = 0 AND key = ?1", [&key], |row| row.get(0))
            .optional()
            .map_err(self.failed("reading a channel's position"))?;
        let Some(value) = value else { return Ok(None) };
        let position = serde_json::from_slice(&value);
        position.map(Some).map_err(|why| LogError::Fatal(format!("{}: {key}: {why}", self.config.path.display())))
    }

    fn commit(&mut self, position: &ChannelPosition) -> Result<(), LogError> {
        let value = serde_json::to_vec(position).expect("a position holds only strings and numbers");
        self.put("position", Some(&value)).map_err(self.failed("writing a channel's position"))?;
        Ok(())
    }

    fn read_all(&mut self, each: &mut dyn FnMut(Record)) -> Result<i64, LogError> {
        let end = topic_end(&self.connection, Topic::Alerts, 0).map_err(self.failed("reading the end of alerts"))?;
        let mut next = 0;
        while next < end {
            let page = read(&self.connection, Topic::Alerts, 0, next, PAGE).map_err(self.failed("reading alerts"))?;
            let Some(last) = page.last() else { break };
            next = last.offset + 1; // + 1, since a position names the next record
            page.into_iter().filter(|record| record.offset < end).for_each(&mut *each);
        }
        Ok(end)
    }

    fn notes(&mut self) -> Result<BTreeMap<String, Vec<u8>>, LogError> {
        let rows = || -> rusqlite::Result<BTreeMap<String, Vec<u8>>> {
            let mut statement = self.connection.prepare_cached(
                "SELECT substr(key, ?2), value FROM state WHERE partition = 0 AND substr(key, 1, ?3) = ?1",
            )?;
            let length = i64::try_from(self.prefix.len()).unwrap_or(i64::MAX - 1);
            let rows =
                statement.query_map(params![self.prefix, length + 1, length], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        rows().map_err(self.failed("reading a channel's notes"))
    }

    fn note(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), LogError> {
        self.put(key, value).map_err(self.failed("writing a channel's note"))?;
        Ok(())
    }
}
