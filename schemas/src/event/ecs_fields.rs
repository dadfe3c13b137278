//! Field sets of ECS below the top of an event: host, log, process, file, package, service, url and others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Text;

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
