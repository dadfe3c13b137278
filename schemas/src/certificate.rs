//! The inventory of a host's certificate stores: the value of a raw record of kind `certificates`.
//!
//! An inventory describes the machine's stores at one time. Each store has a mark for a complete reading, since only a
//! complete list can prove that a certificate is missing. An inventory never holds keys, nor the store `My`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::hex_digest_bytes;

/// The contract's version; readers accept this one.
pub const VERSION: u8 = 1;

/// Stores that an inventory may list, by the names that the API uses. `My` is missing on purpose: it holds the keys of
/// the machine and says nothing about what the machine trusts.
pub const STORES: [&str; 6] = ["TrustedPublisher", "Disallowed", "WSUS", "Root", "CA", "AuthRoot"];

/// The spelling in [`STORES`] of a store's name; `None` for a store that no inventory lists.
#[must_use]
pub fn store_name(name: &str) -> Option<&'static str> {
    STORES.into_iter().find(|store| store.eq_ignore_ascii_case(name))
}

/// The certificate stores and update policy of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "wulog certificate inventory")]
pub struct Inventory {
    /// Version of this contract.
    pub v: u8,
    /// When the stores were read, milliseconds since 1970 UTC. For gathered files: when the newest of them was written.
    #[serde(default)]
    pub taken: i64,
    /// The stores that were read.
    #[serde(default)]
    pub stores: Vec<Store>,
    /// The update policy; absent where the policy was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// The TLS certificate of the host's WSUS server; absent where the server was not asked, or is addressed without
    /// TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wsus_site: Option<Site>,
    /// Files that, by the host's log, the update client did not trust, and that still existed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_files: Vec<FailedFile>,
}

/// A downloaded file that the update client did not trust, and the signer that the file names.
///
/// The signature is not verified again: the signer is a claim of the file itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailedFile {
    /// Path of the file, as the log names it.
    pub path: String,
    /// The client's reason for not trusting the file, as an HRESULT: `0x%08x`.
    pub error: String,
    /// When the collector read the first line about this file, milliseconds since 1970 UTC.
    #[serde(default)]
    pub seen: i64,
    /// The certificate of the signer; absent where the file has no readable signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<Certificate>,
    /// Whether the signature carries a time stamp. Without one, the signature is invalid once the certificate expires.
    #[serde(default)]
    pub has_timestamp: bool,
    /// Certificates of the issuers in the file, the signer's own issuer first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<Certificate>,
}

/// The certificate that a TLS server showed to the host, and whether the host trusts it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Site {
    /// `host[:port]`, as the policy `WUServer` names it.
    pub server: String,
    /// Whether the host trusts the certificate for this name; absent where the server could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted: Option<bool>,
    /// The reason for which the certificate is not trusted, or the server could not be asked, as an HRESULT
    /// (`0x800b0109`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The certificate of the server first, then those of its issuers, as far as the host could build the chain.
    #[serde(default)]
    pub chain: Vec<Certificate>,
}

/// One certificate store of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Store {
    /// Name of the store, as in [`STORES`].
    pub name: String,
    /// True when `certificates` is the whole content of the store. Where it is false, a certificate that is not listed may
    /// still be there.
    pub complete: bool,
    /// The reason for which the store could not be read, or only in part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Number of certificates that a limit left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: u64,
    /// The certificates, in the order of their SHA-1 thumbprints.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
}

/// One certificate in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// SHA-1 thumbprint, 40 hex digits in lower case.
    pub sha1: String,
    /// SHA-256 thumbprint, 64 hex digits in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Distinguished name of the subject, as Windows writes it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Distinguished name of the issuer, as Windows writes it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// Serial number, hex digits in lower case.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub serial: String,
    /// Start of the validity, milliseconds since 1970 UTC. `certutil` writes local time of the host without its offset,
    /// so in an inventory made by `certutil` the time may be wrong by up to 14 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// End of the validity, with the accuracy of `not_before`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<i64>,
    /// Whether the certificate is meant for code signing; absent where the source does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_signing: Option<bool>,
    /// OID of the signature's algorithm, such as `1.2.840.113549.1.1.11`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_algorithm: Option<String>,
    /// Size of the public key in bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_bits: Option<u32>,
    /// The party that put the certificate into the store; absent where the source does not name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// The party that put a certificate into a store of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Group Policy.
    GroupPolicy,
    /// Active Directory, for all machines of the forest.
    Enterprise,
    /// An administrator or a program on the machine.
    Local,
}

/// The update policy of a host, as the registry holds it below `SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// `AcceptTrustedPublisherCerts`: whether the client accepts updates that are signed by a publisher other than
    /// Microsoft. Windows reads a missing value as off.
    #[serde(default)]
    pub accept_trusted_publisher_certs: bool,
    /// `WUServer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wu_server: Option<String>,
    /// `WUStatusServer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wu_status_server: Option<String>,
    /// `AU\UseWUServer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_wu_server: Option<bool>,
}

impl Inventory {
    /// Hash of the contents of the inventory, without the time at which it was taken: 16 hex digits. Heartbeats repeat
    /// the hash.
    #[must_use]
    pub fn hash(&self) -> String {
        let lists = Inventory { taken: 0, ..self.clone() };
        let json = serde_json::to_vec(&lists).expect("an inventory holds only strings, numbers and booleans");
        hex_digest_bytes(&json)[..16].to_owned()
    }

    /// The store of that name, if the inventory has read it.
    #[must_use]
    pub fn store(&self, name: &str) -> Option<&Store> {
        self.stores.iter().find(|store| store.name == name)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_of_private_keys_is_no_store_of_an_inventory() {
        assert_eq!(store_name("trustedpublisher"), Some("TrustedPublisher"));
        assert_eq!(store_name("ROOT"), Some("Root"));
        assert_eq!(store_name("my"), None);
    }
}
