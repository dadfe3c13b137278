//! Counts of hosts by value, from which factors are computed.

use std::collections::{BTreeMap, BTreeSet};

use super::dimension_sets::DimensionValue;
use super::durations::DAY_MS;
use super::fleet::{Fleet, FleetHost, HostIndex};
use super::member::Member;
use super::strings::StringId;

/// A property that hosts may share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    /// A host's dimension.
    Host(DimensionValue),
    /// A dimension of its operations: a host may have several values, or none before its first operation.
    Operation(DimensionValue),
    /// A subject: an affected host fails at it, a healthy host succeeded at it.
    Subject(StringId),
}

/// Counts of affected or of healthy hosts by value.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) hosts: u64,
    /// Hosts by the set of their own dimensions, and by the set of their operations' dimensions.
    by_set: [Vec<u64>; 2],
    pub(super) subjects: BTreeMap<StringId, u64>,
    /// Hosts that succeeded at some update since a day before the onset, or at a compared subject at any time, and of
    /// which no success since then is forgotten.
    pub(super) tried: u64,
    /// Hosts whose scans reached a server since the onset.
    scanned: u64,
    /// Hosts of which a success since a day before the onset is forgotten, and their known successes at compared
    /// subjects.
    pub(super) forgotten: u64,
    subjects_of_forgotten: BTreeMap<StringId, u64>,
}

impl Tally {
    fn new(fleet: &Fleet) -> Tally {
        let by_set = || vec![0; fleet.sets().len()];
        Tally { by_set: [by_set(), by_set()], ..Tally::default() }
    }

    pub(super) fn of_members<'a>(members: impl Iterator<Item = (&'a HostIndex, &'a Member)>, fleet: &Fleet) -> Tally {
        let mut tally = Tally::new(fleet);
        for (host, member) in members {
            tally.add_sets(&fleet.hosts[*host as usize]);
            for subject in subjects_of(*host, member, fleet) {
                *tally.subjects.entry(subject).or_default() += 1;
            }
        }
        tally
    }

    pub(super) fn of_healthy(
        hosts: impl Iterator<Item = HostIndex>,
        wanted: &BTreeSet<StringId>,
        fleet: &Fleet,
        from: i64,
    ) -> Tally {
        let mut tally = Tally::new(fleet);
        for host in hosts.map(|host| &fleet.hosts[host as usize]) {
            tally.add_sets(host);
            let forgotten = host.dropped_success_since(from);
            let mut tried = false;
            for (subject, time) in host.successes() {
                // A host that succeeded at a compared subject has tried it, however long ago.
                tried |= time >= from || wanted.contains(&subject);
                if wanted.contains(&subject) {
                    let counts = if forgotten { &mut tally.subjects_of_forgotten } else { &mut tally.subjects };
                    *counts.entry(subject).or_default() += 1;
                }
            }
            // A scan before the onset proves nothing: the certificate of the server may have expired since.
            let mut scanned = false;
            for server in host.scanned_since(from + DAY_MS) {
                scanned = true;
                if wanted.contains(&server) && !host.succeeded().any(|subject| subject == server) {
                    *tally.subjects.entry(server).or_default() += 1;
                }
            }
            tally.forgotten += u64::from(forgotten);
            tally.scanned += u64::from(scanned);
            tally.tried += u64::from(tried && !forgotten);
        }
        tally
    }

    fn add_sets(&mut self, host: &FleetHost) {
        self.hosts += 1;
        for (counts, set) in self.by_set.iter_mut().zip(host.sets()) {
            counts[set as usize] += 1;
        }
    }

    /// Hosts by value.
    pub(super) fn values(&self, fleet: &Fleet) -> BTreeMap<Value, u64> {
        let mut values: BTreeMap<Value, u64> = BTreeMap::new();
        for (counts, value) in self.by_set.iter().zip([Value::Host as fn(DimensionValue) -> Value, Value::Operation]) {
            for (set, hosts) in (0..).zip(counts).filter(|(_, hosts)| **hosts > 0) {
                for pair in fleet.sets().pairs(set) {
                    *values.entry(value(*pair)).or_default() += hosts;
                }
            }
        }
        for (subject, hosts) in self.subjects.iter().chain(&self.subjects_of_forgotten) {
            *values.entry(Value::Subject(*subject)).or_default() += hosts;
        }
        values
    }

    /// Hosts that can be compared by a value: those of which the dimension is known.
    pub(super) fn comparable(&self, value: Value, fleet: &Fleet) -> u64 {
        match value {
            Value::Host((name, _)) => self.knowing(0, name, fleet),
            Value::Operation((name, _)) => self.knowing(1, name, fleet),
            Value::Subject(subject) if self.scanned > 0 && fleet.strings.text(subject).starts_with("server:") => {
                self.scanned + self.subjects_of_forgotten.get(&subject).copied().unwrap_or_default()
            }
            Value::Subject(subject) => {
                self.tried + self.subjects_of_forgotten.get(&subject).copied().unwrap_or_default()
            }
        }
    }

    /// Hosts with a known value of a dimension, among their own dimensions (0) or those of their operations (1).
    fn knowing(&self, kind: usize, name: StringId, fleet: &Fleet) -> u64 {
        let knows = |set| fleet.sets().pairs(set).iter().any(|(known, _)| *known == name);
        (0..).zip(&self.by_set[kind]).filter(|(set, hosts)| **hosts > 0 && knows(*set)).map(|(_, hosts)| hosts).sum()
    }
}

/// The subjects at which an affected host fails, and the subject of its onset.
pub(super) fn subjects_of(host: HostIndex, member: &Member, fleet: &Fleet) -> BTreeSet<StringId> {
    let failing = fleet.hosts[host as usize].failing().iter().map(|failing| failing.subject);
    failing.chain([member.onset.subject]).collect()
}
