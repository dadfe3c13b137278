//! Newly failing hosts -> incidents and their transitions.
//!
//! A newly failing host joins the open incident that it belongs to. Otherwise it is evidence, and evidence that makes a
//! cluster opens or reopens an incident. At each transition the whole incident is judged again: it may be split, or
//! merged with another incident. Then its document is written.

use serde::{Deserialize, Serialize};
use wulog_schemas::alert::{Alert, Level, Transition};
use wulog_schemas::host::hex_digest;
use wulog_schemas::hresult::Family;
use wulog_schemas::topic::Topic;

use super::document::{self, DocumentContext};
use super::document_size;
use super::durations::{DAY_MS, secs_to_ms};
use super::factors::{self, Comparison};
use super::fleet_view::FleetView;
use super::incident::Incident;
use super::incidents::Key;
use super::onset::Distrusted;
use super::onset::Onset;
use super::separate_causes::may_be_separate;
use super::significance::Cluster;
use super::tally::Value;
use super::{Detector, HEARD_LATE_MS, rules, silence};
use crate::bounds::DOCUMENT_BYTES_MAX;
use crate::machine::Output;

/// Interval after which a cluster that is not significant is judged again: healthy hosts have reported meanwhile.
const LOOK_AGAIN_MS: i64 = 60 * 60 * 1000;
/// Most times of onsets, for each family, at which the past is judged after a backlog.
const PAST_LOOKS_MAX: usize = 500;
/// Coverage and p-value from which a shared value is a likely cause.
const LIKELY_COVERAGE: f64 = 0.75;
const LIKELY_P_MAX: f64 = 0.01;

