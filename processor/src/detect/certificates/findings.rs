//! Compares affected with healthy hosts by the contents of their certificate stores.
//!
//! A certificate is named only where three conditions hold: it signs updates, or issued a certificate that does; its
//! fault can cause failures of the incident's family; and the affected hosts show the fault while hosts that succeeded
//! at the same update do not. The third condition is proven by hosts; or by the WSUS machine, where its own inventory
//! says which certificate signs; or by the files that affected hosts did not trust, where inventories name the signers.
//! Hosts without an inventory are counted on neither side.

use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::alert::{CertificateFinding, CertificateName, Condition, Factor, NO_WSUS, Step, UtcTime, WsusCopy};
use wulog_schemas::hresult::Family;

use super::super::dimension_sets::DimensionValue;
use super::super::document::DocumentContext;
use super::super::durations::DAY_MS;
use super::super::factors::{Comparison, healthy_hosts};
use super::super::fleet::{Fleet, HostIndex, Knows};
use super::super::incident::Incident;
use super::super::onset::Distrusted;
use super::super::stats::{P_MIN, hypergeometric_tail, ln_hypergeometric_tail, rounded};
use super::super::strings::StringId;
use super::super::tally::Value;
use super::signers::FileSigners;
use super::wsus::{machine_of, newest, value_of};
use super::{CLOCK_DOUBT_MS, Certificates, store_id, store_name, words};

/// Least share of the affected hosts, among those whose inventory decides it, that must show the condition.
const AFFECTED_MIN: f64 = 0.8;
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
const SAMPLE: usize = 50;
/// Most findings in a document.
const FINDINGS_MAX: usize = 3;

/// The findings about the certificates of an incident.
pub(in super::super) struct Findings {
    found: Vec<FoundCertificate>,
    /// Whether the first finding explains the hosts at least as well as any factor.
    is_cause: bool,
    answers: Vec<(&'static str, Where, String)>,
}

/// The machine that a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Affected,
    Healthy,
    Wsus,
}

struct FoundCertificate {
    document: CertificateFinding,
    /// The value of the factor for this finding.
    value: String,
    ln_p: f64,
    /// The hosts that were counted: affected ones, and the ones that they were compared with.
    counted: (Vec<HostIndex>, Vec<HostIndex>),
    /// How it is known that this certificate signs.
    signs: Signs,
    test: Test,
}

/// How it is known that a certificate signs what hosts fail at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Signs {
    /// No inventory says so: the comparison with other hosts must show it.
    Unknown,
    /// The WSUS machine signs with it, or it is a TLS certificate that the hosts tried themselves.
    Said,
    /// Files that affected hosts did not trust are signed with it.
    InFiles,
}

/// A condition to test, with the store and the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Test {
    Missing(DimensionValue),
    Distrusted(DimensionValue),
    Expired(DimensionValue),
    PolicyOff,
    SiteUntrusted,
}

impl Test {
    /// Place among tests that explain the hosts equally well: Trusted Publishers first, since a certificate that was
    /// not delivered at all is missing there whoever issued it.
    fn place(self) -> (Condition, StringId) {
        match self {
            Test::Missing((store, _)) => (Condition::Missing, store),
            Test::Distrusted((store, _)) => (Condition::Distrusted, store),
            Test::Expired((store, _)) => (Condition::Expired, store),
            Test::PolicyOff => (Condition::PolicyOff, 0),
            Test::SiteUntrusted => (Condition::SiteUntrusted, 0),
        }
    }
}

/// The hosts of a comparison that have inventories.
struct Sides<'a> {
    known: &'a Certificates,
    fleet: &'a Fleet,
    affected: Vec<HostIndex>,
    healthy: Vec<HostIndex>,
    /// Healthy hosts that succeeded at what the affected hosts fail at.
    succeeded: Vec<HostIndex>,
    wsus: Option<HostIndex>,
    distrusted: Distrusted,
    onset: i64,
    /// The certificate that the WSUS machine signs with: the newest one in its store, expired or not.
    signing: BTreeSet<StringId>,
    /// Certificates that may sign updates: those in Trusted Publishers of any host, those of `signing`, and signers of
    /// files that hosts did not trust.
    publishing: BTreeSet<StringId>,
    /// The signers of the files that the affected hosts did not trust.
    files: FileSigners,
}

impl Findings {
    pub(in super::super) fn of(
        incident: &Incident,
        comparison: &Comparison,
        context: &DocumentContext<'_>,
    ) -> Findings {
        let none = Findings { found: Vec::new(), is_cause: false, answers: Vec::new() };
        let known = context.certificates;
        if known.is_empty() || incident.members.is_empty() {
            return none;
        }
        let sides = Sides::new(incident, known, context.fleet);
        if sides.affected.is_empty() {
            return none;
        }
        let mut found: Vec<FoundCertificate> =
            tests(incident, &sides).into_iter().filter_map(|test| sides.found(test)).collect();
        found.sort_by(|a, b| {
            (b.signs.cmp(&a.signs))
                .then(a.ln_p.total_cmp(&b.ln_p))
                .then_with(|| (a.test.place(), &a.value).cmp(&(b.test.place(), &b.value)))
        });
        let found = joined(found);
        let is_cause = found.first().is_some_and(|first| sides.explains_as_well(first, comparison));
        let answers = sides.answers(found.first());
        Findings { found, is_cause, answers }
    }

