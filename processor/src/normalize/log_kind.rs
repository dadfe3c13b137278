//! Which kind of log a file is, by its lines: only lines of Windows Update raise alerts, and an administrator is told once of a
//! file that is something else.
//!
//! A line counts if it has the form of a record, a readable time, and a component that Windows Update knows, or stands in a
//! file that had such a line before. So a form that nobody has described never counts, whatever codes it holds.

use serde::{Deserialize, Serialize};
use wulog_schemas::event::Form;

use crate::parse::{Entry, is_component};

/// Lines without any of Windows Update after which a file is said to be another program's. The head that a tool or a person
/// puts above a log is shorter.
const STRANGE_LINES: u32 = 20;

/// What the lines of a file have shown so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LogKind {
    /// True once a line was certainly of Windows Update.
    own: bool,
    /// The form of another program whose lines the file has.
    foreign: Option<Form>,
    /// Lines that were of no form of Windows Update.
    strange: u32,
    /// True once a line was of Windows Update by its words, but had lost its time.
    timeless: bool,
    /// True once the administrator was told.
    told: bool,
}

impl LogKind {
    /// Takes a line in. Gives what is to be said of the file, once.
    pub(super) fn take(&mut self, entry: &Entry<'_>) -> Option<Strange> {
        if self.own {
            return None;
        }
        if is_certain(entry) {
            self.own = true;
            return None;
        }
        if entry.form.is_foreign() && self.foreign.is_none() {
            self.foreign = Some(entry.form);
        }
        self.timeless |= entry.form == Form::Message;
        // Lines whose columns are lost, or that the decoder knew no format for, are of Windows Update all the same.
        if !matches!(entry.form, Form::Text) && !entry.form.is_foreign() || entry.message.is_empty() {
            return None;
        }
        self.strange = self.strange.saturating_add(1);
        let is_clear = self.foreign.is_some() || self.strange >= STRANGE_LINES && !self.timeless;
        if self.told || !is_clear {
            return None;
        }
        self.told = true;
        Some(self.strange())
    }

    /// What is to be said of a file that ended before it was clear, and had nothing of Windows Update.
    pub(super) fn at_end(&mut self) -> Option<Strange> {
        let is_strange = !self.own && !self.told && (self.strange > 0 || self.timeless);
        self.told |= is_strange;
        is_strange.then(|| self.strange())
    }

    fn strange(&self) -> Strange {
        match self.foreign {
            Some(form) => Strange::Foreign(form),
            None if self.timeless => Strange::Timeless,
            None => Strange::Unknown,
        }
    }

    /// The form of a line in its file: a line without columns is of the program whose log it stands in.
    pub(super) fn form_of(&self, entry: &Entry<'_>) -> Form {
        match self.foreign {
            Some(file) if !self.own => crate::parse::in_file_of(entry.form, file),
            _ => entry.form,
        }
    }

    /// True where what a line says may count as a failure, a success or activity of its host.
    pub(super) fn counts(&self, entry: &Entry<'_>, has_time: bool) -> bool {
        self.own && has_time && (entry.form.is_record() || entry.report.is_some())
    }
}

/// True for a line that only Windows Update, or Configuration Manager's handler of it, writes.
fn is_certain(entry: &Entry<'_>) -> bool {
    match entry.form {
        Form::ReportingEvents | Form::WuaHandler => true,
        Form::Legacy | Form::Etw => {
            let has_ids = entry.pid.is_some() && entry.tid.is_some();
            // Clients before 5.8 write the zone into the time and no component.
            let is_old = entry.time.is_some_and(|time| time.offset_min.is_some()) && entry.form == Form::Legacy;
            has_ids && (is_old || entry.component.is_some_and(is_component)) || entry.report.is_some()
        }
        _ => entry.report.is_some(),
    }
}

/// Why no line of a file raises an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strange {
    /// It is the log of another program.
    Foreign(Form),
    /// Its lines have no form that wulog knows.
    Unknown,
    /// Its lines are of Windows Update, but none has a time.
    Timeless,
}

impl Strange {
    /// What is said of the file `path` of `host`.
    pub(super) fn notice(self, host: &str, path: &str) -> String {
        let what = match self {
            Strange::Foreign(form) => format!("is {}, not a Windows Update log", described(form)),
            Strange::Unknown => "has no line in the form of a Windows Update log".to_owned(),
            Strange::Timeless => "has lines of Windows Update, but none with a readable time".to_owned(),
        };
        // The command line's name of standard input.
        let path = if path == "-" { "standard input" } else { path };
        format!(
            "{path} of host {host} {what}: its lines become events and raise no alert; give wulog the unchanged \
             WindowsUpdate.log (on Windows 10 and later as Get-WindowsUpdateLog writes it), ReportingEvents.log or \
             WUAHandler.log"
        )
    }
}

fn described(form: Form) -> &'static str {
    match form {
        Form::Cbs => "a CBS log (servicing of Windows)",
        Form::Dism => "a DISM log",
        Form::SetupAct => "a log of Windows Setup",
        Form::MpSigStub => "a log of Microsoft Defender's signature updates (MpSigStub)",
        Form::CmTrace => "a log of another component of Configuration Manager",
        Form::Iis => "a web server's log (IIS)",
        Form::WsusServer => "the WSUS server's own log",
        Form::DeliveryOptimization => "a log of Delivery Optimization",
        Form::PublishingTool => "the log of a publishing tool",
        Form::Legacy | Form::Etw | Form::ReportingEvents | Form::WuaHandler | Form::Message | Form::Text => "a text",
    }
}
