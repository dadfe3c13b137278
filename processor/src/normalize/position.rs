//! Decides by position and hash which lines of a file are new: a repeat is dropped, a hole is filled, and a reverted
//! file is recognized by the hashes of its lines.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wulog_schemas::event::FileId;

use super::config::NormalizerLimits;

/// The meaning of a line's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Position {
    /// Not seen yet.
    New,
    /// Seen: the line is dropped.
    Repeat,
    /// Another line stood at this position: the file was reverted to an older state and continued differently.
    Rewound,
}

/// One epoch of one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Epoch {
    pub(super) name: String,
    /// The common first part of the line ids.
    pub(super) id: FileId,
    /// Half-open ranges that were taken, sorted and disjoint.
    ranges: Vec<(u64, u64)>,
    /// Offset and hash of the latest lines, sorted by offset.
    recent: VecDeque<(u64, u32)>,
    /// Lines below this offset stand where other lines stood before.
    rewound_until: u64,
    /// Lines with offsets far beyond all others. They are treated as another epoch under the same name, so that they do
    /// not displace the lines of this epoch.
    far: Option<Box<Epoch>>,
}

/// Smallest jump to an offset that is far: no hole in a file is this large, so the line does not belong to this epoch.
const FAR_BYTES: u64 = 1 << 30;

impl Epoch {
    pub(super) fn new(name: &str, id: FileId) -> Epoch {
        Epoch { name: name.to_owned(), id, ranges: Vec::new(), recent: VecDeque::new(), rewound_until: 0, far: None }
    }

    /// Takes the line `[offset, end)`, unless it was taken already.
    pub(super) fn take(&mut self, offset: u64, end: u64, hash: u32, limits: &NormalizerLimits) -> Position {
        if self.is_far(offset) {
            let far = self.far.get_or_insert_with(|| Box::new(Epoch::new(&self.name, self.id)));
            if far.is_far(offset) {
                **far = Epoch::new(&self.name, self.id);
            }
            return match far.take(offset, end, hash, limits) {
                Position::Repeat => Position::Repeat,
                Position::New | Position::Rewound => Position::Rewound,
            };
        }
        if self.covers(offset, end) {
            if !self.stands_where_another_stood(offset, hash) {
                return Position::Repeat;
            }
            self.rewound_until = self.ranges.last().map_or(0, |range| range.1);
            self.cut(offset);
        }
        self.insert(offset, end, limits.ranges_per_epoch_max);
        self.remember(offset, hash, limits.recent_lines_max);
        if offset < self.rewound_until { Position::Rewound } else { Position::New }
    }

    /// The offset after the last line that was taken.
    pub(super) fn end(&self) -> u64 {
        self.ranges.last().map_or(0, |range| range.1)
    }

    fn is_far(&self, offset: u64) -> bool {
        self.ranges.last().is_some_and(|last| offset > last.1.saturating_add(FAR_BYTES))
    }

    fn covers(&self, offset: u64, end: u64) -> bool {
        if self.ranges.last().is_none_or(|last| last.1 <= offset) {
            return false;
        }
        let after = self.ranges.partition_point(|range| range.0 <= offset);
        after > 0 && self.ranges[after - 1].1 >= end
    }

    /// True where a remembered line at this offset has another hash. Only the latest lines have hashes; older positions
    /// count as repeats.
    fn stands_where_another_stood(&self, offset: u64, hash: u32) -> bool {
        match self.recent.binary_search_by_key(&offset, |line| line.0) {
            Ok(at) => self.recent[at].1 != hash,
            Err(at) => at > 0,
        }
    }

    /// Forgets everything from `offset` on.
    fn cut(&mut self, offset: u64) {
        self.ranges.retain(|range| range.0 < offset);
        if let Some(last) = self.ranges.last_mut() {
            last.1 = last.1.min(offset);
        }
        self.recent.truncate(self.recent.partition_point(|line| line.0 < offset));
    }

