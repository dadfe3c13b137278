//! Finds `Key = value` and `Key: value` at their `=` and `:`, so that one pass serves all keys.

use std::borrow::Cow;
use std::ops::Range;

use super::facts::{Facts, MessageSubject, bounded};
use super::name_mask;
use super::words::Words;

/// Adds the values of `body`, and the known words that contain an `=` or `:`, to `facts`. Returns where the first value
/// stands that is a name. Text inside of a name that looks like a key is skipped.
pub(super) fn pairs<'a>(body: &'a str, facts: &mut Facts<'a>) -> Option<Range<usize>> {
    let mut name: Option<Range<usize>> = None;
    for at in memchr::memchr2_iter(b'=', b':', body.as_bytes()) {
        facts.words = facts.words.or(word_around(body.as_bytes(), at));
        if name.as_ref().is_some_and(|name| at < name.end) {
            continue;
        }
        let key = body[..at].trim_end();
        let value = body[at + 1..].trim_start();
        if facts.subject.is_none() {
            facts.subject = subject(key);
        }
        if value.is_empty() {
            continue;
        }
        if let Some(found) = name_mask::of_key(body, key, body.len() - value.len()) {
            if key.ends_with("itle") {
                let title = body[found.clone()].trim_end().trim_matches('"');
                facts.title = bounded(title).filter(|title| *title != "<NULL>");
            }
            name.get_or_insert(found);
            continue;
        }
        // The last letter selects the candidates, which are then compared in full.
        match key.as_bytes().last() {
            Some(b'e') if key.ends_with("Access type") => facts.no_proxy |= value.starts_with("No proxy"),
            Some(b'd') if is_caller(key) => caller(value, facts),
            Some(b'd') if key.ends_with("Computer Brand") => {
                facts.manufacturer = bounded(value.trim_end()).map(Cow::Borrowed)
            }
            Some(b'd') if key.ends_with("Proxy List used") => proxy(value, facts),
            Some(b't') if ends_with(key, "proxy list") => proxy(value, facts),
            Some(b'r') if ends_with(key, "proxy server") => proxy(value, facts),
            Some(b'l') if key.ends_with("Computer Model") => facts.model = bounded(value.trim_end()).map(Cow::Borrowed),
            Some(b'L') if key.ends_with(" URL") && key.contains("WSUS ") => {
                facts.wsus = bounded(value.trim_matches(['"', ' ']));
            }
            Some(b'n') if key.ends_with("OS Version") => facts.os_version = bounded(value.trim_end()),
            Some(b'p') if ends_with(key, "target group") || ends_with(key, "targetgroup") => {
                facts.target_group = group(value);
            }
            Some(b'r') if key.ends_with("WSUS server") => facts.wsus = bounded(value.trim_end()),
            Some(b'y') if ends_with(key, "proxy") => proxy(value, facts),
            _ => {}
        }
    }
    name
}

/// Returns the known words of `body` that contain an `=` or `:`.
pub(super) fn words_of_marks(body: &str) -> Words {
    let marks = memchr::memchr2_iter(b'=', b':', body.as_bytes());
    marks.fold(Words::default(), |words, at| words.or(word_around(body.as_bytes(), at)))
}

/// Returns the known word around the `=` or `:` at `at`.
fn word_around(body: &[u8], at: usize) -> Words {
    let (before, mark) = body.split_at(at);
    match mark {
        [b':', ..] if before.ends_with(b"cV") => Words::CORRELATION,
        [b'=', ..] if before.ends_with(b"cV ") => Words::CORRELATION,
        [b':', b'/', b'/', ..] => Words::URL,
        _ => Words::default(),
    }
}

fn is_caller(key: &str) -> bool {
    key.ends_with("CallerId") || key.ends_with("ClientId") && !key.ends_with("SusClientId")
}

/// `CcmExec  Id = 1]`, `Azure VM Guest Patching  Id = 12 (cV = x.1)`, `<NULL>`
fn caller<'a>(value: &'a str, facts: &mut Facts<'a>) {
    let end = memchr::memchr3(b']', b'(', b',', value.as_bytes()).unwrap_or(value.len());
    let caller = ["  ", " Id = ", " Call ID = "].into_iter().fold(&value[..end], before);
    let caller = caller.trim();
    facts.caller = bounded(caller).filter(|caller| *caller != "<NULL>" && *caller != "NULL");
}

/// Returns the text before `mark`, which begins with a space; all of the text where it has no mark.
fn before<'a>(text: &'a str, mark: &str) -> &'a str {
    let end = memchr::memchr_iter(b' ', text.as_bytes()).find(|at| text[*at..].starts_with(mark));
    &text[..end.unwrap_or(text.len())]
}

/// True for a key that ends with `end`, in any case, where `end` is the whole key or follows a character that is
/// neither letter nor digit.
fn ends_with(key: &str, end: &str) -> bool {
    let Some(start) = key.len().checked_sub(end.len()) else { return false };
    let bytes = key.as_bytes();
    bytes[start..].eq_ignore_ascii_case(end.as_bytes()) && (start == 0 || !bytes[start - 1].is_ascii_alphanumeric())
}

