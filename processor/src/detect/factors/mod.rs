//! Factors: values that affected hosts share and healthy hosts do not.
//!
//! Healthy hosts are active since a day before the onset, fail at nothing of the incident's families and are not newly
//! failing at anything else. For a dimension of hosts (WSUS server, build, label), all hosts with a known value are
//! compared; for a caller, the hosts whose callers are known. For an update, only the healthy hosts are compared that
//! succeeded at some update since a day before the onset, or at this update at any time: a host that tried nothing
//! proves nothing. Updates come after the host values that nearly all affected hosts share, since an update may carry
//! the cause without being the cause, see `order`. A factor that makes no difference among the hosts with the first
//! factor comes last and names the first.
//!
//! P-values are exact hypergeometric tails. They are multiplied by the number of dimensions that are tested (Bonferroni
//! correction), so that hosts with nothing in common get no factor by chance.
//!
//! Hosts are counted by their sets of dimensions, once over the fleet: a document costs about ten milliseconds at a
//! million hosts.

mod ranking;

use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::alert::Factor;

use super::activity::quarter;
use super::dimension_sets::DimensionValue;
use super::durations::DAY_MS;
use super::fleet::{Fleet, FleetHost, HostIndex, Knows, Novelty};
use super::fleet_view::FleetView;
use super::incident::{CAUSE_COVERAGE_MIN, Incident};
use super::member::{Member, Members};
use super::separate_causes::are_separate;
use super::stats::hypergeometric_tail;
use super::strings::StringId;
use super::tally::{Value, subjects_of};
use ranking::{FACTORS_MAX, FactorCandidate, candidates, clear_cause, looked_at, rank, stands_out};

/// A value that this share of the affected hosts have explains the incident; a smaller share leaves room for a second
/// cause.
const EXPLAINS_MIN: f64 = 0.8;
/// Least number of affected hosts with a known value for a clear cause. The limits of a clear cause are strict,
/// since a clear cause keeps other hosts out of the incident.
pub(super) const CAUSE_HOSTS_MIN: u64 = 10;
/// Largest p-value of the factor that explains a part of an incident; both parts of a split need such a factor.
const SPLIT_P_MAX: f64 = 1e-3;
/// The comparison of an incident's hosts with the healthy ones.
pub(super) struct Comparison {
    pub(super) factors: Vec<Factor>,
    /// The value of each factor.
    pub(super) values: Vec<Value>,
    pub(super) not_common: Vec<String>,
    pub(super) unknown: Vec<String>,
    pub(super) cause: Option<DimensionValue>,
    /// Dimensions in which a value could have stood out by chance.
    pub(super) tests: usize,
    pub(super) active: u64,
    pub(super) chronic: u64,
    /// Hosts whose logs cannot be read.
    pub(super) unreadable: u64,
    pub(super) same_subject_succeeded: u64,
    pub(super) same_first_factor_healthy: u64,
    pub(super) said: SummaryCounts,
}

/// The numbers of the summary: how many hosts tried the update, and how many of them failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SummaryCounts {
    /// The update at which most affected hosts fail, if nearly all of them do.
    pub(super) subject: Option<StringId>,
    /// Affected hosts with the first factor.
    pub(super) failed: u64,
    /// Hosts with the first factor that tried the update: the affected ones, and the healthy ones that succeeded.
    /// Without an update, all active ones.
    pub(super) tried: u64,
    /// Healthy active hosts without the first factor.
    pub(super) others_healthy: u64,
    /// Healthy active hosts without the first factor that tried the update.
    pub(super) others_tried: u64,
    /// Affected hosts without the first factor, or with an unknown value.
    pub(super) others_failed: u64,
}

/// The healthy hosts of an incident, see the documentation of this module.
pub(super) fn healthy_hosts(incident: &Incident, fleet: &Fleet) -> Vec<HostIndex> {
    groups(incident, fleet, incident.onset - DAY_MS).healthy
}

/// The active hosts of the fleet: the list of healthy ones, the number of all, and the number of chronic ones.
struct Groups {
    healthy: Vec<HostIndex>,
    active: u64,
    chronic: u64,
}

pub(super) fn compare(incident: &Incident, view: FleetView<'_>) -> Comparison {
    compare_members(&incident.members, incident, view)
}

