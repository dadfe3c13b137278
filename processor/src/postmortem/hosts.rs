//! Signals -> for each affected host the time and code of its first failure, and the time of its recovery.

use std::collections::{BTreeMap, BTreeSet};

use crate::question::MemberHost;
use wulog_schemas::alert::Alert;
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{Attempt, ConfigChange, Fact, HostFacts, Outcome, RawPosition, Signal};

/// Maximum number of failures kept for a host; a host fails at a handful of subjects.
const FAILURES_MAX: usize = 64;
/// Maximum number of configuration changes kept, the newest.
const CHANGES_MAX: usize = 1_000;
/// A change of the configuration this long before the onset may still explain a document.
const BEFORE_ONSET_MS: i64 = 24 * 3600 * 1000;

/// A host of the incident.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AffectedHost {
    /// Host name.
    pub name: String,
    /// Event time of the first failure, milliseconds since 1970 UTC; `None` where the signals no longer hold it.
    pub first_failure: Option<i64>,
    /// HRESULT of the first failure.
    pub code: String,
    /// The update, file or server that the host failed at.
    pub subject: String,
    /// Title or KB number of the update.
    pub title: String,
    /// Event time of the first later success at the subject.
    pub recovered: Option<i64>,
    /// Whether the host has recovered; the time may be unknown.
    pub has_recovered: bool,
    /// The raw record of the first failure.
    pub raw: Option<RawPosition>,
    /// The host's facts by dimension.
    pub dimensions: BTreeMap<String, String>,
}

/// A change to another configuration of the detector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationChange {
    /// Log time, milliseconds since 1970 UTC.
    pub at: i64,
    /// Hash of the configuration, as alerts name it.
    pub hash: String,
    /// Version of the detector.
    pub version: String,
}

/// Failures and recoveries of hosts, and changes of the configuration, in the order of signals.
#[derive(Debug, Default)]
pub struct HostHistory {
    /// Hosts whose history is kept; an empty set means all hosts.
    wanted: BTreeSet<String>,
    hosts: BTreeMap<String, FailureHistory>,
    changes: Vec<ConfigurationChange>,
}

#[derive(Debug, Default)]
struct FailureHistory {
    dimensions: BTreeMap<String, String>,
    failures: Vec<ReportedFailure>,
}

#[derive(Clone, Debug)]
struct ReportedFailure {
    subject: String,
    family: Option<Family>,
    code: String,
    title: String,
    first: i64,
    recovered: Option<i64>,
    raw: RawPosition,
}

impl HostHistory {
    /// Follows only hosts of these names, which bounds the memory.
    #[must_use]
    pub fn of(names: impl IntoIterator<Item = String>) -> HostHistory {
        HostHistory { wanted: names.into_iter().collect(), ..HostHistory::default() }
    }

    /// Processes the next signal.
    pub fn take(&mut self, signal: Signal) {
        let Signal { raw, log_time, fact, .. } = signal;
        match fact {
            Fact::HostFacts(facts) => self.facts(facts, raw),
            Fact::Attempt(attempt) => self.attempt(attempt, raw),
            Fact::Config(change) => self.change(&change, log_time),
            Fact::ScanDone(_) | Fact::Tick(_) | Fact::Handling(_) | Fact::Certificates(_) => {}
        }
    }

    fn host(&mut self, name: &str) -> Option<&mut FailureHistory> {
        let is_followed = self.wanted.is_empty() || self.wanted.contains(name);
        is_followed.then(|| self.hosts.entry(name.to_owned()).or_default())
    }

    fn facts(&mut self, facts: HostFacts, raw: RawPosition) {
        let Some(history) = self.host(&facts.host.name) else { return };
        // A failure whose attempt is older than the oldest signal is known only from the facts of its host.
        for failing in facts.failing {
            history.fail(ReportedFailure {
                subject: failing.subject,
                family: Some(failing.family),
                code: failing.code,
                title: String::new(),
                first: failing.since,
                recovered: None,
                raw,
            });
        }
        history.dimensions = facts.dimensions;
    }

