//! Compares affected with healthy hosts by the contents of their certificate stores.
//!
//! A certificate is named only where three conditions hold: it signs updates, or issued a certificate that does; its
//! fault can cause failures of the incident's family; and the affected hosts show the fault while hosts that succeeded
//! at the same update do not. The third condition is proven by hosts; or by the WSUS machine, where its own inventory
//! says which certificate signs; or by the files that affected hosts did not trust, where inventories name the signers.
//! Hosts without an inventory are counted on neither side.

mod sides;

use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::alert::{CertificateFinding, Condition, Factor, Step};
use wulog_schemas::hresult::Family;

use super::super::dimension_sets::DimensionValue;
use super::super::document::DocumentContext;
use super::super::factors::Comparison;
use super::super::fleet::{Fleet, HostIndex};
use super::super::incident::Incident;
use super::super::onset::Distrusted;
use super::super::stats::rounded;
use super::super::strings::StringId;
use super::store_id;
use super::wsus::value_of;
use sides::{AFFECTED_MIN, SAMPLE, Sides};

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
