//! Documents that were read and are not delivered yet, and the position that may be committed meanwhile. Pure.
//!
//! A journal keeps every document in its order. A state keeps only the newest document of each incident: after an
//! outage no reader wants the steps in between.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::Deserialize;
use wulog_schemas::alert::Alert;

/// Most documents that a journal holds; further ones wait on the topic.
const JOURNAL_MAX: usize = 100;
/// Most incidents that a state holds.
const STATE_MAX: usize = 10_000;
/// Bytes of documents at which no further one is read: a document with all host names of a large fleet has some hundred
/// kilobytes.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// Which documents a channel sends after an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryMode {
    /// Every transition, in order.
    Journal,
    /// The newest state of each incident.
    State,
}

/// A document that is being delivered.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// The document.
    pub(crate) alert: Alert,
    /// The document as it stands on the topic.
    pub(crate) bytes: Vec<u8>,
    /// The offset of the document on the topic.
    pub(crate) offset: i64,
    /// True for the sample of `channels test`.
    pub(crate) sample: bool,
}

impl Item {
    /// The key that makes a repeated request recognizable: `ID/SEQ`.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.alert.id, self.alert.seq)
    }
}

#[derive(Debug)]
struct WaitingDocument {
    item: Item,
    /// Offset of the oldest document that this entry replaces, or of its own document.
    first_offset: i64,
    /// False for a held document whose time has come: the position is past the document already.
    counts: bool,
}

/// The documents that are being delivered, oldest first.
#[derive(Debug)]
pub(crate) struct Backlog {
    mode: DeliveryMode,
    entries: VecDeque<WaitingDocument>,
    bytes: usize,
    /// The offset after the last document read.
    next: i64,
}

impl Backlog {
    /// An empty backlog at this position.
    pub(crate) fn new(mode: DeliveryMode, next: i64) -> Backlog {
        Backlog { mode, entries: VecDeque::new(), bytes: 0, next }
    }

    /// Number of documents that may be read now.
    pub(crate) fn room(&self) -> usize {
        let most = if self.mode == DeliveryMode::Journal { JOURNAL_MAX } else { STATE_MAX };
        if self.bytes >= BYTES_MAX { 0 } else { most.saturating_sub(self.entries.len()) }
    }

    /// Number of documents that are being delivered.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The documents that are being delivered, oldest first.
    pub(crate) fn items(&self) -> impl Iterator<Item = &Item> {
        self.entries.iter().map(|entry| &entry.item)
    }

    /// Notes that everything below `next` was read.
    pub(crate) fn read_up_to(&mut self, next: i64) {
        self.next = self.next.max(next);
    }

    /// Takes a document that was read.
    pub(crate) fn push(&mut self, item: Item) {
        self.read_up_to(item.offset + 1); // + 1, since a position names the next document
        self.add(item, true);
    }

    /// Takes a document whose hold has ended. The position is past this document already, and does not go back.
    pub(crate) fn push_released(&mut self, item: Item) {
        self.add(item, false);
    }

    fn add(&mut self, item: Item, counts: bool) {
        self.bytes += item.bytes.len();
        if self.mode == DeliveryMode::State
            && let Some(older) = self.entries.iter_mut().find(|entry| entry.item.alert.id == item.alert.id)
        {
            self.bytes -= older.item.bytes.len();
            older.first_offset = if older.counts { older.first_offset } else { item.offset };
            older.counts |= counts;
            older.item = item;
            return;
        }
        self.entries.push_back(WaitingDocument { first_offset: item.offset, item, counts });
    }

    /// The document that is delivered next.
    pub(crate) fn head(&self) -> Option<&Item> {
        self.entries.front().map(|entry| &entry.item)
    }

    /// The document after the head.
    pub(crate) fn second(&self) -> Option<&Item> {
        self.entries.get(1).map(|entry| &entry.item)
    }

    /// Removes the head, which is delivered or set aside.
    pub(crate) fn done(&mut self) -> Option<Item> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.item.bytes.len();
        Some(entry.item)
    }

    /// The position that may be committed: every document below is delivered, left out or set aside.
    pub(crate) fn position(&self) -> i64 {
        let waiting = self.entries.iter().filter(|entry| entry.counts).map(|entry| entry.first_offset).min();
        waiting.unwrap_or(self.next).min(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::sample::sample;
    use wulog_schemas::alert::{Level, Transition};

    fn item(id: &str, seq: u32, offset: i64) -> Item {
        let alert = sample(id, seq, Transition::Growing, Level::Medium);
        Item { bytes: vec![0; 10], alert, offset, sample: false }
    }

    fn drain(backlog: &mut Backlog) -> Vec<(String, i64)> {
        std::iter::from_fn(|| backlog.done().map(|item| (item.key(), backlog.position()))).collect()
    }

    #[test]
    fn a_journal_keeps_every_document_in_order() {
        let mut backlog = Backlog::new(DeliveryMode::Journal, 0);
        [item("a", 1, 3), item("b", 1, 4), item("a", 2, 7)].into_iter().for_each(|item| backlog.push(item));
        assert_eq!(backlog.position(), 3);
        let expected = [("a/1", 4), ("b/1", 7), ("a/2", 8)].map(|(key, next)| (key.to_owned(), next));
        assert_eq!(drain(&mut backlog), expected);
    }

    #[test]
    fn a_state_keeps_the_newest_and_its_position_waits_for_the_oldest() {
        let mut backlog = Backlog::new(DeliveryMode::State, 0);
        [item("a", 1, 3), item("b", 1, 4), item("a", 2, 7)].into_iter().for_each(|item| backlog.push(item));
        assert_eq!(backlog.position(), 3);
        let expected = [("a/2", 4), ("b/1", 8)].map(|(key, next)| (key.to_owned(), next));
        assert_eq!(drain(&mut backlog), expected);
    }

    #[test]
    fn a_released_document_does_not_move_the_position_back() {
        let mut backlog = Backlog::new(DeliveryMode::Journal, 9);
        backlog.push_released(item("a", 1, 3));
        assert_eq!(backlog.position(), 9);
        backlog.push(item("a", 2, 12));
        backlog.done();
        assert_eq!(backlog.position(), 12);
        let mut state = Backlog::new(DeliveryMode::State, 9);
        state.push_released(item("a", 1, 3));
        state.push(item("a", 2, 12));
        assert_eq!((state.len(), state.position()), (1, 12));
    }

    #[test]
    fn a_backlog_is_bounded() {
        let mut backlog = Backlog::new(DeliveryMode::Journal, 0);
        while backlog.room() > 0 {
            let offset = i64::try_from(backlog.len()).unwrap();
            backlog.push(item("a", 1, offset));
        }
        assert_eq!(backlog.len(), JOURNAL_MAX);
        let mut large = item("a", 1, 0);
        large.bytes = vec![0; BYTES_MAX];
        let mut state = Backlog::new(DeliveryMode::State, 0);
        state.push(large);
        assert_eq!(state.room(), 0);
    }
}
