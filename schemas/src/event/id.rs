//! `event.id`: a line has the same id in every run, and the ids of one file sort in the order of its lines.
//!
//! A SHA-256 for each line costs as much as parsing the line, so the part that all lines of a file share is hashed
//! once.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::signal::RawPosition;

/// A file of a host within one epoch: the first part of the ids of its lines. 96 bits of a SHA-256 suffice to keep all
/// files of a fleet apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId([u8; 12]);

impl FileId {
    /// The id of a file by host id, path and epoch.
    #[must_use]
    pub fn new(host: &str, file: &str, epoch: &str) -> FileId {
        let mut hasher = Sha256::new();
        for part in ["event", host, file, epoch] {
            hasher.update(part.as_bytes());
            hasher.update([0]);
        }
        FileId(head(hasher))
    }

    /// The first part of the id for a second line at the same position: the first line has the plain id.
    #[must_use]
    pub fn rewound(self, line_hash: u32) -> FileId {
        let mut hasher = Sha256::new();
        hasher.update(b"rewound\0");
        hasher.update(self.0);
        hasher.update(line_hash.to_be_bytes());
        FileId(head(hasher))
    }

    /// The id of the line that begins at a logical offset.
    #[must_use]
    pub fn line(self, offset: u64) -> EventId {
        EventId { file: self, offset }
    }
}

/// The id of a line: 40 lower-case hex digits, 24 of its file and 16 of its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventId {
    file: FileId,
    offset: u64,
}

impl EventId {
    /// The id as documents write it.
    #[must_use]
    pub fn to_hex(self) -> [u8; 40] {
        let mut words = [0; 20];
        words[..12].copy_from_slice(&self.file.0);
        words[12..].copy_from_slice(&self.offset.to_be_bytes());
        let mut hex = [0; 40];
        for (digits, word) in hex.as_chunks_mut().0.iter_mut().zip(words.as_chunks().0) {
            *digits = hex_digits(u32::from_be_bytes(*word));
        }
        hex
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_hex().iter().try_for_each(|digit| fmt::Write::write_char(f, char::from(*digit)))
    }
}

/// The id of an attempt, from its host, its subject and the id of its first line: 40 hex digits, like the id of a line.
#[must_use]
pub fn attempt_id(host: &str, subject: &str, first_line: &str) -> String {
    let mut hasher = Sha256::new();
    for part in ["attempt", host, subject, first_line] {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    HEXLOWER.encode(&hasher.finalize()[..20])
}

/// The id of an event of an inventory: 40 hex digits of the SHA-256 over host, raw position, store, thumbprint and action.
#[must_use]
pub fn certificate_event_id(host: &str, raw: RawPosition, store: &str, sha1: &str, action: &str) -> String {
    let mut hasher = Sha256::new();
    for part in ["certificate", host, store, sha1, action] {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hasher.update(raw.partition.to_be_bytes());
    hasher.update(raw.offset.to_be_bytes());
    HEXLOWER.encode(&hasher.finalize()[..20])
}

/// The id of a raw record that is not a line: 24 hex digits.
#[must_use]
pub fn pipeline_error_id(raw: RawPosition) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"pipeline_error\0");
    hasher.update(raw.partition.to_be_bytes());
    hasher.update(raw.offset.to_be_bytes());
    HEXLOWER.encode(&head(hasher))
}

/// The eight lower-case hex digits of a number, all of them at once: each half byte is spread to a byte of its own, and
/// those above nine are moved on from `9` to `a`.
#[must_use]
pub fn hex_digits(value: u32) -> [u8; 8] {
    const ONES: u64 = u64::MAX / 255;
    let mut digits = u64::from(value);
    digits = (digits << 16 | digits) & 0x0000_ffff_0000_ffff;
    digits = (digits << 8 | digits) & 0x00ff_00ff_00ff_00ff;
    digits = (digits << 4 | digits) & 0x0f0f_0f0f_0f0f_0f0f;
    let above_nine = (digits + 6 * ONES) >> 4 & ONES;
    let letters = u64::from(b'a' - b'9' - 1);
    (digits + ONES * u64::from(b'0') + above_nine * letters).to_be_bytes()
}

fn head(hasher: Sha256) -> [u8; 12] {
    let digest = hasher.finalize();
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected digests are those of sha256sum: `printf 'event\0a\0b\0c\0' | sha256sum`, and for a rewound line
    /// `(printf 'rewound\0'; printf 'event\0a\0b\0c\0' | sha256sum | cut -c-24 | xxd -r -p; printf '\0\0\0\7') | sha256sum`.
    #[test]
    fn an_id_is_a_digest_of_the_file_and_the_offset() {
        let file = FileId::new("a", "b", "c");
        for (id, expect) in [
            (file.line(1), "9aee0b15b01ed0aa25def2db0000000000000001"),
            (file.line(u64::MAX), "9aee0b15b01ed0aa25def2dbffffffffffffffff"),
            (file.rewound(7).line(1), "f3b086a1247f175aeb2fcdc00000000000000001"),
        ] {
            assert_eq!(id.to_string(), expect);
        }
    }

    #[test]
    fn an_id_depends_on_every_part_of_the_identity() {
        let file = FileId::new("a", "b", "c");
        let ids = [
            file,
            FileId::new("x", "b", "c"),
            FileId::new("a", "x", "c"),
            FileId::new("a", "b", "x"),
            file.rewound(7),
            file.rewound(8),
        ];
        let mut ids: Vec<String> = ids.iter().map(|file| file.line(1).to_string()).collect();
        ids.push(file.line(2).to_string());
        ids.push(pipeline_error_id(RawPosition { partition: 1, offset: 1 }));
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
    }

    /// The expected digest is that of `printf 'attempt\0a\0update:b\0c\0' | sha256sum | cut -c-40`.
    #[test]
    fn an_attempt_is_known_by_host_subject_and_first_line() {
        assert_eq!(attempt_id("a", "update:b", "c"), "bd50ed49389aedb69f6903f1f774bb06eb62cacb");
        assert_ne!(attempt_id("a", "update:b", "c"), attempt_id("a", "update:bc", ""));
    }

    #[test]
    fn digits_are_those_of_the_standard_formatter() {
        for bit in 0..32 {
            for value in
                [1_u32 << bit, u32::MAX >> bit, 0x0123_4567_u32.rotate_left(bit), 0x89ab_cdef_u32.rotate_left(bit)]
            {
                assert_eq!(std::str::from_utf8(&hex_digits(value)), Ok(&*format!("{value:08x}")));
            }
        }
    }

    #[test]
    fn ids_of_one_file_sort_as_its_lines() {
        let file = FileId::new("a", "b", "c");
        let ids = [0, 9, 10, 0xffff, 0x1_0000, u64::MAX].map(|offset| file.line(offset).to_string());
        assert!(ids.is_sorted(), "{ids:?}");
    }
}
