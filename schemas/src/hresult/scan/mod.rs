//! Finds the HRESULTs of a log line in any of its spellings, without the look-alikes.
//!
//! Spellings: `0x800b0109`, `hr = 80070057`, `error: 800b0109`, `[80072F8F]`, `(80072ee7)`, `-2145107943`,
//! `with 2148204800`, `Exit code = 0x240001`, `hr=0x0`. Look-alikes: heads of GUIDs, file hashes, flags
//! (`0x00000080`), pointers, byte counts, HTTP and SOAP status numbers, `(00000000)`, parts of URLs, paths and names of files.

mod cue;
mod name;

use super::{Codes, is_failure};
use crate::guid::{GUID_BYTES, is_guid};

/// Upper half of the codes of Configuration Manager, which WUAHandler.log has: 0x87D00692.
const CONFIGURATION_MANAGER: u32 = 0x87D0;

/// Number of hex digits of a complete code.
const HEX_DIGITS: usize = 8;

/// Reads a token that consists of one code, with or without brackets, such as a column of REPORT EVENT. `0` is success.
#[must_use]
pub fn parse_hresult(token: &str) -> Option<u32> {
    let token = token.trim();
    let token = inside(token, '[', ']').or_else(|| inside(token, '(', ')')).unwrap_or(token);
    if let Some(hex) = token.strip_prefix("0x").or_else(|| token.strip_prefix("0X")) {
        return parse_hex(hex.as_bytes());
    }
    if let Some(digits) = token.strip_prefix('-') {
        return parse_decimal(digits.as_bytes()).and_then(negative);
    }
    match token.len() {
        10 => {
            parse_decimal(token.as_bytes()).and_then(|value| u32::try_from(value).ok()).filter(|code| is_failure(*code))
        }
        _ => parse_hex(token.as_bytes()),
    }
}

/// The decisive code of all codes of a message: see [`Codes::decisive`].
///
/// `None` is not a success: most lines have no code.
#[must_use]
pub fn find_hresult(text: &str) -> Option<u32> {
    find_hresults(text).decisive()
}

/// All codes of a message: its failure codes, and success codes where the message calls them a result.
#[must_use]
pub fn find_hresults(text: &str) -> Codes {
    let bytes = text.as_bytes();
    let mut codes = Codes::default();
    let mut at = 0;
    // Every spelling has a digit, and most words have none.
    while let Some(digit) = next_digit(bytes, at) {
        let start = digit - bytes[at..digit].iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let end = digit + bytes[digit..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        // No part of a GUID is a code.
        if end == start + HEX_DIGITS && is_guid_at(bytes, start) {
            at = start + GUID_BYTES;
            continue;
        }
        at = end;
        if let Some(code) = code_of_word(bytes, start, end)
            && !name::is_around(bytes, start, end)
        {
            codes.add(code);
        }
    }
    codes
}

/// True where a GUID begins at `start` that no letter or digit follows.
fn is_guid_at(bytes: &[u8], start: usize) -> bool {
    bytes[start..]
        .split_first_chunk::<GUID_BYTES>()
        .is_some_and(|(guid, rest)| is_guid(guid) && !rest.first().is_some_and(u8::is_ascii_alphanumeric))
}

/// Position of the next digit.
fn next_digit(bytes: &[u8], from: usize) -> Option<usize> {
    let (words, rest) = bytes[from..].as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        if let Some(at) = first_digit(u64::from_le_bytes(*word)) {
            return Some(from + number * 8 + at);
        }
    }
    rest.iter().position(u8::is_ascii_digit).map(|digit| bytes.len() - rest.len() + digit)
}

/// Position of the first digit among eight bytes.
fn first_digit(word: u64) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH_BITS: u64 = ONES << 7;
    // A digit becomes its value. The sum sets the high bit of each byte whose low seven bits are ten or more, and carries
    // into no other byte.
    let value = word ^ (ONES * u64::from(b'0'));
    let more_than_nine = (value & !HIGH_BITS) + ONES * (0x80 - 10);
    let digits = !(more_than_nine | value) & HIGH_BITS;
    (digits != 0).then(|| digits.trailing_zeros() as usize / 8)
}

fn code_of_word(bytes: &[u8], start: usize, end: usize) -> Option<u32> {
    let word = &bytes[start..end];
    match word.len() {
        3..=10 if word[0] == b'0' && (word[1] | 0x20) == b'x' => prefixed(bytes, start, end),
        HEX_DIGITS => bare(bytes, start, end),
        9 | 10 => decimal(bytes, start, end),
        1 if word[0] == b'0' => cue::before(bytes, start).is_strong().then_some(0),
        _ => None,
    }
}

