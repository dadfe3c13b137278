//! Findings of an alert about certificates, from the inventories that hosts send.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::UtcTime;

/// A condition of a certificate that affected hosts share and healthy hosts do not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateFinding {
    /// The fault.
    pub condition: Condition,
    /// One sentence about the finding, with the numbers of hosts.
    pub says: String,
    /// The one step that fixes the fault.
    pub fix: String,
    /// The certificate; absent for [`Condition::PolicyOff`], and where the server shows different certificates to
    /// different hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateName>,
    /// The store in which the certificate is missing, distrusted or expired; absent where the condition concerns no
    /// store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Other stores in which affected hosts lack the certificate too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_missing_in: Vec<String>,
    /// Other stores in which affected hosts have the certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub present_in: Vec<String>,
    /// The earlier certificate of the same publisher that affected hosts have in place of this certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<CertificateName>,
    /// The TLS certificate that the server shows to hosts that trust it, if it differs: then something between the
    /// affected hosts and the server replaces the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_elsewhere: Option<CertificateName>,
    /// Affected hosts with the condition.
    pub affected_hosts: u64,
    /// Affected hosts whose inventory shows the condition or its absence.
    pub affected_known: u64,
    /// Healthy hosts with the condition.
    pub healthy_hosts: u64,
    /// Healthy hosts whose inventory shows the condition or its absence.
    pub healthy_known: u64,
    /// Probability of so many affected hosts if the condition had nothing to do with failing (exact, one-sided).
    pub p_value: f64,
    /// Time of the first inventory that showed the condition on an affected host whose earlier inventory did not;
    /// absent where no inventory without the condition is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<UtcTime>,
    /// The state of the certificate on the WSUS machine; absent where that machine sends no inventory or its name is
    /// not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wsus: Option<WsusCopy>,
    /// The signer of the files that affected hosts did not trust, where the certificate belongs to the signer or to the
    /// signer's issuer; absent where inventories name no signer, or different signers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_signer: Option<FileSigner>,
}

/// The fault of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The hosts lack the certificate in a store.
    Missing,
    /// The certificate is in Untrusted Certificates (`Disallowed`).
    Distrusted,
    /// The validity of the certificate has ended.
    Expired,
    /// The validity of the certificate ends soon: a condition of warnings.
    Expires,
    /// The hosts do not trust the TLS certificate of their WSUS server.
    SiteUntrusted,
    /// Policy `AcceptTrustedPublisherCerts` is off, so clients accept only certificates of Microsoft.
    PolicyOff,
}

/// A certificate by the names that people use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateName {
    /// SHA-1 thumbprint, 40 hex digits.
    pub sha1: String,
    /// Distinguished name of the subject.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// End of the validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<UtcTime>,
}

/// The WSUS machine's own copy of the certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WsusCopy {
    /// Name of the machine.
    pub host: String,
    /// Whether the certificate is in the machine's store `WSUS`.
    pub has_certificate: bool,
}

/// The signer of the files that affected hosts did not trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileSigner {
    /// SHA-1 thumbprint of the signer's certificate, 40 hex digits.
    pub sha1: String,
    /// Affected hosts that name this signer.
    pub hosts: u64,
    /// Affected hosts that name any signer.
    pub hosts_known: u64,
    /// Whether each signature carries a time stamp.
    pub has_timestamp: bool,
}
