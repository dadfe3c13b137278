//! The commands of `wulog-collector`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tracing::{info, warn};
use wulog_files::shown;
use wulog_schemas::visible::visible;
use wulog_service::Clock;
use wulog_service::log_format::LogFormat;
use wulog_service::service_manager::ServiceManager;

use crate::check;
use crate::checkpoint;
use crate::config::{ConfigError, MetricsConfig, UNHEALTHY_AFTER};
use crate::forget;
use crate::kafka::{KafkaConfigError, KafkaSink};
use crate::limits;
use crate::metrics::{Metrics, Server};
use crate::service::{self, ServiceCommand};
use crate::{Collector, Config, Pass};

/// How long a stop may wait for what is on its way. Service managers kill after 30 s or more.
pub(crate) const DRAIN_GRACE: Duration = Duration::from_secs(10);

/// How often the lag of each input is looked up for metrics; scrapers come every 15 s or less often.
const INPUTS_EVERY: Duration = Duration::from_secs(5);

/// How long `test` waits for a broker.
const TEST_CONTACT: Duration = Duration::from_secs(10);

/// Ships WindowsUpdate.log lines to Kafka.
///
/// Exit codes: 0 all is well; 1 it stopped since a person must act; 2 wrong arguments or configuration; 3 a check found
/// something to look at.
#[derive(Debug, Parser)]
#[command(version, name = "wulog-collector")]
pub struct Cli {
    /// How messages are written on standard error.
    #[arg(long, global = true, value_enum, default_value_t, env = "WULOG_LOG_FORMAT")]
    pub log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ships until it is stopped (SIGTERM, Ctrl-C).
    Run(ConfigFile),
    /// Says what is wrong with a configuration, and what in it names nothing.
    CheckConfig(ConfigFile),
    /// Checks the configuration, reads the files and connects to Kafka; ships nothing.
    Test(ConfigFile),
    /// Positions in files.
    Cursor {
        #[command(subcommand)]
        command: CursorCommand,
    },
    /// Prepares a golden image: forgets all positions, so that each clone begins its own. The collector must not run.
    Seal(ConfigFile),
    /// The Windows service.
    Service {
        #[command(subcommand)]
        command: ServiceCommand,
    },
}

impl Cli {
    /// True for the process that Windows starts as a service: nobody reads its terminal.
    #[must_use]
    pub fn is_service(&self) -> bool {
        matches!(self.command, Command::Service { command: ServiceCommand::Run(_) })
    }
}

#[derive(Debug, Subcommand)]
enum CursorCommand {
    /// Shows up to where each file is acknowledged.
    Show(ConfigFile),
    /// Forgets the position in a file: it is read and sent again from its start. The collector must not run.
    Reset {
        /// The file, as `cursor show` names it.
        file: PathBuf,
        #[command(flatten)]
        config: ConfigFile,
    },
}

