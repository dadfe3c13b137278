//! Versions of a log that were never seen under its name.
//!
//! Between two looks a log can be renamed, recreated and renamed again. The version in the middle then stands beside
//! the log, under a name of the same rotation, and is younger than the version that was seen last. This module finds
//! the version in the middle. A version that was moved to another folder, or deleted, cannot be found.

use std::fs;
use std::path::{Path, PathBuf};

use crate::disk::see_at;
use crate::follow::Inode;

/// How many names of the folder are examined: a folder may hold the logs of ten thousand hosts.
const NAMES_MAX: usize = 4096;
/// Longest part of a name that a rotation adds: a date, a time and a number.
const ADDED_MAX: usize = 32;
/// Words that programs add to the name of the previous log.
const WORDS: [&str; 5] = ["old", "bak", "prev", "previous", "last"];

/// A version that was not seen at the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MissedVersion {
    pub(super) path: PathBuf,
    pub(super) id: Inode,
}

/// Returns the files beside `path` that a rotation of `path` made and that are younger than `written_ns`, oldest first.
/// `is_known` is true for the id of a version that was seen. A file written exactly at `written_ns` may be older than
/// the version that was seen last, and would be read out of order, so the file is skipped.
pub(super) fn missed_versions(path: &Path, written_ns: i128, is_known: impl Fn(Inode) -> bool) -> Vec<MissedVersion> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let name = name.to_string_lossy();
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<(i128, MissedVersion)> = Vec::new();
    for entry in entries.flatten().take(NAMES_MAX) {
        if !is_rotation(&entry.file_name().to_string_lossy(), &name) {
            continue;
        }
        if let Ok(seen) = see_at(&entry.path())
            && seen.id != (0, 0)
            && seen.modified_ns > written_ns
            && !is_known(seen.id)
        {
            found.push((seen.modified_ns, MissedVersion { path: entry.path(), id: seen.id }));
        }
    }
    found.sort_by(|a, b| (a.0, &a.1.path).cmp(&(b.0, &b.1.path)));
    found.into_iter().map(|(_, missed)| missed).collect()
}

/// True when a rotation of `log` makes this name: `a.log.1`, `a.1.log`, `a-20230301.log`, `a.log.old`.
fn is_rotation(name: &str, log: &str) -> bool {
    let (stem, extension) = log.rsplit_once('.').unwrap_or((log, ""));
    let Some(rest) = name.strip_prefix(stem) else { return false };
    let added = rest.replacen(&format!(".{extension}"), "", usize::from(!extension.is_empty()));
    if !added.starts_with(['.', '-', '_']) || added.len() > ADDED_MAX {
        return false;
    }
    let word = added.trim_matches(['.', '-', '_']).to_ascii_lowercase();
    let is_date = |c: char| c.is_ascii_digit() || ".-_T:+Z".contains(c);
    WORDS.contains(&word.as_str()) || (added.contains(|c: char| c.is_ascii_digit()) && added.chars().all(is_date))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_adds_a_number_a_date_or_a_word() {
        let check = |name: &str, expect| assert_eq!(is_rotation(name, "WindowsUpdate.log"), expect, "{name}");
        for name in ["log.1", "1.log", "log.old", "log-20230301", "2023-03-01T10:00:00Z.log", "log.2023-03-01.1"] {
            check(&format!("WindowsUpdate.{name}"), true);
        }
        check("WindowsUpdate_old.log", true);
        check("WindowsUpdate-7.log", true);
        check("WindowsUpdate.log", false);
        check("WindowsUpdate2.log", false);
        check("WindowsUpdate.log.swp", false);
        check("WindowsUpdate.log.1.gz", false);
        check("WindowsUpdateAgent.1.log", false);
        check("ReportingEvents.log.1", false);
        check(&format!("WindowsUpdate.log.{}", "1".repeat(40)), false);
        assert!(is_rotation("messages.1", "messages") && is_rotation("messages-20230301", "messages"));
    }

    #[test]
    fn only_younger_files_that_nobody_saw_are_missed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let write = |name: &str, secs: u64| {
            let file = fs::File::create(at(name)).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(secs)).unwrap();
            see_at(&at(name)).unwrap().id
        };
        write("a.log.5", 10);
        let seen = write("a.log.4", 100);
        let written_ns = see_at(&at("a.log.4")).unwrap().modified_ns;
        write("a.log.2", 102);
        write("a.log.3", 101);
        write("b.log.1", 102);
        write("a.log", 103);
        let found = missed_versions(&at("a.log"), written_ns, |id| id == seen);
        let names: Vec<PathBuf> = found.into_iter().map(|missed| missed.path).collect();
        assert_eq!(names, [at("a.log.3"), at("a.log.2")]);
    }
}
