//! The certificates that hosts trust, by store, for the hosts that send inventories.
//!
//! A store is a dimension with a set of values, and absence is known too: a store that was read completely lacks every
//! other certificate. Nothing is known about absence for a host without an inventory, or for a store that was not read
//! completely. [`findings`] compares affected with healthy hosts by these facts.
//!
//! Without inventories all maps are empty, and documents skip the comparison.

mod findings;
mod inventory;
mod signers;
mod warnings;
mod words;
mod wsus;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wulog_schemas::certificate::STORES;
use wulog_schemas::signal::{CertificateFact, CertificateFacts};

pub(super) use findings::{Findings, wsus_of};
pub(super) use warnings::Warnings;
pub(super) use wsus::value_of;

use super::Detector;
use super::dimension_sets::{DimensionSets, DimensionValue, SetId};
use super::fleet::{HostIndex, Knows};
use super::strings::{StringId, Strings};

/// Most certificates that are kept. A fleet has some hundreds; beyond this bound a further certificate is left out, and
/// the store that holds it counts as not read completely.
const CERTIFICATES_MAX: usize = 50_000;

/// Most changes that are kept of a host, the latest ones.
const CHANGES_MAX: usize = 32;

/// Most signers of failed files that are kept of a host; an inventory lists eight files.
const SIGNERS_MAX: usize = 8;

/// Most bytes of a name; the Normalizer cuts names before.
const NAME_BYTES_MAX: usize = 512;

/// Estimated memory of a host's entry, of a change and of a signer in it, and of the details of a certificate without
/// its texts.
const HOST_BYTES: u64 = 128;
const CHANGE_BYTES: u64 = 24;
const SIGNER_BYTES: u64 = 8;
const DETAILS_BYTES: u64 = 128;

/// Uncertainty of times in inventories: `certutil` writes local times without an offset, at most 14 h from UTC.
const CLOCK_DOUBT_MS: i64 = 14 * 60 * 60 * 1000;

/// A thumbprint has 40 hex digits.
const THUMBPRINT_BYTES: usize = 40;

/// The certificates of all hosts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Certificates {
    /// Thumbprints, numbered.
    thumbprints: Strings,
    /// Details of each certificate by the number of its thumbprint.
    details: BTreeMap<StringId, Details>,
    /// Sets of (place of the store in [`STORES`], thumbprint), each held once however many hosts have it.
    sets: DimensionSets,
    hosts: BTreeMap<HostIndex, HostStores>,
    /// Memory of hosts and details.
    bytes: u64,
}

/// The details by which people know a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Details {
    subject: String,
    /// Empty for a self-signed certificate.
    issuer: String,
    not_before: Option<i64>,
    not_after: Option<i64>,
    /// Inventories that agree on these dates, less those that have others; see [`Details::vote`].
    votes: u32,
    /// Whether Group Policy delivers it to a host.
    by_policy: bool,
}

/// The certificates of one host.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct HostStores {
    set: SetId,
    /// When the stores were last seen with these certificates; at most log time.
    seen: i64,
    /// Bit N is set where store N of [`STORES`] was read completely.
    complete: u8,
    accept_trusted_publisher_certs: Option<bool>,
    /// The TLS certificate that the host's WSUS server showed, and whether the host trusts it.
    site: Option<(StringId, bool)>,
    /// The certificates with which files are signed that the host's update client did not trust, and whether each of
    /// their signatures carries a time stamp.
    signers: Vec<(StringId, bool)>,
    /// Certificates that came or went between two inventories, and when the second one was taken.
    changes: Vec<InventoryChange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct InventoryChange {
    pair: DimensionValue,
    is_removal: bool,
    at: i64,
}

impl Default for Certificates {
    fn default() -> Certificates {
        Certificates {
            thumbprints: Strings::new(),
            details: BTreeMap::new(),
            sets: DimensionSets::new(),
            hosts: BTreeMap::new(),
            bytes: 0,
        }
    }
}

impl Detector {
    /// Takes the certificates of a host. They are no activity: a host that only sends inventories has tried nothing.
    pub(super) fn certificate_facts(&mut self, facts: &CertificateFacts, log_time: i64) {
        self.stay_in_budget(&facts.host.id);
        match self.state.fleet.host((&facts.host).into(), log_time, &self.config.limits) {
            Some(host) if facts.unchanged => self.state.certificates.saw(host, facts.taken.min(log_time)),
            // The host is unknown from now on, as if it had never sent an inventory.
            Some(host) if facts.is_withdrawn() => self.state.certificates.forget_hosts(&BTreeSet::from([host])),
            Some(host) => self.state.certificates.set(host, facts, log_time),
            None => self.state.counts.beyond_limits += 1,
        }
    }
}

