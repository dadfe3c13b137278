//! Signals -> Incidents and Alerts: the Detector.
//!
//! The Detector takes the one partition of `wulog.signals` and gives every transition of every incident as a complete
//! [`Alert`], keyed by the incident's id.
//!
//! ```text
//! Signal -> fleet (the state of each host) -> newly failing? -> joins an open incident
//!                                                  \-> evidence (sliding windows) -> a new incident
//! Tick --------------------------------------------------> incidents settle: stable, resolved, silent, expired
//! incident, at a transition -> factors (affected against healthy) -> split, merged, or as it was -> document
//! Tick, once an hour ----> certificates (inventories) ---> warnings of failures to come
//! Config ------------------------------------------------> the configuration from here on
//! ```
//!
//! **Counting.** A host is *newly failing* at its first failure in seven days at a subject; only a success at the same
//! subject re-arms it. A host counts once a day and family, and not at all while another subject of the family fails
//! on it already: a host with a broken store fails at every new update, which is no news. Failures that began more
//! than seven days ago are chronic: they open nothing, and documents state their number. While a host is being caught
//! up with, its failures count at the event times of the first ones. A late failure of a host that was away counts once
//! the facts of the host say that it still fails.
//!
//! **Time.** Windows are event time, so records may come out of order. An incident opens at the signal that completes
//! the evidence; failures that arrive late are judged at the next tick, when the other hosts of the same backlog have
//! arrived too. The clock is the least log time over all partitions of `wulog.raw`, once each of them has been heard
//! of. The clock moves on ticks, and it only settles and expires. Nothing settles before every partition has been heard
//! of.
//!
//! **Bounds** are in [`DetectorLimits`]; memory has one budget, and `budget` decides which hosts are forgotten. A record that
//! holds no signal is counted and ignored, and so is a record that the shell skips: a document on the alerts topic
//! would be an alert about nothing.

mod certificates;
mod facts;
mod backlog;
mod clocks;
mod durations;
mod fleet;
mod dimension_sets;
mod strings;
mod number_index;
mod activity;
mod attempts;
mod expected_failures;
mod onset;
mod significance;
mod evidence;
mod rules;
mod silence;
mod lifecycle;
mod merge_split;
mod member;
mod incident;
mod incidents;
mod tally;
mod factors;
mod separate_causes;
mod document;
mod document_size;
pub(crate) mod remedy;
mod code_symbol;
mod fleet_view;
mod rebuilt_incidents;
mod recorded_config;
mod handling;
mod budget;
mod figures;
mod answers;
pub mod config;
pub mod stats;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wulog_schemas::alert::{Alert, Provenance, Transition};
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{FactRef, Signal, SignalRef, Tick};
use wulog_schemas::topic::Topic;

pub use config::{CertificateWarnings, DetectorConfig, DetectorLimits, Rule, Wrong};
pub(crate) use rules::{is_subject, unreported};

use backlog::HostBacklog;
use certificates::{Certificates, Warnings};
use durations::{DAY_MS, secs_to_ms};
use evidence::Onsets;
use fleet::Fleet;
use fleet_view::FleetView;
use handling::Orders;
use incidents::Incidents;
use lifecycle::UnconvincingCluster;
use recorded_config::RecordedConfig;

use crate::log_time::LogClock;
use crate::machine::Figure;
use crate::machine::{InRecord, Machine, Output, SnapshotError};
use crate::question::{Answer, Question};

/// A failure that arrives this long after its event time comes out of a backlog. The time is longer than the 5 minutes
/// for which a provisional failure waits for its outcome.
const HEARD_LATE_MS: i64 = 15 * 60 * 1000;
/// Valid times: the years 2000 to 2100. Signals with other times are counted and ignored.
const TIMES_MS: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;
/// Interval at which the fleet is searched for hosts that failed and went silent.
const SILENCE_EVERY_MS: i64 = 6 * 60 * 60 * 1000;

