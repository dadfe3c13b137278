//! The parts of a raw record: header, key, and the value as text.

use std::borrow::Cow;

use wulog_schemas::raw::{HeaderReader, LineHash, RawHeaderRef, VERSION};

use crate::machine::InRecord;

/// Longest record key; host ids have 32 bytes.
const KEY_BYTES_MAX: usize = 256;

/// The reason why a record is not a line, heartbeat, inventory or tick.
pub(super) struct Malformed(pub(super) String);

/// The header of a record.
pub(super) fn header<'a>(reader: &'a mut HeaderReader, record: &InRecord<'a>) -> Result<RawHeaderRef<'a>, Malformed> {
    let bytes = record.header.ok_or_else(|| Malformed("record has no header wulog".to_owned()))?;
    let header = reader.read(bytes).map_err(|error| Malformed(format!("header is not JSON of its schema: {error}")))?;
    if header.v != VERSION {
        return Err(Malformed(format!("contract version {} is not supported, only {VERSION}", header.v)));
    }
    Ok(header)
}

/// The key of a record: the host id.
pub(super) fn key<'a>(record: &InRecord<'a>) -> Result<&'a str, Malformed> {
    let key = std::str::from_utf8(record.key).map_err(|_| Malformed("key is not UTF-8".to_owned()))?;
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Malformed(format!("key has {} bytes, not 1 to {KEY_BYTES_MAX}", key.len())));
    }
    Ok(key)
}

/// CRC-32 of a line, as its header has it.
pub(super) fn hash_of(header: &RawHeaderRef<'_>, value: &[u8]) -> u32 {
    match &header.hash {
        LineHash::Crc(crc) => *crc,
        LineHash::Text(text) => u32::from_str_radix(text, 16).unwrap_or_else(|_| crc32fast::hash(value)),
    }
}

/// Returns the value of a record as text. Only a value that is not UTF-8 is copied, with its invalid bytes replaced.
pub(super) fn text(value: &[u8]) -> Cow<'_, str> {
    // simdutf8's `basic` check is the fast one; it does not report the place of an error.
    simdutf8::basic::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value), Cow::Borrowed)
}
