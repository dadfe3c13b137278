//! Logs of Configuration Manager: WUAHandler.log, which states the outcomes of scans and updates, and all other logs,
//! which are foreign.
//!
//! ```text
//! <![LOG[message]LOG]!><time="09:12:30.961-60" date="04-12-2021" component="WUAHandler" context="" type="3" thread="5508" file="x.cpp:12">
//! message  $$<WUAHandler><04-12-2021 09:12:30.961-60><thread=5508 (0x1584)>
//! message  $$<WUAHandler><Mon Apr 12 09:12:30.961 2021 W. Europe Standard Time><thread=5508 (0x1584)>
//! message TAB WUAHandler TAB 4/12/2021 9:12:30 AM TAB 5508 (0x1584)                       as the viewer CMTrace copies them
//! ```
//!
//! A message may continue over lines; its time stands at the end of the last line.

use std::ops::Range;

use wulog_schemas::event::Form;

use super::facts::{Facts, bounded};
use super::level::LineLevel;
use super::line_columns::{Columns, trim};
use super::origin::LineOrigin;
use super::other_time::{bias, clock, clock_fraction, day_first, number};
use super::time::{LocalTime, at_day};
use super::{guid, section};

/// The mark at the beginning of a record.
pub(crate) const BEGIN: &str = "<![LOG[";

/// The mark at the end of the message.
pub(crate) const END: &str = "]LOG]!>";

/// The mark before the columns of the older form.
const OLD_COLUMNS: &str = "$$<";

/// Splits a record of either form; `None` for the first line of a record that continues.
pub(super) fn split(line: &str) -> Option<Columns<'_>> {
    if let Some(rest) = line.trim_start().strip_prefix(BEGIN) {
        let (message, columns) = rest.rsplit_once(END)?;
        return current(message, columns);
    }
    // Nearly no line has the first character of those columns, and a search for one byte is faster than for three.
    if memchr::memchr(b'$', line.as_bytes()).is_some()
        && let Some((message, columns)) = line.rsplit_once(OLD_COLUMNS)
    {
        return old(message, columns);
    }
    if line.trim_end().ends_with(')') { copied(line) } else { None }
}

/// Splits the columns that the viewer CMTrace shows and copies; the time has the form of the user's culture.
fn copied(line: &str) -> Option<Columns<'_>> {
    let mut fields = line.trim_end().rsplitn(4, '\t');
    let (thread, moment, component, message) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let (tid, hex) = thread.split_once(" (0x")?;
    let is_thread = hex.strip_suffix(')').is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let (time, _) = day_first(moment).filter(|_| is_thread && !component.is_empty())?;
    Some(Columns {
        form: form(component),
        time: Some(time).filter(LocalTime::is_plausible),
        pid: None,
        tid: tid.parse().ok(),
        component: Some(component),
        level: None,
        message: trim(message),
    })
}

/// True for the first line of a record that continues in the next line.
pub(crate) fn is_open(line: &str) -> bool {
    line.trim_start().starts_with(BEGIN) && !line.contains(END)
}

fn current<'a>(message: &'a str, columns: &'a str) -> Option<Columns<'a>> {
    let [component, time, date, thread, kind] = attributes(columns, ["component", "time", "date", "thread", "type"]);
    let component = component?;
    Some(Columns {
        form: form(component),
        time: time.zip(date).and_then(|(time, date)| at(date, time)),
        pid: None,
        tid: thread.and_then(|thread| thread.parse().ok()),
        component: Some(component).filter(|component| !component.is_empty()),
        level: match kind {
            Some("2") => Some(LineLevel::Warning),
            Some("3") => Some(LineLevel::Error),
            _ => None,
        },
        message: trim(message),
    })
}

/// Returns the values of the attributes `NAME="VALUE"` of these names, of each name the first, in one pass.
fn attributes<'a, const NAMES: usize>(columns: &'a str, names: [&str; NAMES]) -> [Option<&'a str>; NAMES] {
    let mut values = [None; NAMES];
    for at in memchr::memchr_iter(b'=', columns.as_bytes()) {
        let Some(value) = columns[at + 1..].strip_prefix('"') else { continue };
        for (found, name) in values.iter_mut().zip(names) {
            if found.is_none() && columns[..at].ends_with(name) {
                *found = memchr::memchr(b'"', value.as_bytes()).map(|end| &value[..end]);
            }
        }
    }
    values
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
        time: at(date, time).or_else(|| with_weekday(moment)),
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

/// Reads `Tue Mar 12 09:12:30.961 2024 W. Europe Standard Time`, as SMS 2003 wrote it; the zone's name gives no offset.
fn with_weekday(moment: &str) -> Option<LocalTime> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = moment.split_ascii_whitespace().skip(1);
    let (month, day, of_day, year) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = (1..).zip(MONTHS).find_map(|(number, name)| (name == month).then_some(number))?;
    let (of_day, rest) = clock(of_day, ':')?;
    let (nanos, _) = clock_fraction(rest).unwrap_or((0, rest));
    let (day, _) = number(day, 1, 2)?;
    let (year, _) = number(year, 4, 4)?;
    Some(LocalTime { secs: at_day(year.into(), month, day)? + i64::from(of_day), nanos, offset_min: None })
}

