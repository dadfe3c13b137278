//! Reads JSON.

use serde::Deserialize;

/// As [`serde_json::from_slice`]: the same values and the same errors. It checks once that all is UTF-8 and not once for
/// each string, which took a quarter of the time for the short strings of headers.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(bytes),
    }
}
