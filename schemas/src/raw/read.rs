//! Reading the headers of raw records.
//!
//! Every line has a header, and nearly all headers have the bytes that [`RawHeader::to_bytes`] writes: the reader takes
//! these field by field, without looking names up. Any other header is read by serde, so this module does not decide
//! which headers are valid.
//!
//! A header takes 37 ns here, and 530 ns by serde into the same struct with borrowed texts (CPU time of one run, 100
//! lines of each of 50 hosts). A line takes 2,600 ns from record to document.

use std::borrow::Cow;

use super::{Kind, LineHash, RawHeader, RawHeaderRef, Source};
use crate::json;

/// Reads header after header. Consecutive lines of a file have headers that are equal up to the offset, so this part is
/// compared with the header before instead of being parsed again.
#[derive(Clone, Debug, Default)]
pub struct HeaderReader {
    /// The last line's header up to the digits of its offset; empty where nothing was read.
    head: String,
    /// The part of the last header from the time of reading on: lines that are read together share it.
    end: Vec<u8>,
    /// The parsed facts of both parts.
    known: RawHeader,
}

impl HeaderReader {
    /// Reads a header.
    ///
    /// # Errors
    /// When the bytes are not JSON of the schema.
    pub fn read<'a>(&'a mut self, bytes: &'a [u8]) -> serde_json::Result<RawHeaderRef<'a>> {
        let quick = match bytes.strip_prefix(self.head.as_bytes()).filter(|_| !self.head.is_empty()) {
            Some(tail) => self.with_tail(tail),
            None => std::str::from_utf8(bytes).ok().and_then(|text| self.as_written(text)),
        };
        match quick {
            Some(header) => Ok(header),
            None => json::read(bytes),
        }
    }

    /// Parses the header of a line if every byte is as [`RawHeader::to_bytes`] writes it.
    fn as_written<'a>(&'a mut self, text: &'a str) -> Option<RawHeaderRef<'a>> {
        self.head.clear();
        let tail = read_head(text, &mut self.known)?;
        self.head.push_str(&text[..text.len() - tail.len()]);
        self.with_tail(tail.as_bytes())
    }

    /// Parses a header that begins like the header before and continues with its offset.
    fn with_tail<'a>(&'a mut self, tail: &'a [u8]) -> Option<RawHeaderRef<'a>> {
        let mut tail = HeaderTail { rest: tail };
        let offset = tail.digits()?;
        let end = tail.take(b",\"end\":").then(|| tail.digits())??;
        let hash = tail.take(b",\"hash\":\"").then(|| tail.hash())??;
        if self.end.is_empty() || tail.rest != self.end {
            self.end.clear();
            read_end(tail.rest, &mut self.known)?;
            self.end.extend_from_slice(tail.rest);
        }
        let known = &self.known;
        Some(RawHeaderRef {
            v: known.v,
            kind: Kind::Line,
            host: Cow::Borrowed(&known.host),
            file: Cow::Borrowed(&known.file),
            source: known.source,
            epoch: Cow::Borrowed(&known.epoch),
            offset,
            end,
            hash: LineHash::Crc(hash),
            read: known.read,
            utc: known.utc,
            lossy: known.lossy,
            truncated: known.truncated,
        })
    }
}

/// Reads the part behind the hash into `known`.
fn read_end(text: &[u8], known: &mut RawHeader) -> Option<()> {
    let mut tail = HeaderTail { rest: text };
    known.read = tail.take(b",\"read\":").then(|| tail.digits())??.try_into().ok()?;
    known.utc = if tail.take(b",\"utc\":") { Some(tail.minutes()?) } else { None };
    known.lossy = tail.take(b",\"lossy\":true");
    known.truncated = tail.take(b",\"truncated\":true");
    (tail.rest == b"}").then_some(())
}

/// Reads the part before the offset into `known`, reusing its memory; returns the rest.
fn read_head<'a>(text: &'a str, known: &mut RawHeader) -> Option<&'a str> {
    let mut cursor = HeaderRest { rest: text };
    known.v = cursor.take("{\"v\":").then(|| cursor.digits())??.try_into().ok()?;
    cursor.string(",\"host\":\"", &mut known.host)?;
    cursor.string(",\"file\":\"", &mut known.file)?;
    known.source = match cursor.plain_string(",\"source\":\"")? {
        "windowsupdate" => Source::WindowsUpdate,
        "reportingevents" => Source::ReportingEvents,
        "wuahandler" => Source::WuaHandler,
        _ => return None,
    };
    cursor.string(",\"epoch\":\"", &mut known.epoch)?;
    cursor.take(",\"offset\":").then_some(cursor.rest)
}

/// The unread rest of a header.
struct HeaderRest<'a> {
    rest: &'a str,
}

impl<'a> HeaderRest<'a> {
    /// Skips `text` if the rest begins with it.
    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Reads the string that `name`, with its opening quote, announces. Only backslashes are unescaped, for Windows paths.
    fn string(&mut self, name: &str, into: &mut String) -> Option<()> {
        into.clear();
        self.rest = self.rest.strip_prefix(name)?;
        loop {
            into.push_str(self.plain()?);
            if self.take("\"") {
                return Some(());
            }
            if !self.take("\\\\") {
                return None;
            }
            into.push('\\');
        }
    }

