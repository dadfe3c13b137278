//! Reads a raw record's header.
//!
//! Every line has one, and nearly all are as [`RawHeader::to_bytes`](super::RawHeader::to_bytes) writes them: those are
//! read field after field, without looking names up. Whatever looks different in any way is left to serde, so this decides
//! nothing about what a header may be.

use std::borrow::Cow;

use super::{Kind, RawHeaderRef, Source};
use crate::json;

impl<'a> RawHeaderRef<'a> {
    /// Reads a header.
    ///
    /// # Errors
    /// When the bytes are not JSON of the schema.
    pub fn from_bytes(bytes: &'a [u8]) -> serde_json::Result<RawHeaderRef<'a>> {
        match std::str::from_utf8(bytes).ok().and_then(as_written) {
            Some(header) => Ok(header),
            None => json::read(bytes),
        }
    }
}

/// The header of a line, where every byte is as we write it.
fn as_written(text: &str) -> Option<RawHeaderRef<'_>> {
    let mut cursor = Cursor { rest: text };
    let header = RawHeaderRef {
        v: cursor.take("{\"v\":").then(|| cursor.digits())??.try_into().ok()?,
        kind: Kind::Line,
        host: cursor.string(",\"host\":\"")?,
        file: cursor.string(",\"file\":\"")?,
        source: match cursor.string(",\"source\":\"")?.as_ref() {
            "windowsupdate" => Source::WindowsUpdate,
            "reportingevents" => Source::ReportingEvents,
            _ => return None,
        },
        epoch: cursor.string(",\"epoch\":\"")?,
        offset: cursor.take(",\"offset\":").then(|| cursor.digits())??,
        end: cursor.take(",\"end\":").then(|| cursor.digits())??,
        hash: cursor.string(",\"hash\":\"")?,
        read: cursor.take(",\"read\":").then(|| cursor.digits())??.try_into().ok()?,
        utc: if cursor.take(",\"utc\":") { Some(cursor.minutes()?) } else { None },
        lossy: cursor.take(",\"lossy\":true"),
        truncated: cursor.take(",\"truncated\":true"),
    };
    (cursor.rest == "}").then_some(header)
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

    /// The string that `name`, with its opening quote, announces. Only backslashes are unescaped, for Windows paths.
    fn string(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let text = self.rest.strip_prefix(name)?;
        let bytes = text.as_bytes();
        let mut unescaped = String::new();
        let mut from = 0;
        let mut at = 0;
        loop {
            match bytes.get(at)? {
                b'"' => break,
                b'\\' if bytes.get(at + 1) == Some(&b'\\') => {
                    unescaped.push_str(&text[from..=at]);
                    at += 2;
                    from = at;
                }
                b'\\' | 0..0x20 => return None,
                _ => at += 1,
            }
        }
        self.rest = &text[at + 1..];
        if from == 0 {
            return Some(Cow::Borrowed(&text[..at]));
        }
        unescaped.push_str(&text[from..at]);
        Some(Cow::Owned(unescaped))
    }

    fn digits(&mut self) -> Option<u64> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(digits);
        // JSON has no number that begins with a zero.
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        self.rest = rest;
        digits.parse().ok()
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
    use super::super::{RawHeader, VERSION};
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
        for (header, is_quick) in quick.map(|it| (it, true)).into_iter().chain(slow.map(|it| (it, false))) {
            let bytes = header.to_bytes();
            let seen = RawHeaderRef::from_bytes(&bytes).unwrap();
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
            assert_eq!(as_written(std::str::from_utf8(&bytes).unwrap()).is_some(), is_quick, "{header:?}");
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
                if let Some(seen) = as_written(&changed) {
                    assert_eq!(seen, serde_json::from_str::<RawHeaderRef<'_>>(&changed).unwrap(), "{changed}");
                    quick += 1;
                }
            }
        }
        assert!(as_written(&text.replace("-210", "-0")).is_none());
        assert!(quick > 100, "changed names and digits are as we write them");
    }
}
