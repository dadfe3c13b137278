//! Decides whether a changed file has only grown, was rewritten, or is another file.
//!
//! File ids, sizes and times cannot decide: file systems reuse inodes; logs are cut at the head, copied and truncated,
//! or rewritten with most of their old lines. The content can decide. A position in a file is therefore kept together
//! with an **anchor**: the last few lines before the position. Where the anchor still stands before the position, the
//! file has only grown. Where the anchor stands elsewhere, in exactly one place, the file was rewritten and continues
//! there, with its epoch and its logical offsets. Where the anchor is gone, a new epoch begins.
//!
//! An anchor consists of decoded lines, so that it is found again after a change of encoding or of line endings.
//! Rejected: a hash of the bytes before the position (breaks with the encoding), of the head (all logs of a host may
//! start alike), of one line (banners repeat).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// How many lines an anchor spans. The banner that a client writes at its start is shorter, so a banner alone does not
/// match.
pub(crate) const ANCHOR_LINES: usize = 8;

/// How many bytes of the file are read again, at most, to verify the anchor.
pub(crate) const VERIFY_BYTES_MAX: u64 = 64 * 1024;

/// How many bytes of text distinguish one log from another: date, time, process, thread and component. A line with a
/// time does not repeat; a banner does.
const TELLING_BYTES_MIN: u64 = 40;

/// One line as an anchor remembers it; in a checkpoint `[crc, text_bytes, file_bytes]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u32, u64)", into = "(u32, u32, u64)")]
pub struct LineMark {
    /// CRC-32 of the line's UTF-8 bytes.
    pub crc: u32,
    /// How many UTF-8 bytes the line has, without the ending.
    pub text_bytes: u32,
    /// How many bytes the line has in this version of the file, with its ending.
    pub file_bytes: u64,
}

impl From<(u32, u32, u64)> for LineMark {
    fn from((crc, text_bytes, file_bytes): (u32, u32, u64)) -> LineMark {
        LineMark { crc, text_bytes, file_bytes }
    }
}

impl From<LineMark> for (u32, u32, u64) {
    fn from(mark: LineMark) -> (u32, u32, u64) {
        (mark.crc, mark.text_bytes, mark.file_bytes)
    }
}

impl LineMark {
    /// Returns the mark of a decoded line.
    #[must_use]
    pub fn new(text: &[u8], file_bytes: u64) -> LineMark {
        LineMark { crc: crc32fast::hash(text), text_bytes: text.len() as u32, file_bytes }
    }

    fn same_text(&self, other: &LineMark) -> bool {
        (self.crc, self.text_bytes) == (other.crc, other.text_bytes)
    }
}

/// The last few lines before a position.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Anchor {
    lines: VecDeque<LineMark>,
}

impl Anchor {
    /// Adds the line that the position moves past.
    pub fn push(&mut self, mark: LineMark) {
        if self.lines.len() == ANCHOR_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(mark);
    }

    /// True before the first line of an epoch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Returns how many lines at the end of the anchor can be verified with few bytes, and how many bytes of the file
    /// they take. 0 lines of a non-empty anchor means that the last line is too long to be read again.
    #[must_use]
    pub fn verifiable(&self) -> (usize, u64) {
        let (mut lines, mut bytes) = (0, 0);
        for mark in self.lines.iter().rev() {
            if bytes + mark.file_bytes > VERIFY_BYTES_MAX {
                break;
            }
            (lines, bytes) = (lines + 1, bytes + mark.file_bytes);
        }
        (lines, bytes)
    }

    /// Whether the anchor ends with these lines.
    #[must_use]
    pub fn ends_with(&self, lines: &[LineMark]) -> bool {
        lines.len() <= self.lines.len()
            && self.lines.iter().rev().zip(lines.iter().rev()).all(|(known, found)| known.same_text(found))
    }
}

/// Where a search found an anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnchorFound {
    /// Index of the anchor that was found.
    pub which: usize,
    /// Position in the file just after the anchor.
    pub position: u64,
    /// The anchor as it stands in this version of the file.
    pub anchor: Anchor,
    /// Bytes of decoded text before the position, with one byte for each line ending.
    pub text_bytes: u64,
    /// True when the lines found distinguish one log from another, and not only one place in a log from another.
    pub tells_files_apart: bool,
}

/// A search for anchors in a file that was rewritten. The search takes every line from the start, and then returns
/// where anchors stand.
#[derive(Debug)]
pub(crate) struct AnchorSearch<'a> {
    anchors: &'a [&'a Anchor],
    window: Anchor,
    lines_seen: usize,
    text_bytes: u64,
    hits: Vec<Hits>,
}

