//! The hosts of a partition, and the log times at which they have due work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::config::NormalizerConfig;
use super::host::{Host, Moment, Worth};

/// Least memory of a partition.
const BYTES_MIN: u64 = 4 * 1024 * 1024;

/// A host that takes more than 1/256 of a partition's memory is heavy.
const HEAVY_SHARE: u64 = 256;

/// Returns the memory that the hosts of one partition may take: an equal part of the budget.
pub(super) fn bytes_max(config: &NormalizerConfig, partitions: i32) -> u64 {
    let share = u64::from(partitions.max(1).unsigned_abs());
    (config.limits.memory_mib_max as u64 * 1024 * 1024 / share).max(BYTES_MIN)
}

/// Hosts by id. A hash map, since a tree compares a dozen ids for each line. No output depends on the order of the map:
/// hosts that are written or chosen are sorted first. Each process has its own hash seed, so nobody can choose ids that
/// collide.
#[derive(Clone, Debug, Default)]
pub(super) struct HostsById {
    by_id: HashMap<Arc<str>, Host>,
    /// Hosts by the log time of their next due work.
    due: BTreeSet<(i64, Arc<str>)>,
    /// Forgotten hosts with a held record, whose lines are still to be written.
    forgotten: Vec<Host>,
    /// Memory that the hosts take, as of their last weighings.
    bytes: u64,
    /// Hosts that were forgotten for lack of room.
    forgotten_count: u64,
}

impl HostsById {
    /// Removes and returns a forgotten host with a held record.
    pub(super) fn next_forgotten(&mut self) -> Option<Host> {
        self.forgotten.pop()
    }

    /// Returns the host of that id, created where it is new, and the index that the caller updates with
    /// [`DueTimes::keep`].
    pub(super) fn host(
        &mut self,
        id: &str,
        at: Moment,
        config: &NormalizerConfig,
        partitions: i32,
    ) -> (&mut Host, DueTimes<'_>) {
        let limits = &config.limits;
        let bytes_max = bytes_max(config, partitions);
        if self.bytes > bytes_max {
            self.make_room(bytes_max, id);
        }
        if self.by_id.len() >= limits.hosts_max.max(1) && !self.by_id.contains_key(id) {
            self.forget(limits.hosts_max / 16 + 1, 0, id);
        }
        let host = match self.by_id.entry_ref(id) {
            EntryRef::Occupied(known) => known.into_mut(),
            EntryRef::Vacant(place) => {
                let id: Arc<str> = id.into();
                place.insert_with_key(Arc::clone(&id), Host::new(id, at.log_time))
            }
        };
        (host, DueTimes { due: &mut self.due, bytes: &mut self.bytes })
    }

    /// Returns the host of that id, where it is known.
    pub(super) fn known(&self, id: &str) -> Option<&Host> {
        self.by_id.get(id)
    }

