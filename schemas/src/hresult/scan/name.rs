//! Recognizes codes inside of the name of a page, a file or a folder, which are not results.
//!
//! ```text
//! Url = https://support.contoso.example/kb?error=0x800B0109
//! C:\Updates\Fix 0x800B0109 (x64)\setup.exe
//! fix_0x800B0109-x64.cab
//! ```
//!
//! Called only where a line has a code, which nearly every line lacks.

/// Ends of file names, in lower case.
const EXTENSIONS: [&[u8]; 15] = [
    b"cab", b"msu", b"msi", b"msp", b"exe", b"psf", b"esd", b"xml", b"txt", b"log", b"dll", b"zip", b"htm", b"html",
    b"aspx",
];

/// True where the token between `start` and `end` is a part of a URL, of a path or of a file's name.
pub(super) fn is_around(bytes: &[u8], start: usize, end: usize) -> bool {
    is_in_url(bytes, start) || is_in_path(bytes, start, end) || is_in_file_name(bytes, end)
}

/// Bytes that end a URL, and bytes that surround a URL in a text.
fn ends_url(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'<' | b'>' | b'(' | b')' | b'[' | b']' | b',' | b';')
}

/// True where `://` stands before the token in its word.
fn is_in_url(bytes: &[u8], start: usize) -> bool {
    let length = bytes[..start].iter().rev().take_while(|byte| !ends_url(**byte)).count();
    bytes[start - length..start].windows(3).any(|window| window == b"://")
}

/// True for a token beside a `\`, or inside of a folder name with blanks: a drive begins the path before the token, and
/// a `\` follows.
fn is_in_path(bytes: &[u8], start: usize, end: usize) -> bool {
    if start > 0 && bytes[start - 1] == b'\\' || bytes.get(end) == Some(&b'\\') {
        return true;
    }
    let ends_path = |byte: &u8| matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'|' | b',' | b';' | b'*' | b'?');
    let Some(goes_on) = bytes[end..].iter().position(|byte| *byte == b'\\' || *byte == b':' || ends_path(byte)) else {
        return false;
    };
    let behind = &bytes[end..end + goes_on];
    if bytes[end + goes_on] != b'\\' || behind.last().is_none_or(|byte| *byte == b' ') {
        return false;
    }
    let Some(drive) = bytes[..start].windows(2).rposition(|window| window == b":\\") else { return false };
    let before = &bytes[drive + 2..start];
    !before.iter().any(|byte| *byte == b':' || ends_path(byte)) && !has_file_name(before) && !has_file_name(behind)
}

/// True where `text` ends with the name of a file: the path ends there.
fn has_file_name(text: &[u8]) -> bool {
    text.split(|byte| *byte == b' ').any(|word| {
        let extension = word.rsplit(|byte| *byte == b'.').next().filter(|extension| extension.len() < word.len());
        extension.is_some_and(is_extension)
    })
}

/// True where the rest of the token's word ends in the extension of a file.
fn is_in_file_name(bytes: &[u8], end: usize) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let length = bytes[end..].iter().take_while(|byte| is_part(byte)).count();
    let rest = &bytes[end..end + length];
    rest.iter().rposition(|byte| *byte == b'.').is_some_and(|dot| is_extension(&rest[dot + 1..]))
}

fn is_extension(text: &[u8]) -> bool {
    EXTENSIONS.into_iter().any(|extension| text.eq_ignore_ascii_case(extension))
}
