//! The life of an incident: opened -> growing -> stable -> resolved -> reopened, or split, merged, expired.
//!
//! One cause is one incident. While the cause of an incident is not clear, all newly failing hosts of its families
//! join. Once all members share a value that healthy hosts do not have (the *cause* of the incident), a host with
//! another value that fails at other subjects does not join, and several such hosts can make another incident.

mod membership;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wulog_schemas::alert::{Level, Related, Transition};
use wulog_schemas::hresult::Family;

use super::config::DetectorConfig;
use super::dimension_sets::DimensionValue;
use super::durations::secs_to_ms;
use super::fleet::{Fleet, HostIndex};
use super::member::{Member, Members};
use super::onset::{Distrusted, Onset};
use super::significance::{Cluster, Significance};
use super::strings::StringId;

/// Least number of new hosts at which a stable incident is growing again; a tenth of its hosts where that is more.
/// Fewer new hosts wait until none has joined for `stable_secs`.
const REGROWTH_HOSTS_MIN: u64 = 3;

/// While an incident spreads, a document follows once it has grown by one part in this many ...
const GROWTH_SHARE: u64 = 5;
/// ... or once it has any new host and the last document is older than this, so that no count stays behind.
const STALE_MS: i64 = 4 * 60 * 60 * 1000;

/// Least share of the members with a known value that must have a cause. A bystander may have joined before the cause
/// was known, so not all of them must.
pub(super) const CAUSE_COVERAGE_MIN: f64 = 0.9;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Incident {
    pub(super) id: String,
    /// Family of the failures that opened it; part of its identity.
    pub(super) family: Family,
    /// The object that the hosts distrust: incidents that differ in it never share a cause.
    pub(super) distrusted: Distrusted,
    /// `family`, and the families that turned out to have the same cause.
    pub(super) families: BTreeSet<Family>,
    pub(super) phase: IncidentPhase,
    pub(super) members: Members,
    /// Affected hosts known only as a count: those of an adopted incident that no document names, and forgotten ones.
    pub(super) unnamed_hosts: u64,
    /// Event time of the earliest failure of a member.
    pub(super) onset: i64,
    /// An onset that no member may have: stated by the document of an adopted incident, or of a forgotten host.
    pub(super) onset_in_document: Option<i64>,
    /// Members by the subject of their onset.
    pub(super) subjects: BTreeMap<StringId, u64>,
    /// A host dimension and the value that all members share, once that is beyond doubt.
    pub(super) cause: Option<DimensionValue>,
    /// A cause that is only likely, since few hosts fail: it keeps other hosts out, but merges and splits nothing.
    pub(super) likely: Option<DimensionValue>,
    pub(super) significance: Significance,
    /// The minimum of the severity, from the rules that it has met.
    pub(super) severity_min: Level,
    /// Names of the rules that it has met.
    pub(super) rules_met: Vec<String>,
    /// Number of hosts when the rules were last checked.
    pub(super) rules_hosts: u64,
    pub(super) relations: Relations,
    /// Number of the last document.
    pub(super) seq: u32,
    pub(super) opened_at: i64,
    /// Log time at which the latest member joined.
    pub(super) joined_at: i64,
    /// Log time of the last document.
    pub(super) notified_at: i64,
    /// Members in the last document.
    pub(super) notified_hosts: u64,
    /// Silent members at the last document of the transition silent.
    pub(super) notified_silent: u64,
    pub(super) recovered: u64,
    pub(super) resolved_at: Option<i64>,
}

/// The relations to other incidents that a document states as [`Related`], whose optional fields a snapshot cannot
/// hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Relations {
    pub(super) merged_into: Option<String>,
    pub(super) merged_from: Vec<String>,
    pub(super) split_from: Option<String>,
    pub(super) split_into: Vec<String>,
    pub(super) adopted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum IncidentPhase {
    Spreading,
    Stable,
    Resolved,
    Expired,
    Merged,
}

/// The reason why a host no longer fails at a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recovery {
    /// The host succeeded at the subject.
    Success,
    /// The update is no longer offered to the host.
    Withdrawal,
}

impl Relations {
    pub(super) fn document(&self) -> Related {
        Related {
            merged_into: self.merged_into.clone(),
            merged_from: self.merged_from.clone(),
            split_from: self.split_from.clone(),
            split_into: self.split_into.clone(),
            adopted: self.adopted,
        }
    }
}

