//! Writes JSON straight into one buffer.
//!
//! Nearly all of an event's fields are there in every line, so their names are written as constants between the values.
//! serde_json writes the same bytes, but looks at each name and each byte of it again for every line.

use bytes::{Bytes, BytesMut};
use itoa::Integer;
use serde::Serialize;
use wulog_schemas::event::EventId;

use super::names::Named;
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
    #[inline]
    pub(super) fn raw(&mut self, text: &str) -> &mut Json {
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    /// A string in quotes, escaped.
    #[inline]
    pub(super) fn text(&mut self, text: &str) -> &mut Json {
        self.bytes.push(b'"');
        self.escaped(text);
        self.bytes.push(b'"');
        self
    }

    /// A string, escaped, whose quotes the names around it bring.
    pub(super) fn escaped(&mut self, text: &str) -> &mut Json {
        let mut rest = text.as_bytes();
        loop {
            let (plain, after) = rest.split_at(plain_bytes(rest));
            self.bytes.extend_from_slice(plain);
            let Some((byte, after)) = after.split_first() else { break };
            self.escape(*byte);
            rest = after;
        }
        self
    }

    /// The name of a variant, whose quotes the names around it bring.
    #[inline]
    pub(super) fn name(&mut self, value: &impl Named) -> &mut Json {
        self.raw(value.name())
    }

    /// The id of a line, whose quotes the names around it bring.
    #[inline]
    pub(super) fn id(&mut self, id: EventId) -> &mut Json {
        self.bytes.extend_from_slice(&id.to_hex());
        self
    }

    /// A whole number.
    #[inline]
    pub(super) fn number(&mut self, value: impl Integer) -> &mut Json {
        self.raw(itoa::Buffer::new().format(value))
    }

    /// Anything else that serde knows; for what few lines have.
    pub(super) fn value(&mut self, value: &impl Serialize) -> &mut Json {
        serde_json::to_writer(&mut self.bytes, value).expect("it holds only strings, numbers and string maps");
        self
    }

    /// A time as RFC 3339, whose quotes the names around it bring.
    pub(super) fn utc(&mut self, millis: i64, nanos: u32) -> &mut Json {
        write_utc(&mut self.bytes, millis, nanos);
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
    #[inline]
    pub(super) fn optional_lower(&mut self, name: &str, text: Option<&str>) -> &mut Json {
        match text {
            Some(text) => self.raw(name).lower(text),
            None => self,
        }
    }

    /// Writes `before`, the string and `after`, where there is a string.
    #[inline]
    pub(super) fn object(&mut self, before: &str, text: Option<&str>, after: &str) -> &mut Json {
        match text {
            Some(text) => self.raw(before).text(text).raw(after),
            None => self,
        }
    }

    /// Writes `name`, which brings its own comma and colon, and the string, where there is one.
    #[inline]
    pub(super) fn optional_text(&mut self, name: &str, text: Option<&str>) -> &mut Json {
        match text {
            Some(text) => self.raw(name).text(text),
            None => self,
        }
    }

    /// Writes `name` and the number, where there is one.
    #[inline]
    pub(super) fn optional_number(&mut self, name: &str, value: Option<impl Integer>) -> &mut Json {
        match value {
            Some(value) => self.raw(name).number(value),
            None => self,
        }
    }

    /// Writes `before`, the name of the variant and a quote, where there is one.
    #[inline]
    pub(super) fn optional_name(&mut self, before: &str, value: Option<&impl Named>) -> &mut Json {
        match value {
            Some(value) => self.raw(before).name(value).raw("\""),
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
        match ESCAPES[usize::from(byte)] {
            b'u' => {
                let (high, low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
                self.bytes.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            letter => self.bytes.extend_from_slice(&[b'\\', letter]),
        }
    }
}

/// What stands after the backslash for each byte that needs one; 0 where none is needed.
static ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escapes[byte] = b'u';
        byte += 1;
    }
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes[b'\t' as usize] = b't';
    escapes[b'\n' as usize] = b'n';
    escapes[b'\r' as usize] = b'r';
    escapes[0x08] = b'b';
    escapes[0x0c] = b'f';
    escapes
};

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// How many bytes at the head of a word need no escape: all eight, or those before its first that does.
#[inline]
fn plain_of_word(word: [u8; 8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH_BITS: u64 = ONES << 7;
    let word = u64::from_le_bytes(word);
    // A subtraction sets the high bit of each byte that is smaller than what is taken from it. It may also borrow from
    // the bytes above, but never from those below the first that is found.
    let less = |word: u64, than: u64| word.wrapping_sub(ONES * than) & !word;
    let equal = |word: u64, to: u8| less(word ^ (ONES * u64::from(to)), 1);
    let found = less(word, 0x20) | equal(word, b'"') | equal(word, b'\\');
    (found & HIGH_BITS).trailing_zeros() as usize / 8
}

/// How many bytes at the head need no escape.
fn plain_bytes(bytes: &[u8]) -> usize {
    let (steps, _) = bytes.as_chunks::<STEP_BYTES>();
    // Without a branch for each byte, so that a step is a few instructions.
    let is_plain = |step: &&[u8; STEP_BYTES]| !step.iter().fold(false, |found, byte| found | needs_escape(*byte));
    let mut plain = steps.iter().take_while(is_plain).count() * STEP_BYTES;
    while let Some(word) = bytes[plain..].first_chunk() {
        match plain_of_word(*word) {
            8 => plain += 8,
            found => return plain + found,
        }
    }
    match bytes.last_chunk() {
        // The last word once more from its end on: what it shares with the one before is known to be plain.
        Some(word) => bytes.len() - 8 + plain_of_word(*word),
        None => bytes.iter().position(|byte| ESCAPES[usize::from(*byte)] != 0).unwrap_or(bytes.len()),
    }
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
