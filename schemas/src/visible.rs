//! Foreign text that a person will see: in log lines, on terminals, and in JSON.
//!
//! Others choose host names, file names and log lines. A newline in such a text forges a log line, ESC and the C1
//! controls command a terminal, and bidirectional controls change the order in which a text is read. This module makes
//! these characters visible.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character acts on a terminal or on the order of a text instead of being seen: all control characters, line
/// and paragraph separators, bidirectional controls, and characters without width.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// The text with invisible characters written as `\n`, `\u{1b}` and so on. A backslash stays unchanged: the text is for
/// reading, not for decoding.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_invisible(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The same JSON with invisible characters from U+007F on escaped as `\u009b`. JSON requires escapes only below U+0020,
/// so the output of serde_json can still command a terminal.
#[must_use]
pub fn visible_json(json: &str) -> Cow<'_, str> {
    // Control characters below U+007F stand only between values, like the newlines of pretty JSON.
    let is_escaped = |c: char| c >= '\u{7f}' && is_invisible(c);
    if !json.chars().any(is_escaped) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_escaped(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("a string takes what is written to it");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_made_visible() {
        let check = |text: &str, expect: &str| assert_eq!(visible(text), expect);
        check("PC-1", "PC-1");
        check("Prüfung 北京 🙂", "Prüfung 北京 🙂");
        check("PC-1\nERROR forged", "PC-1\\nERROR forged");
        check("\u{1b}[2J\r\t", "\\u{1b}[2J\\r\\t");
        check("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}");
        check("a\u{202e}gol.exe\u{2066}", "a\\u{202e}gol.exe\\u{2066}");
        check("a\u{200b}b\u{feff}\u{2028}", "a\\u{200b}b\\u{feff}\\u{2028}");
        check("\\n", "\\n");
    }

    #[test]
    fn json_keeps_its_meaning() {
        for text in ["plain", "\u{1b}\n", "\u{9b}31m\u{7f}", "a\u{202e}b\u{2069}", "\u{e0041}", "Prüfung 🙂"] {
            let json = serde_json::to_string_pretty(&[text]).expect("a text is JSON");
            let shown = visible_json(&json);
            assert_eq!(serde_json::from_str::<[String; 1]>(&shown).expect("still JSON"), [text]);
            assert!(!shown.chars().any(|c| is_invisible(c) && c != '\n'), "{shown:?}");
        }
        assert_eq!(visible_json("\"\u{9b}\u{e0041}\""), "\"\\u009b\\udb40\\udc41\"");
    }
}
