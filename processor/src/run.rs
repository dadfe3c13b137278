//! `run`: both machines on Kafka, each in a thread of its own, until told to stop.

use std::thread::ScopedJoinHandle;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wulog_schemas::topic::Topic;

use crate::config::Config;
use crate::detect::Detector;
use crate::log::LogError;
use crate::log::kafka::KafkaLog;
use crate::machine::Machine;
use crate::normalize::Normalizer;
use crate::shell::{Shell, ShellConfig};
use crate::topics;

/// Pause before brokers that did not answer are asked again.
const RETRY: Duration = Duration::from_secs(3);

/// Runs this instance until `stop`.
///
/// # Errors
/// What a person must mend; nothing is lost.
pub async fn run(config: &Config, stop: &CancellationToken) -> anyhow::Result<()> {
    if !topics_are_right(config, stop).await? {
        return Ok(());
    }
    let ticks = config.shell.clone();
    let no_ticks = ShellConfig { tick_after_idle: None, ..config.shell.clone() };
    let mut normalizer = on_kafka::<Normalizer>(config, ticks, Topic::Raw, config.normalizer.clone())?;
    let mut detector = on_kafka::<Detector>(config, no_ticks, Topic::Signals, config.detector.clone())?;
    info!(
        brokers = config.kafka.brokers(),
        prefix = config.kafka.topic_prefix,
        instance = config.kafka.instance,
        "running"
    );
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let threads = [
                ("normalizer", scope.spawn(move || Ok(normalizer.run(stop)?))),
                ("detector", scope.spawn(move || Ok(detector.run(stop)?))),
            ];
            join_all(threads, stop)
        })
    })
}

fn on_kafka<M: Machine>(
    config: &Config,
    shell: ShellConfig,
    input: Topic,
    machine: M::Config,
) -> Result<Shell<M>, LogError> {
    let log = KafkaLog::open(&config.kafka, M::NAME, input)?;
    Ok(Shell::new(shell, machine, Box::new(log)))
}

/// Waits for the brokers and looks at the topics; false when stopped before.
async fn topics_are_right(config: &Config, stop: &CancellationToken) -> anyhow::Result<bool> {
    while !stop.is_cancelled() {
        match topics::check(&config.kafka, &config.topics).await {
            Ok(wrong) if wrong.is_empty() => return Ok(true),
            Ok(wrong) => anyhow::bail!("the topics are not right:\n  {}", wrong.join("\n  ")),
            Err(LogError::Retry(why)) => warn!(retry_in_s = RETRY.as_secs(), "{why}"),
            Err(fatal) => return Err(fatal.into()),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(RETRY) => {}
        }
    }
    Ok(false)
}

/// Joins threads that run until `stop`; the first that fails stops the others.
pub(crate) fn join_all<'scope, const N: usize>(
    threads: [(&'static str, ScopedJoinHandle<'scope, anyhow::Result<()>>); N],
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    while !stop.is_cancelled() && threads.iter().all(|(_, thread)| !thread.is_finished()) {
        std::thread::sleep(Duration::from_millis(50));
    }
    stop.cancel();
    let mut outcome = Ok(());
    for (name, thread) in threads {
        let ended = thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked")));
        outcome = outcome.and(ended.map_err(|error| error.context(format!("the {name} stopped"))));
    }
    outcome
}
