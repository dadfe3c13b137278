//! What affected hosts have in common and healthy ones do not.
//!
//! Healthy hosts are those active since a day before the onset that fail at nothing of the incident's families and are
//! not newly failing at anything else. For a dimension of hosts (WSUS server, build, label) all of them are compared;
//! for a caller, those whose callers are known; for an update, only those that succeeded at some update meanwhile,
//! since a host that tried nothing proves nothing. An update that nobody else tried is the carrier of the cause as
//! easily as the cause: it comes after any host dimension that stands out. A factor that makes no difference among the
//! hosts that have the first one comes last and says so. Probabilities are exact; what counts as standing out takes
//! into account how many dimensions were looked at, so that scattered hosts get no cause by chance.
//!
//! Hosts are counted by their sets of dimensions, once over the fleet: a document costs some ten milliseconds at a
//! million hosts.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::alert::Factor;

use super::activity::quarter;
use super::config::DetectorConfig;
use super::evidence::DAY_MS;
use super::fleet::{Fleet, Host, HostIndex, Verdict};
use super::incident::{Incident, Member};
use super::sets::Pair;
use super::stats::{P_MIN, hypergeometric_tail, ln_hypergeometric_tail, rounded};
use super::strings::StringId;

/// Factors listed in a document.
const FACTORS_MAX: usize = 8;
/// Of the affected hosts, this share must have a value for it to be listed.
const COVERAGE_MIN: f64 = 0.3;
/// Affected hosts must have it this much more often than healthy ones.
const LIFT_MIN: f64 = 1.5;
/// A value that this share of the healthy have too can't stand out, so looking at it costs no certainty.
const COMMONPLACE: f64 = 0.95;
/// A cause keeps other hosts out of an incident, so it must be beyond doubt.
pub(super) const CAUSE_HOSTS_MIN: u64 = 10;
const CAUSE_P_MAX: f64 = 1e-6;
/// Not all: a bystander may have come in before the cause was known.
pub(super) const CAUSE_COVERAGE_MIN: f64 = 0.9;

/// Some hosts of an incident, by number.
pub(super) type Members = BTreeMap<HostIndex, Member>;

/// The comparison of an incident's hosts with the healthy ones.
pub(super) struct Comparison {
    pub(super) factors: Vec<Factor>,
    /// The value of each factor.
    pub(super) values: Vec<Value>,
    pub(super) not_common: Vec<String>,
    pub(super) unknown: Vec<String>,
    pub(super) cause: Option<Pair>,
    /// Dimensions in which a value could have stood out by chance.
    pub(super) tests: usize,
    pub(super) active: u64,
    pub(super) chronic: u64,
    pub(super) same_subject_succeeded: u64,
    pub(super) same_first_factor_healthy: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    /// A host's dimension.
    Host(Pair),
    /// A dimension of its operations: a host may have several values, or none before its first operation.
    Operation(Pair),
    /// The subject itself.
    Subject(StringId),
}

struct Candidate {
    value: Value,
    factor: Factor,
    /// Logarithm of its probability, which is not cut off where documents' numbers end.
    ln_p: f64,
    with_healthy: u64,
}

/// The hosts that were active, apart.
struct Groups {
    healthy: Vec<HostIndex>,
    active: u64,
    chronic: u64,
}

/// Hosts counted by what they have.
#[derive(Default)]
struct Tally {
    hosts: u64,
    /// Hosts by their set of own dimensions, and by that of their operations' dimensions.
    by_set: [Vec<u64>; 2],
    subjects: BTreeMap<StringId, u64>,
    /// Hosts that have any subject and of which none is forgotten.
    tried: u64,
    /// Hosts of which a subject is forgotten, and what is still known of them.
    forgotten: u64,
    subjects_of_forgotten: BTreeMap<StringId, u64>,
}

pub(super) fn compare(incident: &Incident, fleet: &Fleet, config: &DetectorConfig) -> Comparison {
    compare_members(&incident.members, incident, fleet, config)
}