/// Places where one anchor stands as a whole, and places where the head of the file begins within the anchor.
#[derive(Clone, Debug, Default)]
struct Hits {
    whole: Places,
    at_head: Places,
}

#[derive(Clone, Debug, Default)]
struct Places {
    count: usize,
    last: Option<AnchorPlace>,
}

#[derive(Clone, Debug)]
struct AnchorPlace {
    position: u64,
    text_bytes: u64,
    anchor: Anchor,
    /// How many lines of the anchor were found.
    lines: usize,
}

impl Places {
    fn add(&mut self, place: AnchorPlace) {
        self.count += 1;
        self.last = Some(place);
    }

    fn only(&self) -> Option<&AnchorPlace> {
        self.last.as_ref().filter(|_| self.count == 1)
    }
}

impl<'a> AnchorSearch<'a> {
    /// Returns a search for any of these anchors. An empty anchor matches nothing.
    #[must_use]
    pub(crate) fn new(anchors: &'a [&'a Anchor]) -> AnchorSearch<'a> {
        let hits = vec![Hits::default(); anchors.len()];
        AnchorSearch { anchors, window: Anchor::default(), lines_seen: 0, text_bytes: 0, hits }
    }

    /// Takes the next line of the file; `position` is just after the line.
    pub(crate) fn line(&mut self, mark: LineMark, position: u64) {
        self.window.push(mark);
        self.lines_seen += 1;
        self.text_bytes += u64::from(mark.text_bytes) + 1;
        let text_bytes = self.text_bytes;
        let place = |window: &Anchor, lines| AnchorPlace { position, text_bytes, anchor: window.clone(), lines };
        for (anchor, hits) in self.anchors.iter().zip(&mut self.hits) {
            let Some(last) = anchor.lines.back() else { continue };
            if !last.same_text(&mark) {
                continue;
            }
            let window = self.window.lines.make_contiguous();
            if let Some(start) = window.len().checked_sub(anchor.lines.len())
                && anchor.ends_with(&window[start..])
            {
                hits.whole.add(place(&self.window, anchor.lines.len()));
            } else if self.lines_seen <= ANCHOR_LINES
                && let Some(lines) = begins_within(anchor, window)
            {
                hits.at_head.add(place(&self.window, lines));
            }
        }
    }

    /// Returns the anchors that stand in exactly one place, in the order in which they were given.
    #[must_use]
    pub(crate) fn finish(self) -> Vec<AnchorFound> {
        let found = |(which, hits): (usize, &Hits)| {
            let places = if hits.whole.count > 0 { &hits.whole } else { &hits.at_head };
            let AnchorPlace { position, text_bytes, anchor, lines } = places.only()?.clone();
            let telling_bytes = self::text_bytes(anchor.lines.iter().rev().take(lines));
            let tells_files_apart = telling_bytes >= TELLING_BYTES_MIN;
            Some(AnchorFound { which, position, anchor, text_bytes, tells_files_apart })
        };
        self.hits.iter().enumerate().filter_map(found).collect()
    }
}

/// Returns how many lines at the end of the anchor the file begins with, where the head of the file was cut off within
/// the anchor. `window` has all lines from the start of the file; the first may be half a line. One short line alone
/// proves too little.
fn begins_within(anchor: &Anchor, window: &[LineMark]) -> Option<usize> {
    let proves = |lines: &[LineMark]| {
        anchor.ends_with(lines) && (lines.len() >= 2 || text_bytes(lines.iter()) >= TELLING_BYTES_MIN)
    };
    let (all, without_first) = (window, &window[1..]);
    [all, without_first].into_iter().find(|lines| proves(lines)).map(<[LineMark]>::len)
}

fn text_bytes<'a>(lines: impl Iterator<Item = &'a LineMark>) -> u64 {
    lines.map(|mark| u64::from(mark.text_bytes)).sum()
}

/// Device and inode; zero where the system has none.
pub(crate) type Inode = (u64, u64);

/// The result of a look at a path: the metadata of the file, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The identity of the file.
    pub id: Inode,
    /// Size in bytes.
    pub len: u64,
    /// Time of the last change, nanoseconds.
    pub modified_ns: i128,
}

