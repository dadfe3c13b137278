//! Merges incidents of one cause, and splits an incident of two causes.

use std::collections::BTreeSet;

use wulog_schemas::alert::Transition;
use wulog_schemas::hresult::Family;

use super::Detector;
use super::durations::DAY_MS;
use super::factors::{self, Comparison};
use super::fleet::HostIndex;
use super::incident::{Incident, Recovery};
use super::incidents::Key;
use super::member::Member;
use super::separate_causes::{are_separate, known_subject};
use super::significance::Cluster;
use crate::machine::Output;

/// Largest p-value at which two incidents have the same cause, where only one of them has a clear cause and nearly all
/// hosts of the other have it too.
const SAME_CAUSE_P_MAX: f64 = 0.05;
/// Most splits of an incident: if it falls apart further, dimensions do not tell the causes.
const SPLITS_MAX: usize = 4;

impl Detector {
    /// Another open incident that has the cause of this one: the same hosts, mostly the same subjects, or the same
    /// clear cause at the same time.
    pub(super) fn same_cause(&self, key: Key, comparison: &Comparison) -> Option<Key> {
        let incidents = &self.state.incidents;
        let this = &incidents[key];
        incidents.find(|at, other| {
            if at == key || !other.is_open() || this.relations.split_into.contains(&other.id) {
                return false;
            }
            if this.relations.split_from.as_ref() == Some(&other.id)
                || other.relations.split_from.as_ref() == Some(&this.id)
            {
                return false;
            }
            let (small, large) = if this.hosts() <= other.hosts() { (this, other) } else { (other, this) };
            let half = |count: usize| count > 0 && count * 2 >= small.members.len();
            let in_both = small.members.keys().filter(|host| large.members.contains_key(host)).count();
            if half(in_both) {
                return true;
            }
            if this.distrusted != other.distrusted || are_separate(&this.members, &other.members, &self.state.fleet) {
                return false;
            }
            let same_subject = small
                .members
                .values()
                .filter_map(|member| known_subject(member, &self.state.fleet))
                .filter(|subject| large.commonly_fails_at(*subject, &self.state.fleet))
                .count();
            half(same_subject) || self.shares_cause(this, other, comparison)
        })
    }

    fn shares_cause(&self, this: &Incident, other: &Incident, comparison: &Comparison) -> bool {
        let together = this.onset <= other.joined_at + DAY_MS && other.onset <= this.joined_at + DAY_MS;
        if !together {
            return false;
        }
        let all_have = |incident: &Incident, cause| {
            factors::share_pair(&incident.members, cause, incident, &self.state.fleet, SAME_CAUSE_P_MAX)
        };
        match (this.cause.or(comparison.cause), other.cause) {
            (Some(mine), Some(theirs)) => mine == theirs,
            (None, Some(theirs)) => all_have(this, theirs),
            (Some(mine), None) => all_have(other, mine),
            (None, None) => false,
        }
    }

    /// Merges two incidents: the older one continues. An incident without a document is removed without one.
    pub(super) fn merge(&mut self, one: Key, two: Key, out: &mut Vec<Output>) {
        let age = |key: Key| {
            let incident = &self.state.incidents[key];
            (incident.seq == 0, incident.opened_at, key)
        };
        let (older, younger) = if age(one) <= age(two) { (one, two) } else { (two, one) };
        let now = self.state.log_time;
        let mut gone = self.state.incidents[younger].clone();
        let known_families = self.state.incidents[older].families.clone();
        let said = gone.seq > 0;
        let comparison = said.then(|| factors::compare(&gone, self.view()));
        let members = gone.members.clone();
        self.state.incidents[older].absorb(&mut gone);
        let widened = self.state.incidents[older].families != known_families;
        match comparison {
            Some(comparison) => {
                gone.members = members;
                gone.resolved_at = Some(now);
                self.state.incidents[younger] = gone;
                self.write_document(younger, Transition::Merged, comparison, out);
                self.state.incidents[younger].members.clear();
            }
            // Only the incident that is being opened has no document yet.
            None => self.state.incidents.remove(younger),
        }
        let transition = if said || widened {
            Some(Transition::Merged)
        } else {
            self.state.incidents[older].after_join(now, &self.config)
        };
        if let Some(transition) = transition {
            let comparison = self.compare(older);
            self.write_document(older, transition, comparison, out);
        }
    }

    /// The hosts to split off, where an incident has a second cause.
    pub(super) fn hosts_with_second_cause(&self, key: Key, comparison: &Comparison) -> Option<BTreeSet<HostIndex>> {
        let incident = &self.state.incidents[key];
        let whole = incident.cause.is_some()
            || incident.relations.split_from.is_some()
            || !incident.relations.merged_from.is_empty()
            || incident.relations.split_into.len() >= SPLITS_MAX;
        if whole {
            return None;
        }
        let rest = factors::second_cause(incident, comparison, self.view())?;
        // The id is that of the earliest failure, so the part with this failure keeps the id.
        let first = incident.members.values().min_by_key(|member| (member.onset.since, member.onset.host))?;
        let stays = rest.contains(&first.onset.host);
        let moves = |host: &&HostIndex| rest.contains(host) != stays;
        Some(incident.members.keys().filter(moves).copied().collect())
    }

    /// Splits `hosts` off, as an incident of their own.
    pub(super) fn split(
        &mut self,
        key: Key,
        hosts: &BTreeSet<HostIndex>,
        transition: Transition,
        out: &mut Vec<Output>,
    ) {
        let now = self.state.log_time;
        let incident = &mut self.state.incidents[key];
        let gone: Vec<Member> = incident.remove_members(hosts);
        // The families of the two causes may differ, so each part keeps only the families of its members.
        let families: BTreeSet<Family> = gone.iter().map(|member| member.onset.family).collect();
        let hosts_of = |family: &Family| gone.iter().filter(|member| member.onset.family == *family).count();
        let family = families.iter().copied().max_by_key(hosts_of).unwrap_or(incident.family);
        incident.families = incident.members.values().map(|member| member.onset.family).collect();
        incident.families.insert(incident.family);
        let id = incident.id.clone();
        let recovery = |member: &Member| if member.withdrawn { Recovery::Withdrawal } else { Recovery::Success };
        let recovered: Vec<(HostIndex, Recovery)> =
            gone.iter().filter(|member| member.recovered).map(|member| (member.onset.host, recovery(member))).collect();
        let cluster = Cluster {
            significance: incident.significance.clone(),
            onsets: gone.into_iter().map(|member| member.onset).collect(),
        };
        let mut other =
            Incident::open(self.id_for(family, &cluster.onsets), family, self.distrusted_by(&cluster), cluster, now);
        other.families = families;
        recovered.into_iter().for_each(|(host, why)| other.recover(host, why, &self.state.fleet));
        let incident = &mut self.state.incidents[key];
        other.joined_at = incident.joined_at;
        other.severity_min = incident.severity_min;
        other.rules_met.clone_from(&incident.rules_met);
        other.relations.split_from = Some(id);
        incident.relations.split_into.push(other.id.clone());
        let transition = if transition == Transition::Opened { transition } else { Transition::Split };
        let comparison = self.compare(key);
        self.write_document(key, transition, comparison, out);
        self.make_room(out);
        let last = self.state.incidents.push(other);
        let comparison = self.compare(last);
        self.write_document(last, Transition::Opened, comparison, out);
    }
}
