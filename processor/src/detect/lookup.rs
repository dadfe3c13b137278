//! Finds numbers by what they stand for: an index beside a list, four bytes a slot.
//!
//! A map would hold each key a second time; a million host ids are worth the few lines. Nothing iterates over it, so its
//! order decides nothing, and it is not part of a snapshot: the list that it points into says it all.

/// A number in the list that the index belongs to.
type Number = u32;

const EMPTY: Number = Number::MAX;
/// Odd, and its bits look random: the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Open addressing with linear probing; nothing is ever taken out.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookup {
    /// A power of two of them, at most three quarters in use.
    slots: Vec<Number>,
    used: usize,
}

impl Lookup {
    /// The number with this hash that is the wanted one.
    pub(super) fn find(&self, hash: u64, is_wanted: impl Fn(Number) -> bool) -> Option<Number> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = slot(hash, mask);
        while self.slots[at] != EMPTY {
            if is_wanted(self.slots[at]) {
                return Some(self.slots[at]);
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// Adds a number that is not in it; `hash_of` gives the hash of any number that is.
    pub(super) fn insert(&mut self, number: Number, hash_of: impl Fn(Number) -> u64) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let grown = vec![EMPTY; (self.slots.len() * 2).max(64)];
            for before in std::mem::replace(&mut self.slots, grown).into_iter().filter(|number| *number != EMPTY) {
                self.place(before, hash_of(before));
            }
        }
        self.place(number, hash_of(number));
        self.used += 1;
    }

    fn place(&mut self, number: Number, hash: u64) {
        let mask = self.slots.len() - 1;
        let mut at = slot(hash, mask);
        while self.slots[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.slots[at] = number;
    }
}

fn slot(hash: u64, mask: usize) -> usize {
    // The high bits depend on all of the hash.
    (hash.wrapping_mul(SPREAD) >> 32) as usize & mask
}

/// A hash of text, the same on every machine.
pub(super) fn hash_text(text: &str) -> u64 {
    let mut hash = text.len() as u64;
    let mut chunks = text.as_bytes().chunks_exact(8);
    for chunk in &mut chunks {
        hash = mix(hash, u64::from_le_bytes(chunk.try_into().expect("a chunk has 8 bytes")));
    }
    let mut last = [0; 8];
    last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    mix(hash, u64::from_le_bytes(last))
}

fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(SPREAD);
    mixed ^ (mixed >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        let texts: Vec<String> = (0..5_000).map(|n: u32| "x".repeat((n % 40) as usize) + &n.to_string()).collect();
        let mut lookup = Lookup::default();
        let hash_of = |number: Number| hash_text(&texts[number as usize]);
        let found = |lookup: &Lookup, text: &str| lookup.find(hash_text(text), |n| texts[n as usize] == text);
        for number in 0..4_000 {
            assert_eq!(found(&lookup, &texts[number as usize]), None);
            lookup.insert(number, hash_of);
        }
        for number in 0..5_000 {
            assert_eq!(found(&lookup, &texts[number as usize]), (number < 4_000).then_some(number));
        }
    }
}
