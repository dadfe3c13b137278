//! Newly failing hosts that belong to no incident, and whether they are a cluster.
//!
//! The windows slide: each ends at the event time of a failure, so no cluster is cut in two by a boundary or midnight.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wulog_schemas::alert::{Detection, Method};
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::RawPosition;

use super::config::{DetectorConfig, Rule};
use super::fleet::{Fleet, HostIndex};
use super::stats::{gamma_poisson_tail, rounded};
use super::strings::StringId;

pub(super) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A host counted as newly failing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Onset {
    pub(super) host: HostIndex,
    pub(super) subject: StringId,
    pub(super) code: StringId,
    /// Where it stands in the windows: its event time, or the log time of hearing of it when that was late.
    pub(super) time: i64,
    /// Event time of the first failure.
    pub(super) since: i64,
    pub(super) raw: RawPosition,
    /// Heard of more than a day after the fact.
    pub(super) late: bool,
}

/// The onsets of one family that belong to no incident, by time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Onsets(BTreeMap<(i64, HostIndex), Onset>);

/// Why newly failing hosts are a cluster. The fields are those of [`Detection`], of which a snapshot can't hold the
/// optional ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Judgement {
    method: Method,
    pub(super) rule: Option<String>,
    window_secs: u64,
    seen_hosts: u64,
    expected_hosts: f64,
    p_value: f64,
    alpha: f64,
    history_hosts: u64,
    history_active_quarter_hours: u64,
}

/// A cluster: why, and who.
pub(super) struct Cluster {
    pub(super) judgement: Judgement,
    pub(super) onsets: Vec<Onset>,
}

impl Judgement {
    pub(super) fn document(&self) -> Detection {
        Detection {
            method: self.method,
            rule: self.rule.clone(),
            window_secs: self.window_secs,
            seen_hosts: self.seen_hosts,
            expected_hosts: self.expected_hosts,
            p_value: self.p_value,
            alpha: self.alpha,
            history_hosts: self.history_hosts,
            history_active_quarter_hours: self.history_active_quarter_hours,
        }
    }
}

impl Onsets {
    pub(super) fn insert(&mut self, onset: Onset, count_max: usize) {
        self.0.insert((onset.time, onset.host), onset);
        if self.0.len() > count_max {
            self.0.pop_first();
        }
    }

    pub(super) fn forget_before(&mut self, time: i64) {
        while self.0.first_key_value().is_some_and(|((at, _), _)| *at < time) {
            self.0.pop_first();
        }
    }

    /// Onsets after `from` up to `to`.
    fn within(&self, from: i64, to: i64) -> impl Iterator<Item = &Onset> {
        self.0
            .range((from.saturating_add(1), 0)..=(to.max(from.saturating_add(1)), HostIndex::MAX))
            .map(|(_, onset)| onset)
    }

    /// Whether the onset at `time` makes a cluster, looking at the windows that end at it and at the latest onset
    /// within a day after it (it may have come out of order). Takes the hosts of the cluster out.
    pub(super) fn cluster_at(
        &mut self,
        time: i64,
        family: Family,
        fleet: &Fleet,
        config: &DetectorConfig,
    ) -> Option<Cluster> {
        let latest = self.within(time, time + DAY_MS).last().map_or(time, |onset| onset.time);
        let ends = if latest > time { vec![time, latest] } else { vec![time] };
        let judgement = ends
            .iter()
            .flat_map(|end| config.windows_secs.iter().map(|secs| (*end, *secs)))
            .filter_map(|(end, secs)| Some((end, self.judge_window(end, secs, fleet, config)?)))
            .min_by(|(_, a), (_, b)| a.p_value.total_cmp(&b.p_value))
            .or_else(|| ends.iter().find_map(|end| Some((*end, self.judge_share(*end, fleet, config)?))));
        if let Some((end, judgement)) = judgement {
            let (judgement, core) = self.narrow(judgement, end, fleet, config);
            return Some(self.take(judgement, core, end));
        }
        for rule in config.rules.iter().filter(|rule| rule.families.is_empty() || rule.families.contains(&family)) {
            for end in &ends {
                if let Some((judgement, core)) = self.judge_rule(*end, rule, fleet, config) {
                    return Some(self.take(judgement, core, *end));
                }
            }
        }
        None
    }

    fn judge_window(&self, end: i64, window_secs: u64, fleet: &Fleet, config: &DetectorConfig) -> Option<Judgement> {
        let from = end - secs_to_ms(window_secs);
        let seen = self.within(from, end).count() as u64;
        if seen < config.min_hosts {
            return None;
        }
        let judgement = self.compare(seen, from, end, Method::GammaPoisson, fleet, config);
        (judgement.p_value < config.alpha).then_some(judgement)
    }

    /// The floor for small fleets, where a day's window is all that there is.
    fn judge_share(&self, end: i64, fleet: &Fleet, config: &DetectorConfig) -> Option<Judgement> {
        let from = end - DAY_MS;
        let seen = self.within(from, end).count() as u64;
        let enough = seen >= config.min_hosts
            && seen as f64 >= config.small_fleet_share * fleet.activity.hosts_since(from) as f64;
        enough.then(|| self.compare(seen, from, end, Method::SmallFleet, fleet, config))
    }

