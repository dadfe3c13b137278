//! The versions of a file: the contents that stood at its path, one after another. The tail reads versions in the order
//! of their appearance.
//!
//! `entry.ahead` holds the ids of waiting versions and is part of the checkpoint; `moved` holds the handles of versions
//! that have left the path.

use std::fs::File;

use tracing::{info, warn};

use super::missed_versions::{MissedVersion, missed_versions};
use super::{Locating, Tail, TailState};
use crate::disk::see;
use crate::follow::{Inode, Seen};

/// How many versions of one file may wait, each with at most one handle: enough for days of rotation during an outage
/// of the broker. A version beyond this bound is read only where an input names rotated files.
const AHEAD_MAX: usize = 16;

/// A version that is no longer at the path.
#[derive(Debug)]
pub(super) struct MovedFile {
    pub(super) file: File,
    /// True when this is surely the file that was seen at the path: its handle was open, or its name begins with the
    /// stem of the path. False when only the id matches, since a file system may give the id of a deleted file to a new
    /// file.
    pub(super) certain: bool,
}

impl Tail {
    /// The version to be read next, where one waits.
    #[must_use]
    pub(crate) fn next(&self) -> Option<Inode> {
        self.entry.ahead.front().copied()
    }

    /// The ids of all versions that are read, wait, were read, or stand at the path.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Inode> {
        let entry = &self.entry;
        let past = entry.past.iter().map(|past| past.id).filter(|&id| id != entry.id);
        let ids = std::iter::once(entry.id).chain(entry.ahead.iter().copied()).chain(past);
        ids.chain(self.at_path.seen().map(|seen| seen.id)).filter(|&id| id != (0, 0))
    }

    /// Drops the version `id`, since the tail of another file reads it.
    pub(crate) fn leave_to_others(&mut self, id: Inode) {
        self.remove_version(id);
        self.state = TailState::Locating(Locating { drained: true, ..Locating::default() });
        self.more = true;
    }

    /// True when the next version to be read has left the path.
    pub(super) fn moved_is_next(&self) -> bool {
        self.next().is_some_and(|id| !self.is_at_path(id))
    }

    /// Lets a version wait before all others.
    pub(super) fn put_first(&mut self, id: Inode) {
        if id != (0, 0) && self.next() != Some(id) {
            self.entry.ahead.retain(|ahead| *ahead != id);
            self.entry.ahead.push_front(id);
        }
    }

    /// Removes a version that is located, or that cannot be found.
    pub(super) fn remove_version(&mut self, id: Inode) {
        self.entry.ahead.retain(|ahead| *ahead != id);
        self.moved.remove(&id);
        self.must_save = true;
    }

    /// Notes the file at the path and adds a new version to the waiting ones. Returns the file of the look before.
    pub(super) fn note(&mut self, seen: Seen) -> Option<Seen> {
        let last_written_ns = self.at_path.written_ns();
        let before = self.at_path.note(seen, self.now_ms);
        if before.is_none_or(|before| before.id != seen.id) {
            if let Some(before) = before {
                self.hold(before.id);
            }
            if let Some(written_ns) = last_written_ns {
                self.find_missed(seen, written_ns);
            }
            if seen.id != (0, 0) && seen.id != self.entry.id && !self.entry.ahead.contains(&seen.id) {
                self.put_last(seen.id);
            }
        }
        before
    }

    /// Puts versions that appeared and left since the last look before the version that stands at the path now.
    fn find_missed(&mut self, now: Seen, written_ns: i128) {
        // An id of `entry.past` does not count as known, since file systems reuse ids. If the file is the past version
        // after all, its anchor is found and no line is read a second time.
        let is_waiting = |id| self.entry.id == id || self.entry.ahead.contains(&id) || self.moved.contains_key(&id);
        let is_known = |id| id == now.id || is_waiting(id);
        for MissedVersion { path, id } in missed_versions(&self.entry.path, written_ns, is_known) {
            // Where the input names rotated files too, the version has a tail of its own and would be read twice.
            if self.fence.names(&path) {
                continue;
            }
            let Ok(file) = self.fence.open(&path) else { continue };
            if see(&file).is_ok_and(|seen| seen.id == id) {
                info!(path = %self.entry.path.display(), found = %path.display(), "file was renamed before it was seen; it is read under its new name");
                self.moved.insert(id, MovedFile { file, certain: true });
                self.put_last(id);
            }
        }
    }

    /// Opens a waiting version that is no longer at the path, while it can still be found.
    pub(super) fn hold(&mut self, id: Inode) {
        if self.entry.ahead.contains(&id)
            && !self.moved.contains_key(&id)
            && let Some(moved) = self.reopen(id)
        {
            self.moved.insert(id, moved);
        }
    }

    /// Lets a version wait after all others.
    fn put_last(&mut self, id: Inode) {
        self.entry.ahead.push_back(id);
        self.must_save = true;
        while self.entry.ahead.len() > AHEAD_MAX {
            // Index 1, since the version at index 0 may be partly read.
            if let Some(id) = self.entry.ahead.remove(1) {
                self.moved.remove(&id);
                self.entry.losses += 1;
                warn!(path = %self.entry.path.display(), "file was rotated more often than can be followed; a version may be missing, name rotated files in an input");
            }
        }
    }
}
