//! Where a version of a file goes on: in place, after an anchor that stands elsewhere, or at its start in a new epoch.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::time::Instant;

use tracing::{info, warn};

use super::{Moved, Phase, Settling, Tail};
use crate::checkpoint::Cursor;
use crate::disk::{each_line, first_line, read_at, reopen_moved, see, stands};
use crate::follow::{Anchor, Found, Search, Seen};
use wulog_files::shown;
use wulog_files::unreadable;
use wulog_lines::Encoding;
use wulog_lines::Framer;
use wulog_lines::{Binary, HEAD_BYTES};

/// Positions in earlier versions that are kept, one an epoch; `Get-WindowsUpdateLog` needs two.
const PAST_MAX: usize = 8;
/// A rewritten file in which no anchor stands may be half written. It is believed when it was still for one settling
/// time, or after this many of them.
const SETTLE_MAX: u32 = 8;

/// Cursors in other files of the folder.
#[derive(Debug, Default)]
pub struct Others {
    /// In the very file, when it had another name.
    pub same: Vec<Cursor>,
    /// In files of which it may be a copy.
    pub copied: Vec<Cursor>,
}

/// A file whose place is to be found.
struct Version {
    file: File,
    seen: Seen,
    /// It has left the path; see [`Moved`].
    moved: Option<bool>,
}

/// One version opened: how its bytes become lines, and where they begin.
struct Head {
    framer: Framer,
    start: u64,
    /// CRC-32 of the first complete line.
    first: Option<u32>,
}

impl Tail {
    /// Finds out where the next version goes on: after an anchor, or at its start in a new epoch, which `mint` gives and
    /// which must be durable before anything is read.
    pub fn choose(&mut self, others: &Others, mint: impl FnOnce() -> String) {
        self.more = false;
        match self.try_choose(others, mint) {
            Ok(()) => {}
            Err(error) => self.complain(&unreadable(&error)),
        }
    }

    fn try_choose(&mut self, others: &Others, mint: impl FnOnce() -> String) -> io::Result<()> {
        let Some(version) = self.next_version()? else { return Ok(()) };
        let mut bytes = [0; HEAD_BYTES];
        let got = read_at(&version.file, &mut bytes, 0)?;
        if let Some(binary) = Binary::of(&bytes[..got], self.reading.encoding) {
            return self.refuse(&version, binary);
        }
        let mut sniffed = self.reading.encoding.sniff(&bytes[..got]);
        if got > 0 && (self.quiet || version.moved.is_some()) {
            // There will be no more of it.
            sniffed = sniffed.or(Some((Encoding::Utf8, 0)));
        }
        let (Some((encoding, start)), moved) = (sniffed, version.moved) else {
            return self.nothing_to_read(&version);
        };
        let framer = Framer::new(encoding, self.reading.line_bytes_max).for_head(&bytes[..got]);
        let first = first_line(&version.file, &framer, start)?;
        if first.is_none() && !self.quiet && moved.is_none() {
            return Ok(());
        }
        let head = Head { framer, start, first };
        let in_place = others.same.is_empty() && self.still_in_place(&version.file, &head)?;
        if in_place && self.entry.id != version.seen.id {
            // Whoever finds the earlier file under another name asks for it.
            self.remember(self.entry.cursor.clone());
            if !others.copied.is_empty() {
                // It is another file, and may begin as ours does with lines that a neighbour has read to their end.
                self.find(&version, &head, others)?;
            }
        }
        if !in_place && !self.find(&version, &head, others)? {
            match moved {
                // What was seen at the path is not this file, or was overwritten since.
                Some(false) => return self.nothing_to_read(&version),
                Some(true) => {}
                None if !self.settled(&version.seen) => {
                    self.more = true;
                    return Ok(());
                }
                None => {}
            }
            if !self.begun_with(first) {
                self.begin(Cursor { epoch: mint(), position: start, first, ..Cursor::default() });
            }
        }
        self.follow(version, head);
        Ok(())
    }

