//! The figures behind `/metrics`. Threads record their work, and a request reads the records.
//!
//! Labels are topics, partitions, machines, states, families, severities and names of channels, so the number of series
//! does not grow with the number of hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use serde::Serialize;

/// Labels of a series: names and values.
pub type Labels = Vec<(&'static str, String)>;
/// Figures of machines, by name and labels.
pub type Figures = BTreeMap<(&'static str, Labels), i64>;
type FloatGauge = Gauge<f64, AtomicU64>;

/// Buckets of transactions and deliveries, in seconds.
const SECONDS: [f64; 9] = [0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 3.0, 10.0, 60.0];

/// All figures, and whether the parts are alive and ready. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Shared>);

struct Shared {
    registry: Registry,
    records: Family<Labels, Counter>,
    bytes: Family<Labels, Counter>,
    lag_seconds: Family<Labels, FloatGauge>,
    lag_records: Family<Labels, Gauge>,
    transactions: Family<Labels, Histogram>,
    aborts: Family<Labels, Counter>,
    retries: Family<Labels, Counter>,
    rebalances: Family<Labels, Counter>,
    outage: Family<Labels, Gauge>,
    outages: Family<Labels, Counter>,
    snapshot_time: Family<Labels, FloatGauge>,
    snapshot_bytes: Family<Labels, Gauge>,
    load_seconds: Family<Labels, FloatGauge>,
    panics: Family<Labels, Counter>,
    refused: Family<Labels, Counter>,
    machine: Family<Labels, Gauge>,
    channel_delivered: Family<Labels, Counter>,
    channel_failed: Family<Labels, Counter>,
    channel_parked: Family<Labels, Counter>,
    channel_left_out: Family<Labels, Counter>,
    channel_unreadable: Family<Labels, Counter>,
    channel_backlog: Family<Labels, Gauge>,
    channel_held: Family<Labels, Gauge>,
    channel_parked_now: Family<Labels, Gauge>,
    channel_age: Family<Labels, FloatGauge>,
    channel_seconds: Family<Labels, Histogram>,
    parts: Mutex<BTreeMap<&'static str, Part>>,
    problems: Mutex<BTreeMap<&'static str, String>>,
    /// The labels of each machine's figures.
    figures: Mutex<BTreeMap<&'static str, Vec<Labels>>>,
    /// Partitions that have a lag, by machine.
    partitions: Mutex<BTreeSet<(&'static str, i32)>>,
    /// Names of channels.
    channels: Mutex<BTreeSet<String>>,
}

/// How far the processing of one partition is behind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PartitionFigures {
    /// The machine: `normalizer` or `detector`.
    pub machine: &'static str,
    /// Partition of the machine's input topic.
    pub partition: i32,
    /// Log time from the last processed record to now.
    pub lag_seconds: Option<f64>,
    /// Records that are not processed yet.
    pub lag_records: Option<i64>,
}

/// Figures of one channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChannelFigures {
    /// Its name.
    pub name: String,
    /// Documents that its endpoint took since the start of this process.
    pub delivered: u64,
    /// Attempts that failed since the start of this process.
    pub failed: u64,
    /// Documents that were set aside since the start of this process.
    pub parked: u64,
    /// Documents that are parked now, whenever they were; `None` where another process delivers the channel.
    pub parked_now: Option<i64>,
    /// Documents that are not delivered; `None` where another process delivers the channel.
    pub backlog: Option<i64>,
    /// Documents that wait for the end of a silence or of quiet hours.
    pub held: Option<i64>,
    /// Age of the oldest document that is not delivered.
    pub oldest_seconds: Option<f64>,
}

/// The state of one thread.
struct Part {
    /// Time of the last round of its loop.
    alive: Instant,
    /// Whether the thread does its work: in its group, with bounded lag.
    ready: Result<(), String>,
}

/// A thread without a round for this long counts as hanging: the longest call to a broker takes 15 s, a snapshot of a
/// million hosts less.
const SILENCE_MAX: Duration = Duration::from_secs(120);

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// Figures of a process that has done nothing yet.
    #[must_use]
    pub fn new() -> Metrics {
        let histogram = || Histogram::new(SECONDS);
        let mut registry = Registry::with_prefix("wulog_processor");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version that runs", version);
        let mut shared = Shared {
            registry: Registry::default(),
            records: Family::default(),
            bytes: Family::default(),
            lag_seconds: Family::default(),
            lag_records: Family::default(),
            transactions: Family::new_with_constructor(histogram),
            aborts: Family::default(),
            retries: Family::default(),
            rebalances: Family::default(),
            outage: Family::default(),
            outages: Family::default(),
            snapshot_time: Family::default(),
            snapshot_bytes: Family::default(),
            load_seconds: Family::default(),
            panics: Family::default(),
            refused: Family::default(),
            machine: Family::default(),
            channel_delivered: Family::default(),
            channel_failed: Family::default(),
            channel_parked: Family::default(),
            channel_left_out: Family::default(),
            channel_unreadable: Family::default(),
            channel_backlog: Family::default(),
            channel_held: Family::default(),
            channel_parked_now: Family::default(),
            channel_age: Family::default(),
            channel_seconds: Family::new_with_constructor(histogram),
            parts: Mutex::default(),
            problems: Mutex::default(),
            figures: Mutex::default(),
            partitions: Mutex::default(),
            channels: Mutex::default(),
        };
        let r = &mut registry;
        let s = &shared;
        r.register("records", "Records read or written, by topic and direction", s.records.clone());
        r.register_with_unit("records", "Bytes of values read or written", Unit::Bytes, s.bytes.clone());
        r.register_with_unit(
            "lag",
            "Log time from the last processed record to now",
            Unit::Seconds,
            s.lag_seconds.clone(),
        );
        let help =
            "Offsets from the next record to process to the end of the partition; 0 when nothing is left to read";
        r.register("lag_records", help, s.lag_records.clone());
        r.register_with_unit(
            "transaction",
            "Duration of committed transactions",
            Unit::Seconds,
            s.transactions.clone(),
        );
        r.register("transaction_aborts", "Transactions that failed", s.aborts.clone());
        r.register("retries", "Times that the log asked for patience", s.retries.clone());
        r.register("rebalances", "Changes of the partitions of this process", s.rebalances.clone());
        r.register("outage", "1 while the log does not answer", s.outage.clone());
        r.register("outages", "Times that the log began not to answer", s.outages.clone());
        r.register_with_unit(
            "snapshot_time",
            "Time of the newest snapshot, since 1970",
            Unit::Seconds,
            s.snapshot_time.clone(),
        );
        r.register_with_unit("snapshot", "Size of the newest snapshot", Unit::Bytes, s.snapshot_bytes.clone());
        r.register_with_unit("load", "How long the last load of a machine took", Unit::Seconds, s.load_seconds.clone());
        r.register("panics", "Records that brought a machine down and were set aside", s.panics.clone());
        r.register("outputs_refused", "Outputs that their topic refused as too large", s.refused.clone());
        r.register("machine", "What a machine says of its state, by figure", s.machine.clone());
        r.register("channel_delivered", "Documents that an endpoint took", s.channel_delivered.clone());
        r.register("channel_failed", "Attempts that failed and are made again", s.channel_failed.clone());
        r.register("channel_parked", "Documents that an endpoint or a template refused", s.channel_parked.clone());
        // In OpenMetrics a counter and a gauge cannot share a name, so the gauge is called `_now`.
        let help = "Documents that are parked now and wait for an operator";
        r.register("channel_parked_now", help, s.channel_parked_now.clone());
        r.register("channel_left_out", "Documents that the channel does not want", s.channel_left_out.clone());
        r.register(
            "channel_unreadable",
            "Records on the topic of alerts that are no document",
            s.channel_unreadable.clone(),
        );
        r.register("channel_backlog", "Documents in memory that are not delivered", s.channel_backlog.clone());
        r.register(
            "channel_held",
            "Documents that wait for the end of a silence or of quiet hours",
            s.channel_held.clone(),
        );
        let help = "Age of the oldest document that is not delivered";
        r.register_with_unit("channel_oldest", help, Unit::Seconds, s.channel_age.clone());
        r.register_with_unit("channel_delivery", "Duration of deliveries", Unit::Seconds, s.channel_seconds.clone());
        shared.registry = registry;
        Metrics(Arc::new(shared))
    }

    /// All figures as OpenMetrics 1.0.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0.registry).expect("a string takes any text");
        text
    }

    /// The figures of one shell.
    #[must_use]
    pub fn of_machine(&self, machine: &'static str) -> MachineMetrics {
        let figures = MachineMetrics { metrics: self.clone(), machine };
        // These series exist from the start: a rule on a counter that appears with its first event would miss this
        // event.
        for counter in [&self.0.panics, &self.0.refused, &self.0.outages] {
            let _ = counter.get_or_create(&figures.labels());
        }
        figures
    }

    /// The figures of one channel.
    #[must_use]
    pub fn of_channel(&self, name: &str) -> ChannelMetrics {
        let labels = vec![("channel", name.to_owned())];
        let shared = &self.0;
        locked(&shared.channels).insert(name.to_owned());
        // These series exist from the start: a rule on a counter that appears with its first failure would miss this
        // failure.
        let _ = shared.channel_delivered.get_or_create(&labels);
        let _ = shared.channel_failed.get_or_create(&labels);
        let _ = shared.channel_parked.get_or_create(&labels);
        ChannelMetrics { metrics: self.clone(), labels }
    }

    /// Records one round of a thread's loop; `ready` says whether the thread does its work.
    pub fn round(&self, name: &'static str, ready: Result<(), String>) {
        self.parts().insert(name, Part { alive: Instant::now(), ready });
    }

    /// Sets or clears the problem of the part `of`. Work continues, but an operator must know about the problem.
    pub fn problem(&self, of: &'static str, what: Option<String>) {
        let mut problems = locked(&self.0.problems);
        match what {
            Some(what) => drop(problems.insert(of, what)),
            None => drop(problems.remove(of)),
        }
    }

    /// The current problems, in words.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = locked(&self.0.problems).values().cloned().collect();
        for machine in ["normalizer", "detector"] {
            let count = self.0.panics.get(&vec![("machine", machine.to_owned())]).map_or(0, |counter| counter.get());
            if count > 0 {
                problems.push(format!(
                    "The {machine} has skipped {count} records since this process started, because each made it fail: its log \
                     names them. Please report them; what they tell is not detected."
                ));
            }
        }
        problems
    }

    /// The partitions of this process, by machine.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionFigures> {
        let shared = &self.0;
        let figures = |&(machine, partition): &(&'static str, i32)| {
            let labels = partition_labels(machine, partition);
            PartitionFigures {
                machine,
                partition,
                lag_seconds: shared.lag_seconds.get(&labels).map(|gauge| gauge.get()),
                lag_records: shared.lag_records.get(&labels).map(|gauge| gauge.get()),
            }
        };
        locked(&shared.partitions).iter().map(figures).collect()
    }

    /// The channels of this process, by name.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelFigures> {
        let shared = &self.0;
        let figures = |name: &String| {
            let labels = vec![("channel", name.clone())];
            let counted = |counters: &Family<Labels, Counter>| counters.get(&labels).map_or(0, |counter| counter.get());
            ChannelFigures {
                name: name.clone(),
                delivered: counted(&shared.channel_delivered),
                failed: counted(&shared.channel_failed),
                parked: counted(&shared.channel_parked),
                backlog: shared.channel_backlog.get(&labels).map(|gauge| gauge.get()),
                held: shared.channel_held.get(&labels).map(|gauge| gauge.get()),
                parked_now: shared.channel_parked_now.get(&labels).map(|gauge| gauge.get()),
                oldest_seconds: shared.channel_age.get(&labels).map(|gauge| gauge.get()),
            }
        };
        locked(&shared.channels).iter().map(figures).collect()
    }

    /// Whether every thread runs its loop.
    ///
    /// # Errors Names the thread that hangs.
    pub fn health(&self, now: Instant) -> Result<(), String> {
        let parts = self.parts();
        let hangs = parts.iter().find(|(_, part)| now.saturating_duration_since(part.alive) > SILENCE_MAX);
        match hangs {
            Some((name, part)) => {
                let secs = now.saturating_duration_since(part.alive).as_secs();
                Err(format!("the {name} has not gone round its loop for {secs} s"))
            }
            None => Ok(()),
        }
    }

    /// Whether every thread does its work.
    ///
    /// # Errors Names the part that is not ready.
    pub fn readiness(&self, now: Instant) -> Result<(), String> {
        self.health(now)?;
        let parts = self.parts();
        if parts.is_empty() {
            return Err("starting".to_owned());
        }
        let waits = parts.iter().find_map(|(name, part)| part.ready.as_ref().err().map(|why| format!("{name}: {why}")));
        waits.map_or(Ok(()), Err)
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Part>> {
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Metrics")
    }
}

