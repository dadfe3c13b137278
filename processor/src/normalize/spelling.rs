//! One spelling for the texts that are compared: lower case, servers without scheme, user and path.

use std::borrow::Cow;

use crate::parse::end_of_scheme;

/// The text in lower case; a copy only where the text has an upper-case letter.
pub(super) fn lower(text: &str) -> Cow<'_, str> {
    let is_lower = if text.is_ascii() {
        !text.bytes().any(|byte| byte.is_ascii_uppercase())
    } else {
        !text.chars().any(char::is_uppercase)
    };
    if is_lower { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

/// `host[:port]` of a URL, lower case, as a WSUS server is named.
pub(super) fn server_of_url(url: &str) -> Option<Cow<'_, str>> {
    let rest = &url[end_of_scheme(url)? + "://".len()..];
    let end = memchr::memchr3(b'/', b'?', b'#', rest.as_bytes()).unwrap_or(rest.len());
    let server = &rest[..end];
    let server = &server[memchr::memrchr(b'@', server.as_bytes()).map_or(0, |at| at + 1)..];
    let is_of_name =
        |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c) || !c.is_ascii() && c.is_alphanumeric();
    let fits = !server.is_empty() && server.chars().all(is_of_name);
    fits.then(|| lower(server))
}
