//! Searches for the files that a glob names.
//!
//! Crate `glob` matches names but does not walk the folders: its own walk silently skips each name that is not Unicode,
//! and everything beneath it. This module matches such a name with U+FFFD in place of the invalid bytes.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern, PatternError};

use wulog_files::Fence;

/// A folder that cannot be listed.
#[derive(Debug)]
pub(crate) struct Unsearchable {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// Why.
    pub(crate) error: io::Error,
}

/// Returns the files that match, in the order of their names, without folders. `**` stands for any number of folders,
/// or none.
pub(crate) fn search(glob: &str, fence: &Fence) -> Result<Vec<Result<PathBuf, Unsearchable>>, PatternError> {
    let (mut base, mut steps) = (PathBuf::new(), Vec::new());
    for component in Path::new(glob).components() {
        match component {
            Component::Normal(name) => steps.push(GlobPart::new(&name.to_string_lossy())?),
            // `..` is taken literally at any place.
            other if steps.is_empty() => base.push(other),
            other => steps.push(GlobPart::Named(PathBuf::from(other.as_os_str()))),
        }
    }
    let mut found = Vec::new();
    walk(&base, &steps, fence, &mut found);
    Ok(found)
}

/// One part of a glob.
enum GlobPart {
    /// `**`
    Folders,
    /// A name without wildcards, which is opened without a search.
    Named(PathBuf),
    Like(Pattern),
}

impl GlobPart {
    fn new(part: &str) -> Result<GlobPart, PatternError> {
        Ok(match part {
            "**" => GlobPart::Folders,
            // U+FFFD: the user copied a printed name that is not Unicode.
            _ if part.contains(['*', '?', '[', char::REPLACEMENT_CHARACTER]) => GlobPart::Like(Pattern::new(part)?),
            _ => GlobPart::Named(part.into()),
        })
    }
}

fn walk(at: &Path, steps: &[GlobPart], fence: &Fence, found: &mut Vec<Result<PathBuf, Unsearchable>>) {
    let Some((step, rest)) = steps.split_first() else { return };
    match step {
        GlobPart::Named(name) => {
            let path = at.join(name);
            let is_link = || fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
            if !rest.is_empty() && is_link() && !fence.may_enter(&path) {
                return;
            }
            if !rest.is_empty() {
                walk(&path, rest, fence, found);
            } else if fs::symlink_metadata(&path).is_ok() {
                found.extend((!path.is_dir()).then_some(Ok(path)));
            } else {
                let alike = |other: &str| other.eq_ignore_ascii_case(&name.to_string_lossy());
                let here = listed(at, found).into_iter();
                let files = here.filter(|(_, kind, other)| *kind == Listed::File && alike(other));
                found.extend(files.map(|(path, ..)| Ok(path)).collect::<Vec<_>>());
            }
        }
        GlobPart::Folders => {
            walk(at, rest, fence, found);
            for (path, kind, _) in listed(at, found) {
                // Links are not followed here: two links upwards in each folder would make the walk endless.
                if kind == Listed::Folder {
                    walk(&path, steps, fence, found);
                }
            }
        }
        GlobPart::Like(pattern) => {
            // The case of folder names matters as it does to the system. File names ignore case, since
            // WINDOWSUPDATE.LOG is the same name on Windows.
            let case_sensitive = !cfg!(windows) && !rest.is_empty();
            let options = MatchOptions { case_sensitive, ..MatchOptions::default() };
            for (path, kind, name) in listed(at, found) {
                if !pattern.matches_with(&name, options) {
                    continue;
                }
                match (rest.is_empty(), kind) {
                    (true, Listed::File) => found.push(Ok(path)),
                    (false, Listed::Folder) => walk(&path, rest, fence, found),
                    (false, Listed::LinkToFolder) if fence.may_enter(&path) => walk(&path, rest, fence, found),
                    _ => {}
                }
            }
        }
    }
}

