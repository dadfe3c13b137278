//! The metrics of the collector for Prometheus, and its health.
//!
//! The collecting thread notes the result of each pass; a scrape reads the notes. Labels name inputs rather than files,
//! so ten thousand files have as many series as one.

mod serve;

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::progress::{InputStatus, Pass};

pub(crate) use serve::MetricsServer;

/// A pass lasts for one poll interval, at most a minute by configuration. Without a pass for this long the thread
/// hangs.
const PASS_SILENCE_MAX: Duration = Duration::from_secs(180);

/// Default of [`MetricsConfig::unhealthy_after`].
pub(crate) const UNHEALTHY_AFTER: Duration = Duration::from_secs(300);

/// Metrics and health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// The address at which metrics and health are served.
    pub listen: SocketAddr,
    /// How long records may be on their way without an acknowledgement before the health check fails.
    pub unhealthy_after: Duration,
}

/// The notes, and how long Kafka may be silent before the health check fails.
#[derive(Debug)]
pub(crate) struct Metrics {
    notes: Mutex<Notes>,
    ack_silence_max: Duration,
}

#[derive(Debug)]
struct Notes {
    lines: u64,
    bytes: u64,
    acked: u64,
    truncated: u64,
    rebuilds: u64,
    last: Pass,
    inputs: Vec<InputStatus>,
    passed: Instant,
    /// The last time at which a record was acknowledged or none was on its way.
    acknowledged: Instant,
    acknowledged_ever: bool,
}

impl Metrics {
    /// Returns empty notes. Records may be on their way for `ack_silence_max` before the health check fails.
    #[must_use]
    pub(crate) fn new(ack_silence_max: Duration, now: Instant) -> Metrics {
        let notes = Notes {
            lines: 0,
            bytes: 0,
            acked: 0,
            truncated: 0,
            rebuilds: 0,
            last: Pass::default(),
            inputs: Vec::new(),
            passed: now,
            acknowledged: now,
            acknowledged_ever: false,
        };
        Metrics { notes: Mutex::new(notes), ack_silence_max }
    }

    /// Notes a pass. `inputs` may be left out, since it costs a look at each file.
    pub(crate) fn note(&self, pass: &Pass, rebuilds: u64, inputs: Option<Vec<InputStatus>>, now: Instant) {
        let mut notes = self.lock();
        notes.lines += pass.lines_sent;
        notes.bytes += pass.bytes_read;
        notes.acked += pass.acked;
        notes.truncated += pass.truncated;
        // Passes may be 10 s apart: if no record was on its way after the last pass, the wait begins now.
        if pass.acked > 0 || pass.in_flight == 0 || notes.last.in_flight == 0 {
            notes.acknowledged = now;
            notes.acknowledged_ever |= pass.acked > 0;
        }
        (notes.rebuilds, notes.last, notes.passed) = (rebuilds, *pass, now);
        if let Some(inputs) = inputs {
            notes.inputs = inputs;
        }
    }

    /// Returns whether the collector works.
    ///
    /// # Errors
    /// The message says what is wrong.
    pub(crate) fn health(&self, now: Instant) -> Result<(), String> {
        let notes = self.lock();
        let passed = now.saturating_duration_since(notes.passed);
        if passed > PASS_SILENCE_MAX {
            return Err(format!("no pass for {} s: the collector hangs, or a share does", passed.as_secs()));
        }
        let silent = now.saturating_duration_since(notes.acknowledged);
        let count = notes.last.in_flight;
        if count > 0 && silent > self.ack_silence_max {
            return Err(format!("no acknowledgement for {} s with {count} records on their way", silent.as_secs()));
        }
        Ok(())
    }

