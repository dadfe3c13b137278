//! Finds out where the next version of a file continues: in place, after an anchor that stands elsewhere, or at its
//! start in a new epoch.

use std::fs::File;
use std::io;
use std::time::Instant;

use tracing::warn;
use wulog_files::{shown, unreadable};
use wulog_lines::{Binary, Encoding, Framer, HEAD_BYTES};

use super::reader::VersionReader;
use super::state::{Locating, Settling, TailState};
use super::versions::MovedFile;
use super::{NeighbourCursors, Tail};
use crate::checkpoint::Cursor;
use crate::disk::{first_line, read_at, see, stands};
use crate::follow::Seen;

/// A rewritten file without any anchor may be half written. The file counts as complete after one settling time without
/// a change, or after this many settling times in any case.
const SETTLE_MAX: u32 = 8;

/// A version that is located.
pub(super) struct Version {
    pub(super) file: File,
    pub(super) seen: Seen,
    whereabouts: Whereabouts,
}

/// Where a version stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whereabouts {
    AtPath,
    /// The version has left the path. `certain`: see [`MovedFile::certain`].
    Moved {
        certain: bool,
    },
}

/// How the bytes of a version become lines, and where they begin.
pub(super) struct Framing {
    pub(super) framer: Framer,
    pub(super) start: u64,
    /// CRC-32 of the first complete line.
    pub(super) first: Option<u32>,
}

/// What a version begins with.
enum FirstContent {
    Lines(Framing),
    Binary(Binary),
    /// No complete line yet.
    NoLine,
}

impl Tail {
    /// Finds out where reading continues in the next version. A new epoch gets its name from `new_epoch`; the
    /// checkpoint must hold the epoch before any line is read.
    pub(crate) fn locate(&mut self, neighbours: &NeighbourCursors, new_epoch: impl FnOnce() -> String) {
        self.more = false;
        match self.try_locate(neighbours, new_epoch) {
            Ok(()) => {}
            Err(error) => self.complain(&unreadable(&error)),
        }
    }

    fn try_locate(&mut self, neighbours: &NeighbourCursors, new_epoch: impl FnOnce() -> String) -> io::Result<()> {
        let Some(version) = self.next_version()? else { return Ok(()) };
        let head = match self.content(&version)? {
            FirstContent::Lines(head) => head,
            FirstContent::Binary(binary) => {
                self.skip_binary(&version, binary);
                return Ok(());
            }
            FirstContent::NoLine => {
                self.drop_if_moved(&version);
                return Ok(());
            }
        };
        if neighbours.same_file.is_empty() && self.is_in_place(&version.file, &head)? {
            self.continue_in_place(&version, &head, neighbours)?;
        } else if !self.find_anchor(&version, &head, neighbours)? && !self.begin(&version, &head, new_epoch) {
            return Ok(());
        }
        self.read_from_cursor(version, head);
        Ok(())
    }

