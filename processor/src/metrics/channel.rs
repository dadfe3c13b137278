//! The figures of one channel.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use serde::Serialize;

use super::Metrics;
use super::series::{Labels, locked};

/// The figures of one channel.
#[derive(Clone, Debug)]
pub struct ChannelMetrics {
    metrics: Metrics,
    labels: Labels,
}

impl ChannelMetrics {
    /// An endpoint took a document.
    pub(crate) fn delivered(&self, took: Duration) {
        self.metrics.0.channel_delivered.get_or_create(&self.labels).inc();
        self.metrics.0.channel_seconds.get_or_create(&self.labels).observe(took.as_secs_f64());
    }

    /// An attempt failed.
    pub(crate) fn failed(&self) {
        self.metrics.0.channel_failed.get_or_create(&self.labels).inc();
    }

    /// A document was parked.
    pub(crate) fn parked(&self) {
        self.metrics.0.channel_parked.get_or_create(&self.labels).inc();
    }

    /// A document was left out.
    pub(crate) fn left_out(&self) {
        self.metrics.0.channel_left_out.get_or_create(&self.labels).inc();
    }

    /// A record was no document.
    pub(crate) fn unreadable(&self) {
        self.metrics.0.channel_unreadable.get_or_create(&self.labels).inc();
    }

    /// What waits.
    pub(crate) fn backlog(&self, waiting: usize, held: usize, oldest_age_ms: i64) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.0.channel_backlog.get_or_create(&self.labels).set(number(waiting));
        self.metrics.0.channel_held.get_or_create(&self.labels).set(number(held));
        self.metrics.0.channel_age.get_or_create(&self.labels).set(oldest_age_ms as f64 / 1000.0);
    }

    /// What is parked, also by an earlier process.
    pub(crate) fn parked_now(&self, documents: usize) {
        let documents = i64::try_from(documents).unwrap_or(i64::MAX);
        self.metrics.0.channel_parked_now.get_or_create(&self.labels).set(documents);
    }

    /// Another process delivers this channel now: it has the gauges.
    pub(crate) fn idle(&self) {
        self.metrics.0.channel_backlog.remove(&self.labels);
        self.metrics.0.channel_held.remove(&self.labels);
        self.metrics.0.channel_parked_now.remove(&self.labels);
        self.metrics.0.channel_age.remove(&self.labels);
    }
}

/// What one channel has done and has before it.
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

impl Metrics {
    /// The figures of one channel.
    #[must_use]
    pub fn of_channel(&self, name: &str) -> ChannelMetrics {
        let labels = vec![("channel", name.to_owned())];
        let shared = &self.0;
        locked(&shared.channels).insert(name.to_owned());
        // Series that are there from the start: a rule on a counter that appears with its first failure misses that one.
        let _ = shared.channel_delivered.get_or_create(&labels);
        let _ = shared.channel_failed.get_or_create(&labels);
        let _ = shared.channel_parked.get_or_create(&labels);
        ChannelMetrics { metrics: self.clone(), labels }
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
}
