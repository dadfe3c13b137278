//! Opens a file below the own machine's `SoftwareDistribution\Download`, and no other file.
//!
//! The path comes from a line of a log, so any program that can write a line chooses the path. The path must have the
//! form of a download below the folder of Windows; no folder on the way may be a link; and the open file itself must
//! lie in that folder, on a fixed drive of the machine. No byte is read before all of this is verified.

#![allow(unsafe_code)] // calls for which no crate has wrappers

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::{MetadataExt, OpenOptionsExt};
use std::os::windows::io::AsRawHandle;

use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT,
    FILE_NAME_NORMALIZED, FILE_READ_ATTRIBUTES, FILE_READ_DATA, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE,
    GetDriveTypeW, GetFinalPathNameByHandleW, SYNCHRONIZE, VOLUME_NAME_DOS,
};
use windows_sys::Win32::System::SystemInformation::GetSystemWindowsDirectoryW;

use crate::certificates::failed_files::download;

/// The value of `GetDriveTypeW` for a drive that is part of the machine.
const DRIVE_FIXED: u32 = 3;

/// UTF-16 units of the longest path that Windows has.
const PATH_UNITS_MAX: usize = 32_768;

/// All sharing is allowed, since the update client may write, rename and delete its files meanwhile.
const SHARE_ALL: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

/// Opens the file of a path that a log names; `None` where the file does not exist.
///
/// # Errors
/// Why the file is not opened: the path leads elsewhere, or Windows refuses it.
pub(crate) fn open(path: &str) -> io::Result<Option<File>> {
    let (folder, names) = checked(path, &windows_folder()?)?;
    match open_below(&folder, &names) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// The folder of downloads, and the names on the way from there to the file.
fn checked<'a>(path: &'a str, windows: &str) -> io::Result<(String, Vec<&'a str>)> {
    let found = download(path).filter(|found| found.windows.eq_ignore_ascii_case(windows));
    let Some(found) = found else { return Err(refused("the path is not one below SoftwareDistribution\\Download")) };
    Ok((format!("{windows}\\SoftwareDistribution\\Download"), found.below.split('\\').collect()))
}

fn open_below(folder: &str, names: &[&str]) -> io::Result<File> {
    let mut path = folder.to_owned();
    for name in names {
        path = format!("{path}\\{name}");
        // The file itself is examined again when it is open.
        if has(&std::fs::symlink_metadata(&path)?, FILE_ATTRIBUTE_REPARSE_POINT) {
            return Err(refused("a link stands on the way to the file"));
        }
    }
    let downloads = options(FILE_READ_ATTRIBUTES | SYNCHRONIZE, FILE_FLAG_BACKUP_SEMANTICS).open(folder)?;
    let file = options(FILE_READ_DATA | FILE_READ_ATTRIBUTES | SYNCHRONIZE, FILE_FLAG_OPEN_REPARSE_POINT).open(path)?;
    if has(&file.metadata()?, FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_DIRECTORY) {
        return Err(refused("it is a link or a folder"));
    }
    // Links above the folder are resolved on both sides, since an administrator may have moved the folder to another
    // drive.
    let (downloads, place) = (place_of(&downloads)?, place_of(&file)?);
    let is_below = place.strip_prefix(downloads.as_slice()).is_some_and(|rest| rest.first() == Some(&u16::from(b'\\')));
    if !is_below || !is_on_fixed_drive(&place) {
        return Err(refused("the file lies outside the folder of downloads, or not on a drive of this machine"));
    }
    Ok(file)
}

fn options(access: u32, flags: u32) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.access_mode(access).share_mode(SHARE_ALL).custom_flags(flags);
    options
}

