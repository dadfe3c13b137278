//! One file that is followed.
//!
//! A path is looked at by `stat`; no file events, since shares have none and they get lost under load. The content is
//! read through a handle that is kept while the file is busy, so that a rotated file is read to its end. Each read
//! starts with the lines of the anchor: what was read and the proof that the place is right come from one moment.
//!
//! A new version of a file is opened only when all lines of the one before are acknowledged. So a file is in one epoch
//! at a time, and its acknowledged position and its reading position are in the same version.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::{info, warn};
use wulog_schemas::raw::{FileStatus, Source};

use crate::ack::Acks;
use crate::checkpoint::{Cursor, FileEntry};
use crate::encoding::EncodingChoice;
use crate::follow::{Anchor, Change, LineMark, Search, Seen};
use crate::frame::{Framer, Step};
use crate::sink::Ticket;

/// Positions in earlier versions that are kept; `Get-WindowsUpdateLog` needs two.
const PAST_MAX: usize = 4;
/// How long a handle stays open without being read.
const HANDLE_IDLE: Duration = Duration::from_secs(30);
/// A rewritten file in which no anchor stands may be half written. It is believed when it was still for one settling
/// time, or after this many of them.
const SETTLE_MAX: u32 = 8;
/// How much of a file is searched at a time.
const SEARCH_CHUNK_BYTES: usize = 256 * 1024;

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
        let seen = match fs::metadata(&self.entry.path) {
            Ok(found) if found.is_dir() => return self.complain("is a directory; name a file or a glob of files"),
            Ok(found) => see(&found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.vanished(),
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
        if self
            .handle
            .as_ref()
            .is_some_and(|(_, used)| used.elapsed() > HANDLE_IDLE)
        {
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
        self.more && matches!(self.phase, Phase::Following | Phase::Leaving { .. })
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
            let here = fs::metadata(&self.entry.path).is_ok_and(|found| file_id(&found) == id);
            if here || !matches!(self.phase, Phase::Choosing { .. }) || !self.acks.is_empty() {
                return Err(StillRead);
            }
            Some(&self.entry.cursor)
        } else {
            self.entry.past.iter().find(|past| past.id == id)
        };
        Ok(cursor
            .filter(|cursor| !cursor.anchor.is_empty())
            .map(|cursor| (self.entry.label.clone(), cursor.clone())))
    }

    /// For the heartbeat.
    #[must_use]
    pub fn status(&self) -> FileStatus {
        FileStatus {
            file: self.entry.label.clone(),
            epoch: self.entry.cursor.epoch.clone(),
            acked: self.entry.cursor.logical,
            lag_bytes: self
                .seen
                .map_or(0, |seen| seen.len.saturating_sub(self.entry.cursor.position)),
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

    fn try_choose(&mut self, mint: impl FnOnce() -> String) -> io::Result<bool> {
        let file = match open(&self.entry.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        let seen = see(&file.metadata()?);
        self.seen = Some(seen);
        let mut head = [0; 4];
        let got = read_at(&file, &mut head, 0)?;
        let Some((encoding, start)) = self.reading.encoding.sniff(&head[..got]) else {
            return Ok(false);
        };
        let framer = Framer::new(encoding, self.reading.line_bytes_max);
        let first = first_line(&file, &framer, start)?;
        if first.is_none() && !self.quiet {
            return Ok(false);
        }
        let mut minted = false;
        if !self.still_in_place(&file, &framer, first)? && !self.find(&file, &framer, start)? {
            if !self.settled(&seen) {
                self.more = true;
                return Ok(false);
            }
            if !self.begun_with(first) {
                self.begin(Cursor {
                    epoch: mint(),
                    position: start,
                    first,
                    ..Cursor::default()
                });
                minted = true;
            }
        }
        if self.entry.cursor.anchor.is_empty() {
            self.entry.cursor.position = start;
        }
        self.entry.id = seen.id;
        self.read = self.entry.cursor.clone();
        self.framer = Some(framer);
        self.lead = 0;
        self.phase = Phase::Following;
        self.more = true;
        Ok(minted)
    }

    /// Whether the anchor stands right before the position that the cursor names.
    fn still_in_place(&self, file: &File, framer: &Framer, first: Option<u32>) -> io::Result<bool> {
        let cursor = &self.entry.cursor;
        if cursor.anchor.is_empty() {
            return Ok(self.entry.past.is_empty() && self.begun_with(first));
        }
        let (lines, bytes) = cursor.anchor.verifiable();
        if lines == 0 || bytes > cursor.position {
            return Ok(false);
        }
        let mut before = vec![0; bytes as usize];
        let got = read_at(file, &mut before, cursor.position - bytes)?;
        Ok(got == before.len() && stands(&cursor.anchor, lines, framer, &before))
    }

    /// Whether the epoch began with this line and none is acknowledged. It is used then: lines may have been sent before a
    /// crash.
    fn begun_with(&self, first: Option<u32>) -> bool {
        let cursor = &self.entry.cursor;
        !cursor.epoch.is_empty() && cursor.anchor.is_empty() && cursor.first == first
    }

    /// Searches the whole file for the anchors of this version and of those before.
    fn find(&mut self, file: &File, framer: &Framer, start: u64) -> io::Result<bool> {
        let cursors: Vec<&Cursor> = std::iter::once(&self.entry.cursor).chain(&self.entry.past).collect();
        let anchors: Vec<&Anchor> = cursors.iter().map(|cursor| &cursor.anchor).collect();
        if anchors.iter().all(|anchor| anchor.is_empty()) {
            return Ok(false);
        }
        let mut search = Search::new(&anchors);
        each_line(file, framer, start, |mark, position| {
            search.line(mark, position);
            ControlFlow::Continue(())
        })?;
        let Some(found) = search.finish() else { return Ok(false) };
        if found.which > 0 {
            let back = self.entry.past.remove(found.which - 1);
            let left = std::mem::replace(&mut self.entry.cursor, back);
            self.remember(left);
        }
        let cursor = &mut self.entry.cursor;
        (cursor.position, cursor.anchor, cursor.open_ended) = (found.position, found.anchor, false);
        info!(path = %self.entry.path.display(), position = found.position, "file was rewritten; it goes on after the lines that are known");
        Ok(true)
    }

    /// Whether a version without any known line is complete enough to be believed.
    fn settled(&mut self, seen: &Seen) -> bool {
        let known = !self.entry.cursor.anchor.is_empty() || !self.entry.past.is_empty();
        let Phase::Choosing { settling, .. } = &mut self.phase else {
            return true;
        };
        let now = Instant::now();
        let settling = settling.get_or_insert(Settling {
            since: now,
            changed: now,
            seen: *seen,
        });
        if settling.seen != *seen {
            (settling.seen, settling.changed) = (*seen, now);
        }
        let settle = self.reading.settle;
        !known || now - settling.changed >= settle || now - settling.since >= settle * SETTLE_MAX
    }

    /// Starts a new epoch.
    fn begin(&mut self, fresh: Cursor) {
        let left = std::mem::replace(&mut self.entry.cursor, fresh);
        let known = !left.anchor.is_empty();
        self.remember(left);
        self.entry.label = self.entry.path.display().to_string();
        if known && !matches!(self.phase, Phase::Choosing { drained: true, .. }) {
            self.entry.losses += 1;
            warn!(path = %self.entry.path.display(), "file was rewritten and holds no line that is known; it is read from its start, lines between may be missing");
        }
    }

    fn remember(&mut self, mut left: Cursor) {
        if !left.anchor.is_empty() {
            left.id = self.entry.id;
            self.entry.past.insert(0, left);
            self.entry.past.truncate(PAST_MAX);
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
                && see(&file.metadata()?).id != seen.id
            {
                self.replaced(&seen);
                return Ok(0);
            }
            self.handle = Some((file, Instant::now()));
        }
        let (file, used) = self.handle.as_mut().expect("it was opened just now");
        *used = Instant::now();
        let framer = self
            .framer
            .as_mut()
            .expect("a file that is read was chosen, which sets the framer");
        let held = framer.held_bytes();
        let (anchor_lines, anchor_bytes) = if held + self.lead > 0 {
            (0, 0)
        } else {
            self.read.anchor.verifiable()
        };
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
            let gain = Gain {
                mark,
                logical: end,
                position: self.read.position,
                open_ended: !ended,
            };
            let (lossy, truncated) = (text.lossy, frame.truncated);
            lines.push(Line {
                value: text.bytes.into_owned(),
                lossy,
                truncated,
                offset,
                end,
                gain,
            });
        }
        if whole {
            self.more = false;
            if leaving {
                self.phase = Phase::Leaving { finished: true };
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
        self.phase = Phase::Choosing {
            drained,
            settling: None,
        };
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
    const CHOOSE: Phase = Phase::Choosing {
        drained: false,
        settling: None,
    };
}

/// Whether the last `lines` of the anchor are what `bytes`, which end at a position, hold.
fn stands(anchor: &Anchor, lines: usize, framer: &Framer, bytes: &[u8]) -> bool {
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
        marks.push(LineMark::new(
            &framer.encoding().decode(&frame.content, frame.truncated).bytes,
            frame.line_bytes,
        ));
    }
    // There may be one more: the ending of a line that had none when it was sent.
    marks.len() >= lines && anchor.ends_with(&marks[marks.len() - lines..])
}

/// CRC-32 of the first complete line.
fn first_line(file: &File, framer: &Framer, start: u64) -> io::Result<Option<u32>> {
    let mut first = None;
    each_line(file, framer, start, |mark, _| {
        first = Some(mark.crc);
        ControlFlow::Break(())
    })?;
    Ok(first)
}

/// Frames a file from `start` on and gives each complete line with the position after it.
fn each_line(
    file: &File,
    framer: &Framer,
    start: u64,
    mut line: impl FnMut(LineMark, u64) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut framer = framer.clone();
    let (mut buffer, mut kept, mut from, mut position) = (Vec::new(), 0, start, start);
    loop {
        buffer.resize(kept + SEARCH_CHUNK_BYTES, 0);
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

fn see(found: &fs::Metadata) -> Seen {
    let modified = found
        .modified()
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    Seen {
        id: file_id(found),
        len: found.len(),
        modified_ns: modified.map_or(0, |since| since.as_nanos() as i128),
    }
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
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// A file that was renamed within its folder.
fn reopen_moved(path: &Path, id: (u64, u64)) -> Option<File> {
    if id == (0, 0) {
        return None;
    }
    let found = |path: PathBuf| {
        fs::metadata(&path)
            .is_ok_and(|found| file_id(&found) == id)
            .then_some(path)
    };
    let moved = fs::read_dir(path.parent()?)
        .ok()?
        .flatten()
        .find_map(|entry| found(entry.path()))?;
    open(&moved).ok()
}

/// Fills the buffer from a position, as far as the file goes.
fn read_at(file: &File, mut buffer: &mut [u8], mut position: u64) -> io::Result<usize> {
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
