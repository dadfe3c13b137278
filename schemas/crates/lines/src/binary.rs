//! Recognizes files that are not text by their first bytes: traces, event logs, archives. Such a file is refused before
//! any line is shipped.
//!
//! Administrators gather whole folders, and rename files to `.log` that an upload would refuse. Split at its newline
//! bytes, a binary file would become thousands of meaningless events.

use crate::encoding::{Encoding, EncodingChoice};
use crate::record_head;

/// Bytes of a file's start that decide. A buffer of a trace has at least 4 KiB; the header of a trace is far shorter.
pub const HEAD_BYTES: usize = 4 * 1024;

/// The kind of a file that is not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// An event trace, `.etl`.
    Trace,
    /// An event log of Windows, `.evtx` or `.evt`.
    EventLog,
    /// An archive or a compressed file: gzip, zip, cab, 7-Zip and others.
    Archive,
    /// Only zero bytes: space that was reserved, or left by a crash.
    Zeros,
    /// Anything else.
    Other,
}

impl Binary {
    /// Returns the kind of a file that begins with `head`; `None` for text in the encoding of its input.
    #[must_use]
    pub fn of(head: &[u8], choice: EncodingChoice) -> Option<Binary> {
        let head = &head[..head.len().min(HEAD_BYTES)];
        let known = MAGIC.iter().find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
        if let Some((_, _, binary)) = known {
            return Some(*binary);
        }
        // A file of a few bytes may still become text.
        if head.len() < TELLING_BYTES_MIN {
            return None;
        }
        if head.iter().all(|byte| *byte == 0) {
            return Some(Binary::Zeros);
        }
        let encoding = choice.sniff(head).map_or(Encoding::Utf8, |(encoding, _)| encoding);
        if is_text(head, encoding) || is_text(without_zeros(head), encoding) || begins_with_record(head, encoding) {
            return None;
        }
        Some(if is_trace(head) { Binary::Trace } else { Binary::Other })
    }

    /// Returns the kind and the remedy, for messages: `file {}`.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Binary::Trace => {
                "is a binary trace (.etl) and is not read: decode the trace with Get-WindowsUpdateLog on the computer that \
                 wrote it, and give wulog the WindowsUpdate.log that comes of it"
            }
            Binary::EventLog => {
                "is a Windows event log (.evtx) and is not read: give wulog ReportingEvents.log, or decode the trace with \
                 Get-WindowsUpdateLog and give wulog the WindowsUpdate.log that comes of it"
            }
            Binary::Archive => {
                "is compressed and is not read: unpack it and name the uncompressed files; if it holds traces (.etl), decode \
                 the trace with Get-WindowsUpdateLog"
            }
            Binary::Zeros => {
                "holds only zero bytes and is not read: copy the log again; on Windows 10 and later decode the trace with \
                 Get-WindowsUpdateLog"
            }
            Binary::Other => {
                "is binary and is not read: give wulog text logs, WindowsUpdate.log or ReportingEvents.log; on Windows 10 and \
                 later decode the trace with Get-WindowsUpdateLog"
            }
        }
    }
}

/// A head with fewer bytes is not judged: it may be the start of a text, or a text with one stray zero.
const TELLING_BYTES_MIN: usize = 8;

/// Byte sequences, their positions, and the kinds of files that have them. No text begins with any of them.
const MAGIC: [(usize, &[u8], Binary); 16] = [
    (0, b"ElfFile\0", Binary::EventLog),
    (4, b"LfLe", Binary::EventLog),
    (0, b"\x1F\x8B", Binary::Archive),
    (0, b"PK\x03\x04", Binary::Archive),
    (0, b"PK\x05\x06", Binary::Archive),
    (0, b"MSCF\0\0\0\0", Binary::Archive),
    (0, b"7z\xBC\xAF\x27\x1C", Binary::Archive),
    (0, b"Rar!\x1A\x07", Binary::Archive),
    (0, b"\x28\xB5\x2F\xFD", Binary::Archive),
    (0, b"BZh", Binary::Archive),
    (0, b"\xFD7zXZ\0", Binary::Archive),
    (0, b"\x04\x22\x4D\x18", Binary::Archive),
    (0, b"MSWIM\0\0\0", Binary::Archive),
    (0, b"SQLite format 3\0", Binary::Other),
    (0, b"%PDF-", Binary::Other),
    (0, b"regf", Binary::Other),
];

/// Control characters that occur in texts: tab, line ends, form feed, the escape of a console's colors, the end mark of
/// DOS.
const CONTROLS_OF_TEXT: [char; 7] = ['\t', '\n', '\r', '\u{b}', '\u{c}', '\u{1b}', '\u{1a}'];

/// Fewest characters for each other control character of a text. A file with more such control characters is binary.
const CHARACTERS_PER_SCAR: usize = 20;

/// Fewest characters for each other control character or undecodable byte, in a file with other control characters.
/// Random bytes have one undecodable byte in three characters, a text in an unnamed code page far fewer.
const CHARACTERS_PER_UNDECODED: usize = 4;

/// UTF-16 without a byte order mark has at least one ASCII character in this many: dates, times and codes are ASCII.
const CHARACTERS_PER_PLAIN: usize = 8;

