//! Everything on one machine without Kafka: a collector over a folder of gathered logs, the embedded log, both
//! machines, and a printer of alerts.

mod printer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use rusqlite::Connection;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wulog_collector::{Collector, Pass};
use wulog_lines::EncodingChoice;
use wulog_schemas::topic::Topic;
use wulog_service::{Clock, Loops, Rounds, ServiceManager};

use crate::deliver::ChannelConfig;
use crate::detect::{Detector, DetectorConfig};
use crate::http::{HttpConfig, HttpServer};
use crate::log::embedded::{self, EmbeddedConfig, EmbeddedLog, EmbeddedQueue, EmbeddedSink};
use crate::machine::Machine;
use crate::metrics::Metrics;
use crate::normalize::{Normalizer, NormalizerConfig};
use crate::question;
use crate::shell::{Shell, ShellConfig};
use crate::status::{AlertsLog, Status};

use printer::Printer;

/// How often the logs are looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How often it is looked at whether logs are still read and written.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Lines that wait for the database for longer than this are reported.
const UNWRITTEN_MAX: Duration = Duration::from_secs(15);

/// How long what is on its way may take once told to stop.
const DRAIN_GRACE: Duration = Duration::from_secs(10);

/// Files of hosts without a log that are named at the start; of a folder of traces the first ones tell enough.
const WARNED_FILES_MAX: usize = 20;

/// What `standalone` runs on.
#[derive(Clone, Debug)]
pub struct Standalone {
    /// The folder of logs: `DIR/HOST/*.log`.
    pub logs: PathBuf,
    /// Their encoding.
    pub encoding: EncodingChoice,
    /// The embedded log.
    pub log: EmbeddedConfig,
    /// Alert documents are appended here, one a line, as well as printed.
    pub alerts_out: Option<PathBuf>,
    /// The Normalizer's configuration.
    pub normalizer: NormalizerConfig,
    /// The Detector's configuration.
    pub detector: DetectorConfig,
    /// How the loops run.
    pub shell: ShellConfig,
    /// Where alerts go, beside standard output.
    pub channels: Vec<ChannelConfig>,
    /// Where it says how it is.
    pub http: Option<HttpConfig>,
}

