//! Which lines of a file have been taken: a repeat is dropped, a hole is filled, a reverted file is told by its hashes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wulog_schemas::event::FileId;

use super::config::Limits;

/// What a line's position says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// Not seen yet.
    New,
    /// Seen: the line is dropped.
    Repeat,
    /// Another line stood there: the file was reverted to an older state and went on differently.
    Rewound,
}

/// One epoch of one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Epoch {
    pub(super) name: String,
    /// Head of the ids of its lines.
    pub(super) id: FileId,
    /// Half-open ranges that were taken, sorted and disjoint.
    ranges: Vec<(u64, u64)>,
    /// Offset and hash of the latest lines, sorted by offset.
    recent: VecDeque<(u64, u32)>,
    /// Lines below this stand where others stood before.
    rewound_until: u64,
}

impl Epoch {
    pub(super) fn new(name: &str, id: FileId) -> Epoch {
        Epoch { name: name.to_owned(), id, ranges: Vec::new(), recent: VecDeque::new(), rewound_until: 0 }
    }

    /// Takes the line `[offset, end)`, unless it was taken already.
    pub(super) fn take(&mut self, offset: u64, end: u64, hash: u32, limits: &Limits) -> Position {
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

    fn covers(&self, offset: u64, end: u64) -> bool {
        if self.ranges.last().is_none_or(|last| last.1 <= offset) {
            return false;
        }
        let after = self.ranges.partition_point(|range| range.0 <= offset);
        after > 0 && self.ranges[after - 1].1 >= end
    }

    /// Only the latest lines are known by hash; older positions count as repeats.
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
            self.ranges[1].0 = self.ranges[0].0;
            self.ranges.remove(0);
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

    /// Each step is (offset, end, hash) and what it should be.
    fn check(steps: &[(u64, u64, u32, Position)]) {
        let mut epoch = Epoch::new("e", FileId::new("host", "file", "e"));
        let limits = Limits { ranges_per_epoch_max: 3, recent_lines_max: 4, ..Limits::default() };
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
    fn beyond_the_bound_the_lowest_hole_counts_as_lost() {
        let mut epoch = Epoch::new("e", FileId::new("host", "file", "e"));
        let limits = Limits { ranges_per_epoch_max: 3, ..Limits::default() };
        for at in 0..100 {
            assert_eq!(epoch.take(at * 2, at * 2 + 1, 1, &limits), New);
            assert!(epoch.ranges.len() <= 3);
        }
    }
}
