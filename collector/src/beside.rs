//! What the files beside a file know of it.
//!
//! A rotated file that an input names has two names in turn; a copy has the lines of another file. So before a version of
//! a file is read as a new one, the other files of its host and folder are asked: by file id, and for their anchors.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::checkpoint::FileEntry;
use crate::tail::{NeighbourCursors, Tail};

/// Of how many other files in a folder a new one may be a copy.
const COPIED_FROM_MAX: usize = 32;

/// Who knows what, at one moment; made once for all files that are chosen together, since there may be thousands.
pub(crate) struct Beside {
    /// Files that have, had or saw a version, by its id.
    by_id: HashMap<(u64, u64), Vec<usize>>,
    /// Files whose version before is still read.
    leaving: Vec<usize>,
    /// Files of which others may be copies, by host and folder.
    known: HashMap<(usize, PathBuf), Vec<usize>>,
}

/// What others know of the next version of a file.
pub(crate) enum Known {
    /// Another reads it.
    Elsewhere((u64, u64)),
    /// Another still reads it under the name before: ask again.
    Later,
    /// Cursors that may be in it.
    Cursors(NeighbourCursors),
}

impl Beside {
    pub(crate) fn of(tails: &[Tail]) -> Beside {
        let mut beside = Beside { by_id: HashMap::new(), leaving: Vec::new(), known: HashMap::new() };
        for (index, tail) in tails.iter().enumerate().filter(|(_, tail)| !tail.is_retired()) {
            for id in tail.ids() {
                beside.by_id.entry(id).or_default().push(index);
            }
            if tail.is_leaving() {
                beside.leaving.push(index);
            }
            if tail.cursors().any(|cursor| cursor.is_known()) {
                let known = beside.known.entry((tail.host, folder(&tail.entry.path).to_owned())).or_default();
                if known.len() < COPIED_FROM_MAX {
                    known.push(index);
                }
            }
        }
        beside
    }

    /// What others know of the next version of this file. `gone` are files that no one follows now.
    pub(crate) fn known_of(&self, tails: &[Tail], index: usize, gone: &HashMap<PathBuf, FileEntry>) -> Known {
        let tail = &tails[index];
        let here = folder(&tail.entry.path);
        let is_beside = |other: &&Tail| other.host == tail.host && folder(&other.entry.path) == here;
        let pick = |list: Option<&Vec<usize>>| -> Vec<&Tail> {
            let others = list.into_iter().flatten().filter(|&&other| other != index);
            others.map(|&other| &tails[other]).filter(is_beside).collect()
        };
        let mut known = NeighbourCursors::default();
        if let Some(id) = tail.next() {
            let own = tail.entry.id == id;
            let has = |other: &&Tail| other.is_at_path(id) && (!own || other.entry.id == id);
            let others = pick(self.by_id.get(&id));
            if !tail.is_at_path(id) && others.iter().any(has) {
                return Known::Elsewhere(id);
            }
            if !own {
                // What another still reads may be what this one is a copy of.
                let is_source = |other: &&Tail| other.is_leaving() && tail.is_named_after(other);
                if pick(Some(&self.leaving)).iter().any(is_source) {
                    return Known::Later;
                }
                for other in others {
                    match other.hand_over(id) {
                        Ok(cursor) => known.same_file.extend(cursor),
                        Err(_) => return Known::Later,
                    }
                }
            }
        }
        let others = pick(self.known.get(&(tail.host, here.to_owned())));
        let gone = gone.values().filter(|entry| folder(&entry.path) == here);
        let cursors = others.into_iter().flat_map(Tail::cursors).chain(gone.flat_map(FileEntry::cursors));
        known.copy_sources = cursors.filter(|cursor| cursor.is_known()).take(COPIED_FROM_MAX).cloned().collect();
        Known::Cursors(known)
    }
}

/// The folder of a file.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
