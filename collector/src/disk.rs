//! File system calls of the tails: identity, size and time of a file, its bytes at a position, and its lines.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use wulog_files::{Fence, not_regular};
use wulog_lines::{Framer, FramerStep};

use crate::follow::{Anchor, LineMark, Seen};

/// How many bytes of a file are framed at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// Whether `bytes`, which end at a position, hold the last `lines` lines of the anchor.
pub(crate) fn stands(anchor: &Anchor, lines: usize, framer: &Framer, bytes: &[u8]) -> bool {
    let mut framer = framer.clone();
    let (mut marks, mut at) = (Vec::with_capacity(lines), 0);
    loop {
        let frame = match framer.step(&bytes[at..]) {
            FramerStep::Line(frame) => Some(frame),
            FramerStep::Wait { taken } => {
                at += taken;
                framer.finish(&bytes[at..])
            }
        };
        let Some(frame) = frame else { break };
        at += frame.taken;
        marks.push(LineMark::new(&frame.text().bytes, frame.line_bytes));
    }
    // `bytes` may hold one frame more: the late ending of a line that had no ending when it was sent.
    marks.len() >= lines && anchor.ends_with(&marks[marks.len() - lines..])
}

/// Returns the CRC-32 of the first complete line.
pub(crate) fn first_line(file: &File, framer: &Framer, start: u64) -> io::Result<Option<u32>> {
    let mut first = None;
    each_line(file, framer, start, |mark, _| {
        first = Some(mark.crc);
        ControlFlow::Break(())
    })?;
    Ok(first)
}

/// Frames a file from `start` on and calls `line` for each complete line with the position after the line.
pub(crate) fn each_line(
    file: &File,
    framer: &Framer,
    start: u64,
    mut line: impl FnMut(LineMark, u64) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut framer = framer.clone();
    let (mut buffer, mut kept, mut from, mut position) = (Vec::new(), 0, start, start);
    loop {
        buffer.resize(kept + CHUNK_BYTES, 0);
        let got = read_at(file, &mut buffer[kept..], from)?;
        if got == 0 {
            return Ok(());
        }
        from += got as u64;
        buffer.truncate(kept + got);
        let mut at = 0;
        loop {
            match framer.step(&buffer[at..]) {
                FramerStep::Line(frame) => {
                    at += frame.taken;
                    position += frame.line_bytes;
                    let text = frame.text();
                    if line(LineMark::new(&text.bytes, frame.line_bytes), position).is_break() {
                        return Ok(());
                    }
                }
                FramerStep::Wait { taken } => {
                    at += taken;
                    break;
                }
            }
        }
        buffer.drain(..at);
        kept = buffer.len();
    }
}

/// The kind of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryKind {
    File,
    Folder,
    /// FIFO, device, socket.
    Other,
}

/// Returns identity, size and time of the file at a path. The file itself is opened or examined, since the directory
/// listing of Windows lags behind a file that is open.
///
/// # Errors
/// [`io::ErrorKind::IsADirectory`] for a folder, [`io::ErrorKind::InvalidInput`] for a FIFO, a device or a socket.
pub(crate) fn see_at(path: &Path) -> io::Result<Seen> {
    let (seen, kind) = system::see_at(path)?;
    match kind {
        EntryKind::File => Ok(seen),
        EntryKind::Folder => Err(io::ErrorKind::IsADirectory.into()),
        EntryKind::Other => Err(not_regular()),
    }
}

pub(crate) fn see(file: &File) -> io::Result<Seen> {
    Ok(system::see(file)?.0)
}

/// True when a file is deleted but still open. On Windows such a file keeps its name while a handle is open, and
/// opening it by name is refused.
pub(crate) fn is_being_deleted(error: &io::Error) -> bool {
    cfg!(windows) && error.kind() == io::ErrorKind::PermissionDenied
}

/// Finds and opens a file that was renamed within its folder. The flag is true where the new name begins with the stem
/// of the old name.
pub(crate) fn reopen_moved(path: &Path, id: (u64, u64), fence: &Fence) -> Option<(File, bool)> {
    if id == (0, 0) {
        return None;
    }
    let found = |path: PathBuf| see_at(&path).is_ok_and(|seen| seen.id == id).then_some(path);
    let moved = std::fs::read_dir(path.parent()?).ok()?.flatten().find_map(|entry| found(entry.path()))?;
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let stem = path.file_stem()?.to_string_lossy().into_owned();
    Some((fence.open(&moved).ok()?, name(&moved)?.starts_with(&stem)))
}

/// Replaces the file `old` by the synced file `new`, and returns when the replacement is on disk.
pub(crate) fn replace(new: &Path, old: &Path) -> io::Result<()> {
    system::replace(new, old)
}

/// Syncs the directory entries of a folder.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    system::sync_folder(folder)
}