    /// Returns all metrics in the text format of OpenMetrics.
    #[must_use]
    pub(crate) fn render(&self, now: Instant) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry(now)).expect("a string takes what is written to it");
        text
    }

    /// Returns the notes as metrics. The registry is built for each scrape, so that a note between two scrapes costs an
    /// addition and no lookup of a label.
    fn registry(&self, now: Instant) -> Registry {
        let notes = self.lock();
        let mut to = Registry::with_prefix("wulog_collector");
        to.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let mut counter = |name, help, value| to.register(name, help, ConstCounter::new(value));
        counter("lines", "Lines read", notes.lines);
        counter("bytes", "Bytes read from files", notes.bytes);
        counter("acknowledged_records", "Records in the log, heartbeats included", notes.acked);
        counter("truncated_lines", "Lines cut at line_bytes_max", notes.truncated);
        counter("rejected_records", "Records that Kafka can never take; they are lost", notes.last.rejected);
        counter("producer_rebuilds", "Times that the producer was recreated", notes.rebuilds);
        let mut gauge = |name, help, value: i64| to.register(name, help, ConstGauge::new(value));
        gauge("in_flight_records", "Records not acknowledged yet", notes.last.in_flight as i64);
        let help = "Memory of records not acknowledged yet; reading stops at bytes_in_flight of the configuration";
        gauge("in_flight_bytes", help, notes.last.bytes_in_flight as i64);
        gauge("hosts", "Hosts known", notes.last.hosts as i64);
        gauge("caught_up", "1 when all that is in the files is acknowledged", i64::from(notes.last.caught_up));
        if notes.acknowledged_ever {
            let help = "Since the last acknowledgement, or since there was nothing to acknowledge";
            let age = now.saturating_duration_since(notes.acknowledged).as_secs_f64();
            to.register("last_ack_age_seconds", help, ConstGauge::new(age));
        }
        let mut of_inputs = |name, help, figure: fn(&InputStatus) -> u64| {
            let family = Family::<[(&'static str, String); 1], Gauge>::default();
            for input in &notes.inputs {
                family.get_or_create(&[("input", escaped(&input.name))]).set(figure(input) as i64);
            }
            to.register(name, help, family);
        };
        of_inputs("files", "Files known", |input| input.files);
        of_inputs("lag_bytes", "Bytes in files that are not acknowledged", |input| input.lag_bytes);
        let help = "Times that lines may have been missed, over the life of the state directory";
        of_inputs("losses", help, |input| input.losses);
        to
    }

    /// Locks the notes. They are plain numbers, which a panic leaves usable, so poisoning is ignored.
    fn lock(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Escapes the value of a label for the text format; `prometheus-client` writes values unescaped.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn figures_add_up_and_labels_are_escaped() {
        let start = Instant::now();
        let metrics = Metrics::new(UNHEALTHY_AFTER, start);
        let (in_flight, bytes_in_flight) = (1, 900);
        let pass = Pass {
            lines_sent: 3,
            bytes_read: 40,
            acked: 2,
            truncated: 1,
            in_flight,
            bytes_in_flight,
            ..Pass::default()
        };
        let input = InputStatus { name: r#"C:\a "b"*.log"#.to_owned(), files: 2, lag_bytes: 17, losses: 1 };
        metrics.note(&pass, 0, Some(vec![input]), start);
        metrics.note(&Pass { rejected: 1, ..pass }, 4, None, at(start, 1));
        let page = metrics.render(at(start, 11));
        for line in [
            "wulog_collector_lines_total 6",
            "wulog_collector_bytes_total 80",
            "wulog_collector_acknowledged_records_total 4",
            "wulog_collector_truncated_lines_total 2",
            "wulog_collector_rejected_records_total 1",
            "wulog_collector_producer_rebuilds_total 4",
            "wulog_collector_in_flight_records 1",
            "wulog_collector_in_flight_bytes 900",
            "wulog_collector_last_ack_age_seconds 10.0",
            r#"wulog_collector_lag_bytes{input="C:\\a \"b\"*.log"} 17"#,
            "# TYPE wulog_collector_lag_bytes gauge",
        ] {
            assert!(page.lines().any(|found| found == line), "{line:?} is not in\n{page}");
        }
    }

    /// Notes passes `(second, acked, in flight)`; expects the health at a second.
    #[track_caller]
    fn check(passes: &[(u64, u64, usize)], second: u64, expect: Option<&str>) {
        let start = Instant::now();
        let metrics = Metrics::new(UNHEALTHY_AFTER, start);
        for &(second, acked, in_flight) in passes {
            metrics.note(&Pass { acked, in_flight, ..Pass::default() }, 0, None, at(start, second));
        }
        match (metrics.health(at(start, second)), expect) {
            (Ok(()), None) => {}
            (Err(said), Some(part)) if said.contains(part) => {}
            (found, _) => panic!("{found:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn health_is_passes_and_acknowledgements() {
        check(&[], 10, None);
        check(&[], 181, Some("hangs"));
        check(&[(0, 5, 0), (1000, 0, 0)], 1010, None);
        check(&[(0, 5, 9), (300, 0, 9)], 300, None);
        check(&[(0, 5, 9), (301, 0, 9)], 301, Some("no acknowledgement for 301 s with 9 records"));
        check(&[(0, 5, 9), (290, 1, 9), (301, 0, 9)], 301, None);
        // The wait begins when records are first on their way.
        check(&[(0, 5, 0)], 170, None);
        check(&[(0, 5, 0), (1000, 0, 9)], 1010, None);
        check(&[(0, 5, 0), (1000, 0, 9), (1200, 0, 9), (1301, 0, 9)], 1301, Some("for 301 s with 9 records"));
    }
}
