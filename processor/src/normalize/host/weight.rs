//! How much memory a host takes, and what its loss would matter.

use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize};

use super::{DAY_MS, Host};

/// A host is weighed again after so many records, or so many for each of its files, since weighing looks at all of them.
const RECORDS_BETWEEN: u32 = 64;
const RECORDS_BETWEEN_PER_FILE: u32 = 16;

/// What a host, and each of its files, takes beside what is written of it: measured by `processor/tests/memory.rs` when files
/// were a tree with room for eleven. As a list they take less than is weighed here: 10.7 of 12.7 kB for a usual host.
const HOST_BYTES: usize = 4_200;
const FILE_BYTES: usize = 3_400;

/// Memory per byte that is written: written numbers are shorter, and containers have room to spare.
const PER_WRITTEN: usize = 2;

/// What was weighed, and how long ago. Part of a snapshot, so that what is forgotten does not depend on restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Weight {
    bytes: u32,
    records: u32,
    /// Files that the host had then.
    files: u32,
}

/// What the loss of a host would matter, the least first: it fails at something, it was known for long, it spoke lately.
pub(in super::super) type Worth = (bool, bool, i64);

impl Host {
    /// Memory that the host takes, as weighed last.
    pub(in super::super) fn bytes(&self) -> u32 {
        self.weight.bytes
    }

    /// Counts a record and weighs the host where that is due: what it weighed before, and weighs now.
    pub(in super::super) fn weigh_where_due(&mut self) -> Option<(u32, u32)> {
        let before = self.weight.bytes;
        let files = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.weight.records = self.weight.records.saturating_add(1);
        let between = RECORDS_BETWEEN.max(files.saturating_mul(RECORDS_BETWEEN_PER_FILE));
        // A host that gets a new file with each record would else grow unweighed.
        let grown = files > self.weight.files + self.weight.files / 8;
        if before > 0 && !grown && self.weight.records < between {
            return None;
        }
        self.weigh();
        Some((before, self.weight.bytes))
    }

    fn weigh(&mut self) {
        let written = postcard::serialize_with_flavor(self, Size::default()).expect("a host holds only plain values");
        let bytes = HOST_BYTES + self.files.len() * FILE_BYTES + written * PER_WRITTEN;
        let files = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.weight = Weight { bytes: u32::try_from(bytes).unwrap_or(u32::MAX), records: 0, files };
    }

    /// What the loss of the host would matter.
    pub(in super::super) fn worth(&self) -> Worth {
        (self.fails(), self.last_log.saturating_sub(self.first_log) >= DAY_MS, self.last_log)
    }

    /// Forgets the half of the files whose newest line is oldest, and weighs the host again.
    pub(in super::super) fn forget_older_half(&mut self) {
        let mut oldest: Vec<(i64, String)> =
            self.files.iter().map(|(path, file)| (file.newest, path.to_owned())).collect();
        oldest.sort_unstable();
        for (_, name) in oldest.drain(..oldest.len() / 2) {
            self.forgotten.extend(self.files.remove(&name).and_then(|file| file.wrapped));
        }
        self.files.give_back_room();
        self.weigh();
    }

    /// Log time has gone back: nothing is known from later than `log_time`.
    pub(in super::super) fn go_back(&mut self, log_time: i64) {
        self.last_log = self.last_log.min(log_time);
        self.first_log = self.first_log.min(log_time);
        self.facts_sent = self.facts_sent.map(|sent| sent.min(log_time));
        self.changed = self.changed.map(|(since, lines)| (since.min(log_time), lines));
    }
}
