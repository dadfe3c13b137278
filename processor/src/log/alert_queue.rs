//! Where a channel reads documents and keeps its position: a consumer group of its own on Kafka, a row in the embedded log.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{LogError, Record};

/// The last document that a channel delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDelivery {
    /// Its incident.
    pub id: String,
    /// Its number within the incident.
    pub seq: u32,
    /// When the endpoint took it, milliseconds since 1970 UTC.
    pub time_ms: i64,
}

/// How far a channel is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelPosition {
    /// The next offset: everything below is delivered, left out or set aside.
    pub next: i64,
    /// The last delivery.
    pub last: Option<LastDelivery>,
}

/// What one [`AlertQueue::poll`] brought.
#[derive(Debug, Default)]
pub struct PolledAlerts {
    /// Whether this process delivers the channel from now on, where that has changed. Then [`AlertQueue::start_at`] must
    /// follow before documents come.
    pub owned: Option<bool>,
    /// Documents in offset order.
    pub records: Vec<Record>,
}

/// The documents of `wulog.alerts` as one channel reads them. Kafka and the embedded log are its two implementations.
pub trait AlertQueue: Send {
    /// Waits up to `wait` for at most `room` documents. Must be called every few seconds also without room: a group
    /// gives the channel to another process when a member is silent.
    ///
    /// # Errors
    /// See [`LogError`]; so with every method here.
    fn poll(&mut self, room: usize, wait: Duration) -> Result<PolledAlerts, LogError>;

    /// Reads on from this offset.
    fn start_at(&mut self, next: i64) -> Result<(), LogError>;

    /// The committed position; `None` before the first commit.
    fn committed(&mut self) -> Result<Option<ChannelPosition>, LogError>;

    /// Commits a position.
    fn commit(&mut self, position: &ChannelPosition) -> Result<(), LogError>;

    /// Gives every document from the oldest to the end as of now, and returns that end.
    fn read_all(&mut self, each: &mut dyn FnMut(Record)) -> Result<i64, LogError>;

    /// The notes of this channel by key, durable like the log: what is set aside.
    fn notes(&mut self) -> Result<BTreeMap<String, Vec<u8>>, LogError>;

    /// Writes a note, or deletes it.
    fn note(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), LogError>;
}

/// The prefix of a channel's keys in `wulog.state`.
#[must_use]
pub fn note_prefix(channel: &str) -> String {
    format!("channel/{channel}/")
}
