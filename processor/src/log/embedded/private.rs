//! The file of the embedded log belongs to its user alone: mode 0600, whatever the umask, and no link.
//!
//! SQLite gives the files beside it, `-wal` and `-shm`, the mode of the database.

use std::io::ErrorKind;
use std::path::Path;

use wulog_files::private;

use crate::log::LogError;

/// Creates the file if it is missing, and refuses a link in its place.
///
/// An existing file is not opened: SQLite's locks belong to the process, and closing any handle of the file would
/// release the locks of all connections.
///
/// # Errors [`LogError::Fatal`] if the path is a link, or the file cannot be created.
pub(super) fn make(path: &Path) -> Result<(), LogError> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Err(refused(path, "it is a symbolic link")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            private::open_or_create(path).map(drop).map_err(|error| refused(path, &error.to_string()))
        }
        _ => Ok(()),
    }
}

/// The error for a path that cannot hold a log.
pub(super) fn refused(path: &Path, why: &str) -> LogError {
    LogError::Fatal(format!(
        "{}: cannot be opened: {why}; is its folder there, and writable, and the path itself neither a folder nor a link? Name the \
         file itself",
        path.display()
    ))
}
