//! The fields of wulog below `wu.*`: form, flags, operation, codes, and the position of the line.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use super::{CertificateFields, Text};
use crate::hresult::Family;

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
