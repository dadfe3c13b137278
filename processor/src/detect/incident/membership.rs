//! Which hosts belong to an incident: those that it takes, and bystanders that it releases.

use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::hresult::Family;

use super::{CAUSE_COVERAGE_MIN, Incident, IncidentPhase};
use crate::detect::dimension_sets::DimensionValue;
use crate::detect::durations::{DAY_MS, secs_to_ms};
use crate::detect::fleet::{Fleet, HostIndex, Knows};
use crate::detect::fleet_view::FleetView;
use crate::detect::onset::{Distrusted, Onset};
use crate::detect::significance::Cluster;
use crate::detect::strings::StringId;

/// A subject is common in an incident if at least one in `COMMON_SHARE` hosts fails at it. Where bystanders are
/// released, at least `COMMON_HOSTS_MIN` hosts with the cause must fail at it too.
const COMMON_HOSTS_MIN: u64 = 2;
const COMMON_SHARE: u64 = 20;

/// An incident is concentrated if at least this many members fail at one subject and are at least this share of all. A
/// host that fails at another subject then does not belong to the incident.
const CONCENTRATED_HOSTS_MIN: u64 = 3;
const CONCENTRATED_SHARE: f64 = 0.8;

/// Members that are examined for failures at another subject too; one in `ALSO_SHARE` of them must fail there.
const ASKED_MAX: usize = 200;
const ALSO_SHARE: usize = 5;

impl Incident {
    /// Whether a newly failing host of `family` belongs here.
    pub(in crate::detect) fn takes(&self, onset: &Onset, family: Family, fleet: &Fleet) -> bool {
        if !self.is_open() || !self.may_take(onset) || self.distrusted != Distrusted::of(onset, fleet) {
            return false;
        }
        let same_subject = self.commonly_fails_at(onset.subject, fleet);
        let cause = self.cause.or(self.likely);
        let has_cause = cause.map_or(Knows::Unknown, |cause| fleet.knows(onset.host, cause));
        if self.families.contains(&family) {
            let elsewhere = || {
                // An unknown subject tells nothing, so it keeps no host out.
                fleet.is_unknown_subject(onset.subject)
                    || !self.is_concentrated()
                    || self.also_fails_at(onset.subject, fleet)
            };
            match has_cause {
                Knows::Yes => true,
                Knows::Unknown => same_subject || elsewhere(),
                Knows::No => same_subject,
            }
        } else {
            // Another code for the same failure: the host must fail at a common update and have the cause.
            same_subject && has_cause == Knows::Yes
        }
    }

    /// Whether members failed at `subject`; false for an unknown subject, by which hosts have nothing in common.
    pub(in crate::detect) fn fails_at(&self, subject: StringId, fleet: &Fleet) -> bool {
        self.subjects.contains_key(&subject) && !fleet.is_unknown_subject(subject)
    }

    /// Whether members commonly fail at `subject`. The subject of a single bystander is not the subject of the
    /// incident.
    pub(in crate::detect) fn commonly_fails_at(&self, subject: StringId, fleet: &Fleet) -> bool {
        let hosts = self.subjects.get(&subject).copied().unwrap_or_default();
        hosts * COMMON_SHARE >= self.members.len() as u64 && self.fails_at(subject, fleet)
    }

    /// How well the host of `onset` fits, from 0 to 3: a common subject counts 2, the cause counts 1.
    pub(in crate::detect) fn fit(&self, onset: &Onset, fleet: &Fleet) -> u8 {
        let has_cause = self.cause.or(self.likely).is_some_and(|cause| fleet.knows(onset.host, cause) == Knows::Yes);
        2 * u8::from(self.commonly_fails_at(onset.subject, fleet)) + u8::from(has_cause)
    }

    /// Whether nearly all hosts fail at one subject.
    pub(super) fn is_concentrated(&self) -> bool {
        let most = self.subjects.values().max().copied().unwrap_or_default();
        most >= CONCENTRATED_HOSTS_MIN && most as f64 >= CONCENTRATED_SHARE * self.members.len() as f64
    }

