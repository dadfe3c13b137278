//! Inventories for the status page: of one host, and of the fleet. All functions here only read.

use std::collections::{BTreeMap, BTreeSet};

use super::{Certificates, HostIndex, StringId, store_name};
use crate::question::{CERTIFICATES_MAX, FleetCertificate, FleetCertificates, HostCertificates, StoredCertificate};
use wulog_schemas::certificate::STORES;

/// Least length of a text that counts as the beginning of a thumbprint.
const PREFIX_MIN: usize = 8;

impl Certificates {
    /// Number of hosts that send inventories.
    pub(in crate::detect) fn hosts_known(&self) -> u64 {
        self.hosts.len() as u64
    }

    /// Hosts that have a certificate whose thumbprint begins with `text`, in any store.
    pub(in crate::detect) fn hosts_with(&self, text: &str) -> BTreeSet<HostIndex> {
        let wanted: String = text.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_ascii_lowercase();
        // Administrators copy thumbprints with blanks or colons between the bytes.
        let is_thumbprint = text.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ' ' | ':'));
        if !is_thumbprint || wanted.len() < PREFIX_MIN {
            return BTreeSet::new();
        }
        let is_wanted = |id: &StringId| self.thumbprints.text(*id).to_ascii_lowercase().starts_with(&wanted);
        let ids: BTreeSet<StringId> = self.details.keys().copied().filter(is_wanted).collect();
        let has = |pairs: &[(StringId, StringId)]| pairs.iter().any(|(_, thumbprint)| ids.contains(thumbprint));
        let sets: BTreeSet<u32> = self.sets.counted().filter(|(_, pairs, _)| has(pairs)).map(|(id, ..)| id).collect();
        self.hosts.iter().filter(|(_, known)| sets.contains(&known.set)).map(|(host, _)| *host).collect()
    }

    /// The certificates of a host.
    pub(in crate::detect) fn of_host(&self, host: HostIndex) -> Option<HostCertificates> {
        let known = self.hosts.get(&host)?;
        let complete = (0..).zip(STORES).filter(|(place, _)| known.complete >> place & 1 == 1).map(|(_, store)| store);
        let mut certificates: Vec<StoredCertificate> = self
            .sets
            .pairs(known.set)
            .iter()
            .map(|(store, thumbprint)| {
                let details = self.details.get(thumbprint);
                StoredCertificate {
                    store: store_name(*store),
                    subject: details.map(|details| details.subject.clone()).unwrap_or_default(),
                    sha1: self.thumbprints.text(*thumbprint).to_owned(),
                    not_after: details.and_then(|details| details.not_after),
                }
            })
            .collect();
        certificates.sort_unstable();
        Some(HostCertificates {
            complete_stores: complete.collect(),
            accept_trusted_publisher_certs: known.accept_trusted_publisher_certs,
            certificates,
        })
    }

    /// The certificates of the fleet: those that end next after `log_time` first, those that have ended last.
    pub(in crate::detect) fn of_fleet(&self, log_time: i64) -> FleetCertificates {
        let mut hosts: BTreeMap<StringId, BTreeMap<&'static str, u64>> = BTreeMap::new();
        for (_, pairs, count) in self.sets.counted() {
            for (store, thumbprint) in pairs {
                let by_store = hosts.entry(*thumbprint).or_default();
                *by_store.entry(store_name(*store)).or_default() += u64::from(count);
            }
        }
        let mut certificates: Vec<FleetCertificate> = hosts
            .into_iter()
            .map(|(thumbprint, hosts_by_store)| {
                let details = self.details.get(&thumbprint).cloned().unwrap_or_default();
                FleetCertificate {
                    sha1: self.thumbprints.text(thumbprint).to_owned(),
                    subject: details.subject,
                    issuer: details.issuer,
                    not_after: details.not_after,
                    hosts_by_store,
                }
            })
            .collect();
        let order = |found: &FleetCertificate| {
            let end = found.not_after.unwrap_or(i64::MAX);
            let ended_for = if end < log_time { log_time - end } else { 0 };
            (end < log_time, if end < log_time { ended_for } else { end })
        };
        certificates.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.sha1.cmp(&b.sha1)));
        let total = certificates.len() as u64;
        certificates.truncate(CERTIFICATES_MAX);
        FleetCertificates { total, hosts_with_inventory: self.hosts_known(), log_time, certificates }
    }
}
