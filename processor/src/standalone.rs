//! Everything on one machine without Kafka: a collector over a folder of gathered logs, the embedded log, both
//! machines, and a printer of alerts.

mod printer;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use rusqlite::Connection;
use tokio_util::sync::CancellationToken;
use tracing::info;
use wulog_collector::Collector;
use wulog_collector::clock::Clock;
use wulog_collector::encoding::EncodingChoice;
use wulog_schemas::topic::Topic;

use crate::detect::{Detector, DetectorConfig};
use crate::log::embedded::{self, EmbeddedConfig, EmbeddedLog, EmbeddedSink};
use crate::machine::Machine;
use crate::normalize::{Normalizer, NormalizerConfig};
use crate::shell::{Shell, ShellConfig};

use printer::Printer;

/// How often the logs are looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How long what is on its way may take once told to stop.
const DRAIN_GRACE: Duration = Duration::from_secs(10);

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
        let sink = EmbeddedSink::open(&self.log, Clock::System)?;
        let collector = Collector::new(self.collector_config()?, Box::new(sink), Clock::System)?;
        let mut normalizer = self.shell::<Normalizer>(Topic::Raw, self.normalizer.clone())?;
        let mut detector = self.shell::<Detector>(Topic::Signals, self.detector.clone())?;
        let mut printer = Printer::open(&self.log, self.alerts_out.as_deref())?;
        std::thread::scope(|scope| {
            let threads = [
                ("collector", scope.spawn(move || collect(collector, stop))),
                ("normalizer", scope.spawn(move || Ok(normalizer.run(stop)?))),
                ("detector", scope.spawn(move || Ok(detector.run(stop)?))),
                ("printer", scope.spawn(move || printer.run(stop))),
            ];
            crate::run::join_all(threads, stop)
        })
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

/// Ships what the logs hold until `stop`; then keeps what is acknowledged.
fn collect(mut collector: Collector, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut greeted = false;
    while !stop.is_cancelled() {
        let pass = collector.pass(POLL_INTERVAL)?;
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
