//! Private files and folders of wulog, which no other user may read, write or replace by a link.
//!
//! The mode is set when the file is created, so neither a umask nor a delay leaves the file open. A name in a private
//! folder is never followed as a link: a user who could once write the folder must not make wulog overwrite a file of
//! the system.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Creates a folder and its missing parents for this user alone: mode 0700. An existing folder keeps its mode, which
/// the operator may have chosen.
///
/// # Errors
/// When a folder cannot be created.
pub fn create_folder(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Creates a new, empty file of mode 0600. An existing file or link of this name is removed first.
///
/// # Errors
/// When the file cannot be created, also when another process creates the name again at once.
pub fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // `create_new` follows no link and opens no existing file.
    options().create_new(true).open(path)
}

/// Opens a file for writing and creates it, with mode 0600, where it is missing; existing content is kept. A file that
/// other users may read gets mode 0600.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for a link, a file with a second name, a FIFO or a device.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    let file = no_links(&mut options()).create(true).truncate(false).open(path)?;
    system::check(&file)?;
    Ok(file)
}

/// Reads a private file of at most `bytes_max` bytes.
///
/// # Errors
/// As [`open_or_create`], and when the file is longer.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let file = no_links(OpenOptions::new().read(true)).open(path)?;
    system::check(&file)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn no_links(options: &mut OpenOptions) -> &mut OpenOptions {
    system::no_links(options)
}

#[cfg(unix)]
mod system {
    use std::fs::{File, OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};

    use rustix::fs::OFlags;

    /// Sets flags with which opening a link fails and opening a FIFO does not wait for the other end.
    pub(super) fn no_links(options: &mut OpenOptions) -> &mut OpenOptions {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        options.custom_flags(flags.bits() as i32)
    }

    pub(super) fn check(file: &File) -> io::Result<()> {
        let found = file.metadata()?;
        if !found.is_file() || found.nlink() > 1 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file with one name"));
        }
        // An earlier version of wulog may have created the file with a wider umask. The mode of another user's file
        // cannot be changed, and a reader such as `cursor show` needs no change.
        if found.mode() & 0o077 != 0 {
            let _ = file.set_permissions(Permissions::from_mode(0o600));
        }
        Ok(())
    }
}

#[cfg(windows)]
mod system {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::windows::fs::OpenOptionsExt;

    use windows_sys::Win32::Storage::FileSystem::{FILE_ATTRIBUTE_REPARSE_POINT, FILE_FLAG_OPEN_REPARSE_POINT};

    /// Sets a flag with which the link itself is opened, in place of its target.
    pub(super) fn no_links(options: &mut OpenOptions) -> &mut OpenOptions {
        options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
    }

    pub(super) fn check(file: &File) -> io::Result<()> {
        let found = winapi_util::file::information(file)?;
        let is_link = found.file_attributes() & u64::from(FILE_ATTRIBUTE_REPARSE_POINT) != 0;
        if is_link || found.number_of_links() > 1 || !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file with one name"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_and_folders_are_for_this_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        create_folder(&folder).unwrap();
        assert_eq!((mode(&dir.path().join("a")), mode(&folder)), (0o700, 0o700));
        let file = folder.join("f");
        create(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        open_or_create(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("victim"), "precious").unwrap();
        symlink(at("victim"), at("link")).unwrap();
        assert!(open_or_create(&at("link")).is_err() && read(&at("link"), 100).is_err());
        create(&at("link")).unwrap().write_all(b"ours").unwrap();
        assert_eq!(
            (fs::read_to_string(at("victim")).unwrap(), read(&at("link"), 100).unwrap()),
            ("precious".into(), b"ours".to_vec())
        );
        fs::hard_link(at("victim"), at("second")).unwrap();
        assert!(open_or_create(&at("second")).is_err());
        create(&at("second")).unwrap().write_all(b"ours").unwrap();
        assert_eq!(fs::read_to_string(at("victim")).unwrap(), "precious");
        assert!(read(&at("link"), 3).is_err(), "longer than allowed");
    }
}
