//! Finds and reads inventory files in the folders of gathered hosts.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tracing::warn;
use wulog_files::{Fence, shown};
use wulog_schemas::certificate::Inventory;

use super::{FileKind, InventoryFile, inventory};
use crate::input::Input;
use crate::search::search;

/// Bytes of one file. `certutil -v` writes 10 kB a certificate, so this is more than a thousand of them.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Files of one host: two for each store, and two more for the origins of each.
const FILES_MAX: usize = 32;

/// Glob of inventory files, in the folder of a host; [`FileKind::of_file_name`] decides, which ignores case.
const NAMES: &str = "[Cc][Ee][Rr][Tt]*";

/// Returns the inventory in the folder of one host; `None` where the folder has no inventory file.
///
/// # Errors
/// When the folder cannot be read.
pub fn of_folder(folder: &Path, fence: &Fence) -> io::Result<Option<Inventory>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if kind_of(&path).is_some() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(of_files(&paths, fence))
}

fn kind_of(path: &Path) -> Option<FileKind> {
    FileKind::of_file_name(&shown(Path::new(path.file_name()?)))
}

pub(super) fn of_files(paths: &[PathBuf], fence: &Fence) -> Option<Inventory> {
    let mut files = Vec::new();
    for path in paths.iter().take(FILES_MAX) {
        let Some(kind) = kind_of(path) else { continue };
        match read(path, kind, fence) {
            Ok(file) => files.push(file),
            // The inventory leaves out the stores of this file: they stay unknown.
            Err(error) => warn!(path = %path.display(), %error, "a file of certificates cannot be read"),
        }
    }
    (!files.is_empty()).then(|| inventory(files))
}

fn read(path: &Path, kind: FileKind, fence: &Fence) -> io::Result<InventoryFile> {
    let file = fence.open(path)?;
    let modified = file.metadata()?.modified()?;
    let modified_ms = chrono::DateTime::<chrono::Utc>::from(modified).timestamp_millis();
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    let is_cut = bytes.len() as u64 > FILE_BYTES_MAX;
    bytes.truncate(usize::try_from(FILE_BYTES_MAX).unwrap_or(usize::MAX));
    let error = is_cut.then(|| format!("the file is larger than {FILE_BYTES_MAX} bytes and was read in part"));
    Ok(InventoryFile { kind, modified_ms, bytes, error })
}

/// The inventory files of one folder.
#[derive(Debug)]
pub(super) struct FolderFiles {
    /// The input that the folder belongs to.
    pub(super) input: usize,
    pub(super) folder: PathBuf,
    pub(super) paths: Vec<PathBuf>,
    pub(super) fence: Fence,
}

/// A file as the last reading saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GatheredFile {
    pub(super) path: PathBuf,
    len: u64,
    pub(super) modified_ms: i64,
}

/// Returns the files that exist.
pub(super) fn seen(paths: &[PathBuf]) -> Vec<GatheredFile> {
    let seen_at = |path: &PathBuf| {
        let data = std::fs::metadata(path).ok()?;
        let modified_ms = chrono::DateTime::<chrono::Utc>::from(data.modified().ok()?).timestamp_millis();
        Some(GatheredFile { path: path.clone(), len: data.len(), modified_ms })
    };
    paths.iter().filter_map(seen_at).collect()
}

/// Whether a folder that held inventory files exists and holds none now.
///
/// A folder that cannot be read, or is empty, does not count, since a share that is unreachable looks the same.
pub(super) fn has_lost_files(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    let mut any = false;
    for entry in entries {
        match entry {
            Ok(entry) if kind_of(&entry.path()).is_none() => any = true,
            _ => return false,
        }
    }
    any
}

/// Returns the inventory files of an input, by folder, with the fence in which they must lie.
pub(super) fn files_of(input: usize, config: &Input) -> Vec<FolderFiles> {
    let mut folders: BTreeMap<PathBuf, (Vec<PathBuf>, Fence)> = BTreeMap::new();
    for pattern in &config.paths {
        let fence = config.fence(pattern);
        // Inventories stand beside logs: in the folders that the input's paths lead to.
        let Some(parent) = Path::new(pattern).parent() else { continue };
        let glob = parent.join(NAMES).to_string_lossy().into_owned();
        for path in search(&glob, &fence).into_iter().flatten().flatten() {
            let Some(folder) = path.parent().map(Path::to_owned) else { continue };
            let (paths, _) = folders.entry(folder).or_insert_with(|| (Vec::new(), fence.clone()));
            if kind_of(&path).is_some() && !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    folders.retain(|_, (paths, _)| !paths.is_empty());
    folders.into_iter().map(|(folder, (paths, fence))| FolderFiles { input, folder, paths, fence }).collect()
}
