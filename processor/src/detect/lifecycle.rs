//! Newly failing hosts -> incidents and their transitions.
//!
//! A newly failing host joins the open incident that it belongs to; else it is evidence, and evidence that makes a
//! cluster opens an incident, or opens one again. At each transition an incident is looked at as a whole: is it two, or
//! the same as another one? Then its document is written.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wulog_schemas::alert::{Level, Transition};
use wulog_schemas::host::hex_digest;
use wulog_schemas::hresult::Family;
use wulog_schemas::topic::Topic;

use super::document::{self, Context};
use super::evidence::{Cluster, DAY_MS, Onset, secs_to_ms};
use super::factors::{self, CAUSE_HOSTS_MIN, Comparison, Value};
use super::fleet::HostIndex;
use super::incident::{Incident, Member};
use super::{Detector, HEARD_LATE_MS, rules, silence};
use crate::machine::Output;

/// An incident is split at most so often: what falls apart further has no causes that dimensions tell.
const SPLITS_MAX: usize = 4;
/// When an open incident has a clear cause, hosts of another family that all have it may be that by chance with this
/// probability and are still taken for the same.
const SAME_CAUSE_P_MAX: f64 = 0.05;
/// A cluster that does not convince is looked at again this often: healthy hosts are heard of meanwhile.
const LOOK_AGAIN_MS: i64 = 60 * 60 * 1000;
/// A value that most have, and hardly by chance.
const LIKELY_COVERAGE: f64 = 0.75;
const LIKELY_P_MAX: f64 = 0.01;

/// A cluster that chance could have made, as far as is known.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Refused {
    hosts: u64,
    /// Event time of its latest failure.
    time: i64,
    /// Log time at which its hosts were last compared with the healthy ones.
    looked_at: i64,
}

impl Detector {
    pub(super) fn newly_failing(&mut self, onset: Onset, family: Family, out: &mut Vec<Output>) {
        let now = self.state.log_time;
        let state = &mut self.state;
        let open = state.incidents.iter().position(|incident| incident.takes(&onset, family, &state.fleet));
        if let Some(place) = open {
            let incident = &mut state.incidents[place];
            let widened = incident.families.insert(family);
            incident.join(onset.clone(), now);
            let raised = self.hold_rules(place, &onset, family);
            let transition = match self.state.incidents[place].after_join(now, &self.config) {
                _ if raised => Some(Transition::Growing),
                None if widened => Some(Transition::Merged),
                transition => transition,
            };
            if let Some(transition) = transition {
                self.tell(place, transition, out);
            }
            return;
        }
        let (time, late) = (onset.time, now - onset.since > HEARD_LATE_MS);
        let onsets = state.onsets.entry(family).or_default();
        onsets.forget_before(now - secs_to_ms(self.config.horizon_secs) - DAY_MS);
        onsets.insert(onset.clone(), self.config.limits.onsets_per_family);
        if late {
            state.unjudged.entry(family).and_modify(|latest| *latest = time.max(*latest)).or_insert(time);
        } else {
            self.judge(time, family, out);
        }
        self.judge_rules(&onset, family, out);
    }

    /// Looks whether the loose onsets around `time` are a cluster.
    fn judge(&mut self, time: i64, family: Family, out: &mut Vec<Output>) {
        let onsets = self.state.onsets.entry(family).or_default();
        if let Some(cluster) = onsets.cluster_at(time, &self.state.fleet, &self.config) {
            self.open(cluster, family, out);
        }
    }

    /// Looks whether the operator's rules are met by a loose onset.
    fn judge_rules(&mut self, onset: &Onset, family: Family, out: &mut Vec<Output>) {
        let Some(onsets) = self.state.onsets.get_mut(&family).filter(|onsets| onsets.has(onset)) else { return };
        if self.config.rules.is_empty() {
            return;
        }
        let incidents: Vec<&Incident> = self.state.incidents.iter().collect();
        if let Some(cluster) = rules::cluster_at(onset, family, &incidents, onsets, &self.state.fleet, &self.config) {
            self.open(cluster, family, out);
        }
    }

    /// Looks at onsets that were heard of late. They wait for a tick, since what brought them (a first installation, a
    /// backlog) is about to bring the rest of the fleet: the first three hosts of it are no picture.
    pub(super) fn judge_late(&mut self, out: &mut Vec<Output>) {
        for (family, time) in std::mem::take(&mut self.state.unjudged) {
            self.judge(time, family, out);
        }
    }

