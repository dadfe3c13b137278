//! Newly failing hosts that belong to no incident, and whether they are a cluster.
//!
//! The windows slide: each ends at the event time of a failure, so no cluster is cut in two by a boundary or midnight.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wulog_schemas::alert::Method;

use super::config::DetectorConfig;
use super::durations::{DAY_MS, secs_to_ms};
use super::expected_failures::{Rate, TELLING_CHANCE, predict};
use super::fleet::{Fleet, HostIndex, Knows};
use super::fleet_view::FleetView;
use super::onset::Onset;
use super::significance::{Cluster, Significance};
use super::stats::{gamma_poisson_tail, hypergeometric_tail, rounded};
use super::strings::StringId;

/// How far back a slow cause is looked for.
const SLOW_WINDOWS_MS: [i64; 2] = [3 * DAY_MS, 7 * DAY_MS];
/// A slow cause needs so many hosts ...
const SLOW_HOSTS_MIN: u64 = 8;
/// ... of which this share has the value: kinds of hosts that fail twice as often as others do not reach it ...
const SLOW_SHARE_MIN: f64 = 0.75;
/// ... and its probability by chance, times the dimensions and windows looked at, is below this: every failure of every
/// day is one more look.
const SLOW_P_MAX: f64 = 1e-7;
/// At an update at which nobody has succeeded, so many hosts for each one of the least number must fail ...
const NO_SUCCESS_FACTOR: f64 = 1.6;
/// ... and this share of them must have been active a day before they began to: else it is an update that only hosts
/// want which were broken before, and are heard of one after another.
const NO_SUCCESS_KNOWN_MIN: f64 = 0.75;
/// On the first day that is known of a fleet, so many times the least number of hosts must fail at an update.
const FIRST_DAY_FACTOR: u64 = 2;
/// A fleet in which more hosts than this fail by chance in a week is too noisy to be looked at in this way.
const SLOW_ONSETS_MAX: usize = 2_000;

/// The onsets of one family that belong to no incident, by time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Onsets(BTreeMap<(i64, HostIndex), Onset>);

