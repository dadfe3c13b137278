//! Facts of a signal about the certificates of a host.
//!
//! These facts are the part of an [`Inventory`] that distinguishes hosts: thumbprints by store, and for each certificate
//! the subject and the end of its validity, by which people know the certificate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HostRef;
use crate::certificate::{Certificate, FailedFile, Inventory, Origin, Site, Store};

/// The certificates that a host trusts or distrusts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateFacts {
    /// The host.
    pub host: HostRef,
    /// When the inventory was taken, milliseconds since 1970 UTC.
    pub taken: i64,
    /// True where the stores at `taken` had the same contents as before; then `stores` is empty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchanged: bool,
    /// The stores that were read.
    pub stores: Vec<StoreFacts>,
    /// Policy `AcceptTrustedPublisherCerts`; absent where the policy was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_trusted_publisher_certs: Option<bool>,
    /// The TLS certificate of the host's WSUS server; absent where the server was not asked or could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wsus_site: Option<SiteFacts>,
    /// The signers of files that the host's update client did not trust, without duplicates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_signers: Vec<SignerFacts>,
}

/// The signer of files that the update client did not trust.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignerFacts {
    /// The certificate of the signer.
    pub certificate: CertificateFact,
    /// Whether each signature carries a time stamp.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_timestamp: bool,
}

/// The TLS certificate that a server showed to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteFacts {
    /// `host[:port]`.
    pub server: String,
    /// Whether the host trusts the certificate.
    pub trusted: bool,
    /// The reason for which the certificate is not trusted: HRESULT, `0x%08x`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The certificate.
    pub certificate: CertificateFact,
}

/// One store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreFacts {
    /// Name of the store.
    pub name: String,
    /// True when `certificates` is all that the store holds.
    pub complete: bool,
    /// The certificates, in the order of their thumbprints.
    pub certificates: Vec<CertificateFact>,
}

/// One certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateFact {
    /// SHA-1 thumbprint, 40 hex digits.
    pub sha1: String,
    /// Distinguished name of the subject.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Distinguished name of the issuer, if it differs from the subject.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// Start of the validity, milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// End of the validity, milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<i64>,
    /// True where Group Policy put the certificate into the store.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_policy: bool,
}

impl CertificateFacts {
    /// The facts of an inventory.
    #[must_use]
    pub fn of(host: HostRef, inventory: &Inventory) -> CertificateFacts {
        CertificateFacts {
            host,
            taken: inventory.taken,
            unchanged: false,
            stores: inventory.stores.iter().map(StoreFacts::of).collect(),
            accept_trusted_publisher_certs: inventory
                .policy
                .as_ref()
                .map(|policy| policy.accept_trusted_publisher_certs),
            wsus_site: inventory.wsus_site.as_ref().and_then(SiteFacts::of),
            failed_signers: SignerFacts::of(&inventory.failed_files),
        }
    }

    /// Whether the facts of the host were withdrawn: the files of its inventory were deleted.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        !self.unchanged
            && self.stores.is_empty()
            && self.accept_trusted_publisher_certs.is_none()
            && self.wsus_site.is_none()
            && self.failed_signers.is_empty()
    }
}

impl SignerFacts {
    fn of(files: &[FailedFile]) -> Vec<SignerFacts> {
        let mut signers: Vec<SignerFacts> = Vec::new();
        for (file, signer) in files.iter().filter_map(|file| Some((file, file.signer.as_ref()?))) {
            match signers.iter_mut().find(|known| known.certificate.sha1 == signer.sha1) {
                Some(known) => known.has_timestamp &= file.has_timestamp,
                None => signers
                    .push(SignerFacts { certificate: CertificateFact::of(signer), has_timestamp: file.has_timestamp }),
            }
        }
        signers
    }
}

impl SiteFacts {
    fn of(site: &Site) -> Option<SiteFacts> {
        Some(SiteFacts {
            server: site.server.clone(),
            trusted: site.trusted?,
            code: site.error.clone().filter(|error| error.starts_with("0x") && error.len() == 10),
            certificate: CertificateFact::of(site.chain.first()?),
        })
    }
}

impl StoreFacts {
    fn of(store: &Store) -> StoreFacts {
        StoreFacts {
            name: store.name.clone(),
            complete: store.complete,
            certificates: store.certificates.iter().map(CertificateFact::of).collect(),
        }
    }
}

impl CertificateFact {
    fn of(certificate: &Certificate) -> CertificateFact {
        CertificateFact {
            sha1: certificate.sha1.clone(),
            subject: certificate.subject.clone(),
            issuer: if certificate.issuer == certificate.subject { String::new() } else { certificate.issuer.clone() },
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            by_policy: certificate.origin == Some(Origin::GroupPolicy),
        }
    }
}