/// Returns the place in the code that wrote a record: `file="sourcemanager.cpp:1234"`.
pub(super) fn origin(line: &str) -> Option<LineOrigin<'_>> {
    let (_, columns) = line.rsplit_once(END)?;
    let (_, value) = columns.split_once("file=\"")?;
    let (name, number) = value.split_once('"')?.0.rsplit_once(':')?;
    let file = bounded(name)?;
    Some(LineOrigin { function: None, file: Some(file), line: number.parse().ok() })
}

/// Adds the facts of lines that only WUAHandler writes: `1. Update (Missing): TITLE (GUID, REVISION)`, and the server
/// that it sets. Returns where the title stands.
pub(super) fn facts<'a>(body: &'a str, facts: &mut Facts<'a>) -> Option<Range<usize>> {
    let mut name = None;
    if let Some((_, rest)) = body.split_once("Update (").filter(|(number, _)| number.trim_end().ends_with('.'))
        && let Some((_, rest)) = rest.split_once("): ")
        && let Some((title, id)) = rest.rsplit_once(" (")
        && let Some((update, rest)) = guid::take(id)
    {
        facts.title = bounded(title.trim());
        let start = title.as_ptr().addr() - body.as_ptr().addr();
        name = Some(start..start + title.len());
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

/// True for the end of an operation with a success code: `Update 1 (GUID) finished installing (0x00000000), ...`,
/// `Installation of updates completed. Error = 0x00000000`. Without a code, `Installation of updates completed.` follows
/// failed installations too.
pub(super) fn ends_well(body: &str) -> bool {
    use section::Phase::End;
    let ended = (body.contains("finished ") || body.contains("ompleted")) && has_success_code(body);
    ended
        && matches!(
            topic(body),
            Some(CmTraceTopic::Scan(End) | CmTraceTopic::Download(End) | CmTraceTopic::Install(End))
        )
}

/// True for `0x00000000`, for a success code of the update client such as `0x00240005`, and for `(0)` and `= 0`.
fn has_success_code(body: &str) -> bool {
    /// Upper half of the success codes of the update client.
    const UPDATE_CLIENT: u32 = 0x0024;
    let is_success =
        |digits: &str| u32::from_str_radix(digits, 16).is_ok_and(|code| code == 0 || code >> 16 == UPDATE_CLIENT);
    let mut words = body.split(|c: char| !c.is_ascii_alphanumeric());
    let is_decimal = || body.contains("(0)") || body.trim_end_matches(['.', ' ']).ends_with("= 0");
    words.any(|word| word.strip_prefix("0x").is_some_and(is_success)) || is_decimal()
}

/// The topic of a line of WUAHandler, by its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CmTraceTopic {
    /// Beginning, end or result of a search.
    Scan(section::Phase),
    /// A download.
    Download(section::Phase),
    /// An installation.
    Install(section::Phase),
    /// The updates that a scan found.
    Found,
    /// The server and its policy.
    Settings,
}

/// Returns the topic of a line of WUAHandler.
pub(super) fn topic(body: &str) -> Option<CmTraceTopic> {
    use section::Phase::{End, Start};
    let has = |words: &[&str]| words.iter().any(|word| body.contains(word));
    // The criteria of a search stand before its beginning and do not end it.
    let is_criterion = has(&["Scan results will include", "Search Criteria"]);
    if is_criterion || body.contains("Update (") && body.contains("): ") {
        return Some(CmTraceTopic::Found);
    }
    let phase = if has(&["started", "Starting"]) { Start } else { End };
    const SCAN: [&str; 7] = [
        "OnSearchComplete",
        "Scan ",
        "scan",
        "searching of updates",
        "searching completed",
        "search job",
        // Without its update source, the client starts no scan.
        "Failed to Add Update Source",
    ];
    if has(&SCAN) {
        return Some(CmTraceTopic::Scan(phase));
    }
    if has(&["ownload"]) {
        return Some(CmTraceTopic::Download(phase));
    }
    const INSTALL: [&str; 6] = [
        "nstallation of updates",
        "nstall updates",
        "nstallation job",
        "nstallation result",
        "finished installing",
        "nstall completed",
    ];
    if has(&INSTALL) {
        return Some(CmTraceTopic::Install(phase));
    }
    if has(&["Managed server", "Update Source", "roup policy settings", "Group Policy"]) {
        return Some(CmTraceTopic::Settings);
    }
    None
}

#[cfg(test)]
mod tests {
    use wulog_schemas::event::{Action, EventOutcome};

    use super::super::parse;
    use super::*;

