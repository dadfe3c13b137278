//! Reads the lines of one version from a position on. The caller opens and closes the file.

use std::fs::File;
use std::io;

use wulog_lines::{Frame, Framer, FramerStep};

use crate::checkpoint::Cursor;
use crate::disk::{read_at, stands};
use crate::follow::LineMark;

/// One line as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadLine {
    /// The line, UTF-8.
    pub value: Vec<u8>,
    /// See [`wulog_schemas::raw::RawHeader::lossy`].
    pub lossy: bool,
    /// See [`wulog_schemas::raw::RawHeader::truncated`].
    pub truncated: bool,
    /// Logical offset of its start.
    pub offset: u64,
    /// Logical offset just after the line and its ending.
    pub end: u64,
    /// How the acknowledged position moves when the line is in the log.
    pub gain: Gain,
}

/// How the acknowledged position moves past a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gain {
    /// The line.
    pub mark: LineMark,
    logical: u64,
    position: u64,
    open_ended: bool,
}

impl Gain {
    /// Moves a cursor past the line.
    pub(super) fn apply(self, cursor: &mut Cursor) {
        cursor.anchor.push(self.mark);
        (cursor.logical, cursor.position) = (self.logical, self.position);
        cursor.open_ended = self.open_ended;
    }
}

/// The position of reading in one version, and how its bytes become lines.
#[derive(Debug)]
pub(super) struct VersionReader {
    /// Just after the last line that was read.
    pub(super) cursor: Cursor,
    framer: Framer,
    /// Bytes after the cursor that belong to the line before it: a line ending that was written late.
    late_ending: u64,
}

/// Bytes that were read for the first time.
pub(super) struct Unread<'a> {
    pub(super) bytes: &'a [u8],
    /// True when the read reached the end of the file.
    pub(super) reaches_end: bool,
}

/// How many of the bytes became lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakenLines {
    /// All complete lines.
    All,
    /// The bound of lines was reached after so many bytes. The bytes after them are read again.
    Part(usize),
    /// No bytes: the first line is not the line that the epoch began with.
    OtherFile,
}

impl VersionReader {
    pub(super) fn new(cursor: Cursor, framer: Framer) -> VersionReader {
        VersionReader { cursor, framer, late_ending: 0 }
    }

    /// The position in the file at which the next line begins.
    pub(super) fn position(&self) -> u64 {
        self.cursor.position + self.late_ending
    }

    /// Reads up to `bytes_max` new bytes, and before them the lines of the anchor, which prove the position. Returns
    /// `None` where other lines than those of the anchor stand before the position.
    pub(super) fn fill<'a>(
        &self,
        file: &File,
        buffer: &'a mut Vec<u8>,
        bytes_max: usize,
    ) -> io::Result<Option<Unread<'a>>> {
        let held = self.framer.held_bytes();
        let is_at_anchor = held + self.late_ending == 0;
        let (lines, bytes) = if is_at_anchor { self.cursor.anchor.verifiable() } else { (0, 0) };
        let bytes = bytes as usize;
        buffer.resize(bytes + bytes_max, 0);
        let got = read_at(file, buffer, self.position() + held - bytes as u64)?;
        let reaches_end = got < buffer.len();
        let (before, new) = buffer[..got].split_at(got.min(bytes));
        let is_proven = before.len() == bytes && stands(&self.cursor.anchor, lines, &self.framer, before);
        Ok(is_proven.then_some(Unread { bytes: new, reaches_end }))
    }

    /// Takes lines from the bytes that follow the position, until `lines` has `lines_max`. `is_final`: a last line
    /// without ending is complete.
    pub(super) fn take_lines(
        &mut self,
        bytes: &[u8],
        is_final: bool,
        lines_max: usize,
        lines: &mut Vec<ReadLine>,
    ) -> TakenLines {
        let mut at = self.skip_late_ending(bytes);
        while lines.len() < lines_max {
            let (frame, is_ended) = match self.framer.step(&bytes[at..]) {
                FramerStep::Line(frame) => (Some(frame), true),
                FramerStep::Wait { taken } => {
                    at += taken;
                    (if is_final { self.framer.finish(&bytes[at..]) } else { None }, false)
                }
            };
            let Some(frame) = frame else { return TakenLines::All };
            at += frame.taken;
            let Some(line) = self.line(&frame, is_ended) else { return TakenLines::OtherFile };
            lines.push(line);
        }
        TakenLines::Part(at)
    }

    /// Skips the ending of the previous line, where the previous line had no ending when it was read. Returns how many
    /// bytes to skip.
    fn skip_late_ending(&mut self, bytes: &[u8]) -> usize {
        if !self.cursor.open_ended || self.late_ending > 0 || self.framer.held_bytes() > 0 {
            return 0;
        }
        match self.framer.leading_ending(bytes) {
            Some(ending) => {
                self.late_ending = ending as u64;
                ending
            }
            None => bytes.len(),
        }
    }

    /// Moves past a line and returns the line; `None` where the line should be the first of the epoch and is not.
    fn line(&mut self, frame: &Frame<'_>, is_ended: bool) -> Option<ReadLine> {
        let text = frame.text();
        let mark = LineMark::new(&text.bytes, frame.line_bytes + self.late_ending);
        let cursor = &mut self.cursor;
        // Before the first line there is no anchor, so the line itself is the proof.
        if cursor.anchor.is_empty() && cursor.first.is_some_and(|first| first != mark.crc) {
            return None;
        }
        // + 1, since each line counts with one byte for its ending, whatever ending the file has.
        let (offset, end) = (cursor.logical, cursor.logical + text.bytes.len() as u64 + 1);
        let gain = Gain { mark, logical: end, position: cursor.position + mark.file_bytes, open_ended: !is_ended };
        gain.apply(cursor);
        self.late_ending = 0;
        let (lossy, truncated) = (text.lossy, frame.truncated);
        Some(ReadLine { value: text.bytes.into_owned(), lossy, truncated, offset, end, gain })
    }
}
