//! Bytes of a line -> text.
//!
//! One log may be UTF-8, UTF-8 with a byte order mark, ASCII and UTF-16 in turn: `Get-WindowsUpdateLog` chooses by the
//! number of trace files. So the encoding belongs to one version of a file and is detected again at the start of each
//! version. Bytes that cannot be decoded become U+FFFD and the line is marked, since a damaged line is worth more than
//! none.

use std::borrow::Cow;

/// How the bytes of a file become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, and ASCII with it.
    Utf8,
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
    /// A code page in which a newline is the single byte 0x0A.
    CodePage(&'static encoding_rs::Encoding),
}

/// The encoding of an input, as configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncodingChoice {
    /// Detected: by the byte order mark; without one, UTF-16 where exactly one of the first two bytes is zero, else
    /// UTF-8.
    #[default]
    Auto,
    /// A fixed encoding, which a byte order mark overrides.
    Fixed(Encoding),
}

/// A line as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineText<'a> {
    /// UTF-8 bytes.
    pub bytes: Cow<'a, [u8]>,
    /// True where some bytes could not be decoded.
    pub lossy: bool,
}

impl EncodingChoice {
    /// Parses a name from the configuration: `auto`, or a label of the WHATWG Encoding Standard.
    #[must_use]
    pub fn parse(name: &str) -> Option<EncodingChoice> {
        if name.eq_ignore_ascii_case("auto") {
            return Some(EncodingChoice::Auto);
        }
        let found = encoding_rs::Encoding::for_label(name.as_bytes())?;
        Some(EncodingChoice::Fixed(if found == encoding_rs::UTF_8 {
            Encoding::Utf8
        } else if found == encoding_rs::UTF_16LE {
            Encoding::Utf16Le
        } else if found == encoding_rs::UTF_16BE {
            Encoding::Utf16Be
        } else {
            Encoding::CodePage(found)
        }))
    }

    /// Returns the encoding of a file that starts with `head`, and the length of its byte order mark in bytes.
    ///
    /// `None` while the head is too short to decide.
    #[must_use]
    pub fn sniff(self, head: &[u8]) -> Option<(Encoding, u64)> {
        const UTF8_BOM: &[u8] = &[0xEF, 0xBB, 0xBF];
        match head {
            [0xEF, 0xBB, 0xBF, ..] => return Some((Encoding::Utf8, 3)),
            [0xFF, 0xFE, ..] => return Some((Encoding::Utf16Le, 2)),
            [0xFE, 0xFF, ..] => return Some((Encoding::Utf16Be, 2)),
            [] | [0xFF] | [0xFE] => return None,
            short if short.len() < 3 && UTF8_BOM.starts_with(short) => return None,
            _ => {}
        }
        match self {
            EncodingChoice::Fixed(encoding) => Some((encoding, 0)),
            EncodingChoice::Auto => match head {
                [_] => None,
                [low, 0, ..] if *low != 0 => Some((Encoding::Utf16Le, 0)),
                [0, high, ..] if *high != 0 => Some((Encoding::Utf16Be, 0)),
                _ => Some((Encoding::Utf8, 0)),
            },
        }
    }
}

impl Encoding {
    /// Returns the bytes of one code unit; a newline is one unit.
    #[must_use]
    pub fn unit(self) -> usize {
        match self {
            Encoding::Utf8 | Encoding::CodePage(_) => 1,
            Encoding::Utf16Le | Encoding::Utf16Be => 2,
        }
    }

    /// Decodes one line, whose encoding may differ from that of its file. Zero bytes before the line are left out, and
    /// a UTF-16 line in a file with 8 bits for each character is decoded as UTF-16.
    ///
    /// A UTF-16 line that was split at its byte 0x0A begins with the second half of the previous newline and ends in
    /// half a character.
    #[must_use]
    pub fn decode_line<'a>(self, line: &'a [u8], cut: bool) -> LineText<'a> {
        let zeros = line.iter().take_while(|byte| **byte == 0).count() / self.unit() * self.unit();
        let line = &line[zeros..];
        if self.unit() > 1 || memchr::memchr(0, line).is_none() || !is_utf16(line, cut) {
            return self.decode(line, cut);
        }
        let LineText { bytes, lossy } = Encoding::Utf16Le.decode(line, cut);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(&bytes).to_vec();
        LineText { bytes: Cow::Owned(bytes), lossy }
    }

    /// Decodes one line. In a `cut` line, an incomplete character at the end is left out.
    #[must_use]
    pub fn decode<'a>(self, line: &'a [u8], cut: bool) -> LineText<'a> {
        let codec = match self {
            Encoding::Utf8 if std::str::from_utf8(line).is_ok() => {
                return LineText { bytes: Cow::Borrowed(line), lossy: false };
            }
            Encoding::Utf8 => encoding_rs::UTF_8,
            Encoding::Utf16Le => encoding_rs::UTF_16LE,
            Encoding::Utf16Be => encoding_rs::UTF_16BE,
            Encoding::CodePage(codec) => codec,
        };
        let mut decoder = codec.new_decoder_without_bom_handling();
        let room = decoder.max_utf8_buffer_length(line.len()).unwrap_or(line.len() * 3 + 16);
        let mut text = String::with_capacity(room);
        let (_, _, lossy) = decoder.decode_to_string(line, &mut text, !cut);
        LineText { bytes: Cow::Owned(text.into_bytes()), lossy }
    }
}

