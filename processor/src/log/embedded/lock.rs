//! One process on a file: a lock on the file itself, whatever its path or the link that leads to it.

use std::fs::File;
use std::path::Path;

use wulog_files::private;

use super::private::refused;
use crate::log::LogError;

/// Holds the lock until it is dropped, and so until the process ends, however it ends.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    /// Locks the embedded log at `path`, which is made, for this user alone, where it is missing.
    ///
    /// # Errors
    /// [`LogError::Fatal`] where another process holds it, or the file cannot be opened.
    pub fn take(path: &Path) -> Result<Lock, LogError> {
        let place = path.display();
        let file = private::open_or_create(&Lock::file_of(path)).map_err(|e| {
            let is_link = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
            refused(path, &if is_link { "it is a symbolic link".to_owned() } else { e.to_string() })
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(std::fs::TryLockError::WouldBlock) => Err(LogError::Fatal(format!(
                "{place}: another wulog runs on this file, perhaps through another path or a link: stop it first, or name another file"
            ))),
            Err(std::fs::TryLockError::Error(e)) => Err(LogError::Fatal(format!("{place}: cannot be locked: {e}"))),
        }
    }

    /// On Unix the database itself, since this lock and those of SQLite do not see each other, and the file is the same by
    /// every path. On Windows a lock would keep SQLite out, so a file beside it is locked.
    fn file_of(path: &Path) -> std::path::PathBuf {
        if cfg!(unix) {
            return path.to_owned();
        }
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut name = real.into_os_string();
        name.push(".lock");
        name.into()
    }
}
