//! Reads a version that was located, through its handle.

use std::io;

use wulog_files::unreadable;

use super::Tail;
use super::reader::{ReadLine, TakenLines};
use super::state::{Following, Leaving, OpenFile, Rest, TailState};
use super::versions::MovedFile;
use crate::disk::{is_being_deleted, see, see_at};

/// Bounds of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Bytes of the file.
    pub bytes: usize,
    /// Lines, at least one. Bounded too, since a chunk of empty lines takes hundreds of times its bytes in memory.
    pub lines: usize,
}

impl Tail {
    /// Reads up to `most`, and adds the lines found to `lines`. Returns how many bytes were new.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>, most: Chunk, lines: &mut Vec<ReadLine>) -> usize {
        match self.try_read(buffer, most, lines) {
            Ok(bytes) => {
                self.complaint = None;
                bytes
            }
            Err(error) => {
                self.state.lose_handle();
                self.complain(&unreadable(&error));
                0
            }
        }
    }

    fn try_read(&mut self, buffer: &mut Vec<u8>, most: Chunk, lines: &mut Vec<ReadLine>) -> io::Result<usize> {
        if !self.open()? {
            return Ok(0);
        }
        let is_complete = matches!(self.state, TailState::Leaving(_)) || self.at_path.is_quiet();
        let Some((reader, file)) = self.state.open_reader() else { return Ok(0) };
        let Some(unread) = reader.fill(file, buffer, most.bytes)? else {
            self.misplaced();
            return Ok(0);
        };
        let is_final = unread.reaches_end && is_complete;
        match reader.take_lines(unread.bytes, is_final, most.lines, lines) {
            TakenLines::OtherFile => {
                self.misplaced();
                return Ok(0);
            }
            TakenLines::Part(bytes) => return Ok(bytes),
            TakenLines::All => {}
        }
        let bytes = unread.bytes.len();
        if unread.reaches_end {
            self.found_end(lines.is_empty());
        }
        Ok(bytes)
    }

    /// Opens the version that is read, unless it is open. Returns false where the state has changed instead.
    fn open(&mut self) -> io::Result<bool> {
        match &mut self.state {
            TailState::Following(Following { handle: Some(handle), .. }) => {
                handle.used_ms = self.now_ms;
                Ok(true)
            }
            TailState::Following(Following { handle: None, .. }) => self.open_at_path(),
            TailState::Leaving(Leaving { rest: Rest::Lost, .. }) => Ok(self.open_lost()),
            TailState::Leaving(_) => Ok(true),
            TailState::Locating(_) | TailState::Retired => Ok(false),
        }
    }

    fn open_at_path(&mut self) -> io::Result<bool> {
        let file = self.fence.open(&self.entry.path)?;
        let now = see(&file)?;
        if let Some(seen) = self.at_path.seen()
            && now.id != seen.id
        {
            self.note(now);
            self.leave_path(seen.id);
            return Ok(false);
        }
        if let TailState::Following(following) = &mut self.state {
            following.handle = Some(OpenFile { file, used_ms: self.now_ms });
        }
        Ok(true)
    }

    /// Reopens a version that has left the path, after a failed read.
    fn open_lost(&mut self) -> bool {
        let reopened = self.reopen(self.entry.id);
        match (&mut self.state, reopened) {
            (TailState::Leaving(leaving), Some(MovedFile { file, certain })) => {
                (leaving.rest, leaving.certain) = (Rest::Open(file), certain);
                true
            }
            _ => {
                self.locate_again();
                false
            }
        }
    }

    /// Handles that a read found the end of the file; `is_empty` is true where the read found no line.
    fn found_end(&mut self, is_empty: bool) {
        self.more = false;
        if let TailState::Leaving(leaving) = &mut self.state {
            if see_at(&self.entry.path).is_err_and(|error| is_being_deleted(&error)) {
                leaving.rest = Rest::Closed;
            }
            if self.acks.is_empty() && is_empty {
                self.locate_next();
            }
        }
    }
}