/// The machine that turns signals into alerts.
#[derive(Clone, Debug)]
pub struct Detector {
    /// The configuration that this process was started with.
    start_config: DetectorConfig,
    start_provenance: Provenance,
    /// The configuration in use: the newest one on the signals log, or `start_config` while the log has none.
    config: DetectorConfig,
    provenance: Provenance,
    /// True where documents name all hosts, whatever the configuration says.
    all_hosts: bool,
    /// Whether rules that cannot fire were named in the process's log.
    unreported_named: bool,
    /// The counts at the last notice about hosts and signals that were dropped for a bound.
    noticed: DetectorCounts,
    state: DetectorState,
}

/// Everything that a snapshot holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct DetectorState {
    fleet: Fleet,
    onsets: BTreeMap<Family, Onsets>,
    /// Families with late onsets that are not judged yet, and the time of the latest of these onsets.
    unjudged: BTreeMap<Family, i64>,
    incidents: Incidents,
    /// Log time reached by each raw partition.
    partitions: BTreeMap<i32, LogClock>,
    /// Number of raw partitions; unknown before the first tick.
    partition_count: Option<i32>,
    /// The greatest log time of any signal; documents carry it as their time.
    log_time: i64,
    /// The clock at the last settling.
    clock: i64,
    /// The clock at the last search for silent hosts.
    silence_looked_at: i64,
    /// Hosts that are being caught up with.
    backlog: HostBacklog,
    /// Clusters that are not significant yet, by family.
    unconvincing: BTreeMap<Family, UnconvincingCluster>,
    /// The newest configuration record of the signals log.
    recorded: Option<RecordedConfig>,
    /// The orders of operators: acknowledgements, silences and notes.
    orders: Orders,
    /// The certificates that hosts trust, from the inventories that hosts send.
    certificates: Certificates,
    /// The warnings that inventories give rise to.
    warnings: Warnings,
    counts: DetectorCounts,
    /// Estimated memory of onsets and of members of incidents: counted at the last tick, with later additions.
    bytes_beside: u64,
}

/// Counts of the records, hosts and strings that the detector has ignored or forgotten, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectorCounts {
    /// Records that hold no signal.
    pub unreadable: u64,
    /// Signals whose times are outside 2000-2100.
    pub impossible_times: u64,
    /// Signals of hosts for which there was no room at all.
    pub beyond_limits: u64,
    /// Hosts that were forgotten for want of room: [`DetectorLimits::memory_mib_max`], [`DetectorLimits::hosts`], [`DetectorLimits::strings`].
    pub hosts_forgotten: u64,
    /// Strings that were forgotten for want of room, since nothing referred to them any more.
    pub strings_forgotten: u64,
    /// Configurations on the log that this version cannot run with.
    pub foreign_configs: u64,
    /// Records that the shell skipped because they brought the machine down.
    pub skipped: u64,
}

impl Machine for Detector {
    const NAME: &'static str = "detector";
    const FORMAT: u32 = 12;
    const INPUT: Topic = Topic::Signals;
    const ADOPTS: Option<Topic> = Some(Topic::Alerts);
    type Config = DetectorConfig;
    type Parsed<'r> = ();

    fn new(config: &DetectorConfig, _partition: i32, _partitions: i32) -> Detector {
        Detector::of(config, DetectorState::new())
    }

