//! What an alert says about certificates, where hosts send inventories of their stores.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::UtcTime;

/// Something about a certificate that affected hosts share and healthy hosts do not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateFinding {
    /// What is wrong.
    pub condition: Condition,
    /// One sentence that says it, with the numbers of hosts.
    pub says: String,
    /// The one step that fixes it.
    pub fix: String,
    /// The certificate; absent for [`Condition::PolicyOff`], and where hosts are shown different ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateName>,
    /// The store in which it is missing, or in which it is distrusted or expired; absent where the condition is about no store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Other stores in which affected hosts lack it too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_missing_in: Vec<String>,
    /// Other stores in which affected hosts have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub present_in: Vec<String>,
    /// The earlier certificate of the same publisher that affected hosts have in place of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<CertificateName>,
    /// The TLS certificate that hosts are shown which trust the same server, where it is another one: something between
    /// the affected hosts and the server replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_elsewhere: Option<CertificateName>,
    /// Affected hosts of which the condition holds.
    pub affected_hosts: u64,
    /// Affected hosts whose inventory can tell.
    pub affected_known: u64,
    /// Healthy hosts of which the condition holds.
    pub healthy_hosts: u64,
    /// Healthy hosts whose inventory can tell.
    pub healthy_known: u64,
    /// Probability of so many affected hosts if the condition had nothing to do with failing (exact, one-sided).
    pub p_value: f64,
    /// When an inventory first showed the condition on an affected host that an earlier inventory showed without it;
    /// absent where it was never otherwise as far as inventories tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<UtcTime>,
    /// What the inventory of the WSUS machine says; absent where it sends none, or its name is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wsus: Option<WsusCopy>,
    /// The signer of the files that affected hosts did not trust, where the certificate is the signer's or that of the
    /// signer's issuer; absent where inventories name no signer, or different ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_signer: Option<FileSigner>,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The hosts lack it in a store.
    Missing,
    /// It is in Untrusted Certificates (`Disallowed`).
    Distrusted,
    /// Its validity is over.
    Expired,
    /// Its validity ends soon: a condition of warnings.
    Expires,
    /// The hosts do not trust it as the TLS certificate of their WSUS server.
    SiteUntrusted,
    /// Policy `AcceptTrustedPublisherCerts` is off, so that no certificate but Microsoft's counts.
    PolicyOff,
}

/// A certificate as people know it.
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

/// The signer that files name which affected hosts did not trust.
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
