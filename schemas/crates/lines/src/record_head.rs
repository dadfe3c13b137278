//! Recognizes the first bytes of a record of Windows Update's logs, with 8 bits for each character.
//!
//! ```text
//! 2015-06-10 ...      2020/02/10 ...      {6C0F3A52-...      <![LOG[...
//! ```
//!
//! Decoded as UTF-16, these bytes are characters that no text has, so they prove that a line of another encoding
//! begins.

/// Bytes of a head; each pattern has this length.
pub(crate) const BYTES: usize = 10;

/// True where a record begins at the start of `bytes`; `None` while there are too few bytes to decide.
pub(crate) fn at_start(bytes: &[u8]) -> Option<bool> {
    let mut undecided = false;
    for matches in [is_date, is_guid, is_marked] {
        let head = &bytes[..bytes.len().min(BYTES)];
        let found = head.iter().enumerate().take_while(|(at, byte)| matches(*at, **byte, head)).count();
        match found {
            BYTES => return Some(true),
            _ if found == bytes.len() => undecided = true,
            _ => {}
        }
    }
    if undecided { None } else { Some(false) }
}

/// `2015-06-10`, with any separator.
fn is_date(at: usize, byte: u8, head: &[u8]) -> bool {
    match at {
        4 => byte.is_ascii_punctuation(),
        7 => byte == head[4],
        _ => byte.is_ascii_digit(),
    }
}

/// `{6C0F3A52-`
fn is_guid(at: usize, byte: u8, _: &[u8]) -> bool {
    match at {
        0 => byte == b'{',
        9 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    }
}

/// `<![LOG[`, and any text.
fn is_marked(at: usize, byte: u8, _: &[u8]) -> bool {
    b"<![LOG[".get(at).map_or_else(|| byte == b' ' || byte.is_ascii_graphic(), |mark| *mark == byte)
}

#[cfg(test)]
mod tests {
    use super::at_start;

    #[test]
    fn records_are_told_by_their_first_bytes() {
        for head in [&b"2015-06-10\t"[..], b"2020/02/10 09", b"{6C0F3A52-91DE", b"<![LOG[Scan failed"] {
            assert_eq!(at_start(head), Some(true));
            assert_eq!(at_start(&head[..9]), None);
        }
        assert_eq!(at_start(b""), None);
        for other in [&b"2\x000\0"[..], b"text", b"2015-06/10", b"{}", b"<html>", b"\r"] {
            assert_eq!(at_start(other), Some(false), "{other:?}");
        }
    }
}