fn has(metadata: &std::fs::Metadata, attributes: u32) -> bool {
    metadata.file_attributes() & attributes != 0
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// The path of an open file or folder without any link: `\\?\C:\...`.
fn place_of(file: &File) -> io::Result<Vec<u16>> {
    let mut path = vec![0u16; PATH_UNITS_MAX];
    let flags = FILE_NAME_NORMALIZED | VOLUME_NAME_DOS;
    // SAFETY: the handle is open, and the buffer is as long as said.
    let len = unsafe { GetFinalPathNameByHandleW(file.as_raw_handle(), path.as_mut_ptr(), path.len() as u32, flags) };
    if len == 0 {
        return Err(io::Error::last_os_error());
    }
    if len as usize > path.len() {
        return Err(refused("its path is too long"));
    }
    path.truncate(len as usize);
    Ok(path)
}

/// Whether a path without links is one of a drive that is part of the machine. `\\?\UNC\...` is not.
fn is_on_fixed_drive(place: &[u16]) -> bool {
    let start = String::from_utf16_lossy(&place[..place.len().min(7)]);
    let Some(root) = start.strip_prefix(r"\\?\").filter(|root| root.ends_with(r":\") && root.len() == 3) else {
        return false;
    };
    let root: Vec<u16> = root.encode_utf16().chain([0]).collect();
    // SAFETY: the path ends with a zero.
    (unsafe { GetDriveTypeW(root.as_ptr()) }) == DRIVE_FIXED
}

/// Returns the folder of Windows, `C:\Windows`: neither the folder of a session nor an environment variable, which a
/// user could set.
fn windows_folder() -> io::Result<String> {
    let mut path = [0u16; 512];
    // SAFETY: the buffer is as long as said.
    let len = unsafe { GetSystemWindowsDirectoryW(path.as_mut_ptr(), path.len() as u32) } as usize;
    if len == 0 || len >= path.len() {
        return Err(io::Error::last_os_error());
    }
    // Only a drive's own folder ends with a backslash.
    Ok(String::from_utf16_lossy(&path[..len]).trim_end_matches('\\').to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::windows::fs::{symlink_dir, symlink_file};

    use super::*;

    #[test]
    fn the_folder_of_windows_is_a_download_s_folder() {
        let windows = windows_folder().unwrap();
        let path = format!(r"{}\SoftwareDistribution\Download\a\b", windows.to_uppercase());
        let (folder, names) = checked(&path, &windows).unwrap();
        assert_eq!((folder, names), (format!(r"{windows}\SoftwareDistribution\Download"), vec!["a", "b"]));
        for path in [r"C:\other\SoftwareDistribution\Download\a", r"\\server\share\a", ""] {
            assert_eq!(open(path).unwrap_err().kind(), io::ErrorKind::PermissionDenied, "{path}");
        }
    }

    #[test]
    fn only_a_path_on_a_drive_of_the_machine_is_local() {
        let check = |place: &str, expected: bool| {
            assert_eq!(is_on_fixed_drive(&place.encode_utf16().collect::<Vec<_>>()), expected, "{place}");
        };
        check(r"\\?\C:\Windows\a", true);
        check(r"\\?\UNC\server\share\a", false);
        check(r"\\?\Volume{0}\a", false);
        check(r"\\server\share\a", false);
        check(r"C:\Windows", false);
        check("", false);
    }

    #[test]
    fn a_file_must_lie_in_the_folder_itself() {
        let dir = tempfile::tempdir().unwrap();
        let downloads = dir.path().join("Download");
        std::fs::create_dir_all(downloads.join("a")).unwrap();
        std::fs::write(downloads.join("a").join("b"), "x").unwrap();
        std::fs::create_dir(dir.path().join("Download2")).unwrap();
        std::fs::write(dir.path().join("Download2").join("b"), "x").unwrap();
        let folder = downloads.to_str().unwrap();
        let opened = |names: &[&str]| open_below(folder, names).map(drop).map_err(|error| error.kind());
        assert_eq!(opened(&["a", "b"]), Ok(()));
        assert_eq!(opened(&["a", "c"]), Err(io::ErrorKind::NotFound));
        // The check of the path's form has already excluded these names.
        for names in [&["..", "Download2", "b"][..], &["..\\Download2\\b"], &["a"], &["."]] {
            assert_eq!(opened(names), Err(io::ErrorKind::PermissionDenied), "{names:?}");
        }
        // A link on the way, and as the file. Wine says that it makes links, and makes none; see also
        // `tests/windows/failed_files.rs`.
        for (target, link) in [("Download2", "link"), ("Download2\\b", "file")] {
            let (target, place) = (dir.path().join(target), downloads.join(link));
            let made = if target.is_dir() { symlink_dir(&target, &place) } else { symlink_file(&target, &place) };
            if made.is_err() || std::fs::symlink_metadata(&place).is_err() {
                eprintln!("skipped: no link can be made here: {made:?}");
                continue;
            }
            let names = if link == "link" { &["link", "b"][..] } else { &["file"] };
            assert_eq!(opened(names), Err(io::ErrorKind::PermissionDenied), "{names:?}");
        }
    }
}
