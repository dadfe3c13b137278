//! What affected hosts have in common and healthy ones do not.
//!
//! Healthy hosts are those active since a day before the onset that fail at nothing of the family. For a dimension of
//! hosts (WSUS server, build, label) all of them are compared; for a caller, those whose callers are known; for an update, only those that succeeded at some update
//! meanwhile, since a host that tried nothing proves nothing. An update that nobody else tried is the carrier of the
//! cause as easily as the cause: it comes after any host dimension that stands out. A factor that makes no difference
//! among the hosts that have the first one comes last and says so.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::alert::Factor;

use super::activity::quarter;
use super::config::DetectorConfig;
use super::evidence::DAY_MS;
use super::fleet::{Fleet, Host, HostIndex};
use super::incident::{Incident, Member};
use super::stats::{P_MIN, hypergeometric_tail, rounded};
use super::strings::StringId;

/// Factors listed in a document.
const FACTORS_MAX: usize = 8;
/// Of the affected hosts, this share must have a value for it to be listed.
const COVERAGE_MIN: f64 = 0.3;
/// Affected hosts must have it this much more often than healthy ones.
const LIFT_MIN: f64 = 1.5;
/// A cause keeps other hosts out of an incident, so it must be beyond doubt.
const CAUSE_HOSTS_MIN: u64 = 10;
const CAUSE_P_MAX: f64 = 1e-6;
/// Not all: a bystander may have come in before the cause was known.
const CAUSE_COVERAGE_MIN: f64 = 0.9;

/// The comparison of an incident's hosts with the healthy ones.
pub(super) struct Comparison {
    pub(super) factors: Vec<Factor>,
    pub(super) not_common: Vec<String>,
    pub(super) unknown: Vec<String>,
    pub(super) cause: Option<(StringId, StringId)>,
    pub(super) active: u64,
    pub(super) chronic: u64,
    pub(super) same_subject_succeeded: u64,
    pub(super) same_first_factor_healthy: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    /// A host's dimension.
    Host(StringId, StringId),
    /// A dimension of its operations: a host may have several values, or none before its first operation.
    Operation(StringId, StringId),
    /// The subject itself.
    Subject(StringId),
}

struct Candidate {
    value: Value,
    factor: Factor,
    with_healthy: u64,
}

struct Healthy<'a> {
    host: &'a Host,
    /// Succeeded at some subject since a day before the onset.
    succeeded: bool,
}

pub(super) fn compare(incident: &Incident, fleet: &Fleet, config: &DetectorConfig) -> Comparison {
    let from = incident.onset - DAY_MS;
    let affected: Vec<(&Host, &Member)> =
        incident.members.iter().map(|(host, member)| (&fleet.hosts[*host as usize], member)).collect();
    let (healthy, mut active, mut chronic) = (healthy_hosts(incident, fleet, from), 0, 0);
    for (index, host) in fleet.hosts.iter().enumerate() {
        let member = HostIndex::try_from(index).is_ok_and(|index| incident.members.contains_key(&index));
        active += u64::from(member || is_active(host, from));
        chronic += u64::from(!member && is_chronic(host, incident, from));
    }
    let mut candidates = candidates(&affected, &healthy, fleet, from);
    let mut dimensions: BTreeSet<String> =
        affected.iter().flat_map(|(host, member)| dimensions_of(host, member, fleet)).collect();
    let unknown: Vec<String> = if affected.iter().any(|(host, _)| host.dimensions_cut) {
        dimensions.iter().filter(|name| !candidates.iter().any(|c| c.factor.dimension == **name)).cloned().collect()
    } else {
        Vec::new()
    };
    candidates.retain(|candidate| stands_out(&candidate.factor, config));
    rank(&mut candidates, &affected, &healthy, fleet, config);
    let cause = candidates.first().and_then(|first| clear_cause(first, incident.hosts()));
    let same_first_factor_healthy = candidates.first().map_or(0, |first| first.with_healthy);
    candidates.truncate(FACTORS_MAX);
    for candidate in &candidates {
        dimensions.remove(&candidate.factor.dimension);
    }
    let same_subject_succeeded = healthy
        .iter()
        .filter(|h| h.host.succeeded.iter().any(|(subject, at)| *at >= from && incident.subjects.contains_key(subject)))
        .count() as u64;
    Comparison {
        factors: candidates.into_iter().map(|candidate| candidate.factor).collect(),
        not_common: dimensions.into_iter().filter(|name| !unknown.contains(name)).collect(),
        unknown,
        cause,
        active,
        chronic,
        same_subject_succeeded,
        same_first_factor_healthy,
    }
}