/// Compares some of the incident's hosts; the others are neither affected nor healthy.
pub(super) fn compare_members(
    members: &Members,
    incident: &Incident,
    fleet: &Fleet,
    config: &DetectorConfig,
) -> Comparison {
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
    let cause = candidates.first().and_then(|first| clear_cause(first, members.len() as u64));
    let same_first_factor_healthy = candidates.first().map_or(0, |first| first.with_healthy);
    candidates.truncate(FACTORS_MAX);
    for candidate in &candidates {
        dimensions.remove(&candidate.factor.dimension);
    }
    let same_subject = |host: &&HostIndex| {
        fleet.hosts[**host as usize].succeeded_since(from).any(|subject| incident.subjects.contains_key(&subject))
    };
    Comparison {
        same_subject_succeeded: groups.healthy.iter().filter(same_subject).count() as u64,
        values: candidates.iter().map(|candidate| candidate.value).collect(),
        factors: candidates.into_iter().map(|candidate| candidate.factor).collect(),
        not_common: dimensions.into_iter().filter(|name| !unknown.contains(name)).collect(),
        unknown,
        cause,
        tests,
        active: groups.active,
        chronic: groups.chronic,
        same_first_factor_healthy,
    }
}

/// Those hosts of an incident that have a second cause: the first factor explains a part, and the rest has another that
/// explains all of it, fails at something else, and is beyond doubt as the first is.
pub(super) fn second_cause(
    incident: &Incident,
    comparison: &Comparison,
    fleet: &Fleet,
    config: &DetectorConfig,
) -> Option<BTreeSet<HostIndex>> {
    let (first, factor) = (comparison.values.first()?, comparison.factors.first()?);
    if factor.p_value > CAUSE_P_MAX || incident.members.len() as u64 != incident.hosts() {
        return None;
    }
    let with_first = |host: &HostIndex, member: &Member| member_has(*host, member, *first, fleet);
    let (with, rest): (Members, Members) =
        incident.members.iter().map(|(host, member)| (*host, member.clone())).partition(|(h, m)| with_first(h, m));
    if (with.len() as u64) < CAUSE_HOSTS_MIN || (rest.len() as u64) < CAUSE_HOSTS_MIN {
        return None;
    }
    let subjects: BTreeSet<StringId> = with.values().map(|member| member.onset.subject).collect();
    let alike = rest.values().filter(|member| subjects.contains(&member.onset.subject)).count();
    if alike * 10 > rest.len() {
        return None;
    }
    let second = compare_members(&rest, incident, fleet, config);
    let clear = second.factors.first().is_some_and(|factor| {
        factor.coverage >= CAUSE_COVERAGE_MIN && factor.p_value <= CAUSE_P_MAX && !factor.untried_elsewhere
    });
    // Two updates alone are two carriers: one cause may well have come with both.
    let separates = matches!(first, Value::Host(_)) || matches!(second.values.first(), Some(Value::Host(_)));
    (clear && separates && second.values.first() != Some(first)).then(|| rest.into_keys().collect())
}

impl Comparison {
    /// Probability that so many of the hosts share a value of their own by chance, whichever it is; 1 where none does.
    pub(super) fn p_shared(&self) -> f64 {
        let of_hosts = |(factor, value): &(&Factor, &Value)| matches!(value, Value::Host(_)) && factor.coverage >= 0.5;
        let shared = self.factors.iter().zip(&self.values).find(of_hosts);
        shared.map_or(1.0, |(factor, _)| (factor.p_value * self.tests as f64).min(1.0))
    }
}

/// Whether so many of `hosts` have `pair` that it is no chance, by the share of the fleet's active hosts that have it.
pub(super) fn share_pair(hosts: &Members, pair: Pair, incident: &Incident, fleet: &Fleet, p_max: f64) -> bool {
    let from = incident.onset - DAY_MS;
    let healthy = groups(incident, fleet, from).healthy;
    let has = |host: HostIndex| fleet.traits_of(host).contains(&pair);
    let both = hosts.keys().filter(|host| has(**host)).count() as u64;
    let with = both + healthy.iter().filter(|host| has(**host)).count() as u64;
    let affected = hosts.len() as u64;
    both as f64 >= CAUSE_COVERAGE_MIN * affected as f64
        && hypergeometric_tail(both, affected, with, affected + healthy.len() as u64) <= p_max
}

