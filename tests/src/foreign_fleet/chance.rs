//! Random numbers of a foreign fleet: xorshift64* (Vigna 2016), integers only, so that a seed gives the same bytes
//! everywhere.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// A stream of its own for each seed, purpose and index: FNV-1a mixes them into the first state.
    pub(super) fn new(seed: u64, purpose: &str, index: u64) -> Chance {
        let bytes = seed.to_le_bytes().into_iter().chain(purpose.bytes()).chain(index.to_le_bytes());
        let state = bytes
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let mut chance = Chance(state | 1); // xorshift never leaves the state 0
        chance.next(); // FNV-1a mixes its last bytes badly
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number in `0..bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A number in `from..to`.
    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        from + self.below((to - from) as usize) as i64
    }

    /// True in `percent` of all calls.
    pub(super) fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent as usize
    }

    /// True in `count` of a million calls.
    pub(super) fn per_million(&mut self, count: u32) -> bool {
        self.below(1_000_000) < count as usize
    }

    /// One item of a list.
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// An index, with a probability proportional to its weight.
    pub(super) fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        unreachable!("`left` starts below the sum of all weights")
    }

    /// Shuffles in place (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A GUID in capitals, without braces.
    pub(super) fn guid(&mut self) -> String {
        let hex = self.hex(32).to_uppercase();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// Lower-case hexadecimal digits.
    pub(super) fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from(self.pick(b"0123456789abcdef"))).collect()
    }
}
