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
mod event_ids;
pub(crate) mod find;
mod guid;
mod message;
mod report;
mod time;

pub use event_ids::event_name;
pub use message::{Facts, Level, Operation, Phase, Trust};
pub use report::{Report, Verdict};
pub use time::{LocalTime, time_text};

use wulog_schemas::event::Form;
use wulog_schemas::hresult::find_hresult;

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
    /// HRESULT of the line, zero for an explicit success.
    pub hresult: Option<u32>,
    /// The fields of REPORT EVENT or ReportingEvents.log.
    pub report: Option<Report<'a>>,
    /// What the message says.
    pub facts: Facts<'a>,
}

/// Takes a line apart.
#[must_use]
pub fn parse(line: &str) -> Entry<'_> {
    let line = line.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
    if let Some(report) = report::reporting_events(line) {
        let facts = reported_facts(&report);
        return Entry {
            form: Form::ReportingEvents,
            time: report.time,
            pid: None,
            tid: None,
            component: None,
            level: None,
            message: report.text,
            hresult: report.hresult,
            report: Some(report),
            facts,
        };
    }
    let columns = columns::split(line);
    let (level, body) = message::level_and_body(columns.message);
    let report = report::report_event(body);
    let (hresult, facts) = match &report {
        Some(report) => (report.hresult, reported_facts(report)),
        None => {
            let hresult = if message::is_undecoded(body) { None } else { find_hresult(body) };
            (hresult, message::facts(body, columns.component))
        }
    };
    Entry {
        form: columns.form,
        time: columns.time,
        pid: columns.pid,
        tid: columns.tid,
        component: columns.component,
        level,
        message: columns.message,
        hresult,
        report,
        facts,
    }
}

/// What a REPORT EVENT says of its update, by fields and in its text.
fn reported_facts<'a>(report: &Report<'a>) -> Facts<'a> {
    Facts { update: report.update, revision: report.revision, ..message::titled(report.text) }
}

#[cfg(test)]
mod tests;