    /// `factors` with the factor of the first finding: in the first place where the finding is the cause, else in the
    /// second.
    pub(in super::super) fn among(&self, mut factors: Vec<Factor>) -> Vec<Factor> {
        let own = self.found.iter().take(1).map(|found| {
            let document = &found.document;
            let share = |with: u64, all: u64| if all == 0 { 0.0 } else { with as f64 / all as f64 };
            let coverage = share(document.affected_hosts, document.affected_known);
            let in_healthy = share(document.healthy_hosts, document.healthy_known);
            Factor {
                dimension: "certificate".to_owned(),
                value: found.value.clone(),
                name: Some(document.says.clone()),
                coverage: rounded(coverage),
                known_hosts: document.affected_known,
                in_healthy: rounded(in_healthy),
                lift: (document.healthy_hosts > 0).then(|| rounded(coverage / in_healthy)),
                p_value: document.p_value,
                goes_along_with: None,
                untried_elsewhere: false,
            }
        });
        let place = if self.is_cause { 0 } else { factors.len().min(1) };
        for factor in own {
            factors.insert(place, factor);
        }
        factors
    }

    /// Number of healthy hosts that share the first factor; `others` is this number where the factor is no certificate.
    pub(in super::super) fn healthy_with_first(&self, others: u64) -> u64 {
        self.found.first().filter(|_| self.is_cause).map_or(others, |found| found.document.healthy_hosts)
    }

    /// `summary`, with a sentence about the certificate where it is the cause.
    pub(in super::super) fn complete(&self, summary: String) -> String {
        match self.found.first().filter(|_| self.is_cause) {
            Some(found) => format!("{summary} Cause: {}", found.document.says),
            None => summary,
        }
    }

    /// Whether a certificate is the cause.
    pub(in super::super) fn are_cause(&self) -> bool {
        self.is_cause
    }

    /// Marks the steps that inventories have answered.
    pub(in super::super) fn answer(&self, steps: &mut [Step]) {
        for step in steps {
            let place = match step.on.as_deref() {
                Some(on) if on.starts_with("the WSUS server") => Where::Wsus,
                Some(on) if on.starts_with("a healthy host") => Where::Healthy,
                _ => Where::Affected,
            };
            let command = step.command.as_deref().unwrap_or_default();
            let answer = self.answers.iter().find(|(known, on, _)| command.ends_with(known) && *on == place);
            step.answered = answer.map(|(_, _, text)| text.clone());
        }
    }

    pub(in super::super) fn into_documents(self) -> Vec<CertificateFinding> {
        self.found.into_iter().map(|found| found.document).take(FINDINGS_MAX).collect()
    }
}

/// The conditions to test, for failures of these families.
fn tests(incident: &Incident, sides: &Sides<'_>) -> BTreeSet<Test> {
    let is_of = |families: &[Family]| families.iter().any(|family| incident.families.contains(family));
    let store = |name| store_id(name).expect("the names of stores are constants of the schema");
    let [publisher, disallowed, root, ca] = ["TrustedPublisher", "Disallowed", "Root", "CA"].map(store);
    let known = sides.known;
    let mut tests = BTreeSet::new();
    if incident.distrusted == Distrusted::Server {
        tests.insert(Test::SiteUntrusted);
        // The CA that issued the certificate of the site is unknown; any that hosts lack may be it.
        if is_of(&[Family::Tls, Family::UntrustedRoot, Family::Chain]) {
            for host in sides.succeeded.iter().chain(&sides.healthy).take(SAMPLE) {
                tests.extend(known.in_store(*host, root).map(|certificate| Test::Missing((root, certificate))));
            }
        }
        return tests;
    }
    let publishing = &sides.publishing;
    if is_of(&[Family::UntrustedRoot, Family::Chain, Family::Policy]) {
        tests.insert(Test::PolicyOff);
        for certificate in publishing {
            tests.insert(Test::Missing((publisher, *certificate)));
            let issuer = known.details.get(certificate).map_or("", |details| details.issuer.as_str());
            if issuer.is_empty() {
                tests.insert(Test::Missing((root, *certificate)));
                continue;
            }
            let issuers = known.details.iter().filter(|(_, found)| found.subject == issuer);
            for (id, _) in issuers {
                tests.extend([root, ca].map(|store| Test::Missing((store, *id))));
            }
        }
    }
    // Windows Update has a code of its own for files that it does not trust, whatever the reason.
    if is_of(&[Family::Distrust, Family::UntrustedRoot, Family::Chain]) {
        tests.extend(publishing.iter().map(|certificate| Test::Distrusted((disallowed, *certificate))));
    }
    if is_of(&[Family::Expired]) {
        // A signature with a time stamp stays valid.
        let expired = publishing
            .iter()
            .filter(|certificate| sides.is_expired(**certificate) && !sides.files.outlive_expiry(**certificate));
        tests.extend(expired.map(|certificate| Test::Expired((publisher, *certificate))));
    }
    tests
}

