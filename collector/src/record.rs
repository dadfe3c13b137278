//! Raw records that wait for their delivery. Key and common header fields are shared; header and value stand in one
//! buffer.
//!
//! All lines of a chunk share host, file, epoch and time of reading. That part of the header is written once, in an
//! [`ChunkOrigin`]; a line adds its place. Building each header from owned strings and serializing it took as long as all of
//! librdkafka.

use std::sync::Arc;

use wulog_schemas::event::hex_digits;
use wulog_schemas::host::HostId;
use wulog_schemas::raw::RawHeader;

/// A raw record of `wulog.raw` as separate parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Record key.
    pub host_id: HostId,
    /// The header.
    pub header: RawHeader,
    /// Record value: the line, or a heartbeat's JSON.
    pub value: Vec<u8>,
}

/// The common part of the records of one chunk.
#[derive(Debug)]
pub struct ChunkOrigin {
    host_id: HostId,
    read_ms: i64,
    /// The header up to the digits of the offset.
    head: Vec<u8>,
    /// The header after the hash, without the closing brace.
    tail: Vec<u8>,
}

/// The part of a header that differs from line to line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinePlace {
    /// See [`RawHeader::offset`].
    pub offset: u64,
    /// See [`RawHeader::end`].
    pub end: u64,
    /// CRC-32 of the line before redaction.
    pub crc: u32,
    /// See [`RawHeader::lossy`].
    pub lossy: bool,
    /// See [`RawHeader::truncated`].
    pub truncated: bool,
}

/// A raw record on its way.
#[derive(Clone, Debug)]
pub struct OutRecord {
    origin: Arc<ChunkOrigin>,
    /// Header and value.
    bytes: Vec<u8>,
    header_bytes: usize,
}

const OFFSET: &[u8] = b",\"offset\":";
/// The JSON that serde writes for a header with offset and end 0.
const NO_PLACE: &str = ",\"offset\":0,\"end\":0";

impl ChunkOrigin {
    /// Returns the common part of a host's records with this header; its place and marks are ignored.
    #[must_use]
    pub fn new(host_id: HostId, header: RawHeader) -> Arc<ChunkOrigin> {
        let read_ms = header.read;
        let header =
            RawHeader { offset: 0, end: 0, hash: String::new(), lossy: false, truncated: false, ..header }.to_bytes();
        let text = std::str::from_utf8(&header).expect("JSON is UTF-8");
        // A quote within a JSON string is escaped, so this text is found only at the fields themselves.
        let at = text.rfind(NO_PLACE).expect("each header has an offset and an end");
        let tail = &header[at + NO_PLACE.len()..header.len() - 1];
        Arc::new(ChunkOrigin { host_id, read_ms, head: [&header[..at], OFFSET].concat(), tail: tail.to_vec() })
    }

    /// Returns the record of a line.
    #[must_use]
    pub fn line(self: &Arc<ChunkOrigin>, place: LinePlace, value: &[u8]) -> OutRecord {
        // 104 bytes hold two numbers of at most 20 digits, the hash, names and marks.
        let mut bytes = Vec::with_capacity(self.head.len() + self.tail.len() + value.len() + 104);
        let mut digits = itoa::Buffer::new();
        bytes.extend_from_slice(&self.head);
        bytes.extend_from_slice(digits.format(place.offset).as_bytes());
        bytes.extend_from_slice(b",\"end\":");
        bytes.extend_from_slice(digits.format(place.end).as_bytes());
        bytes.extend_from_slice(b",\"hash\":\"");
        bytes.extend_from_slice(&hex_digits(place.crc));
        bytes.push(b'"');
        bytes.extend_from_slice(&self.tail);
        if place.lossy {
            bytes.extend_from_slice(b",\"lossy\":true");
        }
        if place.truncated {
            bytes.extend_from_slice(b",\"truncated\":true");
        }
        bytes.push(b'}');
        let header_bytes = bytes.len();
        bytes.extend_from_slice(value);
        OutRecord { origin: self.clone(), bytes, header_bytes }
    }
}

