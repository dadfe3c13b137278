//! Inventory files in the folders of gathered hosts: which there are, what they hold, and when they are sent.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::warn;
use wulog_schemas::certificate::Inventory;

use super::{FileKind, InventoryFile, inventory};
use crate::config::Input;
use crate::fence::Fence;
use crate::path_text::shown;
use crate::redact::{Rule, redact};
use crate::search::search;

/// Bytes of one file. `certutil -v` writes 10 kB a certificate, so this is more than a thousand of them.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Files of one host: two for each store, and two more for the origins of each.
const FILES_MAX: usize = 32;

/// How often folders are looked at for new inventories.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// An inventory goes out again after so long without a change, so that a processor that lost its state learns it again.
const REPEAT_AFTER_MS: i64 = 7 * 24 * 3600 * 1000;

/// A host sends at most one inventory in this time.
const PAUSE_MS: i64 = 15 * 60 * 1000;

/// A file that shows no whole store may still be written to; for so long after its last change it is read again later.
const SETTLE_MS: i64 = 60 * 1000;

/// Glob of inventory files, in the folder of a host; [`FileKind::of_file_name`] decides, which ignores case.
const NAMES: &str = "[Cc][Ee][Rr][Tt]*";

/// The inventory in the folder of one host; `None` where the folder has no inventory file.
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

fn of_files(paths: &[PathBuf], fence: &Fence) -> Option<Inventory> {
    let mut files = Vec::new();
    for path in paths.iter().take(FILES_MAX) {
        let Some(kind) = kind_of(path) else { continue };
        match read(path, kind, fence) {
            Ok(file) => files.push(file),
            // The inventory says nothing about the stores of this file: they stay unknown.
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

/// An inventory that was read, and the folder it belongs to.
#[derive(Debug)]
pub(crate) struct Due {
    /// The input that the folder belongs to.
    pub(crate) input: usize,
    /// One of the inventory's files: the host is told by its path, as that of a log is.
    pub(crate) path: PathBuf,
    pub(crate) inventory: Inventory,
    /// Hash of what the inventory lists.
    pub(crate) hash: String,
    /// Whether it is to be sent. Of one that lists the same as the one before, heartbeats tell the time.
    pub(crate) is_news: bool,
}

/// The inventories of all gathered hosts.
#[derive(Debug, Default)]
pub(crate) struct Inventories {
    folders: BTreeMap<PathBuf, Folder>,
    /// Folders that are still to be looked at in this round. Their inventories are read one by one, as far as there is
    /// room for them on their way to the log.
    round: VecDeque<Files>,
    next_look: Option<Instant>,
}

/// The inventory files of one folder.
#[derive(Debug)]
struct Files {
    input: usize,
    folder: PathBuf,
    paths: Vec<PathBuf>,
    fence: Fence,
}

/// What was seen of the files in one folder.
#[derive(Debug, Default)]
struct Folder {
    /// Name, size and time of change of each file when they were read.
    seen: Vec<(PathBuf, u64, i64)>,
    sent: Option<(String, i64)>,
}

impl Inventories {
    /// Begins to look at all folders, once a minute.
    pub(crate) fn look_when_due(&mut self, inputs: &[Input]) {
        if !self.round.is_empty() || self.next_look.is_some_and(|next| Instant::now() < next) {
            return;
        }
        self.next_look = Some(Instant::now() + LOOK_EVERY);
        for (input, config) in inputs.iter().enumerate().filter(|(_, config)| config.host_pattern.is_some()) {
            let files = files_of(config).into_iter();
            self.round.extend(files.map(|(folder, (paths, fence))| Files { input, folder, paths, fence }));
        }
    }

    /// True once all folders of a round were looked at.
    pub(crate) fn is_idle(&self) -> bool {
        self.round.is_empty()
    }

    /// The next inventory that is due.
    pub(crate) fn next_due(&mut self, rules: &[Rule], now_ms: i64) -> Option<Due> {
        while let Some(Files { input, folder, paths, fence }) = self.round.pop_front() {
            if let Some((inventory, is_news)) = self.look(folder, &paths, &fence, rules, now_ms) {
                let hash = inventory.hash();
                return Some(Due { input, path: paths.into_iter().next()?, inventory, hash, is_news });
            }
        }
        None
    }

    fn look(
        &mut self,
        folder: PathBuf,
        paths: &[PathBuf],
        fence: &Fence,
        rules: &[Rule],
        now_ms: i64,
    ) -> Option<(Inventory, bool)> {
        let seen: Vec<(PathBuf, u64, i64)> = paths.iter().filter_map(|path| seen_at(path)).collect();
        let known = self.folders.entry(folder).or_default();
        let since_sent = known.sent.as_ref().map(|(_, sent_ms)| now_ms - sent_ms);
        let is_news = known.seen != seen && since_sent.is_none_or(|since| since >= PAUSE_MS);
        if !is_news && since_sent.is_none_or(|since| since < REPEAT_AFTER_MS) {
            return None;
        }
        let mut inventory = of_files(paths, fence)?;
        let is_young = |(_, _, modified_ms): &(PathBuf, u64, i64)| (now_ms - modified_ms).abs() < SETTLE_MS;
        if inventory.stores.iter().any(|store| !store.complete) && seen.iter().any(is_young) {
            return None;
        }
        for certificate in inventory.stores.iter_mut().flat_map(|store| &mut store.certificates) {
            for name in [&mut certificate.subject, &mut certificate.issuer] {
                *name = String::from_utf8_lossy(&redact(rules, name.as_bytes())).into_owned();
            }
        }
        known.seen = seen;
        let hash = inventory.hash();
        let is_known = known.sent.as_ref().is_some_and(|(sent, _)| *sent == hash);
        if is_known && since_sent.is_some_and(|since| since < REPEAT_AFTER_MS) {
            return Some((inventory, false));
        }
        known.sent = Some((hash, now_ms));
        Some((inventory, true))
    }
}

/// The inventory files of an input by folder, and the fence that they must be in.
fn files_of(input: &Input) -> BTreeMap<PathBuf, (Vec<PathBuf>, Fence)> {
    let mut folders: BTreeMap<PathBuf, (Vec<PathBuf>, Fence)> = BTreeMap::new();
    for pattern in &input.paths {
        let fence = input.fence(pattern);
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
    folders
}

fn seen_at(path: &Path) -> Option<(PathBuf, u64, i64)> {
    let data = std::fs::metadata(path).ok()?;
    let modified = chrono::DateTime::<chrono::Utc>::from(data.modified().ok()?).timestamp_millis();
    Some((path.to_owned(), data.len(), modified))
}
