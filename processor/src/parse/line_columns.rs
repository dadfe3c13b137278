//! The columns of a line of any form.

use wulog_schemas::event::Form;

use super::level::LineLevel;
use super::time::LocalTime;

/// A line, split into its columns and its message.
pub(super) struct Columns<'a> {
    pub(super) form: Form,
    pub(super) time: Option<LocalTime>,
    pub(super) pid: Option<u32>,
    pub(super) tid: Option<u32>,
    pub(super) component: Option<&'a str>,
    /// Severity column; Windows Update has none.
    pub(super) level: Option<LineLevel>,
    pub(super) message: &'a str,
}

/// Returns the text without white space at its ends, as [`str::trim`] does. Where both ends are ASCII, no character is
/// decoded.
pub(super) fn trim(text: &str) -> &str {
    let text = text.trim_ascii();
    let is_plain = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_graphic);
    let bytes = text.as_bytes();
    if is_plain(bytes.first()) && is_plain(bytes.last()) { text } else { text.trim() }
}