/// `0x800b0109`, and `0x0` or `0x240001` where the line calls it a result; zero also behind `error = `.
fn prefixed(bytes: &[u8], start: usize, end: usize) -> Option<u32> {
    let code = parse_hex(&bytes[start + 2..end])?;
    let cue = cue::before(bytes, start);
    if !is_failure(code) {
        // At the end of a line that is cut off, the first digits of a failure look like a success: `Exit code = 0x80244`.
        let is_cut_off = end == bytes.len() && bytes[start + "0x".len()] >= b'8';
        let is_result = cue.is_result() || code == 0 && cue.is_error();
        return (is_result && !is_cut_off).then_some(code);
    }
    let credible = is_credible(code) || cue.is_strong() || cue.is_error();
    (credible && !cue.is_other_number() && !cue::is_measured(bytes, end)).then_some(code)
}

/// `80070057` after a word that announces it, or alone in brackets.
fn bare(bytes: &[u8], start: usize, end: usize) -> Option<u32> {
    let before = before(bytes, start);
    let after = bytes.get(end).copied().unwrap_or(b' ');
    // The token is the first part, or another part, of a GUID.
    if after == b'-' || matches!(before, b'-' | b'{') {
        return None;
    }
    // Most words of eight letters are not hex, and most of those begin with another letter.
    let code = parse_hex(&bytes[start..end])?;
    if !is_failure(code) {
        let success = code == 0 || super::lookup(code).is_some();
        return (success && cue::before(bytes, start).is_hresult()).then_some(code);
    }
    let bracketed = matches!((before, after), (b'[', b']') | (b'(', b')'));
    let cue = cue::before(bytes, start);
    let called = cue.is_strong() || is_credible(code) && (bracketed && !cue.is_other_number() || cue.is_cue());
    (called && !cue::is_measured(bytes, end)).then_some(code)
}

/// Reads `-2145107943`, or `2148204800` after a cue word. Only known codes and codes of Windows Update count: big
/// numbers are often sizes.
fn decimal(bytes: &[u8], start: usize, end: usize) -> Option<u32> {
    let value = parse_decimal(&bytes[start..end])?;
    if before(bytes, start) == b'-' {
        let is_range = start > 1 && bytes[start - 2].is_ascii_alphanumeric();
        return negative(value).filter(|code| !is_range && is_known(*code));
    }
    let code = u32::try_from(value).ok().filter(|code| is_failure(*code) && is_known(*code))?;
    (cue::before(bytes, start).is_cue() && !cue::is_measured(bytes, end)).then_some(code)
}

/// The byte before `start`.
fn before(bytes: &[u8], start: usize) -> u8 {
    if start == 0 { b' ' } else { bytes[start - 1] }
}

/// The text between two brackets.
fn inside(token: &str, open: char, close: char) -> Option<&str> {
    token.strip_prefix(open)?.strip_suffix(close)
}

fn parse_hex(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > HEX_DIGITS {
        return None;
    }
    digits.iter().try_fold(0_u32, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

/// At most ten digits, so that no sum overflows.
fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| Some(value * 10 + u64::from(char::from(*digit).to_digit(10)?)))
}

/// The code whose spelling as a signed number is `-value`.
fn negative(value: u64) -> Option<u32> {
    let signed = i32::try_from(-i64::try_from(value).ok()?).ok()?;
    Some(signed.cast_unsigned()).filter(|code| is_failure(*code))
}

/// Whether a bare number is likely to be a failure code: its facility is one of failures, NTSTATUS, Windows Setup
/// (C19xxxxx) or Configuration Manager (87D0xxxx). Other codes need a cue word, and so do 80000000 to 80000FFF, which
/// are mostly flags.
fn is_credible(code: u32) -> bool {
    let facility = match code >> 24 {
        0x80 => code > 0x8000_0FFF,
        0xC0 | 0xC1 | 0xC8 => true,
        0x87 => code >> 16 == CONFIGURATION_MANAGER,
        _ => false,
    };
    facility || super::lookup(code).is_some()
}

fn is_known(code: u32) -> bool {
    super::lookup(code).is_some() || matches!(code >> 16, 0x8024 | 0x800B | 0x8019 | CONFIGURATION_MANAGER)
}

#[cfg(test)]
mod tests;
