//! The fleet's only source of chance: SplitMix64, written out here so that no dependency can change a fleet's bytes.

use std::ops::Range;

/// SplitMix64 (Steele, Lea, Flood 2014): one 64-bit state, which gives the same sequence for ever.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A stream of its own for each `(seed, purpose, index)`, so that adding a host or an update shifts no other.
    pub(crate) fn stream(seed: u64, purpose: &str, index: u64) -> Random {
        let mut mixed = Random(seed);
        let mut state = mixed.next();
        for byte in purpose.bytes().map(u64::from).chain([index]) {
            mixed = Random(state ^ byte);
            state = mixed.next();
        }
        Random(state)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = self.0;
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`, by multiply and shift: a bias of less than `bound` in 2^64.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the upper half of a 128-bit product has 64 bits")
    }

    /// A number in `range`.
    pub(crate) fn within(&mut self, range: Range<i64>) -> i64 {
        let width = u64::try_from(range.end - range.start).expect("ranges here are written in order");
        let offset = i64::try_from(self.below(width)).expect("an offset below an i64 width fits");
        range.start + offset
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let length = u64::try_from(from.len()).expect("a slice's length fits in 64 bits");
        let index = usize::try_from(self.below(length)).expect("an index into a slice fits");
        &from[index]
    }

    /// A GUID in capitals without braces, as REPORT EVENT writes it between them.
    pub(crate) fn guid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08X}-{:04X}-{:04X}-{:04X}-{:012X}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xffff,
            b >> 48,
            b & 0xffff_ffff_ffff
        )
    }

    /// `digits` lower-case hex digits: names of download folders and content files.
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            text.push_str(&format!("{:016x}", self.next()));
        }
        text.truncate(digits);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs for state 1234567, as published with the algorithm's reference code.
    #[test]
    fn it_is_splitmix64() {
        let mut random = Random(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
        assert_eq!(random.next(), 9_817_491_932_198_370_423);
    }

    #[test]
    fn numbers_stay_within_their_range() {
        let mut random = Random::stream(7, "test", 0);
        for _ in 0..1000 {
            assert!((-3..4).contains(&random.within(-3..4)));
            assert_eq!(random.hex(40).len(), 40);
        }
    }
}