/// Compares `members` with the healthy hosts. Other members of the incident count as neither affected nor healthy.
pub(super) fn compare_members(members: &Members, incident: &Incident, view: FleetView<'_>) -> Comparison {
    let FleetView { fleet, config, .. } = view;
    let from = incident.onset - DAY_MS;
    let groups = groups(incident, fleet, from);
    let (mut candidates, forgotten) = candidates(members, &groups.healthy, fleet, from);
    let mut dimensions: BTreeSet<String> =
        members.iter().flat_map(|(host, member)| names(*host, member, fleet)).collect();
    let cut = members.keys().any(|host| fleet.hosts[*host as usize].dimensions_cut);
    let is_candidate = |name: &String| candidates.iter().any(|candidate| candidate.factor.dimension == *name);
    let unknown: Vec<String> =
        dimensions.iter().filter(|name| forgotten.contains(*name) || (cut && !is_candidate(name))).cloned().collect();
    let tests = looked_at(&candidates);
    candidates.retain(|candidate| stands_out(&candidate.factor, tests, config));
    rank(&mut candidates, members, &groups.healthy, fleet, from, config);
    let cause = candidates.first().and_then(clear_cause);
    let said = said(members, candidates.first(), &groups.healthy, fleet, from);
    let same_first_factor_healthy = candidates.first().map_or(0, |first| first.with_healthy);
    candidates.truncate(FACTORS_MAX);
    for candidate in &candidates {
        dimensions.remove(&candidate.factor.dimension);
    }
    let same_subject = |host: &&HostIndex| {
        let host = &fleet.hosts[**host as usize];
        host.succeeded()
            .chain(host.scanned_since(from + DAY_MS))
            .any(|subject| incident.subjects.contains_key(&subject))
    };
    let known = groups.healthy.iter().filter(same_subject).count() as u64;
    let most = incident.subjects.iter().max_by_key(|(subject, hosts)| (**hosts, std::cmp::Reverse(**subject)));
    let forgotten = most.map_or(0, |(subject, _)| forgotten_successes(*subject, known, fleet));
    Comparison {
        same_subject_succeeded: (known + forgotten).min(groups.healthy.len() as u64),
        values: candidates.iter().map(|candidate| candidate.value).collect(),
        factors: candidates.into_iter().map(|candidate| candidate.factor).collect(),
        not_common: dimensions.into_iter().filter(|name| !unknown.contains(name)).collect(),
        unknown,
        cause,
        tests,
        active: groups.active,
        chronic: groups.chronic,
        unreadable: fleet.unreadable(),
        same_first_factor_healthy,
        said,
    }
}

/// Number of hosts that succeeded at a subject so long ago that the fleet no longer knows which hosts they are. `known`
/// healthy hosts are known to have succeeded; only where more hosts did is the whole fleet searched.
fn forgotten_successes(subject: StringId, known: u64, fleet: &Fleet) -> u64 {
    let ever = fleet.attempts.succeeded_hosts(subject);
    if ever <= known {
        return 0;
    }
    let is_counted = |host: &&FleetHost| {
        host.succeeded().any(|known| known == subject)
            && !host.failing().iter().any(|failing| failing.subject == subject)
    };
    ever.saturating_sub(fleet.hosts.iter().filter(is_counted).count() as u64)
}

