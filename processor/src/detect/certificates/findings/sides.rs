//! The hosts of a comparison that have inventories, and the tests of a certificate on them.

use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::alert::{CertificateFinding, CertificateName, Condition, NO_WSUS, UtcTime, WsusCopy};

use super::{FoundCertificate, Signs, Test, Where, wsus_of};
use crate::detect::certificates::signers::FileSigners;
use crate::detect::certificates::wsus::{machine_of, newest, value_of};
use crate::detect::certificates::{CLOCK_DOUBT_MS, Certificates, store_id, store_name, words};
use crate::detect::dimension_sets::DimensionValue;
use crate::detect::durations::DAY_MS;
use crate::detect::factors::{Comparison, healthy_hosts};
use crate::detect::fleet::{Fleet, HostIndex, Knows};
use crate::detect::incident::Incident;
use crate::detect::onset::Distrusted;
use crate::detect::stats::{P_MIN, hypergeometric_tail, ln_hypergeometric_tail, rounded};
use crate::detect::strings::StringId;
use crate::detect::tally::Value;

/// Least share of the affected hosts, among those whose inventory decides it, that must show the condition.
pub(super) const AFFECTED_MIN: f64 = 0.8;

/// Largest share of the hosts that succeeded that may show the condition: they may have installed something else, or
/// earlier.
const CONTRAST_MAX: f64 = 0.05;

/// Largest p-value against hosts that succeeded at the same update. These hosts prove that the update needs the
/// certificate, so few of them suffice ...
const CONTRAST_P_MAX: f64 = 0.1;
/// ... while merely healthy hosts must be at least this many, with at most this p-value.
const CONSENSUS_HOSTS_MIN: u64 = 5;
const CONSENSUS_P_MAX: f64 = 0.02;

/// A certificate explains the hosts as well as another factor if the logarithm of its p-value is at least this share of
/// the factor's: an inventory is some days old, and a host may have changed since.
const AS_WELL: f64 = 0.8;

/// Hosts of each side that are examined first, to skip hopeless tests: a store of thousands of certificates would
/// otherwise be compared over the whole fleet, certificate by certificate.
pub(super) const SAMPLE: usize = 50;

/// The hosts of a comparison that have inventories.
pub(super) struct Sides<'a> {
    pub(super) known: &'a Certificates,
    pub(super) fleet: &'a Fleet,
    pub(super) affected: Vec<HostIndex>,
    pub(super) healthy: Vec<HostIndex>,
    /// Healthy hosts that succeeded at what the affected hosts fail at.
    pub(super) succeeded: Vec<HostIndex>,
    pub(super) wsus: Option<HostIndex>,
    pub(super) distrusted: Distrusted,
    pub(super) onset: i64,
    /// The certificate that the WSUS machine signs with: the newest one in its store, expired or not.
    pub(super) signing: BTreeSet<StringId>,
    /// Certificates that may sign updates: those in Trusted Publishers of any host, those of `signing`, and signers of
    /// files that hosts did not trust.
    pub(super) publishing: BTreeSet<StringId>,
    /// The signers of the files that the affected hosts did not trust.
    pub(super) files: FileSigners,
}

