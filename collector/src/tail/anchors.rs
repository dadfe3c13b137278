//! Searches a version for the anchors of known cursors: of this file, and of its neighbours in the folder.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;

use tracing::info;

use super::Tail;
use super::locate::{Framing, Version};
use crate::checkpoint::{Cursor, FileEntry};
use crate::disk::each_line;
use crate::follow::{Anchor, AnchorFound, AnchorSearch};

/// How many positions in earlier versions are kept, one for each epoch; a log of `Get-WindowsUpdateLog` needs two.
const PAST_MAX: usize = 8;

/// Cursors of other files in the folder.
#[derive(Debug, Default)]
pub(crate) struct NeighbourCursors {
    /// Positions in the same file, when it had another name.
    pub same_file: Vec<Cursor>,
    /// Positions in files of which this file may be a copy.
    pub copy_sources: Vec<Cursor>,
}

/// The owner of the position before which an anchor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The same file under another name, see [`NeighbourCursors::same_file`].
    SameFile,
    /// The version that was read last.
    Current,
    /// An earlier version, by its index in `entry.past`.
    Past(usize),
    /// A file of which this file may be a copy, see [`NeighbourCursors::copy_sources`].
    CopySource,
}

/// An anchor that is searched for.
struct AnchorCandidate<'a> {
    whose: Whose,
    cursor: &'a Cursor,
    /// True for the anchor before the sent position, false for the anchor before the acknowledged position.
    is_sent: bool,
    anchor: &'a Anchor,
}

impl AnchorCandidate<'_> {
    /// Logical offset just after the anchor.
    fn logical(&self) -> u64 {
        let sent = self.cursor.sent.as_ref().filter(|_| self.is_sent);
        sent.map_or(self.cursor.logical, |sent| sent.logical)
    }
}

impl Tail {
    /// Searches the whole file for anchors, and continues after the best one. Returns false where the file has no
    /// anchor.
    pub(super) fn find_anchor(
        &mut self,
        version: &Version,
        head: &Framing,
        neighbours: &NeighbourCursors,
    ) -> io::Result<bool> {
        let candidates = candidates(&self.entry, neighbours);
        if candidates.is_empty() {
            return Ok(false);
        }
        let anchors: Vec<&Anchor> = candidates.iter().map(|candidate| candidate.anchor).collect();
        let mut search = AnchorSearch::new(&anchors);
        each_line(&version.file, &head.framer, head.start, |mark, position| {
            search.line(mark, position);
            ControlFlow::Continue(())
        })?;
        let found = search.finish();
        let Some(best) = best(&found, &candidates) else { return Ok(false) };
        let AnchorCandidate { whose, cursor, is_sent, .. } = candidates[best.which];
        let cursor = match &cursor.sent {
            Some(sent) if is_sent => walk_back(&version.file, head, best.position, cursor, sent.logical)?,
            _ => {
                let (position, anchor) = (best.position, best.anchor.clone());
                Cursor { position, anchor, open_ended: false, ..cursor.clone() }
            }
        };
        self.continue_at(cursor, whose, version);
        Ok(true)
    }

    /// Continues at a cursor that was found in the version.
    fn continue_at(&mut self, cursor: Cursor, whose: Whose, version: &Version) {
        if let Whose::Past(index) = whose {
            self.entry.past.remove(index);
        }
        self.must_save = true;
        let left = std::mem::replace(&mut self.entry.cursor, cursor);
        if whose != Whose::Current || self.entry.id != version.seen.id {
            self.remember(left);
        }
        info!(path = %self.entry.path.display(), position = self.entry.cursor.position, "file was rewritten; it goes on after the lines that are known");
    }

    /// Keeps the position in a version that is no longer read, since the version may come back.
    pub(super) fn remember(&mut self, mut left: Cursor) {
        if left.is_known() {
            left.id = self.entry.id;
            self.entry.past.retain(|past| past.epoch != left.epoch);
            self.entry.past.insert(0, left);
            self.entry.past.truncate(PAST_MAX);
        }
    }
}

/// All anchors that are searched for, the most trusted first.
fn candidates<'a>(entry: &'a FileEntry, neighbours: &'a NeighbourCursors) -> Vec<AnchorCandidate<'a>> {
    let same_file = neighbours.same_file.iter().map(|cursor| (Whose::SameFile, cursor));
    let current = std::iter::once((Whose::Current, &entry.cursor));
    let past = entry.past.iter().enumerate().map(|(index, cursor)| (Whose::Past(index), cursor));
    let copy_sources = neighbours.copy_sources.iter().map(|cursor| (Whose::CopySource, cursor));
    let mut candidates = Vec::new();
    for (whose, cursor) in same_file.chain(current).chain(past).chain(copy_sources) {
        let acked = AnchorCandidate { whose, cursor, is_sent: false, anchor: &cursor.anchor };
        let sent =
            cursor.sent.as_ref().map(|sent| AnchorCandidate { whose, cursor, is_sent: true, anchor: &sent.anchor });
        candidates.extend(std::iter::once(acked).chain(sent).filter(|candidate| !candidate.anchor.is_empty()));
    }
    candidates
}

/// The anchor after which the file continues.
///
/// Among the anchors of this file the most trusted one wins; among the anchors of copy sources, the one furthest in the
/// file. The anchor of a copy source beats an anchor of this file only where the cursor of the copy source covers all
/// lines after the anchor of this file.
fn best<'a>(found: &'a [AnchorFound], candidates: &[AnchorCandidate<'_>]) -> Option<&'a AnchorFound> {
    let is_copy = |found: &&AnchorFound| candidates[found.which].whose == Whose::CopySource;
    let own = found.iter().find(|found| !is_copy(found));
    let covers_rest = |found: &AnchorFound, own: &AnchorFound| {
        found.text_bytes > own.text_bytes && found.text_bytes - own.text_bytes <= candidates[found.which].logical()
    };
    let copied = found
        .iter()
        .filter(|found| is_copy(found) && found.tells_files_apart)
        .filter(|found| own.is_none_or(|own| covers_rest(found, own)))
        .max_by_key(|found| found.position);
    copied.or(own)
}

/// Returns the cursor at the first line that is not acknowledged, in a file that begins after the acknowledged
/// position.
///
/// A file begins after the acknowledged position where a crash and a truncation come together. The file still holds
/// lines up to `sent_position`, up to which lines were handed over before the crash; `sent` is the logical offset of
/// `sent_position`. The logical offsets of earlier lines are counted back from `sent`, so that the processor recognizes
/// lines that are sent again as duplicates.
fn walk_back(file: &File, head: &Framing, sent_position: u64, cursor: &Cursor, sent: u64) -> io::Result<Cursor> {
    let unacked = sent.saturating_sub(cursor.logical);
    let (mut lines, mut bytes, mut anchor, mut position) = (VecDeque::new(), 0, Anchor::default(), head.start);
    each_line(file, &head.framer, head.start, |mark, line_end| {
        lines.push_back(mark);
        bytes += u64::from(mark.text_bytes) + 1;
        while bytes > unacked
            && let Some(first) = lines.pop_front()
        {
            bytes -= u64::from(first.text_bytes) + 1;
            position += first.file_bytes;
            anchor.push(first);
        }
        if line_end < sent_position { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(Cursor { logical: sent - bytes, position, anchor, open_ended: false, first: head.first, ..cursor.clone() })
}