/// Counts the numbers of the summary.
fn said(
    members: &Members,
    first: Option<&FactorCandidate>,
    healthy: &[HostIndex],
    fleet: &Fleet,
    from: i64,
) -> SummaryCounts {
    let mut counts: BTreeMap<StringId, u64> = BTreeMap::new();
    for member in members.values() {
        for subject in subjects_of(member.onset.host, member, fleet) {
            *counts.entry(subject).or_default() += 1;
        }
    }
    let most = counts.into_iter().filter(|(subject, _)| fleet.strings.text(*subject).starts_with("update:"));
    let most = most.max_by_key(|(subject, hosts)| (*hosts, std::cmp::Reverse(*subject)));
    let nearly_all = |(_, hosts): &(StringId, u64)| *hosts as f64 >= EXPLAINS_MIN * members.len() as f64;
    let subject = most.filter(nearly_all).map(|(subject, _)| subject);
    let value = first.map(|first| first.value).filter(|value| !matches!(value, Value::Subject(_)));
    let failed = match value {
        Some(value) => members.iter().filter(|(host, member)| member_has(**host, member, value, fleet)).count() as u64,
        None => members.len() as u64,
    };
    let with = |host: &&HostIndex| value.is_none_or(|value| healthy_has(**host, value, fleet, from));
    let tried =
        |host: &&HostIndex| subject.is_none_or(|subject| healthy_has(**host, Value::Subject(subject), fleet, from));
    let (inside, outside): (Vec<&HostIndex>, Vec<&HostIndex>) = healthy.iter().partition(with);
    let (others_healthy, mut tried_inside) = (outside.len() as u64, inside.into_iter().filter(tried).count() as u64);
    let mut others_tried = outside.into_iter().filter(tried).count() as u64;
    // For hosts with a forgotten success the value is unknown, so they count as hosts without the first factor.
    let known = tried_inside + others_tried;
    let forgotten = subject.map_or(0, |subject| forgotten_successes(subject, known, fleet));
    if value.is_none() {
        tried_inside += forgotten.min(healthy.len() as u64 - known);
    } else {
        others_tried += forgotten.min(others_healthy - others_tried);
    }
    SummaryCounts {
        subject,
        failed,
        tried: failed + tried_inside,
        others_healthy,
        others_tried,
        others_failed: members.len() as u64 - failed,
    }
}

/// The hosts of an incident that have a second cause: a value of the hosts explains one part of the members, the rest
/// differs from this part in family or subject (see [`are_separate`]), and another factor explains the rest.
pub(super) fn second_cause(
    incident: &Incident,
    comparison: &Comparison,
    view: FleetView<'_>,
) -> Option<BTreeSet<HostIndex>> {
    let FleetView { fleet, config, .. } = view;
    if incident.members.len() as u64 != incident.hosts() {
        return None;
    }
    let telling = |(factor, value): (&Factor, &Value)| match value {
        Value::Host(pair) if factor.p_value <= SPLIT_P_MAX => Some(*pair),
        _ => None,
    };
    comparison.factors.iter().zip(&comparison.values).filter_map(telling).find_map(|pair| {
        let (with, rest) = part(&incident.members, pair, fleet);
        let enough = with.len() as u64 >= config.min_hosts && rest.len() as u64 >= config.min_hosts;
        if !enough || !are_separate(&with, &rest, fleet) {
            return None;
        }
        let second = compare_members(&rest, incident, view);
        let explained = second.factors.first().is_some_and(|factor| {
            factor.coverage >= EXPLAINS_MIN && factor.p_value <= SPLIT_P_MAX && factor.known_hosts >= config.min_hosts
        });
        (explained && second.values.first() != Some(&Value::Host(pair))).then(|| rest.into_keys().collect())
    })
}

/// Parts the members into those with a value and those without it. A member with an unknown value goes to the part that
/// fails more alike: a member of the same family counts 1, one of the same subject too counts 3, on average over the
/// part.
fn part(members: &Members, pair: DimensionValue, fleet: &Fleet) -> (Members, Members) {
    let of = |wanted: Knows| members.iter().filter(move |(host, _)| fleet.knows(**host, pair) == wanted);
    let alike = |member: &Member, others: &Members| {
        let same = |other: &&Member| {
            (other.onset.family == member.onset.family, other.onset.subject == member.onset.subject) == (true, true)
        };
        let family = |other: &&Member| other.onset.family == member.onset.family;
        let count = |wanted: &dyn Fn(&&Member) -> bool| others.values().filter(|other| wanted(other)).count() as f64;
        (2.0 * count(&same) + count(&family)) / others.len().max(1) as f64
    };
    let copy = |(host, member): (&HostIndex, &Member)| (*host, member.clone());
    let (mut with, mut without): (Members, Members) =
        (of(Knows::Yes).map(copy).collect(), of(Knows::No).map(copy).collect());
    let (mut to_with, mut to_without) = (Members::new(), Members::new());
    for (host, member) in of(Knows::Unknown) {
        let chosen = if alike(member, &with) >= alike(member, &without) { &mut to_with } else { &mut to_without };
        chosen.insert(*host, member.clone());
    }
    with.append(&mut to_with);
    without.append(&mut to_without);
    (with, without)
}

