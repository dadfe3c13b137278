//! Where a version of a file goes on: in place, after an anchor that stands elsewhere, or at its start in a new epoch.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::time::Instant;

use tracing::{info, warn};

use super::{Phase, Settling, Tail};
use crate::checkpoint::Cursor;
use crate::disk::{each_line, first_line, open, read_at, see, stands};
use crate::follow::{Anchor, Search, Seen};
use crate::frame::Framer;

/// Positions in earlier versions that are kept; `Get-WindowsUpdateLog` needs two.
const PAST_MAX: usize = 4;
/// A rewritten file in which no anchor stands may be half written. It is believed when it was still for one settling
/// time, or after this many of them.
const SETTLE_MAX: u32 = 8;

impl Tail {
    pub(super) fn try_choose(&mut self, mint: impl FnOnce() -> String) -> io::Result<bool> {
        let file = match open(&self.entry.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let seen = see(&file)?;
        self.seen = Some(seen);
        let mut head = [0; 4];
        let got = read_at(&file, &mut head, 0)?;
        let Some((encoding, start)) = self.reading.encoding.sniff(&head[..got]) else {
            return Ok(false);
        };
        let framer = Framer::new(encoding, self.reading.line_bytes_max);
        let first = first_line(&file, &framer, start)?;
        if first.is_none() && !self.quiet {
            return Ok(false);
        }
        let mut minted = false;
        if !self.still_in_place(&file, &framer, first)? && !self.find(&file, &framer, start)? {
            if !self.settled(&seen) {
                self.more = true;
                return Ok(false);
            }
            if !self.begun_with(first) {
                self.begin(Cursor { epoch: mint(), position: start, first, ..Cursor::default() });
                minted = true;
            }
        }
        if self.entry.cursor.anchor.is_empty() {
            self.entry.cursor.position = start;
        }
        self.entry.id = seen.id;
        self.read = self.entry.cursor.clone();
        self.framer = Some(framer);
        self.lead = 0;
        self.phase = Phase::Following;
        self.more = true;
        Ok(minted)
    }

    /// Whether the anchor stands right before the position that the cursor names.
    fn still_in_place(&self, file: &File, framer: &Framer, first: Option<u32>) -> io::Result<bool> {
        let cursor = &self.entry.cursor;
        if cursor.anchor.is_empty() {
            return Ok(self.entry.past.is_empty() && self.begun_with(first));
        }
        let (lines, bytes) = cursor.anchor.verifiable();
        if lines == 0 || bytes > cursor.position {
            return Ok(false);
        }
        let mut before = vec![0; bytes as usize];
        let got = read_at(file, &mut before, cursor.position - bytes)?;
        Ok(got == before.len() && stands(&cursor.anchor, lines, framer, &before))
    }

    /// Whether the epoch began with this line and none is acknowledged. It is used then: lines may have been sent before a
    /// crash.
    fn begun_with(&self, first: Option<u32>) -> bool {
        let cursor = &self.entry.cursor;
        !cursor.epoch.is_empty() && cursor.anchor.is_empty() && cursor.first == first
    }

    /// Searches the whole file for the anchors of this version and of those before.
    fn find(&mut self, file: &File, framer: &Framer, start: u64) -> io::Result<bool> {
        let cursors: Vec<&Cursor> = std::iter::once(&self.entry.cursor).chain(&self.entry.past).collect();
        let anchors: Vec<&Anchor> = cursors.iter().map(|cursor| &cursor.anchor).collect();
        if anchors.iter().all(|anchor| anchor.is_empty()) {
            return Ok(false);
        }
        let mut search = Search::new(&anchors);
        each_line(file, framer, start, |mark, position| {
            search.line(mark, position);
            ControlFlow::Continue(())
        })?;
        let Some(found) = search.finish() else { return Ok(false) };
        if found.which > 0 {
            let back = self.entry.past.remove(found.which - 1);
            let left = std::mem::replace(&mut self.entry.cursor, back);
            self.remember(left);
        }
        let cursor = &mut self.entry.cursor;
        (cursor.position, cursor.anchor, cursor.open_ended) = (found.position, found.anchor, false);
        info!(path = %self.entry.path.display(), position = found.position, "file was rewritten; it goes on after the lines that are known");
        Ok(true)
    }

    /// Whether a version without any known line is complete enough to be believed.
    fn settled(&mut self, seen: &Seen) -> bool {
        let known = !self.entry.cursor.anchor.is_empty() || !self.entry.past.is_empty();
        let Phase::Choosing { settling, .. } = &mut self.phase else {
            return true;
        };
        let now = Instant::now();
        let settling = settling.get_or_insert(Settling { since: now, changed: now, seen: *seen });
        if settling.seen != *seen {
            (settling.seen, settling.changed) = (*seen, now);
        }
        let settle = self.reading.settle;
        !known || now - settling.changed >= settle || now - settling.since >= settle * SETTLE_MAX
    }

    /// Starts a new epoch.
    fn begin(&mut self, fresh: Cursor) {
        let left = std::mem::replace(&mut self.entry.cursor, fresh);
        let known = !left.anchor.is_empty();
        self.remember(left);
        self.entry.label = self.entry.path.display().to_string();
        if known && !matches!(self.phase, Phase::Choosing { drained: true, .. }) {
            self.entry.losses += 1;
            warn!(path = %self.entry.path.display(), "file was rewritten and holds no line that is known; it is read from its start, lines between may be missing");
        }
    }

    fn remember(&mut self, mut left: Cursor) {
        if !left.anchor.is_empty() {
            left.id = self.entry.id;
            self.entry.past.insert(0, left);
            self.entry.past.truncate(PAST_MAX);
        }
    }
}
