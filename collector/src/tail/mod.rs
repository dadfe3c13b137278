//! One file that is followed.
//!
//! The path is polled with `stat`: network shares have no file events, and events get lost under load. The content is
//! read through a handle that stays open while the file is busy, so that a rotated file is read to its end. Each read
//! starts with the lines of the anchor, so the new bytes and the proof of their position come from the same moment.
//!
//! The content of the path is a version ([`versions`]). A new version is opened only when all lines of the version
//! before it are acknowledged. So a file is in one epoch at a time, and its acknowledged position and its reading
//! position are in the same version. Versions that appear meanwhile wait.
//!
//! ```text
//!            locate                        another file took the path
//! Locating ----------> Following ---------------------------------------> Leaving
//!    ^  \____________________|________________________________________^     |
//!    |      a version that left the path                                    |
//!    |_______________________|______________________________________________|
//!       the lines before the position are gone, or all lines are acknowledged
//!
//! Any state ---------> Retired: no file stands at the path any more, and all lines are acknowledged
//! ```

mod anchors;
mod at_path;
mod locate;
mod missed_versions;
mod read;
mod reader;
mod state;
mod versions;

pub(crate) use anchors::NeighbourCursors;
pub(crate) use read::Chunk;
pub(crate) use reader::{Gain, ReadLine};

use std::collections::HashMap;
use std::time::Duration;

use tracing::warn;
use wulog_files::{Fence, shown};
use wulog_lines::EncodingChoice;
use wulog_schemas::raw::{FileStatus, Source};

use crate::ack::Acks;
use crate::checkpoint::{Cursor, FileEntry, Sent};
use crate::disk::see_at;
use crate::follow::Inode;
use crate::sink::Ticket;
use at_path::AtPath;
use state::{Locating, TailState};
use versions::MovedFile;

/// How long a path must be empty before its file counts as gone: longer than any rotation takes between renaming the
/// old file and creating the new one.
pub(crate) const GONE_AFTER_MS: i64 = 60_000;

/// The settings of reading, from the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadingConfig {
    /// See [`crate::config::Input::encoding`].
    pub encoding: EncodingChoice,
    /// See [`crate::config::Limits::line_bytes_max`].
    pub line_bytes_max: usize,
    /// See [`crate::config::Limits::final_line_quiet_secs`].
    pub final_line_quiet_ms: i64,
    /// How long a rewritten file without any known line must stay unchanged before it counts as complete.
    pub settle: Duration,
}

/// A file that is followed.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The part that the checkpoint keeps; its cursor is the acknowledged position.
    pub entry: FileEntry,
    /// The host of the file, an index of the collector.
    pub host: usize,
    /// Which log the file is.
    pub source: Source,
    reading: ReadingConfig,
    fence: Fence,
    state: TailState,
    at_path: AtPath,
    /// Lines on their way, of the version that `entry.id` names.
    acks: Acks<Gain>,
    /// Handles of waiting versions that have left the path.
    moved: HashMap<Inode, MovedFile>,
    /// Time of the last look.
    now_ms: i64,
    /// True when something may be unread: a version to locate, or lines to read.
    more: bool,
    /// True when the entry holds changes that must be on disk before anything is read.
    must_save: bool,
    /// The last warning about this file in the log, so that a repeated warning is written once.
    complaint: Option<String>,
}

/// The error that a file is still read under its earlier name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StillRead;

impl Tail {
    /// Returns the tail of the file that `entry` of the checkpoint describes.
    #[must_use]
    pub(crate) fn new(entry: FileEntry, host: usize, source: Source, reading: ReadingConfig, fence: Fence) -> Tail {
        let mut tail = Tail {
            entry,
            host,
            source,
            reading,
            fence,
            state: TailState::default(),
            at_path: AtPath::default(),
            acks: Acks::default(),
            moved: HashMap::new(),
            now_ms: 0,
            more: false,
            must_save: false,
            complaint: None,
        };
        tail.put_first(tail.entry.id);
        tail
    }

    /// True when a version must be located before anything can be read, and can be located now.
    #[must_use]
    pub(crate) fn must_locate(&self) -> bool {
        self.more && matches!(self.state, TailState::Locating(_)) && self.acks.is_empty()
    }

    /// True when there may be something to read.
    #[must_use]
    pub(crate) fn can_read(&self) -> bool {
        self.more && self.state.can_read()
    }

