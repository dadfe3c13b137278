//! The columns before the message, in every state that files and copies of files show them.

use wulog_schemas::event::Form;

use super::time::{self, LocalTime, Writer};

/// Components that Windows 2000 to 11 write; other names are taken where the columns leave no doubt.
const COMPONENTS: [&str; 54] = [
    "AGENT",
    "AU",
    "AUCLNT",
    "AUClnt",
    "Agent",
    "CDM",
    "CMPRESS",
    "COMAPI",
    "ComApi",
    "DRIVER",
    "DTASTOR",
    "DWNLDMGR",
    "DataStore",
    "DnldMgr",
    "DownloadManager",
    "Driver",
    "DtaStor",
    "EEHNDLER",
    "EEHandler",
    "EEHndler",
    "EP",
    "HANDLER",
    "Handler",
    "IdleTimer",
    "IdleTmr",
    "MISC",
    "Misc",
    "OFFLSNC",
    "OfflSnc",
    "PARSER",
    "PT",
    "Parser",
    "ProtocolTalker",
    "REPORT",
    "Report",
    "Reporter",
    "SERVICE",
    "SETUP",
    "SHUTDWN",
    "SLS",
    "Service",
    "Setup",
    "Shared",
    "Shutdwn",
    "UpdateSession",
    "WUREDIR",
    "WUWEB",
    "WUAUCLNT",
    "WebServices",
    "WuRedir",
    "WuTask",
    "WuWeb",
    "Orchestrator",
    "UpdAgent",
];

/// The legacy pid is `%4d`.
const LEGACY_PID_BYTES: usize = 4;

/// The component column of the ETW form is `PadRight(15)` and a space: more blanks than that mean an empty one.
const ETW_COMPONENT_BYTES: usize = 15;

/// A line cut at its columns.
pub(super) struct Columns<'a> {
    pub(super) form: Form,
    pub(super) time: Option<LocalTime>,
    pub(super) pid: Option<u32>,
    pub(super) tid: Option<u32>,
    pub(super) component: Option<&'a str>,
    pub(super) message: &'a str,
}

pub(super) fn split(line: &str) -> Columns<'_> {
    dated(line).or_else(|| masked(line)).or_else(|| undated(line)).or_else(|| component_only(line)).unwrap_or(Columns {
        form: if starts_with_level(line) { Form::Message } else { Form::Text },
        time: None,
        pid: None,
        tid: None,
        component: None,
        message: line.trim(),
    })
}

fn dated(line: &str) -> Option<Columns<'_>> {
    let taken = time::take(line).or_else(|| time::take(skip_search_prefix(line.trim_start())))?;
    let time = Some(taken.time);
    let (form, rest) = match taken.writer {
        Writer::Etw => (Form::Etw, taken.rest),
        Writer::Legacy => (Form::Legacy, taken.rest),
    };
    let may_be_glued = form == Form::Legacy && !rest.starts_with('\t');
    if let Some(columns) = may_be_glued.then(|| glued(rest)).flatten() {
        return Some(Columns { time, ..columns });
    }
    let Some((pid, tid, rest)) = ids(rest, form) else {
        return Some(Columns { form, time, pid: None, tid: None, component: None, message: rest.trim() });
    };
    // Clients before 5.8 write the zone into the time and have no component.
    let (component, message) = match taken.time.offset_min {
        Some(_) => (None, rest),
        None => component(rest, form),
    };
    Some(Columns { form, time, pid: Some(pid), tid: Some(tid), component, message: message.trim() })
}

/// What `Select-String` and other tools put before a line: `C:\Windows\WindowsUpdate.log:2264:`, or a slip of the keyboard.
fn skip_search_prefix(line: &str) -> &str {
    if let Some(at) = memchr::memmem::find(line.as_bytes(), b".log:") {
        let rest = &line[at + ".log:".len()..];
        return rest.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix(':').map_or(line, str::trim_start);
    }
    let junk = line.bytes().take_while(u8::is_ascii_alphabetic).count();
    if junk <= 2 { &line[junk..] } else { line }
}

