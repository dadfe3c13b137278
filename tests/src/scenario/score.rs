//! Scores the alerts of a run against the real faults.

use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::alert::{Alert, State};

use super::Scenario;
use super::baseline::{five_hosts_in_an_hour, spike};
use super::plan::{At, Fault, Plan};
use super::time::{DAY, HOUR};
use super::world::{Failure, Struck};

/// Fewer hosts than this are not a cluster.
const CLUSTER_HOSTS: usize = 3;
/// A rule has found a fault if it begins to fire within this time of the onset.
const RULE_FINDS_WITHIN: i64 = 2 * DAY;

/// The result of one run.
#[derive(Clone, Debug)]
pub struct Score {
    /// Id of the scenario.
    pub id: &'static str,
    /// Hosts of the fleet.
    pub hosts: u32,
    /// True where a fault affects too few hosts at this size and seed to be found.
    pub too_small: bool,
    /// Each fault that must be found.
    pub faults: Vec<FaultScore>,
    /// Summaries of incidents that belong to no fault.
    pub false_incidents: Vec<String>,
    /// The rule "5 distinct hosts within an hour".
    pub five_hosts: RuleScore,
    /// The rule "three times as many failures as usual".
    pub spike: RuleScore,
    /// Signals that the detector read.
    pub signals: i64,
    /// Every document.
    pub alerts: Vec<Alert>,
}

/// The result for one fault.
#[derive(Clone, Debug, Default)]
pub struct FaultScore {
    /// Number of struck hosts.
    pub struck: usize,
    /// Milliseconds from the first failure to each host's, in order: no detector can know of three hosts before the
    /// third.
    pub struck_after_ms: Vec<i64>,
    /// Incidents about the fault, without merged ones: 1 is right.
    pub incidents: usize,
    /// Milliseconds from the first failure to the first document.
    pub delay_ms: Option<i64>,
    /// Number of hosts that had failed by then.
    pub failed_by_then: usize,
    /// Whether the first common factor of the last document names the cause.
    pub cause_right: bool,
    /// Whether the first factor applies to every named host, or there is no factor.
    pub cause_fits: bool,
    /// The first common factor.
    pub cause: String,
    /// Share of the struck hosts that the last documents name.
    pub recall: f64,
    /// Named hosts that were not struck.
    pub strangers: usize,
    /// Documents about the fault.
    pub documents: usize,
    /// Onset in the alert, less the first failure.
    pub onset_off_ms: i64,
    /// Whether its incidents are over in the end.
    pub resolved: bool,
    /// Silent hosts in the last document.
    pub silent: u64,
}

/// The result of one simple rule.
#[derive(Clone, Debug, Default)]
pub struct RuleScore {
    /// For each fault: milliseconds from the first failure until the rule fired.
    pub delays_ms: Vec<Option<i64>>,
    /// Number of other times at which the rule fired.
    pub false_episodes: usize,
}

impl Score {
    pub(super) fn new(
        scenario: &Scenario,
        plan: &Plan,
        hosts: u32,
        struck: &Struck,
        failures: &[Failure],
        alerts: Vec<Alert>,
        signals: i64,
    ) -> Score {
        let expected = scenario.is_found();
        let faults: Vec<(&Fault, &BTreeMap<String, i64>)> =
            plan.faults.iter().zip(struck).filter(|(_, struck)| expected && struck.len() >= CLUSTER_HOSTS).collect();
        let mut incidents: BTreeMap<&str, Vec<&Alert>> = BTreeMap::new();
        for alert in &alerts {
            incidents.entry(&alert.id).or_default().push(alert);
        }
        let mut of_fault: Vec<Vec<&[&Alert]>> = vec![Vec::new(); faults.len()];
        let mut false_incidents = Vec::new();
        for documents in incidents.values() {
            let last = documents[documents.len() - 1];
            let best = faults.iter().map(|(_, struck)| shared(last, struck)).enumerate().max_by_key(|(_, n)| *n);
            match best {
                // A merged incident does not count.
                _ if last.state == State::Merged => {}
                Some((fault, named)) if 2 * named >= last.hosts.names.len() => of_fault[fault].push(documents),
                _ if is_forged(last) => {}
                _ => false_incidents.push(format!("{} {}", last.id, last.summary)),
            }
        }
        let from = |struck: &BTreeMap<String, i64>| {
            let first = struck.values().copied().min().unwrap_or(0);
            plan.installed.map_or(first, |installed| first.max(installed))
        };
        let onsets: Vec<i64> = faults.iter().map(|(_, struck)| from(struck)).collect();
        Score {
            id: scenario.id,
            hosts,
            too_small: expected && faults.is_empty(),
            five_hosts: RuleScore::new(&five_hosts_in_an_hour(failures), &onsets),
            spike: RuleScore::new(&spike(failures), &onsets),
            faults: faults
                .iter()
                .zip(&onsets)
                .zip(&of_fault)
                .map(|(((fault, struck), onset), documents)| FaultScore::new(fault, struck, *onset, documents))
                .collect(),
            false_incidents,
            signals,
            alerts,
        }
    }

