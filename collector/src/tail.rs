//! One file that is followed.
//!
//! A path is looked at by `stat`; no file events, since shares have none and they get lost under load. The content is
//! read through a handle that is kept while the file is busy, so that a rotated file is read to its end. Each read
//! starts with the lines of the anchor: what was read and the proof that the place is right come from one moment.
//!
//! A new version of a file is opened only when all lines of the one before are acknowledged. So a file is in one epoch
//! at a time, and its acknowledged position and its reading position are in the same version.

mod choose;

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use tracing::warn;
use wulog_schemas::raw::{FileStatus, Source};

use crate::ack::Acks;
use crate::checkpoint::{Cursor, FileEntry};
use crate::disk::{is_being_deleted, open, read_at, reopen_moved, see, see_at, stands};
use crate::encoding::EncodingChoice;
use crate::follow::{Change, LineMark, Seen};
use crate::frame::{Framer, Step};
use crate::sink::Ticket;

/// How long a handle stays open without being read. On Windows a folder with an open file cannot be renamed, and a file
/// that is open cannot be replaced by every program.
const HANDLE_IDLE: Duration = Duration::from_secs(if cfg!(windows) { 2 } else { 30 });

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
    phase: Phase,
    /// Where reading is; in the same epoch as `entry.cursor`, or further.
    read: Cursor,
    framer: Option<Framer>,
    /// Bytes of a late line ending at the reading position, which belong to the line before.
    lead: u64,
    acks: Acks<Gain>,
    seen: Option<Seen>,
    still_since_ms: i64,
    /// Nothing changed for so long that a last line without ending is complete.
    quiet: bool,
    handle: Option<(File, Instant)>,
    /// Something may be unread.
    more: bool,
    /// What was last complained of.
    trouble: Option<String>,
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
    /// Another file took the path; the old one is read to its end through its handle.
    Leaving { finished: bool },
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
    pub fn new(entry: FileEntry, host: usize, source: Source, reading: Reading) -> Tail {
        Tail {
            read: entry.cursor.clone(),
            entry,
            host,
            source,
            reading,
            phase: Phase::CHOOSE,
            framer: None,
            lead: 0,
            acks: Acks::default(),
            seen: None,
            still_since_ms: 0,
            quiet: false,
            handle: None,
            more: false,
            trouble: None,
        }
    }

    /// Looks at the path, reads nothing.
    pub fn look(&mut self, now_ms: i64) {
        if let Phase::Leaving { .. } = self.phase {
            self.more = true;
            return;
        }
        let seen = match see_at(&self.entry.path) {
            Ok(seen) => seen,
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                return self.complain("is a directory; name a file or a glob of files");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.vanished(),
            Err(error) if is_being_deleted(&error) && self.handle.is_some() => return self.vanished(),
            Err(error) => return self.complain(&format!("cannot be looked at: {error}")),
        };
        self.entry.seen_ms = now_ms;
        let Some(before) = self.seen.replace(seen) else {
            self.still_since_ms = now_ms;
            self.more = true;
            return;
        };
        if seen.len != before.len || seen.modified_ns != before.modified_ns {
            self.still_since_ms = now_ms;
        }
        self.quiet = now_ms - self.still_since_ms >= self.reading.final_line_quiet_ms;
        if let Phase::Choosing { settling, .. } = self.phase {
            let ripe = settling.is_some() || self.trouble.is_some() || (self.quiet && seen.len > 0);
            self.more |= seen != before || ripe;
            return;
        }
        match seen.change(&before, self.read.position) {
            Change::Same => self.more |= self.quiet && seen.len > self.read.position + self.lead,
            // Nothing is known of its content yet, not even that the encoding is still the same.
            Change::Touched if self.read.anchor.is_empty() && self.acks.is_empty() => self.choose_again(false),
            Change::Touched => self.more = true,
            Change::Shrunk => self.choose_again(false),
            Change::Replaced => self.replaced(&before),
        }
        if self.handle.as_ref().is_some_and(|(_, used)| used.elapsed() > HANDLE_IDLE) {
            self.handle = None;
        }
    }

    /// True when the file at the path must be identified before it can be read, and it can be.
    #[must_use]
    pub fn must_choose(&self) -> bool {
        self.more && matches!(self.phase, Phase::Choosing { .. }) && self.acks.is_empty()
    }

    /// True when there may be something to read.
    #[must_use]
    pub fn can_read(&self) -> bool {
        let released = self.handle.is_none() && self.phase == (Phase::Leaving { finished: true });
        self.more && !released && matches!(self.phase, Phase::Following | Phase::Leaving { .. })
    }

    /// True when every complete line, as of the last look, is acknowledged.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.more && self.acks.is_empty()
    }

    /// True while a handle is open.
    #[must_use]
    pub fn holds_handle(&self) -> bool {
        self.handle.is_some()
    }

    /// Gives the handle back where nothing is left to read.
    pub fn close_idle(&mut self) {
        if !self.more && self.phase == Phase::Following {
            self.handle = None;
        }
    }

    /// What is known of a file that stood at this path under an earlier name; `Err` while it is still read from here.
    pub fn hand_over(&self, id: (u64, u64)) -> Result<Option<(String, Cursor)>, StillRead> {
        if id == (0, 0) {
            return Ok(None);
        }
        let cursor = if self.entry.id == id {
            let here = see_at(&self.entry.path).is_ok_and(|seen| seen.id == id);
            if here || !matches!(self.phase, Phase::Choosing { .. }) || !self.acks.is_empty() {
                return Err(StillRead);
            }
            Some(&self.entry.cursor)
        } else {
            self.entry.past.iter().find(|past| past.id == id)
        };
        Ok(cursor.filter(|cursor| !cursor.anchor.is_empty()).map(|cursor| (self.entry.label.clone(), cursor.clone())))
    }

    /// For the heartbeat.
    #[must_use]
    pub fn status(&self) -> FileStatus {
        FileStatus {
            file: self.entry.label.clone(),
            epoch: self.entry.cursor.epoch.clone(),
            acked: self.entry.cursor.logical,
            lag_bytes: self.seen.map_or(0, |seen| seen.len.saturating_sub(self.entry.cursor.position)),
            losses: self.entry.losses,
        }
    }

    /// The epoch of the lines that are read now.
    #[must_use]
    pub fn read_epoch(&self) -> &str {
        &self.read.epoch
    }

    /// Notes that a line is on its way.
    pub fn sent(&mut self, ticket: Ticket, gain: Gain) {
        self.acks.sent(ticket, gain);
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
        if self.acks.is_empty() && self.phase == (Phase::Leaving { finished: true }) {
            self.choose_again(true);
        }
    }

    /// Finds out where the file at the path goes on: after an anchor, or at its start in a new epoch, which `mint` gives
    /// and which must be durable before anything is read. Returns whether it is new.
    pub fn choose(&mut self, mint: impl FnOnce() -> String) -> bool {
        self.more = false;
        match self.try_choose(mint) {
            Ok(minted) => {
                self.trouble = None;
                minted
            }
            Err(error) => {
                self.complain(&format!("cannot be read: {error}; allow the collector to read it"));
                false
            }
        }
    }

    /// Reads up to `bytes_max` and gives the lines found. Returns how many bytes were new.
    pub fn read(&mut self, buffer: &mut Vec<u8>, bytes_max: usize, lines: &mut Vec<Line>) -> usize {
        match self.try_read(buffer, bytes_max, lines) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.more = false;
                self.handle = None;
                self.complain(&format!("cannot be read: {error}; allow the collector to read it"));
                0
            }
        }
    }

    fn try_read(&mut self, buffer: &mut Vec<u8>, bytes_max: usize, lines: &mut Vec<Line>) -> io::Result<usize> {
        let leaving = matches!(self.phase, Phase::Leaving { .. });
        if self.handle.is_none() {
            let file = open(&self.entry.path)?;
            if let Some(seen) = self.seen
                && see(&file)?.id != seen.id
            {
                self.replaced(&seen);
                return Ok(0);
            }
            self.handle = Some((file, Instant::now()));
        }
        let (file, used) = self.handle.as_mut().expect("it was opened just now");
        *used = Instant::now();
        let framer = self.framer.as_mut().expect("a file that is read was chosen, which sets the framer");
        let held = framer.held_bytes();
        let (anchor_lines, anchor_bytes) = if held + self.lead > 0 { (0, 0) } else { self.read.anchor.verifiable() };
        let from = self.read.position + self.lead + held - anchor_bytes;
        buffer.resize(anchor_bytes as usize + bytes_max, 0);
        let got = read_at(file, buffer, from)?;
        let whole = got < buffer.len();
        let (before, new) = buffer[..got].split_at(got.min(anchor_bytes as usize));
        if before.len() < anchor_bytes as usize || !stands(&self.read.anchor, anchor_lines, framer, before) {
            self.choose_again(false);
            return Ok(0);
        }
        let mut at = 0;
        if self.read.open_ended && self.lead == 0 && held == 0 {
            match framer.leading_ending(new) {
                Some(ending) => (at, self.lead) = (ending, ending as u64),
                None => at = new.len(),
            }
        }
        let finish = whole && (leaving || self.quiet);
        loop {
            let (frame, ended) = match framer.step(&new[at..]) {
                Step::Line(frame) => (Some(frame), true),
                Step::Wait { taken } => {
                    at += taken;
                    (if finish { framer.finish(&new[at..]) } else { None }, false)
                }
            };
            let Some(frame) = frame else { break };
            at += frame.taken;
            let text = framer.encoding().decode(&frame.content, frame.truncated);
            let mark = LineMark::new(&text.bytes, frame.line_bytes + self.lead);
            let (offset, end) = (self.read.logical, self.read.logical + text.bytes.len() as u64 + 1);
            self.lead = 0;
            self.read.position += mark.file_bytes;
            (self.read.logical, self.read.open_ended) = (end, !ended);
            self.read.anchor.push(mark);
            let gain = Gain { mark, logical: end, position: self.read.position, open_ended: !ended };
            let (lossy, truncated) = (text.lossy, frame.truncated);
            lines.push(Line { value: text.bytes.into_owned(), lossy, truncated, offset, end, gain });
        }
        if whole {
            self.more = false;
            if leaving {
                self.phase = Phase::Leaving { finished: true };
                if see_at(&self.entry.path).is_err_and(|error| is_being_deleted(&error)) {
                    // While we hold it, nobody can write a new file of this name.
                    self.handle = None;
                }
                if self.acks.is_empty() && lines.is_empty() {
                    self.choose_again(true);
                }
            }
        }
        Ok(new.len())
    }

    fn choose_again(&mut self, drained: bool) {
        self.handle = None;
        self.framer = None;
        self.phase = Phase::Choosing { drained, settling: None };
        self.more = true;
    }

    /// Another file stands at the path. The old one, if it can be reached, may hold lines that were not read.
    fn replaced(&mut self, before: &Seen) {
        if self.handle.is_none() {
            self.handle = reopen_moved(&self.entry.path, before.id).map(|file| (file, Instant::now()));
        }
        match self.handle {
            Some(_) => {
                self.phase = Phase::Leaving { finished: false };
                self.more = true;
            }
            None => self.choose_again(false),
        }
    }

    /// Nothing stands at the path: between the two steps of a rotation, or a share that went away. It may come back.
    fn vanished(&mut self) {
        if let Some(seen) = self.seen.take()
            && self.phase == Phase::Following
        {
            self.replaced(&seen);
            if self.phase == (Phase::Leaving { finished: false }) {
                return;
            }
        }
        self.more = false;
    }

    fn complain(&mut self, what: &str) {
        self.more = false;
        if self.trouble.as_deref() != Some(what) {
            warn!(path = %self.entry.path.display(), "file {what}; other files go on, this one is tried again");
            self.trouble = Some(what.to_owned());
        }
    }
}

impl Phase {
    const CHOOSE: Phase = Phase::Choosing { drained: false, settling: None };
}
