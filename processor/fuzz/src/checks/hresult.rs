//! Any text may hold a code.

use wulog_schemas::hresult::{display, family, find_hresult, lookup, parse_hresult};

/// No text is too odd to be searched, and a code that was found is found again as documents write it.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for code in [find_hresult(&text), parse_hresult(&text)].into_iter().flatten() {
        assert_eq!(parse_hresult(&display(code)), Some(code), "{text:?}");
        assert_eq!(family(code), lookup(code).and_then(|known| known.family));
        if let Some(known) = lookup(code) {
            assert_eq!(known.code, code, "{text:?}");
        }
    }
}
