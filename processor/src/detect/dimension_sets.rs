//! Sets of dimension values, each held once however many hosts have it. A million hosts have some thousands of sets.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::strings::StringId;

/// A dimension and its value.
pub(super) type DimensionValue = (StringId, StringId);

/// The number of a set; number 0 is the empty one.
pub(super) type SetId = u32;

/// Estimated memory of a set without its pairs, and of a pair, which is in the list and in the index;
/// `tests/memory_detector.rs` measures both.
const SET_BYTES: u64 = 128;
const PAIR_BYTES: u64 = 16;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Vec<DimensionSet>")]
#[serde(into = "Vec<DimensionSet>")]
pub(super) struct DimensionSets {
    sets: Vec<DimensionSet>,
    by_pairs: BTreeMap<Box<[DimensionValue]>, SetId>,
    /// Sets that no host has, to be used again; the least first.
    free: BTreeSet<SetId>,
    /// Number of pairs of all sets.
    pair_count: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct DimensionSet {
    pairs: Box<[DimensionValue]>,
    /// Number of hosts that have the set.
    hosts: u32,
}

impl From<Vec<DimensionSet>> for DimensionSets {
    fn from(sets: Vec<DimensionSet>) -> DimensionSets {
        let numbered = || (0..).zip(&sets).skip(1);
        let by_pairs = numbered().filter(|(_, set)| set.hosts > 0).map(|(id, set)| (set.pairs.clone(), id)).collect();
        // A snapshot does not hold the order in which numbers became free, so the least number is used first.
        let free = numbered().filter(|(_, set)| set.hosts == 0).map(|(id, _)| id).collect();
        let pair_count = sets.iter().map(|set| set.pairs.len() as u64).sum();
        DimensionSets { sets, by_pairs, free, pair_count }
    }
}

impl From<DimensionSets> for Vec<DimensionSet> {
    fn from(sets: DimensionSets) -> Vec<DimensionSet> {
        sets.sets
    }
}

impl DimensionSets {
    pub(super) fn new() -> DimensionSets {
        DimensionSets::from(vec![DimensionSet::default()])
    }

    /// Estimated memory of the sets.
    pub(super) fn bytes(&self) -> u64 {
        self.sets.len() as u64 * SET_BYTES + self.pair_count * PAIR_BYTES
    }

    /// All pairs of sets that hosts have; a pair may come several times.
    pub(super) fn all_pairs(&self) -> impl Iterator<Item = DimensionValue> {
        self.sets.iter().filter(|set| set.hosts > 0).flat_map(|set| set.pairs.iter().copied())
    }

    /// Every set that hosts have: its number, its pairs, and how many hosts have it.
    pub(super) fn counted(&self) -> impl Iterator<Item = (SetId, &[DimensionValue], u32)> {
        let numbered = (0..).zip(&self.sets).filter(|(_, set)| set.hosts > 0);
        numbered.map(|(id, set)| (id, &*set.pairs, set.hosts))
    }

    pub(super) fn pairs(&self, id: SetId) -> &[DimensionValue] {
        self.sets.get(id as usize).map_or(&[], |set| &set.pairs)
    }

    /// Number of hosts that have a value, and of hosts with any value of its dimension.
    pub(super) fn hosts_with(&self, pair: DimensionValue) -> (u64, u64) {
        let (mut with, mut known) = (0, 0);
        for set in &self.sets {
            if set.pairs.iter().any(|(name, _)| *name == pair.0) {
                known += u64::from(set.hosts);
                with += if set.pairs.contains(&pair) { u64::from(set.hosts) } else { 0 };
            }
        }
        (with, known)
    }

    /// The names of dimensions that hosts have; a name may come several times.
    pub(super) fn names(&self) -> impl Iterator<Item = StringId> {
        self.sets.iter().filter(|set| set.hosts > 0).flat_map(|set| set.pairs.iter().map(|(name, _)| *name))
    }

    /// All numbers are below this one.
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    /// Moves a host from set `before` to the set of `pairs`, and returns the number of this set.
    pub(super) fn change(&mut self, before: SetId, pairs: &[DimensionValue]) -> SetId {
        if *pairs == *self.pairs(before) {
            return before;
        }
        let id = self.take(pairs);
        self.release(before);
        id
    }

    /// Frees the memory of numbers at the end that no host has.
    pub(super) fn trim(&mut self) {
        while self.sets.len() > 1 && self.sets.last().is_some_and(|set| set.hosts == 0) {
            self.sets.pop();
        }
        self.sets.shrink_to_fit();
        self.free.split_off(&SetId::try_from(self.sets.len()).unwrap_or(SetId::MAX));
    }

    fn take(&mut self, pairs: &[DimensionValue]) -> SetId {
        if pairs.is_empty() {
            return 0;
        }
        if let Some(&id) = self.by_pairs.get(pairs) {
            self.sets[id as usize].hosts += 1;
            return id;
        }
        let set = DimensionSet { pairs: pairs.into(), hosts: 1 };
        let id = match self.free.pop_first() {
            Some(id) => {
                self.sets[id as usize] = set;
                id
            }
            None => {
                let Ok(id) = SetId::try_from(self.sets.len()) else { return 0 };
                self.sets.push(set);
                id
            }
        };
        self.by_pairs.insert(pairs.into(), id);
        self.pair_count += pairs.len() as u64;
        id
    }

    fn release(&mut self, id: SetId) {
        if id == 0 {
            return;
        }
        let set = &mut self.sets[id as usize];
        set.hosts -= 1;
        if set.hosts == 0 {
            self.by_pairs.remove(&set.pairs);
            self.pair_count -= set.pairs.len() as u64;
            set.pairs = Box::default();
            self.free.insert(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_lives_as_long_as_a_host_has_it() {
        let mut sets = DimensionSets::new();
        let (a, b): (&[DimensionValue], &[DimensionValue]) = (&[(1, 2), (3, 4)], &[(1, 5)]);
        let first = sets.change(0, a);
        assert_eq!((first, sets.change(0, a), sets.change(0, b)), (1, 1, 2));
        assert_eq!((sets.pairs(1), sets.pairs(2), sets.pairs(0)), (a, b, &[][..]));
        assert_eq!((sets.change(1, b), sets.change(1, b)), (2, 2), "both hosts of the first set have changed");
        let mut sets = DimensionSets::from(Vec::from(sets));
        assert_eq!((sets.pairs(1).len(), sets.change(0, a), sets.len()), (0, 1, 3), "its number is used again");
        assert_eq!(sets.change(2, &[]), 0);
    }
}
