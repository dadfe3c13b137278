//! The scenario suite: fleets with ground truth, at sizes at which lines of text would take hours.
//!
//! ```text
//! Scenario -> Plan -> world: Life x N -> Doing -> signals -> Detector -> alerts -> score, against what really happened
//!                                            \-> lines -> Normalizer -> Detector   (small sizes: both must agree)
//!                                            \-> baseline: rules that only count
//! ```
//!
//! Hosts scan every 17-22 h while they are switched on: servers always, workstations in office hours of their site, laptops
//! not every week. They try the day's definitions, a third-party update every third day, three patches on Patch Tuesday.
//! One attempt in 2,500 fails by itself, a few hosts are chronically broken, one loops.

mod baseline;
mod incidents;
mod life;
mod lines;
mod plan;
mod population;
mod queue;
mod score;
mod signals;
mod table;
mod time;
mod traps;
mod world;

use wulog_processor::detect::{Detector, DetectorConfig};
use wulog_processor::machine::{InRecord, Machine, Output};
use wulog_processor::pipeline::Pipeline;
use wulog_schemas::alert::Alert;
use wulog_schemas::topic::Topic;

use plan::Plan;
use signals::Signals;

pub use lines::Style;
pub use score::{FaultScore, RuleScore, Score};
pub use table::{markdown, percentile};

/// One way in which a fleet fails, or seems to fail.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its id in `scenarios/*.tsv`.
    pub id: &'static str,
    plan: fn(u64, u32) -> Plan,
    is_found: bool,
    /// True if the incident must be resolved in the end.
    pub resolves: bool,
    /// True where the last document must name silent hosts.
    pub tells_silence: bool,
}

impl Scenario {
    fn found(id: &'static str, plan: fn(u64, u32) -> Plan) -> Scenario {
        Scenario { id, plan, is_found: true, resolves: false, tells_silence: false }
    }

    fn quiet(id: &'static str, plan: fn(u64, u32) -> Plan) -> Scenario {
        Scenario { is_found: false, ..Scenario::found(id, plan) }
    }

    fn resolves(self) -> Scenario {
        Scenario { resolves: true, ..self }
    }

    fn tells_silence(self) -> Scenario {
        Scenario { tells_silence: true, ..self }
    }

    /// Whether the run must have an incident; otherwise it must have no alert.
    #[must_use]
    pub fn is_found(&self) -> bool {
        self.is_found
    }

    /// Runs the scenario as signals.
    #[must_use]
    pub fn run(&self, seed: u64, hosts: u32) -> Score {
        self.run_with(seed, hosts, &DetectorConfig::default())
    }

    /// Runs the scenario with another configuration of the detector.
    #[must_use]
    pub fn run_with(&self, seed: u64, hosts: u32, config: &DetectorConfig) -> Score {
        let plan = (self.plan)(seed, hosts);
        let mut detector = Detector::new(config, 0, 1);
        let mut out = Vec::new();
        let mut signals = 0;
        let mut feed = |record: &InRecord<'_>| {
            signals += 1;
            detector.apply(record, &mut out);
        };
        let mut sink = Signals::new(&plan, hosts as usize);
        let (struck, failures) = world::live(seed, hosts, &plan, &mut sink, &mut feed);
        Score::new(self, &plan, hosts, &struck, &failures, alerts(&out), signals)
    }

    /// The signals, one JSON document each.
    #[must_use]
    pub fn signals(&self, seed: u64, hosts: u32) -> Vec<Vec<u8>> {
        let plan = (self.plan)(seed, hosts);
        let mut sink = Signals::new(&plan, hosts as usize);
        let mut all = Vec::new();
        world::live(seed, hosts, &plan, &mut sink, &mut |record| all.push(record.value.to_vec()));
        all
    }

    /// Runs the scenario as log lines through the Normalizer.
    #[must_use]
    pub fn run_as_text(&self, seed: u64, hosts: u32, style: Style) -> Score {
        let plan = (self.plan)(seed, hosts);
        let normalizer = lines::normalizer();
        let mut pipeline = Pipeline::new(&normalizer, &DetectorConfig::default(), world::PARTITIONS);
        let (mut out, mut scratch) = (Vec::new(), Vec::new());
        let mut sink = lines::Lines::new(&plan, hosts as usize, style);
        let mut signals = 0;
        let mut feed = |record: &InRecord<'_>| {
            pipeline.apply(record, &mut scratch);
            signals += scratch.iter().filter(|output| output.topic == Topic::Signals).count() as i64;
            out.extend(scratch.drain(..).filter(|output| output.topic == Topic::Alerts));
        };
        let (struck, failures) = world::live(seed, hosts, &plan, &mut sink, &mut feed);
        Score::new(self, &plan, hosts, &struck, &failures, alerts(&out), signals)
    }
}

fn alerts(outputs: &[Output]) -> Vec<Alert> {
    let read = |output: &Output| serde_json::from_slice(&output.value).expect("an alert is what the contract says");
    outputs.iter().map(read).collect()
}

/// All scenarios, in the order of the tables.
#[must_use]
pub fn all() -> Vec<Scenario> {
    [incidents::incidents(), traps::traps(), traps::long_runs()].concat()
}

/// The tables in `scenarios/`: id and the further columns.
#[must_use]
pub fn facts() -> Vec<Vec<&'static str>> {
    let tables = [include_str!("../../scenarios/incidents.tsv"), include_str!("../../scenarios/traps.tsv")];
    let rows =
        tables.into_iter().flat_map(str::lines).filter(|line| !line.starts_with('#') && !line.starts_with("id\t"));
    rows.map(|line| line.split('\t').collect()).collect()
}
