//! The event: one ECS-shaped JSON document for each log line, and one for each attempt.
//!
//! Standard facts stand in the fields of ECS 9.4; fields of wulog stand under `wu.*`, labels of the host under
//! `labels.*`. Fields borrow, since an event is built for every line and lives only until it is serialized.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::hresult::Family;

mod action;
mod id;

pub use action::Action;
pub use id::{EventId, FileId, attempt_id, certificate_event_id, hex_digits, pipeline_error_id};

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

/// `host.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostFields<'a> {
    /// Host id: the record key.
    #[serde(borrow)]
    pub id: Text<'a>,
    /// Host name, lower case.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// The name up to its first dot.
    #[serde(borrow)]
    pub hostname: Text<'a>,
    /// The operating system.
    #[serde(borrow)]
    pub os: OsFields<'a>,
}

/// `host.os.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OsFields<'a> {
    /// Always `windows`.
    #[serde(borrow, rename = "type")]
    pub type_: Text<'a>,
    /// Version that the host's log named last, `10.0.19045.2728`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Text<'a>>,
}

/// `log.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogFields<'a> {
    /// `warning` or `fatal`, if the line has a level.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Text<'a>>,
    /// Component column.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub logger: Option<Text<'a>>,
    /// The log file.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub file: Option<LogFile<'a>>,
    /// The place in the client's own code that wrote the line.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<LogOrigin<'a>>,
}

/// `log.origin.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogOrigin<'a> {
    /// `CSLSClient::GetResponse`
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub function: Option<Text<'a>>,
    /// Source file and line.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub file: Option<OriginFile<'a>>,
}

/// `log.origin.file.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OriginFile<'a> {
    /// Source file, as written.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
    /// Line in the source file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// `log.file.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogFile<'a> {
    /// Path on the host, or on the share from which it was gathered.
    #[serde(borrow)]
    pub path: Text<'a>,
}

/// `process.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessFields<'a> {
    /// Process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<ThreadFields>,
    /// Name of the program, from its banner.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
    /// Path of the program, on the line that holds it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<Text<'a>>,
}

/// `process.thread.*`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadFields {
    /// Thread id as a number; the line may write it in decimal or hexadecimal.
    pub id: u32,
}

/// `dll.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DllFields<'a> {
    /// Path of the library.
    #[serde(borrow)]
    pub path: Text<'a>,
}

/// `user.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserFields<'a> {
    /// Security identifier, `S-1-5-18`.
    #[serde(borrow)]
    pub id: Text<'a>,
}

/// `file.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileFields<'a> {
    /// Path of the checked file; absent for a certificate in a store.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Text<'a>>,
    /// Result of the check.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub code_signature: Option<SignatureFields<'a>>,
    /// The certificate in an inventory, or the certificate with which the file is signed.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub x509: Option<X509Fields<'a>>,
}

/// `file.x509.*`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct X509Fields<'a> {
    /// The subject.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<NameFields<'a>>,
    /// The issuer.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<NameFields<'a>>,
    /// Serial number, hex digits in upper case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// Start of the validity, RFC 3339 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// End of the validity, RFC 3339 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
    /// OID of the signature's algorithm.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub signature_algorithm: Option<Text<'a>>,
    /// Bits of the public key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_size: Option<u32>,
}

/// `file.x509.subject.*` and `file.x509.issuer.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NameFields<'a> {
    /// The distinguished name, as Windows writes it.
    #[serde(borrow)]
    pub distinguished_name: Text<'a>,
}

/// `wu.certificate.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateFields<'a> {
    /// The store that holds or held the certificate: `TrustedPublisher`; absent for the signer of a file.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Text<'a>>,
    /// SHA-1 thumbprint, 40 hex digits.
    #[serde(borrow)]
    pub sha1: Text<'a>,
    /// SHA-256 thumbprint, 64 hex digits.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Text<'a>>,
    /// The party that put the certificate there: `group_policy`, `enterprise`, `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<crate::certificate::Origin>,
    /// For the signer of a file: whether the signature carries a time stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_timestamp: Option<bool>,
}

/// `file.code_signature.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SignatureFields<'a> {
    /// Whether the signature is trusted.
    pub trusted: bool,
    /// Symbol of the failure.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Text<'a>>,
}

/// `package.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PackageFields<'a> {
    /// Title of the update, otherwise its KB.
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// `service.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceFields<'a> {
    /// Always `wuauserv`.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Always `windows-update`.
    #[serde(borrow, rename = "type")]
    pub type_: Text<'a>,
    /// Build of the client in the process that wrote the line.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Text<'a>>,
}

/// `url.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UrlFields<'a> {
    /// The URL as the line writes it.
    #[serde(borrow)]
    pub full: Text<'a>,
    /// Host name, lower case.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Text<'a>>,
    /// Port, where the URL names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `http` or `https`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Text<'a>>,
}

