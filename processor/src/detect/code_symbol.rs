//! The symbol of a code, for documents.

use wulog_schemas::hresult;

/// The symbol of a code written as `0x%08x`, where known.
pub(super) fn of(code: &str) -> Option<String> {
    let code = u32::from_str_radix(code.strip_prefix("0x")?, 16).ok()?;
    Some(hresult::lookup(code)?.symbol.to_owned())
}
