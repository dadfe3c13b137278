//! Reads the signature that a program or a cabinet carries: a message of PKCS #7, as bytes.
//!
//! Only the head of the file and the signature are read, from a file that the caller has opened and checked. crypt32 could
//! find the signature itself, but would open the file once more, by its path.

use std::io::{self, Read, Seek, SeekFrom};

/// Bytes of the head that are read: for a program, the headers up to its directories; a cabinet needs the first 60.
const HEAD_BYTES: usize = 4096;

/// Longest signature. A signature with the chain and a time stamp has some 10 kB; hashes of pages add 100 kB for a
/// large program.
const SIGNATURE_BYTES_MAX: u32 = 1024 * 1024;

/// Returns the signature of a file; `None` where the file is neither a program nor a cabinet, or has no signature.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn signature(file: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let Some((start, len)) = of_program(&head).or_else(|| of_cabinet(&head)) else { return Ok(None) };
    if len > SIGNATURE_BYTES_MAX {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(u64::from(start)))?;
    file.take(u64::from(len)).read_to_end(&mut bytes)?;
    Ok(if head.starts_with(b"MZ") { of_entry(&bytes) } else { whole(&bytes) }.map(<[u8]>::to_vec))
}

/// Returns place and length of the table of signatures in a program, from the PE format's directory 4.
fn of_program(head: &[u8]) -> Option<(u32, u32)> {
    const PE32: u16 = 0x10b;
    const PE32_PLUS: u16 = 0x20b;
    const SIGNATURES: usize = 4;
    if !head.starts_with(b"MZ") {
        return None;
    }
    let pe = u32_at(head, 0x3c)? as usize;
    if head.get(pe..)?.get(..4)? != b"PE\0\0" {
        return None;
    }
    // + 24, since 4 bytes of the mark `PE` and 20 bytes of the file header come before the optional header.
    let optional = pe + 24;
    let directories = match u16_at(head, optional)? {
        PE32 => optional + 96,
        PE32_PLUS => optional + 112,
        _ => return None,
    };
    if u32_at(head, directories - 4)? as usize <= SIGNATURES {
        return None;
    }
    let entry = directories + 8 * SIGNATURES;
    place(u32_at(head, entry)?, u32_at(head, entry + 4)?)
}

/// Returns place and length of the signature of a cabinet, which stand in the reserved part of its header.
fn of_cabinet(head: &[u8]) -> Option<(u32, u32)> {
    const HAS_RESERVED_PART: u16 = 4;
    const RESERVED_BYTES: u16 = 20;
    if !head.starts_with(b"MSCF\0\0\0\0") || u16_at(head, 0x1e)? & HAS_RESERVED_PART == 0 {
        return None;
    }
    if u16_at(head, 0x24)? < RESERVED_BYTES {
        return None;
    }
    // The reserved part begins at 0x28 with four bytes that name its kind.
    place(u32_at(head, 0x2c)?, u32_at(head, 0x30)?)
}

fn place(start: u32, len: u32) -> Option<(u32, u32)> {
    (start > 0 && len > 0).then_some((start, len))
}

/// Returns the first message of PKCS #7 in the table of signatures of a program.
fn of_entry(table: &[u8]) -> Option<&[u8]> {
    const PKCS_SIGNED_DATA: u16 = 2;
    // Bytes of the header: length including this header, revision, kind.
    const HEADER_BYTES: usize = 8;
    let mut rest = table;
    loop {
        let len = u32_at(rest, 0)? as usize;
        let entry = rest.get(..len)?.get(HEADER_BYTES..)?;
        if u16_at(rest, 6)? == PKCS_SIGNED_DATA {
            return whole(entry);
        }
        // Entries begin at multiples of 8.
        rest = rest.get(len.next_multiple_of(8)..)?;
    }
}

