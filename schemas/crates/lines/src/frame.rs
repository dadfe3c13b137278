//! Bytes -> lines, split at the ENCODED newline.
//!
//! The framer takes the bytes of a file from a position on and returns the next complete line, without its CRLF or LF.
//! The framer keeps no bytes: the file is the buffer, and a half-written last line is read again later. The one
//! exception is a line longer than the limit: the framer keeps its start, skips its rest, and marks the line when its
//! ending comes. Chunks of any size give the same lines.
//!
//! A file may mix encodings: a program appends in another encoding, or a crash leaves zero bytes between two records.
//! Each line is decoded by its own bytes, so that a reader that begins in the middle of a file finds the same lines.

use std::borrow::Cow;

use crate::encoding::{Encoding, LineText};
use crate::record_head;

/// Splits one version of a file into lines.
#[derive(Clone, Debug)]
pub struct Framer {
    encoding: Encoding,
    line_bytes_max: usize,
    /// The character that ends a line: LF, or CR in a file that has no LF.
    newline: u8,
    /// The start of a line that is too long, until its ending is seen.
    overlong: Option<Overlong>,
    /// Zero bytes before the line that were taken, since they are more than the longest line.
    zeros: u64,
}

/// The start of a line that is too long.
#[derive(Clone, Debug)]
struct Overlong {
    start: Vec<u8>,
    /// Bytes of the line that were taken so far.
    taken: u64,
    encoding: Encoding,
}

/// Fewest zero bytes that divide a line in two: a crash leaves zero bytes between half a line and the next record.
const DIVIDING_ZEROS_MIN: usize = 8;

/// Fewest lines ending with CR alone before a file counts as one without LF: a single CR may be half of a CRLF that is
/// being written.
const CR_LINES_MIN: usize = 2;

/// One line, still encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The line without its ending. Zero bytes before the line are left out where they are more than the longest line.
    pub content: Cow<'a, [u8]>,
    /// The encoding of this line.
    pub encoding: Encoding,
    /// How many of the given bytes were used.
    pub taken: usize,
    /// How many bytes of the file the line and its ending take.
    pub line_bytes: u64,
    /// True where the line was longer than the limit.
    pub truncated: bool,
}

impl Frame<'_> {
    /// Returns the line as text.
    #[must_use]
    pub fn text(&self) -> LineText<'_> {
        self.encoding.decode_line(&self.content, self.truncated)
    }
}

/// Where a line ends.
enum End {
    At {
        at: usize,
        /// Bytes of the ending.
        ending: usize,
        encoding: Encoding,
    },
    /// The bytes hold no ending for a line of this encoding.
    Unseen(Encoding),
}

/// The result of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FramerStep<'a> {
    /// A line.
    Line(Frame<'a>),
    /// The bytes hold no ending: call again with the bytes after `taken` once the file has more.
    Wait {
        /// Bytes that need not be passed again; more than zero only inside a line that is too long.
        taken: usize,
    },
}

impl Framer {
    /// Returns a framer at the start of a line.
    #[must_use]
    pub fn new(encoding: Encoding, line_bytes_max: usize) -> Framer {
        let whole_units = line_bytes_max / encoding.unit() * encoding.unit();
        Framer { encoding, line_bytes_max: whole_units.max(encoding.unit()), newline: b'\n', overlong: None, zeros: 0 }
    }

    /// Returns the framer for a file that begins with `head`. Where lines end with CR alone, as after a conversion for
    /// an old Mac, the framer splits at CR.
    #[must_use]
    pub fn for_head(self, head: &[u8]) -> Framer {
        let is = |unit: &[u8], ascii| self.is_unit(unit, ascii);
        let units = || head.chunks_exact(self.encoding.unit());
        let (ends, breaks) = (units().filter(|unit| is(unit, b'\r')).count(), units().any(|unit| is(unit, b'\n')));
        let newline = if ends >= CR_LINES_MIN && !breaks { b'\r' } else { b'\n' };
        Framer { newline, ..self }
    }