/// Fills the buffer from a position, up to the end of the file. Returns the number of bytes read.
pub(crate) fn read_at(file: &File, mut buffer: &mut [u8], mut position: u64) -> io::Result<usize> {
    let mut total = 0;
    while !buffer.is_empty() {
        match system::read_at(file, buffer, position) {
            Ok(0) => break,
            Ok(got) => {
                (total, position) = (total + got, position + got as u64);
                buffer = &mut buffer[got..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

/// The calls of Unix: a file's identity is device and inode, and `read_at` leaves the file's own position alone.
#[cfg(unix)]
mod system {
    use std::fs::{File, Metadata, metadata};
    use std::io;
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::path::Path;

    use super::EntryKind;
    use crate::follow::Seen;

    pub(super) fn see_at(path: &Path) -> io::Result<(Seen, EntryKind)> {
        Ok(seen(&metadata(path)?))
    }

    pub(super) fn see(file: &File) -> io::Result<(Seen, EntryKind)> {
        Ok(seen(&file.metadata()?))
    }

    fn seen(found: &Metadata) -> (Seen, EntryKind) {
        let modified_ns = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
        let kind = match found.file_type() {
            kind if kind.is_dir() => EntryKind::Folder,
            kind if kind.is_file() => EntryKind::File,
            _ => EntryKind::Other,
        };
        (Seen { id: (found.dev(), found.ino()), len: found.len(), modified_ns }, kind)
    }

    pub(super) fn replace(new: &Path, old: &Path) -> io::Result<()> {
        std::fs::rename(new, old)?;
        // The new name is a directory entry, so the folder must be synced too.
        old.parent().map_or(Ok(()), sync_folder)
    }

    pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    pub(super) fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        file.read_at(buffer, position)
    }
}

/// The calls of Windows: a file's identity is volume serial number and file index, and every call needs a handle, which
/// share modes may refuse.
#[cfg(windows)]
mod system {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::windows::fs::{FileExt, OpenOptionsExt};
    use std::path::Path;
    use std::time::{Duration, Instant};

    use windows_sys::Win32::Storage::FileSystem::{
        FILE_ATTRIBUTE_DIRECTORY, FILE_FLAG_BACKUP_SEMANTICS, FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE, FILE_SHARE_READ,
        FILE_SHARE_WRITE,
    };

    use super::EntryKind;
    use crate::follow::Seen;

    const ERROR_ACCESS_DENIED: i32 = 5;
    const ERROR_SHARING_VIOLATION: i32 = 32;
    /// Longer than the collector keeps its own handle of a quiet file open (2 s).
    const HELD_MAX: Duration = Duration::from_secs(5);
    const HELD_PAUSE: Duration = Duration::from_millis(20);

    const SHARE_ALL: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

    /// Opens the file for attributes only, which works even while another program has the file open exclusively.
    pub(super) fn see_at(path: &Path) -> io::Result<(Seen, EntryKind)> {
        let mut options = OpenOptions::new();
        // A folder is opened only with backup semantics.
        options.access_mode(FILE_READ_ATTRIBUTES).share_mode(SHARE_ALL).custom_flags(FILE_FLAG_BACKUP_SEMANTICS);
        see(&options.open(path)?)
    }

    pub(super) fn see(file: &File) -> io::Result<(Seen, EntryKind)> {
        let found = winapi_util::file::information(file)?;
        // Some shares have no file index; only anchors distinguish files there.
        let id = match found.file_index() {
            0 => (0, 0),
            index => (found.volume_serial_number(), index),
        };
        // The time counts 100 ns since 1601; times are only compared with each other, so the epoch does not matter.
        let modified_ns = found.last_write_time().map_or(0, i128::from) * 100;
        let is_dir = found.file_attributes() & u64::from(FILE_ATTRIBUTE_DIRECTORY) != 0;
        let kind = match winapi_util::file::typ(file)? {
            kind if !kind.is_disk() => EntryKind::Other,
            _ if is_dir => EntryKind::Folder,
            _ => EntryKind::File,
        };
        Ok((Seen { id, len: found.file_size(), modified_ns }, kind))
    }

    /// Retries, since a virus scanner or a backup that reads the old or the new file may block the replacement for a
    /// moment.
    pub(super) fn replace(new: &Path, old: &Path) -> io::Result<()> {
        let begun = Instant::now();
        while let Err(error) = std::fs::rename(new, old) {
            let held = matches!(error.raw_os_error(), Some(ERROR_ACCESS_DENIED | ERROR_SHARING_VIOLATION));
            if !held || begun.elapsed() > HELD_MAX {
                return Err(error);
            }
            std::thread::sleep(HELD_PAUSE);
        }
        // A folder cannot be flushed, but flushing a file writes the journal, and the new name is in it.
        OpenOptions::new().write(true).share_mode(SHARE_ALL).open(old)?.sync_all()
    }

    /// Does nothing: NTFS keeps changes of names in its own journal.
    pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        file.seek_read(buffer, position)
    }
}