fn is_active(host: &Host, from: i64) -> bool {
    host.activity.latest().is_some_and(|latest| latest >= quarter(from))
}

fn is_chronic(host: &Host, incident: &Incident, from: i64) -> bool {
    use super::fleet::Verdict::Chronic;
    is_active(host, from) && host.failing.iter().any(|f| f.family == incident.family && f.verdict == Chronic)
}

fn healthy_hosts<'a>(incident: &Incident, fleet: &'a Fleet, from: i64) -> Vec<Healthy<'a>> {
    let is_member = |index: usize| HostIndex::try_from(index).is_ok_and(|index| incident.members.contains_key(&index));
    fleet
        .hosts
        .iter()
        .enumerate()
        .filter(|(index, host)| is_active(host, from) && !is_member(*index))
        .filter(|(_, host)| !host.failing.iter().any(|failing| failing.family == incident.family))
        .map(|(_, host)| Healthy { host, succeeded: host.succeeded.iter().any(|(_, at)| *at >= from) })
        .collect()
}

/// `update`, `file` or `server` of a subject, and what comes after it.
fn split_subject(subject: &str) -> (&str, &str) {
    subject.split_once(':').unwrap_or(("subject", subject))
}

fn dimensions_of(host: &Host, member: &Member, fleet: &Fleet) -> Vec<String> {
    let mut names: Vec<String> =
        host.dimensions.iter().chain(&host.operations).map(|(name, _)| fleet.strings.text(*name).to_owned()).collect();
    names.push(split_subject(fleet.strings.text(member.onset.subject)).0.to_owned());
    names
}

fn has(host: &Host, value: Value, from: i64) -> bool {
    match value {
        Value::Host(name, value) => host.dimensions.contains(&(name, value)),
        Value::Operation(name, value) => host.operations.contains(&(name, value)),
        Value::Subject(subject) => host.succeeded.iter().any(|(known, at)| *known == subject && *at >= from),
    }
}

fn member_has(host: &Host, member: &Member, value: Value) -> bool {
    match value {
        Value::Host(..) | Value::Operation(..) => has(host, value, i64::MIN),
        Value::Subject(subject) => member.onset.subject == subject || host.failing.iter().any(|f| f.subject == subject),
    }
}