    /// Returns the encoding of the file.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Returns the bytes taken since the last line ended; more than zero only inside a line that is too long.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.zeros + self.overlong.as_ref().map_or(0, |overlong| overlong.taken)
    }

    /// Looks for the next line at the start of `bytes`.
    pub fn step<'a>(&mut self, bytes: &'a [u8]) -> FramerStep<'a> {
        let encoding = match self.end(bytes) {
            End::At { at, ending, encoding } => {
                return FramerStep::Line(match self.dividing_zeros(&bytes[..at], encoding) {
                    Some((start, end)) => self.line(&bytes[..start], end - start, encoding),
                    None => self.line(&bytes[..at], ending, encoding),
                });
            }
            End::Unseen(encoding) => encoding,
        };
        let unit = self.encoding.unit();
        let whole = bytes.len() / unit * unit;
        // + 1 unit, since the last unit may be the CR of a line that just fits; + the bytes that identify a line of
        // another encoding.
        let fits = self.line_bytes_max + unit + self.lookahead();
        match &mut self.overlong {
            Some(overlong) => overlong.taken += whole as u64,
            None if whole > fits => {
                let zeros = self.leading_zeros(bytes);
                if zeros > 0 {
                    self.zeros += zeros as u64;
                    return FramerStep::Wait { taken: zeros };
                }
                let start = bytes[..self.line_bytes_max].to_vec();
                self.overlong = Some(Overlong { start, taken: whole as u64, encoding });
            }
            None => return FramerStep::Wait { taken: 0 },
        }
        FramerStep::Wait { taken: whole }
    }

    /// Returns the last line of a file whose last line has no ending and will get none.
    pub fn finish<'a>(&mut self, bytes: &'a [u8]) -> Option<Frame<'a>> {
        let is_left = !bytes.is_empty() || self.held_bytes() > 0;
        let encoding = match self.end(bytes) {
            End::At { encoding, .. } | End::Unseen(encoding) => encoding,
        };
        is_left.then(|| self.line(bytes, 0, encoding))
    }

    /// Returns how many bytes at the start of `bytes` are a line ending; `None` when there are too few bytes to decide.
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

    fn line<'a>(&mut self, body: &'a [u8], ending: usize, encoding: Encoding) -> Frame<'a> {
        let taken = body.len() + ending;
        let zeros = std::mem::take(&mut self.zeros);
        let line_bytes = zeros + taken as u64;
        if let Some(Overlong { start, taken: before, encoding }) = self.overlong.take() {
            let line_bytes = before + line_bytes;
            return Frame { content: Cow::Owned(start), encoding, taken, line_bytes, truncated: true };
        }
        let skipped = if zeros > 0 || body.len() > self.line_bytes_max { self.leading_zeros(body) } else { 0 };
        let body = &body[skipped..];
        let unit = encoding.unit();
        let cr = self.newline == b'\n'
            && ending > 0
            && body.len() >= unit
            && is_unit(encoding, &body[body.len() - unit..], b'\r');
        let content = &body[..body.len() - if cr { unit } else { 0 }];
        let truncated = content.len() > self.line_bytes_max;
        let content = &content[..content.len().min(self.line_bytes_max)];
        Frame { content: Cow::Borrowed(content), encoding, taken, line_bytes, truncated }
    }

    /// Returns where the line at the start of `bytes` ends.
    fn end(&self, bytes: &[u8]) -> End {
        let own = self.encoding;
        let unseen = self.overlong.as_ref().map_or(own, |overlong| overlong.encoding);
        let narrow = |at: Option<usize>| match at {
            Some(at) => End::At { at, ending: 1, encoding: Encoding::Utf8 },
            None => End::Unseen(Encoding::Utf8),
        };
        if own.unit() == 1 {
            return match memchr::memchr(self.newline, bytes) {
                Some(at) => End::At { at, ending: 1, encoding: own },
                None => End::Unseen(unseen),
            };
        }
        // A line with 8 bits for each character that was appended to a UTF-16 file.
        let zeros = self.leading_zeros(bytes);
        let is_narrow = match &self.overlong {
            Some(overlong) => overlong.encoding.unit() == 1,
            None => record_head::at_start(&bytes[zeros..]) == Some(true),
        };
        if is_narrow {
            return narrow(memchr::memchr(self.newline, bytes));
        }
        for at in memchr::memchr_iter(self.newline, bytes) {
            let even = at / 2 * 2;
            if bytes.get(even..even + 2).is_some_and(|unit| self.is_unit(unit, self.newline)) {
                return End::At { at: even, ending: 2, encoding: own };
            }
            if self.overlong.is_some() || at >= zeros + self.line_bytes_max {
                continue;
            }
            // Text with 8 bits for each character, since a record with 8 bits follows: its first line ends at the first
            // newline.
            match record_head::at_start(&bytes[at + 1..]) {
                Some(true) => return narrow(memchr::memchr(self.newline, bytes)),
                Some(false) => {}
                None => return End::Unseen(own),
            }
        }
        End::Unseen(unseen)
    }

    /// Returns how many bytes after a newline are needed to decide whether a record of another encoding follows.
    fn lookahead(&self) -> usize {
        if self.encoding.unit() == 1 { 0 } else { record_head::BYTES }
    }

    /// Returns the number of zero bytes, in whole units, at the start of `bytes`.
    fn leading_zeros(&self, bytes: &[u8]) -> usize {
        let unit = self.encoding.unit();
        bytes.iter().take_while(|byte| **byte == 0).count() / unit * unit
    }

    /// Returns start and end of the zero bytes that divide a line with text before and after them.
    fn dividing_zeros(&self, line: &[u8], encoding: Encoding) -> Option<(usize, usize)> {
        if encoding.unit() > 1 || self.held_bytes() > 0 || line.len() > self.line_bytes_max {
            return None;
        }
        let mut from = 0;
        while let Some(start) = memchr::memchr(0, &line[from..]).map(|at| from + at) {
            let end = start + line[start..].iter().take_while(|byte| **byte == 0).count();
            if start > 0 && end - start >= DIVIDING_ZEROS_MIN {
                let has_text = line[end..].iter().any(|byte| !byte.is_ascii_whitespace());
                return has_text.then_some((start, end));
            }
            from = end;
        }
        None
    }

    fn is_unit(&self, unit: &[u8], ascii: u8) -> bool {
        is_unit(self.encoding, unit, ascii)
    }
}