/// A cluster that is not significant, and when its hosts were last compared.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct UnconvincingCluster {
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
        let takers = state.incidents.iter().filter(|(_, incident)| incident.takes(&onset, family, &state.fleet));
        let open = takers
            .max_by_key(|(key, incident)| (incident.fit(&onset, &state.fleet), std::cmp::Reverse(*key)))
            .map(|(key, _)| key);
        if let Some(key) = open {
            let incident = &mut state.incidents[key];
            let widened = incident.families.insert(family);
            incident.join(onset.clone(), now);
            let raised = self.hold_rules(key, &onset, family);
            let transition = match self.state.incidents[key].after_join(now, &self.config) {
                _ if raised => Some(Transition::Growing),
                None if widened => Some(Transition::Merged),
                transition => transition,
            };
            if let Some(transition) = transition {
                self.publish(key, transition, out);
            }
            return;
        }
        let (time, late) = (onset.time, now - onset.since > HEARD_LATE_MS);
        let onsets = state.onsets.entry(family).or_default();
        onsets.forget_before(now - secs_to_ms(self.config.horizon_secs) - DAY_MS);
        onsets.insert(onset.clone(), self.config.limits.onsets_per_family);
        let waits = late || state.backlog.is_being_read(state.fleet.hosts_known(), now);
        if waits {
            state.unjudged.entry(family).and_modify(|latest| *latest = time.max(*latest)).or_insert(time);
        } else {
            self.judge(time, family, out);
        }
        if !waits || self.state.fleet.hosts[onset.host as usize].caught_up != Some(false) {
            self.judge_rules(&onset, family, out);
        }
    }

    /// Opens an incident if the onsets around `time` that belong to no incident are a cluster.
    fn judge(&mut self, time: i64, family: Family, out: &mut Vec<Output>) {
        let onsets = self.state.onsets.entry(family).or_default();
        if let Some(cluster) =
            onsets.cluster_at(time, FleetView::new(&self.state.fleet, &self.config, self.state.log_time))
        {
            self.open(cluster, family, out);
        }
    }

    /// Opens an incident if `onset`, which belongs to no incident, meets a rule of the operator.
    fn judge_rules(&mut self, onset: &Onset, family: Family, out: &mut Vec<Output>) {
        let Some(onsets) = self.state.onsets.get_mut(&family).filter(|onsets| onsets.has(onset)) else {
            return;
        };
        if self.config.rules.is_empty() {
            return;
        }
        let incidents: Vec<&Incident> = self.state.incidents.all().collect();
        if let Some(cluster) = rules::cluster_at(
            onset,
            family,
            &incidents,
            onsets,
            FleetView::new(&self.state.fleet, &self.config, self.state.log_time),
        ) {
            self.open(cluster, family, out);
        }
    }

    /// Judges the onsets that arrived late. They wait for a tick, since the reason of the delay (a first installation,
    /// a backlog) is about to bring the rest of the fleet: judging the first three hosts would compare them with a
    /// mostly unknown fleet.
    pub(super) fn judge_late(&mut self, out: &mut Vec<Output>) {
        for (family, time) in std::mem::take(&mut self.state.unjudged) {
            self.judge(time, family, out);
        }
    }

    /// Judges the past once a backlog has been read: each time at which a host began to fail is judged as it would have
    /// been then. A cluster opens an incident only if `min_hosts` of its hosts, and at least half of them, still fail.
    pub(super) fn judge_past(&mut self, out: &mut Vec<Output>) {
        let (hosts, now) = (self.state.fleet.hosts_known(), self.state.log_time);
        if !self.state.backlog.has_ended(hosts, now) {
            return;
        }
        let from = now - secs_to_ms(self.config.horizon_secs);
        for family in self.state.onsets.keys().copied().collect::<Vec<Family>>() {
            let Some(onsets) = self.state.onsets.get(&family) else { continue };
            let mut times: Vec<i64> = onsets.within(from, now).map(|onset| onset.time).collect();
            times.dedup();
            // Neighbouring times share their windows, so a sample of the times suffices in a large fleet.
            let step = times.len().div_ceil(PAST_LOOKS_MAX).max(1);
            for time in times.into_iter().rev().step_by(step).collect::<Vec<i64>>().into_iter().rev() {
                let Some(onsets) = self.state.onsets.get_mut(&family) else { continue };
                let Some(cluster) =
                    onsets.cluster_at(time, FleetView::new(&self.state.fleet, &self.config, self.state.log_time))
                else {
                    continue;
                };
                let fleet = &self.state.fleet;
                let failing = cluster.onsets.iter().filter(|onset| onset.still_fails(fleet)).count() as u64;
                if failing >= self.config.min_hosts && 2 * failing >= cluster.onsets.len() as u64 {
                    self.open(cluster, family, out);
                } else {
                    for onset in cluster.onsets {
                        onsets.insert(onset, self.config.limits.onsets_per_family);
                    }
                }
            }
        }
    }

    /// Schedules clusters that were not significant for another judgement.
    pub(super) fn judge_unconvincing(&mut self) {
        let now = self.state.log_time;
        self.state.unconvincing.retain(|_, cluster| now - cluster.time < DAY_MS);
        for (family, cluster) in &self.state.unconvincing {
            if now - cluster.looked_at >= LOOK_AGAIN_MS {
                self.state.unjudged.entry(*family).or_insert(cluster.time);
            }
        }
    }

    /// Searches for hosts that failed and went silent, among the members of open incidents and among other failing
    /// hosts.
    pub(super) fn look_for_silence(&mut self, clock: i64, out: &mut Vec<Output>) {
        let background = silence::Background::at(FleetView::new(&self.state.fleet, &self.config, clock));
        for key in self.state.incidents.keys() {
            let incident = &self.state.incidents[key];
            if !incident.is_open() {
                continue;
            }
            if let Some(silent) =
                silence::of_incident(incident, &background, FleetView::new(&self.state.fleet, &self.config, clock))
            {
                self.state.incidents[key].notified_silent = silent;
                self.publish(key, Transition::Silent, out);
            }
        }
        let families: Vec<Family> = self.state.onsets.keys().copied().collect();
        for family in families {
            let Some(onsets) = self.state.onsets.get_mut(&family) else { continue };
            let cluster =
                silence::of_loose(onsets, &background, FleetView::new(&self.state.fleet, &self.config, clock));
            if let Some(cluster) = cluster {
                self.open(cluster, family, out);
            }
        }
    }

    /// Opens an incident for a cluster. Where an ended incident has the same cause, this incident is reopened instead;
    /// where an open one has it, the hosts of the cluster join the open one.
    fn open(&mut self, cluster: Cluster, family: Family, out: &mut Vec<Output>) {
        let now = self.state.log_time;
        let state = &mut self.state;
        let Some(newest) = cluster.onsets.iter().max_by_key(|onset| (onset.time, onset.host)).cloned() else {
            return;
        };
        let again = state.incidents.find(|_, incident| {
            incident.families.contains(&family)
                && incident.returns_in(&cluster, FleetView::new(&state.fleet, &self.config, now))
        });
        if let Some(key) = again {
            state.incidents[key].reopen(cluster, now);
            state.incidents[key].recover_all(&state.fleet);
            self.hold_rules(key, &newest, family);
            self.publish(key, Transition::Reopened, out);
            return;
        }
        let rule = cluster.significance.rule.clone();
        let mut incident =
            Incident::open(self.id_for(family, &cluster.onsets), family, self.distrusted_by(&cluster), cluster, now);
        incident.recover_all(&self.state.fleet);
        if !incident.significance.convinces() && !self.has_a_cause(&incident, newest.time) {
            let onsets = self.state.onsets.entry(family).or_default();
            for member in incident.members.into_values() {
                onsets.insert(member.onset, self.config.limits.onsets_per_family);
            }
            return;
        }
        self.state.unconvincing.remove(&family);
        if rule.is_none()
            && let Some(key) = self.open_with_cause_of(&incident)
        {
            self.join_all(key, incident, out);
            return;
        }
        incident.rules_met.extend(rule);
        incident.severity_min = self.config.severity_of(&incident.rules_met);
        self.make_room(out);
        let key = self.state.incidents.push(incident);
        self.hold_rules(key, &newest, family);
        self.publish(key, Transition::Opened, out);
    }

    /// An open incident of the same day that has the cause of a new one: each of them is too small to have a clear
    /// cause, and together they have a likely one. A missing certificate shows at several updates at once.
    fn open_with_cause_of(&self, new: &Incident) -> Option<Key> {
        let fleet = &self.state.fleet;
        self.state.incidents.find(|_, open| {
            let is_close = open.is_open() && open.distrusted == new.distrusted && open.families.contains(&new.family);
            let is_same_day = new.onset <= open.joined_at + DAY_MS && open.onset <= new.joined_at + DAY_MS;
            if !is_close
                || !is_same_day
                || open.unnamed_hosts > 0
                || may_be_separate(&open.members, &new.members, fleet)
            {
                return false;
            }
            let mut both = open.clone();
            both.absorb(&mut new.clone());
            let comparison = factors::compare(&both, self.view());
            let first = comparison.factors.first().zip(comparison.values.first());
            first.is_some_and(|(factor, value)| match value {
                Value::Host(pair) if factor.p_value <= LIKELY_P_MAX => {
                    both.shares(*pair, fleet) && open.shares(*pair, fleet) && new.shares(*pair, fleet)
                }
                _ => false,
            })
        })
    }

    /// Has all hosts of a cluster join an incident.
    fn join_all(&mut self, key: Key, cluster: Incident, out: &mut Vec<Output>) {
        let now = self.state.log_time;
        let incident = &mut self.state.incidents[key];
        for member in cluster.members.into_values() {
            incident.join(member.onset, now);
        }
        incident.recover_all(&self.state.fleet);
        if let Some(transition) = incident.after_join(now, &self.config) {
            self.publish(key, transition, out);
        }
    }

    /// The object that most hosts of a cluster distrust.
    pub(super) fn distrusted_by(&self, cluster: &Cluster) -> Distrusted {
        let servers = cluster
            .onsets
            .iter()
            .filter(|onset| Distrusted::of(onset, &self.state.fleet) == Distrusted::Server)
            .count();
        if 2 * servers > cluster.onsets.len() { Distrusted::Server } else { Distrusted::Signature }
    }

    /// The id of an incident: a hash of the family and of the host, subject and time of the earliest failure, none of
    /// which changes while the incident grows. Where another incident has this id, since it released the host of this
    /// failure, the next failure gives the id.
    pub(super) fn id_for(&self, family: Family, onsets: &[Onset]) -> String {
        let mut by_time: Vec<&Onset> = onsets.iter().collect();
        by_time.sort_unstable_by_key(|onset| (onset.since, onset.host));
        let id_of = |onset: &&Onset| {
            let subject = self.state.fleet.strings.text(onset.subject);
            let (host, since) = (self.state.fleet.id_of(onset.host), onset.since.to_string());
            format!("wu-{}", &hex_digest(&[family.as_str(), &host, subject, &since])[..16])
        };
        let is_free = |id: &String| self.state.incidents.all().all(|incident| incident.id != *id);
        by_time.iter().map(id_of).find(is_free).or_else(|| by_time.first().map(id_of)).unwrap_or_default()
    }

    /// Whether the number of hosts of a borderline cluster and the value that they share are significant together. A
    /// comparison takes time in a large fleet, so the next one waits for an hour or for a quarter more hosts.
    fn has_a_cause(&mut self, incident: &Incident, time: i64) -> bool {
        let (now, hosts) = (self.state.log_time, incident.hosts());
        let before = self.state.unconvincing.get(&incident.family);
        if before.is_some_and(|before| hosts * 4 < before.hosts * 5 && now - before.looked_at < LOOK_AGAIN_MS) {
            return false;
        }
        self.state.unconvincing.insert(incident.family, UnconvincingCluster { hosts, time, looked_at: now });
        let comparison =
            factors::compare(incident, FleetView::new(&self.state.fleet, &self.config, self.state.log_time));
        incident.significance.convinces_with(comparison.p_shared())
    }

    /// Checks the operator's rules for an incident that `onset` has joined. True when a rule asks for a higher severity
    /// than the incident had, and for more than medium.
    fn hold_rules(&mut self, key: Key, onset: &Onset, family: Family) -> bool {
        let incidents = &self.state.incidents;
        if !rules::are_due(&incidents[key], &self.config) {
            return false;
        }
        let others: Vec<&Incident> =
            incidents.iter().filter(|(at, _)| *at != key).map(|(_, incident)| incident).collect();
        let onsets = self.state.onsets.get(&family);
        let met = rules::met_by(&incidents[key], onset, family, &others, onsets, self.view());
        let severity = self.config.severity_of(&met);
        let incident = &mut self.state.incidents[key];
        incident.rules_hosts = incident.hosts();
        incident.rules_met.extend(met);
        let raised = severity > incident.severity_min.max(Level::Medium);
        incident.severity_min = incident.severity_min.max(severity);
        raised
    }

    /// Makes room for one more incident. An open incident that has to give way is expired with a document first, so
    /// that no incident disappears without a document.
    pub(super) fn make_room(&mut self, out: &mut Vec<Output>) {
        while let Some(key) = self.state.incidents.make_room(self.config.limits.incidents) {
            let now = self.state.log_time;
            self.state.incidents[key].expire(now);
            let comparison = self.compare(key);
            self.write_document(key, Transition::Expired, comparison, out);
        }
    }

    /// Judges an incident as a whole and publishes its document: after a merge or a split, where one is due.
    pub(super) fn publish(&mut self, key: Key, transition: Transition, out: &mut Vec<Output>) {
        let comparison = self.compare(key);
        if self.state.incidents[key].is_open() {
            if let Some(other) = self.same_cause(key, &comparison) {
                self.merge(key, other, out);
                return;
            }
            if let Some(hosts) = self.hosts_with_second_cause(key, &comparison) {
                self.split(key, &hosts, transition, out);
                return;
            }
        }
        self.write_document(key, transition, comparison, out);
    }

    /// Compares an incident's hosts with the healthy ones. A clear cause stays while the members share it: later
    /// members joined because of it, and members without it are released.
    pub(super) fn compare(&mut self, key: Key) -> Comparison {
        let incident = &mut self.state.incidents[key];
        let comparison =
            factors::compare(incident, FleetView::new(&self.state.fleet, &self.config, self.state.log_time));
        incident.cause = incident.cause.filter(|cause| incident.shares(*cause, &self.state.fleet)).or(comparison.cause);
        // Weaker evidence suffices to release a bystander: the host can still join another incident.
        let likely =
            comparison.factors.first().zip(comparison.values.first()).and_then(|(factor, value)| match value {
                Value::Host(pair) if factor.coverage >= LIKELY_COVERAGE && factor.p_value <= LIKELY_P_MAX => {
                    Some(*pair)
                }
                _ => None,
            });
        incident.likely = likely;
        let Some(cause) = incident.cause.or(likely) else { return comparison };
        let strangers = incident.release_bystanders(cause, &self.state.fleet);
        if strangers.is_empty() {
            return comparison;
        }
        let family = incident.family;
        for onset in strangers {
            let time = onset.time;
            let onsets = self.state.onsets.entry(family).or_default();
            onsets.insert(onset, self.config.limits.onsets_per_family);
            // The released hosts may be a cluster of their own, which the next tick judges.
            self.state.unjudged.entry(family).and_modify(|latest| *latest = time.max(*latest)).or_insert(time);
        }
        factors::compare(&self.state.incidents[key], self.view())
    }

    pub(super) fn write_document(
        &mut self,
        key: Key,
        transition: Transition,
        comparison: Comparison,
        out: &mut Vec<Output>,
    ) {
        let now = self.state.log_time;
        let context = DocumentContext {
            fleet: &self.state.fleet,
            certificates: &self.state.certificates,
            config: &self.config,
            provenance: &self.provenance,
            names_max: self.names_max(),
            now,
        };
        let alert = document::write(&mut self.state.incidents[key], transition, comparison, &context);
        self.send(alert, out);
    }

    /// Limit of host names in a document.
    pub(super) fn names_max(&self) -> usize {
        if self.all_hosts { usize::MAX } else { self.config.limits.names_in_alert }
    }

    /// Sends a document, with the orders of operators about its incident.
    pub(super) fn send(&mut self, mut alert: Alert, out: &mut Vec<Output>) {
        alert.handling = self.state.orders.handling_of(&alert);
        self.state.orders.end_with(&alert);
        out.push(Output {
            topic: Topic::Alerts,
            value: document_size::to_json(&alert, if self.all_hosts { usize::MAX } else { DOCUMENT_BYTES_MAX }).into(),
            key: alert.id.into(),
            timestamp_ms: self.state.log_time,
        });
    }
}
