//! Signals -> Incidents and Alerts: the Detector.
//!
//! It takes the one partition of `wulog.signals` and gives every transition of every incident as a complete
//! [`Alert`](wulog_schemas::alert::Alert), keyed by the incident's id.
//!
//! ```text
//! Signal -> fleet (what is known of each host) -> newly failing? -> joins an open incident
//!                                                      \-> evidence (sliding windows) -> a new incident
//! Tick ------------------------------------------------------> incidents settle: stable, resolved
//! incident, at a transition -> factors (affected against healthy) -> document
//! ```
//!
//! **What counts.** A host is *newly failing* at its first failure in seven days at a subject; only a success at the
//! same subject re-arms it. It counts once a day and family, and not at all while another subject of the family fails
//! on it already: a host with a broken store fails at every new update, and that is no news. Failures that began more
//! than seven days ago are chronic: set aside and reported. While a host is being caught up with, its failures are
//! history; when it says that it is caught up, what still fails and began within seven days counts.
//!
//! **Time.** Windows are event time, so records may come out of order. An incident opens at the signal that completes
//! the evidence; what is heard of late is judged at the next tick, when its neighbours have been heard of too. The clock is the least log time over all partitions of `wulog.raw`, once each has been heard of; it
//! moves on ticks, and it only settles and expires. Before every partition has been heard of nothing settles.
//!
//! **Bounds** are in [`Limits`]. What no signal can be read from is counted and ignored, and so is a record that the
//! shell skips: a document on the alerts topic would be an alert about nothing.

mod activity;
pub mod config;
mod document;
mod evidence;
mod factors;
mod facts;
mod fleet;
mod incident;
mod remedy;
pub mod stats;
mod strings;
mod symbol;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wulog_schemas::alert::{Level, Transition};
use wulog_schemas::host::hex_digest;
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{Fact, Signal, Tick};
use wulog_schemas::topic::Topic;

pub use config::{DetectorConfig, Limits, Rule};

use evidence::{Cluster, DAY_MS, Onset, Onsets, secs_to_ms};
use fleet::Fleet;
use incident::Incident;

use crate::machine::{InRecord, Machine, Output, SnapshotError};

/// A failure heard of so long after the fact comes out of a backlog. A provisional one waits 5 minutes for its outcome.
const HEARD_LATE_MS: i64 = 15 * 60 * 1000;
/// Times outside 2000-2200 are no times: nothing computed from them means anything.
const TIMES_MS: std::ops::Range<i64> = 946_684_800_000..7_258_118_400_000;
/// Partitions that a raw topic can have; a record that claims more is not ours.
const PARTITIONS_MAX: i32 = 100_000;

/// The machine that turns signals into alerts.
#[derive(Clone, Debug)]
pub struct Detector {
    config: DetectorConfig,
    config_hash: String,
    state: State,
}

/// Everything that a snapshot holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    fleet: Fleet,
    onsets: BTreeMap<Family, Onsets>,
    /// Families with onsets heard of late that no window has been laid on yet, and the time of the latest.
    unjudged: BTreeMap<Family, i64>,
    incidents: Vec<Incident>,
    /// Log time reached by each raw partition.
    partitions: BTreeMap<i32, i64>,
    /// How many raw partitions there are; unknown before the first tick.
    partition_count: Option<i32>,
    /// The greatest log time of any signal: the time of documents.
    log_time: i64,
    /// The clock at the last settling.
    clock: i64,
    counts: Counts,
}

/// What the detector has ignored, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records that are no signal.
    pub unreadable: u64,
    /// Signals whose times are outside 2000-2200.
    pub impossible_times: u64,
    /// Signals of hosts beyond [`Limits::hosts`].
    pub beyond_limits: u64,
    /// Records that the shell skipped because they brought the machine down.
    pub skipped: u64,
}

impl Machine for Detector {
    const NAME: &'static str = "detector";
    const FORMAT: u32 = 1;
    type Config = DetectorConfig;

    fn new(config: &DetectorConfig, _partition: i32, _partitions: i32) -> Detector {
        Detector { config: config.clone(), config_hash: config.hash(), state: State::new() }
    }