fn is_unit(encoding: Encoding, unit: &[u8], ascii: u8) -> bool {
    match encoding {
        Encoding::Utf8 | Encoding::CodePage(_) => unit == [ascii],
        Encoding::Utf16Le => unit == [ascii, 0],
        Encoding::Utf16Be => unit == [0, ascii],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A line, whether it was cut, and how many bytes of the file it took.
    type Got = (Vec<u8>, bool, u64);

    /// All lines of `bytes`, given in chunks that end at `cuts`; and the bytes after the last one.
    fn lines(encoding: Encoding, max: usize, bytes: &[u8], cuts: &[usize]) -> (Vec<Got>, Vec<u8>) {
        let mut framer = Framer::new(encoding, max);
        let (mut out, mut at) = (Vec::new(), 0);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        ends.sort_unstable();
        ends.push(bytes.len());
        for end in ends {
            while at <= end {
                match framer.step(&bytes[at..end]) {
                    FramerStep::Line(frame) => {
                        at += frame.taken;
                        out.push((frame.content.into_owned(), frame.truncated, frame.line_bytes));
                    }
                    FramerStep::Wait { taken } => {
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
            while let FramerStep::Line(frame) = framer.step(&head[at..]) {
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
        // U+0A0A and U+0A00 contain the byte of a newline and are not newlines.
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
        assert_eq!(framer.step(b"123456"), FramerStep::Wait { taken: 6 });
        assert_eq!(framer.step(b"7890"), FramerStep::Wait { taken: 4 });
        assert_eq!(framer.held_bytes(), 10);
        let FramerStep::Line(frame) = framer.step(b"x\nnext") else { panic!("no line") };
        assert_eq!((&*frame.content, frame.taken, frame.line_bytes, frame.truncated), (&b"1234"[..], 2, 12, true));
    }

    /// Texts of a file, read as a replay does.
    fn texts(encoding: Encoding, max: usize, bytes: &[u8]) -> Vec<String> {
        let mut framer = Framer::new(encoding, max);
        let (mut texts, mut at) = (Vec::new(), 0);
        loop {
            let frame = match framer.step(&bytes[at..]) {
                FramerStep::Line(frame) => Some(frame),
                FramerStep::Wait { taken: 0 } => framer.finish(&bytes[at..]),
                FramerStep::Wait { taken } => {
                    at += taken;
                    continue;
                }
            };
            let Some(frame) = frame else { return texts };
            at += frame.taken;
            texts.push(String::from_utf8(frame.text().bytes.into_owned()).unwrap());
        }
    }

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn lines_of_another_encoding_are_read_as_they_are() {
        let (first, second) =
            ("2015-06-10\t09:00:02:123\t988\tx", "2020/02/10 09:00:02.1234567 1 2 Agent Prüfung 更新");
        let lines = [first, second, "", "{6C0F3A52-91DE} y", second];
        // UTF-16 behind 8 bits, as PowerShell 5.1 appends.
        let mut file = format!("{first}\r\n").into_bytes();
        file.extend(utf16(&lines[1..].iter().map(|line| format!("{line}\r\n")).collect::<String>()));
        let mut expect = lines.map(str::to_owned).to_vec();
        expect.push(String::new()); // the high byte of the last newline, which a later line takes with it
        assert_eq!(texts(Encoding::Utf8, 1000, &file), expect);
        file.pop();
        expect.pop();
        assert_eq!(texts(Encoding::Utf8, 1000, &file), expect);
        // 8 bits behind UTF-16, as a console appends, with a line that is no record.
        let mut file = utf16(&format!("{first}\r\n{second}\r\n"));
        file.extend(format!("{first}\r\nand on\r\n\r\n{first}\r\n").into_bytes());
        file.extend(utf16(&format!("{second}\r\n")));
        assert_eq!(texts(Encoding::Utf16Le, 1000, &file), [first, second, first, "and on", "", first, second]);
    }

    #[test]
    fn zero_bytes_before_a_line_are_skipped() {
        let line = "2015-06-10\t09:00:02:123\t988\tx";
        let zeros = vec![0; 4096];
        let file = [format!("{line}\r\n").as_bytes(), &zeros, format!("{line}\r\n").as_bytes()].concat();
        for max in [1000, 10_000] {
            assert_eq!(texts(Encoding::Utf8, max, &file), [line, line], "{max}");
        }
        let file = [&utf16(&format!("{line}\r\n"))[..], &zeros, &utf16(&format!("{line}\r\n"))].concat();
        for max in [1000, 10_000] {
            assert_eq!(texts(Encoding::Utf16Le, max, &file), [line, line], "{max}");
        }
        // Half a line, zero bytes and the next record.
        let file = [&b"2015-06-10\t09:0"[..], &zeros, format!("{line}\n").as_bytes()].concat();
        assert_eq!(texts(Encoding::Utf8, 10_000, &file), ["2015-06-10\t09:0", line]);
        assert_eq!(texts(Encoding::Utf8, 100, b"a\0b\n"), ["a\0b"]);
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
            bytes in prop::collection::vec(prop::sample::select(vec![&b"a"[..], b"\r", b"\n", b"\0", b"\0", b"\xC3", b"\n2015-06-1", b"\0\0\0\0\0\0\0\0"]), 0..80)
                .prop_map(|parts| parts.concat()),
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