impl Comparison {
    /// The p-value of the first host value that at least half of the members share, times the number of dimensions
    /// tested: the probability that so many share any value by chance. 1 where no such value stands out.
    pub(super) fn p_shared(&self) -> f64 {
        let of_hosts = |(factor, value): &(&Factor, &Value)| matches!(value, Value::Host(_)) && factor.coverage >= 0.5;
        let shared = self.factors.iter().zip(&self.values).find(of_hosts);
        shared.map_or(1.0, |(factor, _)| (factor.p_value * self.tests as f64).min(1.0))
    }
}

/// Whether nearly all of `hosts` with a known value have `pair`, with a p-value of at most `p_max`: the hypergeometric
/// probability of so many, if `hosts` were drawn at random from themselves and the healthy hosts.
pub(super) fn share_pair(
    hosts: &Members,
    pair: DimensionValue,
    incident: &Incident,
    fleet: &Fleet,
    p_max: f64,
) -> bool {
    let from = incident.onset - DAY_MS;
    let healthy = groups(incident, fleet, from).healthy;
    let has = |host: HostIndex| fleet.traits_of(host).contains(&pair);
    let both = hosts.keys().filter(|host| has(**host)).count() as u64;
    let with = both + healthy.iter().filter(|host| has(**host)).count() as u64;
    let knows = |host: &&HostIndex| fleet.knows(**host, pair) != Knows::Unknown;
    let affected = hosts.keys().filter(knows).count() as u64;
    let healthy = healthy.iter().filter(knows).count() as u64;
    affected > 0
        && both as f64 >= CAUSE_COVERAGE_MIN * affected as f64
        && hypergeometric_tail(both, affected, with, affected + healthy) <= p_max
}

fn is_active(host: &FleetHost, from: i64) -> bool {
    !host.unreadable && host.activity.latest().is_some_and(|latest| latest >= quarter(from))
}

fn groups(incident: &Incident, fleet: &Fleet, from: i64) -> Groups {
    let mut groups = Groups { healthy: Vec::new(), active: 0, chronic: 0 };
    let mut members = incident.members.keys().copied().peekable();
    for (index, host) in (0..).zip(&fleet.hosts) {
        if members.next_if_eq(&index).is_some() {
            groups.active += 1;
            continue;
        }
        if !is_active(host, from) {
            continue;
        }
        groups.active += 1;
        let of_family = |failing: &super::fleet::FailingSubject| incident.families.contains(&failing.family);
        let mut failing = host.failing().iter();
        groups.chronic += u64::from(failing.clone().any(|f| of_family(f) && f.novelty == Novelty::Chronic));
        if !failing.any(|f| of_family(f) || f.novelty == Novelty::Counted) {
            groups.healthy.push(index);
        }
    }
    groups
}

/// `update`, `file` or `server` of a subject, and what comes after it.
pub(super) fn split_subject(subject: &str) -> (&str, &str) {
    subject.split_once(':').unwrap_or(("subject", subject))
}

fn names(host: HostIndex, member: &Member, fleet: &Fleet) -> Vec<String> {
    let pairs = fleet.traits_of(host).iter().chain(fleet.operations_of(host));
    let mut names: Vec<String> = pairs.map(|(name, _)| fleet.strings.text(*name).to_owned()).collect();
    names.push(split_subject(fleet.strings.text(member.onset.subject)).0.to_owned());
    names
}

fn member_has(host: HostIndex, member: &Member, value: Value, fleet: &Fleet) -> bool {
    match value {
        Value::Host(pair) => fleet.traits_of(host).contains(&pair),
        Value::Operation(pair) => fleet.operations_of(host).contains(&pair),
        Value::Subject(subject) => subjects_of(host, member, fleet).contains(&subject),
    }
}

fn healthy_has(host: HostIndex, value: Value, fleet: &Fleet, from: i64) -> bool {
    match value {
        Value::Host(pair) => fleet.traits_of(host).contains(&pair),
        Value::Operation(pair) => fleet.operations_of(host).contains(&pair),
        Value::Subject(subject) => {
            let host = &fleet.hosts[host as usize];
            host.succeeded().chain(host.scanned_since(from + DAY_MS)).any(|known| known == subject)
        }
    }
}
