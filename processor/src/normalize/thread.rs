//! The open operation of each thread: file under check, update, server and code from earlier lines of the thread.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wulog_schemas::event::{Action, Form, OpenOperation};
use wulog_schemas::hresult::is_failure;

use super::config::NormalizerLimits;
use super::limit::cut;
use super::spelling::{lower, server_of_url};
use super::trust_failure::{is_history, trust_failure};
use crate::parse::{Entry, Phase, Section, SectionOperation, SectionWriter, Trust, Words};

/// The open operation of one thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Thread {
    /// The operation, and how many sections of it are open: agent, download manager and handler nest theirs.
    open: Option<(OpenOperation, u8)>,
    /// File of the last trust check.
    pub(super) path: Option<String>,
    /// The update, as long as the operation names only one.
    pub(super) update: Option<String>,
    /// True once the operation named several updates, by id or by title: a line without an id is then certain of none.
    several: bool,
    /// Number of the work item on this thread: an operation, or one update of it. Failures of two items are different
    /// failures.
    pub(super) item: u32,
    /// The latest title.
    title: Option<String>,
    /// KB of that title.
    kb: Option<String>,
    /// True until a line names the update of the title.
    title_is_new: bool,
    /// Caller of the section.
    pub(super) caller: Option<String>,
    /// Service of the section, lower case.
    pub(super) service: Option<String>,
    /// `host[:port]` of the last URL.
    pub(super) server: Option<String>,
    /// Exit code of the scan, where it is one of a failure.
    exit_code: Option<u32>,
    /// Servers and results of the open scan, or of the last one.
    pub(super) scan: OpenScan,
}

/// Most servers of one scan: service locations, WSUS or Microsoft's services, redirections.
const SERVERS_MAX: usize = 8;

/// Most updates of one scan that are remembered; a scan that lists more never proves that an update is not offered.
const LISTED_MAX: usize = 256;

/// Facts of one scan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenScan {
    /// `Found N updates`.
    pub(super) found: Option<u32>,
    /// Code of the latest failure in the scan that no later success cancelled: the client repeats a failed call.
    failed: Option<u32>,
    /// Updates that the scan listed one by one, lower case.
    listed: Vec<String>,
    /// `host[:port]` of the servers that the scan talked to.
    pub(super) servers: Vec<String>,
}

impl OpenScan {
    /// True where the scan listed all updates that it found, and this update is not in the list.
    pub(super) fn lacks(&self, update: Option<&str>) -> bool {
        match self.found {
            Some(0) => true,
            Some(found) => {
                // An update that was listed in two revisions is one entry in `listed`; the list then counts as
                // incomplete.
                let is_complete = usize::try_from(found).is_ok_and(|found| found == self.listed.len());
                update.is_some_and(|update| is_complete && !self.listed.iter().any(|listed| listed == update))
            }
            None => false,
        }
    }

    fn follow(&mut self, entry: &Entry<'_>) {
        let facts = &entry.facts;
        if let Some(found) = updates_found(entry) {
            self.found = Some(found);
            self.failed = None;
        } else if entry.action == Action::ScanFailed || trust_failure(entry).is_some() {
            self.failed = entry.hresult.filter(|_| entry.is_failure()).or(self.failed);
        }
        if let Some(update) = facts.update.filter(|_| facts.words.any(Words::SEARCH_RESULT)) {
            let update = lower(update);
            if self.listed.len() < LISTED_MAX && !self.listed.iter().any(|listed| *listed == update) {
                self.listed.push(update.into_owned());
            }
        }
    }

    fn talked_to(&mut self, server: &str) {
        if self.servers.len() < SERVERS_MAX && !self.servers.iter().any(|known| known == server) {
            self.servers.push(server.to_owned());
        }
    }
}

/// Returns how many updates a scan found: `Found 3 updates and 80 categories in search`, or the report of a finished
/// scan, in any language.
pub(super) fn updates_found(entry: &Entry<'_>) -> Option<u32> {
    let text = match &entry.report {
        Some(report) => {
            const FINISHED: u32 = 147;
            if report.event_id != FINISHED {
                return None;
            }
            &report.text[report.text.find(|c: char| c.is_ascii_digit())?..]
        }
        None => {
            let rest = entry.body.strip_prefix("Found ")?;
            rest.contains(" updates").then_some(rest)?
        }
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..digits].parse().ok()
}

/// The threads of one file, by process and thread id; lines without ids share one thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Threads(BTreeMap<(u32, u32), Thread>);