    fn insert(&mut self, offset: u64, end: u64, ranges_max: usize) {
        // The common case: the next line.
        if let Some(last) = self.ranges.last_mut().filter(|last| last.1 == offset) {
            last.1 = end;
            return;
        }
        let first = self.ranges.partition_point(|range| range.1 < offset);
        let past = self.ranges.partition_point(|range| range.0 <= end);
        let merged = self.ranges[first..past.max(first)]
            .iter()
            .fold((offset, end), |merged, range| (merged.0.min(range.0), merged.1.max(range.1)));
        self.ranges.splice(first..past.max(first), [merged]);
        if self.ranges.len() > ranges_max.max(1) {
            // The smallest range is forgotten, so its lines would be taken again. Closing a hole instead would lose the
            // lines that still arrive for the hole.
            let bytes = |range: &(u64, u64)| range.1.saturating_sub(range.0);
            let smallest = self.ranges.iter().enumerate().min_by_key(|(_, range)| bytes(range)).map(|(at, _)| at);
            smallest.map(|at| self.ranges.remove(at));
        }
    }

    fn remember(&mut self, offset: u64, hash: u32, lines_max: usize) {
        // The common case: the next line.
        if self.recent.back().is_none_or(|last| last.0 < offset) {
            self.recent.push_back((offset, hash));
        } else {
            match self.recent.binary_search_by_key(&offset, |line| line.0) {
                Ok(at) => self.recent[at].1 = hash,
                Err(at) => self.recent.insert(at, (offset, hash)),
            }
        }
        while self.recent.len() > lines_max {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Position::*;
    use super::*;

    /// Takes each step (offset, end, hash) and expects its position.
    fn check(steps: &[(u64, u64, u32, Position)]) {
        let mut epoch = Epoch::new("e", FileId::new("host", "file", "e"));
        let limits = NormalizerLimits { ranges_per_epoch_max: 3, recent_lines_max: 4, ..NormalizerLimits::default() };
        for (at, (offset, end, hash, expect)) in steps.iter().enumerate() {
            assert_eq!(epoch.take(*offset, *end, *hash, &limits), *expect, "step {at} of {steps:?}");
        }
    }

    #[test]
    fn lines_in_order_are_new_and_repeats_are_dropped() {
        check(&[(0, 10, 1, New), (10, 20, 2, New), (0, 10, 1, Repeat), (10, 20, 2, Repeat), (20, 30, 3, New)]);
    }

    #[test]
    fn a_hole_is_filled_once() {
        check(&[(0, 10, 1, New), (20, 30, 3, New), (10, 20, 2, New), (10, 20, 2, Repeat), (20, 30, 3, Repeat)]);
    }

    #[test]
    fn a_reverted_file_goes_on_with_other_lines() {
        check(&[
            (0, 10, 1, New),
            (10, 20, 2, New),
            (20, 30, 3, New),
            (10, 25, 9, Rewound),
            (25, 29, 8, Rewound),
            (10, 25, 9, Repeat),
            (29, 40, 7, Rewound),
            (40, 50, 6, New),
        ]);
    }

    #[test]
    fn a_line_that_begins_between_known_lines_is_another_one() {
        check(&[(0, 10, 1, New), (10, 20, 2, New), (5, 20, 9, Rewound)]);
    }

    #[test]
    fn forged_lines_far_beyond_take_no_place_from_those_that_come() {
        let mut epoch = Epoch::new("e", FileId::new("host", "file", "e"));
        let limits = NormalizerLimits::default();
        assert_eq!(epoch.take(0, 100, 1, &limits), New);
        for forged in 0..1_000_u64 {
            let offset = (1 << 62) + forged * (1 << 35);
            assert_eq!(epoch.take(offset, offset + 10, 7, &limits), Rewound);
            assert_eq!(epoch.take(offset, offset + 10, 7, &limits), Repeat);
            // Forged lines at near offsets leave holes within the bound of a file.
            epoch.take(10_000 + forged * 20, 10_001 + forged * 20, 7, &limits);
        }
        for line in 10..900 {
            assert_eq!(epoch.take(line * 10, line * 10 + 10, 1, &limits), New, "line {line}");
        }
    }

    #[test]
    fn beyond_the_bound_the_smallest_range_is_forgotten() {
        let mut epoch = Epoch::new("e", FileId::new("host", "file", "e"));
        let limits = NormalizerLimits { ranges_per_epoch_max: 3, ..NormalizerLimits::default() };
        for at in 0..100 {
            assert_eq!(epoch.take(at * 2, at * 2 + 1, 1, &limits), New);
            assert!(epoch.ranges.len() <= 3);
        }
    }
}