fn is_active(host: &Host, from: i64) -> bool {
    host.activity.latest().is_some_and(|latest| latest >= quarter(from))
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
        let of_family = |failing: &super::fleet::Failing| incident.families.contains(&failing.family);
        let mut failing = host.failing().iter();
        groups.chronic += u64::from(failing.clone().any(|f| of_family(f) && f.verdict == Verdict::Chronic));
        if !failing.any(|f| of_family(f) || f.verdict == Verdict::Counted) {
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

/// What an affected host fails at.
fn subjects_of(host: HostIndex, member: &Member, fleet: &Fleet) -> BTreeSet<StringId> {
    let failing = fleet.hosts[host as usize].failing().iter().map(|failing| failing.subject);
    failing.chain([member.onset.subject]).collect()
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
        Value::Subject(subject) => fleet.hosts[host as usize].succeeded_since(from).any(|known| known == subject),
    }
}

impl Tally {
    fn new(fleet: &Fleet) -> Tally {
        let by_set = || vec![0; fleet.sets().len()];
        Tally { by_set: [by_set(), by_set()], ..Tally::default() }
    }

    fn of_members<'a>(members: impl Iterator<Item = (&'a HostIndex, &'a Member)>, fleet: &Fleet) -> Tally {
        let mut tally = Tally::new(fleet);
        for (host, member) in members {
            tally.add_sets(&fleet.hosts[*host as usize]);
            for subject in subjects_of(*host, member, fleet) {
                *tally.subjects.entry(subject).or_default() += 1;
            }
        }
        tally
    }

    fn of_healthy(
        hosts: impl Iterator<Item = HostIndex>,
        wanted: &BTreeSet<StringId>,
        fleet: &Fleet,
        from: i64,
    ) -> Tally {
        let mut tally = Tally::new(fleet);
        for host in hosts.map(|host| &fleet.hosts[host as usize]) {
            tally.add_sets(host);
            let forgotten = host.dropped_success_since(from);
            let mut tried = false;
            for subject in host.succeeded_since(from) {
                tried = true;
                if wanted.contains(&subject) {
                    let counts = if forgotten { &mut tally.subjects_of_forgotten } else { &mut tally.subjects };
                    *counts.entry(subject).or_default() += 1;
                }
            }
            tally.forgotten += u64::from(forgotten);
            tally.tried += u64::from(tried && !forgotten);
        }
        tally
    }

    fn add_sets(&mut self, host: &Host) {
        self.hosts += 1;
        for (counts, set) in self.by_set.iter_mut().zip(host.sets()) {
            counts[set as usize] += 1;
        }
    }

    /// Hosts by value.
    fn values(&self, fleet: &Fleet) -> BTreeMap<Value, u64> {
        let mut values: BTreeMap<Value, u64> = BTreeMap::new();
        for (counts, value) in self.by_set.iter().zip([Value::Host as fn(Pair) -> Value, Value::Operation]) {
            for (set, hosts) in (0..).zip(counts).filter(|(_, hosts)| **hosts > 0) {
                for pair in fleet.sets().pairs(set) {
                    *values.entry(value(*pair)).or_default() += hosts;
                }
            }
        }
        for (subject, hosts) in self.subjects.iter().chain(&self.subjects_of_forgotten) {
            *values.entry(Value::Subject(*subject)).or_default() += hosts;
        }
        values
    }

    /// Hosts that say anything about a value: one of which that dimension is not known says nothing.
    fn comparable(&self, value: Value, fleet: &Fleet) -> u64 {
        match value {
            Value::Host(_) => self.hosts - self.by_set[0][0],
            Value::Operation((name, _)) => {
                let knows = |set| fleet.sets().pairs(set).iter().any(|(known, _)| *known == name);
                (0..)
                    .zip(&self.by_set[1])
                    .filter(|(set, hosts)| **hosts > 0 && knows(*set))
                    .map(|(_, hosts)| hosts)
                    .sum()
            }
            Value::Subject(subject) => {
                self.tried + self.subjects_of_forgotten.get(&subject).copied().unwrap_or_default()
            }
        }
    }
}

