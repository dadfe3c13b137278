//! Finds the URL of a line, and decides whether it belongs to a WSUS server.

use super::facts::{Facts, bounded};
use super::find::find;

/// Adds the first URL of `body` and the WSUS server that it names.
pub(super) fn url<'a>(body: &'a str, facts: &mut Facts<'a>) {
    let Some(url) = first(body) else { return };
    facts.url = Some(url);
    if facts.wsus.is_none() && is_wsus(url) {
        facts.wsus = Some(url);
    }
}

/// Returns the first URL of a server: from `http` to a blank, quote or bracket.
fn first(body: &str) -> Option<&str> {
    let mut from = 0;
    // A sentence names few URLs; the bound stops the search in a document that consists of URLs.
    for _ in 0..URLS_MAX {
        let (url, end) = next(body, from)?;
        let is_passed_over =
            |url: &str| is_name(url) || is_of_proxy(&body[..url.as_ptr().addr() - body.as_ptr().addr()]);
        if !url.is_some_and(is_passed_over) {
            return bounded(url?);
        }
        from = end;
    }
    None
}

/// How many names of SOAP actions and XML namespaces are skipped before a line counts as one without a URL.
const URLS_MAX: usize = 8;

/// Returns the URL of HTTP at the next `://` from `from` on, if any, and where to continue.
fn next(body: &str, from: usize) -> Option<(Option<&str>, usize)> {
    let bytes = body.as_bytes();
    let at = from + end_of_scheme(&body[from..])?;
    let scheme = bytes[..at].iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let start = at - scheme;
    if !matches!(&body[start..at], "http" | "https" | "HTTP" | "HTTPS") {
        return Some((None, at + "://".len()));
    }
    let ends = |byte: &u8| matches!(byte, b' ' | b'"' | b'`' | b'\t' | b'\'');
    let end = bytes[start..].iter().position(ends).map_or(body.len(), |end| start + end);
    // A final period or colon belongs to the sentence, and a closing bracket to its opening one, not to the URL.
    Some((Some(body[start..end].trim_end_matches(['.', ':', ')', ']', ';', '>', ','])), end))
}

/// True for a URL that names a SOAP action or an XML namespace: no server answers there.
fn is_name(url: &str) -> bool {
    const NAMES: [&str; 5] =
        ["www.microsoft.com/softwaredistribution/", "schemas.", "www.w3.org/", "tempuri.org/", "docs.oasis-open.org/"];
    let rest = end_of_scheme(url).map_or(url, |at| &url[at + "://".len()..]);
    NAMES
        .into_iter()
        .any(|name| rest.as_bytes().get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes())))
}

/// True where the words before a URL call it the URL of a proxy, which is not the destination of the client.
fn is_of_proxy(before: &str) -> bool {
    let words = before.trim_end_matches(['<', '\'', '"', '=', ':', ' ']).as_bytes();
    ["proxy", "proxy list", "proxy list used", "proxy server"].into_iter().any(|end| {
        words.len().checked_sub(end.len()).is_some_and(|start| words[start..].eq_ignore_ascii_case(end.as_bytes()))
    })
}

/// Returns the position of `://` in `text`.
pub(crate) fn end_of_scheme(text: &str) -> Option<usize> {
    find(text, "://")
}

/// True for a web service of WSUS, unless the server is one of Microsoft's own.
fn is_wsus(url: &str) -> bool {
    const SERVICES: [&str; 3] = ["/clientwebservice/", "/reportingwebservice/", "/simpleauthwebservice/"];
    const MICROSOFT: [&str; 2] = [".microsoft.com", ".windowsupdate.com"];
    let bytes = url.as_bytes();
    let stands = |at: usize, part: &str| {
        bytes[at..].get(..part.len()).is_some_and(|found| found.eq_ignore_ascii_case(part.as_bytes()))
    };
    // Both are compared where their first character stands.
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
        let action = "http://www.microsoft.com/SoftwareDistribution/Server/ClientWebService/SyncUpdates";
        check(&format!("<Method>\"{action}\"</Method>"), None, false);
        check(&format!("SOAPAction: {action}, sent to http://w:8530/x."), Some("http://w:8530/x"), false);
        check("xmlns=http://schemas.xmlsoap.org/soap/envelope/", None, false);
        check("Send failed. Proxy List used: <http://proxy7:8080> Bypass List used : <>", None, false);
        check("https://w:8531/a.cab failed, using proxy = http://proxy7:8080/", Some("https://w:8531/a.cab"), false);
        check("Using proxy server: http://proxy7:8080, for https://w:8531/a.cab", Some("https://w:8531/a.cab"), false);
        check("://", None, false);
    }
}
