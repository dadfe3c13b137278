//! `run`: both machines on Kafka, each in a thread of its own, until told to stop.

use std::sync::Arc;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use wulog_schemas::topic::Topic;
use wulog_service::{Loops, ServiceManager};

use crate::config::Config;
use crate::deliver::{ChannelConfig, Runner};
use crate::detect::Detector;
use crate::http::HttpServer;
use crate::log::LogError;
use crate::log::alert_queue::AlertQueue;
use crate::log::kafka::{KafkaLog, KafkaQueue};
use crate::machine::Machine;
use crate::metrics::Metrics;
use crate::normalize::Normalizer;
use crate::shell::{Shell, ShellConfig};
use crate::status::{AlertsLog, Status};
use crate::{question, topics};

/// Pause before brokers that did not answer are asked again.
const RETRY: Duration = Duration::from_secs(3);

/// Runs this instance until `stop`.
///
/// # Errors
/// What a person must mend; nothing is lost.
pub(crate) async fn run(config: &Config, stop: &CancellationToken) -> anyhow::Result<()> {
    let manager = ServiceManager::from_env();
    // A broker that is away is waited for, so it does not make the start fail.
    manager.ready();
    if !topics_are_right(config, &manager, stop).await? {
        return Ok(());
    }
    let (metrics, loops) = (Metrics::new(), Loops::new(Instant::now()));
    config.normalizer.inventory.watch(stop, telling(&metrics));
    let server = config.http.as_ref().map(HttpServer::bind).transpose()?;
    let (asker, questions) = question::channel();
    let (file_asker, file_questions) = question::channel();
    let status = Status::new(AlertsLog::Kafka(Box::new(config.kafka.clone())), &metrics, asker);
    let status = Arc::new(status.asking_for_files(file_asker));
    let channels = config
        .channels
        .iter()
        .map(|channel| runner(channel, &metrics, &loops, Box::new(KafkaQueue::open(&config.kafka, &channel.name)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let ticks = config.shell.clone();
    let no_ticks = ShellConfig { tick_after_idle: None, ..config.shell.clone() };
    let mut normalizer = on_kafka::<Normalizer>(config, ticks, Topic::Raw, config.normalizer.clone())?
        .noting_in(&metrics)
        .watched_in(&loops)
        .answering(file_questions);
    let mut detector = on_kafka::<Detector>(config, no_ticks, Topic::Signals, config.detector.clone())?
        .noting_in(&metrics)
        .watched_in(&loops)
        .answering(questions);
    info!(
        brokers = config.kafka.brokers(),
        prefix = config.kafka.topic_prefix,
        instance = config.kafka.instance,
        "running"
    );
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let mut threads = vec![
                ("normalizer", scope.spawn(move || Ok(normalizer.run(stop)?))),
                ("detector", scope.spawn(move || Ok(detector.run(stop)?))),
            ];
            for mut channel in channels {
                threads.push(("channel", scope.spawn(move || Ok(channel.run(stop)?))));
            }
            let metrics = &metrics;
            if let Some(server) = server {
                let followed = Arc::clone(&status);
                threads.push(("status page", scope.spawn(move || followed.run(stop))));
                threads.push(("HTTP server", scope.spawn(move || server.run(metrics, status, stop))));
            }
            join_all(threads, &manager, &loops, stop)
        })
    })
}

/// Tells the status page of trouble with the inventory of hosts.
pub(crate) fn telling(metrics: &Metrics) -> impl Fn(Option<String>) + Send + 'static {
    let metrics = metrics.clone();
    move |what| metrics.problem("inventory", what)
}

/// A channel over its queue.
pub(crate) fn runner(
    config: &ChannelConfig,
    metrics: &Metrics,
    loops: &Loops,
    queue: Box<dyn AlertQueue>,
) -> anyhow::Result<Runner> {
    let rounds = loops.add(Instant::now());
    Runner::new(config, queue, metrics.of_channel(&config.name), rounds).map_err(anyhow::Error::msg)
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
async fn topics_are_right(config: &Config, manager: &ServiceManager, stop: &CancellationToken) -> anyhow::Result<bool> {
    while !stop.is_cancelled() {
        manager.alive(Instant::now());
        match topics::check(&config.kafka, &config.topics).await {
            Ok(wrong) if wrong.is_empty() => return Ok(true),
            Ok(wrong) => anyhow::bail!("the topics have invalid settings:\n  {}", wrong.join("\n  ")),
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

/// Joins threads that run until `stop`; the first that fails stops the others. Until then the watchdog is fed as long as all
/// `loops` turn.
pub(crate) fn join_all<'scope>(
    threads: Vec<(&'static str, ScopedJoinHandle<'scope, anyhow::Result<()>>)>,
    manager: &ServiceManager,
    loops: &Loops,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    while !stop.is_cancelled() && threads.iter().all(|(_, thread)| !thread.is_finished()) {
        manager.alive_with(loops, Instant::now());
        std::thread::sleep(Duration::from_millis(50));
    }
    manager.stopping();
    stop.cancel();
    let mut outcome = Ok(());
    for (name, thread) in threads {
        let ended = thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked")));
        outcome = outcome.and(ended.map_err(|error| error.context(format!("the {name} stopped"))));
    }
    outcome
}