    /// Has clusters looked at again that did not convince.
    pub(super) fn judge_refused(&mut self) {
        let now = self.state.log_time;
        self.state.refused.retain(|_, refused| now - refused.time < DAY_MS);
        for (family, refused) in &self.state.refused {
            if now - refused.looked_at >= LOOK_AGAIN_MS {
                self.state.unjudged.entry(*family).or_insert(refused.time);
            }
        }
    }

    /// Looks for hosts that failed and are not heard of any more.
    pub(super) fn look_for_silence(&mut self, clock: i64, out: &mut Vec<Output>) {
        let background = silence::Background::at(clock, &self.state.fleet, &self.config);
        for place in 0..self.state.incidents.len() {
            let incident = &self.state.incidents[place];
            if !incident.is_open() {
                continue;
            }
            if let Some(silent) = silence::of_incident(incident, &background, &self.state.fleet, &self.config) {
                self.state.incidents[place].notified_silent = silent;
                self.tell(place, Transition::Silent, out);
            }
        }
        let families: Vec<Family> = self.state.onsets.keys().copied().collect();
        for family in families {
            let Some(onsets) = self.state.onsets.get_mut(&family) else { continue };
            let cluster = silence::of_loose(onsets, &background, clock, &self.state.fleet, &self.config);
            if let Some(cluster) = cluster {
                self.open(cluster, family, out);
            }
        }
    }

    /// Opens an incident, or opens one again that ended and has the same cause.
    fn open(&mut self, cluster: Cluster, family: Family, out: &mut Vec<Output>) {
        let now = self.state.log_time;
        let state = &mut self.state;
        let Some(newest) = cluster.onsets.iter().max_by_key(|onset| (onset.time, onset.host)).cloned() else {
            return;
        };
        let again = state.incidents.iter().position(|incident| {
            incident.families.contains(&family) && incident.returns_in(&cluster, &state.fleet, now, &self.config)
        });
        if let Some(place) = again {
            state.incidents[place].reopen(cluster, now);
            self.hold_rules(place, &newest, family);
            self.tell(place, Transition::Reopened, out);
            return;
        }
        let rule = cluster.judgement.rule.clone();
        let mut incident = Incident::open(self.id_for(family, &cluster.onsets), family, cluster, now);
        if !incident.judgement.convinces() && !self.has_a_cause(&incident, newest.time) {
            let onsets = self.state.onsets.entry(family).or_default();
            for member in incident.members.into_values() {
                onsets.insert(member.onset, self.config.limits.onsets_per_family);
            }
            return;
        }
        self.state.refused.remove(&family);
        incident.rules_met.extend(rule);
        incident.severity_min = self.config.severity_of(&incident.rules_met);
        self.make_room();
        self.state.incidents.push(incident);
        let place = self.state.incidents.len() - 1;
        self.hold_rules(place, &newest, family);
        self.tell(place, Transition::Opened, out);
    }

    /// Family, host, subject and time of the earliest failure: nothing that grows. A host that an incident let go of has
    /// given it its id already: then it is the next failure.
    fn id_for(&self, family: Family, onsets: &[Onset]) -> String {
        let mut by_time: Vec<&Onset> = onsets.iter().collect();
        by_time.sort_unstable_by_key(|onset| (onset.since, onset.host));
        let id_of = |onset: &&Onset| {
            let subject = self.state.fleet.strings.text(onset.subject);
            let (host, since) = (self.state.fleet.id_of(onset.host), onset.since.to_string());
            format!("wu-{}", &hex_digest(&[family.as_str(), &host, subject, &since])[..16])
        };
        let is_free = |id: &String| self.state.incidents.iter().all(|incident| incident.id != *id);
        by_time.iter().map(id_of).find(is_free).or_else(|| by_time.first().map(id_of)).unwrap_or_default()
    }

    /// Whether what its hosts share and the healthy do not makes a cluster of what chance could have made: its number
    /// and its cause are improbable each by itself. Comparing takes time in a large fleet, so it waits until there is
    /// more to compare.
    fn has_a_cause(&mut self, incident: &Incident, time: i64) -> bool {
        let (now, hosts) = (self.state.log_time, incident.hosts());
        let before = self.state.refused.get(&incident.family);
        if before.is_some_and(|before| hosts * 4 < before.hosts * 5 && now - before.looked_at < LOOK_AGAIN_MS) {
            return false;
        }
        self.state.refused.insert(incident.family, Refused { hosts, time, looked_at: now });
        let comparison = factors::compare(incident, &self.state.fleet, &self.config);
        incident.judgement.convinces_with(comparison.p_shared())
    }

