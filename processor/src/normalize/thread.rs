//! What the lines above said on the same thread: the file under check, the update, the server, the code of the scan.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wulog_schemas::event::OpenOperation;

use super::config::Limits;
use crate::parse::{By, Entry, Operation, Phase, Section, Trust, Words, end_of_scheme};

/// The open operation of one thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Thread {
    /// The operation, and how many sections of it are open: agent, download manager and handler nest theirs.
    open: Option<(OpenOperation, u8)>,
    /// File of the last trust check.
    pub(super) path: Option<String>,
    /// The update, as long as the operation names only one.
    pub(super) update: Option<String>,
    /// True once the operation named several updates: then a line without one belongs to none for sure.
    several: bool,
    /// Title that stood before the update id.
    pub(super) title: Option<String>,
    /// Caller of the section.
    pub(super) caller: Option<String>,
    /// Service of the section, lower case.
    pub(super) service: Option<String>,
    /// `host[:port]` of the last URL.
    pub(super) server: Option<String>,
    /// First failure code since the scan began.
    pub(super) scan_code: Option<u32>,
}

/// The threads of one file, by process and thread id; lines without ids share one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Threads(BTreeMap<(u32, u32), Thread>);

impl Threads {
    /// The open operation of a line's thread.
    pub(super) fn of(&mut self, entry: &Entry<'_>, limits: &Limits) -> &mut Thread {
        let key = (entry.pid.unwrap_or_default(), entry.tid.unwrap_or_default());
        if self.0.len() >= limits.threads_per_file_max.max(1) && !self.0.contains_key(&key) {
            self.0.pop_first();
        }
        self.0.entry(key).or_default()
    }
}

impl Thread {
    /// Takes in what a line says. Gives the operation that the line belongs to.
    pub(super) fn follow(&mut self, entry: &Entry<'_>, value_bytes_max: usize) -> Option<OpenOperation> {
        let facts = &entry.facts;
        let keep = |kept: &mut Option<String>, value: &str| keep(kept, cut(value, value_bytes_max));
        let section = facts.section.filter(|section| section.by == By::Worker);
        if let Some(section) = section.filter(|section| section.phase == Phase::Start) {
            self.start(section);
        }
        if let Some(path) = facts.path {
            keep(&mut self.path, path);
        }
        if let Some(update) = facts.update {
            self.name_update(&lower(update), entry);
        }
        if let Some(title) = facts.title {
            keep(&mut self.title, title);
        }
        if let Some(caller) = facts.caller {
            keep(&mut self.caller, caller);
        }
        if let Some(service) = facts.service {
            keep(&mut self.service, &lower(service));
        }
        if let Some(server) = facts.url.and_then(server_of_url) {
            keep(&mut self.server, &server);
        }
        if let Some(code) = entry.hresult.filter(|_| entry.is_failure() && entry.report.is_none()) {
            // "Exit code = 0x8024402C" stands before the END of a failed search; other codes on the way do not decide.
            if facts.words.any(Words::EXIT_CODE.or(Words::RETURNED_CODE)) {
                self.scan_code = Some(code);
            }
        }
        let open = self.open.map(|(operation, _)| operation);
        match section.filter(|section| section.phase == Phase::End) {
            Some(section) => self.end(section),
            None => open,
        }
    }

    fn start(&mut self, section: Section) {
        let operation = open_operation(section.operation);
        match (&mut self.open, operation) {
            (Some((open, depth)), Some(operation)) if *open == operation => *depth = depth.saturating_add(1),
            _ => *self = Thread { open: operation.map(|operation| (operation, 1)), ..Thread::default() },
        }
    }

    /// Ends one section; gives the operation that it was part of, also where its beginning is not in the file.
    fn end(&mut self, section: Section) -> Option<OpenOperation> {
        let operation = open_operation(section.operation);
        self.open =
            self.open.and_then(|(open, depth)| (Some(open) == operation && depth > 1).then(|| (open, depth - 1)));
        operation
    }

    fn name_update(&mut self, update: &str, entry: &Entry<'_>) {
        // A line that is only an id lists a part of the update above.
        if entry.body.starts_with('{') {
            return;
        }
        let begins =
            entry.body.starts_with("Generating download request") || entry.body.starts_with("Starting install");
        if begins {
            self.several = false;
            keep(&mut self.update, update);
        } else if self.update.as_deref().is_some_and(|known| known != update) {
            self.several = true;
            self.update = None;
        } else if !self.several {
            keep(&mut self.update, update);
        }
    }

    /// True where the line ends a search, which the caller asks about before the thread goes on.
    pub(super) fn ends_scan(entry: &Entry<'_>) -> bool {
        entry.facts.section == Some(Section { operation: Operation::Scan, phase: Phase::End, by: By::Worker })
    }

    /// The file that a line speaks of: its own, or for a verdict without one that of the check above.
    pub(super) fn path_of<'a>(&'a self, entry: &Entry<'a>) -> Option<&'a str> {
        entry
            .facts
            .path
            .or_else(|| entry.facts.trust.filter(|trust| *trust != Trust::Checking).and(self.path.as_deref()))
    }
}

fn open_operation(operation: Operation) -> Option<OpenOperation> {
    match operation {
        Operation::Service => None,
        Operation::Scan => Some(OpenOperation::Scan),
        Operation::Download => Some(OpenOperation::Download),
        Operation::Install => Some(OpenOperation::Install),
        Operation::Uninstall => Some(OpenOperation::Uninstall),
    }
}

/// `host[:port]` of a URL, lower case, as a WSUS server is named.
pub(super) fn server_of_url(url: &str) -> Option<Cow<'_, str>> {
    let rest = &url[end_of_scheme(url)? + "://".len()..];
    let end = memchr::memchr3(b'/', b'?', b'#', rest.as_bytes()).unwrap_or(rest.len());
    let server = &rest[..end];
    let server = &server[memchr::memrchr(b'@', server.as_bytes()).map_or(0, |at| at + 1)..];
    let is_of_name =
        |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c) || !c.is_ascii() && c.is_alphanumeric();
    let fits = !server.is_empty() && server.chars().all(is_of_name);
    fits.then(|| lower(server))
}

/// In lower case; a copy only where it is not so already.
pub(super) fn lower(text: &str) -> Cow<'_, str> {
    let is_lower = if text.is_ascii() {
        !text.bytes().any(|byte| byte.is_ascii_uppercase())
    } else {
        !text.chars().any(char::is_uppercase)
    };
    if is_lower { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

/// Keeps a value in the memory of the one before: lines of an operation say the same again and again.
fn keep(kept: &mut Option<String>, value: &str) {
    value.clone_into(kept.get_or_insert_default());
}

/// The longest prefix of at most `bytes_max` bytes that ends at a character.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max { text } else { &text[..text.floor_char_boundary(bytes_max)] }
}
