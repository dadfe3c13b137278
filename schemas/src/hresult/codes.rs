//! All codes of one line, and which of them decides.
//!
//! ```text
//! Exit Code: 0x80246008, Extended Code: 0x80070422                       the first failure decides
//! resultMapped=8024200B resultUnMapped=800B0109                          a code of certificate trust decides
//! Exit code = 0x00000000; Call error code = 0x80240022                   a failure decides over a success
//! ```

use super::{family, is_failure};

/// Maximum number of codes of one line. Lines of real logs have up to three codes; a longer list is a dump.
pub const CODES_MAX: usize = 8;

/// The codes of one line in their order, each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codes {
    codes: [u32; CODES_MAX],
    len: u8,
    decisive: Option<u32>,
    decides: Rank,
}

/// Precedence of a code among the codes of its line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    #[default]
    None,
    /// Zero.
    Done,
    /// A success code other than zero, such as `0x00240005`: a restart is needed.
    Success,
    Failure,
    /// A failure of certificate trust: the cause, which other codes of the line only wrap.
    Trust,
}

impl Rank {
    fn of(code: u32) -> Rank {
        match code {
            0 => Rank::Done,
            code if !is_failure(code) => Rank::Success,
            code if family(code).is_none() => Rank::Failure,
            _ => Rank::Trust,
        }
    }
}

impl Codes {
    /// A line's only code, such as the column of a report.
    #[must_use]
    pub fn of(code: Option<u32>) -> Codes {
        let mut codes = Codes::default();
        code.into_iter().for_each(|code| codes.add(code));
        codes
    }

    /// Adds the next code of the line. A code beyond [`CODES_MAX`] is not listed, but may still decide.
    pub fn add(&mut self, code: u32) {
        let rank = Rank::of(code);
        if rank > self.decides {
            (self.decisive, self.decides) = (Some(code), rank);
        }
        let len = usize::from(self.len);
        if len < CODES_MAX && !self.codes[..len].contains(&code) {
            self.codes[len] = code;
            self.len += 1;
        }
    }

    /// The code that decides: a failure of certificate trust before any other failure, a failure before a success,
    /// another success code before zero. Among equals the first one decides.
    #[must_use]
    pub fn decisive(&self) -> Option<u32> {
        self.decisive
    }

    /// All codes other than zero, which reports only that a step ended.
    pub fn all(&self) -> impl Iterator<Item = u32> {
        self.codes[..usize::from(self.len)].iter().copied().filter(|code| *code != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_decides() {
        let check = |codes: &[u32], expect: Option<u32>| {
            let mut all = Codes::default();
            codes.iter().for_each(|code| all.add(*code));
            assert_eq!(all.decisive(), expect, "{codes:08x?}");
        };
        check(&[], None);
        check(&[0x8024_6008, 0x8007_0422], Some(0x8024_6008));
        check(&[0x8024_200B, 0x800B_0109], Some(0x800B_0109));
        check(&[0x800B_0101, 0x800B_0109], Some(0x800B_0101));
        check(&[0, 0x8024_0022], Some(0x8024_0022));
        check(&[0, 0x0024_0005], Some(0x0024_0005));
        check(&[0x0024_0005, 0], Some(0x0024_0005));
    }

    #[test]
    fn codes_beyond_the_bound_are_not_listed_but_decide() {
        let mut all = Codes::default();
        (0..20).for_each(|number| all.add(0x8024_0001 + number));
        all.add(0x8024_0001);
        all.add(0x800B_0109);
        assert_eq!((all.all().count(), all.decisive()), (CODES_MAX, Some(0x800B_0109)));
    }
}
