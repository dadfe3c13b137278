//! The life of an incident: opened -> growing -> stable -> resolved -> reopened.
//!
//! One incident a family is open at a time, unless a dimension of the hosts clearly separates: when all of an
//! incident's hosts share a value that healthy hosts do not (its *cause*), a host with another value that fails at
//! other subjects does not join, and several such hosts can make an incident of their own.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wulog_schemas::alert::{Level, Transition};
use wulog_schemas::hresult::Family;

use super::config::DetectorConfig;
use super::evidence::{Cluster, DAY_MS, Judgement, Onset, secs_to_ms};
use super::fleet::{Fleet, HostIndex};
use super::strings::StringId;

/// A stable incident that gains less than a tenth of its hosts, or fewer than this, keeps quiet until they are all.
const REGROWTH_HOSTS_MIN: u64 = 3;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Incident {
    pub(super) id: String,
    pub(super) family: Family,
    pub(super) phase: Phase,
    pub(super) members: BTreeMap<HostIndex, Member>,
    /// Event time of the earliest failure of a member.
    pub(super) onset: i64,
    /// Affected hosts by what they failed at first.
    pub(super) subjects: BTreeMap<StringId, u64>,
    /// A host dimension and the value that all members share, once that is beyond doubt.
    pub(super) cause: Option<(StringId, StringId)>,
    pub(super) judgement: Judgement,
    /// The least severity, from an operator's rule.
    pub(super) severity_min: Level,
    /// Number of the last document.
    pub(super) seq: u32,
    pub(super) opened_at: i64,
    /// Log time at which the latest member joined.
    pub(super) joined_at: i64,
    /// Log time of the last document.
    pub(super) notified_at: i64,
    /// Members in the last document.
    pub(super) notified_hosts: u64,
    pub(super) recovered: u64,
    pub(super) resolved_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    Spreading,
    Stable,
    Resolved,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) onset: Onset,
    pub(super) recovered: bool,
}

impl Incident {
    pub(super) fn open(id: String, family: Family, cluster: Cluster, severity_min: Level, now: i64) -> Incident {
        let mut incident = Incident {
            id,
            family,
            phase: Phase::Spreading,
            members: BTreeMap::new(),
            onset: i64::MAX,
            subjects: BTreeMap::new(),
            cause: None,
            judgement: cluster.judgement,
            severity_min,
            seq: 0,
            opened_at: now,
            joined_at: now,
            notified_at: now,
            notified_hosts: 0,
            recovered: 0,
            resolved_at: None,
        };
        for onset in cluster.onsets {
            incident.join(onset, now);
        }
        incident
    }