    fn apply(&mut self, record: &InRecord<'_>, out: &mut Vec<Output>) {
        match Signal::from_bytes(record.value) {
            Ok(signal) => self.signal(signal, out),
            Err(_) => self.state.counts.unreadable += 1,
        }
    }

    fn skip(&mut self, _record: &InRecord<'_>, _reason: &str, _out: &mut Vec<Output>) {
        self.state.counts.skipped += 1;
    }

    fn snapshot(&self) -> Vec<u8> {
        postcard::to_stdvec(&self.state).expect("the state is plain data")
    }

    fn restore(
        config: &DetectorConfig,
        _partition: i32,
        _partitions: i32,
        bytes: &[u8],
    ) -> Result<Detector, SnapshotError> {
        let refuse = |reason: String| SnapshotError { machine: Self::NAME, reason };
        let (state, rest) = postcard::take_from_bytes(bytes).map_err(|error| refuse(error.to_string()))?;
        if !rest.is_empty() {
            return Err(refuse(format!("{} bytes too many", rest.len())));
        }
        Ok(Detector { config: config.clone(), config_hash: config.hash(), state })
    }
}

impl State {
    fn new() -> State {
        State {
            fleet: Fleet::new(),
            onsets: BTreeMap::new(),
            unjudged: BTreeMap::new(),
            incidents: Vec::new(),
            partitions: BTreeMap::new(),
            partition_count: None,
            log_time: 0,
            clock: 0,
            counts: Counts::default(),
        }
    }
}

