//! Cursors that the other files of a folder have for a file.
//!
//! A rotated file may have two names of an input, one after the other, and a copy holds the lines of another file. So
//! before a version is read as a new one, the tails of the same host and folder are searched: for the file id, and for
//! anchors.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::checkpoint::{Cursor, FileEntry};
use crate::follow::Inode;
use crate::tail::{NeighbourCursors, Tail};

/// How many other files of a folder are searched for the lines of a new file.
const COPY_SOURCES_MAX: usize = 32;

/// Indexes over all tails at one moment. Built once for all files that are located together, since there may be thousands.
pub(crate) struct Neighbours {
    /// Tails that have read, read now, or saw a version, by its id.
    by_id: HashMap<Inode, Vec<usize>>,
    /// Tails that still read a version that has left its path.
    leaving: Vec<usize>,
    /// Tails with known lines, by host and folder: another file may be a copy of their files.
    with_lines: HashMap<(usize, PathBuf), Vec<usize>>,
}

/// The answer of the neighbours about the next version of a file.
pub(crate) enum NeighbourKnowledge {
    /// The version stands at the path of another tail, which reads it.
    Elsewhere(Inode),
    /// Another tail still reads the version under its earlier name, so the search must be repeated later.
    Later,
    /// Cursors whose lines the version may hold.
    Cursors(NeighbourCursors),
}

impl Neighbours {
    pub(crate) fn of(tails: &[Tail]) -> Neighbours {
        let mut neighbours = Neighbours { by_id: HashMap::new(), leaving: Vec::new(), with_lines: HashMap::new() };
        for (index, tail) in tails.iter().enumerate().filter(|(_, tail)| !tail.is_retired()) {
            for id in tail.ids() {
                neighbours.by_id.entry(id).or_default().push(index);
            }
            if tail.is_leaving() {
                neighbours.leaving.push(index);
            }
            if tail.cursors().any(|cursor| cursor.is_known()) {
                let folder = (tail.host, folder(&tail.entry.path).to_owned());
                let with_lines = neighbours.with_lines.entry(folder).or_default();
                if with_lines.len() < COPY_SOURCES_MAX {
                    with_lines.push(index);
                }
            }
        }
        neighbours
    }

    /// Returns the answer of a tail's neighbours about its next version. `gone` are files that no tail follows now.
    pub(crate) fn known_of(
        &self,
        tails: &[Tail],
        index: usize,
        gone: &HashMap<PathBuf, FileEntry>,
    ) -> NeighbourKnowledge {
        let tail = &tails[index];
        let same_file = match tail.next() {
            None => Vec::new(),
            Some(id) if self.is_read_elsewhere(tails, index, id) => return NeighbourKnowledge::Elsewhere(id),
            // The tail's own version, in which no neighbour has a cursor.
            Some(id) if tail.entry.id == id => Vec::new(),
            Some(id) => match self.same_file(tails, index, id) {
                Some(cursors) => cursors,
                None => return NeighbourKnowledge::Later,
            },
        };
        NeighbourKnowledge::Cursors(NeighbourCursors { same_file, copy_sources: self.copy_sources(tails, index, gone) })
    }

    /// True when a version that is not at the path of this tail stands at the path of another one.
    fn is_read_elsewhere(&self, tails: &[Tail], index: usize, id: Inode) -> bool {
        let tail = &tails[index];
        let is_own = tail.entry.id == id;
        let has = |other: &Tail| other.is_at_path(id) && (!is_own || other.entry.id == id);
        !tail.is_at_path(id) && pick(tails, index, self.by_id.get(&id)).any(has)
    }

    /// Cursors in the same file under an earlier name; `None` while a neighbour still reads from it.
    fn same_file(&self, tails: &[Tail], index: usize, id: Inode) -> Option<Vec<Cursor>> {
        let tail = &tails[index];
        // This file may be a copy of the version that a neighbour still reads.
        let is_source = |other: &Tail| other.is_leaving() && tail.is_named_after(other);
        if pick(tails, index, Some(&self.leaving)).any(is_source) {
            return None;
        }
        let mut cursors = Vec::new();
        for other in pick(tails, index, self.by_id.get(&id)) {
            cursors.extend(other.cursor_of_renamed(id).ok()?);
        }
        Some(cursors)
    }

    /// Cursors in files of which this file may be a copy.
    fn copy_sources(&self, tails: &[Tail], index: usize, gone: &HashMap<PathBuf, FileEntry>) -> Vec<Cursor> {
        let tail = &tails[index];
        let here = folder(&tail.entry.path);
        let followed = pick(tails, index, self.with_lines.get(&(tail.host, here.to_owned())));
        let gone = gone.values().filter(|entry| folder(&entry.path) == here);
        let cursors = followed.flat_map(Tail::cursors).chain(gone.flat_map(FileEntry::cursors));
        cursors.filter(|cursor| cursor.is_known()).take(COPY_SOURCES_MAX).cloned().collect()
    }
}

/// Returns the tails of a list that are neighbours of a tail: other tails of the same host and folder.
fn pick<'a>(tails: &'a [Tail], index: usize, list: Option<&'a Vec<usize>>) -> impl Iterator<Item = &'a Tail> {
    let tail = &tails[index];
    let others = list.into_iter().flatten().filter(move |&&other| other != index).map(|&other| &tails[other]);
    others.filter(|other| other.host == tail.host && folder(&other.entry.path) == folder(&tail.entry.path))
}

/// The folder of a file.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
