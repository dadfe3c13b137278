//! The start of a channel in this process: from its committed position and its notes.

use std::collections::{BTreeMap, BTreeSet};

use tracing::info;
use wulog_schemas::alert::{Alert, State};

use super::work::{Held, LateDocument, Runner, Work};
use crate::deliver::backlog::Item;
use crate::deliver::filter::{Decision, decide};
use crate::deliver::set_aside::{self, HELD, LATE, PARKED, RECIPIENT, SetAside};
use crate::log::alert_queue::ChannelPosition;
use crate::log::{LogError, Record};

impl Runner {
    /// Reads the history of incidents, and continues at the position of this channel.
    pub(super) fn take_over(&mut self) -> Result<(), LogError> {
        let committed = self.queue.committed()?;
        let notes = self.queue.notes()?;
        let asides: BTreeMap<i64, SetAside> =
            set_aside::among(&notes, HELD).into_iter().map(|aside| (aside.offset, aside)).collect();
        let mut late: BTreeMap<i64, SetAside> =
            set_aside::among(&notes, LATE).into_iter().map(|aside| (aside.offset, aside)).collect();
        // A new channel has committed no position. Its position starts at -1, so that even position 0 counts as moved
        // and is committed.
        let mut work = Work::at(&self.config, committed.clone().unwrap_or(ChannelPosition { next: -1, last: None }));
        work.refused_recipients = recipients_among(&notes);
        work.parked = parked_among(&notes);
        let mut newest: BTreeMap<String, Item> = BTreeMap::new();
        let (wants, channel) = (&self.config.wants, &mut self.channel);
        let end = self.queue.read_all(&mut |record: Record| {
            let Some(item) = item(record) else { return };
            if let Some(aside) = asides.get(&item.offset) {
                let held = Held { aside: aside.clone(), item: item.clone(), released: false };
                work.held.insert(item.alert.id.clone(), held);
            }
            if let Some(aside) = late.remove(&item.offset) {
                channel.send_only_to(&item.key(), &aside.recipients);
                work.late.push(LateDocument::again(item.clone(), aside));
            }
            match &committed {
                Some(position) if item.offset < position.next => {
                    let told = work.history.of(&item.alert.id);
                    // The time of the decision is unknown. Only a hold depends on the time, and holds are noted.
                    let sent =
                        !matches!(decide(wants, &item.alert, told, item.alert.time.updated.0), Decision::Skip(_));
                    work.history.note(&item.alert, sent);
                    channel.recall(&item.alert, sent);
                }
                Some(_) => {}
                None if item.alert.state == State::Open => drop(newest.insert(item.alert.id.clone(), item)),
                None => drop(newest.remove(&item.alert.id)),
            }
        })?;
        match &committed {
            Some(position) => info!(channel = self.config.name, next = position.next, end, "delivering from here on"),
            None => {
                info!(
                    channel = self.config.name,
                    open = newest.len(),
                    "a new channel: it begins with the newest document of each open incident"
                );
            }
        }
        let first = committed.as_ref().map_or(end, |position| position.next);
        let mut by_offset: Vec<Item> = newest.into_values().collect();
        by_offset.sort_by_key(|item| item.offset);
        self.queue.start_at(first)?;
        self.work = Some(work);
        for item in by_offset {
            self.decide(item)?;
        }
        self.advance(first, None)
    }
}

pub(super) fn parked_among(notes: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
    notes.keys().filter(|key| key.starts_with(PARKED)).cloned().collect()
}

fn recipients_among(notes: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
    notes.keys().filter_map(|key| key.strip_prefix(RECIPIENT)).map(str::to_owned).collect()
}

/// The document of a record; `None` where this version cannot read it.
pub(super) fn item(record: Record) -> Option<Item> {
    let alert: Alert = serde_json::from_slice(&record.value).ok()?;
    Some(Item { alert, bytes: record.value, offset: record.offset, sample: false })
}
