//! The memory that a host takes, and the order in which hosts are forgotten.

use postcard::ser_flavors::Size;
use serde::{Deserialize, Serialize};

use super::{DAY_MS, Host};

/// A host is weighed again after so many records, or after so many for each of its files, since weighing visits all
/// files.
const RECORDS_BETWEEN: u32 = 64;
const RECORDS_BETWEEN_PER_FILE: u32 = 16;

/// Memory of a host, and of each of its files, beside the bytes of its snapshot: measured by
/// `processor/tests/memory.rs` when files were a tree with room for eleven. As a list files take less than these
/// numbers say: 10.7 of 12.7 kB for a usual host.
const HOST_BYTES: usize = 4_200;
const FILE_BYTES: usize = 3_400;

/// Memory for each byte of the snapshot: numbers are shorter in a snapshot, and containers have spare room.
const PER_WRITTEN: usize = 2;

/// The last weighing of a host, and the records since. Part of a snapshot, so that the choice of forgotten hosts does
/// not depend on restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Weight {
    bytes: u32,
    records: u32,
    /// Files of the host at the last weighing.
    files: u32,
}

/// The rank of a host; the lowest rank is forgotten first: whether the host fails at a subject, whether it has been
/// known for a day, and the log time of its last record.
pub(in super::super) type Worth = (bool, bool, i64);

impl Host {
    /// Memory that the host takes, as weighed last.
    pub(in super::super) fn bytes(&self) -> u32 {
        self.weight.bytes
    }

    /// Counts a record. Returns the weights before and now where the host was weighed again.
    pub(in super::super) fn weigh_where_due(&mut self) -> Option<(u32, u32)> {
        let before = self.weight.bytes;
        let files = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.weight.records = self.weight.records.saturating_add(1);
        let between = RECORDS_BETWEEN.max(files.saturating_mul(RECORDS_BETWEEN_PER_FILE));
        // Weigh early where the number of files grows by an eighth: a host with a new file in each record would
        // otherwise grow unweighed.
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

    /// Returns the rank of the host.
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

    /// Handles that log time has gone back: no time may lie after `log_time`.
    pub(in super::super) fn go_back(&mut self, log_time: i64) {
        self.last_log = self.last_log.min(log_time);
        self.first_log = self.first_log.min(log_time);
        self.facts_sent = self.facts_sent.map(|sent| sent.min(log_time));
        self.changed = self.changed.map(|(since, lines)| (since.min(log_time), lines));
    }
}
