//! Excerpts: texts of a document cut and escaped for endpoints that bound their fields and read markup in them.
//!
//! Limits are in bytes of UTF-8. Endpoints count characters, UTF-16 units or bytes; a bound in bytes keeps all three.

use minijinja::value::Serde;
use minijinja::{Error, ErrorKind, Value};

/// Marks a text that was cut.
const ELLIPSIS: char = '…';

/// Filter `cut(N)`: every string in the value has at most N bytes and no control character but line feeds and tabs.
pub(super) fn cut(value: &Value, bytes_max: usize) -> Result<Value, Error> {
    let json =
        serde_json::to_value(value).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(Value::from(Serde(cut_strings(json, bytes_max))))
}

fn cut_strings(value: serde_json::Value, bytes_max: usize) -> serde_json::Value {
    use serde_json::Value::{Array, Object, String};
    match value {
        String(text) => String(excerpt(&text, bytes_max, |_| None)),
        Array(items) => Array(items.into_iter().map(|item| cut_strings(item, bytes_max)).collect()),
        Object(members) => {
            Object(members.into_iter().map(|(name, value)| (name, cut_strings(value, bytes_max))).collect())
        }
        other => other,
    }
}

/// Filter `slack(N)`: Slack's mrkdwn, in which no host name may become a mention or a link.
pub(super) fn slack(text: &str, bytes_max: usize) -> String {
    excerpt(text, bytes_max, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    })
}

/// Filter `markdown(N)`: the Markdown of Adaptive Cards, in which no host name may become a link.
pub(super) fn markdown(text: &str, bytes_max: usize) -> String {
    excerpt(text, bytes_max, |c| match c {
        '\\' => Some("\\\\"),
        '[' => Some("\\["),
        ']' => Some("\\]"),
        '*' => Some("\\*"),
        '_' => Some("\\_"),
        '`' => Some("\\`"),
        _ => None,
    })
}

/// The beginning of a text that has at most `bytes_max` bytes after escaping. An escape is never cut in two.
fn excerpt(text: &str, bytes_max: usize, escape: impl Fn(char) -> Option<&'static str>) -> String {
    let mut result = String::with_capacity(text.len().min(bytes_max));
    // The end of the longest beginning that leaves room for the ellipsis.
    let mut end_before_ellipsis = 0;
    let mut buffer = [0; 4];
    for c in text.chars() {
        let c = if c.is_control() && !matches!(c, '\n' | '\t') { ' ' } else { c };
        let piece = escape(c).unwrap_or_else(|| c.encode_utf8(&mut buffer));
        if result.len() + piece.len() > bytes_max {
            result.truncate(end_before_ellipsis);
            result.push(ELLIPSIS);
            return result;
        }
        result.push_str(piece);
        if result.len() + ELLIPSIS.len_utf8() <= bytes_max {
            end_before_ellipsis = result.len();
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_keeps_its_limit_and_cuts_no_character_and_no_escape() {
        let cases = [
            ("abc", 3, "abc"),
            ("abcd", 3, "…"),
            ("abcdefgh", 7, "abcd…"),
            ("😀😀", 8, "😀😀"),
            ("😀😀😀", 8, "😀…"),
            ("<<<", 12, "&lt;&lt;&lt;"),
            ("<<<", 11, "&lt;&lt;…"),
            ("a\u{7}b\nc\u{9b}d", 20, "a b\nc d"),
        ];
        for (text, bytes_max, expect) in cases {
            assert_eq!(slack(text, bytes_max), expect, "{text:?} in {bytes_max} bytes");
        }
        assert_eq!(markdown("[a](http://b) *_\\", 99), "\\[a\\](http://b) \\*\\_\\\\");
    }

    #[test]
    fn every_string_of_a_value_is_cut() {
        let value = Value::from(Serde(serde_json::json!({"a": ["xxxxxxxx", 7], "b": {"c": "yyyyyyyy"}})));
        let cut = serde_json::to_value(cut(&value, 5).unwrap()).unwrap();
        assert_eq!(cut, serde_json::json!({"a": ["xx…", 7], "b": {"c": "yy…"}}));
    }
}
