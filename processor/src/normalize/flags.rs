//! The flags of one event.

use strum::VariantArray;
use wulog_schemas::event::Flag;

/// A set of flags as bits. Documents list flags in the order of the bits, which is the order of the variants.
///
/// Bits rather than a list, since most lines of a file that is read for the first time have the flag `late`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u16);

impl Flags {
    /// Sets a flag where `holds`.
    pub(super) fn set(&mut self, flag: Flag, holds: bool) {
        self.0 |= u16::from(holds) << flag as u16;
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True where the flag is set.
    pub(super) fn has(self, flag: Flag) -> bool {
        self.0 >> flag as u16 & 1 == 1
    }

    /// Returns the names of the set flags.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let flag = *Flag::VARIANTS.get(rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(flag.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_its_name() {
        for (bit, flag) in Flag::VARIANTS.iter().copied().enumerate() {
            let name: &str = flag.into();
            assert_eq!(flag as usize, bit);
            let mut flags = Flags::default();
            flags.set(flag, false);
            assert!(flags.is_empty());
            flags.set(flag, true);
            assert_eq!(flags.names().collect::<Vec<_>>(), [name]);
            assert_eq!(serde_json::to_string(&flag).unwrap(), format!("\"{name}\""));
        }
        let mut both = Flags::default();
        both.set(Flag::Late, true);
        both.set(Flag::Lossy, true);
        assert_eq!(both.names().collect::<Vec<_>>(), ["lossy", "late"]);
    }
}
