//! Bytes -> lines, split at the ENCODED newline.
//!
//! The framer takes what a file holds from its position on and gives the next complete line, without its CRLF or LF. It
//! keeps no bytes of its own: the file is the buffer, and a half-written last line is simply read again. The one
//! exception is a line longer than the limit: its start is kept, its rest is passed over, and it comes out marked when
//! its ending is seen. However the bytes are cut into chunks, the lines are the same.

use std::borrow::Cow;

use crate::encoding::Encoding;

/// Splits one version of a file into lines.
#[derive(Clone, Debug)]
pub struct Framer {
    encoding: Encoding,
    line_bytes_max: usize,
    /// Ends a line: LF, or CR in a file that has no LF.
    newline: u8,
    /// The start of a line that is too long and whose ending is not seen yet, and how many of its bytes were taken.
    overlong: Option<(Vec<u8>, u64)>,
}

/// Lines that end with CR alone before a file is believed to have no LF: half of a CRLF may be there for a moment.
const CR_LINES_MIN: usize = 2;

/// One line, still encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The line without its ending.
    pub content: Cow<'a, [u8]>,
    /// How many of the bytes given were used.
    pub taken: usize,
    /// How many bytes of the file the line and its ending are.
    pub line_bytes: u64,
    /// True where the line was longer than the limit.
    pub truncated: bool,
}

/// What the framer says to the bytes that it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A line.
    Line(Frame<'a>),
    /// No ending in sight: give what follows `taken` again when there is more of it.
    Wait {
        /// Bytes that need not be given again; more than zero only inside a line that is too long.
        taken: usize,
    },
}

impl Framer {
    /// A framer at the start of a line.
    #[must_use]
    pub fn new(encoding: Encoding, line_bytes_max: usize) -> Framer {
        let whole_units = line_bytes_max / encoding.unit() * encoding.unit();
        Framer { encoding, line_bytes_max: whole_units.max(encoding.unit()), newline: b'\n', overlong: None }
    }

    /// The same framer for a file that begins with `head`: where lines end with CR alone, as after a conversion for an old
    /// Mac, it splits there.
    #[must_use]
    pub fn for_head(self, head: &[u8]) -> Framer {
        let is = |unit: &[u8], ascii| self.is_unit(unit, ascii);
        let units = || head.chunks_exact(self.encoding.unit());
        let (ends, breaks) = (units().filter(|unit| is(unit, b'\r')).count(), units().any(|unit| is(unit, b'\n')));
        let newline = if ends >= CR_LINES_MIN && !breaks { b'\r' } else { b'\n' };
        Framer { newline, ..self }
    }

