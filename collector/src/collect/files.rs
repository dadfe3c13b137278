//! The files that a collector follows: found, given up, and located.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tracing::debug;

use super::{Collector, Unsaved};
use crate::checkpoint::FileEntry;
use crate::discover::Discovered;
use crate::disk::see_at;
use crate::neighbours::{NeighbourKnowledge, Neighbours, folder};
use crate::tail::{ReadingConfig, Tail};

/// How long the position in a file that is gone is kept: 35 days, so that a share that is away for a month continues
/// where it stopped.
const FORGET_AFTER_MS: i64 = 35 * 24 * 3600 * 1000;

/// How many files that are gone are remembered for each folder: more than a rotation keeps, since a file may come back.
const GONE_PER_FOLDER_MAX: usize = 16;

impl Collector {
    pub(super) fn discover(&mut self, now_ms: i64) {
        let started = Instant::now();
        let mut found = self.discovery.scan(&self.by_path);
        // Known files first, so that their folder keeps the name of its host even if another folder with a similar name
        // has appeared.
        found.sort_by_key(|found| self.unclaimed.get(&found.path).is_none_or(|entry| entry.apart));
        for found in found {
            self.add(found);
        }
        self.retire();
        self.unclaimed.retain(|_, entry| now_ms - entry.seen_ms < FORGET_AFTER_MS);
        self.next_rescan = Instant::now() + self.discovery.pause_after(started.elapsed());
    }

    /// Stops following files that are gone: logs that were renamed or deleted. In a folder without any file left, the
    /// files stay followed, since the cause is a share that went away rather than a rotation.
    fn retire(&mut self) {
        if !self.tails.iter().any(Tail::is_gone) {
            return;
        }
        let present = self.tails.iter().filter(|tail| tail.is_present());
        let folders: HashSet<PathBuf> = present.map(|tail| folder(&tail.entry.path).to_owned()).collect();
        for index in 0..self.tails.len() {
            let tail = &mut self.tails[index];
            if !tail.is_gone() || !folders.contains(folder(&tail.entry.path)) {
                continue;
            }
            let entry = tail.retire();
            debug!(path = %entry.path.display(), "file is gone and is no longer looked for");
            self.by_path.remove(&entry.path);
            self.hosts.remove_file(tail.host, index);
            self.vacant.push(index);
            self.unclaimed.insert(entry.path.clone(), entry);
        }
        self.forget_oldest(&folders);
    }

    /// Keeps the newest [`GONE_PER_FOLDER_MAX`] positions of files that are gone from a folder. Otherwise rotations to ever
    /// new names would add positions without a bound.
    fn forget_oldest(&mut self, folders: &HashSet<PathBuf>) {
        let mut by_folder: HashMap<&Path, Vec<(i64, &PathBuf)>> = HashMap::new();
        for (path, entry) in &self.unclaimed {
            if folders.contains(folder(path)) {
                by_folder.entry(folder(path)).or_default().push((entry.seen_ms, path));
            }
        }
        let mut forgotten: Vec<PathBuf> = Vec::new();
        for mut gone in by_folder.into_values().filter(|gone| gone.len() > GONE_PER_FOLDER_MAX) {
            gone.sort_unstable();
            forgotten.extend(gone.iter().rev().skip(GONE_PER_FOLDER_MAX).map(|(_, path)| (*path).clone()));
        }
        for path in forgotten {
            self.unclaimed.remove(&path);
        }
    }

    fn add(&mut self, found: Discovered) {
        let entry = match self.unclaimed.remove(&found.path) {
            Some(entry) => entry,
            None => match self.renamed(&found.path) {
                Some(entry) => entry,
                // The file is still read under its earlier name. The next search finds it again.
                None => return,
            },
        };
        let (host, apart) = match &found.host {
            None => (self.hosts.own(), false),
            Some(name) => self.hosts.gathered(name, &found, entry.apart),
        };
        let entry = FileEntry { apart, ..entry };
        debug!(path = %found.path.display(), host, "file found");
        let reading = ReadingConfig { encoding: found.encoding, ..self.reading };
        let tail = Tail::new(entry, host, found.source, reading, found.fence);
        let index = match self.vacant.pop() {
            Some(index) => {
                (self.tails[index], self.inputs[index]) = (tail, found.input);
                index
            }
            None => {
                self.tails.push(tail);
                self.inputs.push(found.input);
                self.tails.len() - 1
            }
        };
        self.by_path.insert(found.path, index);
        self.hosts.add_file(host, index);
    }

    /// The entry of the file at a new path: empty, or the entry that the file had under another name.
    fn renamed(&mut self, path: &Path) -> Option<FileEntry> {
        let fresh = FileEntry { path: path.to_owned(), ..FileEntry::default() };
        let Ok(id) = see_at(path).map(|seen| seen.id) else {
            return Some(fresh);
        };
        // All tails are asked, since file systems use ids again: a file that is gone may have had the id of another file
        // that is still read.
        let mut handed = None;
        for tail in &self.tails {
            match tail.cursor_of_renamed(id) {
                Ok(None) => {}
                Ok(Some(cursor)) if handed.is_none() || tail.is_present() => handed = Some(cursor),
                Ok(Some(_)) => {}
                Err(_) => return None,
            }
        }
        if let Some(cursor) = handed {
            return Some(FileEntry { cursor, id, ..fresh });
        }
        let gone = |entry: &&FileEntry| entry.id == id && id != (0, 0) && !entry.path.exists();
        let earlier = self.unclaimed.values().find(gone).map(|entry| entry.path.clone());
        // The entry is removed: if a file appears at the earlier path again, it is another file.
        let earlier = earlier.and_then(|earlier| self.unclaimed.remove(&earlier));
        Some(earlier.map_or(fresh, |entry| FileEntry { path: path.to_owned(), apart: false, ..entry }))
    }

    pub(super) fn locate(&mut self) {
        if self.tails.iter().any(Tail::must_locate) {
            let neighbours = Neighbours::of(&self.tails);
            for index in 0..self.tails.len() {
                if !self.tails[index].must_locate() {
                    continue;
                }
                match neighbours.known_of(&self.tails, index, &self.unclaimed) {
                    NeighbourKnowledge::Elsewhere(id) => self.tails[index].leave_to_others(id),
                    NeighbourKnowledge::Later => {}
                    NeighbourKnowledge::Cursors(cursors) => self.tails[index].locate(&cursors, new_epoch),
                }
            }
        }
        for tail in &mut self.tails {
            if tail.take_must_save() {
                self.unsaved = Unsaved::Epoch;
            }
        }
    }
}

/// 64 random bits as 16 hex digits.
fn new_epoch() -> String {
    let bits = getrandom::u64().expect("the system has random bits, or nothing on it is safe");
    format!("{bits:016x}")
}