    pub(super) fn reopen(&mut self, cluster: Cluster, now: i64) {
        self.phase = Phase::Spreading;
        self.resolved_at = None;
        self.judgement = cluster.judgement;
        for onset in cluster.onsets {
            self.join(onset, now);
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase != Phase::Resolved
    }

    pub(super) fn hosts(&self) -> u64 {
        self.members.len() as u64
    }

    /// Whether a newly failing host belongs here.
    pub(super) fn fits(&self, onset: &Onset, fleet: &Fleet) -> bool {
        let dimensions = &fleet.hosts[onset.host as usize].dimensions;
        self.subjects.contains_key(&onset.subject) || self.cause.is_none_or(|cause| dimensions.contains(&cause))
    }

    /// Whether a new cluster is this incident again, resolved not long ago: the same cause, or mostly the same subjects.
    pub(super) fn returns_in(&self, cluster: &Cluster, fleet: &Fleet, now: i64, config: &DetectorConfig) -> bool {
        let forgotten = secs_to_ms(config.expire_secs);
        if self.resolved_at.is_none_or(|resolved| now - resolved > forgotten) {
            return false;
        }
        let alike = |onset: &&Onset| {
            let dimensions = &fleet.hosts[onset.host as usize].dimensions;
            self.subjects.contains_key(&onset.subject) || self.cause.is_some_and(|cause| dimensions.contains(&cause))
        };
        2 * cluster.onsets.iter().filter(alike).count() >= cluster.onsets.len()
    }

    pub(super) fn join(&mut self, onset: Onset, now: i64) {
        self.joined_at = self.joined_at.max(now);
        self.onset = self.onset.min(onset.since);
        match self.members.get_mut(&onset.host) {
            Some(member) => {
                if member.recovered {
                    self.recovered -= 1;
                }
                // The first failure stays the evidence; only recovery starts anew, at the new subject.
                member.recovered = false;
                member.onset.subject = onset.subject;
            }
            None => {
                *self.subjects.entry(onset.subject).or_default() += 1;
                self.members.insert(onset.host, Member { onset, recovered: false });
            }
        }
    }

    /// The member failed again after it had recovered.
    pub(super) fn relapse(&mut self, host: HostIndex, subject: StringId) -> bool {
        let Some(member) = self.members.get_mut(&host) else {
            return false;
        };
        if member.recovered {
            member.recovered = false;
            member.onset.subject = subject;
            self.recovered -= 1;
        }
        true
    }

    pub(super) fn recover(&mut self, host: HostIndex, subject: StringId) {
        if let Some(member) = self.members.get_mut(&host)
            && member.onset.subject == subject
            && !member.recovered
        {
            member.recovered = true;
            self.recovered += 1;
        }
    }

    /// What is to be told after a host joined, at log time `now`.
    pub(super) fn after_join(&mut self, now: i64, config: &DetectorConfig) -> Option<Transition> {
        let new = self.hosts() - self.notified_hosts.min(self.hosts());
        let doubled = self.hosts() >= 2 * self.notified_hosts;
        let regrown = self.phase == Phase::Stable && new >= REGROWTH_HOSTS_MIN.max(self.notified_hosts / 10);
        let quiet = now < self.notified_at.saturating_add(secs_to_ms(config.quiet_secs));
        if quiet || !self.is_open() || !(doubled || regrown) {
            return None;
        }
        self.phase = Phase::Spreading;
        Some(Transition::Growing)
    }

    /// What is to be told because time passed: `clock` is the least log time that every raw partition has reached.
    pub(super) fn settle(&mut self, clock: i64, config: &DetectorConfig) -> Option<Transition> {
        let since_join = clock - self.joined_at;
        if !self.is_open() {
            return None;
        }
        let all_but_done = self.recovered as f64 >= config.resolve_share * self.hosts() as f64;
        let calm = since_join >= secs_to_ms(config.quiet_secs);
        if (all_but_done && calm) || since_join >= secs_to_ms(config.expire_secs) {
            self.phase = Phase::Resolved;
            self.resolved_at = Some(clock);
            return Some(Transition::Resolved);
        }
        // Stragglers are told of once their time has passed too: no host stays out of every document.
        let untold = self.phase == Phase::Spreading || self.hosts() > self.notified_hosts;
        if untold && since_join >= secs_to_ms(config.stable_secs) {
            self.phase = Phase::Stable;
            return Some(Transition::Stable);
        }
        self.after_join(clock, config)
    }

    /// Whether the incident is open, and the onset not of another time: before the incident began, only who failed at
    /// the same subject, as the cluster itself was made.
    pub(super) fn may_take(&self, onset: &Onset) -> bool {
        let begun = onset.time >= self.onset || self.subjects.contains_key(&onset.subject);
        self.is_open() && begun && onset.time >= self.onset - DAY_MS
    }

    /// Lets go of hosts that have another value than the cause and failed at what no host with it failed at: they came
    /// in before the cause was known.
    pub(super) fn let_go(&mut self, cause: (StringId, StringId), fleet: &Fleet) -> Vec<Onset> {
        let has_cause = |host: &HostIndex| fleet.hosts[*host as usize].dimensions.contains(&cause);
        let subjects: BTreeSet<StringId> =
            self.members.iter().filter(|(host, _)| has_cause(host)).map(|(_, member)| member.onset.subject).collect();
        let strangers: Vec<HostIndex> = self
            .members
            .iter()
            .filter(|(host, member)| !has_cause(host) && !subjects.contains(&member.onset.subject))
            .map(|(host, _)| *host)
            .collect();
        let gone: Vec<Member> = strangers.iter().filter_map(|host| self.members.remove(host)).collect();
        self.recovered -= gone.iter().filter(|member| member.recovered).count() as u64;
        for member in &gone {
            if let Some(hosts) = self.subjects.get_mut(&member.onset.subject) {
                *hosts = hosts.saturating_sub(1);
            }
        }
        self.subjects.retain(|_, hosts| *hosts > 0);
        self.onset = self.members.values().map(|member| member.onset.since).min().unwrap_or(self.onset);
        gone.into_iter().map(|member| member.onset).collect()
    }
}