/// Where the configuration is.
#[derive(Debug, clap::Args)]
pub struct ConfigFile {
    /// The configuration, TOML.
    #[arg(long, env = "WULOG_COLLECTOR_CONFIG")]
    pub config: PathBuf,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As wished.
    Well,
    /// A check found something to look at.
    LookHere,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// Something in it means nothing.
    #[error(transparent)]
    Written(#[from] ConfigError),
    /// librdkafka says so.
    #[error("{path}: {error}")]
    Kafka {
        /// The file.
        path: String,
        /// What it says.
        error: KafkaConfigError,
    },
}

/// Runs a command.
///
/// # Errors
/// [`BadConfig`] for the configuration, anything else for what happens later.
pub fn execute(cli: &Cli, stop: &Arc<AtomicBool>) -> Result<Outcome> {
    match &cli.command {
        Command::Run(file) => {
            let config = load(&file.config)?;
            let sink = ranked_sink(&file.config, &config)?;
            run(config, sink, stop, || {})
        }
        Command::CheckConfig(file) => {
            let config = Config::load(&file.config).map_err(BadConfig::from)?;
            sink(&file.config, &config)?;
            Ok(check_config(&config, &file.config))
        }
        Command::Test(file) => {
            let config = Config::load(&file.config).map_err(BadConfig::from)?;
            let sink = sink(&file.config, &config)?;
            test(&config, &file.config, sink)
        }
        Command::Cursor { command: CursorCommand::Show(file) } => Ok(show(&load(&file.config)?)),
        Command::Service { command } => service::execute(command, stop),
        Command::Cursor { command: CursorCommand::Reset { file, config } } => reset(&load(&config.config)?, file),
        Command::Seal(file) => seal(&load(&file.config)?),
    }
}

pub(crate) fn load(path: &Path) -> Result<Config, BadConfig> {
    let config = Config::load(path)?;
    for finding in config.kafka.readable_by_all(path) {
        warn!("{finding}");
    }
    Ok(config)
}

/// The producer, not connected yet: making it has librdkafka look at every property.
pub(crate) fn sink(path: &Path, config: &Config) -> Result<KafkaSink, BadConfig> {
    KafkaSink::new(&config.kafka, &config.topic_prefix)
        .map_err(|error| BadConfig::Kafka { path: path.display().to_string(), error })
}

/// The producer of a collector that runs, whose threads inherit the priority that the configuration asks for.
pub(crate) fn ranked_sink(path: &Path, config: &Config) -> Result<KafkaSink, BadConfig> {
    if let Err(error) = limits::apply(config.limits.priority) {
        warn!(%error, "the priority cannot be changed; the collector runs as it was started");
    }
    sink(path, config)
}

/// Ships until `stop`; calls `ready` once nothing stands in the way of shipping but a broker that is away.
pub(crate) fn run(config: Config, sink: KafkaSink, stop: &Arc<AtomicBool>, ready: impl FnOnce()) -> Result<Outcome> {
    let poll_interval = Duration::from_millis(config.limits.poll_interval_ms);
    let sink = sink.silence_max(Duration::from_secs(config.limits.no_ack_rebuild_secs));
    let unhealthy_after = config.metrics.map_or(UNHEALTHY_AFTER, |metrics| metrics.unhealthy_after);
    let (metrics, rebuilds) = (Arc::new(Metrics::new(unhealthy_after, Instant::now())), sink.rebuilds());
    let server = config.metrics.map(|MetricsConfig { listen, .. }| {
        Server::start(listen, metrics.clone()).with_context(|| format!("cannot listen at {listen} for [metrics]"))
    });
    // Until the end: dropping it stops listening.
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
    let _made_log = made_log.as_ref().map(crate::windows::update_log::UpdateLog::start);
    ready();
    manager.ready();
    info!(version = env!("CARGO_PKG_VERSION"), "collector started");
    let mut seen = Pass::default();
    while !stop.load(Ordering::Acquire) {
        // Only here: a pass that hangs, in a share for instance, is what the watchdog is for.
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
    Ok(Outcome::Well)
}

fn check_config(config: &Config, path: &Path) -> Outcome {
    let mut findings = check::findings(config);
    findings.extend(config.kafka.readable_by_all(path));
    for finding in &findings {
        println!("{}", visible(finding));
    }
    if findings.is_empty() {
        println!("the configuration is good");
        return Outcome::Well;
    }
    Outcome::LookHere
}

fn test(config: &Config, path: &Path, mut sink: KafkaSink) -> Result<Outcome> {
    let outcome = check_config(config, path);
    for (path, found) in check::read_heads(config) {
        println!("{}: {}", visible(&shown(&path)), visible(&found));
    }
    let partitions = sink.contact(TEST_CONTACT)?;
    println!("topic {}.raw has {partitions} partitions; nothing was shipped", config.topic_prefix);
    Ok(outcome)
}

fn show(config: &Config) -> Outcome {
    let (generation, mut entries) = checkpoint::read(&config.state_dir);
    println!("{}: generation {generation}, {} files", config.state_dir.display(), entries.len());
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    for entry in entries {
        let cursor = &entry.cursor;
        println!(
            "{}\n  epoch {}  acknowledged up to offset {} (byte {} of the file)  losses {}",
            visible(&shown(&entry.path)),
            cursor.epoch,
            cursor.logical,
            cursor.position,
            entry.losses
        );
    }
    Outcome::Well
}

fn reset(config: &Config, file: &Path) -> Result<Outcome> {
    let forgotten = forget::reset(config, file)?;
    println!(
        "{}: forgotten, it was acknowledged up to offset {}; the next start sends it again from its start, as new lines",
        file.display(),
        forgotten.cursor.logical
    );
    Ok(Outcome::Well)
}

fn seal(config: &Config) -> Result<Outcome> {
    let shared = forget::seal(config)?;
    println!("{}: sealed; do not start the collector here before the image is made", config.state_dir.display());
    for sentence in &shared {
        println!("{sentence}");
    }
    // The host id is made of it, and of the computer's name.
    println!("see to it that each clone gets a machine id of its own (sysprep /generalize; an empty /etc/machine-id)");
    Ok(if shared.is_empty() { Outcome::Well } else { Outcome::LookHere })
}
