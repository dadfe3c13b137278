//! Foreign text on its way to a person: log lines, terminals, and JSON that is shown on one.
//!
//! Host names, file names and log lines are chosen by others. A newline in one forges a log line, ESC and the C1 controls
//! command a terminal, and bidirectional controls make a text read otherwise than it is. Here they become visible.

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

/// A text in which invisible characters stand as `\n`, `\u{1b}` and so on. A backslash stays as it is: the text is for
/// reading, not for taking back.
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

/// Valid JSON with the same meaning, in which invisible characters from U+007F on are escaped as `\u009b`. JSON itself
/// asks for that only below U+0020, so what serde_json writes can still command a terminal.
#[must_use]
pub fn visible_json(json: &str) -> Cow<'_, str> {
    // Control characters below that stand between values only, as the newlines of pretty JSON.
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
    fn what_acts_is_shown_instead() {
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
