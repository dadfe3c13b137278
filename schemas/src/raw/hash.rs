//! The hash of a line as its header writes it.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer};

use crate::event::hex_digits;

/// CRC-32 of a line before redaction.
///
/// The hash of a collector is kept as a number: as text it was checked for UTF-8, parsed and escaped for each line,
/// which took 2 % of the Normalizer's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineHash<'a> {
    /// Eight lower-case hex digits, as collectors write them.
    Crc(u32),
    /// Any other text; empty where the header has no hash.
    Text(Cow<'a, str>),
}

impl LineHash<'_> {
    /// The number in eight lower-case hex digits.
    pub(super) fn crc(digits: &[u8; 8]) -> Option<u32> {
        // All eight at once: one after the other took 97 instructions a line.
        const ONES: u64 = u64::MAX / 255;
        let text = u64::from_be_bytes(*digits);
        // The low half of a digit is its value, that of a letter nine less.
        let mut value = (text & (15 * ONES)) + 9 * ((text >> 6) & ONES);
        value = (value | value >> 4) & 0x00ff_00ff_00ff_00ff;
        value = (value | value >> 8) & 0x0000_ffff_0000_ffff;
        let crc = (value | value >> 16) as u32;
        // Only such digits are written back as they were.
        (hex_digits(crc) == *digits).then_some(crc)
    }
}

impl Default for LineHash<'_> {
    fn default() -> Self {
        LineHash::Text(Cow::Borrowed(""))
    }
}

impl<'a> From<Cow<'a, str>> for LineHash<'a> {
    fn from(text: Cow<'a, str>) -> LineHash<'a> {
        let crc = text.as_bytes().try_into().ok().and_then(LineHash::crc);
        crc.map_or(LineHash::Text(text), LineHash::Crc)
    }
}

/// Writes the text of the header.
impl fmt::Display for LineHash<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineHash::Crc(crc) => write!(f, "{crc:08x}"),
            LineHash::Text(text) => f.write_str(text),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for LineHash<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LineHash<'a>, D::Error> {
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
        let Text(text) = Text::deserialize(deserializer)?;
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_keeps_the_text_that_it_was_read_from() {
        for text in
            ["1c291ca3", "00000000", "ffffffff", "1C291CA3", "1c291ca", "1c291ca33", "g0000000", "", "é", "+1c291ca"]
        {
            let hash = LineHash::from(Cow::Borrowed(text));
            assert_eq!(hash.to_string(), text);
            let is_number = text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            assert_eq!(matches!(hash, LineHash::Crc(_)), is_number, "{text}");
        }
        assert_eq!(LineHash::from(Cow::Borrowed("1c291ca3")), LineHash::Crc(0x1c29_1ca3));
    }
}