impl Details {
    /// Takes the dates that most inventories have (the majority vote of Boyer and Moore): `certutil` writes some dates
    /// so that day and month can be taken for each other, and few hosts with such dates must not decide.
    fn vote(&mut self, not_before: Option<i64>, not_after: Option<i64>) {
        if not_before.is_none() && not_after.is_none() {
            return;
        }
        let are_alike = |one: Option<i64>, two: Option<i64>| {
            one.zip(two).is_none_or(|(one, two)| one.abs_diff(two) <= CLOCK_DOUBT_MS.unsigned_abs())
        };
        if self.votes == 0 {
            (self.not_before, self.not_after, self.votes) = (not_before, not_after, 1);
        } else if are_alike(self.not_before, not_before) && are_alike(self.not_after, not_after) {
            self.not_before = self.not_before.or(not_before);
            self.not_after = self.not_after.or(not_after);
            self.votes = self.votes.saturating_add(1);
        } else {
            self.votes -= 1;
        }
    }

    fn bytes(&self) -> u64 {
        DETAILS_BYTES + (self.subject.len() + self.issuer.len()) as u64
    }
}

impl HostStores {
    fn bytes(&self) -> u64 {
        HOST_BYTES + CHANGE_BYTES * self.changes.len() as u64 + SIGNER_BYTES * self.signers.len() as u64
    }
}

/// The number of a store, as pairs name it.
fn store_id(name: &str) -> Option<StringId> {
    (0..).zip(STORES).find(|(_, store)| *store == name).map(|(place, _)| place)
}

/// The name of a store by its number.
fn store_name(id: StringId) -> &'static str {
    STORES.get(id as usize).copied().unwrap_or("?")
}

impl Certificates {
    /// Whether no host has sent an inventory.
    fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Estimated memory of the inventories.
    pub(super) fn bytes(&self) -> u64 {
        if self.is_empty() { 0 } else { self.bytes + self.thumbprints.bytes() + self.sets.bytes() }
    }

    /// Forgets hosts, and certificates that no other host has.
    pub(super) fn forget_hosts(&mut self, hosts: &BTreeSet<HostIndex>) {
        let before = self.hosts.len();
        for host in hosts {
            if let Some(known) = self.hosts.remove(host) {
                self.sets.change(known.set, &[]);
                self.bytes -= known.bytes();
            }
        }
        if self.hosts.len() == before {
            return;
        }
        self.sets.trim();
        let mut used = vec![false; self.thumbprints.numbers()];
        let of_changes = self.hosts.values().flat_map(|known| known.changes.iter().map(|change| change.pair));
        let of_sites = self.hosts.values().filter_map(|known| known.site).map(|(thumbprint, _)| thumbprint);
        let of_files = self.hosts.values().flat_map(|known| known.signers.iter().map(|(thumbprint, _)| *thumbprint));
        let of_stores = self.sets.all_pairs().chain(of_changes).map(|(_, thumbprint)| thumbprint);
        for thumbprint in of_stores.chain(of_sites).chain(of_files) {
            used[thumbprint as usize] = true;
        }
        self.thumbprints.keep(&used);
        let bytes = &mut self.bytes;
        self.details.retain(|id, details| {
            let is_used = used[*id as usize];
            *bytes -= if is_used { 0 } else { details.bytes() };
            is_used
        });
    }

    /// The stores of a host were seen unchanged.
    fn saw(&mut self, host: HostIndex, seen: i64) {
        if let Some(known) = self.hosts.get_mut(&host) {
            known.seen = known.seen.max(seen);
        }
    }

