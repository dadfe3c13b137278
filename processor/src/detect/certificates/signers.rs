//! The signers of the files that affected hosts did not trust: they show which certificate is at fault.
//!
//! Only affected hosts count. A healthy host may name a signer too: the first check of a third-party update fails with
//! 0x800B0109 on each host, before the check that decides.

use std::collections::BTreeMap;

use wulog_schemas::alert::FileSigner;

use super::super::fleet::HostIndex;
use super::super::strings::StringId;
use super::Certificates;

/// Least share of the affected hosts that name any signer that must name the same one ...
const SHARE_MIN: f64 = 0.8;
/// ... and these hosts must be at least this many, and this share of the affected hosts with an inventory, so that a
/// single odd host decides nothing.
const HOSTS_MIN: u64 = 2;
const SHARE_OF_AFFECTED_MIN: f64 = 0.1;

/// Part of the names of Microsoft's certificates. Clients trust these certificates without Trusted Publishers, so no
/// host can lack one there.
const MICROSOFT: &str = "O=Microsoft Corporation";

/// The signers on which nearly all affected hosts that name any signer agree.
#[derive(Debug, Default)]
pub(super) struct FileSigners {
    /// Affected hosts that name a signer.
    known: u64,
    signers: BTreeMap<StringId, NamedSigner>,
}

/// How many hosts name a signer.
#[derive(Clone, Copy, Debug, Default)]
struct NamedSigner {
    hosts: u64,
    /// Hosts that name the signer and on which each of its signatures carries a time stamp.
    with_timestamp: u64,
}

impl FileSigners {
    /// The signers that `affected` hosts name, which must have an inventory.
    pub(super) fn of(affected: &[HostIndex], inventories: &Certificates) -> FileSigners {
        let mut found = FileSigners::default();
        for known in affected.iter().filter_map(|host| inventories.hosts.get(host)) {
            found.known += u64::from(!known.signers.is_empty());
            for (certificate, has_timestamp) in &known.signers {
                let shown = found.signers.entry(*certificate).or_default();
                shown.hosts += 1;
                shown.with_timestamp += u64::from(*has_timestamp);
            }
        }
        let known = found.known as f64;
        let of_affected = SHARE_OF_AFFECTED_MIN * affected.len() as f64;
        found.signers.retain(|_, NamedSigner { hosts, .. }| {
            let count = *hosts as f64;
            *hosts >= HOSTS_MIN && count >= SHARE_MIN * known && count >= of_affected
        });
        found
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = StringId> {
        self.signers.keys().copied()
    }

    /// The signers that hosts must have in Trusted Publishers.
    pub(super) fn publishing(&self, inventories: &Certificates) -> impl Iterator<Item = StringId> {
        self.iter().filter(|certificate| {
            let details = inventories.details.get(certificate);
            details.is_some_and(|found| !found.subject.contains(MICROSOFT) && !found.issuer.contains(MICROSOFT))
        })
    }

    /// Whether the signatures of a signer stay valid when its certificate has expired.
    pub(super) fn outlive_expiry(&self, certificate: StringId) -> bool {
        self.signers.get(&certificate).is_some_and(|shown| shown.hosts == shown.with_timestamp)
    }

    /// The signer that a certificate is, or that it issued.
    pub(super) fn signer_of(&self, certificate: StringId, inventories: &Certificates) -> Option<StringId> {
        if self.signers.contains_key(&certificate) {
            return Some(certificate);
        }
        self.iter().find(|signer| inventories.has_issued(certificate, *signer))
    }

    /// The facts that an alert states about a signer.
    pub(super) fn evidence(&self, signer: StringId, inventories: &Certificates) -> Option<FileSigner> {
        let shown = self.signers.get(&signer)?;
        Some(FileSigner {
            sha1: inventories.thumbprints.text(signer).to_owned(),
            hosts: shown.hosts,
            hosts_known: self.known,
            has_timestamp: shown.hosts == shown.with_timestamp,
        })
    }
}