    fn judge_rule(
        &self,
        end: i64,
        rule: &Rule,
        fleet: &Fleet,
        config: &DetectorConfig,
    ) -> Option<(Judgement, Vec<Onset>)> {
        let wanted: Vec<(StringId, StringId)> = rule
            .dimensions
            .iter()
            .map(|(name, value)| Some((fleet.strings.find(name)?, fleet.strings.find(value)?)))
            .collect::<Option<_>>()?;
        let from = end - secs_to_ms(rule.within_secs);
        let fits = |onset: &&Onset| {
            let host = &fleet.hosts[onset.host as usize];
            wanted.iter().all(|pair| host.dimensions.contains(pair) || host.operations.contains(pair))
        };
        let core: Vec<Onset> = self.within(from, end).filter(fits).cloned().collect();
        let seen = core.iter().map(|onset| onset.host).collect::<BTreeSet<_>>().len() as u64;
        let active = fleet.activity.hosts_since(from) as f64;
        let enough = seen >= rule.min_hosts && seen as f64 >= rule.min_share * active;
        let mut judgement = enough.then(|| self.compare(seen, from, end, Method::Rule, fleet, config))?;
        judgement.rule = Some(rule.name.clone());
        Some((judgement, core))
    }

    /// Compares with the week before the window, the prior added.
    fn compare(
        &self,
        seen: u64,
        from: i64,
        end: i64,
        method: Method,
        fleet: &Fleet,
        config: &DetectorConfig,
    ) -> Judgement {
        let begin = end - secs_to_ms(config.horizon_secs);
        // Hosts heard of late had a week to fail, not the window: so had all those that were caught up with meanwhile.
        let exposure = |from, to| {
            let late = self.within(from, to).any(|onset| onset.late);
            let caught_up = if late { fleet.activity.caught_up_between(from, to) as f64 } else { 0.0 };
            fleet.activity.quarters_between(from, to) as f64 + caught_up * config.catch_up_active_quarter_hours
        };
        // The quarter in which the window begins belongs to the window alone.
        let history_end = from - 15 * 60 * 1000;
        let history_hosts = self.within(begin, history_end).count() as u64;
        let events = config.prior_hosts + history_hosts as f64;
        let history = config.prior_active_quarter_hours + exposure(begin, history_end);
        // A host that failed was active, whatever the books say.
        let chance = exposure(from, end).max(seen as f64);
        Judgement {
            method,
            rule: None,
            window_secs: ((end - from) / 1000).unsigned_abs(),
            seen_hosts: seen,
            expected_hosts: rounded(events * chance / history),
            p_value: rounded(gamma_poisson_tail(seen, events, history, chance)),
            alpha: config.alpha,
            history_hosts,
            history_active_quarter_hours: fleet.activity.quarters_between(begin, history_end),
        }
    }

    /// The stretch of the window that stands out most, which is when the outbreak began: whoever failed in the window
    /// before it is a bystander, and stays one whatever the order in which records come.
    fn narrow(
        &self,
        judgement: Judgement,
        end: i64,
        fleet: &Fleet,
        config: &DetectorConfig,
    ) -> (Judgement, Vec<Onset>) {
        let core: Vec<Onset> = self.within(end - secs_to_ms(judgement.window_secs), end).cloned().collect();
        let starts = 1..=core.len().saturating_sub(usize::try_from(config.min_hosts).unwrap_or(usize::MAX));
        let narrower = starts.map(|first| {
            let seen = (core.len() - first) as u64;
            let from = core[first].time - 1; // - 1, since a window begins after its start
            (first, self.compare(seen, from, end, judgement.method, fleet, config))
        });
        let best = narrower.min_by(|(_, a), (_, b)| a.p_value.total_cmp(&b.p_value));
        match best {
            Some((first, best)) if best.p_value < judgement.p_value => (best, core[first..].to_vec()),
            _ => (judgement, core),
        }
    }

    /// The core of a cluster, and who failed at the same subjects in the day before: a short window is often the
    /// first to be sure, and the outbreak began before it.
    fn take(&mut self, judgement: Judgement, core: Vec<Onset>, end: i64) -> Cluster {
        let subjects: BTreeSet<StringId> = core.iter().map(|onset| onset.subject).collect();
        let mut keys: BTreeSet<(i64, HostIndex)> = core.iter().map(|onset| (onset.time, onset.host)).collect();
        let before = self.within(end - DAY_MS, end).filter(|onset| subjects.contains(&onset.subject));
        keys.extend(before.map(|onset| (onset.time, onset.host)));
        let onsets = keys.iter().filter_map(|key| self.0.remove(key)).collect();
        Cluster { judgement, onsets }
    }
}

pub(super) fn secs_to_ms(secs: u64) -> i64 {
    i64::try_from(secs).unwrap_or(i64::MAX / 4000).saturating_mul(1000)
}
