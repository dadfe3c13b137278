//! `Key = value` and `Key: value`: found at their `=` and `:`, so that one pass serves all keys.

use std::borrow::Cow;

use super::message::{Facts, bounded};

/// What the first key of a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Client, machine, network or policy.
    Configuration,
    /// What a search looks for.
    Search,
}

/// Takes the values of `body`.
pub(super) fn pairs<'a>(body: &'a str, facts: &mut Facts<'a>) {
    for at in memchr::memchr2_iter(b'=', b':', body.as_bytes()) {
        let key = body[..at].trim_end();
        let value = body[at + 1..].trim_start();
        if facts.subject.is_none() {
            facts.subject = subject(key);
        }
        if value.is_empty() {
            continue;
        }
        // Told apart by the last letter, then compared in full.
        match key.as_bytes().last() {
            Some(b'd') if is_caller(key) => caller(value, facts),
            Some(b'd') if key.ends_with("Computer Brand") => {
                facts.manufacturer = bounded(value.trim_end()).map(Cow::Borrowed)
            }
            Some(b'd') if key.ends_with("Proxy List used") => proxy(value, facts),
            Some(b'e') if key.ends_with("Title") => {
                facts.title = bounded(value.trim_end().trim_end_matches('"')).filter(|title| *title != "<NULL>");
            }
            Some(b'l') if key.ends_with("Computer Model") => facts.model = bounded(value.trim_end()).map(Cow::Borrowed),
            Some(b'L') if key.ends_with("WSUS Client/Server URL") => {
                facts.wsus = bounded(value.trim_matches(['"', ' ']));
            }
            Some(b'n') if key.ends_with("OS Version") => facts.os_version = bounded(value.trim_end()),
            Some(b'p') if key.ends_with("Target group") => facts.target_group = bounded(value.trim_end()),
            Some(b'r') if key.ends_with("WSUS server") => facts.wsus = bounded(value.trim_end()),
            Some(b'y') if key.ends_with("Default proxy") => proxy(value, facts),
            _ => {}
        }
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

/// What stands before `mark`, which begins with a space; all of the text where it has none.
fn before<'a>(text: &'a str, mark: &str) -> &'a str {
    let end = memchr::memchr_iter(b' ', text.as_bytes()).find(|at| text[*at..].starts_with(mark));
    &text[..end.unwrap_or(text.len())]
}

/// `test:80`, `<Test:80 > Bypass List used : <(null)>`
fn proxy<'a>(value: &'a str, facts: &mut Facts<'a>) {
    let inner = value.strip_prefix('<').and_then(|rest| rest.split_once('>')).map_or(value, |(inner, _)| inner);
    facts.proxy = bounded(inner.trim()).filter(|proxy| !matches!(*proxy, "(null)" | "NULL" | "<NULL>"));
}

/// Keys that begin a line of settings. A key that is inside of a sentence is none of them.
fn subject(key: &str) -> Option<Subject> {
    match key {
        "Criteria" | "Online" | "ServiceID" | "Search Scope" | "Caller SID for Applicability" => Some(Subject::Search),
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
        | "Do not connect to Windows Update Internet locations" => Some(Subject::Configuration),
        _ => None,
    }
}
