//! What the lines above said on the same thread: the file under check, the update, the server, the code of the scan.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::Limits;
use crate::parse::{Entry, Operation, Phase, Trust, find};

/// The open operation of one thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Thread {
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
    /// Takes in what a line says.
    pub(super) fn follow(&mut self, entry: &Entry<'_>, value_bytes_max: usize) {
        let facts = &entry.facts;
        let keep = |kept: &mut Option<String>, value: &str| keep(kept, cut(value, value_bytes_max));
        if matches!(facts.operation, Some((_, Phase::Start))) {
            *self = Thread::default();
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
        if let Some(code) = entry.hresult.filter(|code| code & 0x8000_0000 != 0 && entry.report.is_none()) {
            // "Exit code = 0x8024402C" stands before the END of a failed search; other codes on the way do not decide.
            if find::XIT_CODE.is_in(entry.message) || find::RETURNED_CODE.is_in(entry.message) {
                self.scan_code = Some(code);
            }
        }
    }

    fn name_update(&mut self, update: &str, entry: &Entry<'_>) {
        let begins =
            entry.message.starts_with("Generating download request") || entry.message.starts_with("Starting install");
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
        entry.facts.operation == Some((Operation::Scan, Phase::End))
    }

    /// The file that a line speaks of: its own, or for a verdict without one that of the check above.
    pub(super) fn path_of<'a>(&'a self, entry: &Entry<'a>) -> Option<&'a str> {
        entry
            .facts
            .path
            .or_else(|| entry.facts.trust.filter(|trust| *trust != Trust::Checking).and(self.path.as_deref()))
    }
}

/// `host[:port]` of a URL, lower case, as a WSUS server is named.
pub(super) fn server_of_url(url: &str) -> Option<Cow<'_, str>> {
    let (_, rest) = url.split_once("://")?;
    let server = rest.split(['/', '?', '#']).next()?;
    let server = server.rsplit_once('@').map_or(server, |(_, server)| server);
    let fits =
        !server.is_empty() && server.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    fits.then(|| lower(server))
}

/// In lower case; a copy only where it is not so already.
pub(super) fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// Keeps a value in the memory of the one before: lines of an operation say the same again and again.
fn keep(kept: &mut Option<String>, value: &str) {
    value.clone_into(kept.get_or_insert_default());
}

/// The longest prefix of at most `bytes_max` bytes that ends at a character.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max { text } else { &text[..text.floor_char_boundary(bytes_max)] }
}
