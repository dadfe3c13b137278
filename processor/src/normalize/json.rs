//! Writes JSON straight into one buffer.
//!
//! Nearly all of an event's fields are there in every line, so their names are written as constants between the values.
//! serde_json writes the same bytes, but looks at each name and each byte of it again for every line.

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use wulog_schemas::event::EventId;

use super::time::write_utc;

/// Bytes that are looked at in one step; compilers make vector instructions of it.
const STEP_BYTES: usize = 16;

/// Documents stand one after the other in memory of this size, which is used again once all of them are dropped: no line
/// allocates. It holds some fifty documents, and one that is kept keeps no more than that.
const SHARED_BYTES: usize = 64 * 1024;

/// The JSON document that is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Json {
    bytes: Vec<u8>,
    shared: BytesMut,
}

impl Json {
    /// Begins a document, also where the one before was left unfinished by a panic.
    pub(super) fn begin(&mut self) {
        self.bytes.clear();
    }

    /// The document that was written.
    pub(super) fn finish(&mut self) -> Bytes {
        if self.shared.capacity() < self.bytes.len() {
            self.shared.reserve(SHARED_BYTES.max(self.bytes.len()));
        }
        self.shared.extend_from_slice(&self.bytes);
        self.shared.split().freeze()
    }

    /// Names and punctuation, as they stand.
    pub(super) fn raw(&mut self, text: &str) -> &mut Json {
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    /// A string in quotes, escaped.
    pub(super) fn text(&mut self, text: &str) -> &mut Json {
        let mut rest = text.as_bytes();
        self.bytes.push(b'"');
        loop {
            let (plain, after) = rest.split_at(plain_bytes(rest));
            self.bytes.extend_from_slice(plain);
            let Some((byte, after)) = after.split_first() else { break };
            self.escape(*byte);
            rest = after;
        }
        self.bytes.push(b'"');
        self
    }

    /// A string in quotes of which it is known that nothing needs an escape: hex digits and names of our own.
    pub(super) fn name(&mut self, text: &str) -> &mut Json {
        debug_assert_eq!(plain_bytes(text.as_bytes()), text.len());
        self.raw("\"").raw(text).raw("\"")
    }

    /// The id of a line, in quotes.
    pub(super) fn id(&mut self, id: EventId) -> &mut Json {
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(&id.to_hex());
        self.bytes.push(b'"');
        self
    }

    /// A whole number, or anything else that serde knows.
    pub(super) fn value(&mut self, value: &impl Serialize) -> &mut Json {
        serde_json::to_writer(&mut self.bytes, value).expect("it holds only strings, numbers and string maps");
        self
    }

    /// A time as RFC 3339, in quotes.
    pub(super) fn utc(&mut self, millis: i64, nanos: u32) -> &mut Json {
        self.bytes.push(b'"');
        write_utc(&mut self.bytes, millis, nanos);
        self.bytes.push(b'"');
        self
    }

    /// An offset from UTC in quotes, `+02:00`; the value as [`format_offset`] gives it.
    pub(super) fn offset(&mut self, minutes: i32) -> &mut Json {
        let (hours, rest) = (minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60);
        let digit = |value: u32| b'0' + (value % 10) as u8;
        let sign = if minutes < 0 { b'-' } else { b'+' };
        let text = [b'"', sign, digit(hours / 10), digit(hours), b':', digit(rest / 10), digit(rest), b'"'];
        self.bytes.extend_from_slice(&text);
        self
    }

    /// An HRESULT in quotes, `0x800b0109`; the value as [`wulog_schemas::hresult::display`] gives it.
    pub(super) fn hresult(&mut self, code: u32) -> &mut Json {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"\"0x00000000\"";
        for (at, byte) in text[3..11].iter_mut().enumerate() {
            *byte = DIGITS[(code >> (28 - 4 * at) & 15) as usize];
        }
        self.bytes.extend_from_slice(&text);
        self
    }

    /// A string in quotes, ASCII letters in lower case; GUIDs are written in both.
    pub(super) fn lower(&mut self, text: &str) -> &mut Json {
        let start = self.bytes.len();
        self.text(text);
        self.bytes[start..].make_ascii_lowercase();
        self
    }

    /// A string in quotes, ASCII letters in upper case.
    pub(super) fn upper(&mut self, text: &str) -> &mut Json {
        let start = self.bytes.len();
        self.text(text);
        self.bytes[start..].make_ascii_uppercase();
        self
    }

    /// Writes `name` and the string in lower case, where there is one.
    pub(super) fn optional_lower(&mut self, name: &str, text: Option<&str>) -> &mut Json {
        match text {
            Some(text) => self.raw(name).lower(text),
            None => self,
        }
    }

    /// Writes `before`, the string and `after`, where there is a string.
    pub(super) fn object(&mut self, before: &str, text: Option<&str>, after: &str) -> &mut Json {
        match text {
            Some(text) => self.raw(before).text(text).raw(after),
            None => self,
        }
    }

    /// Writes `name`, which brings its own comma and colon, and the string, where there is one.
    pub(super) fn optional_text(&mut self, name: &str, text: Option<&str>) -> &mut Json {
        match text {
            Some(text) => self.raw(name).text(text),
            None => self,
        }
    }

    /// The same for any value.
    pub(super) fn optional(&mut self, name: &str, value: Option<&impl Serialize>) -> &mut Json {
        match value {
            Some(value) => self.raw(name).value(value),
            None => self,
        }
    }

    fn escape(&mut self, byte: u8) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\t' => b't',
            b'\n' => b'n',
            b'\r' => b'r',
            0x08 => b'b',
            0x0c => b'f',
            _ => {
                let (high, low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
                self.bytes.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
                return;
            }
        };
        self.bytes.extend_from_slice(&[b'\\', short]);
    }
}

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// [`needs_escape`] of each byte, for the few bytes that fill no step.
static ESCAPED: [bool; 256] = {
    let mut escaped = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        escaped[byte] = needs_escape(byte as u8);
        byte += 1;
    }
    escaped
};

/// How many bytes at the head need no escape.
fn plain_bytes(bytes: &[u8]) -> usize {
    let (steps, _) = bytes.as_chunks::<STEP_BYTES>();
    // Without a branch for each byte, so that a step is a few instructions.
    let is_plain = |step: &&[u8; STEP_BYTES]| !step.iter().fold(false, |found, byte| found | needs_escape(*byte));
    let plain = steps.iter().take_while(is_plain).count() * STEP_BYTES;
    bytes[plain..].iter().position(|byte| ESCAPED[usize::from(*byte)]).map_or(bytes.len(), |at| plain + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> String {
        let mut json = Json::default();
        json.begin();
        json.text(text);
        String::from_utf8(json.finish().to_vec()).unwrap()
    }

    #[test]
    fn every_character_is_escaped_as_serde_json_does() {
        for code in 0..0x100_u32 {
            let character = char::from_u32(code).unwrap();
            for before in 0..STEP_BYTES * 2 {
                let input = format!("{}{character}x", "é".repeat(before / 2) + &"x".repeat(before % 2));
                assert_eq!(text(&input), serde_json::to_string(&input).unwrap());
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_serde_json_does(input in ".*") {
            prop_assert_eq!(text(&input), serde_json::to_string(&input).unwrap());
        }
    }
}
