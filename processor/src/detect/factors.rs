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

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::alert::Factor;

use super::activity::quarter;
use super::config::DetectorConfig;
use super::dimension_sets::DimensionValue;
use super::durations::DAY_MS;
use super::fleet::{Fleet, FleetHost, HostIndex, Knows, Novelty};
use super::fleet_view::FleetView;
use super::incident::{CAUSE_COVERAGE_MIN, Incident};
use super::member::{Member, Members};
use super::separate_causes::are_separate;
use super::stats::{P_MIN, hypergeometric_tail, ln_hypergeometric_tail, rounded};
use super::strings::StringId;
use super::tally::{Tally, Value, subjects_of};

/// Factors listed in a document.
const FACTORS_MAX: usize = 8;
/// Least share of the affected hosts that must have a value, for the value to be listed.
const COVERAGE_MIN: f64 = 0.3;
/// A value that this share of the affected hosts have explains the incident; a smaller share leaves room for a second
/// cause.
const EXPLAINS_MIN: f64 = 0.8;
/// Affected hosts must have the value this many times as often as healthy hosts.
const LIFT_MIN: f64 = 1.5;
/// A value that this share of the healthy hosts have cannot stand out. The value is not counted as a test, so that no
/// other p-value becomes larger.
const COMMONPLACE: f64 = 0.95;
/// Largest p-value at which a WSUS server that all affected hosts have is listed.
const SUSPECT_P_MAX: f64 = 0.05;
/// Least number of affected hosts with a known value, and largest p-value, of a clear cause. The limits are strict,
/// since a clear cause keeps other hosts out of the incident.
pub(super) const CAUSE_HOSTS_MIN: u64 = 10;
const CAUSE_P_MAX: f64 = 1e-6;
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

