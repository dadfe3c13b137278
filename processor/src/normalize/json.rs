//! Writes JSON straight into one buffer.
//!
//! Nearly all fields of an event occur in every line, so their names are written as constants between the values.
//! serde_json writes the same bytes, but examines each name and each byte of it again for every line.

use std::io;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use itoa::Integer;
use serde::Serialize;
use wulog_schemas::event::{EventId, hex_digits};

use super::time::Utc;

/// Size of a block of memory that holds consecutive documents, some fifty of them. A block is reused once all of its
/// documents are dropped, so no line allocates. A document that is kept keeps at most one block.
const SHARED_BYTES: usize = 64 * 1024;

/// Bytes of a text that are copied in one step.
const STEP_BYTES: usize = 16;

/// The JSON document that is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Json {
    /// The document so far. Appending to a vector checks its room once, writing into a slice three times, which is 700
    /// of 16,300 instructions a line.
    text: Vec<u8>,
    shared: BytesMut,
}

impl Json {
    /// Begins a document, also after a panic left the previous document unfinished.
    pub(super) fn begin(&mut self) {
        self.text.clear();
    }

    /// Returns the finished document.
    pub(super) fn finish(&mut self) -> Bytes {
        if self.shared.capacity() < self.text.len() {
            self.shared.reserve(SHARED_BYTES.max(self.text.len()));
        }
        self.shared.extend_from_slice(&self.text);
        self.shared.split().freeze()
    }

    /// Returns the length of the text so far, for [`Json::again`].
    pub(super) fn end(&self) -> usize {
        self.text.len()
    }

    /// Repeats the text in `range`.
    pub(super) fn again(&mut self, range: Range<usize>) -> &mut Json {
        self.text.extend_from_within(range);
        self
    }

    /// Removes and returns the text from `start` on.
    pub(super) fn cut_off(&mut self, start: usize) -> Box<[u8]> {
        let text = self.text[start..].into();
        self.text.truncate(start);
        text
    }

    /// Removes the comma at `start`, where any text stands there.
    pub(super) fn without_first_comma(&mut self, start: usize) -> &mut Json {
        if start < self.text.len() {
            self.text.remove(start);
        }
        self
    }

    /// Writes bytes that are JSON already.
    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Json {
        self.text.extend_from_slice(bytes);
        self
    }

    /// Writes names and punctuation unchanged.
    #[inline]
    pub(super) fn raw(&mut self, text: &str) -> &mut Json {
        self.bytes(text.as_bytes())
    }

    /// Writes an escaped string in quotes.
    #[inline]
    pub(super) fn text(&mut self, text: &str) -> &mut Json {
        self.raw("\"").escaped(text).raw("\"")
    }

    /// Writes an escaped string without quotes; the caller's literals contain them.
    #[inline]
    pub(super) fn escaped(&mut self, text: &str) -> &mut Json {
        // Many texts are empty, such as the text after the message of nearly every line.
        if !text.is_empty() {
            escape(text.as_bytes(), &mut self.text);
        }
        self
    }

    /// Writes the name of an enum's variant without quotes; the caller's literals contain them. No name needs an escape.
    #[inline]
    pub(super) fn name(&mut self, value: impl Into<&'static str>) -> &mut Json {
        self.raw(value.into())
    }

    /// Writes the id of a line without quotes; the caller's literals contain them.
    #[inline]
    pub(super) fn id(&mut self, id: EventId) -> &mut Json {
        self.bytes(&id.to_hex())
    }

    /// Writes a whole number.
    #[inline]
    pub(super) fn number(&mut self, value: impl Integer) -> &mut Json {
        self.raw(itoa::Buffer::new().format(value))
    }

    /// Writes any other value that serde knows; for values that few lines have.
    pub(super) fn value(&mut self, value: &impl Serialize) -> &mut Json {
        serde_json::to_writer(&mut *self, value).expect("it holds only strings, numbers and string maps");
        self
    }

    /// Writes a time as RFC 3339 without quotes; the caller's literals contain them.
    pub(super) fn utc(&mut self, millis: i64, nanos: u32) -> &mut Json {
        self.bytes(&Utc::new(millis, nanos))
    }

    /// Writes an offset from UTC in quotes, `+02:00`, as `format_offset` does.
    pub(super) fn offset(&mut self, minutes: i32) -> &mut Json {
        let (hours, rest) = (minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60);
        let digit = |value: u32| b'0' + (value % 10) as u8;
        let sign = if minutes < 0 { b'-' } else { b'+' };
        let text = [b'"', sign, digit(hours / 10), digit(hours), b':', digit(rest / 10), digit(rest), b'"'];
        self.bytes(&text)
    }

    /// Writes an HRESULT in quotes, `0x800b0109`, as [`wulog_schemas::hresult::display`] does.
    pub(super) fn hresult(&mut self, code: u32) -> &mut Json {
        self.raw("\"0x").bytes(&hex_digits(code)).raw("\"")
    }

    /// Writes a string in quotes, with ASCII letters in lower case; logs write GUIDs in both cases.
    pub(super) fn lower(&mut self, text: &str) -> &mut Json {
        let start = self.text.len();
        self.text(text);
        self.text[start..].make_ascii_lowercase();
        self
    }

