//! Reads raw records' headers.
//!
//! Every line has one, and nearly all are as [`RawHeader::to_bytes`] writes them: those are read field after field, without
//! looking names up. Whatever looks different in any way is left to serde, so this decides nothing about what a header may
//! be.

use std::borrow::Cow;

use super::{Kind, RawHeader, RawHeaderRef, Source};
use crate::json;

/// Reads header after header. The lines of a file come in runs, and their headers are the same up to the offset: that part
/// is compared with the one before and not read again.
#[derive(Clone, Debug, Default)]
pub struct HeaderReader {
    /// The last line's header up to the digits of its offset; empty where nothing was read.
    head: String,
    /// What stands in it.
    known: RawHeader,
}

impl HeaderReader {
    /// Reads a header.
    ///
    /// # Errors
    /// When the bytes are not JSON of the schema.
    pub fn read<'a>(&'a mut self, bytes: &'a [u8]) -> serde_json::Result<RawHeaderRef<'a>> {
        let quick = match bytes.strip_prefix(self.head.as_bytes()).filter(|_| !self.head.is_empty()) {
            Some(tail) => std::str::from_utf8(tail).ok().and_then(|tail| self.with_tail(tail)),
            None => std::str::from_utf8(bytes).ok().and_then(|text| self.as_written(text)),
        };
        match quick {
            Some(header) => Ok(header),
            None => json::read(bytes),
        }
    }

    /// The header of a line, where every byte is as we write it.
    fn as_written<'a>(&'a mut self, text: &'a str) -> Option<RawHeaderRef<'a>> {
        self.head.clear();
        let tail = read_head(text, &mut self.known)?;
        self.head.push_str(&text[..text.len() - tail.len()]);
        self.with_tail(tail)
    }

    /// The header that begins as the one before and goes on with its offset.
    fn with_tail<'a>(&'a self, tail: &'a str) -> Option<RawHeaderRef<'a>> {
        let known = &self.known;
        let mut cursor = Cursor { rest: tail };
        let header = RawHeaderRef {
            v: known.v,
            kind: Kind::Line,
            host: Cow::Borrowed(&known.host),
            file: Cow::Borrowed(&known.file),
            source: known.source,
            epoch: Cow::Borrowed(&known.epoch),
            offset: cursor.digits()?,
            end: cursor.take(",\"end\":").then(|| cursor.digits())??,
            hash: Cow::Borrowed(cursor.plain_string(",\"hash\":\"")?),
            read: cursor.take(",\"read\":").then(|| cursor.digits())??.try_into().ok()?,
            utc: if cursor.take(",\"utc\":") { Some(cursor.minutes()?) } else { None },
            lossy: cursor.take(",\"lossy\":true"),
            truncated: cursor.take(",\"truncated\":true"),
        };
        (cursor.rest == "}").then_some(header)
    }
}

/// Reads what stands before the offset into `known`, in the memory that it has; gives the rest.
fn read_head<'a>(text: &'a str, known: &mut RawHeader) -> Option<&'a str> {
    let mut cursor = Cursor { rest: text };
    known.v = cursor.take("{\"v\":").then(|| cursor.digits())??.try_into().ok()?;
    cursor.string(",\"host\":\"", &mut known.host)?;
    cursor.string(",\"file\":\"", &mut known.file)?;
    known.source = match cursor.plain_string(",\"source\":\"")? {
        "windowsupdate" => Source::WindowsUpdate,
        "reportingevents" => Source::ReportingEvents,
        _ => return None,
    };
    cursor.string(",\"epoch\":\"", &mut known.epoch)?;
    cursor.take(",\"offset\":").then_some(cursor.rest)
}

/// What of the header is still to be read.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// Passes over `text`, where it stands here.
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

    /// The string that `name` announces, where nothing in it is escaped.
    fn plain_string(&mut self, name: &str) -> Option<&'a str> {
        self.rest = self.rest.strip_prefix(name)?;
        let text = self.plain()?;
        self.take("\"").then_some(text)
    }

    /// What stands here before the next quote or backslash.
    fn plain(&mut self) -> Option<&'a str> {
        let special = |byte: u8| byte == b'"' || byte == b'\\' || byte < 0x20;
        let at = self.rest.bytes().position(special)?;
        let (text, rest) = self.rest.split_at(at);
        self.rest = rest;
        Some(text)
    }

    fn digits(&mut self) -> Option<u64> {
        let bytes = self.rest.as_bytes();
        let mut value = 0_u64;
        let mut count = 0;
        while let Some(digit) = bytes.get(count).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit <= 9) {
            value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
            count += 1;
        }
        // JSON has no number that begins with a zero.
        if count == 0 || count > 1 && bytes[0] == b'0' {
            return None;
        }
        self.rest = &self.rest[count..];
        Some(value)
    }

    fn minutes(&mut self) -> Option<i32> {
        let sign = if self.take("-") { -1 } else { 1 };
        // `-0` is no whole number to serde.
        if sign < 0 && self.rest.starts_with('0') {
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
            end: u64::MAX,
            hash: "1c291ca3".to_owned(),
            read: 1_573_745_640_120,
            utc: Some(-210),
            ..RawHeader::default()
        }
    }

    #[test]
    fn a_reader_sees_what_was_written() {
        let source = Source::ReportingEvents;
        let quick = [header(), RawHeader { source, utc: None, lossy: true, truncated: true, ..header() }];
        let slow = [
            RawHeader::default(),
            RawHeader { kind: Kind::Heartbeat, ..header() },
            RawHeader { read: -5, ..header() },
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
                hash: seen.hash.into_owned(),
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

    /// Every header that differs by a byte is read as serde reads it, or left to serde.
    #[test]
    fn anything_else_is_left_to_serde() {
        let text = String::from_utf8(RawHeader { lossy: true, ..header() }.to_bytes()).unwrap();
        let mut quick = 0;
        for at in (0..text.len()).filter(|at| text.is_char_boundary(*at) && text.is_char_boundary(at + 1)) {
            for with in ["", "0", "00", "9", "-", "\"", "\\", "\\\\", "\\u0041", "\t", "é", " ", ",", "}", "null"] {
                let changed = format!("{}{with}{}", &text[..at], &text[at + 1..]);
                let expect = serde_json::from_str::<RawHeaderRef<'_>>(&changed).ok();
                // After a header that is the same up to its offset, and after none.
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