struct FactorCandidate {
    value: Value,
    factor: Factor,
    /// Natural logarithm of the p-value, also below the smallest p-value that documents state.
    ln_p: f64,
    with_healthy: u64,
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

/// The values that enough affected hosts have, counted among affected and healthy hosts; and the dimensions that cannot
/// be compared, since most of the hosts' successes are forgotten.
fn candidates(
    members: &Members,
    healthy: &[HostIndex],
    fleet: &Fleet,
    from: i64,
) -> (Vec<FactorCandidate>, BTreeSet<String>) {
    let affected = Tally::of_members(members.iter(), fleet);
    let known_subjects =
        members.values().filter(|member| !fleet.is_unknown_subject(member.onset.subject)).count() as u64;
    let could_tell = |value: Value| match value {
        Value::Subject(_) => known_subjects.max(affected.subjects.values().max().copied().unwrap_or_default()),
        _ => affected.comparable(value, fleet),
    };
    let mut counts = affected.values(fleet);
    counts.retain(|value, with| {
        let known = !matches!(value, Value::Subject(subject) if fleet.is_unknown_subject(*subject));
        known && *with >= 2 && *with as f64 >= COVERAGE_MIN * could_tell(*value) as f64
    });
    let wanted =
        counts.keys().filter_map(|value| if let Value::Subject(s) = value { Some(*s) } else { None }).collect();
    let tally = Tally::of_healthy(healthy.iter().copied(), &wanted, fleet, from);
    let with_healthy = tally.values(fleet);
    let mut forgotten = BTreeSet::new();
    let mut candidates = Vec::with_capacity(counts.len());
    for (value, with) in counts {
        let all = could_tell(value).max(with);
        let mut healthy_with = with_healthy.get(&value).copied().unwrap_or_default();
        // Healthy hosts whose success at this subject is forgotten.
        let forgotten_with = match value {
            Value::Subject(subject) => {
                forgotten_successes(subject, healthy_with, fleet).min(healthy.len() as u64 - healthy_with)
            }
            _ => 0,
        };
        healthy_with += forgotten_with;
        let is_subject = matches!(value, Value::Subject(_));
        if is_subject && healthy_with == 0 && tally.forgotten > tally.tried {
            forgotten.insert(dimension_of(value, fleet).0.to_owned());
            continue;
        }
        let untried = is_subject && healthy_with == 0;
        let base = if untried { tally.hosts } else { tally.comparable(value, fleet) + forgotten_with };
        let factor = factor(value, fleet, (with, all), (healthy_with, base), untried);
        let ln_p = ln_hypergeometric_tail(with, all, with + healthy_with, all + base);
        candidates.push(FactorCandidate { value, factor, ln_p, with_healthy: healthy_with });
    }
    (candidates, forgotten)
}

fn dimension_of(value: Value, fleet: &Fleet) -> (&str, &str) {
    match value {
        Value::Host((name, value)) | Value::Operation((name, value)) => {
            (fleet.strings.text(name), fleet.strings.text(value))
        }
        Value::Subject(subject) => split_subject(fleet.strings.text(subject)),
    }
}

fn factor(value: Value, fleet: &Fleet, affected: (u64, u64), healthy: (u64, u64), untried: bool) -> Factor {
    let (dimension, text) = dimension_of(value, fleet);
    let share = |(with, all): (u64, u64)| if all == 0 { 0.0 } else { with as f64 / all as f64 };
    let (coverage, in_healthy) = (share(affected), share(healthy));
    Factor {
        dimension: dimension.to_owned(),
        value: text.to_owned(),
        name: match value {
            Value::Subject(subject) => fleet.name_of_subject(subject).map(str::to_owned),
            _ => None,
        },
        coverage: rounded(coverage),
        known_hosts: affected.1,
        in_healthy: rounded(in_healthy),
        lift: (healthy.0 > 0).then(|| rounded(coverage / in_healthy)),
        p_value: rounded(hypergeometric_tail(affected.0, affected.1, affected.0 + healthy.0, affected.1 + healthy.1))
            .max(P_MIN),
        goes_along_with: None,
        untried_elsewhere: untried,
    }
}

/// The number of tests: dimensions in which a value could have stood out by chance.
fn looked_at(candidates: &[FactorCandidate]) -> usize {
    let telling = candidates.iter().filter(|candidate| candidate.factor.in_healthy < COMMONPLACE);
    telling.map(|candidate| candidate.factor.dimension.as_str()).collect::<BTreeSet<_>>().len().max(1)
}

fn stands_out(factor: &Factor, tests: usize, config: &DetectorConfig) -> bool {
    // The WSUS server is the first suspect in any fleet, so its p-value is not multiplied by the number of dimensions.
    // Where all affected hosts have the same server, a larger p-value suffices: a fleet of twenty hosts does not reach
    // a smaller one.
    let is_suspect = factor.dimension == "wsus" && factor.coverage >= EXPLAINS_MIN;
    let tests = if is_suspect { 1 } else { tests };
    let p_max =
        if is_suspect && factor.coverage >= 1.0 { SUSPECT_P_MAX.max(config.factor_p_max) } else { config.factor_p_max };
    factor.p_value * tests as f64 <= p_max
        && factor.coverage >= COVERAGE_MIN
        && factor.lift.is_none_or(|lift| lift >= LIFT_MIN)
}

fn rank(
    candidates: &mut [FactorCandidate],
    members: &Members,
    healthy: &[HostIndex],
    fleet: &Fleet,
    from: i64,
    config: &DetectorConfig,
) {
    candidates.sort_by(order);
    if candidates.len() < 2 {
        return;
    }
    let first = candidates[0].value;
    let first_name = format!("{}={}", candidates[0].factor.dimension, candidates[0].factor.value);
    let wanted =
        candidates.iter().filter_map(|c| if let Value::Subject(s) = c.value { Some(s) } else { None }).collect();
    let with_first = members.iter().filter(|(host, member)| member_has(**host, member, first, fleet));
    let among_affected = Tally::of_members(with_first, fleet);
    let healthy_with_first = healthy.iter().copied().filter(|host| healthy_has(*host, first, fleet, from));
    let among_healthy = Tally::of_healthy(healthy_with_first, &wanted, fleet, from);
    let (affected_values, healthy_values) = (among_affected.values(fleet), among_healthy.values(fleet));
    for candidate in candidates.iter_mut().skip(1).filter(|candidate| !candidate.factor.untried_elsewhere) {
        let count = |values: &BTreeMap<Value, u64>| values.get(&candidate.value).copied().unwrap_or_default();
        let within = factor(
            candidate.value,
            fleet,
            (count(&affected_values), among_affected.hosts),
            (count(&healthy_values), among_healthy.hosts),
            false,
        );
        if within.p_value > config.factor_p_max {
            candidate.factor.goes_along_with = Some(first_name.clone());
        }
    }
    candidates.sort_by(|a, b| {
        a.factor.goes_along_with.is_some().cmp(&b.factor.goes_along_with.is_some()).then_with(|| order(a, b))
    });
}

/// Orders factors by how likely they are the cause, the likeliest first.
///
/// A host value that explains nearly all affected hosts comes first: an update is offered to such hosts, so it often
/// carries the cause without being the cause. Next come updates and other subjects, then host values that explain a
/// part and leave the rest to a second cause, then callers and services, which say how an update was requested and
/// never why it fails. Within a step, the smallest product of the p-value's logarithm and the coverage comes first,
/// then the larger coverage, then the dimension on which an administrator can act.
fn order(a: &FactorCandidate, b: &FactorCandidate) -> Ordering {
    let step = |candidate: &FactorCandidate| match (candidate.value, candidate.factor.dimension.as_str()) {
        (_, "caller" | "service") => 3,
        (Value::Subject(_), _) => 1,
        _ if candidate.factor.coverage >= EXPLAINS_MIN => 0,
        _ => 2,
    };
    let preference = |candidate: &FactorCandidate| match candidate.factor.dimension.as_str() {
        "wsus" => 0,
        "update" | "server" | "file" | "signer" => 1,
        "os_build" | "client_build" => 2,
        _ => 3,
    };
    let weight = |candidate: &FactorCandidate| candidate.ln_p * candidate.factor.coverage;
    let (fa, fb) = (&a.factor, &b.factor);
    (step(a).cmp(&step(b)))
        .then(weight(a).total_cmp(&weight(b)))
        .then(fb.coverage.total_cmp(&fa.coverage))
        .then(preference(a).cmp(&preference(b)))
        .then_with(|| (&fa.dimension, &fa.value).cmp(&(&fb.dimension, &fb.value)))
}

fn clear_cause(first: &FactorCandidate) -> Option<DimensionValue> {
    let Value::Host(pair) = first.value else {
        return None;
    };
    let clear = first.factor.known_hosts >= CAUSE_HOSTS_MIN
        && first.factor.p_value <= CAUSE_P_MAX
        && first.factor.coverage >= CAUSE_COVERAGE_MIN;
    clear.then_some(pair)
}
