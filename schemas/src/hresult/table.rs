//! The table of codes: `schemas/hresult/codes.tsv`, read once at first use.
//!
//! The file is the only place that names codes; a generated Rust table would be a second place to keep up to date.
//! Reading the file takes well below a millisecond.

use std::sync::LazyLock;

use hashbrown::HashMap;

use super::{Family, KnownCode};
use crate::host::hex_digest_bytes;

const TEXT: &str = include_str!("../../hresult/codes.tsv");

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(TEXT));

/// The entries in the order of their codes, and the place of each code. A line that failed looks its codes up several
/// times, and a binary search over 1,700 codes mispredicts half of its eleven steps.
struct Table {
    entries: Vec<KnownCode>,
    places: HashMap<u32, usize>,
}

impl Table {
    fn read(text: &'static str) -> Self {
        let rows = text.lines().filter(|line| !line.starts_with('#'));
        let entries: Vec<KnownCode> =
            rows.map(|line| row(line).unwrap_or_else(|| panic!("codes.tsv: {line}"))).collect();
        let places = entries.iter().enumerate().map(|(at, entry)| (entry.code, at)).collect();
        Self { entries, places }
    }
}

/// The entry of `code`.
#[must_use]
pub fn lookup(code: u32) -> Option<&'static KnownCode> {
    let table = &*TABLE;
    table.places.get(&code).map(|at| &table.entries[*at])
}

/// First 16 hex digits of the SHA-256 of the table.
#[must_use]
pub fn table_hash() -> String {
    hex_digest_bytes(TEXT.as_bytes())[..16].to_owned()
}

/// Every known code, in order.
#[must_use]
pub fn entries() -> &'static [KnownCode] {
    &TABLE.entries
}

/// Parses one row: `code TAB symbol TAB family TAB source of the name TAB text`.
fn row(line: &'static str) -> Option<KnownCode> {
    let mut fields = line.split('\t');
    let code = u32::from_str_radix(fields.next()?, 16).ok()?;
    let symbol = fields.next()?;
    let family = match fields.next()? {
        "-" => None,
        name => Some(Family::ALL.into_iter().find(|family| family.as_str() == name)?),
    };
    let _source = fields.next()?;
    let text = fields.next()?;
    fields.next().is_none().then_some(KnownCode { code, symbol, text, family })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_no_code_stands_twice() {
        assert!(entries().windows(2).all(|pair| pair[0].code < pair[1].code));
    }

    #[test]
    fn every_code_has_a_text() {
        for entry in entries() {
            assert!(entry.text.len() > 3 && entry.text.trim() == entry.text, "{:08X}", entry.code);
            assert!(entry.symbol.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{}", entry.symbol);
        }
    }

    #[test]
    fn rows_that_are_wrong_are_refused() {
        let cases = ["", "80070005", "8007000G\tA\t-\twindows\tx", "80070005\tA\tnone\twindows\tx", "1\tA\t-\tb\tc\td"];
        for line in cases {
            assert_eq!(row(line), None, "{line}");
        }
    }
}
