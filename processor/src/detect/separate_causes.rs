//! Whether two groups of failing hosts have one cause or two.
//!
//! Two causes that begin within hours of each other show in three ways: the hosts distrust different objects, their
//! codes are of different families, or they fail at different updates. Neither families nor updates suffice alone,
//! since one missing certificate shows as several codes and at several updates. Together with a dimension that
//! separates the hosts they suffice.

use std::collections::{BTreeMap, BTreeSet};

use super::dimension_sets::DimensionValue;
use super::fleet::{Fleet, HostIndex, Knows};
use super::member::{Member, Members};
use super::stats::hypergeometric_tail;
use super::strings::StringId;

/// Least share of a group, among its hosts with a known value, that must have the value that separates the group from
/// another one ...
const OWN_SHARE_MIN: f64 = 0.8;
/// ... and largest share of the other group that may have it.
const OTHER_SHARE_MAX: f64 = 0.2;
/// Largest p-value (hypergeometric) of the separating value for groups of different families: three hosts against three
/// have 0.05.
const FAMILIES_P_MAX: f64 = 0.06;
/// Largest p-value of the separating value for groups that differ in their updates. This limit is stricter, since hosts
/// of one server often try an update before those of another.
const SUBJECTS_P_MAX: f64 = 1e-3;
/// Largest share of one group that may have a family or subject of the other, where the two still differ in it.
const OVERLAP_MAX: f64 = 0.1;

/// Whether the two groups have causes of their own: a dimension separates them, and so does family or subject.
pub(super) fn are_separate(one: &Members, two: &Members, fleet: &Fleet) -> bool {
    if one.is_empty() || two.is_empty() {
        return false;
    }
    let by_family = differ(one, two, |member| Some(member.onset.family));
    if by_family && may_be_separate(one, two, fleet) {
        return true;
    }
    let by_subject = differ(one, two, |member| known_subject(member, fleet)) && !fail_at_both(one, two, fleet);
    by_subject && separates(one, two, SUBJECTS_P_MAX, |name| !is_of_the_client(name), fleet)
}

/// Whether a dimension separates the two groups with the larger of the two p-value limits.
pub(super) fn may_be_separate(one: &Members, two: &Members, fleet: &Fleet) -> bool {
    separates(one, two, FAMILIES_P_MAX, |name| !is_of_the_client(name), fleet)
}

/// A member's subject, where it is known.
pub(super) fn known_subject(member: &Member, fleet: &Fleet) -> Option<StringId> {
    Some(member.onset.subject).filter(|subject| !fleet.is_unknown_subject(*subject))
}

/// Whether a dimension is a version of the client. Builds decide which code a failure has, so one cause may show as two
/// families.
fn is_of_the_client(name: &str) -> bool {
    matches!(name, "os_build" | "os_version" | "os" | "client_build")
}

/// Whether the groups hardly share a value. Members without a value do not count.
fn differ<T: Ord + Copy>(one: &Members, two: &Members, value: impl Fn(&Member) -> Option<T>) -> bool {
    let values = |members: &Members| members.values().filter_map(&value).collect::<Vec<T>>();
    let (one, two) = (values(one), values(two));
    let (of_one, of_two): (BTreeSet<T>, BTreeSet<T>) = (one.iter().copied().collect(), two.iter().copied().collect());
    let overlap = |all: &[T], other: &BTreeSet<T>| {
        all.iter().filter(|value| other.contains(value)).count() as f64 <= OVERLAP_MAX * all.len() as f64
    };
    !one.is_empty() && !two.is_empty() && overlap(&one, &of_two) && overlap(&two, &of_one)
}

/// Whether more than a tenth of one group also fails at subjects of the other: the cause then shows at several updates.
fn fail_at_both(one: &Members, two: &Members, fleet: &Fleet) -> bool {
    let subjects = |members: &Members| {
        members.values().filter_map(|member| known_subject(member, fleet)).collect::<BTreeSet<StringId>>()
    };
    let also = |members: &Members, others: &BTreeSet<StringId>| {
        let fails = |host: &&HostIndex| {
            fleet.hosts[**host as usize].failing().iter().any(|failing| others.contains(&failing.subject))
        };
        members.keys().filter(fails).count() as f64 > OVERLAP_MAX * members.len() as f64
    };
    also(one, &subjects(two)) || also(two, &subjects(one))
}

/// Whether nearly all of one group have a value that hardly any host of the other has, with a hypergeometric p-value of
/// at most `p_max`. Only dimensions that are `wanted` are tested.
fn separates(one: &Members, two: &Members, p_max: f64, wanted: impl Fn(&str) -> bool, fleet: &Fleet) -> bool {
    let values = |members: &Members| {
        let mut counts: BTreeMap<DimensionValue, u64> = BTreeMap::new();
        for pair in members.keys().flat_map(|host| fleet.traits_of(*host)) {
            *counts.entry(*pair).or_default() += 1;
        }
        counts
    };
    let known = |members: &Members, pair: DimensionValue| {
        members.keys().filter(|host| fleet.knows(**host, pair) != Knows::Unknown).count() as u64
    };
    let of_one_side = |own: &Members, other: &Members| {
        let others = values(other);
        values(own).into_iter().filter(|((name, _), _)| wanted(fleet.strings.text(*name))).any(|(pair, with)| {
            let (all, all_others) = (known(own, pair), known(other, pair));
            let with_others = others.get(&pair).copied().unwrap_or_default();
            with as f64 >= OWN_SHARE_MIN * all as f64
                && all_others > 0
                && with_others as f64 <= OTHER_SHARE_MAX * all_others as f64
                && hypergeometric_tail(with, all, with + with_others, all + all_others) <= p_max
        })
    };
    of_one_side(one, two) || of_one_side(two, one)
}