    /// True when every complete line, as of the last look, is acknowledged.
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        !self.more && self.acks.is_empty()
    }

    /// True when a file stands at the path, as of the last look.
    #[must_use]
    pub(crate) fn is_present(&self) -> bool {
        self.at_path.seen().is_some()
    }

    /// True while a handle is open.
    #[must_use]
    pub(crate) fn holds_handle(&self) -> bool {
        self.state.holds_handle()
    }

    /// True when nothing has stood at the path for [`GONE_AFTER_MS`], and every version that stood there was read to
    /// its end and acknowledged.
    #[must_use]
    pub(crate) fn is_gone(&self) -> bool {
        !self.is_present()
            && self.is_idle()
            && !self.holds_handle()
            && self.entry.ahead.is_empty()
            && self.entry.seen_ms > 0
            && self.now_ms - self.entry.seen_ms >= GONE_AFTER_MS
    }

    /// True after [`Tail::retire`].
    #[must_use]
    pub(crate) fn is_retired(&self) -> bool {
        matches!(self.state, TailState::Retired)
    }

    /// True while a file that has left the path is read to its end.
    #[must_use]
    pub(crate) fn is_leaving(&self) -> bool {
        match self.state {
            TailState::Leaving(_) => true,
            TailState::Locating(_) => self.moved_is_next() && self.next() == Some(self.entry.id),
            TailState::Following(_) | TailState::Retired => false,
        }
    }

    /// True once when the entry holds changes that must be on disk before anything is read.
    pub(crate) fn take_must_save(&mut self) -> bool {
        std::mem::take(&mut self.must_save)
    }

    /// The cursor, and those in earlier versions.
    pub(crate) fn cursors(&self) -> impl Iterator<Item = &Cursor> {
        self.entry.cursors()
    }

    /// True where the file name begins with the stem of the other file's name: a rotation of the other file may have
    /// made this file.
    #[must_use]
    pub(crate) fn is_named_after(&self, other: &Tail) -> bool {
        let name = self.entry.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let stem = other.entry.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        stem.is_some_and(|stem| name.starts_with(&stem))
    }

    /// Returns the cursor of the version `id`, which stood at this path and now has another name. `None` where this
    /// tail has never read the version.
    ///
    /// # Errors
    /// While this tail still reads the version.
    pub(crate) fn cursor_of_renamed(&self, id: Inode) -> Result<Option<Cursor>, StillRead> {
        if id == (0, 0) {
            return Ok(None);
        }
        let cursor = if self.entry.id == id {
            let here = see_at(&self.entry.path).is_ok_and(|seen| seen.id == id);
            let busy = self.state.is_reading() || self.entry.ahead.contains(&id);
            if here || busy || !self.acks.is_empty() {
                return Err(StillRead);
            }
            Some(&self.entry.cursor)
        } else {
            self.entry.past.iter().find(|past| past.id == id)
        };
        Ok(cursor.filter(|cursor| !cursor.epoch.is_empty()).cloned())
    }

    /// True when this version stands at the path, as of the last look.
    #[must_use]
    pub(crate) fn is_at_path(&self, id: Inode) -> bool {
        self.at_path.seen().is_some_and(|seen| seen.id == id)
    }

    /// The status of the file for the heartbeat.
    #[must_use]
    pub(crate) fn status(&self) -> FileStatus {
        let label = &self.entry.cursor.label;
        let len = self.at_path.seen().map_or(0, |seen| seen.len);
        FileStatus {
            file: if label.is_empty() { shown(&self.entry.path).into_owned() } else { label.clone() },
            epoch: self.entry.cursor.epoch.clone(),
            acked: self.entry.cursor.logical,
            lag_bytes: len.saturating_sub(self.entry.cursor.position),
            losses: self.entry.losses,
        }
    }

    /// The name and the epoch of the lines that are read now.
    #[must_use]
    pub(crate) fn read_as(&self) -> (&str, &str) {
        let cursor = self.read_cursor();
        (&cursor.label, &cursor.epoch)
    }

    /// The reading position; the acknowledged position where no version is read now.
    fn read_cursor(&self) -> &Cursor {
        self.state.reader().map_or(&self.entry.cursor, |reader| &reader.cursor)
    }

    /// Notes that a line was given to the shipper.
    pub(crate) fn sent(&mut self, ticket: Ticket, gain: Gain) {
        self.acks.sent(ticket, gain);
    }

    /// Notes how far lines are handed over now, and returns the cursor, which the journal must hold before the lines
    /// leave.
    pub(crate) fn mark_sent(&mut self) -> &Cursor {
        let read = self.read_cursor();
        let sent = Sent { logical: read.logical, anchor: read.anchor.clone() };
        self.entry.cursor.sent = Some(sent);
        &self.entry.cursor
    }

    /// Notes that a line is in the log; the acknowledged position may move on.
    pub(crate) fn delivered(&mut self, ticket: Ticket) {
        self.acks.delivered(ticket);
        while let Some(gain) = self.acks.pop() {
            gain.apply(&mut self.entry.cursor);
        }
        if self.acks.is_empty() {
            self.entry.cursor.sent = None;
            if self.state.is_closed() {
                self.locate_next();
            } else {
                self.more |= matches!(self.state, TailState::Leaving(_));
            }
        }
    }

    /// Logs a warning about the file, once for the same wording, and pauses the tail until the next look.
    fn complain(&mut self, what: &str) {
        self.more = false;
        if self.complaint.as_deref() != Some(what) {
            warn!(path = %self.entry.path.display(), "file {what}; other files go on, this one is tried again");
            self.complaint = Some(what.to_owned());
        }
    }
}
