//! Cuts a document until it fits the topic; its size is that of the written JSON, with all escapes.
//!
//! A line of 65 kB of control characters is 390 kB of JSON, and an event holds it twice. For nearly every document only
//! the length is compared: a document that fits is not changed.

use bytes::Bytes;
use serde_json::Value;
use wulog_schemas::event::Flag;

use crate::format::{self, Format};

/// Maximum size of a document. librdkafka accepts 1,000,000 bytes, key and overhead included, and a topic 1,048,588.
pub const DOCUMENT_BYTES_MAX: usize = 900_000;

/// Minimum of every limit: the names of the fields alone take a few kilobytes in the longest format.
pub const DOCUMENT_BYTES_MIN: usize = 64 * 1024;

/// Length to which the first cut shortens each text, escaped; each further cut halves the length.
const FIRST_CUT_BYTES: usize = 256 * 1024;

/// If texts have been cut to this length and the document is still too large, lists and maps are cut.
const LAST_CUT_BYTES: usize = 32;

/// Maps whose names are data. All other names belong to the document and stay.
const MAPS_OF_DATA: [&str; 2] = ["labels", "dimensions"];

/// Returns an event in `format` of at most `bytes_max`, from its ECS document. A cut event gets the flag `truncated`.
///
/// # Panics
/// If `ecs` is not an event.
#[must_use]
pub fn fit_event(format: Format, ecs: Bytes, bytes_max: usize) -> Bytes {
    if format == Format::Ecs && ecs.len() <= bytes_max {
        return ecs;
    }
    let written = format::from_ecs(format, ecs.clone());
    if written.len() <= bytes_max {
        return written;
    }
    let mut event: Value = serde_json::from_slice(&ecs).expect("the Normalizer writes JSON");
    flag_truncated(&mut event);
    let mut written = written;
    shrink(&mut event, |event| {
        let ecs = serde_json::to_vec(event).expect("JSON that was read can be written");
        written = format::from_ecs(format, ecs.into());
        written.len() <= bytes_max
    });
    written
}

/// JSON of at most `bytes_max`, for documents with one format.
#[must_use]
pub fn fit_json(document: Vec<u8>, bytes_max: usize) -> Vec<u8> {
    if document.len() <= bytes_max {
        return document;
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(&document) else { return document };
    let mut written = document;
    shrink(&mut value, |value| {
        written = serde_json::to_vec(value).expect("JSON that was read can be written");
        written.len() <= bytes_max
    });
    written
}

fn flag_truncated(event: &mut Value) {
    let Some(wu) = event.get_mut("wu").and_then(Value::as_object_mut) else { return };
    let flags = wu.get("flags").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
    let mut flags: Vec<Flag> = serde_json::from_value(flags).unwrap_or_default();
    flags.push(Flag::Truncated);
    flags.sort_unstable();
    flags.dedup();
    wu.insert("flags".to_owned(), serde_json::to_value(flags).expect("flags are names"));
}

/// Cuts the longest texts first, then lists, until `fits` returns true or there is nothing left to cut.
pub fn shrink(document: &mut Value, mut fits: impl FnMut(&Value) -> bool) {
    let mut text_bytes_max = FIRST_CUT_BYTES;
    while text_bytes_max >= LAST_CUT_BYTES {
        cut_texts(document, text_bytes_max);
        if fits(document) {
            return;
        }
        text_bytes_max /= 2;
    }
    while cut_lists(document, false) && !fits(document) {}
}

fn cut_texts(value: &mut Value, bytes_max: usize) {
    match value {
        Value::String(text) => {
            let kept = cut_escaped(text, bytes_max).len();
            text.truncate(kept);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| cut_texts(item, bytes_max)),
        Value::Object(fields) => fields.values_mut().for_each(|field| cut_texts(field, bytes_max)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Halves every list, and every map of data; returns false if all of them are empty.
fn cut_lists(value: &mut Value, is_data: bool) -> bool {
    match value {
        Value::Array(items) => {
            let shortened = !items.is_empty();
            items.truncate(items.len() / 2);
            items.iter_mut().fold(shortened, |cut, item| cut_lists(item, false) | cut)
        }
        Value::Object(fields) if is_data => {
            let shortened = !fields.is_empty();
            let left: Vec<String> = fields.keys().skip(fields.len() / 2).cloned().collect();
            left.iter().for_each(|name| drop(fields.remove(name)));
            shortened
        }
        Value::Object(fields) => fields
            .iter_mut()
            .fold(false, |cut, (name, field)| cut_lists(field, MAPS_OF_DATA.contains(&name.as_str())) | cut),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The longest beginning of `text` whose JSON has at most `bytes_max` bytes.
#[must_use]
pub fn cut_escaped(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max / 6 {
        return text;
    }
    let mut bytes = 0;
    for (at, character) in text.char_indices() {
        bytes += match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            other => other.len_utf8(),
        };
        if bytes > bytes_max {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cut_text_is_the_longest_beginning_that_fits(text in "[\\x00-\\x7fé\u{1f600}]{0,80}", bytes_max in 0..200_usize) {
            let cut = cut_escaped(&text, bytes_max);
            let escaped = |text: &str| serde_json::to_string(text).unwrap().len() - 2;
            prop_assert!(text.starts_with(cut) && escaped(cut) <= bytes_max);
            if let Some(next) = text[cut.len()..].chars().next() {
                prop_assert!(escaped(&text[..cut.len() + next.len_utf8()]) > bytes_max);
            }
        }

        #[test]
        fn any_json_is_cut_to_any_size(texts in prop::collection::vec(".{0,300}", 0..60), bytes_max in 40..3000_usize) {
            let document = serde_json::json!({"labels": {"a": texts.concat()}, "list": texts});
            let fitted = fit_json(serde_json::to_vec(&document).unwrap(), bytes_max);
            prop_assert!(fitted.len() <= bytes_max.max(40), "{}", String::from_utf8_lossy(&fitted));
            prop_assert!(serde_json::from_slice::<Value>(&fitted).is_ok());
        }
    }
}