/// Every value that enough affected hosts have, counted on both sides.
fn candidates(affected: &[(&Host, &Member)], healthy: &[Healthy<'_>], fleet: &Fleet, from: i64) -> Vec<Candidate> {
    let mut counts: BTreeMap<Value, (u64, u64)> = BTreeMap::new();
    for (host, member) in affected {
        for value in values_of(host, Some(member), from) {
            counts.entry(value).or_default().0 += 1;
        }
    }
    let all_affected = affected.len() as u64;
    counts.retain(|_, (with, _)| *with >= 2 && *with as f64 >= COVERAGE_MIN * all_affected as f64);
    for h in healthy {
        for value in values_of(h.host, None, from) {
            if let Some((_, with)) = counts.get_mut(&value) {
                *with += 1;
            }
        }
    }
    counts
        .into_iter()
        .map(|(value, (with_affected, with_healthy))| {
            let untried = matches!(value, Value::Subject(_)) && with_healthy == 0;
            let base = healthy.iter().filter(|h| untried || is_comparable(h, value)).count() as u64;
            let factor = factor(value, fleet, (with_affected, all_affected), (with_healthy, base), untried);
            Candidate { value, factor, with_healthy }
        })
        .collect()
}

/// Whether a healthy host says anything about a value: one of which that dimension is not known says nothing.
fn is_comparable(healthy: &Healthy<'_>, value: Value) -> bool {
    match value {
        Value::Host(..) => !healthy.host.dimensions.is_empty(),
        Value::Operation(name, _) => healthy.host.operations.iter().any(|(known, _)| *known == name),
        Value::Subject(_) => healthy.succeeded,
    }
}

/// The values of a host: for an affected one what it fails at, for a healthy one what it succeeded at.
fn values_of(host: &Host, member: Option<&Member>, from: i64) -> BTreeSet<Value> {
    let of_host = host.dimensions.iter().map(|(name, value)| Value::Host(*name, *value));
    let of_operations = host.operations.iter().map(|(name, value)| Value::Operation(*name, *value));
    let mut values: BTreeSet<Value> = of_host.chain(of_operations).collect();
    match member {
        Some(member) => {
            values.insert(Value::Subject(member.onset.subject));
            values.extend(host.failing.iter().map(|failing| Value::Subject(failing.subject)));
        }
        None => values.extend(host.succeeded.iter().filter(|(_, at)| *at >= from).map(|(s, _)| Value::Subject(*s))),
    }
    values
}

fn factor(value: Value, fleet: &Fleet, affected: (u64, u64), healthy: (u64, u64), untried: bool) -> Factor {
    let (dimension, text) = match value {
        Value::Host(name, value) | Value::Operation(name, value) => {
            (fleet.strings.text(name), fleet.strings.text(value))
        }
        Value::Subject(subject) => split_subject(fleet.strings.text(subject)),
    };
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

fn stands_out(factor: &Factor, config: &DetectorConfig) -> bool {
    factor.p_value <= config.factor_p_max
        && factor.coverage >= COVERAGE_MIN
        && factor.lift.is_none_or(|lift| lift >= LIFT_MIN)
}

fn rank(
    candidates: &mut [Candidate],
    affected: &[(&Host, &Member)],
    healthy: &[Healthy<'_>],
    fleet: &Fleet,
    config: &DetectorConfig,
) {
    candidates.sort_by(order);
    let Some(first) = candidates.first() else { return };
    let (first_value, first_name) = (first.value, format!("{}={}", first.factor.dimension, first.factor.value));
    let among_affected: Vec<_> =
        affected.iter().filter(|(host, member)| member_has(host, member, first_value)).collect();
    let among_healthy: Vec<_> = healthy.iter().filter(|h| has(h.host, first_value, i64::MIN)).collect();
    for candidate in candidates.iter_mut().skip(1).filter(|candidate| !candidate.factor.untried_elsewhere) {
        let both =
            among_affected.iter().filter(|(host, member)| member_has(host, member, candidate.value)).count() as u64;
        let healthy_both = among_healthy.iter().filter(|h| has(h.host, candidate.value, i64::MIN)).count() as u64;
        let within = factor(
            candidate.value,
            fleet,
            (both, among_affected.len() as u64),
            (healthy_both, among_healthy.len() as u64),
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
    let weight = |factor: &Factor| libm::log(factor.p_value) * factor.coverage;
    let (fa, fb) = (&a.factor, &b.factor);
    (fa.untried_elsewhere.cmp(&fb.untried_elsewhere))
        .then(weight(fa).total_cmp(&weight(fb)))
        .then(fb.coverage.total_cmp(&fa.coverage))
        .then(preference(a).cmp(&preference(b)))
        .then_with(|| (&fa.dimension, &fa.value).cmp(&(&fb.dimension, &fb.value)))
}

fn clear_cause(first: &Candidate, hosts: u64) -> Option<(StringId, StringId)> {
    let Value::Host(name, value) = first.value else {
        return None;
    };
    let clear =
        hosts >= CAUSE_HOSTS_MIN && first.factor.p_value <= CAUSE_P_MAX && first.factor.coverage >= CAUSE_COVERAGE_MIN;
    clear.then_some((name, value))
}