impl Threads {
    /// Returns the update that a process installs, for a line of the handler whose own thread names no update: another
    /// thread of the process, which waits for the handler, names the update.
    pub(super) fn update_in_work(&self, entry: &Entry<'_>) -> Option<&str> {
        let of_handler = entry.component.is_some_and(|component| component.eq_ignore_ascii_case("Handler"));
        let pid = entry.pid.filter(|_| of_handler && entry.report.is_none())?;
        let installs = |thread: &&Thread| thread.open.is_some_and(|(open, _)| open == OpenOperation::Install);
        let mut waiting = self.0.range((pid, 0)..=(pid, u32::MAX)).map(|(_, thread)| thread).filter(installs);
        let named = waiting.find_map(|thread| thread.update.as_deref())?;
        // With two waiting threads of different updates, the handler's update is unknown.
        waiting.all(|thread| thread.update.as_deref().is_none_or(|update| update == named)).then_some(named)
    }

    /// Returns the thread of a line.
    pub(super) fn of(&mut self, entry: &Entry<'_>, limits: &NormalizerLimits) -> &mut Thread {
        let key = (entry.pid.unwrap_or_default(), entry.tid.unwrap_or_default());
        if self.0.len() >= limits.threads_per_file_max.max(1) && !self.0.contains_key(&key) {
            self.0.pop_first();
        }
        self.0.entry(key).or_default()
    }
}

impl Thread {
    /// Updates the thread by a line. Returns the operation that the line belongs to.
    pub(super) fn follow(&mut self, entry: &Entry<'_>, value_bytes_max: usize) -> Option<OpenOperation> {
        let facts = &entry.facts;
        let keep = |kept: &mut Option<String>, value: &str| keep(kept, cut(value, value_bytes_max));
        let section = facts.section.filter(|section| section.by == SectionWriter::Worker);
        if let Some(section) = section.filter(|section| section.phase == Phase::Start) {
            self.start(section);
        }
        if let Some(path) = facts.path {
            keep(&mut self.path, path);
        }
        if let Some(title) = facts.title.filter(|_| entry.report.is_none()) {
            self.name_title(cut(title, value_bytes_max), facts.kb);
        } else if self.several && facts.update.is_none() {
            // Among several updates, only the id right after a title belongs to the title.
            self.title_is_new = false;
        }
        if let Some(update) = facts.update.filter(|_| is_worked_on(entry)) {
            self.name_update(&lower(update), entry);
        }
        if let Some(caller) = facts.caller {
            keep(&mut self.caller, caller);
        }
        if let Some(service) = facts.service {
            keep(&mut self.service, &lower(service));
        }
        let scans = self.open.is_none_or(|(operation, _)| operation == OpenOperation::Scan);
        if let Some(server) = facts.url.and_then(server_of_url) {
            keep(&mut self.server, &server);
            if scans {
                self.scan.talked_to(cut(&server, value_bytes_max));
            }
        }
        let open = self.open.map(|(operation, _)| operation);
        if scans {
            self.scan.follow(entry);
        }
        if let Some(code) = entry.hresult.filter(|_| entry.report.is_none()) {
            // "Exit code = 0x8024402C" stands before the END of a search and decides how it ended.
            if is_failure(code) && facts.words.any(Words::EXIT_CODE.or(Words::RETURNED_CODE)) {
                self.exit_code = Some(code);
            } else if !is_failure(code) && facts.words.any(Words::EXIT_CODE) {
                (self.exit_code, self.scan.failed) = (None, None);
            }
        }
        match section.filter(|section| section.phase == Phase::End) {
            Some(section) => self.end(section),
            None => open,
        }
    }

    fn start(&mut self, section: Section) {
        let operation = open_operation(section.operation);
        match (&mut self.open, operation) {
            (Some((open, depth)), Some(operation)) if *open == operation => *depth = depth.saturating_add(1),
            _ => {
                let (open, item) = (operation.map(|operation| (operation, 1)), self.item.wrapping_add(1));
                *self = Thread { open, item, ..Thread::default() };
                return;
            }
        }
        // The handler begins a section for each update, on the agent's thread and within the agent's section.
        if operation == Some(OpenOperation::Install) {
            self.item = self.item.wrapping_add(1);
        }
    }

    /// Ends one section. Returns the operation of the section, also where its beginning is missing in the file.
    fn end(&mut self, section: Section) -> Option<OpenOperation> {
        let operation = open_operation(section.operation);
        self.open =
            self.open.and_then(|(open, depth)| (Some(open) == operation && depth > 1).then(|| (open, depth - 1)));
        operation
    }

