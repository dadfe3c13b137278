//! The product's outputs against its inputs: the lines of the files, and the published JSON Schemas.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jsonschema::Validator;
use serde_json::Value;

/// The lines of each file, by its path.
pub type Lines = BTreeMap<String, Vec<String>>;

/// The lines of a file's bytes, split without the product's code: decoded, split at `\n`, one `\r` stripped.
///
/// # Panics
/// If they are neither UTF-8 nor UTF-16LE with a byte order mark.
#[must_use]
pub fn split(bytes: &[u8]) -> Vec<String> {
    let text = match bytes.strip_prefix(b"\xff\xfe") {
        Some(units) => {
            let units: Vec<u16> = units.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
            String::from_utf16(&units).expect("UTF-16LE")
        }
        None => String::from_utf8(bytes.to_vec()).expect("UTF-8"),
    };
    let mut lines: Vec<String> =
        text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).to_owned()).collect();
    if lines.last().is_some_and(String::is_empty) {
        lines.pop(); // what stands behind the last line ending is no line
    }
    lines
}

/// The lines of every `DIR/HOST/*.log`.
///
/// # Panics
/// When a file cannot be read.
#[must_use]
pub fn written(folder: &Path) -> Lines {
    let list = |folder: &Path| -> Vec<_> {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries.map(|entry| entry.expect("a folder can be read to its end").path()).collect()
    };
    let files = list(folder).into_iter().filter(|path| path.is_dir()).flat_map(|host| list(&host));
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .map(|path| (path.display().to_string(), split(&fs::read(&path).expect("a log can be read"))))
        .collect()
}

/// True for the document of an attempt, which is about several lines.
///
/// # Panics
/// When the event is not JSON.
#[must_use]
pub fn is_attempt(event: &[u8]) -> bool {
    let event: Value = serde_json::from_slice(event).expect("an event is JSON");
    event["event"]["dataset"] == "windows_update.attempt"
}

/// The lines of events, by file and in the events' order. Attempts are left out.
///
/// # Panics
/// If an event names no file or no line.
#[must_use]
pub fn originals<'a>(events: impl IntoIterator<Item = &'a [u8]>) -> Lines {
    let mut lines = Lines::new();
    for event in events.into_iter().filter(|event| !is_attempt(event)) {
        let event: Value = serde_json::from_slice(event).expect("an event is JSON");
        let text = |pointer: &str| match event.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            other => panic!("{pointer} is {other:?} in {event}"),
        };
        lines.entry(text("/log/file/path")).or_default().push(text("/event/original"));
    }
    lines
}

/// Compares two sets of lines, and prints the first difference instead of both sets.
///
/// # Panics
/// If they differ.
#[track_caller]
pub fn expect_same(events: &Lines, written: &Lines) {
    let files: Vec<&String> = events.keys().collect();
    assert_eq!(files, written.keys().collect::<Vec<_>>(), "files that events are about, and files written");
    for (file, written) in written {
        let events = &events[file];
        let differs = written.iter().zip(events).position(|(written, event)| written != event);
        if let Some(at) = differs {
            panic!("{file}: line {at} is {:?}, its event says {:?}", written[at], events[at]);
        }
        assert_eq!(events.len(), written.len(), "{file}: events, and lines");
    }
}

/// The published schema `schemas/json/NAME.schema.json`.
///
/// # Panics
/// If the schema is missing or invalid.
#[must_use]
pub fn schema(name: &str) -> Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/json").join(name).with_extension("schema.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let schema: Value = serde_json::from_str(&text).expect("a schema is JSON");
    jsonschema::validator_for(&schema).expect("a valid JSON Schema")
}

/// Validates a document.
///
/// # Panics
/// If the document does not follow the schema.
#[track_caller]
pub fn expect_valid(schema: &Validator, document: &[u8]) {
    let value: Value = serde_json::from_slice(document).expect("a document is JSON");
    let errors: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {value}");
}
