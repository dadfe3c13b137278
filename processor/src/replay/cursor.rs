//! The position of each line of a file in the common order of all files: its event time, without the jumps of a clock.

use std::collections::VecDeque;

use super::ReplayError;
use super::files::{FileLine, FileLines};
use crate::normalize::FileClock;

/// Maximum number of lines before the first one with a time; until then a file has no position in the order.
const UNDATED_LINES_MAX: usize = 1_000;

/// Lines that are further ahead of the line before are read together before they get positions.
const JUMP_MS: i64 = 6 * 3600 * 1000;

/// Maximum number of lines of a jump; a longer jump is not a slip of a clock.
const JUMP_LINES_MAX: usize = 1_000;

/// Number of lines at the beginning of a file by which its first line is judged.
const FIRST_LINES: usize = 16;

/// A file holds no line that is later than its modification time, apart from the offset of time zones.
const MODIFIED_AHEAD_MAX_MS: i64 = 26 * 3600 * 1000;

/// A file during the merge.
pub(super) struct FileCursor {
    lines: FileLines,
    clock: FileClock,
    /// Lines read ahead, with their positions in the order.
    ahead: VecDeque<(i64, FileLine)>,
    /// Position of the last line read: the order within a file never changes.
    last: Option<i64>,
    /// True for the only file of a merge: no other file depends on its clock, so each of its times is believed.
    alone: bool,
}

impl FileCursor {
    /// A cursor at the beginning of a file that is read as `lines`.
    pub(super) fn new(lines: FileLines, clock: FileClock, alone: bool) -> FileCursor {
        FileCursor { lines, clock, ahead: VecDeque::new(), last: None, alone }
    }

    /// The position of the next line; `None` at the end of the file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn place(&mut self) -> Result<Option<i64>, ReplayError> {
        self.fill()?;
        Ok(self.ahead.front().map(|(place, _)| *place))
    }

    /// The line whose position [`FileCursor::place`] returned.
    pub(super) fn take(&mut self) -> Option<FileLine> {
        self.ahead.pop_front().map(|(_, line)| line)
    }

    fn read(&mut self) -> Result<Option<FileLine>, ReplayError> {
        let next = self.lines.next().transpose();
        next.map_err(|why| ReplayError::File { path: self.lines.path().display().to_string(), why })
    }

    /// Reads until the position of the next line is known, or the file ends.
    fn fill(&mut self) -> Result<(), ReplayError> {
        let mut undated = Vec::new();
        while self.ahead.is_empty() {
            let Some(line) = self.read()? else {
                let place = self.last.unwrap_or_else(|| self.modified_ms());
                self.ahead.extend(undated.drain(..).map(|line| (place, line)));
                break;
            };
            match (self.clock.at(&line.text), self.last) {
                (Some(at), Some(last)) if at <= last.saturating_add(JUMP_MS) => {
                    self.last = Some(at.max(last));
                    self.ahead.push_back((at.max(last), line));
                }
                (Some(at), last) if self.alone => {
                    let place = at.max(last.unwrap_or(at));
                    self.last = Some(place);
                    self.ahead.extend(undated.drain(..).chain([line]).map(|line| (place, line)));
                }
                (Some(at), last) => {
                    let rest = if last.is_none() { FIRST_LINES } else { JUMP_LINES_MAX };
                    self.place_jump(std::mem::take(&mut undated), (at, line), rest)?;
                }
                (None, Some(last)) => self.ahead.push_back((last, line)),
                (None, None) => {
                    undated.push(line);
                    if undated.len() > UNDATED_LINES_MAX {
                        let place = self.modified_ms();
                        self.last = Some(place);
                        self.ahead.extend(undated.drain(..).map(|line| (place, line)));
                    }
                }
            }
        }
        Ok(())
    }

    /// Places lines that begin far ahead of the lines before, or that begin the file. If the file returns to the
    /// earlier time within `rest` lines, or is older than the lines claim, their clock was wrong: they keep their
    /// position in the file, and the Normalizer sees that they are dated ahead of log time.
    fn place_jump(&mut self, undated: Vec<FileLine>, first: (i64, FileLine), rest: usize) -> Result<(), ReplayError> {
        let start = first.0;
        let mut jump = vec![first];
        let mut back = None;
        while jump.len() < rest {
            let Some(line) = self.read()? else { break };
            let at = self.clock.at(&line.text).unwrap_or(start);
            if at < start.saturating_sub(JUMP_MS) {
                back = Some((at, line));
                break;
            }
            jump.push((at, line));
        }
        let modified = self.modified_ms();
        let is_wrong = back.is_some() || start > modified.saturating_add(MODIFIED_AHEAD_MAX_MS);
        let before = self.last.or(back.as_ref().map(|(at, _)| *at)).unwrap_or(start.min(modified));
        if is_wrong {
            tracing::warn!(
                file = %self.lines.path().display(),
                lines = jump.len(),
                "lines are dated far ahead of the lines around them; they are placed where they stand, and flagged"
            );
        }
        let place = if is_wrong { before } else { start };
        self.ahead.extend(undated.into_iter().map(|line| (place, line)));
        let mut last = place;
        for (at, line) in jump.into_iter().chain(back) {
            if !is_wrong || at <= before.saturating_add(JUMP_MS) {
                last = last.max(at);
            }
            self.ahead.push_back((last, line));
        }
        self.last = Some(last);
        Ok(())
    }

    /// The modification time: the best guess for a file without times.
    fn modified_ms(&self) -> i64 {
        let modified = std::fs::metadata(self.lines.path()).and_then(|data| data.modified());
        // Standard input was written until now.
        let at = modified.unwrap_or_else(|_| std::time::SystemTime::now());
        chrono::DateTime::<chrono::Utc>::from(at).timestamp_millis()
    }
}
