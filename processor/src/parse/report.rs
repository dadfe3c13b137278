//! REPORT EVENT and ReportingEvents.log: the one record that both hold, by tabs or by the spaces of a copy.
//!
//! ```text
//! {instance} time+zone namespace event source {update} revision hresult app result category text [correlation vector]
//! ```

use wulog_schemas::hresult::parse_hresult;

use super::event_ids::event_name;
use super::guid;
use super::time::{self, LocalTime};

/// How the event ended, in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `Success`.
    Success,
    /// `Failure`.
    Failure,
    /// `Started`, `Pending` and the like.
    Other,
}

/// The fields of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Report<'a> {
    /// GUID of this occurrence.
    pub instance: &'a str,
    /// When it happened, with the zone.
    pub time: Option<LocalTime>,
    /// 1 for clients.
    pub namespace: Option<u32>,
    /// Event id, such as 161.
    pub event_id: u32,
    /// Its name, by the specification, else as the line gives it.
    pub event_name: Option<&'a str>,
    /// Client sub-component: 101 the agent, 102 automatic updates.
    pub source: Option<u32>,
    /// Update, where the event has one.
    pub update: Option<&'a str>,
    /// Its revision.
    pub revision: Option<u32>,
    /// HRESULT, zero for success.
    pub hresult: Option<u32>,
    /// Calling application; may hold spaces.
    pub app: &'a str,
    /// The result column.
    pub result: &'a str,
    /// `Content Download`, `Software Synchronization` ...
    pub category: &'a str,
    /// The text, which names the title of the update.
    pub text: &'a str,
    /// Correlation vector of Windows 10+.
    pub correlation: Option<&'a str>,
}

impl Report<'_> {
    /// The result column as a verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.result {
            "Success" => Verdict::Success,
            "Failure" => Verdict::Failure,
            _ => Verdict::Other,
        }
    }
}

/// Words of the result column, which end an app name that holds spaces.
const RESULTS: [&str; 9] =
    ["Success", "Failure", "Started", "Pending", "Canceled", "Cancelled", "Aborted", "Deferred", "Unknown"];

/// Categories, needed only where a copy turned the tabs into spaces.
const CATEGORIES: [&str; 8] = [
    "Software Synchronization",
    "Pre-Deployment Check",
    "Content Download",
    "Content Install",
    "Content Uninstall",
    "Content Commit",
    "Content Revert",
    "Reboot",
];

/// The record in a `REPORT EVENT: ` message.
pub(super) fn report_event(message: &str) -> Option<Report<'_>> {
    record(message.strip_prefix("REPORT EVENT:")?.trim_start())
}

/// A whole line of ReportingEvents.log.
pub(super) fn reporting_events(line: &str) -> Option<Report<'_>> {
    if line.starts_with('{') { record(line) } else { None }
}

fn record(text: &str) -> Option<Report<'_>> {
    let (instance, rest) = guid::take(text)?;
    let mut cursor = match rest.strip_prefix('\t') {
        Some(rest) => Cursor { rest, tabs: true },
        None => Cursor { rest: rest.strip_prefix(' ')?, tabs: false },
    };
    let time = cursor.time();
    let namespace = cursor.field().parse().ok();
    let (event_id, written_name) = cursor.event_id()?;
    let source = cursor.field().parse().ok();
    let update = guid::take(cursor.field()).map(|(guid, _)| guid).filter(|guid| !guid::is_nil(guid));
    let revision = cursor.field().parse().ok().filter(|_| update.is_some());
    let hresult = parse_hresult(cursor.field());
    let (app, result) = cursor.app_and_result();
    let category = cursor.category();
    let (text, correlation) = cursor.text();
    Some(Report {
        instance,
        time,
        namespace,
        event_id,
        event_name: event_name(event_id).or(written_name),
        source,
        update,
        revision,
        hresult,
        app,
        result,
        category,
        text,
        correlation,
    })
}

/// What of the record is still to be read.
struct Cursor<'a> {
    rest: &'a str,
    tabs: bool,
}

impl<'a> Cursor<'a> {
    /// The next field; where the tabs are lost, the next word.
    fn field(&mut self) -> &'a str {
        if self.tabs {
            let (field, rest) = self.rest.split_once('\t').unwrap_or((self.rest, ""));
            self.rest = rest;
            return field;
        }
        let (field, rest) = self.rest.trim_start().split_once(' ').unwrap_or((self.rest.trim_start(), ""));
        self.rest = rest;
        field
    }

    fn time(&mut self) -> Option<LocalTime> {
        if self.tabs {
            return time::take(self.field()).map(|taken| taken.time);
        }
        let taken = time::take(self.rest)?;
        self.rest = taken.rest;
        Some(taken.time)
    }

    /// `182`, or `182 [AGENT_INSTALLING_FAILED]` since Windows 8.1.
    fn event_id(&mut self) -> Option<(u32, Option<&'a str>)> {
        let field = self.field();
        let (id, name) = if self.tabs {
            field.split_once(' ').unwrap_or((field, ""))
        } else {
            let end = if self.rest.starts_with('[') { self.rest.find(']').map_or(0, |end| end + 1) } else { 0 };
            let (name, rest) = self.rest.split_at(end);
            self.rest = rest;
            (field, name)
        };
        let name = name.trim().strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        Some((id.parse().ok()?, name.filter(|name| !name.is_empty())))
    }

    fn app_and_result(&mut self) -> (&'a str, &'a str) {
        if self.tabs {
            return (self.field(), self.field());
        }
        let rest = self.rest;
        let mut at = 0;
        for word in rest.split(' ') {
            if RESULTS.contains(&word) {
                self.rest = rest[at + word.len()..].trim_start();
                return (rest[..at].trim(), word);
            }
            at += word.len() + 1;
        }
        self.rest = "";
        (rest.trim(), "")
    }

    fn category(&mut self) -> &'a str {
        if self.tabs {
            return self.field();
        }
        let category = CATEGORIES.into_iter().find(|category| self.rest.starts_with(category));
        let (category, rest) = self.rest.split_at(category.map_or(0, str::len));
        self.rest = rest.trim_start();
        category
    }

    fn text(&mut self) -> (&'a str, Option<&'a str>) {
        if self.tabs {
            let text = self.field();
            let correlation = self.rest.trim();
            return (text.trim(), (!correlation.is_empty()).then_some(correlation));
        }
        let text = self.rest.trim();
        match text.rsplit_once(' ') {
            Some((before, last)) if is_correlation_vector(last) => (before.trim_end(), Some(last)),
            _ => (text, None),
        }
    }
}

/// A base of 16 or 22 base64 digits and counters: `elerOJgZdE+e2lIG.1.0.0.3.0`.
fn is_correlation_vector(word: &str) -> bool {
    let Some((base, counters)) = word.split_once('.') else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    matches!(base.len(), 16 | 22)
        && base.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        && counters.split('.').all(digits)
}