    fn apply(&mut self, record: &InRecord<'_>, out: &mut Vec<Output>) {
        if let Some(signal) = SignalRef::as_written(record.value) {
            self.signal(&signal, out);
            return;
        }
        match Signal::from_bytes(record.value) {
            Ok(signal) => self.signal(&SignalRef::from(&signal), out),
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
        let (mut state, rest) =
            postcard::take_from_bytes::<DetectorState>(bytes).map_err(|error| refuse(error.to_string()))?;
        if !rest.is_empty() {
            return Err(refuse(format!("{} bytes too many", rest.len())));
        }
        state.fleet.index_again();
        Ok(Detector::of(config, state))
    }

    fn input_due(&self) -> Option<Output> {
        recorded_config::record_due(
            &self.start_config,
            &self.start_provenance,
            self.state.recorded.as_ref(),
            self.state.log_time,
        )
    }

    fn take_notices(&mut self) -> Vec<String> {
        budget::take_notices(self.state.counts, &mut self.noticed)
    }

    fn figures(&self) -> Vec<Figure> {
        figures::figures(&self.state, &self.config)
    }

    fn answer(&self, question: &Question) -> Option<Answer> {
        answers::answer(&self.state, &self.config, question)
    }

    fn adopt(&mut self, documents: &[Vec<u8>]) -> Vec<String> {
        let documents: Vec<Alert> =
            documents.iter().filter_map(|document| serde_json::from_slice(document).ok()).collect();
        let (documents, warnings): (Vec<Alert>, Vec<Alert>) =
            documents.into_iter().partition(|document| document.kind.is_failures());
        warnings.iter().for_each(|document| self.state.warnings.adopt(document));
        let adopted =
            rebuilt_incidents::adopt(&documents, &mut self.state.incidents, &mut self.state.fleet, &self.config);
        for incident in self.state.incidents.all_mut() {
            incident.severity_min = incident.severity_min.max(self.config.severity_of(&incident.rules_met));
        }
        adopted
    }
}

impl DetectorState {
    fn new() -> DetectorState {
        DetectorState {
            fleet: Fleet::new(),
            onsets: BTreeMap::new(),
            unjudged: BTreeMap::new(),
            incidents: Incidents::default(),
            partitions: BTreeMap::new(),
            partition_count: None,
            log_time: 0,
            clock: 0,
            silence_looked_at: 0,
            backlog: HostBacklog::default(),
            unconvincing: BTreeMap::new(),
            recorded: None,
            orders: Orders::default(),
            certificates: Certificates::default(),
            warnings: Warnings::default(),
            counts: DetectorCounts::default(),
            bytes_beside: 0,
        }
    }
}

impl Detector {
    fn of(start_config: &DetectorConfig, state: DetectorState) -> Detector {
        let start_provenance = recorded_config::provenance_of(start_config);
        let running = state.recorded.as_ref().and_then(RecordedConfig::running);
        let (config, provenance) = running.unwrap_or_else(|| (start_config.clone(), start_provenance.clone()));
        Detector {
            start_config: start_config.clone(),
            start_provenance,
            config,
            provenance,
            all_hosts: false,
            unreported_named: false,
            noticed: state.counts,
            state,
        }
    }

    /// This detector, with documents that name all affected hosts, however many they are.
    #[must_use]
    pub fn naming_all_hosts(mut self) -> Detector {
        self.all_hosts = true;
        self
    }

    /// Writes a status document of each open incident. Called where records end, as in a replay.
    pub fn finish(&mut self, out: &mut Vec<Output>) {
        self.name_unreported();
        self.judge_past(out);
        self.judge_late(out);
        for key in self.state.incidents.keys() {
            if self.state.incidents.contains(key) && self.state.incidents[key].is_open() {
                self.publish(key, Transition::Status, out);
            }
        }
        self.finish_warnings(out);
    }

    /// Names rules that cannot fire, once a process: no host has reported a dimension that they look at.
    fn name_unreported(&mut self) {
        if self.unreported_named || self.state.fleet.hosts_known() == 0 {
            return;
        }
        self.unreported_named = true;
        let hosts = self.state.fleet.hosts_known();
        let reported = self.reported_dimensions();
        let listed = Vec::from_iter(reported.iter().copied()).join(", ");
        for (rule, dimension) in rules::unreported(&self.config, &reported) {
            tracing::warn!(
                rule = rule.name,
                dimension,
                hosts,
                reported = listed,
                "no host has reported this dimension, so the rule cannot fire: use one that hosts report"
            );
        }
    }

    /// The dimensions that hosts have reported so far.
    #[must_use]
    pub fn reported_dimensions(&self) -> BTreeSet<&str> {
        let fleet = &self.state.fleet;
        fleet.sets().names().map(|name| fleet.strings.text(name)).collect()
    }

