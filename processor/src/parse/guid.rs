//! GUIDs, with braces or without.

use wulog_schemas::guid::{GUID_BYTES, is_guid};

/// Position of the first hyphen.
const FIRST_HYPHEN: usize = 8;

/// Returns the GUID at the start of `text`, with braces or not, and the rest.
pub(super) fn take(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('{').unwrap_or(text);
    let guid = inner.as_bytes().first_chunk().filter(|guid| is_guid(guid)).map(|_| &inner[..GUID_BYTES])?;
    let rest = &inner[GUID_BYTES..];
    let rest = if inner.len() < text.len() { rest.strip_prefix('}')? } else { rest };
    Some((guid, rest))
}

/// Returns the positions of the GUIDs in `text`, without braces.
pub(super) fn find_all(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let mut after = 0;
    memchr::memchr_iter(b'-', bytes).filter_map(move |hyphen| {
        let start = hyphen.checked_sub(FIRST_HYPHEN).filter(|start| *start >= after)?;
        let guid = bytes[start..].first_chunk::<GUID_BYTES>().filter(|guid| is_guid(guid))?;
        // A longer run of hex digits and hyphens is not a GUID.
        let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        if is_part(bytes.get(start + guid.len())) || start > 0 && is_part(bytes.get(start - 1)) {
            return None;
        }
        after = start + GUID_BYTES;
        Some(start)
    })
}

/// True for the GUID that stands for "none".
pub(super) fn is_nil(guid: &str) -> bool {
    guid.bytes().all(|byte| matches!(byte, b'0' | b'-'))
}