    /// The string behind `name`, if it has no escapes.
    fn plain_string(&mut self, name: &str) -> Option<&'a str> {
        self.rest = self.rest.strip_prefix(name)?;
        let text = self.plain()?;
        self.take("\"").then_some(text)
    }

    /// The text up to the next quote or backslash.
    fn plain(&mut self) -> Option<&'a str> {
        let special = |byte: u8| byte == b'"' || byte == b'\\' || byte < 0x20;
        let at = self.rest.bytes().position(special)?;
        let (text, rest) = self.rest.split_at(at);
        self.rest = rest;
        Some(text)
    }

    fn digits(&mut self) -> Option<u64> {
        let mut tail = HeaderTail { rest: self.rest.as_bytes() };
        let value = tail.digits();
        self.rest = &self.rest[self.rest.len() - tail.rest.len()..];
        value
    }
}

/// The unread rest of a header behind the name of the offset: ASCII, or serde reads the header.
struct HeaderTail<'a> {
    rest: &'a [u8],
}

impl HeaderTail<'_> {
    /// Skips `text` if the rest begins with it.
    fn take(&mut self, text: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn digits(&mut self) -> Option<u64> {
        /// Numbers with so many digits fit into 64 bits.
        const COUNT_MAX: usize = 19;
        let (mut value, mut count) = (0_u64, 0);
        for byte in self.rest.iter().take(COUNT_MAX) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(digit.into());
            count += 1;
        }
        // A JSON number does not begin with a zero.
        let is_number = count == 1 || count > 1 && self.rest[0] != b'0';
        let (_, rest) = self.rest.split_at(count);
        if !is_number || rest.first().is_some_and(u8::is_ascii_digit) {
            return None;
        }
        self.rest = rest;
        Some(value)
    }

    /// The hash and its closing quote, as collectors write them.
    fn hash(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.split_first_chunk()?;
        self.rest = rest.strip_prefix(b"\"")?;
        LineHash::crc(digits)
    }

    fn minutes(&mut self) -> Option<i32> {
        let sign = if self.take(b"-") { -1 } else { 1 };
        // serde does not read `-0` as a whole number.
        if sign < 0 && self.rest.starts_with(b"0") {
            return None;
        }
        i32::try_from(self.digits()?).ok().map(|minutes| sign * minutes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::VERSION;
    use super::*;

    fn header() -> RawHeader {
        RawHeader {
            v: VERSION,
            host: "pc-0042".to_owned(),
            file: r"C:\Windows\Wïndows\\x.log\".to_owned(),
            epoch: "9f2c61d0a4e7b511".to_owned(),
            offset: 8192,
            end: 9_223_372_036_854_775_807,
            hash: "1c291ca3".to_owned(),
            read: 1_573_745_640_120,
            utc: Some(-210),
            ..RawHeader::default()
        }
    }

    #[test]
    fn a_reader_sees_the_written_records() {
        let source = Source::ReportingEvents;
        let quick = [header(), RawHeader { source, utc: None, lossy: true, truncated: true, ..header() }];
        let slow = [
            RawHeader::default(),
            RawHeader { kind: Kind::Heartbeat, ..header() },
            RawHeader { read: -5, ..header() },
            RawHeader { end: u64::MAX, ..header() },
            RawHeader { hash: "1c29".to_owned(), ..header() },
            RawHeader { file: "a\"\tb".to_owned(), ..header() },
        ];
        let mut reader = HeaderReader::default();
        for (header, is_quick) in quick.map(|it| (it, true)).into_iter().chain(slow.map(|it| (it, false))) {
            let bytes = header.to_bytes();
            let seen = reader.read(&bytes).unwrap();
            let owned = RawHeader {
                v: seen.v,
                kind: seen.kind,
                host: seen.host.into_owned(),
                file: seen.file.into_owned(),
                source: seen.source,
                epoch: seen.epoch.into_owned(),
                offset: seen.offset,
                end: seen.end,
                hash: seen.hash.to_string(),
                read: seen.read,
                utc: seen.utc,
                lossy: seen.lossy,
                truncated: seen.truncated,
            };
            assert_eq!(owned, header);
            let text = std::str::from_utf8(&bytes).unwrap();
            assert_eq!(HeaderReader::default().as_written(text).is_some(), is_quick, "{header:?}");
        }
    }

    /// Every header that differs by a byte is read like serde reads it, or left to serde.
    #[test]
    fn any_other_bytes_are_left_to_serde() {
        let text = String::from_utf8(RawHeader { lossy: true, ..header() }.to_bytes()).unwrap();
        let mut quick = 0;
        for at in (0..text.len()).filter(|at| text.is_char_boundary(*at) && text.is_char_boundary(at + 1)) {
            for with in ["", "0", "00", "9", "-", "\"", "\\", "\\\\", "\\u0041", "\t", "é", " ", ",", "}", "null"] {
                let changed = format!("{}{with}{}", &text[..at], &text[at + 1..]);
                let expect = serde_json::from_str::<RawHeaderRef<'_>>(&changed).ok();
                // Tests the header after a header with the same beginning, and after no header.
                let mut reader = HeaderReader::default();
                assert!(reader.read(text.as_bytes()).is_ok());
                assert_eq!(reader.read(changed.as_bytes()).ok(), expect, "{changed}");
                assert_eq!(reader.read(text.as_bytes()).ok(), serde_json::from_str(&text).ok(), "after {changed}");
                if let Some(seen) = HeaderReader::default().as_written(&changed) {
                    assert_eq!(Some(seen), expect, "{changed}");
                    quick += 1;
                }
            }
        }
        assert!(HeaderReader::default().as_written(&text.replace("-210", "-0")).is_none());
        assert!(quick > 100, "changed names and digits are as we write them");
    }
}
