//! Counts the values of affected and healthy hosts, and ranks those that stand out.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::alert::Factor;

use super::{CAUSE_HOSTS_MIN, EXPLAINS_MIN, forgotten_successes, healthy_has, member_has, split_subject};
use crate::detect::config::DetectorConfig;
use crate::detect::dimension_sets::DimensionValue;
use crate::detect::fleet::{Fleet, HostIndex};
use crate::detect::incident::CAUSE_COVERAGE_MIN;
use crate::detect::member::Members;
use crate::detect::stats::{P_MIN, hypergeometric_tail, ln_hypergeometric_tail, rounded};
use crate::detect::tally::{Tally, Value};

/// Factors listed in a document.
pub(super) const FACTORS_MAX: usize = 8;

/// Least share of the affected hosts that must have a value, for the value to be listed.
const COVERAGE_MIN: f64 = 0.3;

/// Affected hosts must have the value this many times as often as healthy hosts.
const LIFT_MIN: f64 = 1.5;

/// A value that this share of the healthy hosts have cannot stand out. The value is not counted as a test, so that no
/// other p-value becomes larger.
const COMMONPLACE: f64 = 0.95;

/// Largest p-value at which a WSUS server that all affected hosts have is listed.
const SUSPECT_P_MAX: f64 = 0.05;

/// Largest p-value of a clear cause, see [`CAUSE_HOSTS_MIN`].
const CAUSE_P_MAX: f64 = 1e-6;

pub(super) struct FactorCandidate {
    pub(super) value: Value,
    pub(super) factor: Factor,
    /// Natural logarithm of the p-value, also below the smallest p-value that documents state.
    pub(super) ln_p: f64,
    pub(super) with_healthy: u64,
}

/// The values that enough affected hosts have, counted among affected and healthy hosts; and the dimensions that cannot
/// be compared, since most of the hosts' successes are forgotten.
pub(super) fn candidates(
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
pub(super) fn looked_at(candidates: &[FactorCandidate]) -> usize {
    let telling = candidates.iter().filter(|candidate| candidate.factor.in_healthy < COMMONPLACE);
    telling.map(|candidate| candidate.factor.dimension.as_str()).collect::<BTreeSet<_>>().len().max(1)
}

pub(super) fn stands_out(factor: &Factor, tests: usize, config: &DetectorConfig) -> bool {
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

pub(super) fn rank(
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

pub(super) fn clear_cause(first: &FactorCandidate) -> Option<DimensionValue> {
    let Value::Host(pair) = first.value else {
        return None;
    };
    let clear = first.factor.known_hosts >= CAUSE_HOSTS_MIN
        && first.factor.p_value <= CAUSE_P_MAX
        && first.factor.coverage >= CAUSE_COVERAGE_MIN;
    clear.then_some(pair)
}
