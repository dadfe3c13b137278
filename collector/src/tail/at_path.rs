//! Looks at the file that stands at the path now and changes the state of the tail accordingly. This module reads no
//! content.

use std::io;

use wulog_files::unreadable;

use super::state::{Following, OpenFile, TailState};
use super::{Locating, Tail};
use crate::disk::{is_being_deleted, see_at};
use crate::follow::{PathChange, Seen};

/// How long a handle stays open without being read. On Windows a folder with an open file cannot be renamed, and not
/// every program can replace a file that is open.
const HANDLE_IDLE_MS: i64 = if cfg!(windows) { 2_000 } else { 30_000 };

/// The file at a path, as of the last look.
#[derive(Debug, Default)]
pub(super) struct AtPath {
    file: Option<FileAtPath>,
    /// When the file that was last seen at the path was last written.
    written_ns: Option<i128>,
}

/// A file at a path.
#[derive(Clone, Copy, Debug)]
struct FileAtPath {
    seen: Seen,
    /// Since when no look has found a change.
    still_since_ms: i64,
    /// True when nothing changed for so long that a last line without ending is complete.
    is_quiet: bool,
}

impl AtPath {
    pub(super) fn seen(&self) -> Option<Seen> {
        self.file.map(|file| file.seen)
    }

    pub(super) fn written_ns(&self) -> Option<i128> {
        self.written_ns
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.file.is_some_and(|file| file.is_quiet)
    }

    /// Notes the file that stands at the path. Returns the file of the look before.
    pub(super) fn note(&mut self, seen: Seen, now_ms: i64) -> Option<Seen> {
        self.written_ns = Some(seen.modified_ns);
        let Some(file) = &mut self.file else {
            self.file = Some(FileAtPath { seen, still_since_ms: now_ms, is_quiet: false });
            return None;
        };
        let before = std::mem::replace(&mut file.seen, seen);
        if (seen.len, seen.modified_ns) != (before.len, before.modified_ns) {
            (file.still_since_ms, file.is_quiet) = (now_ms, false);
        }
        Some(before)
    }

    /// Judges whether the file is quiet. Call it only where an earlier look has seen the file too.
    fn judge_quiet(&mut self, now_ms: i64, quiet_ms: i64) {
        if let Some(file) = &mut self.file {
            file.is_quiet = now_ms - file.still_since_ms >= quiet_ms;
        }
    }

    /// Notes that nothing stands at the path. Returns the file of the look before.
    fn remove(&mut self) -> Option<Seen> {
        self.file.take().map(|file| file.seen)
    }

    /// Notes that the whole folder is gone, so that the file counts as changed when the folder is back.
    fn folder_is_gone(&mut self) {
        if let Some(file) = &mut self.file {
            // An impossible time, so that the next look finds a difference.
            file.seen.modified_ns = i128::MIN;
        }
    }
}

impl Tail {
    /// Looks at the path, reads nothing.
    pub(crate) fn look(&mut self, now_ms: i64) {
        if self.is_retired() {
            return;
        }
        self.now_ms = now_ms;
        match see_at(&self.entry.path) {
            Ok(seen) => self.found(seen),
            Err(error) => self.not_found(&error),
        }
    }

    fn found(&mut self, seen: Seen) {
        self.entry.seen_ms = self.now_ms;
        let Some(before) = self.note(seen) else {
            self.more = true;
            return;
        };
        self.at_path.judge_quiet(self.now_ms, self.reading.final_line_quiet_ms);
        match &self.state {
            TailState::Locating(locating) => self.more |= self.can_locate(locating, seen, before),
            TailState::Following(_) => self.found_while_following(seen, before),
            // The version that has left the path may have grown under its new name.
            TailState::Leaving(_) => self.more = true,
            TailState::Retired => {}
        }
    }

    /// Whether a try to locate the next version may succeed, after a look that saw `seen` at the path.
    fn can_locate(&self, locating: &Locating, seen: Seen, before: Seen) -> bool {
        if locating.skipped == Some(seen) {
            return false;
        }
        let is_quiet = self.at_path.is_quiet() && seen.len > 0;
        let is_retry = locating.settling.is_some() || self.complaint.is_some();
        seen != before || is_quiet || is_retry || self.moved_is_next()
    }

    fn found_while_following(&mut self, seen: Seen, before: Seen) {
        let TailState::Following(Following { reader, .. }) = &self.state else { return };
        match seen.change(&before, reader.cursor.position) {
            PathChange::Same => {
                let has_final_line = self.at_path.is_quiet() && seen.len > reader.position();
                self.more |= has_final_line || self.complaint.is_some();
            }
            // No line was read yet, so nothing confirms the content: even the encoding may have changed.
            PathChange::Touched if reader.cursor.anchor.is_empty() && self.acks.is_empty() => self.locate_again(),
            PathChange::Touched => self.more = true,
            PathChange::Shrunk => self.locate_again(),
            PathChange::Replaced => self.leave_path(before.id),
        }
        self.close_unused();
    }

    /// Closes the handle of the followed file after [`HANDLE_IDLE_MS`] without a read.
    fn close_unused(&mut self) {
        if let TailState::Following(Following { handle, .. }) = &mut self.state {
            handle.take_if(|OpenFile { used_ms, .. }| self.now_ms - *used_ms > HANDLE_IDLE_MS);
        }
    }

    fn not_found(&mut self, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::IsADirectory => self.complain("is a directory; name a file or a glob of files"),
            io::ErrorKind::NotFound => self.vanished(),
            _ if is_being_deleted(error) && self.holds_handle() => self.vanished(),
            io::ErrorKind::InvalidInput => self.complain(&unreadable(error)),
            _ => self.complain(&format!("cannot be looked at: {error}")),
        }
    }

    /// Nothing stands at the path: a rotation is between its two steps, the file was deleted, or a share went away.
    fn vanished(&mut self) {
        if self.entry.path.parent().is_some_and(|folder| !folder.exists()) {
            self.folder_vanished();
            return;
        }
        if let Some(seen) = self.at_path.remove() {
            self.hold(seen.id);
            if let TailState::Following(_) = self.state {
                self.leave_path(seen.id);
            }
        }
        self.more = matches!(self.state, TailState::Leaving(_)) || self.moved_is_next();
    }

    /// The folder is gone, so this is no rotation: a half-written line may be completed when the folder is back.
    fn folder_vanished(&mut self) {
        if let TailState::Following(following) = &mut self.state {
            following.handle = None;
        }
        self.more = matches!(self.state, TailState::Leaving(_));
        self.at_path.folder_is_gone();
    }
}
