//! The flags of one event.

use wulog_schemas::event::Flag;

/// All flags with their names, in the order of their bits, which is that in which documents have them.
const FLAGS: [(Flag, &str); 11] = [
    (Flag::Reread, "reread"),
    (Flag::Rewound, "rewound"),
    (Flag::Lossy, "lossy"),
    (Flag::Truncated, "truncated"),
    (Flag::TimeSuspect, "time_suspect"),
    (Flag::TimeFold, "time_fold"),
    (Flag::TimeGap, "time_gap"),
    (Flag::TimeAssumed, "time_assumed"),
    (Flag::TimeMissing, "time_missing"),
    (Flag::Late, "late"),
    (Flag::Undecoded, "undecoded"),
];

/// A set of flags: bits and no list, since most lines of a file that is read for the first time are late.
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

    /// Names of those that are set.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (_, name) = FLAGS.get(rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(*name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_its_name() {
        for (bit, (flag, name)) in FLAGS.into_iter().enumerate() {
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
        // The last flag: a new one belongs into the table.
        assert_eq!(Flag::Undecoded as usize + 1, FLAGS.len());
    }
}