impl Incident {
    pub(super) fn open(id: String, family: Family, distrusted: Distrusted, cluster: Cluster, now: i64) -> Incident {
        let mut incident = Incident {
            id,
            family,
            distrusted,
            families: BTreeSet::from([family]),
            phase: IncidentPhase::Spreading,
            members: BTreeMap::new(),
            unnamed_hosts: 0,
            onset: i64::MAX,
            onset_in_document: None,
            subjects: BTreeMap::new(),
            cause: None,
            likely: None,
            significance: cluster.significance,
            severity_min: Level::Low,
            rules_met: Vec::new(),
            rules_hosts: 0,
            relations: Relations::default(),
            seq: 0,
            opened_at: now,
            joined_at: now,
            notified_at: now,
            notified_hosts: 0,
            notified_silent: 0,
            recovered: 0,
            resolved_at: None,
        };
        for onset in cluster.onsets {
            incident.join(onset, now);
        }
        incident
    }

    /// Reopens the incident with a cluster of the same cause. Recovered hosts that do not fail again leave the
    /// incident: a reader asks how many hosts fail now, and since when. Earlier documents name the hosts that left.
    pub(super) fn reopen(&mut self, cluster: Cluster, now: i64) {
        self.phase = IncidentPhase::Spreading;
        self.resolved_at = None;
        self.significance = cluster.significance;
        self.notified_silent = 0;
        self.members.retain(|_, member| !member.recovered);
        (self.recovered, self.unnamed_hosts, self.notified_hosts) = (0, 0, 0);
        self.count_subjects();
        (self.onset, self.onset_in_document) = (i64::MAX, None);
        for onset in cluster.onsets {
            self.join(onset, now);
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, IncidentPhase::Spreading | IncidentPhase::Stable)
    }

    pub(super) fn hosts(&self) -> u64 {
        self.members.len() as u64 + self.unnamed_hosts
    }

    pub(super) fn join(&mut self, onset: Onset, now: i64) {
        self.joined_at = self.joined_at.max(now);
        self.onset = self.onset.min(onset.since);
        match self.members.get_mut(&onset.host) {
            Some(member) => {
                if member.recovered {
                    self.recovered -= 1;
                }
                // The first failure stays the evidence; the member is not recovered, and must recover at the new
                // subject.
                (member.recovered, member.withdrawn) = (false, false);
                member.onset.subject = onset.subject;
            }
            None => {
                // Most hosts of an adopted incident are known only as a count. A host that failed before the incident
                // opened is one of them.
                if self.unnamed_hosts > 0 && onset.since <= self.opened_at {
                    self.unnamed_hosts -= 1;
                }
                *self.subjects.entry(onset.subject).or_default() += 1;
                self.members.insert(onset.host, Member { onset, recovered: false, withdrawn: false });
            }
        }
    }

    /// Notes that a member failed again: no new host, but no longer recovered. False when the failure does not belong
    /// to this incident.
    pub(super) fn relapse(&mut self, host: HostIndex, family: Family, subject: StringId) -> bool {
        if !self.is_open() || !(self.families.contains(&family) || self.subjects.contains_key(&subject)) {
            return false;
        }
        let Some(member) = self.members.get_mut(&host) else {
            return false;
        };
        if member.recovered {
            (member.recovered, member.withdrawn) = (false, false);
            member.onset.subject = subject;
            self.recovered -= 1;
        }
        true
    }

    /// Notes that a member succeeded at a subject at which it had failed. The member has recovered once it fails at
    /// nothing else of the incident's families: a repair may show at another update than the first failure did.
    pub(super) fn recover(&mut self, host: HostIndex, why: Recovery, fleet: &Fleet) {
        let Some(member) = self.members.get_mut(&host) else { return };
        let fails = fleet.hosts[host as usize].failing().iter().any(|failing| self.families.contains(&failing.family));
        if !member.recovered && !fails {
            member.recovered = true;
            member.withdrawn = why == Recovery::Withdrawal;
            self.recovered += 1;
        }
    }

    /// Marks the members that recovered before they became members: a cluster also takes hosts that failed earlier.
    pub(super) fn recover_all(&mut self, fleet: &Fleet) {
        for host in self.members.keys().copied().collect::<Vec<HostIndex>>() {
            self.recover(host, Recovery::Success, fleet);
        }
    }

    /// The transition to publish after a host joined, at log time `now`.
    pub(super) fn after_join(&mut self, now: i64, config: &DetectorConfig) -> Option<Transition> {
        let new = self.hosts() - self.notified_hosts.min(self.hosts());
        let since_told = now.saturating_sub(self.notified_at);
        let grown = match self.phase {
            IncidentPhase::Stable => new >= REGROWTH_HOSTS_MIN.max(self.notified_hosts / 10),
            _ => new > 0 && (new * GROWTH_SHARE >= self.notified_hosts || since_told >= STALE_MS),
        };
        if !grown || since_told < secs_to_ms(config.quiet_secs) || !self.is_open() {
            return None;
        }
        self.phase = IncidentPhase::Spreading;
        Some(Transition::Growing)
    }

