//! `DIR/HOST/...`, as administrators gather logs on a share -> the hosts, and the files of each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use wulog_collector::certificates::FileKind;
use wulog_files::shown;
use wulog_schemas::host::{HostId, canonical_name, name_apart};

use super::ReplayError;

/// Name endings of files that are gathered in place of a log. They are not logs, and explain why a host has no log.
const BINARY_EXTENSIONS: [&str; 8] = ["etl", "evtx", "evt", "zip", "gz", "cab", "7z", "rar"];

/// The folder of one host.
pub(super) struct HostFolder {
    pub(super) host_id: HostId,
    /// Name of the host.
    pub(super) host: String,
    pub(super) folder: PathBuf,
    /// The files `*.log`.
    pub(super) logs: Vec<PathBuf>,
    /// Files that are gathered in place of logs.
    pub(super) others: Vec<PathBuf>,
    /// When the newest file about the host's certificates was written, milliseconds since 1970 UTC.
    pub(super) inventory_ms: Option<i64>,
}

/// The hosts whose folder has any file, in the order of folders.
///
/// Names of computers ignore case and blanks; names of folders do not. The first of two such folders has the name; the
/// other one is a separate host, as in the collector, since it may belong to another computer.
///
/// # Errors
/// If a folder cannot be read.
pub(super) fn host_folders(dir: &Path) -> Result<Vec<HostFolder>, ReplayError> {
    let mut folders = entries(dir)?;
    folders.retain(|folder| folder.is_dir());
    let (mut found, mut names) = (Vec::new(), BTreeSet::new());
    for folder in folders {
        let name = folder.file_name().map(|name| shown(Path::new(name)).into_owned()).unwrap_or_default();
        let (host_id, host) = (HostId::of_gathered(&name), canonical_name(&name));
        let mut read = HostFolder { host_id, host, folder, logs: Vec::new(), others: Vec::new(), inventory_ms: None };
        read.sort_files()?;
        if read.logs.is_empty() && read.others.is_empty() && read.inventory_ms.is_none() {
            continue;
        }
        if !names.insert(read.host.clone()) {
            (read.host_id, read.host) = (HostId::of_gathered_apart(&name), name_apart(&name));
            tracing::warn!(
                folder = name,
                host = read.host,
                "two folders have the name of one host but for case or blanks; this one is kept apart as a host of its own: \
                 remove it, or rename it if it is another computer"
            );
        }
        found.push(read);
    }
    Ok(found)
}

impl HostFolder {
    fn sort_files(&mut self) -> Result<(), ReplayError> {
        for path in entries(&self.folder)? {
            let is = |other: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(other));
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if FileKind::of_file_name(&name).is_some() {
                let modified = path.metadata().and_then(|data| data.modified()).map_err(|why| failed(&path, why))?;
                let modified_ms = chrono::DateTime::<chrono::Utc>::from(modified).timestamp_millis();
                self.inventory_ms = self.inventory_ms.max(Some(modified_ms));
            } else if is("log") && path.is_file() {
                self.logs.push(path);
            } else if BINARY_EXTENSIONS.into_iter().any(is) && path.is_file() {
                self.others.push(path);
            }
        }
        Ok(())
    }
}

/// The entries of a folder, in the order of names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, ReplayError> {
    let entries = std::fs::read_dir(folder).map_err(|why| failed(folder, why))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(|why| failed(folder, why)));
    let mut paths = paths.collect::<Result<Vec<PathBuf>, ReplayError>>()?;
    paths.sort();
    Ok(paths)
}

fn failed(path: &Path, why: std::io::Error) -> ReplayError {
    ReplayError::File { path: path.display().to_string(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(dir: &Path) -> Vec<(String, usize, bool)> {
        let found = host_folders(dir).unwrap();
        found.into_iter().map(|found| (found.host, found.logs.len(), found.inventory_ms.is_some())).collect()
    }

    #[test]
    fn folders_that_differ_in_case_or_blanks_are_different_hosts() {
        let dir = tempfile::tempdir().unwrap();
        for (folder, file) in [
            ("PC-0", "notes.txt"),
            ("PC-1", "WindowsUpdate.log"),
            ("pc-1", "certutil-Root.txt"),
            ("pc-1 ", "WindowsUpdate.log"),
            ("pc-0", "ReportingEvents.LOG"),
        ] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
            std::fs::write(dir.path().join(folder).join(file), "x").unwrap();
        }
        // A folder without files of a host takes no name.
        let expected = [
            ("pc-1".to_owned(), 1, false),
            ("pc-0".to_owned(), 1, false),
            ("pc-1 (folder \"pc-1\")".to_owned(), 0, true),
            ("pc-1 (folder \"pc-1 \")".to_owned(), 1, false),
        ];
        assert_eq!(hosts(dir.path()), expected);
        let ids: BTreeSet<HostId> = host_folders(dir.path()).unwrap().into_iter().map(|found| found.host_id).collect();
        assert_eq!(ids.len(), expected.len());
        assert!(ids.contains(&HostId::of_gathered("pc-1")));
    }
}