    /// Sets the title of an update that the operation is about.
    fn name_title(&mut self, title: &str, kb: Option<&str>) {
        if self.title.as_deref().is_some_and(|known| known != title) {
            // A list of titles: no line says which of the updates the lines below are about.
            self.several = true;
            self.update = None;
        }
        keep(&mut self.title, title);
        self.kb = kb.map(str::to_ascii_uppercase);
        self.title_is_new = true;
    }

    fn name_update(&mut self, update: &str, entry: &Entry<'_>) {
        // The updates that a scan lists do not concern later lines.
        if self.open.is_some_and(|(open, _)| open == OpenOperation::Scan) {
            return;
        }
        const BEGINS: [&str; 3] = ["Generating download request", "Starting install", "Preparing update for install"];
        if BEGINS.into_iter().any(|begin| entry.body.starts_with(begin)) {
            if self.update.as_deref().is_some_and(|known| known != update) {
                self.item = self.item.wrapping_add(1);
            }
            if self.several && !self.title_is_new {
                // The last title of a list may belong to another update.
                (self.title, self.kb) = (None, None);
            }
            self.several = false;
            keep(&mut self.update, update);
        } else if self.update.as_deref().is_some_and(|known| known != update) {
            self.several = true;
            self.update = None;
        } else if !self.several {
            keep(&mut self.update, update);
        }
    }

    /// Returns the title, with its KB, that stood before the update id of this line. Each title is returned once.
    pub(super) fn take_title(&mut self, entry: &Entry<'_>) -> Option<(&str, Option<&str>)> {
        let is_named = entry.facts.update.is_some() && is_worked_on(entry);
        if !is_named || !std::mem::take(&mut self.title_is_new) {
            return None;
        }
        Some((self.title.as_deref()?, self.kb.as_deref()))
    }

    /// True where the operation named several updates.
    pub(super) fn has_several(&self) -> bool {
        self.several
    }

    /// Returns the title of the operation's update, where the operation names only one.
    pub(super) fn title_of_operation(&self) -> Option<&str> {
        self.title.as_deref().filter(|_| !self.several)
    }

    /// Returns the update of a line: the update that the line names, else the update of the operation on its thread,
    /// where that operation names only one. A scan has no update, though it lists some, and a report names its own.
    pub(super) fn update_of<'a>(&'a self, entry: &Entry<'a>, open: Option<OpenOperation>) -> Option<Cow<'a, str>> {
        let own = entry.facts.update.map(lower);
        own.or_else(|| {
            let is_about = entry.report.is_none() && open != Some(OpenOperation::Scan);
            self.update.as_deref().filter(|_| is_about).map(Cow::Borrowed)
        })
    }

    /// Returns the code of the failure with which the scan on this thread ends, unless its END says how it ended.
    pub(super) fn scan_code(&self) -> Option<u32> {
        self.exit_code.or(self.scan.failed)
    }

    /// Returns the file of a line: the path in the line, or, for a verdict without a path, the file of the last check.
    pub(super) fn path_of<'a>(&'a self, entry: &Entry<'a>) -> Option<&'a str> {
        entry
            .facts
            .path
            .or_else(|| entry.facts.trust.filter(|trust| *trust != Trust::Checking).and(self.path.as_deref()))
    }
}

/// True where the client works on the update that a line names. False for a report, which another thread's operation
/// caused; for a search and its evaluation of rules, which name updates by the hundred; for the history of an update,
/// which is written after its operation; and for Configuration Manager's lists of planned installations.
fn is_worked_on(entry: &Entry<'_>) -> bool {
    use Action::{MetadataSync, ScanEnd, ScanFailed, ScanProgress, ScanStart, SelfUpdate};
    let is_of_scan =
        matches!(entry.action, ScanStart | ScanProgress | ScanEnd | ScanFailed | MetadataSync | SelfUpdate);
    entry.report.is_none()
        && (!is_of_scan || entry.form == Form::WuaHandler)
        // A line that begins with an id lists a part of the update above.
        && !entry.body.starts_with('{')
        && !is_history(entry.body)
        && !entry.facts.words.any(Words::APPLICABILITY)
}

fn open_operation(operation: SectionOperation) -> Option<OpenOperation> {
    match operation {
        SectionOperation::Service => None,
        SectionOperation::Scan => Some(OpenOperation::Scan),
        SectionOperation::Download => Some(OpenOperation::Download),
        SectionOperation::Install => Some(OpenOperation::Install),
        SectionOperation::Uninstall => Some(OpenOperation::Uninstall),
    }
}

/// Replaces a kept value and reuses its memory: lines of an operation repeat the same values.
fn keep(kept: &mut Option<String>, value: &str) {
    value.clone_into(kept.get_or_insert_default());
}
