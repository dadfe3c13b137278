//! What a signal says about the certificates of a host.
//!
//! It is the part of an [`Inventory`](crate::certificate::Inventory) that tells hosts apart: thumbprints by store, and of
//! each certificate the subject and the end of its validity, by which people know it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HostRef;
use crate::certificate::{Certificate, Inventory, Store};

/// The certificates that a host trusts or distrusts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateFacts {
    /// The host.
    pub host: HostRef,
    /// When the inventory was taken, milliseconds since 1970 UTC.
    pub taken: i64,
    /// The stores that were looked at.
    pub stores: Vec<StoreFacts>,
    /// Policy `AcceptTrustedPublisherCerts`; absent where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_trusted_publisher_certs: Option<bool>,
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
    /// Distinguished name of the issuer, where it is another one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// Start of the validity, milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// End of the validity, milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<i64>,
}

impl CertificateFacts {
    /// What an inventory says of its host.
    #[must_use]
    pub fn of(host: HostRef, inventory: &Inventory) -> CertificateFacts {
        CertificateFacts {
            host,
            taken: inventory.taken,
            stores: inventory.stores.iter().map(StoreFacts::of).collect(),
            accept_trusted_publisher_certs: inventory
                .policy
                .as_ref()
                .map(|policy| policy.accept_trusted_publisher_certs),
        }
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
        }
    }
}