    /// Writes a string in quotes, with ASCII letters in upper case.
    pub(super) fn upper(&mut self, text: &str) -> &mut Json {
        let start = self.text.len();
        self.text(text);
        self.text[start..].make_ascii_uppercase();
        self
    }

    /// Writes `name` and the string in lower case, where there is a string. Inlined, since most lines lack all six of
    /// these strings, and six calls took 130 of 16,300 instructions a line.
    #[inline(always)]
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

    /// Writes `name`, which contains its comma and colon, and the string, where there is a string.
    #[inline]
    pub(super) fn optional_text(&mut self, name: &str, text: Option<&str>) -> &mut Json {
        match text {
            Some(text) => self.raw(name).text(text),
            None => self,
        }
    }

    /// Writes `name` and the number, where there is a number.
    #[inline]
    pub(super) fn optional_number(&mut self, name: &str, value: Option<impl Integer>) -> &mut Json {
        match value {
            Some(value) => self.raw(name).number(value),
            None => self,
        }
    }

    /// Writes `before`, the name of the variant and a quote, where there is a variant.
    #[inline]
    pub(super) fn optional_name(&mut self, before: &str, value: Option<impl Into<&'static str>>) -> &mut Json {
        match value {
            Some(value) => self.raw(before).name(value).raw("\""),
            None => self,
        }
    }

    /// Writes `name` and the value, where there is a value.
    pub(super) fn optional(&mut self, name: &str, value: Option<&impl Serialize>) -> &mut Json {
        match value {
            Some(value) => self.raw(name).value(value),
            None => self,
        }
    }
}

/// The target of serde's own output.
impl io::Write for &mut Json {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Adds `text`, escaped, to `out`.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    // Nearly all texts need no escape, and are copied at once.
    if text.len() >= STEP_BYTES && !has_special(text) {
        out.extend_from_slice(text);
    } else {
        escape_in_steps(text, out);
    }
}

/// True where a byte needs an escape. Without a branch for each byte, so that the compiler examines many bytes at once.
#[inline]
fn has_special(text: &[u8]) -> bool {
    text.iter().fold(false, |found, byte| found | needs_escape(*byte))
}

fn escape_in_steps(mut text: &[u8], out: &mut Vec<u8>) {
    loop {
        // A step is copied as a whole and examined afterwards; the bytes from its first special byte on are removed
        // again.
        let (words, bytes) = if let Some((step, rest)) = text.split_first_chunk::<STEP_BYTES>() {
            out.extend_from_slice(step);
            if !has_special(step) {
                text = rest;
                continue;
            }
            let words = step.as_chunks::<8>().0;
            ([u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])], STEP_BYTES)
        } else {
            let words = words_of_end(text);
            out.extend_from_slice([words[0].to_le_bytes(), words[1].to_le_bytes()].as_flattened());
            (words, text.len())
        };
        let plain = plain_of_words(words).min(bytes);
        out.truncate(out.len() - (STEP_BYTES - plain));
        if plain == bytes {
            return;
        }
        escape_byte(text[plain], out);
        text = &text[plain + 1..];
    }
}

/// Returns a text shorter than a step, padded with zeros.
#[inline]
fn words_of_end(text: &[u8]) -> [u64; 2] {
    let bytes = text.len();
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        // Two overlapping words, for every length between one and two words.
        let beyond = 8 * (STEP_BYTES - bytes) as u32;
        return [u64::from_le_bytes(*first), u64::from_le_bytes(*last).checked_shr(beyond).unwrap_or(0)];
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let last = u64::from(u32::from_le_bytes(*last)) << (8 * (bytes - 4));
        return [u64::from(u32::from_le_bytes(*first)) | last, 0];
    }
    [text.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0]
}

/// Returns how many bytes at the start of two words need no escape: all bytes, or those before the first special byte.
#[inline]
fn plain_of_words([low, high]: [u64; 2]) -> usize {
    let plain = plain_of_word(low);
    if plain < 8 { plain } else { plain + plain_of_word(high) }
}

/// Returns how many bytes at the start of one word need no escape.
#[inline]
fn plain_of_word(word: u64) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH_BITS: u64 = ONES << 7;
    // The subtraction sets the high bit of each byte that is smaller than the subtracted one. It may also borrow from
    // higher bytes, but never from bytes below the first byte found.
    let less = |word: u64, than: u64| word.wrapping_sub(ONES * than) & !word;
    let equal = |word: u64, to: u8| less(word ^ (ONES * u64::from(to)), 1);
    let found = less(word, 0x20) | equal(word, b'"') | equal(word, b'\\');
    (found & HIGH_BITS).trailing_zeros() as usize / 8
}

fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    match ESCAPES[usize::from(byte)] {
        b'u' => {
            let [.., high, low] = hex_digits(byte.into());
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
        letter => out.extend_from_slice(&[b'\\', letter]),
    }
}

/// The character after the backslash for each byte that needs an escape; 0 for other bytes.
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