    fn set(&mut self, host: HostIndex, facts: &CertificateFacts, log_time: i64) {
        let (mut pairs, mut complete): (Vec<DimensionValue>, u8) = (Vec::new(), 0);
        for store in &facts.stores {
            let Some(id) = store_id(&store.name) else { continue };
            let mut is_complete = store.complete;
            for certificate in &store.certificates {
                match self.thumbprint(certificate) {
                    Some(thumbprint) => pairs.push((id, thumbprint)),
                    None => is_complete = false,
                }
            }
            if is_complete {
                complete |= 1 << id;
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        let site = facts.wsus_site.as_ref();
        let site = site.and_then(|site| Some((self.thumbprint(&site.certificate)?, site.trusted)));
        let signers = facts.failed_signers.iter().take(SIGNERS_MAX);
        let signers = signers.filter_map(|signer| Some((self.thumbprint(&signer.certificate)?, signer.has_timestamp)));
        let signers = signers.collect();
        let was_known = self.hosts.contains_key(&host);
        let known = self.hosts.entry(host).or_default();
        self.bytes -= if was_known { known.bytes() } else { 0 };
        let before = self.sets.pairs(known.set);
        if was_known {
            let both_complete = known.complete & complete;
            let is_complete = |pair: &&DimensionValue| both_complete >> pair.0 & 1 == 1;
            let change =
                |is_removal| move |pair: &DimensionValue| InventoryChange { pair: *pair, is_removal, at: facts.taken };
            let removed = before.iter().filter(|pair| pairs.binary_search(pair).is_err());
            let added = pairs.iter().filter(|pair| before.binary_search(pair).is_err());
            let changes: Vec<InventoryChange> = removed
                .filter(is_complete)
                .map(change(true))
                .chain(added.filter(is_complete).map(change(false)))
                .collect();
            known.changes.extend(changes);
            let excess = known.changes.len().saturating_sub(CHANGES_MAX);
            known.changes.drain(..excess);
        }
        known.set = self.sets.change(known.set, &pairs);
        known.complete = complete;
        known.site = site;
        known.signers = signers;
        known.seen = facts.taken.min(log_time);
        known.accept_trusted_publisher_certs = facts.accept_trusted_publisher_certs;
        self.bytes += known.bytes();
    }

    /// The number of a certificate, whose details are remembered. `None` beyond the bound, or where it is no
    /// thumbprint.
    fn thumbprint(&mut self, certificate: &CertificateFact) -> Option<StringId> {
        if certificate.sha1.len() != THUMBPRINT_BYTES {
            return None;
        }
        // Number 0 stands for all texts beyond the bound.
        let id =
            Some(self.thumbprints.id(&certificate.sha1, CERTIFICATES_MAX, THUMBPRINT_BYTES)).filter(|id| *id > 0)?;
        let is_new = !self.details.contains_key(&id);
        let details = self.details.entry(id).or_default();
        self.bytes -= if is_new { 0 } else { details.bytes() };
        let cut = |text: &str| text[..text.floor_char_boundary(NAME_BYTES_MAX)].to_owned();
        // The first names stay: the names of other inventories differ at most by a wrong code page.
        if details.subject.is_empty() {
            (details.subject, details.issuer) = (cut(&certificate.subject), cut(&certificate.issuer));
        }
        details.vote(certificate.not_before, certificate.not_after);
        details.by_policy |= certificate.by_policy;
        self.bytes += details.bytes();
        Some(id)
    }

    /// Whether a certificate issued another one.
    fn has_issued(&self, authority: StringId, certificate: StringId) -> bool {
        let (authority, certificate) = (self.details.get(&authority), self.details.get(&certificate));
        authority.zip(certificate).is_some_and(|(authority, certificate)| {
            !certificate.issuer.is_empty() && certificate.issuer == authority.subject
        })
    }

    /// Whether a host has a certificate in a store.
    fn knows(&self, host: HostIndex, pair: DimensionValue) -> Knows {
        let Some(known) = self.hosts.get(&host) else { return Knows::Unknown };
        if self.sets.pairs(known.set).binary_search(&pair).is_ok() {
            Knows::Yes
        } else if known.complete >> pair.0 & 1 == 1 {
            Knows::No
        } else {
            Knows::Unknown
        }
    }

    /// The certificates that a host has in a store.
    fn in_store(&self, host: HostIndex, store: StringId) -> impl Iterator<Item = StringId> {
        let pairs = self.hosts.get(&host).map_or(&[][..], |known| self.sets.pairs(known.set));
        pairs.iter().filter(move |pair| pair.0 == store).map(|pair| pair.1)
    }

    /// When a certificate last went from a store of a host, or came to it.
    fn changed_at(&self, host: HostIndex, pair: DimensionValue, is_removal: bool) -> Option<i64> {
        let changes = &self.hosts.get(&host)?.changes;
        changes
            .iter()
            .rev()
            .find(|change| change.pair == pair && change.is_removal == is_removal)
            .map(|change| change.at)
    }
}
