//! Lines from the reading position on, with the proof that it is the right place.

use std::io;

use super::{Gain, Line, Moved, Phase, Tail};
use crate::disk::{is_being_deleted, read_at, see, see_at, stands};
use crate::follow::LineMark;
use wulog_files::unreadable;
use wulog_lines::Step;

/// How much is read in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Bytes of the file.
    pub bytes: usize,
    /// Lines, at least one: a chunk of empty lines takes hundreds of times its bytes.
    pub lines: usize,
}

impl Tail {
    /// Reads up to `most` and gives the lines found. Returns how many bytes were new.
    pub fn read(&mut self, buffer: &mut Vec<u8>, most: Chunk, lines: &mut Vec<Line>) -> usize {
        match self.try_read(buffer, most, lines) {
            Ok(bytes) => {
                self.trouble = None;
                bytes
            }
            Err(error) => {
                self.more = false;
                self.handle = None;
                self.complain(&unreadable(&error));
                0
            }
        }
    }

    fn try_read(&mut self, buffer: &mut Vec<u8>, most: Chunk, lines: &mut Vec<Line>) -> io::Result<usize> {
        let leaving = matches!(self.phase, Phase::Leaving { .. });
        if self.handle.is_none() {
            let file = self.fence.open(&self.entry.path)?;
            let now = see(&file)?;
            if let Some(seen) = self.seen
                && now.id != seen.id
            {
                self.note(now);
                self.replaced(seen.id);
                return Ok(0);
            }
            self.handle = Some((file, self.now_ms));
        }
        let (file, used_ms) = self.handle.as_mut().expect("it was opened just now");
        *used_ms = self.now_ms;
        let framer = self.framer.as_mut().expect("a file that is read was chosen, which sets the framer");
        let held = framer.held_bytes();
        let (anchor_lines, anchor_bytes) = if held + self.lead > 0 { (0, 0) } else { self.read.anchor.verifiable() };
        let from = self.read.position + self.lead + held - anchor_bytes;
        buffer.resize(anchor_bytes as usize + most.bytes, 0);
        let got = read_at(file, buffer, from)?;
        let mut whole = got < buffer.len();
        let (before, new) = buffer[..got].split_at(got.min(anchor_bytes as usize));
        if before.len() < anchor_bytes as usize || !stands(&self.read.anchor, anchor_lines, framer, before) {
            self.misplaced();
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
        let mut taken_bytes = new.len();
        loop {
            if lines.len() >= most.lines {
                // The rest is read again.
                (whole, taken_bytes) = (false, at);
                break;
            }
            let (frame, ended) = match framer.step(&new[at..]) {
                Step::Line(frame) => (Some(frame), true),
                Step::Wait { taken } => {
                    at += taken;
                    (if finish { framer.finish(&new[at..]) } else { None }, false)
                }
            };
            let Some(frame) = frame else { break };
            at += frame.taken;
            let text = frame.text();
            let mark = LineMark::new(&text.bytes, frame.line_bytes + self.lead);
            // Where no line is before it, the first line is the proof.
            if self.read.anchor.is_empty() && self.read.first.is_some_and(|first| first != mark.crc) {
                self.misplaced();
                return Ok(0);
            }
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
            if let Phase::Leaving { finished, .. } = &mut self.phase {
                *finished = true;
                if see_at(&self.entry.path).is_err_and(|error| is_being_deleted(&error)) {
                    // While we hold it, nobody can write a new file of this name.
                    self.handle = None;
                }
                if self.acks.is_empty() && lines.is_empty() {
                    self.choose_again(true);
                }
            }
        }
        Ok(taken_bytes)
    }

    /// The lines before the reading position are not there any more.
    fn misplaced(&mut self) {
        if let Phase::Leaving { certain, .. } = self.phase
            && let Some((file, _)) = self.handle.take()
        {
            self.opened.insert(self.entry.id, Moved { file, certain });
        }
        self.choose_again(false);
    }
}
