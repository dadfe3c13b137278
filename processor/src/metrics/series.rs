//! The series behind `/metrics`, each with its name, unit and description.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Labels of a series: names and values.
pub type Labels = Vec<(&'static str, String)>;
type FloatGauge = Gauge<f64, AtomicU64>;

/// Buckets of transactions and deliveries, in seconds.
const SECONDS: [f64; 9] = [0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 3.0, 10.0, 60.0];

/// All series, and the health of each thread.
pub(super) struct Shared {
    pub(super) registry: Registry,
    pub(super) records: Family<Labels, Counter>,
    pub(super) bytes: Family<Labels, Counter>,
    pub(super) lag_seconds: Family<Labels, FloatGauge>,
    pub(super) lag_records: Family<Labels, Gauge>,
    pub(super) transactions: Family<Labels, Histogram>,
    pub(super) aborts: Family<Labels, Counter>,
    pub(super) retries: Family<Labels, Counter>,
    pub(super) rebalances: Family<Labels, Counter>,
    pub(super) outage: Family<Labels, Gauge>,
    pub(super) outages: Family<Labels, Counter>,
    pub(super) snapshot_time: Family<Labels, FloatGauge>,
    pub(super) snapshot_bytes: Family<Labels, Gauge>,
    pub(super) load_seconds: Family<Labels, FloatGauge>,
    pub(super) panics: Family<Labels, Counter>,
    pub(super) refused: Family<Labels, Counter>,
    pub(super) machine: Family<Labels, Gauge>,
    pub(super) channel_delivered: Family<Labels, Counter>,
    pub(super) channel_failed: Family<Labels, Counter>,
    pub(super) channel_parked: Family<Labels, Counter>,
    pub(super) channel_left_out: Family<Labels, Counter>,
    pub(super) channel_unreadable: Family<Labels, Counter>,
    pub(super) channel_backlog: Family<Labels, Gauge>,
    pub(super) channel_held: Family<Labels, Gauge>,
    pub(super) channel_parked_now: Family<Labels, Gauge>,
    pub(super) channel_age: Family<Labels, FloatGauge>,
    pub(super) channel_seconds: Family<Labels, Histogram>,
    pub(super) parts: Mutex<BTreeMap<&'static str, ThreadHealth>>,
    pub(super) problems: Mutex<BTreeMap<&'static str, String>>,
    /// The labels of each machine's figures.
    pub(super) figures: Mutex<BTreeMap<&'static str, Vec<Labels>>>,
    /// Partitions that have a lag, by machine.
    pub(super) partitions: Mutex<BTreeSet<(&'static str, i32)>>,
    /// Names of channels.
    pub(super) channels: Mutex<BTreeSet<String>>,
}

/// The health of one thread.
pub(super) struct ThreadHealth {
    /// When it last went round its loop.
    pub(super) alive: Instant,
    /// Whether it does its work: in its group, with bounded lag.
    pub(super) ready: Result<(), String>,
}

impl Shared {
    /// All series, registered and at zero.
    pub(super) fn registered() -> Shared {
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
        // OpenMetrics lets a counter and a gauge not share a name, so `_now` is in this one.
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
        shared
    }
}

/// The value behind a lock; a panic of another thread leaves figures usable.
pub(super) fn locked<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
