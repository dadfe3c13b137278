//! The log and the processor of the demo: embedded, or on Kafka. All parts are those of `wulog-processor`.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use wulog_collector::kafka::KafkaSink;
use wulog_collector::sink::Sink;
use wulog_processor::config::Config;
use wulog_processor::detect::Detector;
use wulog_processor::log::embedded::{EmbeddedConfig, EmbeddedLog, EmbeddedSink, Records};
use wulog_processor::log::kafka::{KafkaLog, PartitionReader};
use wulog_processor::log::{Log, LogError, Record};
use wulog_processor::machine::Machine;
use wulog_processor::normalize::Normalizer;
use wulog_processor::shell::{Shell, ShellConfig};
use wulog_processor::topics;
use wulog_schemas::alert::Alert;
use wulog_schemas::topic::Topic;
use wulog_service::Clock;

/// Minimum interval of looks for alerts on Kafka: each look is a new consumer.
const KAFKA_LOOK_INTERVAL: Duration = Duration::from_secs(1);

enum Place {
    Embedded(EmbeddedConfig),
    Kafka(Box<Config>),
}

/// Both machines in threads of their own, and the log that they and the collectors share.
pub(crate) struct Backend {
    place: Place,
    stop: CancellationToken,
    threads: Vec<JoinHandle<Result<(), LogError>>>,
    at_end: [Arc<AtomicBool>; 2],
    next_alert: Cell<i64>,
    last_look: Cell<Option<Instant>>,
}

impl Backend {
    /// Starts both machines, with ticks in the fleet's time.
    pub(crate) fn start(kafka: Option<&str>, folder: &Path, clock: &Clock) -> anyhow::Result<Backend> {
        let place = match kafka {
            None => Place::Embedded(EmbeddedConfig::at(&folder.join("wulog.db"))),
            Some(brokers) => Place::Kafka(Box::new(kafka_config(brokers)?)),
        };
        let mut backend = Backend {
            place,
            stop: CancellationToken::new(),
            threads: Vec::new(),
            at_end: [Arc::default(), Arc::default()],
            next_alert: Cell::new(0),
            last_look: Cell::new(None),
        };
        if let Place::Kafka(config) = &backend.place {
            tokio::runtime::Handle::current()
                .block_on(topics::create(&config.kafka, &config.topics))
                .with_context(|| format!("is there a Kafka at {}?", config.kafka.brokers()))?;
        }
        let ticks = ShellConfig {
            tick_after_idle: Some(Duration::from_secs(1)),
            clock: clock.clone(),
            ..ShellConfig::default()
        };
        let (normalizer, detector) = match &backend.place {
            Place::Embedded(_) => Default::default(),
            Place::Kafka(config) => (config.normalizer.clone(), config.detector.clone()),
        };
        backend.spawn::<Normalizer>(0, Topic::Raw, ticks, normalizer)?;
        backend.spawn::<Detector>(1, Topic::Signals, ShellConfig::default(), detector)?;
        Ok(backend)
    }

    fn spawn<M: Machine + 'static>(
        &mut self,
        which: usize,
        input: Topic,
        shell: ShellConfig,
        config: M::Config,
    ) -> anyhow::Result<()> {
        let log: Box<dyn Log> = match &self.place {
            Place::Embedded(config) => Box::new(EmbeddedLog::open(config, M::NAME, input)?),
            Place::Kafka(config) => Box::new(KafkaLog::open(&config.kafka, M::NAME, input)?),
        };
        let mut shell: Shell<M> = Shell::new(shell, config, log);
        let (stop, at_end) = (self.stop.clone(), Arc::clone(&self.at_end[which]));
        self.threads.push(std::thread::spawn(move || {
            while !stop.is_cancelled() {
                match shell.step(Duration::from_millis(100)) {
                    Ok(step) => at_end.store(step.at_end, Ordering::Release),
                    Err(LogError::Retry(why)) => {
                        tracing::warn!("{why}");
                        std::thread::sleep(Duration::from_millis(500));
                    }
                    Err(fatal) => return Err(fatal),
                }
            }
            shell.finish()
        }));
        Ok(())
    }

    /// A way into the log for one collector.
    pub(crate) fn sink(&self, clock: &Clock) -> anyhow::Result<Box<dyn Sink>> {
        Ok(match &self.place {
            Place::Embedded(config) => Box::new(EmbeddedSink::open(config, clock.clone())?),
            Place::Kafka(config) => Box::new(KafkaSink::new(&config.kafka.properties, &config.kafka.topic_prefix)?),
        })
    }

    /// Alert documents that were not returned before.
    pub(crate) fn new_alerts(&self) -> anyhow::Result<Vec<Alert>> {
        let records: Vec<Record> = match &self.place {
            Place::Embedded(config) => Records::open(config, Topic::Alerts)?.collect::<Result<_, _>>()?,
            Place::Kafka(config) => {
                if self.last_look.get().is_some_and(|at| at.elapsed() < KAFKA_LOOK_INTERVAL) {
                    return Ok(Vec::new());
                }
                self.last_look.set(Some(Instant::now()));
                PartitionReader::open(&config.kafka, Topic::Alerts, 0)?.collect::<Result<_, _>>()?
            }
        };
        let mut alerts = Vec::new();
        for record in records.iter().filter(|record| record.offset >= self.next_alert.get()) {
            alerts.push(serde_json::from_slice(&record.value).context("an alert that is none")?);
        }
        if let Some(last) = records.last() {
            self.next_alert.set(last.offset + 1);
        }
        Ok(alerts)
    }

    /// True when both machines have read everything.
    pub(crate) fn is_settled(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished) || self.at_end.iter().all(|flag| flag.load(Ordering::Acquire))
    }

    /// Ends both machines.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        self.stop.cancel();
        for thread in self.threads {
            thread.join().map_err(|_| anyhow::anyhow!("a machine's thread panicked"))??;
        }
        Ok(())
    }
}

/// Topics of this run only, so that a second run starts from nothing; simulated time lies in the past.
fn kafka_config(brokers: &str) -> anyhow::Result<Config> {
    let run = chrono::Utc::now().format("%Y%m%d-%H%M%S");
    let text = format!(
        "topic_prefix = \"wulog-demo-{run}\"\ninstance = \"demo\"\n[kafka]\n\"bootstrap.servers\" = {brokers:?}\n\"linger.ms\" = 2\n[topics]\nsimulated = true\n"
    );
    Ok(Config::parse("--kafka", &text)?)
}
