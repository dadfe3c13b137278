//! What the lines above said on the same thread: the file under check, the update, the server, the code of the scan.

use serde::{Deserialize, Serialize};

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

impl Thread {
    /// Takes in what a line says.
    pub(super) fn follow(&mut self, entry: &Entry<'_>, value_bytes_max: usize) {
        let facts = &entry.facts;
        let keep = |value: &str| cut(value, value_bytes_max).to_owned();
        if matches!(facts.operation, Some((_, Phase::Start))) {
            *self = Thread::default();
        }
        if let Some(path) = facts.path {
            self.path = Some(keep(path));
        }
        if let Some(update) = facts.update {
            self.name_update(&update.to_ascii_lowercase(), entry);
        }
        if let Some(title) = facts.title {
            self.title = Some(keep(title));
        }
        if let Some(caller) = facts.caller {
            self.caller = Some(keep(caller));
        }
        if let Some(service) = facts.service {
            self.service = Some(service.to_ascii_lowercase());
        }
        if let Some(server) = facts.url.and_then(server_of_url) {
            self.server = Some(cut(&server, value_bytes_max).to_owned());
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
            self.update = Some(update.to_owned());
        } else if self.update.as_deref().is_some_and(|known| known != update) {
            self.several = true;
            self.update = None;
        } else if !self.several {
            self.update = Some(update.to_owned());
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
pub(super) fn server_of_url(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let server = rest.split(['/', '?', '#']).next()?;
    let server = server.rsplit_once('@').map_or(server, |(_, server)| server);
    let fits =
        !server.is_empty() && server.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    fits.then(|| server.to_ascii_lowercase())
}

/// The longest prefix of at most `bytes_max` bytes that ends at a character.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max { text } else { &text[..text.floor_char_boundary(bytes_max)] }
}
