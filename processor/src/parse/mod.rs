//! Raw line -> entry: what kind of line it is, its columns, and the facts in its message.
//!
//! Total and pure: any text gives an [`Entry`] that borrows from it, whatever half of a line it is. Forms:
//!
//! ```text
//! legacy       2011-05-15 TAB 07:47:07:169 TAB  952 TAB 5b4 TAB Report TAB message     (tabs may be copied as spaces)
//! etw          2023/03/01 22:19:01.4037009 19924 14968 SLS             message         (any culture's separators)
//! columns lost Report REPORT EVENT: ...
//! reporting    {GUID} TAB 2020-03-14 13:14:20:702+0100 TAB 1 TAB 148 [NAME] TAB ...
//! text         anything else: a continuation of the line above, or a form that nobody has seen
//! ```
//!
//! By hand over bytes and without regex, since this is the hottest code of wulog.

mod columns;
mod time;
mod message;
mod words;
mod section;
mod trust;
mod ids;
mod guid;
mod pairs;
mod url;
mod sls;
mod origin;
mod report;
mod event_ids;
mod action;

pub use event_ids::event_name;
pub use ids::service_name;
pub use message::{Facts, Level};
pub use origin::Origin;
pub use pairs::Subject;
pub use report::{Report, Verdict};
pub use section::{By, Operation, Phase, Section};
pub use time::{LocalTime, time_text};
pub use trust::Trust;
pub(crate) use url::end_of_scheme;
pub use words::Words;

use wulog_schemas::event::{Action, EventOutcome, Form};
use wulog_schemas::hresult::{find_hresult, is_failure};

/// One log line, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// Which form it has.
    pub form: Form,
    /// Its time column, as written: local time, with an offset where the line has one.
    pub time: Option<LocalTime>,
    /// Process id.
    pub pid: Option<u32>,
    /// Thread id; hexadecimal in the legacy form, decimal later.
    pub tid: Option<u32>,
    /// Component column, as written.
    pub component: Option<&'a str>,
    /// `WARNING:` or `FATAL:`.
    pub level: Option<Level>,
    /// Everything after the columns.
    pub message: &'a str,
    /// The message without bullet and severity word.
    pub body: &'a str,
    /// HRESULT of the line, zero where the line calls it a result.
    pub hresult: Option<u32>,
    /// The fields of REPORT EVENT or ReportingEvents.log.
    pub report: Option<Report<'a>>,
    /// What the message says.
    pub facts: Facts<'a>,
    /// What the line is about, by itself.
    pub action: Action,
    /// How that ended.
    pub outcome: EventOutcome,
}

impl Entry<'_> {
    /// True for a failure code.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.hresult.is_some_and(is_failure)
    }

    /// True for a line of Windows Error Reporting, which repeats what was said before.
    #[must_use]
    pub fn is_error_report(&self) -> bool {
        self.body.starts_with("WER Report sent")
    }
}

/// Takes a line apart.
#[must_use]
pub fn parse(line: &str) -> Entry<'_> {
    let line = line.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
    let mut entry = match report::reporting_events(line) {
        Some(report) => of_reporting_events(report),
        None => of_windows_update(line),
    };
    (entry.action, entry.outcome) = action::describe(&entry);
    entry
}

fn of_reporting_events(report: Report<'_>) -> Entry<'_> {
    Entry {
        form: Form::ReportingEvents,
        time: report.time,
        pid: None,
        tid: None,
        component: None,
        level: None,
        message: report.text,
        body: report.text,
        hresult: report.hresult,
        facts: reported_facts(&report),
        report: Some(report),
        action: Action::Log,
        outcome: EventOutcome::Unknown,
    }
}

fn of_windows_update(line: &str) -> Entry<'_> {
    let columns = columns::split(line);
    let message = message::without_trace_prefix(columns.message);
    let (level, body) = message::level_and_body(message);
    let mut entry = Entry {
        form: columns.form,
        time: columns.time,
        pid: columns.pid,
        tid: columns.tid,
        component: columns.component,
        level,
        message,
        body,
        hresult: None,
        report: report::report_event(body),
        facts: Facts::default(),
        action: Action::Log,
        outcome: EventOutcome::Unknown,
    };
    if let Some(report) = &entry.report {
        entry.hresult = report.hresult;
        entry.facts = reported_facts(report);
    } else {
        message::facts(message, body, columns.component, &mut entry.facts);
        // Settings are numbers of other kinds: `OS Product Type = 0x00000003`.
        if !entry.facts.undecoded && entry.facts.subject != Some(Subject::Configuration) {
            entry.hresult = find_hresult(body);
        }
    }
    entry
}

/// What a REPORT EVENT says of its update, by fields and in its text.
fn reported_facts<'a>(report: &Report<'a>) -> Facts<'a> {
    Facts { update: report.update, revision: report.revision, ..message::titled(report.text) }
}

#[cfg(test)]
mod tests;
