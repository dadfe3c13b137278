//! The event: one ECS-shaped JSON document for each log line, and one for each attempt.
//!
//! Standard facts stand in the fields of ECS 9.4; fields of wulog stand under `wu.*`, labels of the host under
//! `labels.*`. Fields borrow, since an event is built for every line and lives only until it is serialized.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

mod action;
mod ecs_fields;
mod id;
mod wu_fields;

pub use action::Action;
pub use ecs_fields::{
    CertificateFields, DeviceFields, DllFields, FileFields, HostFields, HttpFields, LogFields, LogFile, LogOrigin,
    ModelFields, NameFields, OriginFile, OsFields, PackageFields, ProcessFields, RelatedFields, ResponseFields,
    ServiceFields, SignatureFields, ThreadFields, UrlFields, UserFields, X509Fields,
};
pub use id::{EventId, FileId, attempt_id, certificate_event_id, hex_digits, pipeline_error_id};
pub use wu_fields::{CodeFields, Flag, Form, LineFields, OpenOperation, RawFields, ReportFields, TimeSource, WuFields};

/// The ECS version that documents name.
pub const ECS_VERSION: &str = "9.4.0";

type Text<'a> = Cow<'a, str>;

/// One log line as a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "wulog event")]
pub struct Event<'a> {
    /// Event time, RFC 3339 UTC, as precise as the line.
    #[serde(rename = "@timestamp")]
    pub timestamp: String,
    /// The ECS version.
    #[serde(borrow)]
    pub ecs: Ecs<'a>,
    /// The text of the line after its columns.
    #[serde(borrow)]
    pub message: Text<'a>,
    /// Kind, action, outcome, id and times of the event.
    #[serde(borrow)]
    pub event: EventFields<'a>,
    /// The failure, if the line has one.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorFields<'a>>,
    /// The host, if it is known.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostFields<'a>>,
    /// The log that the line stands in.
    #[serde(borrow)]
    pub log: LogFields<'a>,
    /// Process and thread that wrote the line.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessFields<'a>>,
    /// Library of the client that a process loaded.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub dll: Option<DllFields<'a>>,
    /// The user that a call is made for.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserFields<'a>>,
    /// File of a trust check.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileFields<'a>>,
    /// The update.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageFields<'a>>,
    /// The Windows Update client.
    #[serde(borrow)]
    pub service: ServiceFields<'a>,
    /// The server that the line names.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub url: Option<UrlFields<'a>>,
    /// The answer of a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpFields>,
    /// The computer.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceFields<'a>>,
    /// Hosts and hashes of all fields, for searches.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub related: Option<RelatedFields<'a>>,
    /// `cert-trust` on a line with a code of certificate trust.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Text<'a>>,
    /// Labels that the host's collector was given, and named captures of the operator's patterns.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Cow<'a, BTreeMap<String, String>>>,
    /// Fields of wulog for which ECS has none.
    #[serde(borrow)]
    pub wu: WuFields<'a>,
}

/// `ecs.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ecs<'a> {
    /// Always `9.4.0`.
    #[serde(borrow)]
    pub version: Text<'a>,
}

/// `event.kind`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A log line, or an attempt.
    Event,
    /// A raw record that is not a log line: see `error.*` and `wu.raw`.
    PipelineError,
}

/// `event.type`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EventType {
    /// An installation.
    Installation,
    /// An uninstallation.
    Deletion,
    /// Any other event.
    Info,
}

/// `event.outcome`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EventOutcome {
    /// The line reports a success.
    Success,
    /// The line reports a failure.
    Failure,
    /// The line reports neither.
    Unknown,
}

/// `event.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventFields<'a> {
    /// Whether the event is about a line or an attempt, or about a record that is not a line.
    pub kind: EventKind,
    /// Always `package`.
    #[serde(borrow)]
    pub category: [Text<'a>; 1],
    /// Installation, uninstallation or neither.
    #[serde(rename = "type")]
    pub type_: [EventType; 1],
    /// The kind of the line, from a closed list.
    pub action: Action,
    /// The outcome that the line reports.
    pub outcome: EventOutcome,
    /// HRESULT `0x%08x`, unless it is zero; without an HRESULT, the event id of REPORT EVENT.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Text<'a>>,
    /// The highest severity that an operator's pattern gives the line: 1 low, 2 medium, 3 high, 4 critical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<u8>,
    /// Always `windows_update`.
    #[serde(borrow)]
    pub module: Text<'a>,
    /// `windows_update.log`, `windows_update.reporting_events` or `windows_update.wuahandler` for a line,
    /// `windows_update.attempt` for an operation that ended.
    #[serde(borrow)]
    pub dataset: Text<'a>,
    /// When the collector read the line, RFC 3339 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Event time of the first line of an attempt, RFC 3339 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// The UTC offset with which `@timestamp` was computed, `+01:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Stable id: for a line see [`EventId`], for an attempt see [`attempt_id`].
    pub id: String,
    /// Logical offset of the line in its file: orders lines with equal times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// CRC-32 of the line as the collector read it, 8 hex digits.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Text<'a>>,
    /// The raw line, exactly. An attempt has no raw line: its lines stand in `wu.lines`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Text<'a>>,
}

/// `error.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorFields<'a> {
    /// HRESULT `0x%08x`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Text<'a>>,
    /// Symbol such as `CERT_E_UNTRUSTEDROOT`; `malformed_record` or `panic` for a pipeline error.
    #[serde(borrow, rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<Text<'a>>,
    /// Meaning of the code.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Text<'a>>,
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    /// The names that strum gives the variants are those that serde writes.
    fn check<T: VariantArray + Serialize + Copy + Debug + Into<&'static str>>() {
        for variant in T::VARIANTS {
            let name: &str = (*variant).into();
            assert_eq!(serde_json::to_value(variant).unwrap(), name, "{variant:?}");
        }
    }

    #[test]
    fn names_of_variants_are_those_of_the_contract() {
        check::<Action>();
        check::<EventType>();
        check::<EventOutcome>();
        check::<Form>();
        check::<OpenOperation>();
        check::<TimeSource>();
        check::<Flag>();
    }
}
