//! Logs of Configuration Manager: WUAHandler.log, which says what became of its scans and updates, and all others, which are
//! foreign.
//!
//! ```text
//! <![LOG[message]LOG]!><time="09:12:30.961-60" date="04-12-2021" component="WUAHandler" context="" type="3" thread="5508" file="x.cpp:12">
//! message  $$<WUAHandler><04-12-2021 09:12:30.961-60><thread=5508 (0x1584)>
//! ```
//!
//! A message may go on over lines, and its time stands at the end of the last.

use wulog_schemas::event::Form;

use std::ops::Range;

use super::Level;
use super::columns::{Columns, trim};
use super::message::{Facts, bounded};
use super::origin::Origin;
use super::other_time::{bias, clock, clock_fraction, number};
use super::time::{LocalTime, at_day};
use super::{guid, section};

/// Begins a record.
pub(crate) const BEGIN: &str = "<![LOG[";

/// Ends its message.
pub(crate) const END: &str = "]LOG]!>";

/// Begins the columns of the older form.
const OLD_COLUMNS: &str = "$$<";

/// A record of either form; `None` for the first line of one that goes on.
pub(super) fn split(line: &str) -> Option<Columns<'_>> {
    if let Some(rest) = line.trim_start().strip_prefix(BEGIN) {
        let (message, columns) = rest.rsplit_once(END)?;
        return current(message, columns);
    }
    let (message, columns) = line.rsplit_once(OLD_COLUMNS)?;
    old(message, columns)
}

/// True for the first line of a record that goes on in the next line.
pub(crate) fn is_open(line: &str) -> bool {
    line.trim_start().starts_with(BEGIN) && memchr::memmem::find(line.as_bytes(), END.as_bytes()).is_none()
}

fn current<'a>(message: &'a str, columns: &'a str) -> Option<Columns<'a>> {
    let attribute = |name: &str| {
        let at = columns.find(name)?;
        columns[at + name.len()..].split_once('"').map(|(value, _)| value)
    };
    let component = attribute("component=\"")?;
    Some(Columns {
        form: form(component),
        time: attribute("time=\"").zip(attribute("date=\"")).and_then(|(time, date)| at(date, time)),
        pid: None,
        tid: attribute("thread=\"").and_then(|thread| thread.parse().ok()),
        component: Some(component).filter(|component| !component.is_empty()),
        level: match attribute("type=\"") {
            Some("2") => Some(Level::Warning),
            Some("3") => Some(Level::Error),
            _ => None,
        },
        message: trim(message),
    })
}

/// `WUAHandler><04-12-2021 09:12:30.961-60><thread=5508 (0x1584)>`
fn old<'a>(message: &'a str, columns: &'a str) -> Option<Columns<'a>> {
    let mut parts = columns.split("><");
    let (component, moment, thread) = (parts.next()?, parts.next()?, parts.next()?);
    let (date, time) = moment.split_once(' ')?;
    let tid = thread.strip_prefix("thread=")?;
    let end = tid.bytes().take_while(u8::is_ascii_digit).count();
    Some(Columns {
        form: form(component),
        time: at(date, time),
        pid: None,
        tid: tid[..end].parse().ok(),
        component: Some(component),
        level: None,
        message: trim(message),
    })
}

fn form(component: &str) -> Form {
    if component.eq_ignore_ascii_case("WUAHandler") { Form::WuaHandler } else { Form::CmTrace }
}

/// `04-12-2021` and `09:12:30.961-60`.
fn at(date: &str, time: &str) -> Option<LocalTime> {
    let (month, rest) = number(date, 1, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 1, 2)?;
    let (year, _) = number(rest.strip_prefix('-')?, 4, 4)?;
    let (of_day, rest) = clock(time, ':')?;
    let (nanos, rest) = clock_fraction(rest).unwrap_or((0, rest));
    let offset_min = bias(rest).map(|(minutes, _)| minutes);
    Some(LocalTime { secs: at_day(year.into(), month, day)? + i64::from(of_day), nanos, offset_min })
}

/// Where in the code a record was written: `file="sourcemanager.cpp:1234"`.
pub(super) fn origin(line: &str) -> Option<Origin<'_>> {
    let (_, columns) = line.rsplit_once(END)?;
    let (_, value) = columns.split_once("file=\"")?;
    let (name, number) = value.split_once('"')?.0.rsplit_once(':')?;
    let file = bounded(name)?;
    Some(Origin { function: None, file: Some(file), line: number.parse().ok() })
}

/// Takes what only WUAHandler says: `1. Update (Missing): TITLE (GUID, REVISION)`, and the server that it sets. Gives where
/// the title stands.
pub(super) fn facts<'a>(body: &'a str, facts: &mut Facts<'a>) -> Option<Range<usize>> {
    let mut name = None;
    if let Some((_, rest)) = body.split_once("Update (").filter(|(number, _)| number.trim_end().ends_with('.'))
        && let Some((_, rest)) = rest.split_once("): ")
        && let Some((title, id)) = rest.rsplit_once(" (")
        && let Some((update, rest)) = guid::take(id)
    {
        facts.title = bounded(title.trim());
        facts.update = Some(update).filter(|update| !guid::is_nil(update));
        let revision = rest.trim_start_matches([',', ' ']).trim_end_matches([')', ' ']);
        facts.revision = revision.parse().ok();
    } else if let Some((_, rest)) = body.split_once("Update ").filter(|(before, _)| before.is_empty())
        && let Some((update, _)) = rest.split_once('(').and_then(|(_, id)| guid::take(id))
    {
        facts.update = Some(update).filter(|update| !guid::is_nil(update));
    }
    const SERVER: [&str; 4] =
        ["WUA Managed server", "Managed server policy", "overwritten by a higher authority", "WSUS server"];
    if facts.url.is_some() && SERVER.into_iter().any(|mark| body.contains(mark)) {
        facts.wsus = facts.url;
    }
    name
}

/// What a line of WUAHandler is about, as far as its words tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// A search begins or ends, or how it ended.
    Scan(section::Phase),
    /// A download.
    Download(section::Phase),
    /// An installation.
    Install(section::Phase),
    /// What a scan found.
    Found,
    /// The server and its policy.
    Settings,
}

/// What a line of WUAHandler is about.
pub(super) fn topic(body: &str) -> Option<Topic> {
    use section::Phase::{End, Start};
    let has =
        |words: &[&str]| words.iter().any(|word| memchr::memmem::find(body.as_bytes(), word.as_bytes()).is_some());
    // What a search is to find, said before it begins, ends none.
        let start = title.as_ptr().addr() - body.as_ptr().addr();
        name = Some(start..start + title.len());
    let is_criterion = has(&["Scan results will include", "Search Criteria"]);
    if is_criterion || body.contains("Update (") && body.contains("): ") {
        return Some(Topic::Found);
    }
    let phase = if has(&["started", "Starting"]) { Start } else { End };
    if has(&["OnSearchComplete", "Scan ", "scan", "searching of updates", "searching completed", "search job"]) {
        return Some(Topic::Scan(phase));
    }
    if has(&["ownload"]) {
        return Some(Topic::Download(phase));
    }
    if has(&["nstallation of updates", "nstall updates", "nstallation job", "finished installing", "nstall completed"])
    {
        return Some(Topic::Install(phase));
    }
    if has(&["Managed server", "Update Source", "roup policy settings", "Group Policy"]) {
        return Some(Topic::Settings);
    }
    None
}