    fn attempt(&mut self, attempt: Attempt, raw: RawPosition) {
        let Some(history) = self.host(&attempt.host.name) else { return };
        if attempt.outcome == Outcome::Success {
            let open = history.failures.iter_mut().filter(|failure| failure.recovered.is_none());
            for failure in open.filter(|failure| failure.subject == attempt.subject) {
                failure.recovered = Some(attempt.event_time);
            }
            return;
        }
        let said = |dimension: &str| attempt.dimensions.get(dimension).cloned();
        history.fail(ReportedFailure {
            title: said("title").or_else(|| said("kb")).unwrap_or_default(),
            subject: attempt.subject,
            family: attempt.family,
            code: attempt.code.unwrap_or_default(),
            first: attempt.since,
            recovered: None,
            raw,
        });
    }

    /// Notes a change of the configuration. The configuration is repeated daily, and only a different one is a change.
    fn change(&mut self, change: &ConfigChange, log_time: i64) {
        let hash = &change.provenance.config_hash;
        if self.changes.last().is_some_and(|last| last.hash == *hash && last.version == change.provenance.version) {
            return;
        }
        if self.changes.len() >= CHANGES_MAX {
            self.changes.remove(0);
        }
        let version = change.provenance.version.clone();
        self.changes.push(ConfigurationChange { at: log_time, hash: hash.clone(), version });
    }

    /// The hosts in `alert`, by first failure.
    pub(super) fn affected(&self, alert: &Alert) -> Vec<AffectedHost> {
        let mut hosts: Vec<AffectedHost> =
            alert.hosts.names.iter().map(|name| self.affected_host(name, alert)).collect();
        hosts.sort_by_key(|host| host.first_failure.unwrap_or(i64::MAX));
        hosts
    }

    fn affected_host(&self, name: &str, alert: &Alert) -> AffectedHost {
        let named = AffectedHost { name: name.to_owned(), ..AffectedHost::default() };
        let Some(history) = self.hosts.get(name) else { return named };
        let dimensions = history.dimensions.clone();
        let is_of_alert = |failure: &&ReportedFailure| {
            failure.family.is_some_and(|family| alert.families.contains(&family))
                && (alert.time.onset.0..=alert.time.updated.0).contains(&failure.first)
        };
        let is_of_subject =
            |failure: &&ReportedFailure| alert.subjects.iter().any(|known| known.subject == failure.subject);
        let candidates = || history.failures.iter().filter(is_of_alert);
        let first = candidates().filter(is_of_subject).min_by_key(|failure| failure.first);
        match first.or_else(|| candidates().min_by_key(|failure| failure.first)) {
            Some(failure) => AffectedHost {
                first_failure: Some(failure.first),
                code: failure.code.clone(),
                subject: failure.subject.clone(),
                title: failure.title.clone(),
                recovered: failure.recovered,
                has_recovered: failure.recovered.is_some(),
                raw: Some(failure.raw),
                dimensions,
                ..named
            },
            None => AffectedHost { dimensions, ..named },
        }
    }

    /// Changes between a day before the onset and the newest document; the configuration before that period is not a
    /// change.
    pub(super) fn changes_of(&self, alert: &Alert) -> Vec<ConfigurationChange> {
        let range = alert.time.onset.0 - BEFORE_ONSET_MS..=alert.time.updated.0;
        self.changes.iter().skip(1).filter(|change| range.contains(&change.at)).cloned().collect()
    }
}

impl From<MemberHost> for AffectedHost {
    fn from(member: MemberHost) -> AffectedHost {
        let (partition, offset) = member.raw;
        AffectedHost {
            name: member.name,
            first_failure: Some(member.first_failure),
            code: member.code,
            subject: member.subject,
            title: member.title,
            recovered: member.recovered_at,
            has_recovered: member.recovered,
            raw: Some(RawPosition { partition, offset }),
            dimensions: member.dimensions,
        }
    }
}

impl FailureHistory {
    /// Adds a failure, unless it is already known as one that still lasts.
    fn fail(&mut self, failure: ReportedFailure) {
        let is_known = |known: &ReportedFailure| {
            known.subject == failure.subject
                && known.family == failure.family
                && (known.recovered.is_none() || known.first == failure.first)
        };
        if !self.failures.iter().any(is_known) && self.failures.len() < FAILURES_MAX {
            self.failures.push(failure);
        }
    }
}