/// `special-07, DNS name = pc77.corp.example`: a group ends where the next key begins.
fn group(value: &str) -> Option<&str> {
    let next_key = memchr::memchr_iter(b',', value.as_bytes()).find(|at| {
        let rest = &value[at + 1..];
        rest.starts_with(' ') && rest.contains([' ', '=']) && memchr::memchr(b'=', rest.as_bytes()).is_some()
    });
    let group = value[..next_key.unwrap_or(value.len())].trim().trim_matches(['"', '\'']);
    bounded(group).filter(|group| !is_none(group))
}

/// `test:80`, `<Test:80 > Bypass List used : <(null)>`, `elmtree:8080, bypass = <NULL>`, `'(null)', Bypass List: '(null)'`
fn proxy<'a>(value: &'a str, facts: &mut Facts<'a>) {
    let inner = match value.as_bytes().first() {
        Some(b'<') => value[1..].split_once('>').map(|(inner, _)| inner),
        Some(quote @ (b'\'' | b'"')) => value[1..].split_once(char::from(*quote)).map(|(inner, _)| inner),
        _ => None,
    };
    let is_enclosed = inner.is_some();
    let inner = inner.unwrap_or_else(|| value.split([',', ';']).next().unwrap_or(value)).trim();
    if is_none(inner) || is_enclosed && inner.is_empty() {
        facts.no_proxy = true;
        return;
    }
    let inner = inner.trim_end_matches(['.', '/', ';']);
    let inner = inner.strip_prefix("http://").or_else(|| inner.strip_prefix("https://")).unwrap_or(inner);
    // The name of a server is one word, so a sentence after the key is not a server. `http=a:80;https=b:80` has a
    // server for each protocol.
    let by_protocol = inner.starts_with("http=") || inner.starts_with("https=");
    let is_list = is_enclosed && inner.split([' ', ';']).all(|part| part.is_empty() || has_port(part));
    let is_server = (is_list || !inner.contains([' ', '\t'])) && (by_protocol || !inner.contains('='));
    if let Some(proxy) = bounded(inner).filter(|_| is_server) {
        facts.proxy = Some(proxy);
    }
}

/// True for `HOST:PORT`.
fn has_port(server: &str) -> bool {
    server.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// True for the spellings of a missing value.
fn is_none(value: &str) -> bool {
    ["(null)", "null", "<null>", "none", "(none)", "<none>", "<>"]
        .into_iter()
        .any(|none| value.eq_ignore_ascii_case(none))
}

/// Length of the longest key of [`subject`].
const SUBJECT_BYTES_MAX: usize = "Do not connect to Windows Update Internet locations".len();

/// Returns the subject of a key that begins a line of settings; `None` for a key inside of a sentence.
fn subject(key: &str) -> Option<MessageSubject> {
    if key.len() > SUBJECT_BYTES_MAX {
        return None;
    }
    match key {
        "Criteria" | "Online" | "ServiceID" | "Search Scope" | "Caller SID for Applicability" => {
            Some(MessageSubject::Search)
        }
        "WSUS server"
        | "WSUS status server"
        | "Alternate Download Server"
        | "Target group"
        | "Base directory"
        | "Datastore directory"
        | "Access type"
        | "Default proxy"
        | "Network state"
        | "Windows Update access disabled"
        | "SusClientId"
        | "OS Version"
        | "OS Product Type"
        | "Computer Brand"
        | "Computer Model"
        | "Bios Revision"
        | "Bios Name"
        | "Bios Release Date"
        | "Locale ID"
        | "Approval type"
        | "Scheduled install day/time"
        | "Auto-install minor updates"
        | "Client version"
        | "Detection frequency"
        | "Update service properties"
        | "Policy server"
        | "Elevate non-admins"
        | "Network cost"
        | "Power state"
        | "Fill Empty Content Urls"
        | "Do not connect to Windows Update Internet locations" => Some(MessageSubject::Configuration),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_hold_a_mark_are_found_with_the_keys() {
        let check = |body: &str, expect: Words| {
            let mut facts = Facts::default();
            pairs(body, &mut facts);
            assert_eq!(facts.words, expect, "{body}");
        };
        check("sent to http://w:8530/x", Words::URL);
        check("sent (cV: abc.1)", Words::CORRELATION);
        check("cV = abc.1 to https://w/", Words::CORRELATION.or(Words::URL));
        check("cV= abc.1, a: b = c, at http:/x", Words::default());
    }

    #[test]
    fn proxies_in_all_spellings() {
        let check = |body: &str, expect: Option<&str>| {
            let mut facts = Facts::default();
            pairs(body, &mut facts);
            assert_eq!(facts.proxy, expect, "{body}");
        };
        check("Default proxy: test:80", Some("test:80"));
        check("Proxy List used: <Test:80 > Bypass List used : <(null)>", Some("Test:80"));
        check("Proxy List used: <http://test:80/> Bypass List used : <>", Some("test:80"));
        check("Proxy List used: <http=a:80;https=b:80>", Some("http=a:80;https=b:80"));
        check("Proxy List: 'test:80', Bypass List: '(null)'", Some("test:80"));
        check("using proxy = test:80, bypass = <NULL>", Some("test:80"));
        check("Proxy List used: <(null)>", None);
        check("Default proxy: <NULL>", None);
        check("Access type: No proxy", None);
        check("the proxy: it said hr=0x80072ee7", None);
    }
}
