//! CSV files for spreadsheets. `hosts.csv` has one row for each affected host (RFC 4180, UTF-8 with byte order mark).
//!
//! The byte order mark makes Excel and LibreOffice detect the encoding. A host name or a fact may be any text, so a
//! cell that a spreadsheet would take for a formula begins with an apostrophe and is read as text.

use std::collections::BTreeSet;

use wulog_schemas::alert::UtcTime;
use wulog_schemas::visible::visible;

use super::AffectedHost;

/// The byte order mark, by which spreadsheets detect UTF-8.
pub(crate) const BYTE_ORDER_MARK: &str = "\u{feff}";
/// Maximum number of columns of facts; a fleet has about ten dimensions, and labels of its own.
const DIMENSIONS_MAX: usize = 60;

/// The rows of all hosts.
pub(crate) fn csv(hosts: &[AffectedHost]) -> Vec<u8> {
    let names: BTreeSet<&str> = hosts.iter().flat_map(|host| host.dimensions.keys().map(String::as_str)).collect();
    let dimensions: Vec<&str> = names.into_iter().take(DIMENSIONS_MAX).collect();
    let mut text = BYTE_ORDER_MARK.to_owned();
    let head = ["host", "first_failure", "code", "subject", "title", "recovered", "raw_partition", "raw_offset"];
    row(&mut text, head.iter().chain(&dimensions).map(|name| (*name).to_owned()));
    for host in hosts {
        let time = |ms: Option<i64>| ms.map(|ms| UtcTime(ms).to_string()).unwrap_or_default();
        let (partition, offset) =
            host.raw.map(|raw| (raw.partition.to_string(), raw.offset.to_string())).unwrap_or_default();
        let own = [
            host.name.clone(),
            time(host.first_failure),
            host.code.clone(),
            host.subject.clone(),
            host.title.clone(),
            time(host.recovered),
            partition,
            offset,
        ];
        let facts = dimensions.iter().map(|name| host.dimensions.get(*name).cloned().unwrap_or_default());
        row(&mut text, own.into_iter().chain(facts));
    }
    text.into_bytes()
}

/// Appends a row of cells that cannot act as formulas.
pub(crate) fn row(text: &mut String, cells: impl Iterator<Item = String>) {
    for (at, value) in cells.enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&cell(&value));
    }
    text.push_str("\r\n");
}

/// A cell that cannot act as a formula, quoted if necessary.
fn cell(value: &str) -> String {
    let seen = visible(value);
    let is_formula =
        seen.trim_start().starts_with(['=', '+', '-', '@', '|', '%', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
    let inert = if is_formula { format!("'{seen}") } else { seen.into_owned() };
    match inert.contains([',', '"', '\'', ';']) || inert.starts_with(' ') || inert.ends_with(' ') {
        true => format!("\"{}\"", inert.replace('"', "\"\"")),
        false => inert,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_inert_and_cells_are_quoted() {
        for (value, expect) in [
            ("pc-1", "pc-1"),
            ("", ""),
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            (" =1+1", "\"' =1+1\""),
            ("+49", "\"'+49\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("b\u{fc}ro", "b\u{fc}ro"),
            ("two\r\nlines", "two\\r\\nlines"),
        ] {
            assert_eq!(cell(value), expect, "{value:?}");
        }
    }

    #[test]
    fn each_host_has_a_row_of_all_columns() {
        let host = |name: &str, dimensions: &[(&str, &str)]| AffectedHost {
            name: name.to_owned(),
            first_failure: Some(1_573_430_400_000),
            dimensions: dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..AffectedHost::default()
        };
        let text = csv(&[host("pc-1", &[("wsus", "w1")]), host("pc-2", &[("label.site", "Z\u{fc}rich")])]);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text,
            "\u{feff}host,first_failure,code,subject,title,recovered,raw_partition,raw_offset,label.site,wsus\r\n\
             pc-1,2019-11-11T00:00:00.000Z,,,,,,,,w1\r\n\
             pc-2,2019-11-11T00:00:00.000Z,,,,,,,Z\u{fc}rich,\r\n"
        );
    }
}