    /// The encoding that it splits by.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Bytes taken since the last line ended; more than zero only inside a line that is too long.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.overlong.as_ref().map_or(0, |(_, taken)| *taken)
    }

    /// Looks for the next line at the start of `bytes`.
    pub fn step<'a>(&mut self, bytes: &'a [u8]) -> Step<'a> {
        let unit = self.encoding.unit();
        if let Some(at) = self.newline(bytes) {
            return Step::Line(self.line(&bytes[..at], unit));
        }
        let whole = bytes.len() / unit * unit;
        match &mut self.overlong {
            Some((_, taken)) => *taken += whole as u64,
            // + 1 unit, since the last one may be the CR of a line that just fits.
            None if whole > self.line_bytes_max + unit => {
                self.overlong = Some((bytes[..self.line_bytes_max].to_vec(), whole as u64));
            }
            None => return Step::Wait { taken: 0 },
        }
        Step::Wait { taken: whole }
    }

    /// The last line of a file that has no ending and will get none.
    pub fn finish<'a>(&mut self, bytes: &'a [u8]) -> Option<Frame<'a>> {
        (!bytes.is_empty() || self.overlong.is_some()).then(|| self.line(bytes, 0))
    }

    /// How many bytes at the start of `bytes` are a line ending; `None` when there are too few to tell.
    #[must_use]
    pub fn leading_ending(&self, bytes: &[u8]) -> Option<usize> {
        let unit = self.encoding.unit();
        let at =
            |index: usize| bytes.get(index * unit..(index + 1) * unit).map(|unit| self.is_unit(unit, self.newline));
        match at(0)? {
            true => Some(unit),
            false if self.newline == b'\n' && self.is_unit(&bytes[..unit], b'\r') => {
                Some(if at(1)? { 2 * unit } else { 0 })
            }
            false => Some(0),
        }
    }

    fn line<'a>(&mut self, body: &'a [u8], ending: usize) -> Frame<'a> {
        let taken = body.len() + ending;
        if let Some((start, before)) = self.overlong.take() {
            return Frame { content: Cow::Owned(start), taken, line_bytes: before + taken as u64, truncated: true };
        }
        let unit = self.encoding.unit();
        let cr = self.newline == b'\n'
            && ending > 0
            && body.len() >= unit
            && self.is_unit(&body[body.len() - unit..], b'\r');
        let content = &body[..body.len() - if cr { unit } else { 0 }];
        let truncated = content.len() > self.line_bytes_max;
        let content = &content[..content.len().min(self.line_bytes_max)];
        Frame { content: Cow::Borrowed(content), taken, line_bytes: taken as u64, truncated }
    }

    /// Where the first encoded newline starts.
    fn newline(&self, bytes: &[u8]) -> Option<usize> {
        match self.encoding {
            Encoding::Utf8 | Encoding::CodePage(_) => memchr::memchr(self.newline, bytes),
            Encoding::Utf16Le | Encoding::Utf16Be => memchr::memchr_iter(self.newline, bytes)
                .map(|at| at / 2 * 2)
                .find(|&at| bytes.get(at..at + 2).is_some_and(|unit| self.is_unit(unit, self.newline))),
        }
    }

    fn is_unit(&self, unit: &[u8], ascii: u8) -> bool {
        match self.encoding {
            Encoding::Utf8 | Encoding::CodePage(_) => unit == [ascii],
            Encoding::Utf16Le => unit == [ascii, 0],
            Encoding::Utf16Be => unit == [0, ascii],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A line, whether it was cut, and how many bytes of the file it took.
    type Got = (Vec<u8>, bool, u64);

    /// All lines of `bytes`, given in chunks that end at `cuts`; and what is left over.
    fn lines(encoding: Encoding, max: usize, bytes: &[u8], cuts: &[usize]) -> (Vec<Got>, Vec<u8>) {
        let mut framer = Framer::new(encoding, max);
        let (mut out, mut at) = (Vec::new(), 0);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        ends.sort_unstable();
        ends.push(bytes.len());
        for end in ends {
            while at <= end {
                match framer.step(&bytes[at..end]) {
                    Step::Line(frame) => {
                        at += frame.taken;
                        out.push((frame.content.into_owned(), frame.truncated, frame.line_bytes));
                    }
                    Step::Wait { taken } => {
                        at += taken;
                        break;
                    }
                }
            }
        }
        (out, bytes[at..].to_vec())
    }

    #[track_caller]
    fn check(encoding: Encoding, bytes: &[u8], expect: &[(&[u8], bool)], rest: &[u8]) {
        let (got, left) = lines(encoding, 8, bytes, &[]);
        let got: Vec<(&[u8], bool)> = got.iter().map(|(line, cut, _)| (line.as_slice(), *cut)).collect();
        assert_eq!((got.as_slice(), left.as_slice()), (expect, rest));
    }

    #[test]
    fn lines_end_with_crlf_or_lf() {
        check(Encoding::Utf8, b"a\r\nb\n\n", &[(b"a", false), (b"b", false), (b"", false)], b"");
        check(Encoding::Utf8, b"a\rb\r\r\n", &[(b"a\rb\r", false)], b"");
    }

    #[test]
    fn lines_of_a_file_without_lf_end_with_cr() {
        let check = |encoding: Encoding, head: &[u8], expect: &[&[u8]]| {
            let mut framer = Framer::new(encoding, 64).for_head(head);
            let (mut at, mut lines) = (0, Vec::new());
            while let Step::Line(frame) = framer.step(&head[at..]) {
                at += frame.taken;
                lines.push(frame.content.into_owned());
            }
            assert_eq!(lines, expect, "{head:?}");
        };
        check(Encoding::Utf8, b"a\rb\r\rc\r", &[b"a", b"b", b"", b"c"]);
        check(Encoding::Utf16Le, b"a\0\r\0b\0\r\0", &[b"a\0", b"b\0"]);
        check(Encoding::Utf8, b"a\rb\r\n", &[b"a\rb"]);
        check(Encoding::Utf8, b"a\r", &[]);
    }

    #[test]
    fn a_half_written_line_waits() {
        check(Encoding::Utf8, b"a\nhalf", &[(b"a", false)], b"half");
        check(Encoding::Utf8, b"a\nhalf\r", &[(b"a", false)], b"half\r");
        check(Encoding::Utf16Le, b"a\0\n\0b\0\n", &[(b"a\0", false)], b"b\0\n");
    }

    #[test]
    fn utf_16_splits_at_whole_units() {
        check(Encoding::Utf16Le, b"a\0\r\0\n\0b\0\n\0", &[(b"a\0", false), (b"b\0", false)], b"");
        // U+0A0A and U+0A00 hold the byte of a newline and are none.
        check(Encoding::Utf16Le, b"\x0A\x0A\x00\x0A\n\0", &[(b"\x0A\x0A\x00\x0A", false)], b"");
        check(Encoding::Utf16Be, b"\0a\0\r\0\n\x0A\0\0\n", &[(b"\0a", false), (b"\x0A\0", false)], b"");
    }

    #[test]
    fn a_line_longer_than_the_limit_is_cut_and_marked() {
        check(Encoding::Utf8, b"12345678\r\n", &[(b"12345678", false)], b"");
        check(Encoding::Utf8, b"123456789\r\nb\n", &[(b"12345678", true), (b"b", false)], b"");
        check(Encoding::Utf16Le, b"1\x002\x003\x004\x005\0\n\0", &[(b"1\x002\x003\x004\0", true)], b"");
    }

    #[test]
    fn the_rest_of_an_endless_line_is_not_kept() {
        let mut framer = Framer::new(Encoding::Utf8, 4);
        assert_eq!(framer.step(b"123456"), Step::Wait { taken: 6 });
        assert_eq!(framer.step(b"7890"), Step::Wait { taken: 4 });
        assert_eq!(framer.held_bytes(), 10);
        let Step::Line(frame) = framer.step(b"x\nnext") else { panic!("no line") };
        assert_eq!((&*frame.content, frame.taken, frame.line_bytes, frame.truncated), (&b"1234"[..], 2, 12, true));
    }

    #[test]
    fn an_ending_that_comes_late_is_recognized() {
        let check = |bytes: &[u8], expect| assert_eq!(Framer::new(Encoding::Utf8, 8).leading_ending(bytes), expect);
        check(b"\nx", Some(1));
        check(b"\r\nx", Some(2));
        check(b"x\n", Some(0));
        check(b"\rx", Some(0));
        check(b"\r", None);
        check(b"", None);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            bytes in prop::collection::vec(prop::sample::select(vec![b'a', b'\r', b'\n', 0, 0, 0xC3]), 0..80),
            cuts in prop::collection::vec(0usize..100, 0..8),
            which in 0usize..3,
        ) {
            let encoding = [Encoding::Utf8, Encoding::Utf16Le, Encoding::Utf16Be][which];
            let (whole, _) = lines(encoding, 6, &bytes, &[]);
            let (chunked, _) = lines(encoding, 6, &bytes, &cuts);
            prop_assert_eq!(whole, chunked);
        }
    }
}
