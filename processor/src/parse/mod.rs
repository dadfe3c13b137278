//! Raw line -> entry: the form of the line, its columns, and the facts in its message.
//!
//! Total and pure: any text, also a part of a line, gives an [`Entry`] that borrows from the text. Forms:
//!
//! ```text
//! legacy       2011-05-15 TAB 07:47:07:169 TAB  952 TAB 5b4 TAB Report TAB message     (tabs may be copied as spaces)
//! etw          2023/03/01 22:19:01.4037009 19924 14968 SLS             message         (any culture's separators)
//! columns lost Report REPORT EVENT: ...
//! reporting    {GUID} TAB 2020-03-14 13:14:20:702+0100 TAB 1 TAB 148 [NAME] TAB ...
//! wuahandler   <![LOG[message]LOG]!><time="09:12:30.961-60" date="04-12-2021" component="WUAHandler" ...>
//! cbs ...      logs of other programs, see `foreign`
//! text         anything else: a continuation of the line above, or an unknown form
//! ```
//!
//! The parser reads bytes by hand and without regex, since it is the hottest code of wulog.

mod column_split;
mod line_columns;
mod level;
mod component;
mod csv;
mod cmtrace;
mod foreign;
mod time;
mod other_time;
mod message;
mod facts;
mod words;
mod outcome_words;
mod section;
mod trust;
mod ids;
mod guid;
mod pairs;
mod name_mask;
mod restored;
mod find;
mod url;
mod sls;
mod origin;
mod report;
mod title;
mod event_ids;
mod action;

pub(crate) use cmtrace::is_open as is_open_cmtrace;
pub(crate) use cmtrace::{BEGIN as CMTRACE_BEGIN, END as CMTRACE_END};
pub(crate) use component::is_component;
pub use event_ids::event_name;
pub use facts::{Facts, MessageSubject, Trust};
pub use foreign::in_file_of;
pub use ids::service_name;
pub use level::LineLevel;
pub use origin::LineOrigin;
pub use outcome_words::OutcomeWords;
pub use report::{Report, ReportVerdict};
pub(crate) use report::{awaits_time, fields_read, is_begun as is_begun_report, is_dated as is_dated_report};
pub(crate) use restored::restored;
pub use section::{Phase, Section, SectionOperation, SectionWriter};
pub use time::{LocalTime, time_text};
pub(crate) use url::end_of_scheme;
pub use words::Words;

use wulog_schemas::event::{Action, EventOutcome, Form};
use wulog_schemas::hresult::{Codes, find_hresults, is_failure};

use line_columns::Columns;

/// A parsed log line.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// The form of the line.
    pub form: Form,
    /// The time column, as written: local time, with an offset where the line has one.
    pub time: Option<LocalTime>,
    /// Process id.
    pub pid: Option<u32>,
    /// Thread id; hexadecimal in the legacy form, decimal later.
    pub tid: Option<u32>,
    /// Component column, as written.
    pub component: Option<&'a str>,
    /// `WARNING:` or `FATAL:`, or the severity column of Configuration Manager.
    pub level: Option<LineLevel>,
    /// Everything after the columns.
    pub message: &'a str,
    /// The message without bullet and severity word.
    pub body: &'a str,
    /// The decisive HRESULT of the line; zero where the line names zero as its result.
    pub hresult: Option<u32>,
    /// All HRESULTs of the line.
    pub codes: Codes,
    /// The fields of REPORT EVENT or ReportingEvents.log.
    pub report: Option<Report<'a>>,
    /// Facts in the message.
    pub facts: Facts<'a>,
    /// The kind of the line, without regard to other lines.
    pub action: Action,
    /// The outcome of the line's operation.
    pub outcome: EventOutcome,
}

impl Entry<'_> {
    /// True for a failure code.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.hresult.is_some_and(is_failure)
    }

    /// True for a line of Windows Error Reporting, which repeats an earlier line.
    #[must_use]
    pub fn is_error_report(&self) -> bool {
        self.body.starts_with("WER Report sent")
    }
}

/// Parses one line.
#[must_use]
pub fn parse(line: &str) -> Entry<'_> {
    let mut entry = Entry::default();
    entry.read(line);
    entry
}

/// An entry before its line is read: form `text`, every other field empty.
impl Default for Entry<'_> {
    fn default() -> Self {
        Entry {
            form: Form::Text,
            time: None,
            pid: None,
            tid: None,
            component: None,
            level: None,
            message: "",
            body: "",
            hresult: None,
            codes: Codes::default(),
            report: None,
            facts: Facts::default(),
            action: Action::Log,
            outcome: EventOutcome::Unknown,
        }
    }
}

impl<'a> Entry<'a> {
    /// Parses a line into this entry, which must be [`Entry::default`].
    ///
    /// In place, since an entry has nearly a kilobyte: one copy takes as long as finding the time column.
    pub(crate) fn read(&mut self, line: &'a str) {
        let line = line.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
        match report::reporting_events(line) {
            Some(report) => self.take_reporting_event(report),
            None => self.take_columns(column_split::split(line), line),
        }
        if matches!(self.form, Form::Text | Form::Message)
            && self.time.is_none()
            && self.report.is_none()
            && let Some(report) = report::copied(line)
        {
            *self = Entry::default();
            self.take_reporting_event(report);
        }
        (self.action, self.outcome) = action::describe(self);
    }

