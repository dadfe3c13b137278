//! Any bytes are a line.

use crate::product::parse::parse;

/// The message is a part of the line, and a line ending says nothing.
pub fn check(bytes: &[u8]) {
    let line = String::from_utf8_lossy(bytes);
    let entry = parse(&line);
    assert!(line.contains(entry.message), "{line:?} has a message of its own: {:?}", entry.message);
    if let Some(component) = entry.component {
        assert!(line.contains(component), "{line:?} has a component of its own: {component:?}");
    }
    assert_eq!(parse(&format!("{line}\r\n")), entry, "{line:?} and the same with its ending differ");
}
