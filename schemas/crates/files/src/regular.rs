//! Opens regular files only: opening a FIFO, device or socket must not block, and reading one may never end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Opens a regular file for reading. Other programs may go on writing, renaming and deleting the file.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for a FIFO, a device, a socket or a folder.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Checked before opening, since opening a device may have an effect, such as rewinding a tape.
    if !system::is_regular_at(path)? {
        return Err(not_regular());
    }
    let file = system::open(path)?;
    // Checked again on the handle, since the path may lead elsewhere by now.
    if system::is_regular(&file)? { Ok(file) } else { Err(not_regular()) }
}

/// Returns the path of an open file, without links. `path` is the name by which the file was opened.
///
/// # Errors
/// Those of the system; [`io::ErrorKind::InvalidInput`] when the name leads to another file by now.
pub(crate) fn final_path(file: &File, path: &Path) -> io::Result<PathBuf> {
    system::final_path(file, path)
}

/// Returns the error for a path without a regular file.
#[must_use]
pub fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

#[cfg(unix)]
mod system {
    use std::fs::{File, OpenOptions, metadata};
    use std::io;
    #[cfg(target_os = "linux")]
    use std::os::fd::AsRawFd;
    #[cfg(not(target_os = "linux"))]
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::{Path, PathBuf};

    use rustix::fs::OFlags;

    /// Returns the path by which the kernel knows an open file. No name is looked up again, so no name can be
    /// exchanged.
    #[cfg(target_os = "linux")]
    pub(super) fn final_path(file: &File, _: &Path) -> io::Result<PathBuf> {
        std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
    }

    /// Other systems resolve the name again, and compare what is there with the open file. A folder that is exchanged
    /// between the two steps is not noticed.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn final_path(file: &File, path: &Path) -> io::Result<PathBuf> {
        let real = path.canonicalize()?;
        let id = |found: std::fs::Metadata| (found.dev(), found.ino());
        let same = id(std::fs::symlink_metadata(&real)?) == id(file.metadata()?);
        if same { Ok(real) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "it changed while it was opened")) }
    }

    /// Opens a file with two flags: without `NONBLOCK` a FIFO without a writer would block, and without `NOCTTY` a
    /// terminal could become the terminal of this process.
    pub(super) fn open(path: &Path) -> io::Result<File> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
        OpenOptions::new().read(true).custom_flags(flags).open(path)
    }

    pub(super) fn is_regular_at(path: &Path) -> io::Result<bool> {
        Ok(metadata(path)?.is_file())
    }

    pub(super) fn is_regular(file: &File) -> io::Result<bool> {
        Ok(file.metadata()?.is_file())
    }
}

#[cfg(windows)]
mod system {
    use std::ffi::OsString;
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::windows::ffi::OsStringExt;
    use std::os::windows::fs::OpenOptionsExt;
    use std::os::windows::io::AsRawHandle;
    use std::path::{Path, PathBuf};

    use windows_sys::Win32::Storage::FileSystem::{
        FILE_FLAG_BACKUP_SEMANTICS, FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE,
        GetFinalPathNameByHandleW,
    };

    const SHARE_ALL: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

    /// Returns the name that the system has for an open file, in the form of `Path::canonicalize`.
    #[allow(unsafe_code)] // one call that no crate wraps
    pub(super) fn final_path(file: &File, _: &Path) -> io::Result<PathBuf> {
        // The longest path of Windows, and a zero.
        let mut name = vec![0u16; 32_768];
        // SAFETY: the handle is open, and the length is that of the buffer.
        let length =
            unsafe { GetFinalPathNameByHandleW(file.as_raw_handle().cast(), name.as_mut_ptr(), name.len() as u32, 0) };
        match length as usize {
            0 => Err(io::Error::last_os_error()),
            length if length < name.len() => Ok(OsString::from_wide(&name[..length]).into()),
            _ => Err(io::Error::other("its path is too long")),
        }
    }

    pub(super) fn open(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).share_mode(SHARE_ALL).open(path)
    }

    /// Opens a handle for attributes only, which does not block.
    pub(super) fn is_regular_at(path: &Path) -> io::Result<bool> {
        let mut options = OpenOptions::new();
        options.access_mode(FILE_READ_ATTRIBUTES).share_mode(SHARE_ALL).custom_flags(FILE_FLAG_BACKUP_SEMANTICS);
        is_regular(&options.open(path)?)
    }

    /// True for a file on a disk; a pipe and a device are of another type.
    pub(super) fn is_regular(file: &File) -> io::Result<bool> {
        Ok(winapi_util::file::typ(file)?.is_disk() && file.metadata()?.is_file())
    }
}