fn locked<T>(held: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn partition_labels(machine: &'static str, partition: i32) -> Labels {
    vec![("machine", machine.to_owned()), ("partition", partition.to_string())]
}

/// The figures of one shell.
#[derive(Clone, Debug)]
pub struct MachineMetrics {
    metrics: Metrics,
    machine: &'static str,
}

impl MachineMetrics {
    fn labels(&self) -> Labels {
        vec![("machine", self.machine.to_owned())]
    }

    fn partition(&self, partition: i32) -> Labels {
        partition_labels(self.machine, partition)
    }

    /// The labels of a partition, which has a lag from now on.
    fn lagging(&self, partition: i32) -> Labels {
        locked(&self.metrics.0.partitions).insert((self.machine, partition));
        self.partition(partition)
    }

    /// Records one round of the loop; `ready` says whether the thread does its work.
    pub fn round(&self, ready: Result<(), String>) {
        self.metrics.round(self.machine, ready);
        self.metrics.0.outage.get_or_create(&self.labels()).set(0);
    }

    /// Counts a retry that the log asked for.
    pub fn retried(&self) {
        let shared = &self.metrics.0;
        shared.retries.get_or_create(&self.labels()).inc();
        if shared.outage.get_or_create(&self.labels()).set(1) == 0 {
            shared.outages.get_or_create(&self.labels()).inc();
        }
        self.metrics.round(self.machine, Err("the log does not answer".to_owned()));
    }

    /// Counts a change of this process's partitions.
    pub fn rebalanced(&self) {
        self.metrics.0.rebalances.get_or_create(&self.labels()).inc();
    }

    /// Removes the series of a partition that went to another process, since they would never change again.
    pub fn gave_up(&self, partition: i32) {
        let labels = self.partition(partition);
        locked(&self.metrics.0.partitions).remove(&(self.machine, partition));
        self.metrics.0.lag_seconds.remove(&labels);
        self.metrics.0.lag_records.remove(&labels);
    }

    /// Counts records in one direction, `in` or `out`.
    pub fn moved(&self, topic: &'static str, direction: &'static str, records: u64, bytes: u64) {
        let labels = vec![("topic", topic.to_owned()), ("direction", direction.to_owned())];
        self.metrics.0.records.get_or_create(&labels).inc_by(records);
        self.metrics.0.bytes.get_or_create(&labels).inc_by(bytes);
    }

    /// Records a committed transaction.
    pub fn committed(&self, took: Duration) {
        self.metrics.0.transactions.get_or_create(&self.labels()).observe(took.as_secs_f64());
    }

    /// Counts a failed transaction.
    pub fn aborted(&self) {
        self.metrics.0.aborts.get_or_create(&self.labels()).inc();
    }

    /// Sets the lag of a partition in log time.
    pub fn lag_seconds(&self, partition: i32, seconds: f64) {
        self.metrics.0.lag_seconds.get_or_create(&self.lagging(partition)).set(seconds);
    }

    /// Sets the lag of a partition in records.
    pub fn lag_records(&self, partition: i32, records: i64) {
        self.metrics.0.lag_records.get_or_create(&self.lagging(partition)).set(records);
    }

    /// Counts an output that was refused as too large.
    pub fn refused(&self) {
        self.metrics.0.refused.get_or_create(&self.labels()).inc();
    }

    /// Records a snapshot.
    pub fn snapshot(&self, partition: i32, bytes: usize, now_ms: i64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.metrics.0.snapshot_bytes.get_or_create(&self.partition(partition)).set(bytes);
        self.metrics.0.snapshot_time.get_or_create(&self.partition(partition)).set(now_ms as f64 / 1000.0);
    }

    /// Records the loading of a machine.
    pub fn loaded(&self, partition: i32, took: Duration) {
        self.metrics.0.load_seconds.get_or_create(&self.partition(partition)).set(took.as_secs_f64());
    }

    /// Counts a record on which a machine panicked.
    pub fn panicked(&self) {
        self.metrics.0.panics.get_or_create(&self.labels()).inc();
    }

    /// Replaces the figures of the machines of this process. Figures that are missing in the new set are removed.
    pub fn figures(&self, figures: Figures) {
        let mut known = self.metrics.0.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.remove(self.machine).unwrap_or_default();
        let mut now = Vec::new();
        for ((name, further), value) in figures {
            let mut labels = self.labels();
            labels.push(("figure", name.to_owned()));
            labels.extend(further);
            self.metrics.0.machine.get_or_create(&labels).set(value);
            now.push(labels);
        }
        for gone in before.iter().filter(|labels| !now.contains(labels)) {
            self.metrics.0.machine.remove(gone);
        }
        known.insert(self.machine, now);
    }
}

/// A figure of a machine's state. The set of its labels must not depend on hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// Further labels.
    pub labels: Vec<(&'static str, String)>,
    /// Its value.
    pub value: i64,
}

/// The figures of one channel.
#[derive(Clone, Debug)]
pub struct ChannelMetrics {
    metrics: Metrics,
    labels: Labels,
}

impl ChannelMetrics {
    /// Records a document that an endpoint accepted.
    pub(crate) fn delivered(&self, took: Duration) {
        self.metrics.0.channel_delivered.get_or_create(&self.labels).inc();
        self.metrics.0.channel_seconds.get_or_create(&self.labels).observe(took.as_secs_f64());
    }

    /// Counts a failed attempt.
    pub(crate) fn failed(&self) {
        self.metrics.0.channel_failed.get_or_create(&self.labels).inc();
    }

    /// Counts a parked document.
    pub(crate) fn parked(&self) {
        self.metrics.0.channel_parked.get_or_create(&self.labels).inc();
    }

    /// Counts a document that was left out.
    pub(crate) fn left_out(&self) {
        self.metrics.0.channel_left_out.get_or_create(&self.labels).inc();
    }

    /// Counts a record that is not a document.
    pub(crate) fn unreadable(&self) {
        self.metrics.0.channel_unreadable.get_or_create(&self.labels).inc();
    }

    /// Sets the figures of the waiting documents.
    pub(crate) fn backlog(&self, waiting: usize, held: usize, oldest_age_ms: i64) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.0.channel_backlog.get_or_create(&self.labels).set(number(waiting));
        self.metrics.0.channel_held.get_or_create(&self.labels).set(number(held));
        self.metrics.0.channel_age.get_or_create(&self.labels).set(oldest_age_ms as f64 / 1000.0);
    }

    /// Sets the number of parked documents, including those of earlier processes.
    pub(crate) fn parked_now(&self, documents: usize) {
        let documents = i64::try_from(documents).unwrap_or(i64::MAX);
        self.metrics.0.channel_parked_now.get_or_create(&self.labels).set(documents);
    }

    /// Removes the gauges: another process delivers this channel now.
    pub(crate) fn idle(&self) {
        self.metrics.0.channel_backlog.remove(&self.labels);
        self.metrics.0.channel_held.remove(&self.labels);
        self.metrics.0.channel_parked_now.remove(&self.labels);
        self.metrics.0.channel_age.remove(&self.labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_open_metrics() {
        let metrics = Metrics::new();
        metrics.of_channel("am").delivered(Duration::from_millis(30));
        let machine = metrics.of_machine("normalizer");
        machine.moved("raw", "in", 3, 400);
        machine.lag_seconds(0, 1.5);
        (0..4).for_each(|_| machine.retried());
        machine.round(Ok(()));
        machine.retried();
        machine.refused();
        let text = metrics.render();
        for line in [
            "wulog_processor_channel_delivered_total{channel=\"am\"} 1",
            "wulog_processor_records_total{topic=\"raw\",direction=\"in\"} 3",
            "wulog_processor_lag_seconds{machine=\"normalizer\",partition=\"0\"} 1.5",
            "wulog_processor_outages_total{machine=\"normalizer\"} 2",
            "wulog_processor_outputs_refused_total{machine=\"normalizer\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_status_page_reads_the_same_figures() {
        let metrics = Metrics::new();
        let machine = metrics.of_machine("detector");
        machine.lag_records(0, 7);
        machine.lag_seconds(3, 1.5);
        let channel = metrics.of_channel("am");
        channel.backlog(4, 1, 2_500);
        channel.parked_now(3);
        channel.delivered(Duration::from_millis(30));
        let figures = |partition, lag_seconds, lag_records| PartitionFigures {
            machine: "detector",
            partition,
            lag_seconds,
            lag_records,
        };
        assert_eq!(metrics.partitions(), [figures(0, None, Some(7)), figures(3, Some(1.5), None)]);
        let expect = ChannelFigures {
            name: "am".to_owned(),
            delivered: 1,
            backlog: Some(4),
            held: Some(1),
            parked_now: Some(3),
            oldest_seconds: Some(2.5),
            ..ChannelFigures::default()
        };
        assert_eq!(metrics.channels(), [expect]);
        machine.gave_up(0);
        channel.idle();
        assert_eq!(metrics.partitions(), [figures(3, Some(1.5), None)]);
        assert_eq!(metrics.channels()[0].backlog, None);
    }

    #[test]
    fn a_thread_that_hangs_is_named() {
        let metrics = Metrics::new();
        let now = Instant::now();
        assert!(metrics.readiness(now).is_err());
        metrics.of_machine("normalizer").round(Ok(()));
        assert_eq!(metrics.readiness(Instant::now()), Ok(()));
        metrics.of_machine("detector").round(Err("behind".to_owned()));
        assert_eq!(metrics.readiness(Instant::now()), Err("detector: behind".to_owned()));
        let later = Instant::now() + SILENCE_MAX + Duration::from_secs(1);
        assert!(metrics.health(later).unwrap_err().contains("has not gone round"));
    }
}
