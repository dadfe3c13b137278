//! What following asks of a file on disk: what it is, what it holds at a position, which lines it has.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::follow::{Anchor, LineMark, Seen};
use crate::frame::{Framer, Step};

/// How much of a file is framed at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// Whether the last `lines` of the anchor are what `bytes`, which end at a position, hold.
pub(crate) fn stands(anchor: &Anchor, lines: usize, framer: &Framer, bytes: &[u8]) -> bool {
    let mut framer = framer.clone();
    let (mut marks, mut at) = (Vec::with_capacity(lines), 0);
    loop {
        let frame = match framer.step(&bytes[at..]) {
            Step::Line(frame) => Some(frame),
            Step::Wait { taken } => {
                at += taken;
                framer.finish(&bytes[at..])
            }
        };
        let Some(frame) = frame else { break };
        at += frame.taken;
        marks.push(LineMark::new(&framer.encoding().decode(&frame.content, frame.truncated).bytes, frame.line_bytes));
    }
    // There may be one more: the ending of a line that had none when it was sent.
    marks.len() >= lines && anchor.ends_with(&marks[marks.len() - lines..])
}

/// CRC-32 of the first complete line.
pub(crate) fn first_line(file: &File, framer: &Framer, start: u64) -> io::Result<Option<u32>> {
    let mut first = None;
    each_line(file, framer, start, |mark, _| {
        first = Some(mark.crc);
        ControlFlow::Break(())
    })?;
    Ok(first)
}

/// Frames a file from `start` on and gives each complete line with the position after it.
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
                Step::Line(frame) => {
                    at += frame.taken;
                    position += frame.line_bytes;
                    let text = framer.encoding().decode(&frame.content, frame.truncated);
                    if line(LineMark::new(&text.bytes, frame.line_bytes), position).is_break() {
                        return Ok(());
                    }
                }
                Step::Wait { taken } => {
                    at += taken;
                    break;
                }
            }
        }
        buffer.drain(..at);
        kept = buffer.len();
    }
}

pub(crate) fn see(found: &fs::Metadata) -> Seen {
    let modified = found.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    Seen { id: file_id(found), len: found.len(), modified_ns: modified.map_or(0, |since| since.as_nanos() as i128) }
}

#[cfg(unix)]
pub(crate) fn file_id(found: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino())
}

/// Without a file id the anchor alone tells one file from another.
#[cfg(not(unix))]
pub(crate) fn file_id(_: &fs::Metadata) -> (u64, u64) {
    (0, 0)
}

/// Opens for reading; std shares read, write and delete on Windows, so that writers are never in our way.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// A file that was renamed within its folder, and whether its new name begins as the old one does.
pub(crate) fn reopen_moved(path: &Path, id: (u64, u64)) -> Option<(File, bool)> {
    if id == (0, 0) {
        return None;
    }
    let found = |path: PathBuf| fs::metadata(&path).is_ok_and(|found| file_id(&found) == id).then_some(path);
    let moved = fs::read_dir(path.parent()?).ok()?.flatten().find_map(|entry| found(entry.path()))?;
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let stem = path.file_stem()?.to_string_lossy().into_owned();
    Some((open(&moved).ok()?, name(&moved)?.starts_with(&stem)))
}

/// Fills the buffer from a position, as far as the file goes.
pub(crate) fn read_at(file: &File, mut buffer: &mut [u8], mut position: u64) -> io::Result<usize> {
    let mut total = 0;
    while !buffer.is_empty() {
        #[cfg(unix)]
        let got = std::os::unix::fs::FileExt::read_at(file, buffer, position);
        #[cfg(windows)]
        let got = std::os::windows::fs::FileExt::seek_read(file, buffer, position);
        match got {
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