/// The kind of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    File,
    Folder,
    LinkToFolder,
}

/// Returns path, kind and name of each entry of a folder; empty where `folder` is not a folder.
fn listed(folder: &Path, found: &mut Vec<Result<PathBuf, Unsearchable>>) -> Vec<(PathBuf, Listed, String)> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if !here.is_dir() {
        return Vec::new();
    }
    match fs::read_dir(here).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(mut entries) => {
            entries.sort_by_cached_key(fs::DirEntry::file_name);
            let entries = entries.into_iter().map(|entry| {
                let path = folder.join(entry.file_name());
                let kind = match entry.file_type() {
                    Ok(kind) if kind.is_dir() => Listed::Folder,
                    Ok(kind) if !kind.is_symlink() => Listed::File,
                    // `is_dir` follows the link.
                    _ if path.is_dir() => Listed::LinkToFolder,
                    _ => Listed::File,
                };
                (path, kind, entry.file_name().to_string_lossy().into_owned())
            });
            entries.collect()
        }
        Err(error) => {
            found.push(Err(Unsearchable { folder: here.to_owned(), error }));
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Creates these files and expects the names that match the glob, both relative to one folder. Crate `glob` must
    /// find the same files.
    #[track_caller]
    fn check(files: &[&str], glob: &str, expect: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let glob = format!("{}/{glob}", dir.path().display());
        let found: Vec<PathBuf> =
            search(&glob, &Fence::of_glob(&glob)).unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!(found, expect.iter().map(|file| dir.path().join(file)).collect::<Vec<_>>());
        let others = glob::glob(&glob).unwrap().map(Result::unwrap).filter(|path| !path.is_dir());
        assert_eq!(others.collect::<BTreeSet<_>>(), found.into_iter().collect());
    }

    const FILES: &[&str] = &["a/x.log", "a/y.txt", "b/c/x.log", "b/c/d.log/x.log", "b/x.log", "top.log", "a/.x.log"];

    #[test]
    fn names_match_part_by_part() {
        check(FILES, "*.log", &["top.log"]);
        check(FILES, "*/*.log", &["a/.x.log", "a/x.log", "b/x.log"]);
        check(FILES, "[ab]/x.???", &["a/x.log", "b/x.log"]);
        check(FILES, "b/*/x.log", &["b/c/x.log"]);
        check(FILES, "a/x.log", &["a/x.log"]);
        check(FILES, "a/../b/x.log", &["a/../b/x.log"]);
        check(FILES, "*/../top.log", &["a/../top.log", "b/../top.log"]);
        check(FILES, "b/c", &[]);
        check(FILES, "none/*.log", &[]);
        check(FILES, "top.log/*", &[]);
    }

    #[test]
    fn two_stars_are_any_folders() {
        check(FILES, "**/x.log", &["a/x.log", "b/x.log", "b/c/x.log", "b/c/d.log/x.log"]);
        check(FILES, "b/**/x.log", &["b/x.log", "b/c/x.log", "b/c/d.log/x.log"]);
        check(FILES, "b/**/c/*.log", &["b/c/x.log"]);
    }

    #[test]
    fn a_pattern_that_means_nothing_is_an_error() {
        assert!(search("/a/[", &Fence::none()).is_err() && search("/a/***/b", &Fence::none()).is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_name_that_is_no_unicode_matches_too() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(OsStr::from_bytes(b"PC-M\xFCnchen"));
        let file = folder.join(OsStr::from_bytes(b"Windows\xFF\xFEUpdate.log"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "").unwrap();
        for glob in ["*/*.log", "**/*.log", "PC-M?nchen/*", "PC-M\u{FFFD}nchen/*"] {
            let found = search(&format!("{}/{glob}", dir.path().display()), &Fence::none()).unwrap();
            let found: Vec<PathBuf> = found.into_iter().map(Result::unwrap).collect();
            assert_eq!(found, std::slice::from_ref(&file), "{glob}");
        }
    }
}