impl OutRecord {
    /// Record key.
    #[must_use]
    pub fn host_id(&self) -> &HostId {
        &self.origin.host_id
    }

    /// The header, as it is shipped.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        &self.bytes[..self.header_bytes]
    }

    /// The line, or a heartbeat.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.bytes[self.header_bytes..]
    }

    /// See [`RawHeader::read`].
    #[must_use]
    pub fn read_ms(&self) -> i64 {
        self.origin.read_ms
    }

    /// Returns the bytes of header and value together.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the same line, cut to `value_bytes_max` and marked as truncated.
    #[must_use]
    pub fn cut(&self, value_bytes_max: usize) -> OutRecord {
        let value = self.value();
        let mut end = value_bytes_max.min(value.len());
        // Cut at the boundary of a character.
        while end > 0 && end < value.len() && value[end] & 0xC0 == 0x80 {
            end -= 1;
        }
        const MARK: &[u8] = b",\"truncated\":true}";
        let header = self.header();
        let unmarked = header.strip_suffix(MARK).unwrap_or(&header[..header.len() - 1]);
        let bytes = [unmarked, MARK, &value[..end]].concat();
        OutRecord { origin: self.origin.clone(), bytes, header_bytes: unmarked.len() + MARK.len() }
    }

    /// Returns the record as separate parts.
    #[must_use]
    pub fn whole(&self) -> RawRecord {
        let header = serde_json::from_slice(self.header()).expect("we wrote it");
        RawRecord { host_id: self.host_id().clone(), header, value: self.value().to_vec() }
    }
}

impl From<RawRecord> for OutRecord {
    fn from(record: RawRecord) -> OutRecord {
        let mut bytes = record.header.to_bytes();
        let header_bytes = bytes.len();
        bytes.extend_from_slice(&record.value);
        let (host_id, read_ms) = (record.host_id, record.header.read);
        OutRecord {
            origin: Arc::new(ChunkOrigin { host_id, read_ms, head: Vec::new(), tail: Vec::new() }),
            bytes,
            header_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wulog_schemas::raw::{Kind, Source};

    use super::*;

    #[test]
    fn a_line_is_cut_between_characters_and_marked() {
        let origin = ChunkOrigin::new(HostId::from_key("k"), RawHeader { v: 1, ..RawHeader::default() });
        let check = |text: &str, max, expect: &str| {
            let record = origin.line(LinePlace { end: 9, ..LinePlace::default() }, text.as_bytes()).cut(max);
            let whole = record.cut(max).whole();
            assert_eq!(
                (whole.value.as_slice(), whole.header.truncated, whole.header.end),
                (expect.as_bytes(), true, 9)
            );
        };
        check("abcdef", 3, "abc");
        check("ab\u{e4}f", 3, "ab");
        check("ab", 3, "ab");
    }

    proptest! {
        /// Headers are equal to those that serde writes of [`RawHeader`].
        #[test]
        fn a_header_is_what_serde_makes_of_it(
            (host, file, epoch) in (".{0,9}", ".{0,30}", "[0-9a-f]{16}"),
            (offset, end, crc) in (any::<u64>(), any::<u64>(), any::<u32>()),
            (lossy, truncated) in any::<(bool, bool)>(),
            (read, utc) in (any::<i64>(), proptest::option::of(-900..900)),
            value in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let source = if lossy { Source::ReportingEvents } else { Source::WindowsUpdate };
            let header = RawHeader {
                v: 1, kind: Kind::Line, host, file, source, epoch, offset, end,
                hash: format!("{crc:08x}"), read, utc, lossy, truncated,
            };
            let origin = ChunkOrigin::new(HostId::from_key("k"), header.clone());
            let record = origin.line(LinePlace { offset, end, crc, lossy, truncated }, &value);
            prop_assert_eq!(String::from_utf8_lossy(record.header()), String::from_utf8(header.to_bytes()).unwrap());
            let whole = RawRecord { host_id: HostId::from_key("k"), header, value };
            prop_assert_eq!(record.whole(), whole.clone());
            prop_assert_eq!(OutRecord::from(whole).header().to_vec(), record.header());
        }
    }
}