    /// True if every fault is found once and there is no other incident.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.false_incidents.is_empty() && self.faults.iter().all(|fault| fault.incidents == 1)
    }
}

impl FaultScore {
    fn new(fault: &Fault, struck: &BTreeMap<String, i64>, onset: i64, incidents: &[&[&Alert]]) -> FaultScore {
        let mut struck_after_ms: Vec<i64> = struck.values().map(|time| time - onset).collect();
        struck_after_ms.sort_unstable();
        let (struck_hosts, incidents_of_it) = (struck.len(), incidents.len());
        let mut score =
            FaultScore { struck: struck_hosts, struck_after_ms, incidents: incidents_of_it, ..FaultScore::default() };
        let opened = incidents.iter().map(|documents| documents[0].time.opened.0).min();
        let Some(opened) = opened else { return score };
        score.delay_ms = Some(opened - onset);
        score.failed_by_then = struck.values().filter(|time| **time <= opened).count();
        score.documents = incidents.iter().map(|documents| documents.len()).sum();
        let last: Vec<&Alert> = incidents.iter().map(|documents| documents[documents.len() - 1]).collect();
        let main = last.iter().max_by_key(|alert| alert.hosts.affected).expect("there is one");
        let first_factor = main.common_factors.first();
        score.cause = first_factor.map_or("none".to_owned(), |f| format!("{}={}", f.dimension, f.value));
        score.cause_fits = first_factor.is_none_or(|factor| factor.coverage >= 1.0);
        score.cause_right = first_factor.is_some_and(|factor| {
            let own_update = factor.dimension == "update" && matches!(fault.at, At::Update | At::OwnUpdate);
            let named = |(dimension, value): &(&str, String)| *dimension == factor.dimension && *value == factor.value;
            fault.cause.iter().any(named) || (fault.cause.is_empty() && own_update)
        });
        let names: BTreeSet<&str> = last.iter().flat_map(|alert| &alert.hosts.names).map(|name| bare(name)).collect();
        let named = names.iter().filter(|name| struck.contains_key(**name)).count();
        score.strangers = names.len() - named;
        let cut = last.iter().any(|alert| !alert.hosts.names_complete);
        let counted: u64 = last.iter().map(|alert| alert.hosts.affected).sum();
        // Documents name a thousand hosts; beyond that only the number is compared.
        let found = if cut { (counted as usize).min(struck.len()) } else { named };
        score.recall = found as f64 / struck.len() as f64;
        let first_failure = struck.values().copied().min().unwrap_or(0);
        score.onset_off_ms = main.time.onset.0 - first_failure;
        score.resolved = last.iter().all(|alert| alert.state != State::Open);
        score.silent = last.iter().map(|alert| alert.hosts.silent).sum();
        score
    }
}

impl RuleScore {
    fn new(episodes: &[i64], onsets: &[i64]) -> RuleScore {
        let finds = |onset: &i64| {
            let within = *onset - HOUR / 60..*onset + RULE_FINDS_WITHIN;
            episodes.iter().find(|at| within.contains(at)).map(|at| at - onset)
        };
        let near = |at: &&i64| onsets.iter().any(|onset| (*onset..*onset + 4 * DAY).contains(*at));
        RuleScore {
            delays_ms: onsets.iter().map(finds).collect(),
            false_episodes: episodes.iter().filter(|at| !near(at)).count(),
        }
    }
}

fn shared(alert: &Alert, struck: &BTreeMap<String, i64>) -> usize {
    alert.hosts.names.iter().filter(|name| struck.contains_key(bare(name))).count()
}

/// A renamed host is the same host.
fn bare(name: &str) -> &str {
    name.strip_prefix("new-").unwrap_or(name)
}

/// Whether an incident consists of forged hosts: without an inventory no rule can distinguish them from real ones.
fn is_forged(alert: &Alert) -> bool {
    2 * alert.hosts.names.iter().filter(|name| name.starts_with("forged-")).count() >= alert.hosts.names.len()
}
