//! All incidents, open and ended, by keys that stay valid.
//!
//! A merge removes an incident and a split adds one, so a position in a list would change its meaning in the middle of
//! a transition. A key names the same incident for as long as it is kept.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

use super::incident::Incident;

/// Names an incident within this process and its snapshots; documents name it by [`Incident::id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Key(u64);

/// The incidents, in the order in which they were opened.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Incidents {
    by_key: BTreeMap<Key, Incident>,
    /// The key that the next incident gets.
    next: u64,
}

impl Incidents {
    /// Adds an incident and returns its key.
    pub(super) fn push(&mut self, incident: Incident) -> Key {
        let key = Key(self.next);
        self.next += 1;
        self.by_key.insert(key, incident);
        key
    }

    /// Removes an incident that has no document.
    pub(super) fn remove(&mut self, key: Key) {
        self.by_key.remove(&key);
    }

    /// Whether the incident is still kept.
    pub(super) fn contains(&self, key: Key) -> bool {
        self.by_key.contains_key(&key)
    }

    /// All incidents with their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &Incident)> {
        self.by_key.iter().map(|(key, incident)| (*key, incident))
    }

    /// All incidents.
    pub(super) fn all(&self) -> impl Iterator<Item = &Incident> {
        self.by_key.values()
    }

    /// All incidents, to be changed.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Incident> {
        self.by_key.values_mut()
    }

    /// The keys of all incidents: a list of its own, so that incidents may be changed, added and removed meanwhile.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.by_key.keys().copied().collect()
    }

    /// The first incident for which `wanted` holds.
    pub(super) fn find(&self, wanted: impl Fn(Key, &Incident) -> bool) -> Option<Key> {
        self.iter().find(|(key, incident)| wanted(*key, incident)).map(|(key, _)| key)
    }

    /// Forgets ended incidents, the longest ended first, until fewer than `count_max` incidents are kept. Returns the
    /// open incident that has gained no host for longest where all that are kept are open: the caller must end it with
    /// a document before it may be forgotten.
    pub(super) fn make_room(&mut self, count_max: usize) -> Option<Key> {
        while self.by_key.len() >= count_max.max(1) {
            let oldest = self.iter().min_by_key(|(key, incident)| (incident.is_open(), incident.joined_at, *key));
            let (key, incident) = oldest?;
            if incident.is_open() {
                return Some(key);
            }
            self.by_key.remove(&key);
        }
        None
    }
}

impl Index<Key> for Incidents {
    type Output = Incident;

    fn index(&self, key: Key) -> &Incident {
        self.by_key.get(&key).expect("a key is used while its incident is kept")
    }
}

impl IndexMut<Key> for Incidents {
    fn index_mut(&mut self, key: Key) -> &mut Incident {
        self.by_key.get_mut(&key).expect("a key is used while its incident is kept")
    }
}
