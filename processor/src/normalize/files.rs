//! The log files of one host, by path.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize, Serializer};

use super::file::File;

/// Files with their paths, sorted by path.
///
/// A list rather than a tree: nearly every host has one or two files. Each line looks up its file and visits all files
/// for due work, which took 500 of 17,400 instructions in a tree, and a tree reserves room for eleven files.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "BTreeMap<String, File>")]
pub(super) struct Files(Vec<(String, File)>);

impl Files {
    /// Returns the index of the file of that path, valid until a file is added or removed; `Err` has the index at which
    /// the file belongs.
    pub(super) fn place(&self, path: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(path))
    }

    /// Returns the file of that path.
    pub(super) fn get_mut(&mut self, path: &str) -> Option<&mut File> {
        let place = self.place(path).ok()?;
        Some(&mut self[place])
    }

    /// Adds a file of an unknown path and returns its index.
    pub(super) fn add(&mut self, path: &str) -> usize {
        let place = self.place(path).unwrap_or_else(|place| place);
        // Exact room, since most hosts never have another file.
        self.0.reserve_exact(1);
        self.0.insert(place, (path.to_owned(), File::default()));
        place
    }

    /// Removes and returns the file of that path.
    pub(super) fn remove(&mut self, path: &str) -> Option<File> {
        let place = self.place(path).ok()?;
        Some(self.0.remove(place).1)
    }

    /// Frees the memory of removed files.
    pub(super) fn give_back_room(&mut self) {
        self.0.shrink_to_fit();
    }

    /// Returns the number of files.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns paths and files, in the order of paths.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &File)> {
        self.0.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// Returns paths and mutable files, in the order of paths.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut File)> {
        self.0.iter_mut().map(|(path, file)| (path.as_str(), file))
    }

    /// Returns the files, in the order of their paths.
    pub(super) fn values(&self) -> impl Iterator<Item = &File> {
        self.0.iter().map(|(_, file)| file)
    }

    /// Returns the mutable files, in the order of their paths.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut File> {
        self.0.iter_mut().map(|(_, file)| file)
    }
}

/// By [`Files::place`].
impl Index<usize> for Files {
    type Output = File;

    fn index(&self, place: usize) -> &File {
        &self.0[place].1
    }
}

impl IndexMut<usize> for Files {
    fn index_mut(&mut self, place: usize) -> &mut File {
        &mut self.0[place].1
    }
}

impl From<BTreeMap<String, File>> for Files {
    fn from(files: BTreeMap<String, File>) -> Files {
        Files(files.into_iter().collect())
    }
}

/// Serializes as a map, so that the representation in memory does not show in snapshots.
impl Serialize for Files {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_path_in_whatever_order_they_came() {
        let mut files = Files::default();
        for (newest, path) in ["m", "a", "z", "b"].into_iter().enumerate() {
            let place = files.add(path);
            files[place].newest = newest as i64;
        }
        assert_eq!(files.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["a", "b", "m", "z"]);
        assert_eq!(files.get_mut("z").map(|file| file.newest), Some(2));
        assert_eq!(files.remove("m").map(|file| file.newest), Some(0));
        assert!(files.get_mut("m").is_none() && files.remove("m").is_none() && files.get_mut("").is_none());
        assert_eq!(files.len(), 3);
    }

    /// A snapshot written when files were a tree stays readable.
    #[test]
    fn files_are_written_and_read_as_a_map() {
        let map: BTreeMap<String, File> = ["b", "a"].map(|path| (path.to_owned(), File::default())).into();
        let bytes = postcard::to_stdvec(&map).unwrap();
        let files: Files = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(files.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(postcard::to_stdvec(&files).unwrap(), bytes);
    }
}
