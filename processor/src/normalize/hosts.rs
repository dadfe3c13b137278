//! The hosts of a partition, and when something of theirs is due.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::config::NormalizerConfig;
use super::host::{Host, Moment};

/// Hosts by id. A hash map, since a tree compares a dozen ids for each line; its order is never seen: what is written or
/// chosen is sorted first.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    by_id: HashMap<Arc<str>, Host, BuildHasherDefault<IdHasher>>,
    /// Hosts by the log time at which something of theirs is due.
    due: BTreeSet<(i64, Arc<str>)>,
}

impl Hosts {
    /// The host of that id, made where it is new, and the index to keep with [`DueTimes::keep`].
    pub(super) fn host(&mut self, id: &str, at: Moment, config: &NormalizerConfig) -> (&mut Host, DueTimes<'_>) {
        if !self.by_id.contains_key(id) {
            self.forget_oldest(config.limits.hosts_max.max(1));
            let id: Arc<str> = id.into();
            self.by_id.insert(Arc::clone(&id), Host::new(id, at.log_time));
        }
        let host = self.by_id.get_mut(id).expect("inserted above");
        (host, DueTimes(&mut self.due))
    }

    /// Takes out the next host of which something is due.
    pub(super) fn next_due(&mut self, log_time: i64) -> Option<(&mut Host, DueTimes<'_>)> {
        self.due.first().filter(|(due, _)| *due <= log_time)?;
        let (_, id) = self.due.pop_first()?;
        let host = self.by_id.get_mut(&id).expect("a forgotten host has no due time");
        host.due = None;
        Some((host, DueTimes(&mut self.due)))
    }

    /// Where there are too many, the sixteenth that was silent longest is forgotten, all at once, so that a full map
    /// costs little for each host.
    fn forget_oldest(&mut self, hosts_max: usize) {
        if self.by_id.len() < hosts_max {
            return;
        }
        let mut oldest: Vec<(i64, Arc<str>)> =
            self.by_id.iter().map(|(id, host)| (host.last_log, Arc::clone(id))).collect();
        oldest.sort_unstable();
        for (_, id) in oldest.into_iter().take(hosts_max / 16 + 1) {
            if let Some(due) = self.by_id.remove(&id).and_then(|host| host.due) {
                self.due.remove(&(due, id));
            }
        }
    }
}

/// Hashes host ids, which are digests already: the standard hash took longer than all else that finds the host. Keys made
/// to collide cost time, as more hosts would, and those who can write keys can write any number of hosts.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.write_u64(u64::from_ne_bytes(*word));
        }
        for byte in rest {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        // Bits of the golden ratio, as usual; the high bits of the product are the mixed ones.
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The index of due times.
pub(super) struct DueTimes<'a>(&'a mut BTreeSet<(i64, Arc<str>)>);

impl DueTimes<'_> {
    /// Keeps the index in step with a host.
    pub(super) fn keep(self, host: &mut Host, at: Moment, config: &NormalizerConfig) {
        // What was due at once has been settled, so a due time lies ahead and the next_due() of now ends.
        let next = host.next_due(config).map(|next| next.max(at.log_time.saturating_add(1)));
        if host.due == next {
            return;
        }
        if let Some(old) = host.due {
            self.0.remove(&(old, Arc::clone(&host.id)));
        }
        host.due = next;
        if let Some(next) = next {
            self.0.insert((next, Arc::clone(&host.id)));
        }
    }
}

impl Serialize for Hosts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sorted: BTreeMap<&str, &Host> = self.by_id.iter().map(|(id, host)| (&**id, host)).collect();
        sorted.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hosts, D::Error> {
        let mut hosts = Hosts::default();
        for (id, mut host) in BTreeMap::<String, Host>::deserialize(deserializer)? {
            host.id = id.into();
            hosts.due.extend(host.due.map(|due| (due, Arc::clone(&host.id))));
            hosts.by_id.insert(Arc::clone(&host.id), host);
        }
        Ok(hosts)
    }
}
