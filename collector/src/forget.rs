//! Removes the position of one file (`cursor reset`), or all positions before a machine image is made (`seal`).
//!
//! Both commands refuse to run while a collector uses the state directory, since that collector would overwrite the
//! checkpoint.

use std::path::Path;

use wulog_files::shown;

use crate::checkpoint::{CheckpointError, CheckpointStore, FileEntry};
use crate::config::Config;

/// Why a position cannot be forgotten.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForgetError {
    /// A collector runs, or the state directory cannot be written.
    #[error("{0}; stop the collector first")]
    InUse(CheckpointError),
    /// The state directory cannot be written.
    #[error(transparent)]
    State(CheckpointError),
    /// No position of such a file is kept.
    #[error("{path}: no position of it is kept in {state_dir}; `cursor show` lists the files")]
    Unknown {
        /// The file.
        path: String,
        /// The state directory.
        state_dir: String,
    },
}

impl From<CheckpointError> for ForgetError {
    fn from(error: CheckpointError) -> ForgetError {
        match error {
            CheckpointError::InUse(_) => ForgetError::InUse(error),
            CheckpointError::Unwritable { .. } => ForgetError::State(error),
        }
    }
}

/// Whether `path` is the file that the operator named, by its path or as `cursor show` prints the file.
fn is_named(path: &Path, named: &Path) -> bool {
    path == named || std::path::absolute(named).is_ok_and(|named| path == named) || shown(path) == shown(named)
}

/// Removes the position of one file: the file is read again from its start, under a new epoch, so that the processor
/// does not take its lines for duplicates. Returns the removed entry.
///
/// # Errors
/// See [`ForgetError`].
pub(crate) fn reset(config: &Config, file: &Path) -> Result<FileEntry, ForgetError> {
    let (mut store, mut entries) = CheckpointStore::open(&config.state_dir)?;
    let Some(at) = entries.iter().position(|entry| is_named(&entry.path, file)) else {
        let (path, state_dir) = (file.display().to_string(), config.state_dir.display().to_string());
        return Err(ForgetError::Unknown { path, state_dir });
    };
    let forgotten = entries.remove(at);
    // Twice, so that both generations lack the file: the older generation is used when the newer one is invalid.
    for _ in 0..2 {
        store.save(&entries.iter().collect::<Vec<_>>())?;
    }
    Ok(forgotten)
}

/// Prepares a machine to be cloned: removes all positions and epochs, so that each clone begins its own. Returns the
/// other properties that the clones would share, one sentence each.
///
/// # Errors
/// See [`ForgetError`].
pub(crate) fn seal(config: &Config) -> Result<Vec<String>, ForgetError> {
    let (store, _) = CheckpointStore::open(&config.state_dir)?;
    store.clear()?;
    let shared = [("id", &config.host.id), ("name", &config.host.name)];
    let shared = shared.into_iter().filter(|(_, value)| value.is_some());
    Ok(shared.map(|(key, _)| format!("[host] {key} is set: all clones would have it; take it out")).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::checkpoint::{self, Cursor};

    fn config(dir: &Path) -> Config {
        Config::gathered(&dir.join("logs"), &dir.join("state"))
    }

    /// Returns the locked state directory of a running collector, with positions of these files.
    fn state(config: &Config, files: &[&str]) -> CheckpointStore {
        let (mut store, _) = CheckpointStore::open(&config.state_dir).unwrap();
        let cursor = Cursor { epoch: "00".to_owned(), logical: 7, ..Cursor::default() };
        let entry = |path: &&str| FileEntry { path: path.into(), cursor: cursor.clone(), ..FileEntry::default() };
        let entries: Vec<FileEntry> = files.iter().map(entry).collect();
        for _ in 0..2 {
            store.save(&entries.iter().collect::<Vec<_>>()).unwrap();
        }
        store
    }

    fn known(config: &Config) -> Vec<String> {
        let (_, entries) = checkpoint::read(&config.state_dir);
        entries.into_iter().map(|entry| entry.path.display().to_string()).collect()
    }

    #[test]
    fn one_file_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        drop(state(&config, &["/a", "/b"]));
        assert_eq!(reset(&config, Path::new("/a")).unwrap().cursor.logical, 7);
        assert_eq!(known(&config), ["/b"]);
        // The older generation lacks the file too.
        fs::write(config.state_dir.join("checkpoint.0"), "").unwrap();
        assert_eq!(known(&config), ["/b"]);
    }

    #[test]
    fn a_file_that_is_not_known_is_said_to_be_so() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        drop(state(&config, &["/a"]));
        let error = reset(&config, Path::new("/c")).unwrap_err().to_string();
        assert!(error.contains("/c") && error.contains("cursor show"), "{error}");
        assert_eq!(known(&config), ["/a"]);
    }

    #[test]
    fn a_running_collector_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let running = state(&config, &["/a"]);
        for error in [reset(&config, Path::new("/a")).unwrap_err(), seal(&config).unwrap_err()] {
            assert!(error.to_string().contains("stop the collector first"), "{error}");
        }
        drop(running);
        assert_eq!(known(&config), ["/a"]);
    }

    #[test]
    fn a_sealed_image_knows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        let mut store = state(&config, &["/a", "/b"]);
        store.journal_sent(Path::new("/a"), &Cursor::default());
        drop(store);
        assert_eq!(seal(&config).unwrap(), Vec::<String>::new());
        let left: Vec<_> = fs::read_dir(&config.state_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["lock"]);
        config.host.id = Some("image".to_owned());
        let shared = seal(&config).unwrap();
        assert!(shared.len() == 1 && shared[0].contains("[host] id"), "{shared:?}");
    }
}
