//! GUIDs, with braces or without.

/// Length of a GUID without braces.
pub(super) const GUID_BYTES: usize = 36;

/// Position of the first hyphen.
const FIRST_HYPHEN: usize = 8;

/// Returns the GUID at the start of `text`, with braces or not, and the rest.
pub(super) fn take(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('{').unwrap_or(text);
    let guid = inner.get(..GUID_BYTES).filter(|guid| is_guid(guid.as_bytes()))?;
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
        let guid = bytes.get(start..start + GUID_BYTES).filter(|guid| is_guid(guid))?;
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

fn is_guid(text: &[u8]) -> bool {
    // The hyphens are checked first, since most texts lack them.
    [8, 13, 18, 23].into_iter().all(|at| text[at] == b'-')
        && text.iter().enumerate().all(|(at, byte)| matches!(at, 8 | 13 | 18 | 23) || byte.is_ascii_hexdigit())
}