/// True for the bytes of a UTF-16 line, low byte first, without the zero byte of the previous newline.
fn is_utf16(line: &[u8], cut: bool) -> bool {
    let (units, rest) = line.as_chunks::<2>();
    let text = units.strip_prefix(&[[0xFF, 0xFE]]).unwrap_or(units);
    let plain = text.iter().filter(|[low, high]| *high == 0 && *low != 0).count();
    let begins_plain = text.iter().take(2).all(|[low, high]| *high == 0 && *low != 0);
    !text.is_empty() && begins_plain && plain * UNITS_PER_PLAIN >= text.len() && (rest.is_empty() || cut)
}

/// A UTF-16 line has at least one ASCII character in this many: a record has a date, a time and ids.
const UNITS_PER_PLAIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_sniff(choice: &str, head: &[u8], expect: Option<(Encoding, u64)>) {
        assert_eq!(EncodingChoice::parse(choice).unwrap().sniff(head), expect);
    }

    #[test]
    fn a_byte_order_mark_decides() {
        check_sniff("auto", b"\xEF\xBB\xBFab", Some((Encoding::Utf8, 3)));
        check_sniff("auto", b"\xFF\xFEa\0", Some((Encoding::Utf16Le, 2)));
        check_sniff("auto", b"\xFE\xFF\0a", Some((Encoding::Utf16Be, 2)));
        check_sniff("windows-1252", b"\xFF\xFEa\0", Some((Encoding::Utf16Le, 2)));
    }

    #[test]
    fn without_a_mark_the_configuration_or_the_zeros_decide() {
        check_sniff("auto", b"2019", Some((Encoding::Utf8, 0)));
        check_sniff("auto", b"2\x000\0", Some((Encoding::Utf16Le, 0)));
        check_sniff("auto", b"\x002\x000", Some((Encoding::Utf16Be, 0)));
        check_sniff("utf-16le", b"2\0", Some((Encoding::Utf16Le, 0)));
        check_sniff("windows-1251", b"2019", Some((Encoding::CodePage(encoding_rs::WINDOWS_1251), 0)));
    }

    #[test]
    fn half_a_mark_waits() {
        for head in [&b""[..], b"\xEF", b"\xEF\xBB", b"\xFF", b"\xFE", b"2"] {
            check_sniff("auto", head, None);
        }
    }

    #[test]
    fn unknown_names_are_refused() {
        assert_eq!(EncodingChoice::parse("cp-of-my-cat"), None);
    }

    #[track_caller]
    fn check_decode(choice: &str, bytes: &[u8], cut: bool, expect: &str, lossy: bool) {
        let EncodingChoice::Fixed(encoding) = EncodingChoice::parse(choice).unwrap() else { panic!("{choice}") };
        let text = encoding.decode(bytes, cut);
        assert_eq!((std::str::from_utf8(&text.bytes).unwrap(), text.lossy), (expect, lossy));
    }

    #[test]
    fn lines_are_decoded() {
        check_decode("utf-8", "Prüfung".as_bytes(), false, "Prüfung", false);
        check_decode("windows-1252", b"Pr\xFCfung", false, "Prüfung", false);
        check_decode("shift_jis", b"\x8D\x58\x90\x56", false, "更新", false);
        check_decode("utf-16le", b"P\0\xFC\0", false, "Pü", false);
        check_decode("utf-16be", b"\0P\0\xFC", false, "Pü", false);
    }

    #[test]
    fn what_cannot_be_decoded_leaves_a_scar() {
        check_decode("utf-8", b"Pr\xFCfung", false, "Pr\u{FFFD}fung", true);
        check_decode("utf-16le", b"a\0\x00\xD8b\0", false, "a\u{FFFD}b", true);
        check_decode("utf-16le", b"a\0b", false, "a\u{FFFD}", true);
    }

    #[test]
    fn a_cut_line_loses_half_a_character_without_a_scar() {
        check_decode("utf-8", b"ab\xC3", true, "ab", false);
        check_decode("utf-16le", b"a\0\x00\xD8", true, "a", false);
    }
}