/// Returns the lines of a short text without the zero bytes behind them. A crash leaves zero bytes where the file
/// system had reserved space for lines that were never written.
fn without_zeros(head: &[u8]) -> &[u8] {
    let end = head.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    // Without a newline the bytes are no line: a word before zero bytes is the name of a field or a format.
    if head[..end].contains(&b'\n') { &head[..end] } else { head }
}

fn is_text(head: &[u8], encoding: Encoding) -> bool {
    // The head may end in the middle of a character.
    let text = encoding.decode(head, true);
    let text = String::from_utf8_lossy(&text.bytes);
    let (mut all, mut plain, mut scars, mut undecoded) = (0, 0, 0, 0);
    for c in text.chars() {
        all += 1;
        plain += usize::from(c.is_ascii());
        scars += usize::from(c.is_control() && !CONTROLS_OF_TEXT.contains(&c));
        undecoded += usize::from(c == char::REPLACEMENT_CHARACTER);
    }
    // Any two bytes are a character of UTF-16, so without a byte order mark only its ASCII characters prove UTF-16.
    let is_guessed = encoding.unit() == 2 && !matches!(head, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]);
    if is_guessed && plain * CHARACTERS_PER_PLAIN < all {
        return false;
    }
    let is_scarred = scars * CHARACTERS_PER_SCAR >= all || (scars + undecoded) * CHARACTERS_PER_UNDECODED >= all;
    scars == 0 || !is_scarred && head[0] != 0 && !is_trace(head)
}

/// True where the first line is a record: the file is a log then, even if another program has appended to it in another
/// encoding.
fn begins_with_record(head: &[u8], encoding: Encoding) -> bool {
    let text = encoding.decode(head, true);
    let zeros = text.bytes.iter().take_while(|byte| **byte == 0).count();
    let line = text.bytes[zeros..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    record_head::at_start(line) == Some(true) && is_text(line, Encoding::Utf8)
}

/// True for the header of a trace's first buffer, which begins with the size of the buffer.
fn is_trace(head: &[u8]) -> bool {
    const BUFFER_BYTES: std::ops::RangeInclusive<u32> = 4 * 1024..=16 * 1024 * 1024;
    let Some((size, _)) = head.split_first_chunk::<4>() else { return false };
    let size = u32::from_le_bytes(*size);
    BUFFER_BYTES.contains(&size) && size.is_multiple_of(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &[u8], expect: Option<Binary>) {
        assert_eq!(Binary::of(head, EncodingChoice::Auto), expect, "{head:?}");
    }

    #[test]
    fn binary_files_are_told_by_their_first_bytes() {
        check(b"ElfFile\0\0\0\0\0\0\0\0\0\x01\0", Some(Binary::EventLog));
        check(b"\x1F\x8B\x08\0", Some(Binary::Archive));
        check(b"PK\x03\x04\x14\0", Some(Binary::Archive));
        check(b"MSCF\0\0\0\0\x10\0\0\0", Some(Binary::Archive));
        check(&[0; 4096], Some(Binary::Zeros));
        let mut trace = b"\0\x10\0\0".to_vec();
        trace.extend((0..1000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8));
        check(&trace, Some(Binary::Trace));
        let mut trace = b"\0\0\x01\0\x48\0\0\0\x48\0\0\0".to_vec();
        trace.extend([0; 500]);
        check(&trace, Some(Binary::Trace));
        let noise: Vec<u8> = (0..1000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        check(&noise, Some(Binary::Other));
    }

    #[test]
    fn texts_of_any_encoding_are_none() {
        check(b"", None);
        check(b"\0", None);
        check(b"2019-03-05\t07:41:00:421\t 912\t1b0c\tAgent\tx\r\n", None);
        check(b"Pr\xFCfung der Updates\r\n", None);
        let utf16 = |text: &str, bom: bool| {
            let units = bom.then_some(0xFEFF).into_iter().chain(text.encode_utf16());
            units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
        };
        check(&utf16("{G}\t2024-03-07 Prüfung 更新\r\n", true), None);
        check(&utf16("{G}\t2024-03-07 Prüfung\r\n", false), None);
        // Zero bytes that a crash left after the last line.
        let crashed = |text: &[u8]| [text, &[0; 4000]].concat();
        check(&crashed(b"2019-03-05\t07:41:00:421\t 912\t1b0c\tAgent\tx\r\n"), None);
        check(&crashed(&utf16("{G}\t2024-03-07 x\r\n", true)), None);
        check(&crashed(b"name-of-a-format"), Some(Binary::Other));
        // A log with 8 bits for each character to which UTF-16 was appended, and a log with zero bytes between two
        // lines.
        let line = b"2019-03-05\t07:41:00:421\t 912\t1b0c\tAgent\tx\r\n";
        check(&[&line[..], &utf16("2020/02/10 09:00:02.1234567 1 2 Agent x\r\n", false)].concat(), None);
        check(&[&line[..], &[0; 300], line].concat(), None);
        check(&[&[0; 300][..], line].concat(), None);
        // A console's colors and a stray control character.
        check(b"\x1b[31mWindowsUpdate\x1b[0m 2019-03-05 07:41:00:421 912 1b0c Agent \x01 x\r\n", None);
        let shift_jis = EncodingChoice::parse("shift_jis").unwrap();
        assert_eq!(Binary::of(b"\x8D\x58\x90\x56 2019-03-05\r\n", shift_jis), None);
    }
}