/// `http.*`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpFields {
    /// The answer.
    pub response: ResponseFields,
}

/// `http.response.*`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResponseFields {
    /// Status, 100 to 599.
    pub status_code: u16,
}

/// `device.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceFields<'a> {
    /// Brand.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub manufacturer: Option<Text<'a>>,
    /// Model.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelFields<'a>>,
}

/// `device.model.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelFields<'a> {
    /// The model as the line writes it.
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// `related.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RelatedFields<'a> {
    /// The host and the server that the line names.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<Text<'a>>,
    /// SHA-1 in the name of a file, lower case.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub hash: Vec<Text<'a>>,
}

/// The form of a line.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Form {
    /// The live text log of Windows 2000 to 8.1.
    Legacy,
    /// `Get-WindowsUpdateLog` of Windows 10+.
    Etw,
    /// ReportingEvents.log.
    ReportingEvents,
    /// WUAHandler.log of Configuration Manager.
    #[serde(rename = "wuahandler")]
    #[strum(serialize = "wuahandler")]
    WuaHandler,
    /// A message whose columns were lost, with or without its component.
    Message,
    /// Neither columns nor component: a continuation, or an unknown form.
    Text,
    /// CBS.log: servicing of Windows components.
    Cbs,
    /// dism.log.
    Dism,
    /// setupact.log and setuperr.log: Windows Setup.
    #[serde(rename = "setupact")]
    #[strum(serialize = "setupact")]
    SetupAct,
    /// MpSigStub.log: signature updates of Microsoft Defender.
    #[serde(rename = "mpsigstub")]
    #[strum(serialize = "mpsigstub")]
    MpSigStub,
    /// A log of Configuration Manager other than WUAHandler.log.
    #[serde(rename = "cmtrace")]
    #[strum(serialize = "cmtrace")]
    CmTrace,
    /// A web server's log in W3C form.
    Iis,
    /// SoftwareDistribution.log and Change.log of the WSUS server.
    WsusServer,
    /// The log of Delivery Optimization.
    DeliveryOptimization,
    /// The log of a program that publishes updates to WSUS.
    PublishingTool,
}

impl Form {
    /// True for the log of another program. A failure in such a log is not a failure of the Windows Update client.
    #[must_use]
    pub const fn is_foreign(self) -> bool {
        match self {
            Form::Legacy | Form::Etw | Form::ReportingEvents | Form::WuaHandler | Form::Message | Form::Text => false,
            Form::Cbs
            | Form::Dism
            | Form::SetupAct
            | Form::MpSigStub
            | Form::CmTrace
            | Form::Iis
            | Form::WsusServer
            | Form::DeliveryOptimization
            | Form::PublishingTool => true,
        }
    }

    /// True for a whole record, with columns or fields, of a log from which wulog reads failures.
    #[must_use]
    pub const fn is_record(self) -> bool {
        matches!(self, Form::Legacy | Form::Etw | Form::ReportingEvents | Form::WuaHandler)
    }
}

/// The source of the offset, or of the whole time, of `@timestamp`; the best source that applies, in this order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TimeSource {
    /// The line writes its own offset.
    Line,
    /// The process that wrote the line gave its offset: in its `Logging initialized` banner or in a later REPORT EVENT.
    Banner,
    /// The host's time zone, from its heartbeat.
    Zone,
    /// The offset that the collector saw when it read the line.
    Header,
    /// `utc_offset` or `time_zone` of the configuration.
    Config,
    /// No offset is known: UTC is assumed.
    Assumed,
    /// The line has no time: the time of the line before it.
    Previous,
    /// The line has no time and follows no line with a time: the time at which the collector read the line.
    Read,
    /// The collector's time is not known either: the time at which Kafka took the record.
    Log,
}

/// A property of a line that a reader should know.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Flag {
    /// The file began a new epoch, and the line is not newer than the lines before: a checkpoint was lost.
    Reread,
    /// Another line had this position before: a reverted snapshot or a non-persistent desktop.
    Rewound,
    /// Bytes that could not be decoded stand as U+FFFD.
    Lossy,
    /// The line was too long, and its end is missing.
    Truncated,
    /// The line's time lies in the future, or before the first Windows Update; log time replaces it.
    TimeSuspect,
    /// The local time exists twice, in autumn; the first one is taken.
    TimeFold,
    /// The local time does not exist, in spring; it is moved forward by the gap.
    TimeGap,
    /// No offset is known and UTC is assumed.
    TimeAssumed,
    /// The line has no time of its own.
    TimeMissing,
    /// The event time is more than 24 h behind log time.
    Late,
    /// The decoder had no format for the record.
    Undecoded,
}

