//! The figures of the loop around one machine.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use serde::Serialize;

use super::Metrics;
use super::series::{Labels, locked};

/// Figures of machines, by name and labels.
pub type Figures = BTreeMap<(&'static str, Labels), i64>;

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

    /// The same, of a partition whose lag is told from now on.
    fn lagging(&self, partition: i32) -> Labels {
        locked(&self.metrics.0.partitions).insert((self.machine, partition));
        self.partition(partition)
    }

    /// The thread went round its loop; `ready` says whether it does its work.
    pub fn round(&self, ready: Result<(), String>) {
        self.metrics.round(self.machine, ready);
        self.metrics.0.outage.get_or_create(&self.labels()).set(0);
    }

    /// The log asked for patience.
    pub fn retried(&self) {
        let shared = &self.metrics.0;
        shared.retries.get_or_create(&self.labels()).inc();
        if shared.outage.get_or_create(&self.labels()).set(1) == 0 {
            shared.outages.get_or_create(&self.labels()).inc();
        }
        self.metrics.round(self.machine, Err("the log does not answer".to_owned()));
    }

    /// The partitions of this process have changed.
    pub fn rebalanced(&self) {
        self.metrics.0.rebalances.get_or_create(&self.labels()).inc();
    }

    /// A partition went to another process: its series would stand still for ever.
    pub fn gave_up(&self, partition: i32) {
        let labels = self.partition(partition);
        locked(&self.metrics.0.partitions).remove(&(self.machine, partition));
        self.metrics.0.lag_seconds.remove(&labels);
        self.metrics.0.lag_records.remove(&labels);
    }

    /// Records went one way, `in` or `out`.
    pub fn moved(&self, topic: &'static str, direction: &'static str, records: u64, bytes: u64) {
        let labels = vec![("topic", topic.to_owned()), ("direction", direction.to_owned())];
        self.metrics.0.records.get_or_create(&labels).inc_by(records);
        self.metrics.0.bytes.get_or_create(&labels).inc_by(bytes);
    }

    /// A transaction was committed.
    pub fn committed(&self, took: Duration) {
        self.metrics.0.transactions.get_or_create(&self.labels()).observe(took.as_secs_f64());
    }

    /// A transaction failed.
    pub fn aborted(&self) {
        self.metrics.0.aborts.get_or_create(&self.labels()).inc();
    }

    /// How far the processing of a partition is behind, in log time.
    pub fn lag_seconds(&self, partition: i32, seconds: f64) {
        self.metrics.0.lag_seconds.get_or_create(&self.lagging(partition)).set(seconds);
    }

    /// How far the processing of a partition is behind, in records.
    pub fn lag_records(&self, partition: i32, records: i64) {
        self.metrics.0.lag_records.get_or_create(&self.lagging(partition)).set(records);
    }

    /// An output was refused as too large.
    pub fn refused(&self) {
        self.metrics.0.refused.get_or_create(&self.labels()).inc();
    }

    /// A snapshot was written.
    pub fn snapshot(&self, partition: i32, bytes: usize, now_ms: i64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.metrics.0.snapshot_bytes.get_or_create(&self.partition(partition)).set(bytes);
        self.metrics.0.snapshot_time.get_or_create(&self.partition(partition)).set(now_ms as f64 / 1000.0);
    }

    /// A machine was loaded.
    pub fn loaded(&self, partition: i32, took: Duration) {
        self.metrics.0.load_seconds.get_or_create(&self.partition(partition)).set(took.as_secs_f64());
    }

    /// A record brought the machine down.
    pub fn panicked(&self) {
        self.metrics.0.panics.get_or_create(&self.labels()).inc();
    }

    /// What the machines of this process say of their state. Figures that are no longer among them go.
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

impl Metrics {
    /// The figures of one shell.
    #[must_use]
    pub fn of_machine(&self, machine: &'static str) -> MachineMetrics {
        let figures = MachineMetrics { metrics: self.clone(), machine };
        // Series that are there from the start: a rule on a counter that appears with its first event misses that one.
        for counter in [&self.0.panics, &self.0.refused, &self.0.outages] {
            let _ = counter.get_or_create(&figures.labels());
        }
        figures
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
}

fn partition_labels(machine: &'static str, partition: i32) -> Labels {
    vec![("machine", machine.to_owned()), ("partition", partition.to_string())]
}
