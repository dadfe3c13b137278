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

/// Windows of the test for a slow cause, [`Onsets::judge_slow`].
const SLOW_WINDOWS_MS: [i64; 2] = [3 * DAY_MS, 7 * DAY_MS];
/// Least number of hosts with the shared value for a slow cause; `min_hosts` where it is larger.
const SLOW_HOSTS_MIN: u64 = 8;
/// Least share of the newly failing hosts with a known value that must have the shared value. A kind of host that fails
/// twice as often as other kinds does not reach this share.
const SLOW_SHARE_MIN: f64 = 0.75;
/// Significance level of a slow cause, for the hypergeometric p-value times the number of values and windows. The level
/// is low, since the test is repeated at each newly failing host.
const SLOW_P_MAX: f64 = 1e-7;
/// At an update at which no host has succeeded, at least this many times `min_hosts` hosts must newly fail that were
/// active more than a day before their first failure ...
const NO_SUCCESS_FACTOR: f64 = 1.6;
/// ... and they must be at least this share of the hosts that newly fail there. Otherwise the update may be one that
/// only broken hosts want, and the Detector merely hears of one broken host after another.
const NO_SUCCESS_KNOWN_MIN: f64 = 0.75;
/// At least this many times `min_hosts` hosts must newly fail at one update while most of the known activity of the
/// fleet lies within the last day.
const FIRST_DAY_FACTOR: u64 = 2;
/// Onsets in a window beyond which the test for a slow cause is skipped, since the fleet is too noisy for the test.
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

    /// Number of onsets.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All onsets, by time.
    pub(super) fn all(&self) -> impl Iterator<Item = &Onset> {
        self.0.values()
    }

    /// Forgets the onsets of forgotten hosts.
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

    /// Searches for a cluster around the onset at `time`, and takes the onsets of the cluster out. The windows end at
    /// `time` and at the latest onset within a day after it, since the onset may have arrived out of order.
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
        // Prefer a cluster significant by size alone; else return the first borderline one, which then needs a shared
        // cause.
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

    /// Tests for a slow cause: hosts that newly fail over days and nearly all share a value that is rarer in the fleet.
    /// A cause that makes three hosts a day fail is not significant by number on any day, but its hosts are alike.
    ///
    /// The p-value is a hypergeometric tail, times the number of values and windows that are tested: the probability
    /// that so many of the newly failing hosts have the value if they are drawn from the fleet at random.
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

    /// Tests the number of hosts that newly fail at one update within a day, per attempt at this update. The expected
    /// number comes from the failures and attempts at all other subjects within the horizon; where the update failed
    /// before the last day, from the update's own rate of failing hosts too, and the larger p-value counts.
    fn judge_subject(&self, subject: StringId, end: i64, view: FleetView<'_>) -> Option<(Significance, Vec<Onset>)> {
        let FleetView { fleet, config, .. } = view;
        // Only updates: a success at a server or file is reported only where it ends a failure, so it is missing in the
        // attempts.
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
        // With fewer attempts at other subjects, the failure rate of the fleet is unknown.
        if (attempts as f64) < TELLING_CHANCE {
            return None;
        }
        let here = Rate { hosts: seen, chance: fleet.attempts.at(subject).max(seen) as f64 };
        let by_others = predict(here, Rate { hosts: others, chance: attempts as f64 }, config);
        // The rate of an update that failed before is in hosts a day, so at least one day before the last one must be
        // known.
        let known_from = fleet.activity.first_ms().unwrap_or(begin).max(begin);
        let days = (from - known_from) as f64 / DAY_MS as f64;
        if before > 0 && days < 1.0 {
            return None;
        }
        // On the first day of a fleet, new failures cannot be told from old ones: some hosts may have failed for weeks.
        let is_first_day = fleet.activity.quarters_between(begin, from) < fleet.activity.quarters_between(from, end);
        if is_first_day && seen < FIRST_DAY_FACTOR * config.min_hosts {
            return None;
        }
        let by_itself = if before > 0 { gamma_poisson_tail(seen, before as f64, days, 1.0) } else { 0.0 };
        // Bonferroni correction: each subject that was tried today or yesterday is one more test.
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

    /// Tests the number of newly failing hosts in the window of `window_secs` that ends at `end`.
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
        // Only hosts that still fail count. This question is asked of each host, so it follows the quicker test of all
        // onsets.
        let failing = self.still_failing(from, end, view.fleet);
        if failing < config.min_hosts {
            return None;
        }
        let significance = self.compare(failing, from, end, Method::GammaPoisson, view);
        (significance.p_well_kept < significance.alpha).then_some(significance)
    }

    /// Number of onsets after `from` up to `to` whose hosts still fail.
    fn still_failing(&self, from: i64, to: i64, fleet: &Fleet) -> u64 {
        self.within(from, to).filter(|onset| onset.still_fails(fleet)).count() as u64
    }

    /// Tests whether the hosts that newly failed within a day and still fail are the share `small_fleet_share` of the
    /// active hosts. A small fleet has too few hosts for a number to be significant at `alpha`, so `small_fleet_alpha`
    /// applies.
    fn judge_share(&self, end: i64, view: FleetView<'_>) -> Option<Significance> {
        let FleetView { fleet, config, .. } = view;
        let from = end - DAY_MS;
        let seen = self.still_failing(from, end, fleet);
        let enough = seen >= config.min_hosts
            && seen as f64 >= config.small_fleet_share * fleet.activity.hosts_since(from) as f64;
        enough.then(|| self.compare(seen, from, end, Method::SmallFleet, view))
    }

    /// The significance of `seen` newly failing hosts after `from` up to `end`. The p-value is the probability of at
    /// least so many, predicted from the prior and from the onsets within the horizon before the window, see
    /// [`predict`]. The prediction is made per active quarter hour and per attempt, and the larger p-value counts.
    pub(super) fn compare(&self, seen: u64, from: i64, end: i64, method: Method, view: FleetView<'_>) -> Significance {
        let FleetView { fleet, config, .. } = view;
        let begin = end - secs_to_ms(config.horizon_secs);
        // A failure that arrived late may have begun at any time of the horizon, not only in the window. So where the
        // range has a late onset, its exposure also counts the hosts that were caught up with in it, at
        // `catch_up_active_quarter_hours` each, and the attempts that arrived late in it.
        let exposure = |from, to| {
            let late = self.within(from, to).any(|onset| onset.late);
            let caught_up = fleet.activity.caught_up_between(from, to) as f64 * config.catch_up_active_quarter_hours;
            let backlog = if late { caught_up + fleet.activity.late_attempts_between(from, to) as f64 } else { 0.0 };
            fleet.activity.quarters_between(from, to) as f64 + backlog
        };
        // - 15 minutes, since activity is counted by quarter hour, and the window already counts the one that holds
        // `from`.
        let history_end = from - 15 * 60 * 1000;
        let history_hosts = self.within(begin, history_end).count() as u64;
        let rate = |hosts, chance| Rate { hosts, chance };
        // Each host that failed was active, even where no activity was counted.
        let chance = exposure(from, end).max(seen as f64);
        // On a Patch Tuesday a scan brings several updates, each of which may fail. So the number of hosts must be
        // improbable per active quarter hour and per attempt. A backlog raises the attempts by the same factor as the
        // exposure.
        let tried = |from, to| fleet.activity.attempts_between(from, to) as f64;
        let tried_now = tried(from, end).max(seen as f64) * exposure(from, end)
            / (fleet.activity.quarters_between(from, end) as f64).max(1.0);
        let by_attempts = predict(rate(seen, tried_now), rate(history_hosts, tried(begin, history_end)), config);
        let by_activity = predict(rate(seen, chance), rate(history_hosts, exposure(begin, history_end)), config);
        let prediction = by_activity.or(by_attempts);
        // Bonferroni correction: each newly failing host is one more test, so `alpha` is divided by the onsets a day.
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

    /// Moves the start of a significant window to the onset that gives the smallest p-value, which is when the outbreak
    /// began. Hosts that failed in the window before this start are bystanders, in whatever order records arrive.
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

    /// Takes out the core of a cluster and the earlier onsets that belong to it. A short window is often the first to
    /// be significant, and the outbreak began before it: so the onsets of the last day at the core's subjects belong to
    /// it. An update that is rolled out ring by ring began to fail days before: where fewer hosts, or as many, failed
    /// at a subject earlier in the horizon than in the core, and the core has at least `min_hosts` there, those onsets
    /// belong to it too.
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

    /// Takes out the onset of `host` at `time`.
    pub(super) fn take_one(&mut self, time: i64, host: HostIndex) -> Option<Onset> {
        self.0.remove(&(time, host))
    }

    /// Takes out exactly `onsets`, as a cluster.
    pub(super) fn take_exactly(&mut self, significance: Significance, onsets: &[Onset]) -> Cluster {
        let onsets = onsets.iter().filter_map(|onset| self.0.remove(&(onset.time, onset.host))).collect();
        Cluster { significance, onsets }
    }

    /// Whether this onset is still here.
    pub(super) fn has(&self, onset: &Onset) -> bool {
        self.0.contains_key(&(onset.time, onset.host))
    }
}
