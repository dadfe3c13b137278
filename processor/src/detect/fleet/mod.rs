//! The state of every host: its dimensions, the subjects at which it fails, the subjects at which it succeeded.
//!
//! A million hosts fit into 400 MB: values that many hosts share are held once (names of updates, sets of dimension
//! values), failures are boxed, since few hosts have any, and times are as small as they can be.

mod host_id;
mod host;
mod dimensions;
mod search;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::HostRefRef;

use self::host::{HostWorth, secs_of};
use self::host_id::{id_of_hex, id_of_odd};
use super::activity::FleetActivity;
use super::attempts::Attempts;
use super::config::DetectorLimits;
use super::dimension_sets::DimensionSets;
use super::number_index::{NumberIndex, hash};
use super::strings::{StringId, Strings, cut};

pub(super) use self::host::{FailingSubject, FleetHost, HostIndex, HostState, Knows, Novelty};

/// Estimated memory of a map entry with a text, without the bytes of the text.
const ENTRY_BYTES: u64 = 64;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Fleet {
    pub(super) strings: Strings,
    sets: DimensionSets,
    pub(super) hosts: Vec<FleetHost>,
    /// Ids that are not 32 hex digits.
    odd_ids: BTreeMap<HostIndex, String>,
    /// Readable names of the updates that fail: title and KB number.
    names: BTreeMap<StringId, String>,
    pub(super) activity: FleetActivity,
    pub(super) attempts: Attempts,
    #[serde(skip)]
    index: NumberIndex,
    /// Numbers of forgotten hosts, which new hosts get, the least first.
    #[serde(skip)]
    free: BTreeSet<HostIndex>,
    /// Memory of hosts, odd ids and names.
    #[serde(skip)]
    bytes: u64,
}

