//! Facts about the machine in a request to Microsoft's service location.
//!
//! ```text
//! .../SLS/{9482F4B4-...}/x64/10.0.19045.2728/0?CH=584&L=ja-JP;en-US&WUA=10.0.19041.2546&MK=LENOVO&MD=10120
//! ```

use std::borrow::Cow;

use super::facts::{Facts, bounded};

/// Adds the facts of a request in `body`, with or without the server's name before it.
pub(super) fn service_location<'a>(body: &'a str, facts: &mut Facts<'a>) {
    let Some(at) = memchr::memmem::find(body.as_bytes(), b"/SLS/") else { return };
    let request = body[at..].split([' ', '"']).next().unwrap_or_default().trim_end_matches(['>', '.', ',']);
    facts.os_version = facts.os_version.or_else(|| os_build(request));
    facts.client_version = facts.client_version.or_else(|| parameter(request, "WUA="));
    facts.manufacturer = facts.manufacturer.take().or_else(|| parameter(request, "MK=").map(decoded));
    facts.model = facts.model.take().or_else(|| parameter(request, "MD=").map(decoded));
}

fn os_build(request: &str) -> Option<&str> {
    let rest = ["/x64/", "/x86/", "/arm64/", "/ARM64/"].into_iter().find_map(|part| request.split_once(part))?.1;
    let build = rest.split('/').next()?;
    let fits = build.contains('.') && build.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    bounded(build).filter(|_| fits)
}

/// Returns the value of a parameter of the query.
fn parameter<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = request.split_once('?')?;
    query.split('&').find_map(|part| part.strip_prefix(name)).and_then(bounded)
}

/// Decodes a value of a query: `Contoso+Ltd.` is `Contoso Ltd.`, `%2B` is `+`.
fn decoded(value: &str) -> Cow<'_, str> {
    if !value.contains(['+', '%']) {
        return Cow::Borrowed(value);
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = (*byte == b'%').then(|| after.split_at_checked(2)).flatten().and_then(|(digits, after)| {
            let digit = |at: usize| char::from(digits[at]).to_digit(16);
            Some((u8::try_from(digit(0)? * 16 + digit(1)?).ok()?, after))
        });
        let (byte, after) = escaped.unwrap_or((if *byte == b'+' { b' ' } else { *byte }, after));
        bytes.push(byte);
        rest = after;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let check = |body: &str, expect: [Option<&str>; 4]| {
            let mut facts = Facts::default();
            service_location(body, &mut facts);
            let Facts { os_version, client_version, manufacturer, model, .. } = facts;
            assert_eq!([os_version, client_version, manufacturer.as_deref(), model.as_deref()], expect, "{body}");
        };
        let rest = "L=ja-JP;en-US&P=&WUA=10.0.1&MK=A+b%2bc%&MD=10120";
        let expect = [Some("10.0.19045.2728"), Some("10.0.1"), Some("A b+c%"), Some("10120")];
        check(&format!("URL HTTPS://s/SLS/{{G}}/x64/10.0.19045.2728/0?{rest} and send"), expect);
        check(&format!("path used for cache lookup: /SLS/{{G}}/x64/10.0.19045.2728/0?{rest}."), expect);
        check(
            "URL <HTTPS://s/SLS/{<GUID>>}/x64/<build>/0?CH=253&WUA=10.0.20348>. and",
            [None, Some("10.0.20348"), None, None],
        );
        check("/SLS/", [None; 4]);
    }
}
