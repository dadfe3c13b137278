//! URLs of a line, and what they say of server and machine.

use super::message::{Facts, bounded};

/// Takes the first URL of `body` and what it tells.
pub(super) fn url<'a>(body: &'a str, facts: &mut Facts<'a>) {
    let Some(url) = first(body) else { return };
    facts.url = Some(url);
    if let Some(build) = os_build(url) {
        facts.os_version = facts.os_version.or(Some(build));
        facts.manufacturer = facts.manufacturer.or_else(|| parameter(url, "MK="));
        facts.model = facts.model.or_else(|| parameter(url, "MD="));
    }
    if facts.wsus.is_none() && is_wsus(url) {
        facts.wsus = Some(url);
    }
}

/// The first URL: from `http` to a blank, quote or bracket.
fn first(body: &str) -> Option<&str> {
    let bytes = body.as_bytes();
    let at = memchr::memmem::find(bytes, b"://")?;
    let scheme = bytes[..at].iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let start = at - scheme;
    if !matches!(&body[start..at], "http" | "https" | "HTTP" | "HTTPS") {
        return None;
    }
    let end = body[start..].find([' ', '"', '>', '`', '\t', ',', '\'', '<']).map_or(body.len(), |end| start + end);
    // A sentence ends in a period or colon that is not the URL's.
    bounded(body[start..end].trim_end_matches(['.', ':', ')', ']', ';']))
}

/// `https://slscr.../SLS/{...}/x64/10.0.19045.2728/0?...` names the build.
fn os_build(url: &str) -> Option<&str> {
    let rest = ["/x64/", "/x86/", "/arm64/", "/ARM64/"].into_iter().find_map(|part| url.split_once(part))?.1;
    let build = rest.split('/').next()?;
    let fits = build.contains('.') && build.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    fits.then_some(build)
}

/// Value of a parameter of the query.
fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|part| part.strip_prefix(name)).filter(|value| !value.is_empty())
}

/// A web service of WSUS, unless it is one of Microsoft's own servers that answers.
fn is_wsus(url: &str) -> bool {
    const SERVICES: [&str; 3] = ["/clientwebservice/", "/reportingwebservice/", "/simpleauthwebservice/"];
    const MICROSOFT: [&str; 2] = [".microsoft.com", ".windowsupdate.com"];
    let holds =
        |part: &str| url.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()));
    SERVICES.into_iter().any(holds) && !MICROSOFT.into_iter().any(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let check = |body: &str, expect: Option<&str>, wsus: bool| {
            let mut facts = Facts::default();
            url(body, &mut facts);
            assert_eq!((facts.url, facts.wsus.is_some()), (expect, wsus), "{body}");
        };
        check("failed for <http://w/a.cab>. error", Some("http://w/a.cab"), false);
        check(
            "URL: \"http://w:8530/ClientWebService/client.asmx\"",
            Some("http://w:8530/ClientWebService/client.asmx"),
            true,
        );
        check(
            "URL: http://w:8530/clientwebservice/client.asmx\"\"",
            Some("http://w:8530/clientwebservice/client.asmx"),
            true,
        );
        check(
            "path: https://fe3.delivery.mp.microsoft.com/ClientWebService/client.asmx.",
            Some("https://fe3.delivery.mp.microsoft.com/ClientWebService/client.asmx"),
            false,
        );
        check("`http://w/a`", Some("http://w/a"), false);
        check("ftp://w/a", None, false);
        check("://", None, false);
    }

    #[test]
    fn what_a_service_location_url_tells() {
        let mut facts = Facts::default();
        url(
            "URL HTTPS://slscr.update.microsoft.com/SLS/{G}/x64/10.0.19045.2728/0?CH=584&L=ja-JP;en-US&P=&WUA=10.0.1&MK=LENOVO&MD=10120 and",
            &mut facts,
        );
        assert_eq!(
            (facts.os_version, facts.manufacturer, facts.model),
            (Some("10.0.19045.2728"), Some("LENOVO"), Some("10120"))
        );
    }
}
