//! `wulog-processor certificates`: which host trusts which certificate.
//!
//! ```text
//! signals (topic or embedded log), or files of gathered hosts -> newest inventory of each host -> list, show, missing
//! ```
//!
//! It reads only, so that anybody who may read the signals may ask while processors run.

pub(crate) mod command;
mod pages;

use std::collections::BTreeMap;

use wulog_schemas::signal::{CertificateFact, CertificateFacts};

pub(crate) use pages::{list, missing, show};

/// The newest inventory of each host, by the host's name.
#[derive(Debug, Default)]
pub(crate) struct NewestInventories {
    hosts: BTreeMap<String, CertificateFacts>,
}

/// One certificate in one store, over all hosts.
#[derive(Debug, Default)]
struct StoreRow<'a> {
    /// What hosts say of it.
    said: Vec<&'a CertificateFact>,
    with: Vec<&'a str>,
    /// Hosts whose store was read completely and does not hold it.
    without: Vec<&'a str>,
}

impl<'a> StoreRow<'a> {
    /// What most hosts say of the certificate: in the outputs of few, day and month may be taken for each other.
    fn certificate(&self) -> Option<&'a CertificateFact> {
        let mut counts: BTreeMap<Option<i64>, (usize, &CertificateFact)> = BTreeMap::new();
        for said in &self.said {
            counts.entry(said.not_after).or_insert((0, said)).0 += 1;
        }
        counts.into_values().max_by_key(|(count, _)| *count).map(|(_, said)| said)
    }
}

impl NewestInventories {
    /// Takes an inventory, in the order in which inventories were sent.
    pub(crate) fn add(&mut self, facts: CertificateFacts) {
        let name = if facts.host.name.is_empty() { facts.host.id.clone() } else { facts.host.name.clone() };
        if facts.is_withdrawn() {
            self.hosts.remove(&name);
            return;
        }
        match self.hosts.get_mut(&name) {
            Some(known) if facts.unchanged => known.taken = facts.taken,
            None if facts.unchanged => {}
            _ => {
                self.hosts.insert(name, facts);
            }
        }
    }

    /// How many hosts have an inventory.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Each certificate of a store, by thumbprint.
    fn rows(&self, store: &str) -> BTreeMap<&str, StoreRow<'_>> {
        let mut rows: BTreeMap<&str, StoreRow<'_>> = BTreeMap::new();
        let stores = || {
            self.hosts.iter().filter_map(|(host, facts)| {
                Some((host.as_str(), facts.stores.iter().find(|found| found.name == store)?))
            })
        };
        for (host, found) in stores() {
            for certificate in &found.certificates {
                let row = rows.entry(&certificate.sha1).or_default();
                row.said.push(certificate);
                row.with.push(host);
            }
        }
        for (host, found) in stores().filter(|(_, found)| found.complete) {
            for (sha1, row) in &mut rows {
                if !found.certificates.iter().any(|certificate| certificate.sha1 == *sha1) {
                    row.without.push(host);
                }
            }
        }
        rows
    }
}
