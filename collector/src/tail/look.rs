//! What stands at the path now, and what became of that which stood there.

use std::io;

use tracing::{info, warn};

use super::missed::{Missed, missed};
use super::{FileId, Moved, Phase, Tail};
use crate::disk::{is_being_deleted, reopen_moved, see, see_at};
use crate::follow::{Change, Seen};
use wulog_files::unreadable;

/// How long a handle stays open without being read. On Windows a folder with an open file cannot be renamed, and a file
/// that is open cannot be replaced by every program.
const HANDLE_IDLE_MS: i64 = if cfg!(windows) { 2_000 } else { 30_000 };

/// Versions of one file that may wait for their turn, and handles that they may hold. Days of rotation while no broker
/// is there; what no one waits for is found by name where an input names it.
const AHEAD_MAX: usize = 16;

impl Tail {
    /// Looks at the path, reads nothing.
    pub fn look(&mut self, now_ms: i64) {
        if self.retired {
            return;
        }
        self.now_ms = now_ms;
        let seen = match see_at(&self.entry.path) {
            Ok(seen) => seen,
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                return self.complain("is a directory; name a file or a glob of files");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.vanished(),
            Err(error) if is_being_deleted(&error) && self.handle.is_some() => return self.vanished(),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return self.complain(&unreadable(&error)),
            Err(error) => return self.complain(&format!("cannot be looked at: {error}")),
        };
        self.entry.seen_ms = now_ms;
        let before = self.note(seen);
        if let Phase::Leaving { .. } = self.phase {
            self.more = true;
            return;
        }
        let Some(before) = before else {
            self.still_since_ms = now_ms;
            self.more = true;
            return;
        };
        if seen.len != before.len || seen.modified_ns != before.modified_ns {
            self.still_since_ms = now_ms;
        }
        self.quiet = now_ms - self.still_since_ms >= self.reading.final_line_quiet_ms;
        if let Phase::Choosing { settling, .. } = self.phase {
            if self.passed_over == Some(seen) {
                return;
            }
            let ripe = settling.is_some() || self.trouble.is_some() || (self.quiet && seen.len > 0);
            self.more |= seen != before || ripe || self.moved_is_next();
            return;
        }
        match seen.change(&before, self.read.position) {
            Change::Same => {
                let rest = self.quiet && seen.len > self.read.position + self.lead;
                self.more |= rest || self.trouble.is_some();
            }
            // Nothing is known of its content yet, not even that the encoding is still the same.
            Change::Touched if self.read.anchor.is_empty() && self.acks.is_empty() => self.choose_again(false),
            Change::Touched => self.more = true,
            Change::Shrunk => self.choose_again(false),
            Change::Replaced => self.replaced(before.id),
        }
        if self.handle.as_ref().is_some_and(|(_, used_ms)| now_ms - used_ms > HANDLE_IDLE_MS) {
            self.handle = None;
        }
    }

    /// Notes what stands at the path; gives what was seen there before.
    pub(super) fn note(&mut self, seen: Seen) -> Option<Seen> {
        let before = self.seen.replace(seen);
        if before.is_none_or(|before| before.id != seen.id) {
            if let Some(before) = before {
                self.keep(before.id);
            }
            self.find_missed(seen);
            let ahead = &mut self.entry.ahead;
            if seen.id != (0, 0) && seen.id != self.entry.id && !ahead.contains(&seen.id) {
                ahead.push_back(seen.id);
                self.news = true;
                self.bound_ahead();
            }
        }
        self.written_ns = Some(seen.modified_ns);
        before
    }

    /// Puts versions that came and went since the last look before the one that stands at the path now.
    fn find_missed(&mut self, now: Seen) {
        let Some(written_ns) = self.written_ns else { return };
        // The id of a version that was read to its end says nothing: file systems give the id of a deleted file to the next
        // new one. If it is that version all the same, its position is found by its content and nothing is read twice.
        let is_waiting = |id| self.entry.id == id || self.entry.ahead.contains(&id) || self.opened.contains_key(&id);
        let is_known = |id| id == now.id || is_waiting(id);
        for Missed { path, id } in missed(&self.entry.path, written_ns, is_known) {
            // Where the input names rotated files too, the version has a reader of its own, and would be read twice.
            if self.fence.names(&path) {
                continue;
            }
            let Ok(file) = self.fence.open(&path) else { continue };
            if see(&file).is_ok_and(|seen| seen.id == id) {
                info!(path = %self.entry.path.display(), found = %path.display(), "file was renamed before it was seen; it is read under its new name");
                self.entry.ahead.push_back(id);
                self.opened.insert(id, Moved { file, certain: true });
                self.news = true;
                self.bound_ahead();
            }
        }
    }

    /// A version that waits for its turn and is no longer at the path: hold it while it can be found.
    fn keep(&mut self, id: FileId) {
        if self.entry.ahead.contains(&id)
            && !self.opened.contains_key(&id)
            && let Some((file, certain)) = reopen_moved(&self.entry.path, id, &self.fence)
        {
            self.opened.insert(id, Moved { file, certain });
        }
    }

    fn bound_ahead(&mut self) {
        while self.entry.ahead.len() > AHEAD_MAX {
            // Not the first one, which may be in the middle of being read.
            if let Some(id) = self.entry.ahead.remove(1) {
                self.opened.remove(&id);
                self.entry.losses += 1;
                warn!(path = %self.entry.path.display(), "file was rotated more often than can be followed; a version may be missing, name rotated files in an input");
            }
        }
    }

    /// Whether the next version to be read is one that has left the path.
    pub(super) fn moved_is_next(&self) -> bool {
        self.entry.ahead.front().is_some_and(|&id| !self.is_at_path(id))
    }

    /// Another file stands at the path. The old one, if it can be reached, may hold lines that were not read.
    pub(super) fn replaced(&mut self, id: FileId) {
        let mut certain = true;
        if self.handle.is_none()
            && let Some((file, named_alike)) = reopen_moved(&self.entry.path, id, &self.fence)
        {
            (self.handle, certain) = (Some((file, self.now_ms)), named_alike);
        }
        match self.handle {
            Some(_) => {
                self.phase = Phase::Leaving { finished: false, certain };
                self.more = true;
            }
            None => self.choose_again(false),
        }
    }

    /// Nothing stands at the path: between the two steps of a rotation, or a share that went away. It may come back.
    fn vanished(&mut self) {
        if self.entry.path.parent().is_some_and(|folder| !folder.exists()) {
            // No rotation: what is half written may be ended when the folder is back.
            self.handle = self.handle.take().filter(|_| matches!(self.phase, Phase::Leaving { .. }));
            self.more = matches!(self.phase, Phase::Leaving { .. });
            if let Some(seen) = &mut self.seen {
                // As no file looks, so that it is looked into when it is back.
                seen.modified_ns = i128::MIN;
            }
            return;
        }
        if let Some(seen) = self.seen.take() {
            self.keep(seen.id);
            if self.phase == Phase::Following {
                self.replaced(seen.id);
            }
        }
        self.more = matches!(self.phase, Phase::Leaving { .. }) || self.moved_is_next();
    }
}