impl<'a> Sides<'a> {
    pub(super) fn new(incident: &Incident, known: &'a Certificates, fleet: &'a Fleet) -> Sides<'a> {
        let with_inventory = |host: &HostIndex| known.hosts.contains_key(host);
        let affected: Vec<HostIndex> = incident.members.keys().copied().filter(with_inventory).collect();
        let mut healthy: Vec<HostIndex> = healthy_hosts(incident, fleet).into_iter().filter(with_inventory).collect();
        let server = wsus_of(incident, fleet).filter(|server| server != NO_WSUS);
        let wsus = server.as_deref().and_then(|server| machine_of(server, known, fleet));
        // The WSUS machine is no client whose stores could be compared.
        healthy.retain(|host| Some(*host) != wsus);
        let from = incident.onset - DAY_MS;
        let succeeded = |host: &HostIndex| match incident.distrusted {
            Distrusted::Signature => {
                fleet.hosts[*host as usize].succeeded_since(from).any(|subject| incident.fails_at(subject, fleet))
            }
            Distrusted::Server => server.is_some() && server == value_of(*host, "wsus", fleet).map(str::to_owned),
        };
        let succeeded = healthy.iter().copied().filter(succeeded).collect();
        let signing: BTreeSet<StringId> =
            wsus.and_then(|wsus| newest(wsus, known, incident.onset)).into_iter().collect();
        let files = if incident.distrusted == Distrusted::Signature {
            FileSigners::of(&affected, known)
        } else {
            FileSigners::default()
        };
        let mut publishing = signing.clone();
        for host in affected.iter().chain(&healthy) {
            publishing.extend(store_id("TrustedPublisher").into_iter().flat_map(|store| known.in_store(*host, store)));
        }
        publishing.extend(files.publishing(known));
        let (distrusted, onset) = (incident.distrusted, incident.onset);
        Sides { known, fleet, affected, healthy, succeeded, wsus, distrusted, onset, signing, publishing, files }
    }

    pub(super) fn is_expired(&self, certificate: StringId) -> bool {
        let end = self.known.details.get(&certificate).and_then(|details| details.not_after);
        end.is_some_and(|end| end <= self.onset.saturating_add(CLOCK_DOUBT_MS))
    }

    /// Whether the condition holds of a host, as far as its inventory tells.
    pub(super) fn holds(&self, host: HostIndex, test: Test) -> Knows {
        match test {
            Test::Missing(pair) => match self.known.knows(host, pair) {
                Knows::Yes => Knows::No,
                Knows::No => Knows::Yes,
                Knows::Unknown => Knows::Unknown,
            },
            Test::Distrusted(pair) | Test::Expired(pair) => self.known.knows(host, pair),
            Test::PolicyOff => match self.known.hosts.get(&host).and_then(|known| known.accept_trusted_publisher_certs)
            {
                Some(false) => Knows::Yes,
                Some(true) => Knows::No,
                None => Knows::Unknown,
            },
            Test::SiteUntrusted => match self.known.hosts.get(&host).and_then(|known| known.site) {
                Some((_, false)) => Knows::Yes,
                Some((_, true)) => Knows::No,
                None => Knows::Unknown,
            },
        }
    }

    /// The number of hosts that show the condition, and all hosts whose inventory decides it.
    pub(super) fn count(&self, hosts: &[HostIndex], test: Test) -> (u64, Vec<HostIndex>) {
        let tells = |host: &HostIndex| self.holds(*host, test) != Knows::Unknown;
        let counted: Vec<HostIndex> = hosts.iter().copied().filter(tells).collect();
        let with = counted.iter().filter(|host| self.holds(**host, test) == Knows::Yes).count() as u64;
        (with, counted)
    }

    /// Whether a few hosts of each side show already that the condition does not tell the sides apart.
    pub(super) fn is_hopeless(&self, test: Test) -> bool {
        let sample = |hosts: &[HostIndex]| {
            let (with, counted) = self.count(&hosts[..hosts.len().min(SAMPLE)], test);
            (with, counted.len() as u64)
        };
        let ((with, all), (other, others)) = (sample(&self.affected), sample(&self.succeeded));
        let others_show = others >= 10 && 2 * other > others && test != Test::SiteUntrusted;
        let affected_do_not = all >= 10 && 2 * with < all;
        others_show || affected_do_not
    }

    pub(super) fn found(&self, test: Test) -> Option<FoundCertificate> {
        if self.is_hopeless(test) || self.is_refuted(test) {
            return None;
        }
        let (with, affected) = self.count(&self.affected, test);
        let all = affected.len() as u64;
        if with == 0 || (with as f64) < AFFECTED_MIN * all as f64 {
            return None;
        }
        let signs = self.signs(test);
        let (with_succeeded, succeeded) = self.count(&self.succeeded, test);
        let (with_healthy, healthy) = self.count(&self.healthy, test);
        let few = |with: u64, all: usize| with as f64 <= CONTRAST_MAX * all as f64;
        // A host reports itself that it does not trust its server, and has not scanned since. So no comparison is
        // necessary.
        if test != Test::SiteUntrusted && !few(with_succeeded, succeeded.len()) {
            return None;
        }
        let tail = |other: u64, others: usize| hypergeometric_tail(with, all, with + other, all + others as u64);
        let by_success = with >= 2 && succeeded.len() >= 2 && tail(with_succeeded, succeeded.len()) <= CONTRAST_P_MAX;
        let by_consensus = with >= 2
            && healthy.len() as u64 >= CONSENSUS_HOSTS_MIN
            && few(with_healthy, healthy.len())
            && tail(with_healthy, healthy.len()) <= CONSENSUS_P_MAX;
        if signs == Signs::Unknown && !by_success && !by_consensus {
            return None;
        }
        let (other, others) =
            if succeeded.is_empty() { (with_healthy, healthy.clone()) } else { (with_succeeded, succeeded) };
        let ln_p = ln_hypergeometric_tail(with, all, with + other, all + others.len() as u64);
        let p_value = rounded(tail(other, others.len())).max(P_MIN);
        let mut document = self.document(test, (with, all), (with_healthy, healthy.len() as u64), p_value);
        let of_wsus = document.wsus.as_ref().map(|copy| copy.has_certificate);
        document.fix = words::fix(&document, of_wsus);
        document.says = words::says(&document);
        Some(FoundCertificate {
            value: words::value(&document),
            document,
            ln_p,
            counted: (affected, others),
            signs,
            test,
        })
    }

    /// Whether inventories refute that a missing certificate signs the failing updates: the WSUS machine signs with
    /// certificates of other names, and nearly all affected hosts have these in Trusted Publishers. The store also
    /// holds the certificates of driver vendors.
    pub(super) fn is_refuted(&self, test: Test) -> bool {
        let Test::Missing((_, certificate)) = test else { return false };
        if self.signing.is_empty() || self.signs(test) != Signs::Unknown {
            return false;
        }
        let subject_of = |id: &StringId| self.known.details.get(id).map(|details| details.subject.as_str());
        let is_of_same_name = |signing: &StringId| subject_of(signing) == subject_of(&certificate);
        let Some(publisher) = store_id("TrustedPublisher") else { return false };
        let have_it = |signing: &StringId| {
            let (lack, counted) = self.count(&self.affected, Test::Missing((publisher, *signing)));
            !counted.is_empty() && lack as f64 <= CONTRAST_MAX * counted.len() as f64
        };
        !self.signing.iter().any(is_of_same_name) && self.signing.iter().all(have_it)
    }

    /// How it is known that the certificate of a test signs: the files are signed with it, or with one that it issued;
    /// the WSUS machine signs with it, or with one that it issued; or the hosts themselves tried the TLS certificate of
    /// the server.
    pub(super) fn signs(&self, test: Test) -> Signs {
        if test == Test::SiteUntrusted {
            return Signs::Said;
        }
        let (Test::Missing(pair) | Test::Distrusted(pair) | Test::Expired(pair)) = test else { return Signs::Unknown };
        if self.files.signer_of(pair.1, self.known).is_some() {
            return Signs::InFiles;
        }
        let is_issuer = |signing: &StringId| self.known.has_issued(pair.1, *signing);
        if self.signing.contains(&pair.1) || self.signing.iter().any(is_issuer) { Signs::Said } else { Signs::Unknown }
    }

    pub(super) fn document(
        &self,
        test: Test,
        (affected_hosts, affected_known): (u64, u64),
        (healthy_hosts, healthy_known): (u64, u64),
        p_value: f64,
    ) -> CertificateFinding {
        let (condition, pair) = match test {
            Test::Missing(pair) => (Condition::Missing, Some(pair)),
            Test::Distrusted(pair) => (Condition::Distrusted, Some(pair)),
            Test::Expired(pair) => (Condition::Expired, Some(pair)),
            Test::PolicyOff => (Condition::PolicyOff, None),
            Test::SiteUntrusted => (Condition::SiteUntrusted, None),
        };
        let site = if condition == Condition::SiteUntrusted { self.sites() } else { (None, None) };
        let showing = || self.affected.iter().copied().filter(|host| self.holds(*host, test) == Knows::Yes);
        let nearly_all = |count: usize| count as f64 >= AFFECTED_MIN * affected_hosts as f64;
        let mut others: BTreeMap<OtherStore, Vec<String>> = BTreeMap::new();
        // Only a certificate that signs updates belongs into two stores, and into the store `WSUS`: its CA does not.
        let signer = pair.filter(|pair| self.distrusted == Distrusted::Signature && self.publishing.contains(&pair.1));
        if let (Condition::Missing, Some(pair)) = (condition, signer) {
            for store in ["TrustedPublisher", "Root"].into_iter().filter_map(store_id).filter(|other| *other != pair.0)
            {
                for (wanted, list) in [(Knows::No, OtherStore::Missing), (Knows::Yes, OtherStore::Present)] {
                    let is = |host: &HostIndex| self.known.knows(*host, (store, pair.1)) == wanted;
                    if nearly_all(showing().filter(is).count()) {
                        others.entry(list).or_default().push(store_name(store).to_owned());
                    }
                }
            }
        }
        let since = match (condition, pair) {
            (Condition::Missing, Some(pair)) => showing().filter_map(|h| self.known.changed_at(h, pair, true)).min(),
            (Condition::Distrusted, Some(pair)) => {
                showing().filter_map(|h| self.known.changed_at(h, pair, false)).min()
            }
            (Condition::Expired, Some(pair)) => self.known.details.get(&pair.1).and_then(|details| details.not_after),
            _ => None,
        };
        let former = pair.filter(|_| condition == Condition::Missing).and_then(|pair| {
            let former = self.former_of(pair, showing().collect());
            former.map(|former| self.name(former))
        });
        CertificateFinding {
            condition,
            says: String::new(),
            fix: String::new(),
            certificate: pair.map(|pair| pair.1).or(site.0).map(|certificate| self.name(certificate)),
            shown_elsewhere: site.1.map(|certificate| self.name(certificate)),
            store: pair.map(|pair| store_name(pair.0).to_owned()),
            also_missing_in: others.remove(&OtherStore::Missing).unwrap_or_default(),
            present_in: others.remove(&OtherStore::Present).unwrap_or_default(),
            former,
            affected_hosts,
            affected_known,
            healthy_hosts,
            healthy_known,
            p_value,
            since: since.map(UtcTime),
            wsus: signer.and_then(|pair| self.copy_of_wsus(pair.1)),
            file_signer: pair
                .and_then(|pair| self.files.signer_of(pair.1, self.known))
                .and_then(|signer| self.files.evidence(signer, self.known)),
        }
    }

    /// The TLS certificate that the server shows to nearly all hosts that do not trust it, and the one that the server
    /// shows to hosts that trust it, where this is another one.
    pub(super) fn sites(&self) -> (Option<StringId>, Option<StringId>) {
        let most = |hosts: &[HostIndex], is_trusted: bool| {
            let mut counts: BTreeMap<StringId, usize> = BTreeMap::new();
            for (certificate, trusted) in hosts.iter().filter_map(|host| self.known.hosts.get(host)?.site) {
                *counts.entry(certificate).or_default() += usize::from(trusted == is_trusted);
            }
            let all: usize = counts.values().sum();
            let (certificate, hosts) = counts.into_iter().max_by_key(|(_, hosts)| *hosts)?;
            (hosts > 0 && hosts as f64 >= AFFECTED_MIN * all as f64).then_some(certificate)
        };
        let shown = most(&self.affected, false);
        (shown, most(&self.succeeded, true).filter(|elsewhere| Some(*elsewhere) != shown))
    }

    /// The earlier certificate of the same subject that nearly all of `hosts` have in `store`.
    pub(super) fn former_of(&self, (store, certificate): DimensionValue, hosts: Vec<HostIndex>) -> Option<StringId> {
        let details = self.known.details.get(&certificate).filter(|details| !details.subject.is_empty())?;
        let mut counts: BTreeMap<StringId, usize> = BTreeMap::new();
        for other in hosts.iter().flat_map(|host| self.known.in_store(*host, store)) {
            let Some(earlier) = self.known.details.get(&other) else { continue };
            let is_earlier = earlier.not_before.zip(details.not_before).is_some_and(|(a, b)| a < b);
            if earlier.subject == details.subject && is_earlier {
                *counts.entry(other).or_default() += 1;
            }
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count)?;
        (most.1 as f64 >= AFFECTED_MIN * hosts.len() as f64).then_some(most.0)
    }

    pub(super) fn name(&self, certificate: StringId) -> CertificateName {
        let details = self.known.details.get(&certificate);
        CertificateName {
            sha1: self.known.thumbprints.text(certificate).to_owned(),
            subject: details.map(|details| details.subject.clone()).unwrap_or_default(),
            not_after: details.and_then(|details| details.not_after).map(UtcTime),
        }
    }

    pub(super) fn copy_of_wsus(&self, certificate: StringId) -> Option<WsusCopy> {
        let (wsus, store) = (self.wsus?, store_id("WSUS")?);
        let has_certificate = match self.known.knows(wsus, (store, certificate)) {
            Knows::Yes => true,
            Knows::No => false,
            Knows::Unknown => return None,
        };
        Some(WsusCopy { host: self.fleet.hosts[wsus as usize].name().to_owned(), has_certificate })
    }

    /// Whether a finding explains the hosts at least as well as each factor does, among the hosts that have
    /// inventories.
    pub(super) fn explains_as_well(&self, found: &FoundCertificate, comparison: &Comparison) -> bool {
        if found.signs > Signs::Unknown {
            return true;
        }
        let (affected, others) = &found.counted;
        let pairs = comparison.values.iter().filter_map(|value| match value {
            Value::Host(pair) => Some(*pair),
            // An update is what hosts are offered, and a caller how they ask for it: neither is why they fail.
            Value::Operation(_) | Value::Subject(_) => None,
        });
        pairs.into_iter().all(|pair| {
            let has = |hosts: &[HostIndex]| {
                hosts.iter().filter(|host| self.fleet.knows(**host, pair) == Knows::Yes).count() as u64
            };
            let (with, other) = (has(affected), has(others));
            let all = (affected.len() + others.len()) as u64;
            found.ln_p <= AS_WELL * ln_hypergeometric_tail(with, affected.len() as u64, with + other, all)
        })
    }

    /// The certificate that signs updates: `certificate` itself, or the only one that it issued.
    pub(super) fn signer_of(&self, certificate: StringId) -> Option<StringId> {
        if self.publishing.contains(&certificate) {
            return Some(certificate);
        }
        let mut issued = self.publishing.iter().filter(|id| self.known.has_issued(certificate, **id));
        issued.next().filter(|_| issued.next().is_none()).copied()
    }

    /// Answers that inventories give to the commands of steps.
    pub(super) fn answers(&self, first: Option<&FoundCertificate>) -> Vec<(&'static str, Where, String)> {
        let mut answers = Vec::new();
        if let Some(wsus) = self.wsus {
            let signing: Vec<String> = self.signing.iter().map(|id| words::certificate(&self.name(*id))).collect();
            let text = match signing.as_slice() {
                [] => "the store holds no certificate".to_owned(),
                certificates => certificates.join("; "),
            };
            let is_known = self.known.hosts.get(&wsus).is_some_and(|known| {
                store_id("WSUS").is_some_and(|store| known.complete >> store & 1 == 1) || !self.signing.is_empty()
            });
            if is_known {
                answers.push(("certutil -store WSUS", Where::Wsus, text));
            }
        }
        for signer in self.files.iter() {
            if let Some(evidence) = self.files.evidence(signer, self.known) {
                let text = words::signer(&words::certificate(&self.name(signer)), &evidence);
                answers.push(("SignerCertificate, TimeStamperCertificate\"", Where::Wsus, text));
            }
        }
        let of_finding = first.and_then(|found| found.document.certificate.as_ref());
        let certificate = of_finding
            .and_then(|name| self.known.thumbprints.find(&name.sha1))
            .or_else(|| self.files.iter().next())
            .or_else(|| Some(*self.signing.iter().next()?).filter(|_| self.signing.len() == 1));
        if let Some(certificate) = certificate {
            let signer = self.signer_of(certificate);
            for (command, store, certificate) in [
                ("certutil -store TrustedPublisher", "TrustedPublisher", signer),
                ("certutil -store Root", "Root", Some(certificate)),
                ("certutil -store Disallowed", "Disallowed", signer),
            ] {
                let (Some(store), Some(certificate)) = (store_id(store), certificate) else { continue };
                let name = words::certificate(&self.name(certificate));
                for (place, hosts) in [(Where::Affected, &self.affected), (Where::Healthy, &self.healthy)] {
                    let (with, counted) = self.count(hosts, Test::Distrusted((store, certificate)));
                    if !counted.is_empty() {
                        answers.push((
                            command,
                            place,
                            words::is_there(&name, with, counted.len(), place == Where::Affected),
                        ));
                    }
                }
            }
        }
        let (off, counted) = self.count(&self.affected, Test::PolicyOff);
        if !counted.is_empty() {
            let text = format!("it is off on {off} of {} affected hosts whose policy is known", counted.len());
            answers.push(("/v AcceptTrustedPublisherCerts", Where::Affected, text));
        }
        answers
    }
}

/// Whether another store lacks or has a certificate that is missing in one store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum OtherStore {
    Missing,
    Present,
}