impl Detector {
    /// What has been ignored so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state.counts
    }

    /// How many hosts are known.
    #[must_use]
    pub fn hosts_known(&self) -> usize {
        self.state.fleet.hosts.len()
    }

    /// How many incidents are open.
    #[must_use]
    pub fn incidents_open(&self) -> usize {
        self.state.incidents.iter().filter(|incident| incident.is_open()).count()
    }

    fn signal(&mut self, signal: Signal, out: &mut Vec<Output>) {
        if !times_are_possible(&signal) {
            self.state.counts.impossible_times += 1;
            return;
        }
        let (log_time, raw) = (signal.log_time, signal.raw);
        self.state.log_time = self.state.log_time.max(log_time);
        if (0..PARTITIONS_MAX).contains(&raw.partition) {
            let reached = self.state.partitions.entry(raw.partition).or_insert(log_time);
            *reached = log_time.max(*reached);
        }
        match signal.fact {
            Fact::HostFacts(facts) => self.host_facts(&facts, log_time, raw, out),
            Fact::Attempt(attempt) => self.attempt(&attempt, log_time, raw, out),
            Fact::ScanDone(scan) => self.scan_done(&scan, log_time),
            Fact::Tick(tick) => self.tick(tick, out),
        }
    }

    fn newly_failing(&mut self, onset: Onset, family: Family, out: &mut Vec<Output>) {
        let now = self.state.log_time;
        let state = &mut self.state;
        let open = state.incidents.iter().position(|incident| {
            incident.family == family && incident.may_take(&onset) && incident.fits(&onset, &state.fleet)
        });
        if let Some(place) = open {
            state.incidents[place].join(onset, now);
            if let Some(transition) = state.incidents[place].after_join(now, &self.config) {
                self.tell(place, transition, out);
            }
            return;
        }
        let (time, late) = (onset.time, now - onset.since > HEARD_LATE_MS);
        let onsets = state.onsets.entry(family).or_default();
        onsets.forget_before(now - secs_to_ms(self.config.horizon_secs) - DAY_MS);
        onsets.insert(onset, self.config.limits.onsets_per_family);
        if late {
            state.unjudged.entry(family).and_modify(|latest| *latest = time.max(*latest)).or_insert(time);
        } else if let Some(cluster) = onsets.cluster_at(time, family, &state.fleet, &self.config) {
            self.open(cluster, family, out);
        }
    }

    /// Looks at onsets that were heard of late. They wait for a tick, since what brought them (a first installation, a
    /// backlog) is about to bring the rest of the fleet: the first three hosts of it are no picture.
    fn judge_late(&mut self, out: &mut Vec<Output>) {
        for (family, time) in std::mem::take(&mut self.state.unjudged) {
            let onsets = self.state.onsets.entry(family).or_default();
            if let Some(cluster) = onsets.cluster_at(time, family, &self.state.fleet, &self.config) {
                self.open(cluster, family, out);
            }
        }
    }

    /// Opens an incident, or opens one again that was resolved and has the same cause.
    fn open(&mut self, cluster: Cluster, family: Family, out: &mut Vec<Output>) {
        let now = self.state.log_time;
        let state = &mut self.state;
        let again = state.incidents.iter().position(|incident| {
            incident.family == family && incident.returns_in(&cluster, &state.fleet, now, &self.config)
        });
        if let Some(place) = again {
            state.incidents[place].reopen(cluster, now);
            self.tell(place, Transition::Reopened, out);
            return;
        }
        let Some(first) = cluster.onsets.iter().min_by_key(|onset| (onset.since, onset.host)) else {
            return;
        };
        let identity = [
            family.as_str(),
            state.fleet.id_of(first.host),
            state.fleet.strings.text(first.subject),
            &first.since.to_string(),
        ];
        let id = format!("wu-{}", &hex_digest(&identity)[..16]);
        let severity_min = self.rule_severity(cluster.judgement.rule.as_deref());
        let incident = Incident::open(id, family, cluster, severity_min, now);
        self.make_room();
        self.state.incidents.push(incident);
        self.tell(self.state.incidents.len() - 1, Transition::Opened, out);
    }

    fn rule_severity(&self, name: Option<&str>) -> Level {
        let rule = self.config.rules.iter().find(|rule| Some(rule.name.as_str()) == name);
        rule.map_or(Level::Low, |rule| rule.severity)
    }

    fn make_room(&mut self) {
        while self.state.incidents.len() >= self.config.limits.incidents.max(1) {
            let incidents = self.state.incidents.iter().enumerate();
            let oldest = incidents.min_by_key(|(_, incident)| (incident.is_open(), incident.joined_at));
            let place = oldest.map_or(0, |(place, _)| place);
            self.state.incidents.remove(place);
        }
    }

    fn tick(&mut self, tick: Tick, out: &mut Vec<Output>) {
        if (1..PARTITIONS_MAX).contains(&tick.partitions) {
            self.state.partition_count = Some(tick.partitions);
        }
        self.judge_late(out);
        let Some(clock) = self.clock() else { return };
        if clock <= self.state.clock {
            return;
        }
        self.state.clock = clock;
        self.state.fleet.activity.forget_before(clock - secs_to_ms(self.config.horizon_secs) - 2 * DAY_MS);
        for place in 0..self.state.incidents.len() {
            if let Some(transition) = self.state.incidents[place].settle(clock, &self.config) {
                self.tell(place, transition, out);
            }
        }
    }

    /// The least log time over all raw partitions; none before each has been heard of.
    fn clock(&self) -> Option<i64> {
        let count = self.state.partition_count?;
        let known = self.state.partitions.range(0..count);
        let all_known = known.clone().count() == usize::try_from(count).ok()?;
        all_known.then(|| known.map(|(_, reached)| *reached).min())?
    }

    fn tell(&mut self, place: usize, transition: Transition, out: &mut Vec<Output>) {
        let now = self.state.log_time;
        let incident = &mut self.state.incidents[place];
        let family = incident.family;
        let (alert, strangers) =
            document::write(incident, transition, &self.state.fleet, &self.config, &self.config_hash, now);
        let onsets = self.state.onsets.entry(family).or_default();
        for onset in strangers {
            onsets.insert(onset, self.config.limits.onsets_per_family);
        }
        out.push(Output {
            topic: Topic::Alerts,
            value: serde_json::to_vec(&alert).expect("a document holds only strings and finite numbers").into(),
            key: alert.id.into(),
            timestamp_ms: now,
        });
    }
}

fn times_are_possible(signal: &Signal) -> bool {
    let possible = |time: i64| TIMES_MS.contains(&time);
    possible(signal.log_time)
        && match &signal.fact {
            Fact::HostFacts(facts) => {
                facts.last_event_time.is_none_or(possible)
                    && facts.failing.iter().all(|failing| possible(failing.since))
            }
            Fact::Attempt(attempt) => possible(attempt.event_time) && possible(attempt.since),
            Fact::ScanDone(scan) => possible(scan.event_time),
            Fact::Tick(_) => true,
        }
}