/// Keeps the first finding for each condition and certificate: a certificate that two stores lack is one finding.
fn joined(found: Vec<FoundCertificate>) -> Vec<FoundCertificate> {
    let mut joined: Vec<FoundCertificate> = Vec::new();
    for other in found {
        let is_same = |known: &&mut FoundCertificate| {
            known.document.condition == other.document.condition
                && known.document.certificate == other.document.certificate
        };
        if joined.iter_mut().find(is_same).is_none() {
            joined.push(other);
        }
    }
    joined
}

impl<'a> Sides<'a> {
    fn new(incident: &Incident, known: &'a Certificates, fleet: &'a Fleet) -> Sides<'a> {
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

    fn is_expired(&self, certificate: StringId) -> bool {
        let end = self.known.details.get(&certificate).and_then(|details| details.not_after);
        end.is_some_and(|end| end <= self.onset.saturating_add(CLOCK_DOUBT_MS))
    }

    /// Whether the condition holds of a host, as far as its inventory tells.
    fn holds(&self, host: HostIndex, test: Test) -> Knows {
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
    fn count(&self, hosts: &[HostIndex], test: Test) -> (u64, Vec<HostIndex>) {
        let tells = |host: &HostIndex| self.holds(*host, test) != Knows::Unknown;
        let counted: Vec<HostIndex> = hosts.iter().copied().filter(tells).collect();
        let with = counted.iter().filter(|host| self.holds(**host, test) == Knows::Yes).count() as u64;
        (with, counted)
    }

    /// Whether a few hosts of each side show already that the condition does not tell the sides apart.
    fn is_hopeless(&self, test: Test) -> bool {
        let sample = |hosts: &[HostIndex]| {
            let (with, counted) = self.count(&hosts[..hosts.len().min(SAMPLE)], test);
            (with, counted.len() as u64)
        };
        let ((with, all), (other, others)) = (sample(&self.affected), sample(&self.succeeded));
        let others_show = others >= 10 && 2 * other > others && test != Test::SiteUntrusted;
        let affected_do_not = all >= 10 && 2 * with < all;
        others_show || affected_do_not
    }

    fn found(&self, test: Test) -> Option<FoundCertificate> {
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
    fn is_refuted(&self, test: Test) -> bool {
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
    fn signs(&self, test: Test) -> Signs {
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

    fn document(
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
    fn sites(&self) -> (Option<StringId>, Option<StringId>) {
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
    fn former_of(&self, (store, certificate): DimensionValue, hosts: Vec<HostIndex>) -> Option<StringId> {
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

    fn name(&self, certificate: StringId) -> CertificateName {
        let details = self.known.details.get(&certificate);
        CertificateName {
            sha1: self.known.thumbprints.text(certificate).to_owned(),
            subject: details.map(|details| details.subject.clone()).unwrap_or_default(),
            not_after: details.and_then(|details| details.not_after).map(UtcTime),
        }
    }

    fn copy_of_wsus(&self, certificate: StringId) -> Option<WsusCopy> {
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
    fn explains_as_well(&self, found: &FoundCertificate, comparison: &Comparison) -> bool {
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
    fn signer_of(&self, certificate: StringId) -> Option<StringId> {
        if self.publishing.contains(&certificate) {
            return Some(certificate);
        }
        let mut issued = self.publishing.iter().filter(|id| self.known.has_issued(certificate, **id));
        issued.next().filter(|_| issued.next().is_none()).copied()
    }

    /// Answers that inventories give to the commands of steps.
    fn answers(&self, first: Option<&FoundCertificate>) -> Vec<(&'static str, Where, String)> {
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

/// The WSUS server that nearly all members have; [`NO_WSUS`] where they have none.
pub(in super::super) fn wsus_of(incident: &Incident, fleet: &Fleet) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for host in incident.members.keys() {
        if let Some(server) = value_of(*host, "wsus", fleet) {
            *counts.entry(server).or_default() += 1;
        }
    }
    let (server, hosts) = counts.into_iter().max_by_key(|(server, hosts)| (*hosts, std::cmp::Reverse(*server)))?;
    (hosts as f64 >= AFFECTED_MIN * incident.members.len() as f64).then(|| server.to_owned())
}
