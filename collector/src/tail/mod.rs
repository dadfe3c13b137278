//! One file that is followed.
//!
//! A path is looked at by `stat`; no file events, since shares have none and they get lost under load. The content is
//! read through a handle that is kept while the file is busy, so that a rotated file is read to its end. Each read
//! starts with the lines of the anchor: what was read and the proof that the place is right come from one moment.
//!
//! A new version of a file is opened only when all lines of the one before are acknowledged. So a file is in one epoch
//! at a time, and its acknowledged position and its reading position are in the same version. Versions that come and go
//! meanwhile wait for their turn.

mod choose;
mod look;
mod missed;
mod read;

pub use choose::Others;
pub use read::Chunk;

use std::collections::HashMap;
use std::fs::File;
use std::time::{Duration, Instant};

use tracing::warn;
use wulog_schemas::raw::{FileStatus, Source};

use crate::ack::Acks;
use crate::checkpoint::{Cursor, FileEntry, Sent};
use crate::disk::see_at;
use crate::encoding::EncodingChoice;
use crate::fence::Fence;
use crate::follow::{LineMark, Seen};
use crate::frame::Framer;
use crate::path_text::shown;
use crate::sink::Ticket;

/// How long nothing must stand at a path before its file is gone: longer than any rotation takes between its two steps.
pub const GONE_AFTER_MS: i64 = 60_000;

/// One line as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line, UTF-8.
    pub value: Vec<u8>,
    /// See [`wulog_schemas::raw::RawHeader::lossy`].
    pub lossy: bool,
    /// See [`wulog_schemas::raw::RawHeader::truncated`].
    pub truncated: bool,
    /// Logical offset of its start.
    pub offset: u64,
    /// Logical offset just after it.
    pub end: u64,
    /// What the acknowledged position gains with it.
    pub gain: Gain,
}

/// How the acknowledged position moves on past a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gain {
    /// The line.
    pub mark: LineMark,
    logical: u64,
    position: u64,
    open_ended: bool,
}

/// What reading takes from the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// See [`crate::config::Input::encoding`].
    pub encoding: EncodingChoice,
    /// See [`crate::config::Limits::line_bytes_max`].
    pub line_bytes_max: usize,
    /// See [`crate::config::Limits::final_line_quiet_secs`].
    pub final_line_quiet_ms: i64,
    /// How long a rewritten file without any known line must be still before it is believed.
    pub settle: Duration,
}

/// A file that is followed.
#[derive(Debug)]
pub struct Tail {
    /// What the checkpoint keeps; its cursor is the acknowledged position.
    pub entry: FileEntry,
    /// Whose file it is, an index of the collector.
    pub host: usize,
    /// Which log it is.
    pub source: Source,
    reading: Reading,
    fence: Fence,
    phase: Phase,
    /// Where reading is; in the same epoch as `entry.cursor`, or further.
    read: Cursor,
    framer: Option<Framer>,
    /// Bytes of a late line ending at the reading position, which belong to the line before.
    lead: u64,
    acks: Acks<Gain>,
    seen: Option<Seen>,
    /// When the version that was last seen at the path was last written.
    written_ns: Option<i128>,
    still_since_ms: i64,
    /// Nothing changed for so long that a last line without ending is complete.
    quiet: bool,
    /// The handle, and when it was last read.
    handle: Option<(File, i64)>,
    /// Time of the last look.
    now_ms: i64,
    /// Versions ahead that are no longer at the path.
    opened: HashMap<FileId, Moved>,
    /// Something may be unread.
    more: bool,
    /// The entry holds what a crash must not forget.
    news: bool,
    /// What was last complained of.
    trouble: Option<String>,
    /// See [`Tail::retire`].
    retired: bool,
    /// A binary file, as it was seen; it is looked into again when it changes.
    passed_over: Option<Seen>,
}

/// Device and inode.
type FileId = (u64, u64);

/// A version that is no longer at the path.
#[derive(Debug)]
struct Moved {
    file: File,
    /// Surely what was seen at the path: it was open, or its name says so. An id alone may be used again.
    certain: bool,
}

