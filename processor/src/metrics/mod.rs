//! The figures behind `/metrics`. Threads note what they did; whoever asks reads the notes.
//!
//! Labels are topics, partitions, machines, states, families, severities and names of channels: as many series with a
//! million hosts as with ten.

mod series;
mod machine;
mod channel;

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;

use self::series::{Shared, ThreadHealth, locked};

pub use channel::{ChannelFigures, ChannelMetrics};
pub use machine::{Figures, MachineMetrics, PartitionFigures};
pub use series::Labels;

/// Without a round for so long, a thread hangs: the longest call to a broker takes 15 s, a snapshot of a million hosts less.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// All figures, and whether the parts are alive and ready. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Shared>);

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// Nothing was done yet.
    #[must_use]
    pub fn new() -> Metrics {
        Metrics(Arc::new(Shared::registered()))
    }

    /// All figures as OpenMetrics 1.0.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0.registry).expect("a string takes any text");
        text
    }

    /// A thread went round its loop; `ready` says whether it does its work.
    pub fn round(&self, name: &'static str, ready: Result<(), String>) {
        self.parts().insert(name, ThreadHealth { alive: Instant::now(), ready });
    }

    /// Something that `of` names is wrong, or no longer is. It keeps nothing from going on, but an operator must know.
    pub fn problem(&self, of: &'static str, what: Option<String>) {
        let mut problems = locked(&self.0.problems);
        match what {
            Some(what) => drop(problems.insert(of, what)),
            None => drop(problems.remove(of)),
        }
    }

    /// What is wrong, in words.
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

    /// Whether every thread goes round its loop.
    ///
    /// # Errors
    /// Names the thread that hangs.
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
    /// # Errors
    /// Names what is not ready.
    pub fn readiness(&self, now: Instant) -> Result<(), String> {
        self.health(now)?;
        let parts = self.parts();
        if parts.is_empty() {
            return Err("starting".to_owned());
        }
        let waits = parts.iter().find_map(|(name, part)| part.ready.as_ref().err().map(|why| format!("{name}: {why}")));
        waits.map_or(Ok(()), Err)
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<&'static str, ThreadHealth>> {
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Metrics")
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
