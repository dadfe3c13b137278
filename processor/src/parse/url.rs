//! The URL of a line, and whether a WSUS server answers there.

use super::message::{Facts, bounded};

/// Takes the first URL of `body` and the WSUS server that it names.
pub(super) fn url<'a>(body: &'a str, facts: &mut Facts<'a>) {
    let Some(url) = first(body) else { return };
    facts.url = Some(url);
    if facts.wsus.is_none() && is_wsus(url) {
        facts.wsus = Some(url);
    }
}

/// The first URL: from `http` to a blank, quote or bracket.
fn first(body: &str) -> Option<&str> {
    let bytes = body.as_bytes();
    let at = end_of_scheme(body)?;
    let scheme = bytes[..at].iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let start = at - scheme;
    if !matches!(&body[start..at], "http" | "https" | "HTTP" | "HTTPS") {
        return None;
    }
    let ends = |byte: &u8| matches!(byte, b' ' | b'"' | b'`' | b'\t' | b'\'');
    let end = bytes[start..].iter().position(ends).map_or(body.len(), |end| start + end);
    // A sentence ends in a period or colon, and a bracket closes, that are not the URL's.
    bounded(body[start..end].trim_end_matches(['.', ':', ')', ']', ';', '>', ',']))
}

/// Where `://` stands in `text`. Most texts have few colons, so looking at each costs less than making a search ready.
pub(crate) fn end_of_scheme(text: &str) -> Option<usize> {
    memchr::memchr_iter(b':', text.as_bytes()).find(|at| text[*at..].starts_with("://"))
}

/// A web service of WSUS, unless it is one of Microsoft's own servers that answers.
fn is_wsus(url: &str) -> bool {
    const SERVICES: [&str; 3] = ["/clientwebservice/", "/reportingwebservice/", "/simpleauthwebservice/"];
    const MICROSOFT: [&str; 2] = [".microsoft.com", ".windowsupdate.com"];
    let bytes = url.as_bytes();
    let stands = |at: usize, part: &str| {
        bytes[at..].get(..part.len()).is_some_and(|found| found.eq_ignore_ascii_case(part.as_bytes()))
    };
    // Both are looked for where their first character stands.
    memchr::memchr_iter(b'/', bytes).any(|at| SERVICES.into_iter().any(|part| stands(at, part)))
        && !memchr::memchr_iter(b'.', bytes).any(|at| MICROSOFT.into_iter().any(|part| stands(at, part)))
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
}