    /// Opens the version that is next in the order in which versions stood at the path. Returns `None` where the
    /// version cannot be found now, or where the version at the path has changed since the neighbours were searched for
    /// its cursor.
    fn next_version(&mut self) -> io::Result<Option<Version>> {
        if let Some(id) = self.next().filter(|_| self.moved_is_next()) {
            let Some(MovedFile { file, certain }) = self.moved.remove(&id).or_else(|| self.reopen(id)) else {
                self.remove_version(id);
                self.more = true;
                return Ok(None);
            };
            let seen = see(&file)?;
            return Ok(Some(Version { file, seen, whereabouts: Whereabouts::Moved { certain } }));
        }
        let file = match self.fence.open(&self.entry.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let seen = see(&file)?;
        let is_same = self.note(seen).is_some_and(|before| before.id == seen.id);
        self.more |= !is_same;
        Ok(is_same.then_some(Version { file, seen, whereabouts: Whereabouts::AtPath }))
    }

    /// Reads the head of a version: its encoding and its first line.
    fn content(&self, version: &Version) -> io::Result<FirstContent> {
        let mut bytes = [0; HEAD_BYTES];
        let got = read_at(&version.file, &mut bytes, 0)?;
        let bytes = &bytes[..got];
        if let Some(binary) = Binary::of(bytes, self.reading.encoding) {
            return Ok(FirstContent::Binary(binary));
        }
        // A complete file gets no more bytes, so its encoding is decided from the bytes that it has.
        let is_complete = self.at_path.is_quiet() || version.has_moved();
        let mut sniffed = self.reading.encoding.sniff(bytes);
        if got > 0 && is_complete {
            sniffed = sniffed.or(Some((Encoding::Utf8, 0)));
        }
        let Some((encoding, start)) = sniffed else { return Ok(FirstContent::NoLine) };
        let framer = Framer::new(encoding, self.reading.line_bytes_max).for_head(bytes);
        let first = first_line(&version.file, &framer, start)?;
        if first.is_none() && !is_complete {
            return Ok(FirstContent::NoLine);
        }
        Ok(FirstContent::Lines(Framing { framer, start, first }))
    }

    /// Skips a binary file. A rotated file is often compressed afterwards; its lines were read before.
    fn skip_binary(&mut self, version: &Version, binary: Binary) {
        if !version.has_moved() {
            self.complain(binary.advice());
            if let TailState::Locating(locating) = &mut self.state {
                locating.skipped = Some(version.seen);
            }
        }
        self.drop_if_moved(version);
    }

    /// Drops a version without lines where the version has left the path: nobody writes to it any more.
    fn drop_if_moved(&mut self, version: &Version) {
        if version.has_moved() {
            self.remove_version(version.seen.id);
            self.more = true;
        }
    }

    /// True when the anchor stands right before the position that the cursor names.
    fn is_in_place(&self, file: &File, head: &Framing) -> io::Result<bool> {
        let cursor = &self.entry.cursor;
        if cursor.anchor.is_empty() {
            return Ok(self.entry.past.is_empty() && self.has_begun_with(head.first));
        }
        let (lines, bytes) = cursor.anchor.verifiable();
        if lines == 0 || bytes > cursor.position {
            return Ok(false);
        }
        let mut before = vec![0; bytes as usize];
        let got = read_at(file, &mut before, cursor.position - bytes)?;
        Ok(got == before.len() && stands(&cursor.anchor, lines, &head.framer, &before))
    }

    /// True when the epoch began with this line and no line of the epoch is acknowledged. Lines may have been sent
    /// before a crash, so the epoch is used again.
    fn has_begun_with(&self, first: Option<u32>) -> bool {
        let cursor = &self.entry.cursor;
        !cursor.epoch.is_empty() && cursor.anchor.is_empty() && cursor.first == first
    }

    /// Continues at the cursor, whose anchor stands in place.
    fn continue_in_place(
        &mut self,
        version: &Version,
        head: &Framing,
        neighbours: &NeighbourCursors,
    ) -> io::Result<()> {
        if self.entry.id == version.seen.id {
            return Ok(());
        }
        // A tail that finds the earlier file under another name asks for this cursor.
        self.remember(self.entry.cursor.clone());
        if !neighbours.copy_sources.is_empty() {
            // The file at the path has changed. Both files may begin with the same lines, and a neighbour may have read
            // more.
            self.find_anchor(version, head, neighbours)?;
        }
        Ok(())
    }

    /// Starts a new epoch in a version without any known line. Returns false where the version is not read now.
    fn begin(&mut self, version: &Version, head: &Framing, new_epoch: impl FnOnce() -> String) -> bool {
        match version.whereabouts {
            // The file is another one than the file seen at the path, or was overwritten since.
            Whereabouts::Moved { certain: false } => {
                self.drop_if_moved(version);
                return false;
            }
            Whereabouts::AtPath if !self.is_settled(&version.seen) => {
                self.more = true;
                return false;
            }
            Whereabouts::AtPath | Whereabouts::Moved { certain: true } => {}
        }
        if !self.has_begun_with(head.first) {
            self.begin_epoch(new_epoch(), head);
        }
        true
    }

    /// True when a version without any known line counts as complete, see [`SETTLE_MAX`].
    fn is_settled(&mut self, seen: &Seen) -> bool {
        let is_rewritten = !self.entry.cursor.anchor.is_empty() || !self.entry.past.is_empty();
        let TailState::Locating(Locating { settling, .. }) = &mut self.state else { return true };
        let now = Instant::now();
        let settling = settling.get_or_insert(Settling { since: now, changed: now, seen: *seen });
        if settling.seen != *seen {
            (settling.seen, settling.changed) = (*seen, now);
        }
        let settle = self.reading.settle;
        !is_rewritten || now - settling.changed >= settle || now - settling.since >= settle * SETTLE_MAX
    }

    fn begin_epoch(&mut self, epoch: String, head: &Framing) {
        let label = shown(&self.entry.path).into_owned();
        let fresh = Cursor { epoch, label, position: head.start, first: head.first, ..Cursor::default() };
        let left = std::mem::replace(&mut self.entry.cursor, fresh);
        let had_lines = !left.anchor.is_empty();
        self.remember(left);
        self.must_save = true;
        if had_lines && !matches!(self.state, TailState::Locating(Locating { drained: true, .. })) {
            self.entry.losses += 1;
            warn!(path = %self.entry.path.display(), "file was rewritten and holds no line that is known; it is read from its start, lines between may be missing");
        }
    }

    /// Reads a version from the acknowledged position on.
    fn read_from_cursor(&mut self, version: Version, head: Framing) {
        self.complaint = None;
        let cursor = &mut self.entry.cursor;
        if cursor.anchor.is_empty() {
            cursor.position = head.start;
        }
        let reader = VersionReader::new(cursor.clone(), head.framer);
        self.remove_version(version.seen.id);
        self.entry.id = version.seen.id;
        match version.whereabouts {
            Whereabouts::AtPath => self.follow(reader),
            Whereabouts::Moved { certain } => self.read_rest(reader, MovedFile { file: version.file, certain }),
        }
    }
}

impl Version {
    fn has_moved(&self) -> bool {
        matches!(self.whereabouts, Whereabouts::Moved { .. })
    }
}
