//! An index from the hash of a list's elements to their positions, four bytes a slot.
//!
//! A map would hold each key a second time; a million host ids are worth the few lines. Nothing iterates over the
//! index, so its order decides nothing. A snapshot leaves the index out, since the list suffices to rebuild it. The
//! hash has a seed that each process draws for itself, so nobody can choose keys that collide.

use std::hash::{BuildHasher, Hash};
use std::sync::LazyLock;

use hashbrown::{DefaultHashBuilder, HashTable};

/// A number in the list that the index belongs to.
type Number = u32;

/// The seed of this process.
static SEED: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

/// Positions in a list, by the hash of the element there.
#[derive(Clone, Debug, Default)]
pub(super) struct NumberIndex {
    numbers: HashTable<Number>,
}

impl NumberIndex {
    /// The number with this hash for which `is_wanted` holds.
    pub(super) fn find(&self, hash: u64, is_wanted: impl Fn(Number) -> bool) -> Option<Number> {
        self.numbers.find(hash, |number| is_wanted(*number)).copied()
    }

    /// Adds a number that the index does not hold yet; `hash_of` gives the hash of any number in the index.
    pub(super) fn insert(&mut self, number: Number, hash_of: impl Fn(Number) -> u64) {
        self.numbers.insert_unique(hash_of(number), number, |number| hash_of(*number));
    }

    /// Removes a number, which has this hash.
    pub(super) fn remove(&mut self, hash: u64, number: Number) {
        if let Ok(found) = self.numbers.find_entry(hash, |known| *known == number) {
            found.remove();
        }
    }
}

/// A hash with the seed of this process, of use only for [`NumberIndex`].
pub(super) fn hash(key: impl Hash) -> u64 {
    SEED.hash_one(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        let texts: Vec<String> = (0..5_000).map(|n: u32| "x".repeat((n % 40) as usize) + &n.to_string()).collect();
        let mut lookup = NumberIndex::default();
        let hash_of = |number: Number| hash(&*texts[number as usize]);
        let found = |lookup: &NumberIndex, text: &str| lookup.find(hash(text), |n| texts[n as usize] == text);
        for number in 0..4_000 {
            assert_eq!(found(&lookup, &texts[number as usize]), None);
            lookup.insert(number, hash_of);
        }
        for number in 0..5_000 {
            assert_eq!(found(&lookup, &texts[number as usize]), (number < 4_000).then_some(number));
        }
        (0..4_000).step_by(2).for_each(|number| lookup.remove(hash_of(number), number));
        for number in 0..4_000 {
            assert_eq!(found(&lookup, &texts[number as usize]), (number % 2 == 1).then_some(number));
        }
    }
}