/// A file is still read under the name that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillRead;

/// What is done with the file at the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is a version whose place is not known yet. `drained`: the one before was read to its end.
    Choosing { drained: bool, settling: Option<Settling> },
    /// It is read.
    Following,
    /// Another file took the path; the old one is read to its end through its handle. `certain`: see [`Moved`].
    Leaving { finished: bool, certain: bool },
}

/// A rewritten file that may not be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settling {
    since: Instant,
    changed: Instant,
    seen: Seen,
}

impl Tail {
    /// A file found at a path, with what the checkpoint knows of it.
    #[must_use]
    pub fn new(entry: FileEntry, host: usize, source: Source, reading: Reading, fence: Fence) -> Tail {
        let mut tail = Tail {
            read: entry.cursor.clone(),
            entry,
            host,
            source,
            reading,
            fence,
            phase: Phase::Choosing { drained: false, settling: None },
            framer: None,
            lead: 0,
            acks: Acks::default(),
            seen: None,
            written_ns: None,
            still_since_ms: 0,
            quiet: false,
            handle: None,
            now_ms: 0,
            opened: HashMap::new(),
            more: false,
            news: false,
            trouble: None,
            retired: false,
            passed_over: None,
        };
        tail.again(tail.entry.id);
        tail
    }

    /// True when the file at the path must be identified before it can be read, and it can be.
    #[must_use]
    pub fn must_choose(&self) -> bool {
        self.more && matches!(self.phase, Phase::Choosing { .. }) && self.acks.is_empty()
    }

    /// True when there may be something to read.
    #[must_use]
    pub fn can_read(&self) -> bool {
        let released = self.handle.is_none() && matches!(self.phase, Phase::Leaving { finished: true, .. });
        self.more && !released && matches!(self.phase, Phase::Following | Phase::Leaving { .. })
    }

