//! Reading JSON.

use serde::Deserialize;

/// Returns the values and errors of [`serde_json::from_slice`]. UTF-8 is checked once for the whole text and not for
/// each string: the checks took a quarter of the time for the short strings of headers.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(bytes),
    }
}