    fn record(message: &str, kind: u8) -> String {
        format!(
            r#"<![LOG[{message}]LOG]!><time="09:12:30.961-60" date="03-12-2024" component="WUAHandler" context="" type="{kind}" thread="5508" file="x.cpp:1">"#
        )
    }

    #[test]
    fn of_each_attribute_the_first_counts() {
        let columns = r#"<time="1" date="2" time="3" x=4 thread="" type="cut off"#;
        let found = attributes(columns, ["date", "time", "thread", "type", "file"]);
        assert_eq!(found, [Some("2"), Some("1"), Some(""), None, None]);
    }

    #[test]
    fn operations_end_by_their_code_or_their_words() {
        use Action::{DownloadEnd, DownloadFailed, InstallEnd, InstallFailed, InstallStart, ScanEnd, ScanFailed};
        use EventOutcome::{Failure, Success, Unknown};
        let check = |message: &str, kind: u8, expect: (Action, EventOutcome)| {
            let line = record(message, kind);
            let entry = parse(&line);
            assert_eq!((entry.action, entry.outcome), expect, "{message}");
        };
        let update = "Update 1 (6c0f3a52-91de-4b3a-a6e2-5b8d7c31f0a4)";
        check(&format!("{update} finished installing (0x00000000), Reboot Required? No"), 1, (InstallEnd, Success));
        check(&format!("{update} finished installing (0x0), Reboot Required? Yes"), 1, (InstallEnd, Success));
        check(&format!("{update} finished installing (0x00240005), Reboot Required? Yes"), 1, (InstallEnd, Success));
        check(&format!("{update} finished installing (0x800b0109), Reboot Required? No"), 1, (InstallFailed, Failure));
        check(&format!("{update} finished installing (0x00000000)"), 3, (InstallFailed, Failure));
        check(&format!("{update} finished downloading (0x00000000)"), 1, (DownloadEnd, Success));
        check(&format!("{update} finished downloading (0x8024b303)"), 3, (DownloadFailed, Failure));
        check("Async installation of updates started.", 1, (InstallStart, Unknown));
        check("Async install completed.", 1, (InstallEnd, Unknown));
        check("Async install completed (0x80240022).", 3, (InstallFailed, Failure));
        check("Installation of updates completed.", 1, (InstallEnd, Unknown));
        check("Installation of updates completed. Error = 0x00000000", 1, (InstallEnd, Success));
        check("Installation of updates completed. Error = 0.", 1, (InstallEnd, Success));
        check("Installation of updates completed. Error = 0x80240022", 3, (InstallFailed, Failure));
        check("Installation job encountered some failures. Error = 0x80240022. Commit Result = 0x00000001.", 3, {
            (InstallFailed, Failure)
        });
        check("Failed to get final installation result of updates. Error = 0x80004002", 3, (InstallFailed, Failure));
        check("Scan completed successfully.", 1, (ScanEnd, Success));
        check("Successfully completed scan.", 1, (ScanEnd, Success));
        check("OnSearchComplete - Successfully completed scan", 1, (ScanEnd, Success));
        check("Async searching completed.", 1, (ScanEnd, Unknown));
        check("Async searching completed (0x00000000).", 1, (ScanEnd, Success));
        check("Scan failed with error = 0x80072f8f.", 3, (ScanFailed, Failure));
    }

    /// The expected seconds are those of `date -u -d ... +%s`.
    #[test]
    fn other_columns_of_a_record_have_its_time() {
        let check = |line: &str, form: Form, secs: i64, tid: u32| {
            let entry = parse(line);
            let found = (entry.form, entry.time.map(|time| time.secs), entry.tid, entry.message);
            assert_eq!(found, (form, Some(secs), Some(tid), "Scan failed with error = 0x800b0109."), "{line}");
        };
        let message = "Scan failed with error = 0x800b0109.";
        let wua = Form::WuaHandler;
        check(&format!("{message}\tWUAHandler\t3/12/2024 9:12:30 AM\t5508 (0x1584)"), wua, 1_710_234_750, 5508);
        check(&format!("{message}\tWUAHandler\t12.03.2024 09:12:30\t5508 (0x1584)"), wua, 1_710_234_750, 5508);
        check(
            &format!("{message}\tScanAgent\t3/12/2024 9:12:30 AM\t5508 (0x1584)"),
            Form::CmTrace,
            1_710_234_750,
            5508,
        );
        let sms = "<Tue Mar 12 09:12:30.961 2024 W. Europe Standard Time><thread=5508 (0x1584)>";
        check(&format!("{message}  $$<WUAHandler>{sms}"), wua, 1_710_234_750, 5508);
        for line in ["a\tb\t3/12/2024 9:12:30 AM\t(0x1584)", "a\tb\tc\td (0x1)", "(x)"] {
            assert_eq!(parse(line).form, Form::Text, "{line}");
        }
    }
}