/// The change of a path between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathChange {
    /// Nothing changed.
    Same,
    /// The same file has other content: it grew or was rewritten, which the anchor distinguishes.
    Touched,
    /// The same file is shorter than the reading position.
    Shrunk,
    /// Another file stands at the path.
    Replaced,
}

impl Seen {
    /// Compares this look with an earlier one; the file was read up to `read_to`.
    #[must_use]
    pub(crate) fn change(&self, before: &Seen, read_to: u64) -> PathChange {
        if self.id != before.id {
            PathChange::Replaced
        } else if self.len < read_to {
            PathChange::Shrunk
        } else if self == before {
            PathChange::Same
        } else {
            PathChange::Touched
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(lines: &str) -> Anchor {
        let mut anchor = Anchor::default();
        lines.chars().for_each(|line| anchor.push(mark(line)));
        anchor
    }

    /// One letter stands for one line, of 10 bytes in the file.
    fn mark(line: char) -> LineMark {
        LineMark::new(line.to_string().as_bytes(), 10)
    }

    /// Searches `file` for `anchors`; expects the index of the anchor found and the number of lines before the
    /// position.
    #[track_caller]
    fn check(anchors: &[&str], file: &str, expect: Option<(usize, u64)>) {
        let anchors: Vec<Anchor> = anchors.iter().map(|lines| anchor(lines)).collect();
        let anchors: Vec<&Anchor> = anchors.iter().collect();
        let mut search = AnchorSearch::new(&anchors);
        file.chars().enumerate().for_each(|(index, line)| search.line(mark(line), index as u64 + 1));
        assert_eq!(search.finish().first().map(|found| (found.which, found.position)), expect);
    }

    #[test]
    fn a_file_with_the_anchor_goes_on_after_it() {
        check(&["abcdefgh"], "abcdefgh", Some((0, 8)));
        check(&["abcdefgh"], "abcdefghxyz", Some((0, 8)));
        check(&["abcdefgh"], "stabcdefghxyz", Some((0, 10)));
        check(&["zzzzzabcdefgh"], "abcdefghxyz", Some((0, 8)));
    }

    #[test]
    fn a_head_cut_off_within_the_anchor_is_found() {
        check(&["abcdefgh"], "efghxyz", Some((0, 4)));
        check(&["abcdefgh"], "?fghxyz", Some((0, 4)));
        check(&["abcdefgh"], "gh", Some((0, 2)));
        check(&["abcdefgh"], "hxyz", None);
    }

    #[test]
    fn other_content_is_not_found() {
        check(&["abcdefgh"], "", None);
        check(&["abcdefgh"], "stuvwxyz", None);
        check(&["abcdefgh"], "xyzefgh", None);
        check(&[""], "abc", None);
    }

    #[test]
    fn an_anchor_in_two_places_proves_nothing() {
        check(&["ab"], "abxab", None);
        check(&["aaaaaaaa"], "aaaaaaaaaa", None);
    }

    #[test]
    fn an_epoch_of_few_lines_has_a_short_anchor() {
        check(&["a"], "ab", Some((0, 1)));
        check(&["ab"], "abcd", Some((0, 2)));
    }

    #[test]
    fn the_current_anchor_goes_before_older_ones() {
        check(&["k", "abc"], "abcdk", Some((0, 5)));
        check(&["k", "abc"], "abcd", Some((1, 3)));
    }

    #[test]
    fn verification_stays_small() {
        let mut long = anchor("ab");
        assert_eq!(long.verifiable(), (2, 20));
        long.push(LineMark { file_bytes: VERIFY_BYTES_MAX, ..mark('c') });
        assert_eq!(long.verifiable(), (1, VERIFY_BYTES_MAX));
        long.push(LineMark { file_bytes: VERIFY_BYTES_MAX + 1, ..mark('d') });
        assert_eq!(long.verifiable(), (0, 0));
    }

    #[track_caller]
    fn check_change(id: u64, len: u64, modified_ns: i128, expect: PathChange) {
        let before = Seen { id: (1, 1), len: 100, modified_ns: 5 };
        assert_eq!(Seen { id: (1, id), len, modified_ns }.change(&before, 90), expect);
    }

    #[test]
    fn a_look_tells_what_to_check() {
        check_change(1, 100, 5, PathChange::Same);
        check_change(1, 120, 6, PathChange::Touched);
        check_change(1, 100, 6, PathChange::Touched);
        check_change(1, 95, 6, PathChange::Touched);
        check_change(1, 89, 6, PathChange::Shrunk);
        check_change(2, 100, 5, PathChange::Replaced);
    }
}