/// `wu.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WuFields<'a> {
    /// The form of the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// Family of certificate-trust failures to which the code belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// The operation that is open on the line's thread; the operation of an attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OpenOperation>,
    /// The subject of an attempt: `update:GUID`, `server:HOST[:PORT]`, `file:NAME` or `unknown`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Text<'a>>,
    /// Server that the client contacted in an attempt, `host[:port]`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Text<'a>>,
    /// Evidence for the success of an attempt that no line states: `not_offered`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Text<'a>>,
    /// All codes of the line in their order, each once; at most [`CODES_MAX`](crate::hresult::CODES_MAX).
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub hresults: Vec<CodeFields<'a>>,
    /// Update id, lower case.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub update_id: Option<Text<'a>>,
    /// Revision of the update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_revision: Option<u32>,
    /// The KB number, `KB890830`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub kb: Option<Text<'a>>,
    /// Calling application.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Text<'a>>,
    /// Update service, lower case.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<Text<'a>>,
    /// Name of the service, where it is known: `wsus`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Text<'a>>,
    /// WSUS server of the line, `host[:port]`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub wsus: Option<Text<'a>>,
    /// Target group of the line.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub target_group: Option<Text<'a>>,
    /// Proxy of the line, lower case.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Text<'a>>,
    /// SusClientId, lower case.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Text<'a>>,
    /// Call of an application, lower case.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<Text<'a>>,
    /// BITS job, lower case.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<Text<'a>>,
    /// Correlation vector.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Text<'a>>,
    /// The record of REPORT EVENT or ReportingEvents.log.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportFields<'a>>,
    /// Names of the operator's patterns that match, in the order of the configuration.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub pattern: Vec<Text<'a>>,
    /// `event.id` of the line that this line continues.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Text<'a>>,
    /// `event.id` of the lines of an attempt, the first one first; at most 32.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Text<'a>>,
    /// The certificate that an event of an inventory describes.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateFields<'a>>,
    /// Where the event time comes from.
    pub time_source: TimeSource,
    /// Properties that a reader should know; absent when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// Where in its file the line stands.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub line: Option<LineFields<'a>>,
    /// Where in `wulog.raw` the record stands.
    pub raw: RawFields,
}

impl WuFields<'_> {
    /// An event with the fields that every event has; all other fields are empty.
    #[must_use]
    pub fn new(time_source: TimeSource, raw: RawFields) -> Self {
        WuFields {
            form: None,
            family: None,
            operation: None,
            hresults: Vec::new(),
            subject: None,
            server: None,
            evidence: None,
            update_id: None,
            update_revision: None,
            kb: None,
            caller: None,
            service_id: None,
            service: None,
            wsus: None,
            target_group: None,
            proxy: None,
            client_id: None,
            call_id: None,
            job_id: None,
            correlation: None,
            report: None,
            pattern: Vec::new(),
            continues: None,
            lines: Vec::new(),
            certificate: None,
            time_source,
            flags: Vec::new(),
            line: None,
            raw,
        }
    }
}

/// `wu.operation`
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OpenOperation {
    /// A search for updates.
    Scan,
    /// A download.
    Download,
    /// An installation.
    Install,
    /// An uninstallation.
    Uninstall,
    /// The check of a signature outside of the other operations; only an attempt has it.
    Verification,
}

/// `wu.hresults`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CodeFields<'a> {
    /// HRESULT `0x%08x`.
    #[serde(borrow)]
    pub code: Text<'a>,
    /// Symbol such as `CERT_E_UNTRUSTEDROOT`, where it is known.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<Text<'a>>,
}

/// `wu.report.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportFields<'a> {
    /// GUID of this occurrence, lower case.
    #[serde(borrow)]
    pub instance: Text<'a>,
    /// Event id, such as 161.
    pub event_id: u32,
    /// Name of the event, `AGENT_DOWNLOAD_FAILED`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub event_name: Option<Text<'a>>,
    /// 1 for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<u32>,
    /// Client sub-component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<u32>,
    /// Result column.
    #[serde(borrow)]
    pub result: Text<'a>,
    /// Category column.
    #[serde(borrow)]
    pub category: Text<'a>,
}

/// `wu.line.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineFields<'a> {
    /// Epoch of the file.
    #[serde(borrow)]
    pub epoch: Text<'a>,
    /// Logical offset of the line's start.
    pub offset: u64,
    /// Logical offset after the line and its ending.
    pub end: u64,
}

/// `wu.raw.*`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RawFields {
    /// Partition of `wulog.raw`.
    pub partition: i32,
    /// Offset in that partition.
    pub offset: i64,
    /// The record's Kafka timestamp, milliseconds since 1970 UTC.
    pub timestamp: i64,
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