/// Columns whose tabs a copy lost altogether: `18:30:03 992810Service...` is pid ` 992`, tid `810`, component `Service`.
fn glued(rest: &str) -> Option<Columns<'_>> {
    let pid = rest.get(..LEGACY_PID_BYTES)?.trim_start().parse().ok()?;
    let rest = &rest[LEGACY_PID_BYTES..];
    let digits = rest.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).count();
    let tid = u32::from_str_radix(rest.get(..digits.min(8))?, 16).ok()?;
    let rest = &rest[digits.min(8)..];
    let component = known_prefix(rest)?;
    let message = rest[component.len()..].trim();
    Some(Columns {
        form: Form::Legacy,
        time: None,
        pid: Some(pid),
        tid: Some(tid),
        component: Some(component),
        message,
    })
}

/// An article's line whose date is masked: `YYYY/MM/DD HH:MM:SS.4926861 22576 27056 SLS  ...`.
fn masked(line: &str) -> Option<Columns<'_>> {
    let rest = line.strip_prefix("YYYY/MM/DD HH:MM:SS.")?.trim_start_matches(|c: char| c.is_ascii_digit());
    let (pid, tid, rest) = ids(rest, Form::Etw)?;
    let (component, message) = component(rest, Form::Etw);
    Some(Columns { form: Form::Etw, time: None, pid: Some(pid), tid: Some(tid), component, message: message.trim() })
}

/// A copied line that lost its date and time: `1060 15a8 PT WARNING: ...`.
fn undated(line: &str) -> Option<Columns<'_>> {
    let (pid, tid, rest) = ids(line, Form::Legacy)?;
    let (component, message) = component(rest, Form::Legacy);
    let component = Some(component.filter(|name| COMPONENTS.contains(name))?);
    Some(Columns { form: Form::Legacy, time: None, pid: Some(pid), tid: Some(tid), component, message: message.trim() })
}

fn component_only(line: &str) -> Option<Columns<'_>> {
    let (component, message) = component(line, Form::Legacy);
    let component = Some(component.filter(|name| COMPONENTS.contains(name))?);
    Some(Columns { form: Form::Message, time: None, pid: None, tid: None, component, message: message.trim() })
}

/// Process and thread id at the head of `text`, and the rest, which begins with a blank.
fn ids(text: &str, form: Form) -> Option<(u32, u32, &str)> {
    let (pid, rest) = word(text)?;
    let (tid, rest) = word(rest)?;
    // A pid of the ETW form is hexadecimal in an old page of Microsoft's documentation, so both are tried.
    let pid = pid.parse().or_else(|_| u32::from_str_radix(pid, 16)).ok()?;
    let tid = match form {
        Form::Legacy => u32::from_str_radix(tid, 16).ok()?,
        _ => tid.parse().or_else(|_| u32::from_str_radix(tid, 16)).ok()?,
    };
    Some((pid, tid, rest))
}

/// The next word and what follows it. Ids have at most eight digits.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(['\t', ' ']);
    let end = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    let fits = (1..=8).contains(&end) && (end == text.len() || matches!(text.as_bytes()[end], b'\t' | b' '));
    fits.then(|| (&text[..end], &text[end..]))
}

fn component(text: &str, form: Form) -> (Option<&str>, &str) {
    if let Some((name, message)) = text.strip_prefix('\t').and_then(|rest| rest.split_once('\t')) {
        return ((!name.trim().is_empty()).then_some(name.trim()), message);
    }
    let trimmed = text.trim_start_matches(['\t', ' ']);
    if form == Form::Etw && text.len() - trimmed.len() > ETW_COMPONENT_BYTES {
        return (None, trimmed);
    }
    let end = trimmed.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let followed = end == trimmed.len() || matches!(trimmed.as_bytes()[end], b'\t' | b' ');
    if end == 0 || !followed || !trimmed.as_bytes()[0].is_ascii_alphabetic() {
        return (None, trimmed);
    }
    (Some(&trimmed[..end]), &trimmed[end..])
}

fn known_prefix(text: &str) -> Option<&'static str> {
    COMPONENTS.iter().copied().filter(|name| text.starts_with(name)).max_by_key(|name| name.len())
}

fn starts_with_level(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("WARNING:") || line.starts_with("FATAL:")
}