/// Returns the message without the padding after it: a DER sequence contains its length.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    let (&tag, &first) = (bytes.first()?, bytes.get(1)?);
    let (head, len) = match first {
        ..=0x7f => (2, usize::from(first)),
        // The number of bytes of the length follows.
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            (2 + count, bytes.get(2..2 + count)?.iter().fold(0, |len, byte| (len << 8) | usize::from(*byte)))
        }
        _ => return None,
    };
    (tag == SEQUENCE).then(|| bytes.get(..head.checked_add(len)?)).flatten()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?).map(|two| u16::from_le_bytes([two[0], two[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    /// A message of 5 bytes.
    const MESSAGE: [u8; 5] = [0x30, 3, 1, 2, 3];

    fn cabinet(message: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..4].copy_from_slice(b"MSCF");
        file[0x1e] = 4;
        file[0x24] = 20;
        file[0x2c..0x30].copy_from_slice(&64u32.to_le_bytes());
        file[0x30..0x34].copy_from_slice(&(message.len() as u32).to_le_bytes());
        file.extend(message);
        file
    }

    fn program(magic: u16, table: &[u8]) -> Vec<u8> {
        let (optional, directories) = (0x80 + 24, if magic == 0x10b { 96 } else { 112 });
        let mut file = vec![0; 512];
        file[..2].copy_from_slice(b"MZ");
        file[0x3c] = 0x80;
        file[0x80..0x84].copy_from_slice(b"PE\0\0");
        file[optional..optional + 2].copy_from_slice(&magic.to_le_bytes());
        file[optional + directories - 4] = 16;
        let entry = optional + directories + 32;
        file[entry..entry + 4].copy_from_slice(&512u32.to_le_bytes());
        file[entry + 4..entry + 8].copy_from_slice(&(table.len() as u32).to_le_bytes());
        file.extend(table);
        file
    }

    /// An entry of the table of a program.
    fn entry(kind: u8, message: &[u8]) -> Vec<u8> {
        let mut entry = ((8 + message.len()) as u32).to_le_bytes().to_vec();
        entry.extend([0, 2, kind, 0]);
        entry.extend(message);
        entry.resize(entry.len().next_multiple_of(8), 0);
        entry
    }

    fn found(file: Vec<u8>) -> Option<Vec<u8>> {
        signature(&mut Cursor::new(file)).unwrap()
    }

    #[test]
    fn the_message_is_found_without_what_fills_up_behind_it() {
        let padded: Vec<u8> = MESSAGE.iter().copied().chain([0, 0]).collect();
        assert_eq!(found(cabinet(&padded)), Some(MESSAGE.to_vec()));
        for magic in [0x10b, 0x20b] {
            assert_eq!(found(program(magic, &entry(2, &MESSAGE))), Some(MESSAGE.to_vec()));
            let second = [entry(1, &[9; 3]), entry(2, &padded)].concat();
            assert_eq!(found(program(magic, &second)), Some(MESSAGE.to_vec()));
        }
    }

    #[test]
    fn a_file_without_a_whole_signature_has_none() {
        let mut unsigned = cabinet(&MESSAGE);
        unsigned[0x1e] = 0;
        let mut endless = cabinet(&MESSAGE);
        endless[0x30..0x34].copy_from_slice(&u32::MAX.to_le_bytes());
        let cut = cabinet(&MESSAGE[..4]);
        let other = program(0x107, &entry(2, &MESSAGE));
        let endless_table = program(0x20b, &[0, 0, 0, 0, 0, 2, 1, 0]);
        for file in [unsigned, endless, cut, other, endless_table, Vec::new(), b"MZ".to_vec(), MESSAGE.to_vec()] {
            assert_eq!(found(file), None);
        }
    }

    /// What osslsigncode takes out of the same files; `make.sh` beside them made both.
    #[test]
    fn the_message_is_the_one_that_osslsigncode_extracts() {
        let cabinet: &[u8] = include_bytes!("../../tests/windows/signed/chain.cab");
        let program: &[u8] = include_bytes!("../../tests/windows/signed/stamped.exe");
        let unsigned: &[u8] = include_bytes!("../../tests/windows/signed/unsigned.cab");
        assert_eq!(found(cabinet.to_vec()).unwrap(), include_bytes!("../../tests/windows/signed/chain.p7"));
        assert_eq!(found(program.to_vec()).unwrap(), include_bytes!("../../tests/windows/signed/stamped.p7"));
        assert_eq!(found(unsigned.to_vec()), None);
    }

    proptest! {
        /// A file may hold anything.
        #[test]
        fn any_bytes_are_read(
            start in prop_oneof![Just(program(0x20b, &entry(2, &MESSAGE))), Just(cabinet(&MESSAGE))],
            changes in prop::collection::vec((0usize..560, any::<u8>()), 0..12),
            len in 0usize..600,
        ) {
            let mut file = start;
            for (at, byte) in changes {
                if let Some(place) = file.get_mut(at) {
                    *place = byte;
                }
            }
            file.truncate(len);
            let whole = file.clone();
            if let Some(found) = found(file) {
                prop_assert!(whole.windows(found.len()).any(|window| window == found));
            }
        }
    }
}