    /// Holds the operator's rules against an incident that `onset` has joined. True when one asks for more severity than
    /// an incident has by itself.
    fn hold_rules(&mut self, place: usize, onset: &Onset, family: Family) -> bool {
        let incidents = &self.state.incidents;
        if !rules::are_due(&incidents[place], &self.config) {
            return false;
        }
        let others: Vec<&Incident> =
            incidents.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, incident)| incident).collect();
        let onsets = self.state.onsets.get(&family);
        let met = rules::met_by(&incidents[place], onset, family, &others, onsets, &self.state.fleet, &self.config);
        let severity = self.config.severity_of(&met);
        let incident = &mut self.state.incidents[place];
        incident.rules_hosts = incident.hosts();
        incident.rules_met.extend(met);
        let raised = severity > incident.severity_min.max(Level::Medium);
        incident.severity_min = incident.severity_min.max(severity);
        raised
    }

    fn make_room(&mut self) {
        while self.state.incidents.len() >= self.config.limits.incidents.max(1) {
            let incidents = self.state.incidents.iter().enumerate();
            let oldest = incidents.min_by_key(|(_, incident)| (incident.is_open(), incident.joined_at));
            let place = oldest.map_or(0, |(place, _)| place);
            self.state.incidents.remove(place);
        }
    }

    /// Looks at an incident as a whole and writes what is to be said of it.
    pub(super) fn tell(&mut self, place: usize, transition: Transition, out: &mut Vec<Output>) {
        let comparison = self.compare(place);
        if self.state.incidents[place].is_open() {
            if let Some(other) = self.same_cause(place, &comparison) {
                self.merge(place, other, out);
                return;
            }
            if let Some(apart) = self.apart(place, &comparison) {
                self.split(place, &apart, transition, out);
                return;
            }
        }
        self.write(place, transition, comparison, out);
    }

    /// Compares an incident's hosts with the healthy ones. A cause once beyond doubt is not doubted again while
    /// they share it: late joiners came in through it; who came in before and has nothing of it goes.
    fn compare(&mut self, place: usize) -> Comparison {
        let incident = &mut self.state.incidents[place];
        let comparison = factors::compare(incident, &self.state.fleet, &self.config);
        incident.cause = incident.cause.filter(|cause| incident.shares(*cause, &self.state.fleet)).or(comparison.cause);
        // A bystander goes on less than that: he is no worse off alone.
        let likely =
            comparison.factors.first().zip(comparison.values.first()).and_then(|(factor, value)| match value {
                Value::Host(pair) if factor.coverage >= LIKELY_COVERAGE && factor.p_value <= LIKELY_P_MAX => {
                    Some(*pair)
                }
                _ => None,
            });
        incident.likely = likely;
        let Some(cause) = incident.cause.or(likely) else { return comparison };
        let strangers = incident.let_go(cause, &self.state.fleet);
        if strangers.is_empty() {
            return comparison;
        }
        let family = incident.family;
        for onset in strangers {
            let time = onset.time;
            let onsets = self.state.onsets.entry(family).or_default();
            onsets.insert(onset, self.config.limits.onsets_per_family);
            // They may be a cluster of their own, which the next tick finds.
            self.state.unjudged.entry(family).and_modify(|latest| *latest = time.max(*latest)).or_insert(time);
        }
        factors::compare(&self.state.incidents[place], &self.state.fleet, &self.config)
    }

    /// Another open incident that has the cause of this one: the same hosts, mostly the same subjects, or the same clear
    /// cause at the same time.
    fn same_cause(&self, place: usize, comparison: &Comparison) -> Option<usize> {
        let incidents = &self.state.incidents;
        let this = &incidents[place];
        incidents.iter().enumerate().position(|(at, other)| {
            if at == place || !other.is_open() || this.kin.split_into.contains(&other.id) {
                return false;
            }
            if this.kin.split_from.as_ref() == Some(&other.id) || other.kin.split_from.as_ref() == Some(&this.id) {
                return false;
            }
            let (small, large) = if this.hosts() <= other.hosts() { (this, other) } else { (other, this) };
            let half = |count: usize| count > 0 && count * 2 >= small.members.len();
            let in_both = small.members.keys().filter(|host| large.members.contains_key(host)).count();
            let same_subject =
                small.members.values().filter(|member| large.subjects.contains_key(&member.onset.subject)).count();
            half(in_both) || half(same_subject) || self.shares_cause(this, other, comparison)
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

    /// Makes two incidents one: the older goes on. An incident that nobody was told of goes without a word.
    fn merge(&mut self, one: usize, two: usize, out: &mut Vec<Output>) {
        let age = |place: usize| {
            let incident = &self.state.incidents[place];
            (incident.seq == 0, incident.opened_at, place)
        };
        let (older, younger) = if age(one) <= age(two) { (one, two) } else { (two, one) };
        let now = self.state.log_time;
        let mut gone = self.state.incidents[younger].clone();
        let known_families = self.state.incidents[older].families.clone();
        let said = gone.seq > 0;
        let comparison = said.then(|| factors::compare(&gone, &self.state.fleet, &self.config));
        let members = gone.members.clone();
        self.state.incidents[older].absorb(&mut gone);
        let widened = self.state.incidents[older].families != known_families;
        match comparison {
            Some(comparison) => {
                gone.members = members;
                gone.resolved_at = Some(now);
                self.state.incidents[younger] = gone;
                self.write(younger, Transition::Merged, comparison, out);
                self.state.incidents[younger].members.clear();
            }
            // Only the one that is being opened was not told of, and it is the last.
            None => drop(self.state.incidents.remove(younger)),
        }
        let older = if !said && younger < older { older - 1 } else { older };
        let transition = if said || widened {
            Some(Transition::Merged)
        } else {
            self.state.incidents[older].after_join(now, &self.config)
        };
        if let Some(transition) = transition {
            let comparison = self.compare(older);
            self.write(older, transition, comparison, out);
        }
    }

    /// Hosts of an incident that have a cause of their own.
    fn apart(&self, place: usize, comparison: &Comparison) -> Option<BTreeSet<HostIndex>> {
        let incident = &self.state.incidents[place];
        let whole = incident.cause.is_some()
            || incident.hosts() < 2 * CAUSE_HOSTS_MIN
            || incident.kin.split_from.is_some()
            || !incident.kin.merged_from.is_empty()
            || incident.kin.split_into.len() >= SPLITS_MAX;
        if whole {
            return None;
        }
        let rest = factors::second_cause(incident, comparison, &self.state.fleet, &self.config)?;
        // The id is that of the earliest failure, so it stays with it.
        let first = incident.members.values().min_by_key(|member| (member.onset.since, member.onset.host))?;
        let stays = rest.contains(&first.onset.host);
        let moves = |host: &&HostIndex| rest.contains(host) != stays;
        Some(incident.members.keys().filter(moves).copied().collect())
    }

    /// Makes one incident two.
    fn split(&mut self, place: usize, apart: &BTreeSet<HostIndex>, transition: Transition, out: &mut Vec<Output>) {
        let now = self.state.log_time;
        let incident = &mut self.state.incidents[place];
        let gone: Vec<Member> = incident.part_with(apart);
        let (family, families, id) = (incident.family, incident.families.clone(), incident.id.clone());
        let recovered: Vec<_> = gone.iter().filter(|m| m.recovered).map(|m| (m.onset.host, m.onset.subject)).collect();
        let cluster = Cluster {
            judgement: incident.judgement.clone(),
            onsets: gone.into_iter().map(|member| member.onset).collect(),
        };
        let mut other = Incident::open(self.id_for(family, &cluster.onsets), family, cluster, now);
        recovered.into_iter().for_each(|(host, subject)| other.recover(host, subject));
        let incident = &mut self.state.incidents[place];
        other.families = families;
        other.joined_at = incident.joined_at;
        other.severity_min = incident.severity_min;
        other.rules_met.clone_from(&incident.rules_met);
        other.kin.split_from = Some(id);
        incident.kin.split_into.push(other.id.clone());
        let transition = if transition == Transition::Opened { transition } else { Transition::Split };
        let comparison = self.compare(place);
        self.write(place, transition, comparison, out);
        self.state.incidents.push(other);
        let last = self.state.incidents.len() - 1;
        let comparison = self.compare(last);
        self.write(last, Transition::Opened, comparison, out);
    }

    fn write(&mut self, place: usize, transition: Transition, comparison: Comparison, out: &mut Vec<Output>) {
        let now = self.state.log_time;
        let context = Context {
            fleet: &self.state.fleet,
            config: &self.config,
            provenance: &self.maker,
            names_max: if self.all_hosts { usize::MAX } else { self.config.limits.names_in_alert },
            now,
        };
        let alert = document::write(&mut self.state.incidents[place], transition, comparison, &context);
        out.push(Output {
            topic: Topic::Alerts,
            value: serde_json::to_vec(&alert).expect("a document holds only strings and finite numbers").into(),
            key: alert.id.into(),
            timestamp_ms: now,
        });
    }
}