    /// Returns the number of known hosts.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Memory that the hosts take, as of their last weighings.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Hosts that were forgotten for lack of room.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten_count
    }

    /// Handles that log time was wrong and has gone back: no time may lie after `log_time`.
    pub(super) fn go_back(&mut self, log_time: i64) {
        self.due.clear();
        for host in self.by_id.values_mut() {
            host.go_back(log_time);
            // Every host becomes due now, so that its due times are computed again.
            host.due = Some(log_time);
            self.due.insert((log_time, Arc::clone(&host.id)));
        }
    }

    /// Returns the next host with due work.
    pub(super) fn next_due(&mut self, log_time: i64) -> Option<(&mut Host, DueTimes<'_>)> {
        self.due.first().filter(|(due, _)| *due <= log_time)?;
        let (_, id) = self.due.pop_first()?;
        let host = self.by_id.get_mut(&id).expect("a forgotten host has no due time");
        host.due = None;
        Some((host, DueTimes { due: &mut self.due, bytes: &mut self.bytes }))
    }

    /// Returns the notices about files without a line of Windows Update, in the order of hosts and files.
    pub(super) fn strange_files(&mut self) -> Vec<String> {
        let mut hosts: Vec<_> = self.by_id.iter_mut().collect();
        hosts.sort_unstable_by_key(|(id, _)| *id);
        hosts.into_iter().flat_map(|(_, host)| host.strange_files()).collect()
    }

    /// Makes room: heavy hosts lose their oldest files, then hosts are forgotten, a sixteenth at a time, so that a full
    /// memory costs little for each record.
    fn make_room(&mut self, bytes_max: u64, spared: &str) {
        let heavy = bytes_max / HEAVY_SHARE;
        for host in self.by_id.values_mut().filter(|host| u64::from(host.bytes()) > heavy) {
            let before = host.bytes();
            host.forget_older_half();
            self.bytes = self.bytes.saturating_sub(before.saturating_sub(host.bytes()).into());
        }
        let wanted = bytes_max - bytes_max / 16;
        if self.bytes > wanted {
            self.forget(0, self.bytes - wanted, spared);
        }
    }

    /// Forgets at least so many hosts and so many bytes, hosts of the lowest rank first.
    fn forget(&mut self, hosts: usize, bytes: u64, spared: &str) {
        let mut least: Vec<(Worth, Arc<str>)> = self
            .by_id
            .iter()
            .filter(|(id, _)| ***id != *spared)
            .map(|(id, host)| (host.worth(), Arc::clone(id)))
            .collect();
        least.sort_unstable();
        let aim = self.bytes.saturating_sub(bytes);
        for (number, (_, id)) in least.into_iter().enumerate() {
            if number >= hosts && self.bytes <= aim {
                break;
            }
            let Some(host) = self.by_id.remove(&id) else { continue };
            self.bytes = self.bytes.saturating_sub(host.bytes().into());
            self.forgotten_count += 1;
            if let Some(due) = host.due {
                self.due.remove(&(due, id));
            }
            if host.holds_record() {
                self.forgotten.push(host);
            }
        }
    }
}

/// The index of due times, and the sum of the hosts' weights.
pub(super) struct DueTimes<'a> {
    due: &'a mut BTreeSet<(i64, Arc<str>)>,
    bytes: &'a mut u64,
}

impl DueTimes<'_> {
    /// Updates the index with the due time and the weight of a host.
    pub(super) fn keep(self, host: &mut Host, at: Moment, config: &NormalizerConfig) {
        if let Some((before, after)) = host.weigh_where_due() {
            *self.bytes = self.bytes.saturating_sub(before.into()).saturating_add(after.into());
        }
        // Work that was due has been settled, so the next due time lies after log time and the loop over `next_due`
        // ends.
        let next = host.next_due(config).map(|next| next.max(at.log_time.saturating_add(1)));
        if host.due == next {
            return;
        }
        if let Some(old) = host.due {
            self.due.remove(&(old, Arc::clone(&host.id)));
        }
        host.due = next;
        if let Some(next) = next {
            self.due.insert((next, Arc::clone(&host.id)));
        }
    }
}

/// The part of a snapshot that belongs to no single host.
#[derive(Serialize, Deserialize)]
struct HostsCommon<H> {
    by_id: H,
    forgotten: u64,
}

impl Serialize for HostsById {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let by_id: BTreeMap<&str, &Host> = self.by_id.iter().map(|(id, host)| (&**id, host)).collect();
        HostsCommon { by_id, forgotten: self.forgotten_count }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for HostsById {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HostsById, D::Error> {
        let kept = HostsCommon::<BTreeMap<String, Host>>::deserialize(deserializer)?;
        let mut hosts = HostsById { forgotten_count: kept.forgotten, ..HostsById::default() };
        for (id, mut host) in kept.by_id {
            host.id = id.into();
            hosts.bytes = hosts.bytes.saturating_add(host.bytes().into());
            hosts.due.extend(host.due.map(|due| (due, Arc::clone(&host.id))));
            hosts.by_id.insert(Arc::clone(&host.id), host);
        }
        Ok(hosts)
    }
}