    /// The next version in the order in which they stood at the path. `None` where it is not there now, or turns out to be
    /// another one than was asked of others.
    fn next_version(&mut self) -> io::Result<Option<Version>> {
        if self.moved_is_next() {
            let id = *self.entry.ahead.front().expect("one is next");
            let reopened =
                || reopen_moved(&self.entry.path, id, &self.fence).map(|(file, certain)| Moved { file, certain });
            let Some(Moved { file, certain }) = self.opened.remove(&id).or_else(reopened) else {
                self.pass(id);
                self.more = true;
                return Ok(None);
            };
            let seen = see(&file)?;
            return Ok(Some(Version { file, seen, moved: Some(certain) }));
        }
        let file = match self.fence.open(&self.entry.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let seen = see(&file)?;
        let same = self.note(seen).is_some_and(|before| before.id == seen.id);
        self.more |= !same;
        Ok(same.then_some(Version { file, seen, moved: None }))
    }

    /// A version is done with, or cannot be found.
    fn pass(&mut self, id: (u64, u64)) {
        self.entry.ahead.retain(|ahead| *ahead != id);
        self.opened.remove(&id);
        self.news = true;
    }

    /// A version that the tail of another file reads is none of ours.
    pub fn leave_to_others(&mut self, id: (u64, u64)) {
        self.pass(id);
        self.phase = Phase::Choosing { drained: true, settling: None };
        self.more = true;
    }

    /// Skips a file that is no text. A rotated file is often compressed afterwards; its lines were read before.
    fn refuse(&mut self, version: &Version, binary: Binary) -> io::Result<()> {
        if version.moved.is_none() {
            self.complain(binary.advice());
            self.passed_over = Some(version.seen);
        }
        self.nothing_to_read(version)
    }

    fn nothing_to_read(&mut self, version: &Version) -> io::Result<()> {
        if version.moved.is_some() {
            self.pass(version.seen.id);
            self.more = true;
        }
        Ok(())
    }

    fn follow(&mut self, version: Version, head: Head) {
        self.trouble = None;
        let cursor = &mut self.entry.cursor;
        if cursor.anchor.is_empty() {
            cursor.position = head.start;
        }
        self.news |= self.entry.id != version.seen.id;
        self.pass(version.seen.id);
        self.entry.id = version.seen.id;
        self.read = self.entry.cursor.clone();
        self.framer = Some(head.framer);
        self.lead = 0;
        self.phase = match version.moved {
            None => Phase::Following,
            Some(certain) => {
                self.handle = Some((version.file, self.now_ms));
                Phase::Leaving { finished: false, certain }
            }
        };
        self.more = true;
    }

    /// Whether the anchor stands right before the position that the cursor names.
    fn still_in_place(&self, file: &File, head: &Head) -> io::Result<bool> {
        let cursor = &self.entry.cursor;
        if cursor.anchor.is_empty() {
            return Ok(self.entry.past.is_empty() && self.begun_with(head.first));
        }
        let (lines, bytes) = cursor.anchor.verifiable();
        if lines == 0 || bytes > cursor.position {
            return Ok(false);
        }
        let mut before = vec![0; bytes as usize];
        let got = read_at(file, &mut before, cursor.position - bytes)?;
        Ok(got == before.len() && stands(&cursor.anchor, lines, &head.framer, &before))
    }

    /// Whether the epoch began with this line and none is acknowledged. It is used then: lines may have been sent before a
    /// crash.
    fn begun_with(&self, first: Option<u32>) -> bool {
        let cursor = &self.entry.cursor;
        !cursor.epoch.is_empty() && cursor.anchor.is_empty() && cursor.first == first
    }

    /// Searches the whole file for the anchors of this version, of those before, and of others.
    fn find(&mut self, version: &Version, head: &Head, others: &Others) -> io::Result<bool> {
        let own = others.same.len();
        let past = own + 1..own + 1 + self.entry.past.len();
        let ours = std::iter::once(&self.entry.cursor).chain(&self.entry.past);
        let cursors: Vec<&Cursor> = others.same.iter().chain(ours).chain(&others.copied).collect();
        let (mut whose, mut anchors): (Vec<(usize, bool)>, Vec<&Anchor>) = (Vec::new(), Vec::new());
        for (index, cursor) in cursors.iter().enumerate() {
            let sent = cursor.sent.as_ref().map(|sent| (true, &sent.anchor));
            for (is_sent, anchor) in std::iter::once((false, &cursor.anchor)).chain(sent) {
                if !anchor.is_empty() {
                    whose.push((index, is_sent));
                    anchors.push(anchor);
                }
            }
        }
        if anchors.is_empty() {
            return Ok(false);
        }
        let mut search = Search::new(&anchors);
        each_line(&version.file, &head.framer, head.start, |mark, position| {
            search.line(mark, position);
            ControlFlow::Continue(())
        })?;
        let found = search.finish();
        let ours = found.iter().find(|found| whose[found.which].0 < past.end);
        // Of others the one that knows most of it; over ours, where it knows all that comes after.
        let knows_all_after = |found: &Found, ours: &Found| {
            let (index, is_sent) = whose[found.which];
            let sent = cursors[index].sent.as_ref().filter(|_| is_sent);
            let logical = sent.map_or(cursors[index].logical, |sent| sent.logical);
            found.text_bytes > ours.text_bytes && found.text_bytes - ours.text_bytes <= logical
        };
        let copied = found
            .iter()
            .filter(|found| whose[found.which].0 >= past.end && found.tells_files_apart)
            .filter(|found| ours.is_none_or(|ours| knows_all_after(found, ours)))
            .max_by_key(|found| found.position);
        let Some(found) = copied.or(ours) else { return Ok(false) };
        let (index, is_sent) = whose[found.which];
        let mut cursor = cursors[index].clone();
        if is_sent {
            walk_back(&version.file, head, found, &mut cursor)?;
        } else {
            (cursor.position, cursor.anchor, cursor.open_ended) = (found.position, found.anchor.clone(), false);
        }
        if past.contains(&index) {
            self.entry.past.remove(index - past.start);
        }
        self.news = true;
        let left = std::mem::replace(&mut self.entry.cursor, cursor);
        if index != own || self.entry.id != version.seen.id {
            self.remember(left);
        }
        info!(path = %self.entry.path.display(), position = self.entry.cursor.position, "file was rewritten; it goes on after the lines that are known");
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
        let label = shown(&self.entry.path).into_owned();
        let left = std::mem::replace(&mut self.entry.cursor, Cursor { label, ..fresh });
        let known = !left.anchor.is_empty();
        self.remember(left);
        self.news = true;
        if known && !matches!(self.phase, Phase::Choosing { drained: true, .. }) {
            self.entry.losses += 1;
            warn!(path = %self.entry.path.display(), "file was rewritten and holds no line that is known; it is read from its start, lines between may be missing");
        }
    }

    fn remember(&mut self, mut left: Cursor) {
        if !left.anchor.is_empty() || left.sent.is_some() {
            left.id = self.entry.id;
            self.entry.past.retain(|past| past.epoch != left.epoch);
            self.entry.past.insert(0, left);
            self.entry.past.truncate(PAST_MAX);
        }
    }
}

/// The file begins after the acknowledged position, since a crash and a cut came together, and still holds lines up to
/// which were handed over. Their logical offsets are counted back from there, so that what is sent again is known
/// downstream. The cursor moves to the first line that is not acknowledged.
fn walk_back(file: &File, head: &Head, found: &Found, cursor: &mut Cursor) -> io::Result<()> {
    let Some(sent) = cursor.sent.clone() else { return Ok(()) };
    let unacked = sent.logical.saturating_sub(cursor.logical);
    let (mut lines, mut bytes, mut anchor, mut from) = (VecDeque::new(), 0, Anchor::default(), head.start);
    each_line(file, &head.framer, head.start, |mark, position| {
        lines.push_back(mark);
        bytes += u64::from(mark.text_bytes) + 1;
        while bytes > unacked
            && let Some(first) = lines.pop_front()
        {
            bytes -= u64::from(first.text_bytes) + 1;
            from += first.file_bytes;
            anchor.push(first);
        }
        if position < found.position { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    (cursor.logical, cursor.position) = (sent.logical - bytes, from);
    (cursor.anchor, cursor.open_ended, cursor.first) = (anchor, false, head.first);
    Ok(())
}