impl Onsets {
    pub(super) fn insert(&mut self, onset: Onset, count_max: usize) {
        self.0.insert((onset.time, onset.host), onset);
        if self.0.len() > count_max {
            self.0.pop_first();
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Onset> {
        self.0.values()
    }

    /// Forgets the onsets of hosts that are forgotten.
    pub(super) fn forget_hosts(&mut self, hosts: &BTreeSet<HostIndex>) {
        self.0.retain(|(_, host), _| !hosts.contains(host));
    }

    pub(super) fn forget_before(&mut self, time: i64) {
        while self.0.first_key_value().is_some_and(|((at, _), _)| *at < time) {
            self.0.pop_first();
        }
    }

    /// Onsets after `from` up to `to`.
    pub(super) fn within(&self, from: i64, to: i64) -> impl Iterator<Item = &Onset> {
        self.0
            .range((from.saturating_add(1), 0)..=(to.max(from.saturating_add(1)), HostIndex::MAX))
            .map(|(_, onset)| onset)
    }

    /// Whether the onset at `time` makes a cluster, looking at the windows that end at it and at the latest onset
    /// within a day after it (it may have come out of order). Takes the hosts of the cluster out.
    pub(super) fn cluster_at(&mut self, time: i64, view: FleetView<'_>) -> Option<Cluster> {
        let FleetView { fleet, config, .. } = view;
        let latest = self.within(time, time + DAY_MS).last().map_or(time, |onset| onset.time);
        let ends = if latest > time { vec![time, latest] } else { vec![time] };
        let windows = ends.iter().flat_map(|end| config.windows_secs.iter().map(|secs| (*end, *secs)));
        let by_window = windows
            .filter_map(|(end, secs)| Some((end, self.judge_window(end, secs, view)?)))
            .min_by(|(_, a), (_, b)| a.p_value.total_cmp(&b.p_value));
        let by_share = || ends.iter().find_map(|end| Some((*end, self.judge_share(*end, view)?)));
        let by_number =
            by_window.into_iter().chain(std::iter::once_with(by_share).flatten()).map(|(end, significance)| {
                let (significance, core) = self.narrow(significance, end, view);
                (end, significance, core)
            });
        let subjects: BTreeSet<StringId> = self.within(time - 1, time).map(|onset| onset.subject).collect();
        let by_subject =
            subjects.iter().flat_map(|subject| ends.iter().map(|end| (*subject, *end))).filter_map(|(subject, end)| {
                let (significance, core) = self.judge_subject(subject, end, view)?;
                Some((end, significance, core))
            });
        // Prefer a cluster significant by size alone; else return the first borderline one, which then needs a shared cause.
        let mut doubtful = None;
        let clear = by_number.chain(by_subject).find(|found| {
            let convinces = found.1.convinces();
            if !convinces && doubtful.is_none() {
                doubtful = Some(found.clone());
            }
            convinces
        });
        match clear.or(doubtful) {
            Some((end, significance, core)) => Some(self.take(significance, core, end, config)),
            None => {
                let (significance, core) = self.judge_slow(time, fleet, config.min_hosts)?;
                Some(self.take_exactly(significance, &core))
            }
        }
    }

    /// Hosts that newly fail over days and nearly all have a value that the fleet does not: a cause that strikes three
    /// hosts a day is not many in any day, but its hosts are alike.
    fn judge_slow(&self, time: i64, fleet: &Fleet, hosts_min: u64) -> Option<(Significance, Vec<Onset>)> {
        let hosts_min = SLOW_HOSTS_MIN.max(hosts_min);
        let host = self.within(time - 1, time).next()?.host;
        let pairs = fleet.traits_of(host);
        let tests = (pairs.len() * SLOW_WINDOWS_MS.len()) as f64;
        for window in SLOW_WINDOWS_MS {
            let still_fails = |onset: &&Onset| onset.still_fails(fleet);
            let all: Vec<&Onset> =
                self.within(time - window, time).filter(still_fails).take(SLOW_ONSETS_MAX + 1).collect();
            if (all.len() as u64) < hosts_min || all.len() > SLOW_ONSETS_MAX {
                continue;
            }
            for pair in pairs {
                let has = |known: Knows| {
                    let hosts: BTreeSet<HostIndex> = all.iter().map(|onset| onset.host).collect();
                    hosts.into_iter().filter(|host| fleet.knows(*host, *pair) == known).count() as u64
                };
                let (with, without) = (has(Knows::Yes), has(Knows::No));
                if with < hosts_min || (with as f64) < SLOW_SHARE_MIN * (with + without) as f64 {
                    continue;
                }
                let (fleet_with, fleet_known) = fleet.sets().hosts_with(*pair);
                let p_value = tests * hypergeometric_tail(with, with + without, fleet_with, fleet_known);
                if p_value >= SLOW_P_MAX {
                    continue;
                }
                let alike = |onset: &&&Onset| fleet.knows(onset.host, *pair) == Knows::Yes;
                let core: Vec<Onset> = all.iter().filter(alike).map(|onset| (*onset).clone()).collect();
                let expected = (with + without) as f64 * fleet_with as f64 / fleet_known.max(1) as f64;
                let significance = Significance {
                    method: Method::Concentration,
                    rule: None,
                    window_secs: (window / 1000).unsigned_abs(),
                    seen_hosts: with,
                    expected_hosts: rounded(expected),
                    p_value: rounded(p_value),
                    alpha: SLOW_P_MAX,
                    history_hosts: without,
                    history_active_quarter_hours: 0,
                    p_well_kept: rounded(p_value),
                };
                return Some((significance, core));
            }
        }
        None
    }

    /// Hosts that newly fail at one update, against all attempts at it: what the fleet's failures at any update predict
    /// for so many attempts. A day is looked at.
    fn judge_subject(&self, subject: StringId, end: i64, view: FleetView<'_>) -> Option<(Significance, Vec<Onset>)> {
        let FleetView { fleet, config, .. } = view;
        // Of other subjects nobody says when they succeed.
        if !fleet.strings.text(subject).starts_with("update:") {
            return None;
        }
        let (begin, from) = (end - secs_to_ms(config.horizon_secs), end - DAY_MS);
        let at_it = |onset: &&Onset| onset.subject == subject;
        let core: Vec<Onset> =
            self.within(from, end).filter(at_it).filter(|onset| onset.still_fails(fleet)).cloned().collect();
        let seen = core.len() as u64;
        if seen < config.min_hosts || core.iter().any(|onset| onset.late) {
            return None;
        }
        let before = self.within(begin, from).filter(at_it).count() as u64;
        if !fleet.attempts.has_succeeded(subject) {
            let was_known = |onset: &&Onset| fleet.hosts[onset.host as usize].was_active_before(onset.since - DAY_MS);
            let known = core.iter().filter(was_known).count() as f64;
            let are_enough = known >= NO_SUCCESS_FACTOR * config.min_hosts as f64;
            if before > 0 || !are_enough || known < NO_SUCCESS_KNOWN_MIN * seen as f64 {
                return None;
            }
        }
        let others = self.within(begin, end).filter(|onset| onset.subject != subject).count() as u64;
        let attempts = fleet.activity.attempts_between(begin, end).saturating_sub(fleet.attempts.at(subject));
        // Before some attempts have come to something, nobody knows that they do.
        if (attempts as f64) < TELLING_CHANCE {
            return None;
        }
        let here = Rate { hosts: seen, chance: fleet.attempts.at(subject).max(seen) as f64 };
        let by_others = predict(here, Rate { hosts: others, chance: attempts as f64 }, config);
        // One that has failed before, here and there, does so at its own rate a day.
        let known_from = fleet.activity.first_ms().unwrap_or(begin).max(begin);
        let days = (from - known_from) as f64 / DAY_MS as f64;
        if before > 0 && days < 1.0 {
            return None;
        }
        // On the first day of a fleet nobody knows which failures are new: a few hosts may have failed there for weeks.
        let is_first_day = fleet.activity.quarters_between(begin, from) < fleet.activity.quarters_between(from, end);
        if is_first_day && seen < FIRST_DAY_FACTOR * config.min_hosts {
            return None;
        }
        let by_itself = if before > 0 { gamma_poisson_tail(seen, before as f64, days, 1.0) } else { 0.0 };
        // Each update that is tried is one more that could stand out by chance.
        let alpha = config.alpha / fleet.attempts.live().max(1) as f64;
        let significance = Significance {
            method: Method::SameUpdate,
            rule: None,
            window_secs: (DAY_MS / 1000).unsigned_abs(),
            seen_hosts: seen,
            expected_hosts: rounded(by_others.expected_hosts),
            p_value: rounded(by_others.p_value.max(by_itself)),
            alpha: rounded(alpha),
            history_hosts: others,
            history_active_quarter_hours: fleet.activity.quarters_between(begin, end),
            p_well_kept: by_others.p_well_kept.max(by_itself),
        };
        (significance.p_well_kept < significance.alpha).then_some((significance, core))
    }

    fn judge_window(&self, end: i64, window_secs: u64, view: FleetView<'_>) -> Option<Significance> {
        let config = view.config;
        let from = end - secs_to_ms(window_secs);
        let seen = self.within(from, end).count() as u64;
        if seen < config.min_hosts {
            return None;
        }
        let significance = self.compare(seen, from, end, Method::GammaPoisson, view);
        if significance.p_well_kept >= significance.alpha {
            return None;
        }
        // Only hosts that still fail are news. They are counted where all together stand out, since this asks each host.
        let failing = self.still_failing(from, end, view.fleet);
        if failing < config.min_hosts {
            return None;
        }
        let significance = self.compare(failing, from, end, Method::GammaPoisson, view);
        (significance.p_well_kept < significance.alpha).then_some(significance)
    }

    /// Onsets after `from` up to `to` of hosts that have not recovered since.
    fn still_failing(&self, from: i64, to: i64, fleet: &Fleet) -> u64 {
        self.within(from, to).filter(|onset| onset.still_fails(fleet)).count() as u64
    }

    /// The floor for small fleets, where a day's window is all that there is.
    fn judge_share(&self, end: i64, view: FleetView<'_>) -> Option<Significance> {
        let FleetView { fleet, config, .. } = view;
        let from = end - DAY_MS;
        let seen = self.still_failing(from, end, fleet);
        let enough = seen >= config.min_hosts
            && seen as f64 >= config.small_fleet_share * fleet.activity.hosts_since(from) as f64;
        enough.then(|| self.compare(seen, from, end, Method::SmallFleet, view))
    }

    /// Compares with the week before the window and what is believed of any fleet.
    pub(super) fn compare(&self, seen: u64, from: i64, end: i64, method: Method, view: FleetView<'_>) -> Significance {
        let FleetView { fleet, config, .. } = view;
        let begin = end - secs_to_ms(config.horizon_secs);
        // Hosts heard of late had a week to fail, not the window: so had all those that were caught up with meanwhile, and
        // who was away brings all that was tried then.
        let exposure = |from, to| {
            let late = self.within(from, to).any(|onset| onset.late);
            let caught_up = fleet.activity.caught_up_between(from, to) as f64 * config.catch_up_active_quarter_hours;
            let backlog = if late { caught_up + fleet.activity.late_attempts_between(from, to) as f64 } else { 0.0 };
            fleet.activity.quarters_between(from, to) as f64 + backlog
        };
        // The quarter in which the window begins belongs to the window alone.
        let history_end = from - 15 * 60 * 1000;
        let history_hosts = self.within(begin, history_end).count() as u64;
        let rate = |hosts, chance| Rate { hosts, chance };
        // A host that failed was active, even where no activity was counted.
        let chance = exposure(from, end).max(seen as f64);
        // On a Patch Tuesday a scan brings several updates, each of which may fail: a number of hosts must be improbable by
        // both counts of chances.
        let tried = |from, to| fleet.activity.attempts_between(from, to) as f64;
        let tried_now = tried(from, end).max(seen as f64) * exposure(from, end)
            / (fleet.activity.quarters_between(from, end) as f64).max(1.0);
        let by_attempts = predict(rate(seen, tried_now), rate(history_hosts, tried(begin, history_end)), config);
        let by_activity = predict(rate(seen, chance), rate(history_hosts, exposure(begin, history_end)), config);
        let prediction = by_activity.or(by_attempts);
        // Each newly failing host is one more look: a large fleet would else be woken by chance alone.
        let looks = (history_hosts as f64 * DAY_MS as f64 / (end - begin) as f64).max(1.0);
        let alpha = if method == Method::SmallFleet { config.small_fleet_alpha } else { config.alpha / looks };
        Significance {
            method,
            rule: None,
            window_secs: ((end - from) / 1000).unsigned_abs(),
            seen_hosts: seen,
            expected_hosts: rounded(prediction.expected_hosts),
            p_value: rounded(prediction.p_value),
            alpha: rounded(alpha),
            history_hosts,
            history_active_quarter_hours: fleet.activity.quarters_between(begin, history_end),
            p_well_kept: prediction.p_well_kept,
        }
    }

    /// The stretch of the window that stands out most, which is when the outbreak began: whoever failed in the window
    /// before it is a bystander, and stays one whatever the order in which records come.
    fn narrow(&self, significance: Significance, end: i64, view: FleetView<'_>) -> (Significance, Vec<Onset>) {
        let config = view.config;
        let in_window = self.within(end - secs_to_ms(significance.window_secs), end);
        let core: Vec<Onset> = in_window.filter(|onset| onset.still_fails(view.fleet)).cloned().collect();
        let starts = 1..=core.len().saturating_sub(usize::try_from(config.min_hosts).unwrap_or(usize::MAX));
        let narrower = starts.map(|first| {
            let seen = (core.len() - first) as u64;
            let from = core[first].time - 1; // - 1, since a window begins after its start
            (first, self.compare(seen, from, end, significance.method, view))
        });
        let best = narrower.min_by(|(_, a), (_, b)| a.p_value.total_cmp(&b.p_value));
        match best {
            Some((first, best)) if best.p_value < significance.p_value => (best, core[first..].to_vec()),
            _ => (significance, core),
        }
    }

    /// The core of a cluster, and who failed at the same subjects in the day before: a short window is often the
    /// first to be sure, and the outbreak began before it. An update that is rolled out ring by ring began to fail days
    /// before: where fewer hosts failed at a subject then than now, they are its beginning.
    pub(super) fn take(
        &mut self,
        significance: Significance,
        core: Vec<Onset>,
        end: i64,
        config: &DetectorConfig,
    ) -> Cluster {
        let mut subjects: BTreeMap<StringId, u64> = BTreeMap::new();
        core.iter().for_each(|onset| *subjects.entry(onset.subject).or_default() += 1);
        let mut keys: BTreeSet<(i64, HostIndex)> = core.iter().map(|onset| (onset.time, onset.host)).collect();
        let before = self.within(end - DAY_MS, end).filter(|onset| subjects.contains_key(&onset.subject));
        keys.extend(before.map(|onset| (onset.time, onset.host)));
        let mut earlier: BTreeMap<StringId, Vec<(i64, HostIndex)>> = BTreeMap::new();
        for onset in self.within(end - secs_to_ms(config.horizon_secs), end - DAY_MS) {
            if subjects.get(&onset.subject).is_some_and(|now| *now >= config.min_hosts) {
                earlier.entry(onset.subject).or_default().push((onset.time, onset.host));
            }
        }
        for (subject, found) in earlier {
            if (found.len() as u64) <= subjects[&subject] {
                keys.extend(found);
            }
        }
        let onsets = keys.iter().filter_map(|key| self.0.remove(key)).collect();
        Cluster { significance, onsets }
    }

    /// Takes out the onset of a host at that time.
    pub(super) fn take_one(&mut self, time: i64, host: HostIndex) -> Option<Onset> {
        self.0.remove(&(time, host))
    }

    /// A cluster of just these.
    pub(super) fn take_exactly(&mut self, significance: Significance, onsets: &[Onset]) -> Cluster {
        let onsets = onsets.iter().filter_map(|onset| self.0.remove(&(onset.time, onset.host))).collect();
        Cluster { significance, onsets }
    }

    /// Whether this onset is still here.
    pub(super) fn has(&self, onset: &Onset) -> bool {
        self.0.contains_key(&(onset.time, onset.host))
    }
}
