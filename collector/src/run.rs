//! Runs a collector with its sink and metrics until it is stopped: for `run`, and for the Windows service.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tracing::{info, warn};
use wulog_service::{Clock, ServiceManager};

use crate::collect::Collector;
use crate::config::{Config, ConfigError};
use crate::kafka::{KafkaConfigError, KafkaSink};
use crate::limits;
use crate::metrics::{Metrics, MetricsConfig, MetricsServer, UNHEALTHY_AFTER};
use crate::progress::Pass;
#[cfg(windows)]
use crate::update_log::UpdateLog;

/// How long a stop may wait for records on their way. Service managers kill after 30 s or more.
pub(crate) const DRAIN_GRACE: Duration = Duration::from_secs(10);

/// How often the lag of each input is looked up for metrics; scrapers come every 15 s or less often.
const INPUTS_EVERY: Duration = Duration::from_secs(5);

/// Where the configuration is.
#[derive(Debug, clap::Args)]
pub struct ConfigFile {
    /// The configuration, TOML.
    #[arg(long, env = "WULOG_COLLECTOR_CONFIG")]
    pub config: PathBuf,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandOutcome {
    /// Success.
    Well,
    /// A check found something to look at.
    LookHere,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// A value is unknown or invalid.
    #[error(transparent)]
    Written(#[from] ConfigError),
    /// librdkafka refuses the configuration.
    #[error("{path}: {error}")]
    Kafka {
        /// The file.
        path: String,
        /// The error of librdkafka.
        error: KafkaConfigError,
    },
}

pub(crate) fn load(path: &Path) -> Result<Config, BadConfig> {
    let config = Config::load(path)?;
    for finding in config.kafka.readable_by_all(path) {
        warn!("{finding}");
    }
    Ok(config)
}

/// Returns the producer without connecting it. librdkafka checks every property when the producer is created.
pub(crate) fn sink(path: &Path, config: &Config) -> Result<KafkaSink, BadConfig> {
    KafkaSink::new(&config.kafka, &config.topic_prefix)
        .map_err(|error| BadConfig::Kafka { path: path.display().to_string(), error })
}

/// Sets the configured priority, which all later threads inherit, and returns the producer.
pub(crate) fn ranked_sink(path: &Path, config: &Config) -> Result<KafkaSink, BadConfig> {
    if let Err(error) = limits::apply(config.limits.priority) {
        warn!(%error, "the priority cannot be changed; the collector runs as it was started");
    }
    sink(path, config)
}

/// Ships lines until `stop`. Calls `ready` once only an unreachable broker can prevent shipping.
pub(crate) fn run(
    config: Config,
    sink: KafkaSink,
    stop: &Arc<AtomicBool>,
    ready: impl FnOnce(),
) -> Result<CommandOutcome> {
    let poll_interval = Duration::from_millis(config.limits.poll_interval_ms);
    let sink = sink.silence_max(Duration::from_secs(config.limits.no_ack_rebuild_secs));
    let unhealthy_after = config.metrics.map_or(UNHEALTHY_AFTER, |metrics| metrics.unhealthy_after);
    let (metrics, rebuilds) = (Arc::new(Metrics::new(unhealthy_after, Instant::now())), sink.rebuilds());
    let server = config.metrics.map(|MetricsConfig { listen, .. }| {
        MetricsServer::start(listen, metrics.clone())
            .with_context(|| format!("cannot listen at {listen} for [metrics]"))
    });
    // Kept until the end, since dropping the server stops listening.
    let server = server.transpose()?;
    if let Some(server) = &server {
        info!(address = %server.address(), "metrics and health are served");
    }
    let manager = ServiceManager::from_env();
    let mut inputs_noted = None::<Instant>;
    let served = config.metrics.is_some();
    #[cfg(windows)]
    let made_log = config.get_windows_update_log.clone();
    let mut collector = Collector::new(config, Box::new(sink), Clock::System)?;
    #[cfg(windows)]
    let _made_log = made_log.as_ref().map(UpdateLog::start);
    ready();
    manager.ready();
    info!(version = env!("CARGO_PKG_VERSION"), "collector started");
    let mut seen = Pass::default();
    while !stop.load(Ordering::Acquire) {
        // Called only in this loop, so that the service manager's watchdog notices a pass that hangs, for instance on a
        // share.
        manager.alive(Instant::now());
        let pass = collector.pass(poll_interval)?;
        if pass.caught_up && !seen.caught_up {
            info!(files = pass.files, hosts = pass.hosts, "caught up");
        }
        if served {
            let due = inputs_noted.is_none_or(|noted| noted.elapsed() >= INPUTS_EVERY);
            let inputs = due.then(|| collector.inputs());
            if due {
                inputs_noted = Some(Instant::now());
            }
            metrics.note(&pass, rebuilds.load(Ordering::Relaxed), inputs, Instant::now());
        }
        seen = pass;
        if pass.caught_up {
            let until = Instant::now() + limits::idle_pause(poll_interval, pass.look);
            while !stop.load(Ordering::Acquire) && Instant::now() < until {
                std::thread::sleep(poll_interval.min(until.saturating_duration_since(Instant::now())));
            }
        }
    }
    manager.stopping();
    let drained = collector.drain(DRAIN_GRACE)?;
    info!(in_flight = drained.in_flight, "collector stopped; what is in flight is sent again after the next start");
    Ok(CommandOutcome::Well)
}
