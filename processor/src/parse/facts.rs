//! The facts of one message, which the searches of the parser fill in.

use std::borrow::Cow;

use super::origin::LineOrigin;
use super::outcome_words::OutcomeWords;
use super::section::Section;
use super::words::Words;

/// The facts of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts<'a> {
    /// The known words of the message.
    pub words: Words,
    /// Beginning or end of an operation.
    pub section: Option<Section>,
    /// The subject of the first known key of the message.
    pub subject: Option<MessageSubject>,
    /// Offset of the banner `Logging initialized (..., tz: +0200)`, minutes east.
    pub banner_offset_min: Option<i32>,
    /// Version of the client: banner, `WU client version`, `Client version: Core`.
    pub client_version: Option<&'a str>,
    /// `OS Version`, or the build in a service-location URL.
    pub os_version: Option<&'a str>,
    /// The WSUS server: its URL, or a word for "none".
    pub wsus: Option<&'a str>,
    /// The first URL.
    pub url: Option<&'a str>,
    /// `Target group`.
    pub target_group: Option<&'a str>,
    /// Proxy, as written; several have `;` or blanks between them.
    pub proxy: Option<&'a str>,
    /// True where the line states that there is no proxy.
    pub no_proxy: bool,
    /// Update id.
    pub update: Option<&'a str>,
    /// Revision of the update.
    pub revision: Option<u32>,
    /// Title.
    pub title: Option<&'a str>,
    /// KB number, such as `KB890830`.
    pub kb: Option<&'a str>,
    /// Caller or client id.
    pub caller: Option<&'a str>,
    /// Service id.
    pub service: Option<&'a str>,
    /// `CallId`.
    pub call: Option<&'a str>,
    /// BITS job.
    pub job: Option<&'a str>,
    /// SusClientId.
    pub client: Option<&'a str>,
    /// Correlation vector.
    pub correlation: Option<&'a str>,
    /// File of a trust check.
    pub path: Option<&'a str>,
    /// The verdict of the check on that file.
    pub trust: Option<Trust>,
    /// `= Process: ...` under a banner.
    pub process: Option<&'a str>,
    /// `= Module: ...` under a banner.
    pub module: Option<&'a str>,
    /// Security identifier.
    pub sid: Option<&'a str>,
    /// HTTP status.
    pub http_status: Option<u16>,
    /// Brand of the computer.
    pub manufacturer: Option<Cow<'a, str>>,
    /// Model of the computer.
    pub model: Option<Cow<'a, str>>,
    /// The place in the client's code that wrote the line.
    pub origin: Option<LineOrigin<'a>>,
    /// True for `*FAILED*`.
    pub failed: bool,
    /// The outcome that whole words of the message state; empty where no outcome may be taken from words.
    pub outcome_words: OutcomeWords,
    /// True for a record for which the decoder had no format.
    pub undecoded: bool,
}

/// The subject of the first key of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageSubject {
    /// Client, machine, network or policy.
    Configuration,
    /// The criteria of a search.
    Search,
}

/// A line's statement about a file's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// `Validating signature for PATH`: the check begins.
    Checking,
    /// `Microsoft signed: Yes`, `Trusted Publisher: Yes`.
    Trusted,
    /// `Trusted Publisher: No`.
    Untrusted,
    /// `Microsoft signed: No`, `Microsoft signed: NA`: no statement about other publishers.
    Unknown,
    /// `Error: 0x... when verifying trust for PATH`, `Digital Signatures on file PATH are not trusted`.
    Failed,
    /// `File failed postprocessing`: the client threw the file away.
    Rejected,
}

/// Longest fact that is kept; longer ones stay in the message only.
const FACT_BYTES_MAX: usize = 512;

/// Returns the text, where it is neither empty nor too long for a fact.
pub(super) fn bounded(text: &str) -> Option<&str> {
    (!text.is_empty() && text.len() <= FACT_BYTES_MAX).then_some(text)
}
