//! Decides by its lines which kind of log a file is. Only lines of Windows Update raise alerts, and the administrator
//! gets one notice about a file of another kind.
//!
//! A line counts if it has the form of a record, a readable time, and a component of Windows Update, or stands in a
//! file that had such a line before. So a form that nobody has described never counts, whatever codes it holds.

use serde::{Deserialize, Serialize};
use wulog_schemas::event::Form;

use crate::parse::{Entry, is_component};

/// How many lines without a line of Windows Update make a file a log of another program. The head that a tool or a
/// person puts above a log is shorter.
const STRANGE_LINES: u32 = 20;

/// The kind of a file, as far as its lines have shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LogKind {
    /// True once a line was certainly written by Windows Update.
    own: bool,
    /// The form of another program whose lines the file has.
    foreign: Option<Form>,
    /// Number of lines without a form of Windows Update.
    strange: u32,
    /// True once a line had the words of Windows Update, but no time.
    timeless: bool,
    /// True once a notice was given.
    told: bool,
}

impl LogKind {
    /// Takes a line. Returns the notice about the file, once.
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
        // Lines that lost their columns, and undecoded lines, belong to Windows Update all the same.
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

    /// Returns the notice about a file that ended without a line of Windows Update, unless the notice was given before.
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

    /// Returns the form of a line in its file: a line without columns gets the form of the program whose log it stands
    /// in.
    pub(super) fn form_of(&self, entry: &Entry<'_>) -> Form {
        match self.foreign {
            Some(file) if !self.own => crate::parse::in_file_of(entry.form, file),
            _ => entry.form,
        }
    }

    /// True where the line may count as a failure, a success or activity of its host.
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
            // Clients before 5.8 write the zone into the time, and write no component.
            let is_old = entry.time.is_some_and(|time| time.offset_min.is_some()) && entry.form == Form::Legacy;
            has_ids && (is_old || entry.component.is_some_and(is_component)) || entry.report.is_some()
        }
        _ => entry.report.is_some(),
    }
}

/// Why no line of a file raises an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strange {
    /// The file is the log of another program.
    Foreign(Form),
    /// The lines have no form that wulog knows.
    Unknown,
    /// The lines belong to Windows Update, but none has a time.
    Timeless,
}

impl Strange {
    /// Returns the notice about the file `path` of `host`.
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