impl Standalone {
    /// Runs until `stop`; then drains, so that the next start goes on where this one ended.
    ///
    /// # Errors
    /// What a person must mend; nothing is lost.
    pub fn run(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.logs.is_dir(),
            "{}: not a folder; expected one that holds HOST/WindowsUpdate.log for each host",
            self.logs.display()
        );
        self.warn_of_hosts_without_log();
        let _lock = embedded::Lock::take(&self.log.path)?;
        embedded::open(&self.log)?;
        embedded::check_in_background(self.log.path.clone());
        let sink = EmbeddedSink::open(&self.log, Clock::System)?;
        let collector = Collector::new(self.collector_config()?, Box::new(sink), Clock::System)?;
        let (metrics, loops) = (Metrics::new(), Loops::new(Instant::now()));
        self.normalizer.inventory.watch(stop, crate::run::telling(&metrics));
        let (file_asker, file_questions) = question::channel();
        let mut normalizer = self
            .shell::<Normalizer>(Topic::Raw, self.normalizer.clone())?
            .noting_in(&metrics)
            .watched_in(&loops)
            .answering(file_questions);
        let (asker, questions) = question::channel();
        let mut detector = self
            .shell::<Detector>(Topic::Signals, self.detector.clone())?
            .noting_in(&metrics)
            .watched_in(&loops)
            .answering(questions);
        let server = self.http.as_ref().map(HttpServer::bind).transpose()?;
        let status = Status::new(AlertsLog::Embedded(self.log.clone()), &metrics, asker);
        let status = Arc::new(status.asking_for_files(file_asker));
        let channels = self
            .channels
            .iter()
            .map(|channel| {
                let queue = EmbeddedQueue::open(&self.log, &channel.name)?;
                crate::run::runner(channel, &metrics, &loops, Box::new(queue))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let has_other_ears = self.alerts_out.is_some() || self.http.is_some() || !self.channels.is_empty();
        let mut printer = Printer::open(&self.log, self.alerts_out.as_deref(), has_other_ears)?;
        let (manager, reading) = (ServiceManager::from_env(), loops.add(Instant::now()));
        manager.ready();
        std::thread::scope(|scope| {
            let metrics = &metrics;
            let watched = Watched { logs: &self.logs, metrics, rounds: &reading };
            let mut threads = vec![
                ("collector", scope.spawn(move || collect(collector, &watched, stop))),
                ("normalizer", scope.spawn(move || Ok(normalizer.run(stop)?))),
                ("detector", scope.spawn(move || Ok(detector.run(stop)?))),
                ("printer", scope.spawn(move || printer.run(metrics, stop))),
            ];
            for mut channel in channels {
                threads.push(("channel", scope.spawn(move || Ok(channel.run(stop)?))));
            }
            if let Some(server) = server {
                let followed = Arc::clone(&status);
                threads.push(("status page", scope.spawn(move || followed.run(stop))));
                threads.push(("HTTP server", scope.spawn(move || server.run(metrics, status, stop))));
            }
            crate::run::join_all(threads, &manager, &loops, stop)
        })
    }

    /// Says of hosts that have a trace or an archive in place of a log what to do: the collector looks at `*.log` alone, so
    /// these hosts would be missing without a word.
    fn warn_of_hosts_without_log(&self) {
        // A folder without any file is no reason to stop: logs may come later.
        let refused = crate::replay::logs::in_place_of_logs(&self.logs, self.encoding).unwrap_or_default();
        for why in refused.iter().take(WARNED_FILES_MAX) {
            warn!("a host has no *.log: {why}");
        }
        if let Some(more) = refused.len().checked_sub(WARNED_FILES_MAX).filter(|more| *more > 0) {
            warn!(files = more, "more files of hosts without *.log are not read");
        }
    }

    fn shell<M: Machine>(&self, input: Topic, config: M::Config) -> anyhow::Result<Shell<M>> {
        let log = EmbeddedLog::open(&self.log, M::NAME, input)?;
        let tick_after_idle = if input == Topic::Raw { self.shell.tick_after_idle } else { None };
        Ok(Shell::new(ShellConfig { tick_after_idle, ..self.shell.clone() }, config, Box::new(log)))
    }

    /// The collector's checkpoint belongs to one log: a new file starts from the logs' beginnings.
    fn collector_config(&self) -> anyhow::Result<wulog_collector::Config> {
        let connection = embedded::open(&self.log)?;
        let id = log_id(&connection).with_context(|| format!("{}: reading its id", self.log.path.display()))?;
        let mut state = self.log.path.clone().into_os_string();
        state.push(".collector");
        let mut config = wulog_collector::Config::gathered(&self.logs, &PathBuf::from(state).join(id));
        config.inputs.iter_mut().for_each(|input| input.encoding = self.encoding);
        Ok(config)
    }
}

/// What is looked at while logs are read.
struct Watched<'a> {
    logs: &'a Path,
    metrics: &'a Metrics,
    rounds: &'a Rounds,
}

impl Watched<'_> {
    /// Why nothing is read or written, as far as is known after a pass; `written` is when a record was written last.
    fn ready(&self, pass: &Pass, written: Instant) -> Result<(), String> {
        let waits = written.elapsed();
        if pass.in_flight > 0 && waits > UNWRITTEN_MAX {
            let secs = waits.as_secs();
            return Err(format!(
                "no line could be written to the database for {secs} s; the log of this process says why"
            ));
        }
        // A share that is not mounted is an empty folder.
        let is_there = std::fs::read_dir(self.logs).is_ok_and(|mut entries| entries.next().is_some());
        if pass.hosts > 0 && !is_there {
            return Err(format!("{} is empty or cannot be read: is the share mounted?", self.logs.display()));
        }
        Ok(())
    }
}

/// Ships what the logs hold until `stop`; then keeps what is acknowledged.
fn collect(mut collector: Collector, watched: &Watched<'_>, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut greeted = false;
    let mut written = Instant::now();
    let mut looked: Option<Instant> = None;
    while !stop.is_cancelled() {
        watched.rounds.turn(Instant::now());
        let pass = collector.pass(POLL_INTERVAL)?;
        if pass.acked > 0 || pass.in_flight == 0 {
            written = Instant::now();
        }
        if looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            looked = Some(Instant::now());
            watched.metrics.round("collector", watched.ready(&pass, written));
        }
        if pass.caught_up && !greeted {
            greeted = true;
            info!(
                hosts = pass.hosts,
                files = pass.files,
                "the logs are read; alerts follow in seconds, if there are any"
            );
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    collector.drain(DRAIN_GRACE)?;
    Ok(())
}

/// An id that the file got when it was made.
fn log_id(connection: &Connection) -> rusqlite::Result<String> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS log_id (id TEXT NOT NULL);
         INSERT INTO log_id SELECT lower(hex(randomblob(8))) WHERE NOT EXISTS (SELECT 1 FROM log_id);",
    )?;
    connection.query_row("SELECT id FROM log_id", [], |row| row.get(0))
}
