//! The operator's list of existing hosts, from a file that is read again when it changes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use wulog_schemas::host::canonical_name;

/// How often the file is checked for a change.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Largest file: a million names of 60 bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A file of host names: its path, and the names that were last read. Clones share the names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Option<PathBuf>", into = "Option<PathBuf>")]
pub struct HostNamesFile {
    path: Option<PathBuf>,
    names: Arc<RwLock<Arc<HostNames>>>,
}

/// The names in the file.
#[derive(Debug, Default)]
struct HostNames {
    /// Whole names, lower case.
    exact: BTreeSet<String>,
    /// Suffixes with their dot, lower case.
    suffixes: Vec<String>,
}

impl From<Option<PathBuf>> for HostNamesFile {
    fn from(path: Option<PathBuf>) -> HostNamesFile {
        HostNamesFile { path, ..HostNamesFile::default() }
    }
}

impl From<HostNamesFile> for Option<PathBuf> {
    fn from(inventory: HostNamesFile) -> Option<PathBuf> {
        inventory.path
    }
}

impl PartialEq for HostNamesFile {
    fn eq(&self, other: &HostNamesFile) -> bool {
        self.path == other.path
    }
}

impl HostNamesFile {
    /// True where the operator names a file.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.path.is_some()
    }

    /// Returns the inventory with its path resolved relative to `folder`, and reads the file.
    ///
    /// # Errors
    /// The message names the file. A file without a name is an error too, since it would leave out every host.
    pub fn read_in(mut self, folder: &Path) -> Result<HostNamesFile, String> {
        self.path = self.path.map(|path| folder.join(path));
        self.read()?;
        Ok(self)
    }

    fn read(&self) -> Result<(), String> {
        let Some(path) = &self.path else { return Ok(()) };
        let failed = |why: String| format!("{}: the inventory of hosts cannot be read: {why}", path.display());
        let metadata = fs::metadata(path).map_err(|e| failed(e.to_string()))?;
        if !metadata.is_file() {
            return Err(failed("it is not a regular file".to_owned()));
        }
        let bytes = metadata.len();
        if bytes > FILE_BYTES_MAX {
            return Err(failed(format!("it has {bytes} bytes, more than {FILE_BYTES_MAX}")));
        }
        let text = fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
        let names = HostNames::of(&text);
        if names.exact.is_empty() && names.suffixes.is_empty() {
            return Err(failed("it names no host, which would leave out all of them".to_owned()));
        }
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(names);
        Ok(())
    }

    /// Whether the file names this host.
    #[must_use]
    pub fn names(&self, host: &str) -> bool {
        let names = Arc::clone(&self.names.read().unwrap_or_else(PoisonError::into_inner));
        names.have(&canonical_name(host))
    }

    /// Reads the file again whenever it changes, in a thread of its own, until `stop`. While the file cannot be read,
    /// the old names stay; `tell` gets the reason, and `None` once the file is read again.
    pub fn watch(&self, stop: &CancellationToken, tell: impl Fn(Option<String>) + Send + 'static) {
        let Some(path) = self.path.clone() else { return };
        let (inventory, stop) = (self.clone(), stop.clone());
        std::thread::spawn(move || {
            let mut known = state_of(&path);
            while !stop.is_cancelled() {
                std::thread::sleep(LOOK_EVERY);
                let now = state_of(&path);
                if now == known {
                    continue;
                }
                known = now;
                match inventory.read() {
                    Ok(()) => {
                        tracing::info!(path = %path.display(), "the inventory of hosts has changed and is read again");
                        tell(None);
                    }
                    Err(why) => {
                        tracing::error!("{why}; the names that it had stay");
                        tell(Some(format!("{why}. The names that it had stay.")));
                    }
                }
            }
        });
    }
}

/// Returns the time and size by which a change of the file is detected.
fn state_of(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl HostNames {
    fn of(text: &str) -> HostNames {
        let mut names = HostNames::default();
        for line in text.lines() {
            let name = canonical_name(line.split('#').next().unwrap_or_default());
            match name.strip_prefix('*').or(name.starts_with('.').then_some(&*name)) {
                Some(suffix) if suffix.len() > 1 => names.suffixes.push(suffix.to_owned()),
                Some(_) => {}
                None if name.is_empty() => {}
                None => drop(names.exact.insert(name)),
            }
        }
        names
    }

    /// A host may be named by its first label alone, or with its domain.
    fn have(&self, host: &str) -> bool {
        let short = host.split('.').next().unwrap_or(host);
        self.exact.contains(host)
            || self.exact.contains(short)
            || self.suffixes.iter().any(|suffix| host.len() > suffix.len() && host.ends_with(suffix.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_suffixes_are_compared_without_case() {
        let names = HostNames::of(
            "# of 2024\nPC-1\n  srv-2.corp.example.com # the old one\n*.Sales.example.com\n.lab.example\n*\n\n",
        );
        for host in ["pc-1", "pc-1.any.example", "srv-2.corp.example.com", "x.sales.example.com", "y.z.lab.example"] {
            assert!(names.have(host), "{host}");
        }
        for host in ["", "pc-11", "srv-2", "srv-2.other.example.com", "sales.example.com", "xsales.example.com"] {
            assert!(!names.have(host), "{host}");
        }
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_missing_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("hosts.txt"), "pc-1\n").unwrap();
        let inventory = HostNamesFile::from(Some(PathBuf::from("hosts.txt"))).read_in(folder.path()).unwrap();
        let copy = inventory.clone();
        assert!(copy.names("PC-1") && !copy.names("pc-2"));
        std::fs::write(folder.path().join("hosts.txt"), "pc-2\n").unwrap();
        inventory.read().unwrap();
        assert!(!copy.names("pc-1") && copy.names("pc-2"));
        std::fs::write(folder.path().join("hosts.txt"), "# nobody\n*\n").unwrap();
        assert!(inventory.read().unwrap_err().contains("names no host"));
        assert!(copy.names("pc-2"), "an export that failed leaves out nobody");
        std::fs::remove_file(folder.path().join("hosts.txt")).unwrap();
        assert!(inventory.read().unwrap_err().contains("hosts.txt"));
        assert!(copy.names("pc-2"));
    }
}
