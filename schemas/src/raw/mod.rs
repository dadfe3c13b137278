//! The raw record: the line is the value, all other facts are compact JSON in ONE header.
//!
//! There is one header, since each header costs librdkafka CPU: measured over 1M lines, none 0.9-1.2 CPU-s, one of 110
//! bytes 1.5-1.9, seven 3.8-4.5.
//!
//! The record key is the [host id](crate::host::HostId). `(host id, file, epoch, offset)` is a line's identity for
//! ever.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod hash;
mod read;

pub use hash::LineHash;
pub use read::HeaderReader;

/// The name of the one header.
pub const HEADER: &str = "wulog";

/// The contract's version; readers accept this one and the one before.
pub const VERSION: u8 = 1;

/// The kind of a record of `wulog.raw`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One log line: the value is the line, UTF-8, without its line ending.
    #[default]
    Line,
    /// State of a host's collector: the value is a [`Heartbeat`].
    Heartbeat,
    /// Time passed without a record: empty value, appended by the processor that owns the partition.
    Tick,
    /// Certificate stores of a host: the value is an [`Inventory`](crate::certificate::Inventory).
    Certificates,
}

impl Kind {
    fn is_line(&self) -> bool {
        *self == Kind::Line
    }
}

/// The log from which a line comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// `WindowsUpdate.log`, live or as written by `Get-WindowsUpdateLog`.
    #[default]
    WindowsUpdate,
    /// `SoftwareDistribution\ReportingEvents.log`.
    ReportingEvents,
    /// `CCM\Logs\WUAHandler.log` of Configuration Manager.
    WuaHandler,
}

impl Source {
    /// The log by the name of its file; names of rotated files begin with the name of the log.
    #[must_use]
    pub fn of_file_name(name: &str) -> Source {
        let starts = |prefix: &str| {
            name.as_bytes().get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        if starts("ReportingEvents") {
            Source::ReportingEvents
        } else if starts("WUAHandler") {
            Source::WuaHandler
        } else {
            Source::WindowsUpdate
        }
    }
}

/// The header `wulog` of a raw record.
///
/// Example: `{"v":1,"host":"pc-0042","file":"C:\\Windows\\WindowsUpdate.log","source":"windowsupdate",
/// "epoch":"9f2c61d0a4e7b511","offset":8192,"end":8301,"hash":"1c291ca3","read":1573745640120,"utc":60}`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "wulog raw record header")]
pub struct RawHeader {
    /// Version of this contract.
    pub v: u8,
    /// The kind of the record; absent for a line.
    #[serde(default, skip_serializing_if = "Kind::is_line")]
    pub kind: Kind,
    /// Host name as the collector knows it, lower case.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Path of the file on the host, or on the share from which it was gathered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The kind of log.
    #[serde(default)]
    pub source: Source,
    /// Epoch: 64 random bits as 16 hex digits, minted when no anchor of the file matches.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub epoch: String,
    /// Logical offset of the line's start: decoded UTF-8 bytes (line endings as one byte each) since the epoch began.
    #[serde(default)]
    pub offset: u64,
    /// Logical offset just after the line and its ending; the next line's `offset`.
    #[serde(default)]
    pub end: u64,
    /// CRC-32 (IEEE) of the line before redaction, as 8 hex digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
    /// When the collector read the line, milliseconds since 1970 UTC, by the host's clock.
    #[serde(default)]
    pub read: i64,
    /// The host's UTC offset when the line was read, minutes east; absent where the collector cannot know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc: Option<i32>,
    /// True where bytes could not be decoded and stand as U+FFFD.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lossy: bool,
    /// True where the line was longer than the collector's limit and its end is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// The value of a [`Kind::Heartbeat`] record: the state of a collector, and whether all lines of the host are shipped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "wulog heartbeat")]
pub struct Heartbeat {
    /// Version of the collector.
    pub version: String,
    /// IANA time zone of the host, if known, such as `Europe/Berlin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Labels from the collector's configuration: site, ring, OU ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// True when every line that was in the host's files at `read` has been acknowledged.
    pub caught_up: bool,
    /// State of each file.
    #[serde(default)]
    pub files: Vec<FileStatus>,
    /// Sums over the files that `files` omits, since a heartbeat must fit into a record; absent if `files` is complete.
    /// The files with the largest lag are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<Unlisted>,
    /// Hash of the host's inventory of certificates that was sent last; absent where none was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<String>,
    /// When the stores last had the contents of that inventory, milliseconds since 1970 UTC; for gathered files: when
    /// the newest of them was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates_seen: Option<i64>,
}

/// The state of one file in a heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileStatus {
    /// Path of the file.
    pub file: String,
    /// Its current epoch.
    pub epoch: String,
    /// Logical offset up to which everything is acknowledged.
    pub acked: u64,
    /// Bytes in the file that are not acknowledged yet.
    pub lag_bytes: u64,
    /// Times that lines may have been missed (file replaced, anchor gone).
    #[serde(default)]
    pub losses: u64,
}

/// The sums of the files that a heartbeat does not list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unlisted {
    /// Number of these files.
    pub files: u64,
    /// Bytes in these files that are not acknowledged yet.
    pub lag_bytes: u64,
    /// Times that lines of these files may have been missed.
    pub losses: u64,
}

/// A [`RawHeader`] as a reader sees it: texts without escapes borrow from the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RawHeaderRef<'a> {
    /// See [`RawHeader::v`].
    pub v: u8,
    /// See [`RawHeader::kind`].
    #[serde(default)]
    pub kind: Kind,
    /// See [`RawHeader::host`].
    #[serde(borrow, default)]
    pub host: Cow<'a, str>,
    /// See [`RawHeader::file`].
    #[serde(borrow, default)]
    pub file: Cow<'a, str>,
    /// See [`RawHeader::source`].
    #[serde(default)]
    pub source: Source,
    /// See [`RawHeader::epoch`].
    #[serde(borrow, default)]
    pub epoch: Cow<'a, str>,
    /// See [`RawHeader::offset`].
    #[serde(default)]
    pub offset: u64,
    /// See [`RawHeader::end`].
    #[serde(default)]
    pub end: u64,
    /// See [`RawHeader::hash`].
    #[serde(borrow, default)]
    pub hash: LineHash<'a>,
    /// See [`RawHeader::read`].
    #[serde(default)]
    pub read: i64,
    /// See [`RawHeader::utc`].
    #[serde(default)]
    pub utc: Option<i32>,
    /// See [`RawHeader::lossy`].
    #[serde(default)]
    pub lossy: bool,
    /// See [`RawHeader::truncated`].
    #[serde(default)]
    pub truncated: bool,
}

impl RawHeader {
    /// The header as the bytes of the record.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a header holds only strings and numbers")
    }

    /// The header of a tick.
    #[must_use]
    pub fn tick() -> RawHeader {
        RawHeader { v: VERSION, kind: Kind::Tick, ..RawHeader::default() }
    }
}
