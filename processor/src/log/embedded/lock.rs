//! One process for one file: a lock on the file itself, which holds for every path and link to the file.

use std::fs::File;
use std::path::Path;

use wulog_files::private;

use super::private::refused;
use crate::log::LogError;

/// Holds the lock until it is dropped, and so until the process ends in any way.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    /// Locks the embedded log at `path`. A missing file is created, readable for this user alone.
    ///
    /// # Errors [`LogError::Fatal`] where another process holds the lock, or the file cannot be opened.
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

    /// The file to lock. On Unix the database itself: this lock and SQLite's locks do not see each other, and every
    /// path leads to the same file. On Windows a lock would keep SQLite out, so a file beside the database is locked.
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