    /// True where the words of the body may decide the outcome.
    ///
    /// A search for words costs time, and a failure code decides without it. A transfer is the exception: it fails with
    /// a word, and a code in its line may belong to another step.
    fn words_decide(&self) -> bool {
        let has = |words: Words| self.facts.words.any(words);
        has(Words::SUCCEEDED.or(Words::COMPLETED).or(Words::TRANSFER_JOB))
            || !self.is_failure()
                && has(Words::FAILED.or(Words::DOWNLOAD_FAILED).or(Words::INSTALL_ENDED).or(Words::SCAN_FAILED))
    }

    /// Sets the fields of a record of ReportingEvents.log.
    fn take_reporting_event(&mut self, report: Report<'a>) {
        self.form = Form::ReportingEvents;
        self.time = report.time;
        (self.message, self.body) = (report.text, report.text);
        self.take_report(report);
    }

    /// Sets the columns of `line`, and the facts of its message.
    fn take_columns(&mut self, columns: Columns<'a>, line: &'a str) {
        let message = message::without_trace_prefix(columns.message);
        let (level, body) = message::level_and_body(message);
        self.form = columns.form;
        (self.time, self.pid, self.tid) = (columns.time, columns.pid, columns.tid);
        self.component = columns.component;
        self.level = level.or(columns.level);
        (self.message, self.body) = (message, body);
        if self.form.is_foreign() {
            // Codes of other programs have known meanings; their words have other meanings than in Windows Update.
            self.set_codes(find_hresults(body));
            return;
        }
        if let Some(report) = report::report_event(body) {
            self.take_report(report);
            return;
        }
        let mut name = message::facts(message, body, columns.component, &mut self.facts);
        if self.form == Form::WuaHandler {
            name = cmtrace::facts(body, &mut self.facts).or(name);
            self.facts.origin = cmtrace::origin(line);
        }
        self.judge(body);
        // Few lines have names. Quotes are searched only in lines to which a name could give an outcome.
        if name.is_none() && (self.is_failure() || self.facts.words.any(Words::FAILED)) {
            name = name_mask::quoted(body);
        }
        if let Some(name) = name {
            let hidden = name_mask::hidden(body, name);
            message::hide_name(body, &hidden, &mut self.facts);
            self.judge(&hidden);
        }
        if self.form == Form::WuaHandler && cmtrace::ends_well(body) {
            self.facts.outcome_words.succeeded = !self.facts.outcome_words.denied;
        }
    }

    /// Sets the codes of `body` and the outcome that its words state.
    fn judge(&mut self, body: &str) {
        // Numbers in settings are not HRESULTs: `OS Product Type = 0x00000003`.
        if !self.facts.undecoded && self.facts.subject != Some(MessageSubject::Configuration) {
            self.set_codes(find_hresults(body));
        }
        self.facts.outcome_words =
            if self.words_decide() { outcome_words::find(body) } else { OutcomeWords::default() };
    }

    /// Sets the fields of a report. The HRESULT column has priority over codes in the text, unless one of those is the
    /// cause.
    fn take_report(&mut self, report: Report<'a>) {
        let mut codes = Codes::of(report.hresult);
        // A code in the name of the update is not a result.
        let name = title::name(report.text, report.update.is_some());
        let start = name.map_or(report.text.len(), |name| name.as_ptr().addr() - report.text.as_ptr().addr());
        let behind = &report.text[start + name.unwrap_or_default().len()..];
        for text in [&report.text[..start], behind] {
            find_hresults(text).all().for_each(|code| codes.add(code));
        }
        self.set_codes(codes);
        self.facts = reported_facts(&report, name);
        self.report = Some(report);
    }

    fn set_codes(&mut self, codes: Codes) {
        self.hresult = codes.decisive();
        self.codes = codes;
    }

    /// Marks the line as part of another program's log, and removes all facts about the Windows Update client.
    pub fn make_foreign(&mut self, form: Form) {
        self.form = form;
        self.report = None;
        self.facts = Facts::default();
        (self.action, self.outcome) = (Action::Log, EventOutcome::Unknown);
    }

    /// Returns the entry of a line that continues the record above. The fields belong to that record, so columns in
    /// this line count as text.
    #[must_use]
    pub fn continuation(line: &'a str) -> Entry<'a> {
        let message = line.trim();
        Entry { message, body: message, ..Entry::default() }
    }
}

/// Returns the facts of a REPORT EVENT about its update, from its fields and its text; `name` is the title in the text.
fn reported_facts<'a>(report: &Report<'a>, name: Option<&'a str>) -> Facts<'a> {
    Facts { update: report.update, revision: report.revision, ..title::reported(report.text, name) }
}

#[cfg(test)]
mod tests;
