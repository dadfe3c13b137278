//! Regular files, and no FIFO, device or socket: opening one of those must not block, and reading one may never end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Opens a regular file for reading. Other programs may go on writing, renaming and deleting the file.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for a FIFO, a device, a socket or a folder: opening one must not block, and reading one
/// may never end.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Asked first, since opening a device may do something by itself, such as rewinding a tape.
    if !system::is_regular_at(path)? {
        return Err(not_regular());
    }
    let file = system::open(path)?;
    // Asked again, since the path may lead elsewhere by now.
    if system::is_regular(&file)? { Ok(file) } else { Err(not_regular()) }
}

/// The path of an open file, without links. `path` is the name by which the file was opened.
///
/// # Errors
/// Those of the system; [`io::ErrorKind::InvalidInput`] when the name leads to another file by now.
pub(crate) fn final_path(file: &File, path: &Path) -> io::Result<PathBuf> {
    system::final_path(file, path)
}

/// The error for a path at which no regular file stands.
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

    /// The path by which the kernel knows an open file: no name is looked up again, so nobody can exchange one.
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

    /// A FIFO without a writer would block an open that lacks `NONBLOCK`; a terminal must not become ours.
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

    /// The name that the system has for an open file, in the form that `Path::canonicalize` has too.
    #[allow(unsafe_code)] // one call that no crate wraps
    pub(super) fn final_path(file: &File, _: &Path) -> io::Result<PathBuf> {
        // The longest path that Windows knows, and a zero.
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

    /// Asked of the handle alone: a handle that asks for attributes does not block.
    pub(super) fn is_regular_at(path: &Path) -> io::Result<bool> {
        let mut options = OpenOptions::new();
        options.access_mode(FILE_READ_ATTRIBUTES).share_mode(SHARE_ALL).custom_flags(FILE_FLAG_BACKUP_SEMANTICS);
        is_regular(&options.open(path)?)
    }

    /// A pipe and a device are of another type than a file on a disk.
    pub(super) fn is_regular(file: &File) -> io::Result<bool> {
        Ok(winapi_util::file::typ(file)?.is_disk() && file.metadata()?.is_file())
    }
}