    /// True when every complete line, as of the last look, is acknowledged.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.more && self.acks.is_empty()
    }

    /// True when a file stands at the path, as of the last look.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.seen.is_some() && !self.retired
    }

    /// True while a handle is open.
    #[must_use]
    pub fn holds_handle(&self) -> bool {
        self.handle.is_some()
    }

    /// True when nothing has stood at the path for [`GONE_AFTER_MS`], and every version that stood there was read to its
    /// end and acknowledged.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.seen.is_none()
            && self.is_idle()
            && self.handle.is_none()
            && self.entry.ahead.is_empty()
            && self.entry.seen_ms > 0
            && self.now_ms - self.entry.seen_ms >= GONE_AFTER_MS
    }

    /// Gives up a file that is gone and returns what is known of it. The tail stays as an empty place, which the
    /// collector uses again.
    pub fn retire(&mut self) -> FileEntry {
        self.retired = true;
        (self.read, self.framer, self.more) = (Cursor::default(), None, false);
        self.opened = HashMap::new();
        std::mem::take(&mut self.entry)
    }

    /// True after [`Tail::retire`].
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.retired
    }

    /// Gives the handle back where nothing is left to read.
    pub fn close_idle(&mut self) {
        if !self.more && self.phase == Phase::Following {
            self.handle = None;
        }
    }

    /// True once when the entry holds what a crash must not forget.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// The ids of all versions that it has, had or saw.
    pub fn ids(&self) -> impl Iterator<Item = (u64, u64)> {
        let entry = &self.entry;
        let past = entry.past.iter().map(|past| past.id).filter(|&id| id != entry.id);
        let ids = std::iter::once(entry.id).chain(entry.ahead.iter().copied()).chain(past);
        ids.chain(self.seen.map(|seen| seen.id)).filter(|&id| id != (0, 0))
    }

    /// The cursor, and those in earlier versions.
    pub fn cursors(&self) -> impl Iterator<Item = &Cursor> {
        self.entry.cursors()
    }

    /// True where the name begins as the other's does: what it is rotated to.
    #[must_use]
    pub fn is_named_after(&self, other: &Tail) -> bool {
        let name = self.entry.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let stem = other.entry.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        stem.is_some_and(|stem| name.starts_with(&stem))
    }

    /// The version to be read next, where one waits.
    #[must_use]
    pub fn next(&self) -> Option<(u64, u64)> {
        self.entry.ahead.front().copied()
    }

    /// What is known of a file that stood at this path under an earlier name; `Err` while it is still read from here.
    ///
    /// # Errors
    /// While it is still read from here.
    pub fn hand_over(&self, id: (u64, u64)) -> Result<Option<Cursor>, StillRead> {
        if id == (0, 0) {
            return Ok(None);
        }
        let cursor = if self.entry.id == id {
            let here = see_at(&self.entry.path).is_ok_and(|seen| seen.id == id);
            let busy = !matches!(self.phase, Phase::Choosing { .. }) || self.entry.ahead.contains(&id);
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
    pub fn is_at_path(&self, id: (u64, u64)) -> bool {
        self.seen.is_some_and(|seen| seen.id == id)
    }

    /// True while a file that has left the path is read to its end.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        match self.phase {
            Phase::Leaving { .. } => true,
            Phase::Choosing { .. } => self.moved_is_next() && self.next() == Some(self.entry.id),
            Phase::Following => false,
        }
    }

    /// For the heartbeat.
    #[must_use]
    pub fn status(&self) -> FileStatus {
        let label = &self.entry.cursor.label;
        FileStatus {
            file: if label.is_empty() { shown(&self.entry.path).into_owned() } else { label.clone() },
            epoch: self.entry.cursor.epoch.clone(),
            acked: self.entry.cursor.logical,
            lag_bytes: self.seen.map_or(0, |seen| seen.len.saturating_sub(self.entry.cursor.position)),
            losses: self.entry.losses,
        }
    }

    /// The name and the epoch of the lines that are read now.
    #[must_use]
    pub fn read_as(&self) -> (&str, &str) {
        (&self.read.label, &self.read.epoch)
    }

    /// Notes that a line is on its way.
    pub fn sent(&mut self, ticket: Ticket, gain: Gain) {
        self.acks.sent(ticket, gain);
    }

    /// Notes how far lines are handed over now, and gives it: it must be on disk before they leave.
    pub fn hands_over(&mut self) -> &Cursor {
        let sent = Sent { logical: self.read.logical, anchor: self.read.anchor.clone() };
        self.entry.cursor.sent = Some(sent);
        &self.entry.cursor
    }

    /// Notes that a line is in the log; the acknowledged position may move on.
    pub fn delivered(&mut self, ticket: Ticket) {
        self.acks.delivered(ticket);
        while let Some(gain) = self.acks.pop() {
            let cursor = &mut self.entry.cursor;
            cursor.anchor.push(gain.mark);
            (cursor.logical, cursor.position) = (gain.logical, gain.position);
            cursor.open_ended = gain.open_ended;
        }
        if self.acks.is_empty() {
            self.entry.cursor.sent = None;
            if matches!(self.phase, Phase::Leaving { finished: true, .. }) {
                self.choose_again(true);
            }
        }
    }

    /// Back to finding out what stands at the path. `drained`: the version so far was read to its end; otherwise its
    /// own place is to be found again first.
    fn choose_again(&mut self, drained: bool) {
        if !drained {
            self.again(self.entry.id);
        }
        self.handle = None;
        self.framer = None;
        self.phase = Phase::Choosing { drained, settling: None };
        self.more = true;
    }

    /// A version is to be chosen before all others.
    fn again(&mut self, id: FileId) {
        if id != (0, 0) && self.entry.ahead.front() != Some(&id) {
            self.entry.ahead.retain(|ahead| *ahead != id);
            self.entry.ahead.push_front(id);
        }
    }

    fn complain(&mut self, what: &str) {
        self.more = false;
        if self.trouble.as_deref() != Some(what) {
            warn!(path = %self.entry.path.display(), "file {what}; other files go on, this one is tried again");
            self.trouble = Some(what.to_owned());
        }
    }
}