    /// The transition to publish because time passed. `clock` is the least log time that every raw partition has
    /// reached.
    pub(super) fn settle(&mut self, clock: i64, config: &DetectorConfig) -> Option<Transition> {
        let since_join = clock - self.joined_at;
        if !self.is_open() {
            return None;
        }
        // Adopted hosts known only as a count can never recover, so the share is of named members.
        let all_but_done = self.recovered as f64 >= config.resolve_share * self.members.len() as f64;
        let calm = since_join >= secs_to_ms(config.quiet_secs);
        if all_but_done && calm && self.recovered > 0 {
            self.phase = IncidentPhase::Resolved;
            self.resolved_at = Some(clock);
            return Some(Transition::Resolved);
        }
        if since_join >= secs_to_ms(config.expire_secs) {
            self.expire(clock);
            return Some(Transition::Expired);
        }
        // Hosts that joined since the last document are published once the time has passed, so that each host is in
        // some document.
        let untold = self.phase == IncidentPhase::Spreading || self.hosts() > self.notified_hosts;
        if untold && since_join >= secs_to_ms(config.stable_secs) {
            self.phase = IncidentPhase::Stable;
            return Some(Transition::Stable);
        }
        self.after_join(clock, config)
    }

    /// Ends the incident as expired at log time `now`.
    pub(super) fn expire(&mut self, now: i64) {
        self.phase = IncidentPhase::Expired;
        self.resolved_at = Some(now);
    }

    /// Members that have recovered only because the update is no longer offered to them.
    pub(super) fn withdrawn(&self) -> u64 {
        self.members.values().filter(|member| member.recovered && member.withdrawn).count() as u64
    }

    /// Removes members and returns them.
    pub(super) fn remove_members(&mut self, hosts: &BTreeSet<HostIndex>) -> Vec<Member> {
        let gone: Vec<Member> = hosts.iter().filter_map(|host| self.members.remove(host)).collect();
        self.recovered -= gone.iter().filter(|member| member.recovered).count() as u64;
        self.notified_hosts = self.notified_hosts.min(self.hosts());
        self.count_subjects();
        let onsets = self.members.values().map(|member| member.onset.since).chain(self.onset_in_document);
        self.onset = onsets.min().unwrap_or(self.onset);
        gone
    }

    /// Forgets members for want of room. They stay in the count of affected hosts.
    pub(super) fn forget_hosts(&mut self, hosts: &BTreeSet<HostIndex>) {
        let forgotten: BTreeSet<HostIndex> = self.members.keys().filter(|host| hosts.contains(host)).copied().collect();
        if forgotten.is_empty() {
            return;
        }
        let told = self.notified_hosts;
        // The host that failed first may be among them.
        self.knows_onset(self.onset);
        self.unnamed_hosts += self.remove_members(&forgotten).len() as u64;
        self.notified_hosts = told;
    }

    /// Numbers of the strings that the incident refers to.
    pub(super) fn strings(&self) -> impl Iterator<Item = StringId> {
        let causes = self.cause.iter().chain(&self.likely).flat_map(|(name, value)| [*name, *value]);
        let onsets = self.members.values().flat_map(|member| member.onset.strings());
        self.subjects.keys().copied().chain(causes).chain(onsets)
    }

    /// Keeps an onset that no member may have.
    pub(super) fn knows_onset(&mut self, onset: i64) {
        self.onset_in_document = Some(onset);
        self.onset = self.onset.min(onset);
    }

    fn count_subjects(&mut self) {
        self.subjects.clear();
        for member in self.members.values() {
            *self.subjects.entry(member.onset.subject).or_default() += 1;
        }
    }

    /// Takes all members of `other`, which has the same cause.
    pub(super) fn absorb(&mut self, other: &mut Incident) {
        for (host, member) in std::mem::take(&mut other.members) {
            self.members.entry(host).and_modify(|known| known.recovered &= member.recovered).or_insert(member);
        }
        self.recovered = self.members.values().filter(|member| member.recovered).count() as u64;
        self.unnamed_hosts += std::mem::take(&mut other.unnamed_hosts);
        self.count_subjects();
        self.families.append(&mut other.families.clone());
        self.onset = self.onset.min(other.onset);
        self.joined_at = self.joined_at.max(other.joined_at);
        self.severity_min = self.severity_min.max(other.severity_min);
        for rule in &other.rules_met {
            if !self.rules_met.contains(rule) {
                self.rules_met.push(rule.clone());
            }
        }
        other.phase = IncidentPhase::Merged;
        other.relations.merged_into = Some(self.id.clone());
        if other.seq > 0 {
            self.relations.merged_from.push(other.id.clone());
            self.relations.merged_from.append(&mut other.relations.merged_from.clone());
        }
    }
}