    fn view(&self) -> FleetView<'_> {
        FleetView::new(&self.state.fleet, &self.config, self.state.log_time)
    }

    fn is_reading_backlog(&self) -> bool {
        self.state.backlog.is_being_read(self.state.fleet.hosts_known(), self.state.log_time)
    }

    /// The counts of ignored and forgotten records, hosts and strings.
    #[must_use]
    pub fn counts(&self) -> DetectorCounts {
        self.state.counts
    }

    /// Memory of the state, estimated from the sizes of its parts.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state.bytes()
    }

    /// How many hosts are known.
    #[must_use]
    pub fn hosts_known(&self) -> usize {
        self.state.fleet.hosts_known()
    }

    /// How many incidents are open.
    #[must_use]
    pub fn incidents_open(&self) -> usize {
        self.state.incidents.all().filter(|incident| incident.is_open()).count()
    }

    fn signal(&mut self, signal: &SignalRef<'_>, out: &mut Vec<Output>) {
        let raw = signal.raw;
        if let FactRef::Config(change) = signal.fact {
            // A configuration says nothing about the fleet, so it moves no clock.
            match RecordedConfig::of(change, self.state.log_time) {
                Some((recorded, config)) => {
                    self.provenance = recorded.provenance();
                    self.config = config;
                    self.state.recorded = Some(recorded);
                }
                None => self.state.counts.foreign_configs += 1,
            }
            return;
        }
        if !times_are_possible(signal) {
            self.state.counts.impossible_times += 1;
            return;
        }
        if let FactRef::Handling(order) = signal.fact {
            // An operator's clock may be wrong, so an order moves no clock.
            self.handle(order, signal.log_time, out);
            return;
        }
        let log_time = self.log_time(signal);
        match &signal.fact {
            FactRef::Tick(tick) => self.tick(*tick, out),
            FactRef::Certificates(facts) => self.certificate_facts(facts, log_time),
            fact => self.host_fact(fact, log_time, raw, out),
        }
    }

    fn tick(&mut self, tick: Tick, out: &mut Vec<Output>) {
        self.count_partitions(tick.partitions);
        if !self.is_reading_backlog() {
            self.judge_past(out);
            self.judge_unconvincing();
            self.judge_late(out);
        }
        let Some(clock) = self.clock() else { return };
        if clock <= self.state.clock {
            return;
        }
        self.state.clock = clock;
        self.state.weigh_beside();
        self.state.fleet.activity.forget_before(clock - secs_to_ms(self.config.horizon_secs) - 2 * DAY_MS);
        for key in self.state.incidents.keys() {
            if let Some(transition) = self.state.incidents[key].settle(clock, &self.config) {
                self.publish(key, transition, out);
            }
        }
        if !self.is_reading_backlog() {
            self.look_for_warnings(clock, out);
        }
        if clock >= self.state.silence_looked_at.saturating_add(SILENCE_EVERY_MS) {
            if self.state.silence_looked_at > 0 {
                self.name_unreported();
            }
            self.state.silence_looked_at = clock;
            self.look_for_silence(clock, out);
        }
    }
}

fn times_are_possible(signal: &SignalRef<'_>) -> bool {
    let possible = |time: i64| TIMES_MS.contains(&time);
    possible(signal.log_time)
        && match &signal.fact {
            FactRef::HostFacts { last_event_time, failing, unreadable, .. } => {
                last_event_time.is_none_or(possible)
                    && failing.iter().all(|failing| possible(failing.since))
                    && unreadable.is_none_or(|unreadable| possible(unreadable.since))
            }
            FactRef::Attempt { event_time, since, .. } => possible(*event_time) && possible(*since),
            FactRef::ScanDone { event_time, .. } => possible(*event_time),
            // A file of any age may hold an inventory, and nothing is computed from its age.
            FactRef::Certificates(_) | FactRef::Tick(_) | FactRef::Config(_) | FactRef::Handling(_) => true,
        }
}