    /// Whether enough members fail at `subject` as well: the incident then shows at another update too.
    pub(super) fn also_fails_at(&self, subject: StringId, fleet: &Fleet) -> bool {
        let asked = self.members.keys().take(ASKED_MAX).map(|host| fleet.hosts[*host as usize].failing());
        let also = asked.clone().filter(|failing| failing.iter().any(|failing| failing.subject == subject)).count();
        also >= (asked.count() / ALSO_SHARE).max(2)
    }

    /// Whether the onset lies in the time of the incident. An onset of the day before the incident began is taken only
    /// at a subject of the incident, as [`Onsets::take`](super::evidence::Onsets::take) makes the first cluster.
    pub(super) fn may_take(&self, onset: &Onset) -> bool {
        let begun = onset.time >= self.onset || self.subjects.contains_key(&onset.subject);
        begun && onset.time >= self.onset - DAY_MS
    }

    /// Whether a new cluster continues this incident, which ended not long ago: at least half of its hosts have the
    /// cause or fail at the same subjects.
    pub(in crate::detect) fn returns_in(&self, cluster: &Cluster, view: FleetView<'_>) -> bool {
        let FleetView { fleet, config, now } = view;
        let forgotten = secs_to_ms(config.expire_secs);
        let ended = matches!(self.phase, IncidentPhase::Resolved | IncidentPhase::Expired);
        if !ended || self.resolved_at.is_none_or(|resolved| now - resolved > forgotten) {
            return false;
        }
        let alike = |onset: &&Onset| {
            self.fails_at(onset.subject, fleet)
                || self.cause.is_some_and(|cause| fleet.traits_of(onset.host).contains(&cause))
        };
        2 * cluster.onsets.iter().filter(alike).count() >= cluster.onsets.len()
    }

    /// Whether nearly all members with a known value have `cause`. A value that many later members lack is no cause.
    pub(in crate::detect) fn shares(&self, cause: DimensionValue, fleet: &Fleet) -> bool {
        let count = |known: Knows| self.members.keys().filter(|host| fleet.knows(**host, cause) == known).count();
        // A host with an unknown value may have the cause, so it counts on neither side.
        let (with, without) = (count(Knows::Yes) as f64, count(Knows::No) as f64);
        without <= (1.0 - CAUSE_COVERAGE_MIN) * (with + without)
    }

    /// Removes the members that have another value than the cause and fail at subjects at which no host with the cause
    /// fails: they joined before the cause was known.
    pub(in crate::detect) fn release_bystanders(&mut self, cause: DimensionValue, fleet: &Fleet) -> Vec<Onset> {
        // A host with an unknown value may have the cause.
        let has_cause = |host: &HostIndex| fleet.knows(*host, cause) != Knows::No;
        let mut counts: BTreeMap<StringId, u64> = BTreeMap::new();
        for (_, member) in self.members.iter().filter(|(host, _)| has_cause(host)) {
            *counts.entry(member.onset.subject).or_default() += 1;
        }
        // By chance, one host with the cause may have failed at the subject of a bystander.
        let with_cause = counts.values().sum::<u64>();
        let enough = COMMON_HOSTS_MIN.max(with_cause / COMMON_SHARE);
        let subjects: BTreeSet<StringId> =
            counts.into_iter().filter(|(_, hosts)| *hosts >= enough).map(|(subject, _)| subject).collect();
        let strangers: BTreeSet<HostIndex> = self
            .members
            .iter()
            .filter(|(host, member)| {
                !has_cause(host)
                    && (!subjects.contains(&member.onset.subject) || fleet.is_unknown_subject(member.onset.subject))
            })
            .map(|(host, _)| *host)
            .collect();
        self.remove_members(&strangers).into_iter().map(|member| member.onset).collect()
    }
}