/// Every value that enough affected hosts have, counted on both sides; and dimensions of which too much is forgotten.
fn candidates(
    members: &Members,
    healthy: &[HostIndex],
    fleet: &Fleet,
    from: i64,
) -> (Vec<Candidate>, BTreeSet<String>) {
    let affected = Tally::of_members(members.iter(), fleet);
    let all = affected.hosts;
    let mut counts = affected.values(fleet);
    counts.retain(|_, with| *with >= 2 && *with as f64 >= COVERAGE_MIN * all as f64);
    let wanted =
        counts.keys().filter_map(|value| if let Value::Subject(s) = value { Some(*s) } else { None }).collect();
    let tally = Tally::of_healthy(healthy.iter().copied(), &wanted, fleet, from);
    let with_healthy = tally.values(fleet);
    let mut forgotten = BTreeSet::new();
    let mut candidates = Vec::with_capacity(counts.len());
    for (value, with) in counts {
        let healthy_with = with_healthy.get(&value).copied().unwrap_or_default();
        let is_subject = matches!(value, Value::Subject(_));
        if is_subject && healthy_with == 0 && tally.forgotten > tally.tried {
            forgotten.insert(dimension_of(value, fleet).0.to_owned());
            continue;
        }
        let untried = is_subject && healthy_with == 0;
        let base = if untried { tally.hosts } else { tally.comparable(value, fleet) };
        let factor = factor(value, fleet, (with, all), (healthy_with, base), untried);
        let ln_p = ln_hypergeometric_tail(with, all, with + healthy_with, all + base);
        candidates.push(Candidate { value, factor, ln_p, with_healthy: healthy_with });
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
        coverage: rounded(coverage),
        in_healthy: rounded(in_healthy),
        lift: (healthy.0 > 0).then(|| rounded(coverage / in_healthy)),
        p_value: rounded(hypergeometric_tail(affected.0, affected.1, affected.0 + healthy.0, affected.1 + healthy.1))
            .max(P_MIN),
        goes_along_with: None,
        untried_elsewhere: untried,
    }
}

/// Dimensions in which a value could have stood out by chance.
fn looked_at(candidates: &[Candidate]) -> usize {
    let telling = candidates.iter().filter(|candidate| candidate.factor.in_healthy < COMMONPLACE);
    telling.map(|candidate| candidate.factor.dimension.as_str()).collect::<BTreeSet<_>>().len().max(1)
}

fn stands_out(factor: &Factor, tests: usize, config: &DetectorConfig) -> bool {
    factor.p_value * tests as f64 <= config.factor_p_max
        && factor.coverage >= COVERAGE_MIN
        && factor.lift.is_none_or(|lift| lift >= LIFT_MIN)
}

fn rank(
    candidates: &mut [Candidate],
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

/// The likeliest cause first: improbable, and behind as many of the affected as can be, since what explains a part
/// leaves the rest to a second cause. Where two dimensions say the same, the one that an admin can act on comes first.
fn order(a: &Candidate, b: &Candidate) -> Ordering {
    let preference = |candidate: &Candidate| match candidate.factor.dimension.as_str() {
        "wsus" => 0,
        "update" | "server" | "file" | "signer" => 1,
        "os_build" | "client_build" => 2,
        "caller" | "service" => 4,
        _ => 3,
    };
    let weight = |candidate: &Candidate| candidate.ln_p * candidate.factor.coverage;
    let (fa, fb) = (&a.factor, &b.factor);
    (fa.untried_elsewhere.cmp(&fb.untried_elsewhere))
        .then(weight(a).total_cmp(&weight(b)))
        .then(fb.coverage.total_cmp(&fa.coverage))
        .then(preference(a).cmp(&preference(b)))
        .then_with(|| (&fa.dimension, &fa.value).cmp(&(&fb.dimension, &fb.value)))
}

fn clear_cause(first: &Candidate, hosts: u64) -> Option<Pair> {
    let Value::Host(pair) = first.value else {
        return None;
    };
    let clear =
        hosts >= CAUSE_HOSTS_MIN && first.factor.p_value <= CAUSE_P_MAX && first.factor.coverage >= CAUSE_COVERAGE_MIN;
    clear.then_some(pair)
}