impl Fleet {
    pub(super) fn new() -> Fleet {
        Fleet {
            strings: Strings::new(),
            sets: DimensionSets::new(),
            hosts: Vec::new(),
            odd_ids: BTreeMap::new(),
            names: BTreeMap::new(),
            activity: FleetActivity::default(),
            attempts: Attempts::default(),
            index: NumberIndex::default(),
            free: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// Recreates the fields that no snapshot holds: the index, the free numbers, the sum of memory.
    pub(super) fn index_again(&mut self) {
        self.index = NumberIndex::default();
        self.free.clear();
        self.bytes = self.odd_ids.values().chain(self.names.values()).map(|text| text.len() as u64 + ENTRY_BYTES).sum();
        for number in 0..self.hosts.len() {
            let host = HostIndex::try_from(number).expect("hosts are numbered by 32 bits");
            self.bytes += self.hosts[number].bytes();
            if self.hosts[number].forgotten {
                self.free.insert(host);
            } else {
                self.index_host(host);
            }
        }
    }

    /// How many hosts are known.
    pub(super) fn hosts_known(&self) -> usize {
        self.hosts.len() - self.free.len()
    }

    /// Memory of the fleet, estimated from its counts.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes + self.strings.bytes() + self.sets.bytes()
    }

    /// The number of hosts in each of [`HostState::ALL`]; a host last heard of before `heard_since_ms` is silent.
    pub(super) fn by_state(&self, heard_since_ms: i64) -> [usize; 5] {
        let since = secs_of(heard_since_ms);
        let mut counts = [0; 5];
        for host in self.hosts.iter().filter(|host| !host.forgotten) {
            counts[host.state(since) as usize] += 1;
        }
        counts
    }

    /// Corrects the sum of memory after a change of `host`, which took `before` bytes.
    pub(super) fn weigh_again(&mut self, host: HostIndex, before: u64) {
        self.bytes = self.bytes - before + self.hosts[host as usize].bytes();
    }

    /// The `count` hosts whose loss matters least at log time `now_ms`, but never `spared`.
    pub(super) fn least_worthy(&self, count: usize, now_ms: i64, spared: Option<HostIndex>) -> BTreeSet<HostIndex> {
        let now_secs = secs_of(now_ms);
        let known = (0..).zip(&self.hosts).filter(|(index, host)| !host.forgotten && Some(*index) != spared);
        let mut worths: Vec<HostWorth> = known.map(|(index, host)| host.worth(index, now_secs)).collect();
        if count < worths.len() {
            worths.select_nth_unstable(count);
            worths.truncate(count);
        }
        worths.into_iter().map(|worth| worth.host).collect()
    }

    /// Forgets hosts. Their numbers are given to new hosts.
    pub(super) fn forget(&mut self, hosts: &BTreeSet<HostIndex>) {
        for &index in hosts {
            let host = std::mem::replace(
                &mut self.hosts[index as usize],
                FleetHost { forgotten: true, ..FleetHost::default() },
            );
            self.bytes = self.bytes - host.bytes() + self.hosts[index as usize].bytes();
            self.index.remove(hash(host.id), index);
            if let Some(id) = self.odd_ids.remove(&index) {
                self.bytes -= id.len() as u64 + ENTRY_BYTES;
            }
            self.sets.change(host.traits, &[]);
            self.sets.change(host.operations, &[]);
            self.activity.forget(host.activity);
            self.free.insert(index);
        }
        while self.hosts.last().is_some_and(|host| host.forgotten) {
            self.bytes -= self.hosts.pop().map_or(0, |host| host.bytes());
        }
        self.hosts.shrink_to_fit();
        self.free.split_off(&HostIndex::try_from(self.hosts.len()).unwrap_or(HostIndex::MAX));
        self.sets.trim();
    }

    /// Marks the strings that hosts and their dimensions refer to.
    pub(super) fn mark_used(&self, used: &mut [bool]) {
        let subjects = self.hosts.iter().flat_map(FleetHost::subjects);
        for id in self.sets.all_pairs().flat_map(|(name, value)| [name, value]).chain(subjects) {
            used[id as usize] = true;
        }
    }

    /// Forgets all strings but the marked ones, and returns the number of forgotten strings.
    pub(super) fn keep_strings(&mut self, used: &[bool]) -> u64 {
        let forgotten = self.strings.keep(used);
        for id in &forgotten {
            if let Some(name) = self.names.remove(id) {
                self.bytes -= name.len() as u64 + ENTRY_BYTES;
            }
        }
        self.attempts.forget(&forgotten);
        forgotten.len() as u64
    }

    /// The number of the host with this id, where it is known.
    pub(super) fn find(&self, id: &str, limits: &DetectorLimits) -> Option<HostIndex> {
        let text = cut(id, limits.string_bytes);
        self.find_id(id_of_hex(text).unwrap_or_else(|| id_of_odd(text)))
    }

    fn find_id(&self, id: [u64; 2]) -> Option<HostIndex> {
        self.index.find(hash(id), |number| self.hosts[number as usize].id == id)
    }

    fn index_host(&mut self, host: HostIndex) {
        let hosts = &self.hosts;
        self.index.insert(host, |number| hash(hosts[number as usize].id));
    }

    /// The host that `host` names at log time `now_ms`, added when new; `None` when there is no room. A renamed host
    /// keeps its number.
    pub(super) fn host(&mut self, host: HostRefRef<'_>, now_ms: i64, limits: &DetectorLimits) -> Option<HostIndex> {
        let text = cut(host.id, limits.string_bytes);
        let parsed = id_of_hex(text);
        let id = parsed.unwrap_or_else(|| id_of_odd(text));
        let now_secs = secs_of(now_ms);
        let index = match self.find_id(id) {
            Some(index) => index,
            None if self.hosts_known() >= limits.hosts => return None,
            None => {
                let new = FleetHost { id, first_secs: now_secs, ..FleetHost::default() };
                self.bytes += new.bytes();
                let index = match self.free.pop_first() {
                    Some(index) => {
                        self.bytes -= self.hosts[index as usize].bytes();
                        self.hosts[index as usize] = new;
                        index
                    }
                    None => {
                        let index = HostIndex::try_from(self.hosts.len()).ok()?;
                        self.hosts.push(new);
                        index
                    }
                };
                self.index_host(index);
                if parsed.is_none() {
                    self.bytes += text.len() as u64 + ENTRY_BYTES;
                    self.odd_ids.insert(index, text.to_owned());
                }
                index
            }
        };
        let known = &mut self.hosts[index as usize];
        // Log time may go back: a jump that turned out to be wrong is undone.
        (known.first_secs, known.heard_secs) = (known.first_secs.min(now_secs), now_secs);
        let name = cut(host.name, limits.string_bytes);
        if known.name() != name && !name.is_empty() {
            let before = known.bytes();
            known.name = name.into();
            self.weigh_again(index, before);
        }
        Some(index)
    }

    /// The host id of a number.
    pub(super) fn id_of(&self, host: HostIndex) -> String {
        let [high, low] = self.hosts[host as usize].id;
        self.odd_ids.get(&host).cloned().unwrap_or_else(|| format!("{high:016x}{low:016x}"))
    }

    pub(super) fn string(&mut self, text: &str, limits: &DetectorLimits) -> StringId {
        self.strings.id(text, limits.strings, limits.string_bytes)
    }

    pub(super) fn mark_active(&mut self, host: HostIndex, time_ms: i64) {
        let known = &mut self.hosts[host as usize];
        if !known.was_active_before(time_ms) {
            known.active_from_secs = secs_of(time_ms);
        }
        self.activity.mark(&mut known.activity, time_ms);
    }

    /// Whether the host fails at some subject with a code of this family.
    pub(super) fn still_fails(&self, host: HostIndex, family: Family) -> bool {
        self.hosts[host as usize].failing().iter().any(|failing| failing.family == family)
    }

    /// The number of hosts whose logs cannot be read.
    pub(super) fn unreadable(&self) -> u64 {
        self.hosts.iter().filter(|host| host.unreadable).count() as u64
    }

    /// Notes the readable name of a subject that fails.
    pub(super) fn name_subject(&mut self, subject: StringId, dimensions: &[(&str, &str)], limits: &DetectorLimits) {
        if self.names.contains_key(&subject) || self.names.len() >= limits.strings {
            return;
        }
        let of = |wanted: &str| dimensions.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        let name = match (of("title"), of("kb")) {
            (Some(title), Some(kb)) if !title.contains(kb) => format!("{title} ({kb})"),
            (Some(title), _) => title.to_owned(),
            (None, Some(kb)) => kb.to_owned(),
            (None, None) => return,
        };
        let name = cut(&name, limits.string_bytes).to_owned();
        self.bytes += name.len() as u64 + ENTRY_BYTES;
        self.names.insert(subject, name);
    }

    /// The readable name of a subject, where known.
    pub(super) fn name_of_subject(&self, subject: StringId) -> Option<&str> {
        self.names.get(&subject).map(String::as_str)
    }

    /// Whether a subject stands for an unknown one. Hosts that fail at unknown subjects have nothing in common by them.
    pub(super) fn is_unknown_subject(&self, subject: StringId) -> bool {
        matches!(self.strings.text(subject), "unknown" | "server:unknown")
    }

    /// All sets of dimensions, for counts by set.
    pub(super) fn sets(&self) -> &DimensionSets {
        &self.sets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_any_form_is_one_host() {
        let (mut fleet, limits) = (Fleet::new(), DetectorLimits::default());
        let ids = ["04a7c795a928a5d09b0cbad5910a34d5", "04A7C795A928A5D09B0CBAD5910A34D5", "", "pc-1", "04a7"];
        for round in 0..2 {
            for (place, id) in ids.iter().enumerate() {
                let index = fleet.host(HostRefRef { id, name: "" }, 0, &limits);
                assert_eq!(index, u32::try_from(place).ok(), "{id}, round {round}");
                assert_eq!(fleet.id_of(index.unwrap()), *id);
            }
            fleet.index_again();
        }
    }
}
