//! GUIDs, with braces or without.

/// Length of a GUID without braces.
pub(super) const GUID_BYTES: usize = 36;

/// The GUID at the head of `text`, braces or not, and the rest.
pub(super) fn take(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('{').unwrap_or(text);
    let guid = inner.get(..GUID_BYTES).filter(|guid| is_guid(guid))?;
    let rest = &inner[GUID_BYTES..];
    let rest = if inner.len() < text.len() { rest.strip_prefix('}')? } else { rest };
    Some((guid, rest))
}

/// The GUID and revision at the head of `text`: `{G}.201`, `G.201`, `{G}`.
pub(super) fn take_revised(text: &str) -> Option<(&str, Option<u32>)> {
    let (guid, rest) = take(text)?;
    let revision = rest.strip_prefix('.').and_then(|rest| {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        rest[..digits].parse().ok()
    });
    Some((guid, revision))
}

/// True for the GUID that stands for "none".
pub(super) fn is_nil(guid: &str) -> bool {
    guid.bytes().all(|byte| matches!(byte, b'0' | b'-'))
}

fn is_guid(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}
