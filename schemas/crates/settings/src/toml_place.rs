//! Places in a TOML file, for errors that a person reads: the key that a value belongs to, and the line of a key.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The dotted name of the key whose value stands at byte `at` of `text`; none where the file is no TOML or no value is there.
/// Entries of arrays are counted from 1, as people count them.
pub(crate) fn key_at(text: &str, at: usize) -> Option<String> {
    let root = DeTable::parse(text).ok()?;
    in_table(root.get_ref(), at)
}

fn in_table(table: &DeTable<'_>, at: usize) -> Option<String> {
    table.iter().find_map(|(name, value)| in_value(&shown(name.get_ref()), value, at))
}

fn in_value(name: &str, value: &Spanned<DeValue<'_>>, at: usize) -> Option<String> {
    match value.get_ref() {
        // A table may be written in several places, so its span does not cover all of its keys.
        DeValue::Table(table) => in_table(table, at).map(|key| format!("{name}.{key}")),
        DeValue::Array(values) => {
            let of_entry = |(nth, entry)| in_value(&format!("{name}[{nth}]"), entry, at);
            let inner = (1..).zip(values.iter()).find_map(of_entry);
            inner.or_else(|| value.span().contains(&at).then(|| name.to_owned()))
        }
        _ => value.span().contains(&at).then(|| name.to_owned()),
    }
}

/// Returns a key as TOML writes it: in quotes where the key has other characters than letters, digits, `_` and `-`.
fn shown(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { format!("{name:?}") }
}

/// The byte at which the key with this path stands. A part of the path is a key, or an index (from 0) of an array. Where the
/// whole path is not written, the byte of its longest part that is; none where not even the first part is written.
pub(crate) fn place_of(text: &str, path: &[&str]) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let (first, rest) = path.split_first()?;
    let (name, mut value) = root.get_ref().get_key_value(*first)?;
    let mut place = name.span().start;
    for part in rest {
        (place, value) = match value.get_ref() {
            DeValue::Table(table) => match table.get_key_value(*part) {
                Some((name, value)) => (name.span().start, value),
                None => break,
            },
            DeValue::Array(values) => match part.parse().ok().and_then(|index: usize| values.get(index)) {
                Some(value) => (value.span().start, value),
                None => break,
            },
            _ => break,
        };
    }
    Some(place)
}

/// The line, from 1, of a byte in a text.
pub(crate) fn line_at(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    1 + text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count()
}

/// Returns the line (from 1) of a TOML error and its message, which names the key and shows no text of the file.
///
/// toml's own message shows the line in which the error is. That line may hold a password: a missing quote is the most
/// common error, and passwords are quoted by hand.
pub(crate) fn toml_error(text: &str, error: &toml::de::Error) -> (usize, String) {
    let message = without_value(error.message());
    let Some(start) = error.span().map(|span| span.start.min(text.len())) else { return (1, message) };
    let column = 1 + text.as_bytes()[..start].iter().rev().take_while(|&&byte| byte != b'\n').count();
    // serde names an unknown key itself.
    let key = key_at(text, start).filter(|key| !message.contains(&format!("`{key}`")));
    let key = key.map(|key| format!("{key}: ")).unwrap_or_default();
    (line_at(text, start), format!("column {column}: {key}{message}"))
}

/// serde's message without the value that it quotes: `invalid type: string "hunter2", expected a map`.
fn without_value(message: &str) -> String {
    for kind in ["invalid type: ", "invalid value: "] {
        if let Some(rest) = message.strip_prefix(kind)
            && let Some((found, expected)) = rest.rsplit_once(", expected ")
        {
            let found = found.split([' ', '`', '"']).next().unwrap_or_default();
            return format!("{kind}{found}, expected {expected}");
        }
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n[b]\nc = 'x'\n\"d.e\" = [2, 3]\n[[f]]\ng = true\n[[f]]\ng = { h = 4 }\n";

    #[test]
    fn a_value_has_the_key_before_it() {
        for (value, key) in [("1", "a"), ("'x'", "b.c"), ("3", "b.\"d.e\"[2]"), ("true", "f[1].g"), ("4", "f[2].g.h")] {
            assert_eq!(key_at(TEXT, TEXT.find(value).unwrap()).as_deref(), Some(key), "{value}");
        }
        assert_eq!(key_at(TEXT, TEXT.find("[b]").unwrap()), None);
        assert_eq!(key_at("a = ", 3), None);
    }

    #[test]
    fn a_key_has_a_place() {
        let written: [(&[&str], &str); 6] = [
            (&["b", "c"], "c = "),
            (&["b", "z"], "b]"),
            (&["a"], "a = 1"),
            (&["f", "1", "g", "h"], "h = 4"),
            (&["f", "0", "z"], "[[f]]"),
            (&["f", "7", "g"], "f]]"),
        ];
        for (path, expect) in written {
            assert_eq!(place_of(TEXT, path), TEXT.find(expect), "{path:?}");
        }
        assert_eq!(place_of(TEXT, &["z"]), None);
    }
}
