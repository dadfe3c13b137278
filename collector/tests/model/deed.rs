//! What may happen to logs and to their collector.

use proptest::prelude::*;

use super::sink::Mood;

/// How many logs there are, in one folder.
pub(crate) const LOGS: usize = 2;

/// What holds for a whole sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// An input names rotated files too, as `*.log*`.
    pub(crate) rotated_are_named: bool,
}

/// How a file gets new content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Truncated and written again.
    InPlace,
    /// Overwritten from the start, then cut to its new size: never empty.
    Over,
    /// Another file is renamed over it.
    Rename,
}

/// How text becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Utf8Bom,
    Utf16Le,
}

/// One thing that happens. `log` names one of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Lines are written; of the last one only this many percent of its bytes, where told so.
    Append { log: usize, lines: usize, part: Option<usize> },
    /// The writer keeps only the last lines.
    CutHead { log: usize, keep: usize, how: How },
    /// The log is rewritten as a whole, with older lines than the file had or not; where told so, after the line
    /// `Checking write access`, at which a pass looks or not.
    Regenerate { log: usize, older: usize, how: How, encoding: Encoding, check: Option<bool> },
    /// All that the file holds is gone.
    Truncate { log: usize },
    /// Another log takes its place.
    Replace { log: usize, lines: usize, how: How },
    /// The file is renamed; the next line begins a new one.
    Rotate { log: usize },
    /// The file is copied, then truncated.
    CopyTruncate { log: usize },
    /// The file is removed; the next line begins a new one.
    Delete { log: usize },
    /// The share goes away, or comes back.
    Share { there: bool },
    /// One pass of the collector.
    Pass,
    /// Passes until all is acknowledged, as far as the broker allows.
    Pump,
    /// A second went by: positions are kept.
    Checkpoint,
    /// Kill -9; this many records that were on their way had arrived all the same.
    Crash { arrived: usize },
    /// An orderly stop; the next pass starts it again.
    Stop,
    /// The broker changes.
    Broker(Mood),
}

pub(crate) fn setting() -> impl Strategy<Value = Setting> {
    any::<bool>().prop_map(|rotated_are_named| Setting { rotated_are_named })
}

fn how() -> impl Strategy<Value = How> {
    prop::sample::select(vec![How::InPlace, How::Over, How::Rename])
}

fn encoding() -> impl Strategy<Value = Encoding> {
    prop::sample::select(vec![Encoding::Utf8, Encoding::Utf8Bom, Encoding::Utf16Le])
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        3 => Just(Mood::Takes),
        4 => prop::sample::select(vec![
            Mood::Silent, Mood::Deaf, Mood::FullAfter(3), Mood::Away, Mood::Fails, Mood::Lies, Mood::FailsAfter(2),
            Mood::Backwards,
        ]),
    ]
}

pub(crate) fn deed() -> impl Strategy<Value = Deed> {
    let log = || 0..LOGS;
    prop_oneof![
        10 => (log(), 1usize..12, prop::option::weighted(0.3, 0usize..100))
            .prop_map(|(log, lines, part)| Deed::Append { log, lines, part }),
        2 => (log(), 3usize..16, how()).prop_map(|(log, keep, how)| Deed::CutHead { log, keep, how }),
        3 => (log(), 0usize..12, how(), encoding(), any::<Option<bool>>())
            .prop_map(|(log, older, how, encoding, check)| Deed::Regenerate { log, older, how, encoding, check }),
        1 => log().prop_map(|log| Deed::Truncate { log }),
        1 => (log(), 1usize..12, how()).prop_map(|(log, lines, how)| Deed::Replace { log, lines, how }),
        3 => log().prop_map(|log| Deed::Rotate { log }),
        1 => log().prop_map(|log| Deed::CopyTruncate { log }),
        1 => log().prop_map(|log| Deed::Delete { log }),
        1 => any::<bool>().prop_map(|there| Deed::Share { there }),
        6 => Just(Deed::Pass),
        3 => Just(Deed::Pump),
        2 => Just(Deed::Checkpoint),
        3 => (0usize..20).prop_map(|arrived| Deed::Crash { arrived }),
        2 => Just(Deed::Stop),
        4 => mood().prop_map(Deed::Broker),
    ]
}
