//! The Kafka sink, and the only module of the collector that uses librdkafka.
//!
//! The user's `[kafka]` table is passed to librdkafka; properties that the guarantees of the collector need are set
//! after it. Deliveries are reported by a callback, by ticket, and never awaited one by one. With
//! `message.timeout.ms=0` librdkafka itself retries while a broker is unreachable, so no record expires; a purged
//! record is reported as not delivered. A producer that failed for good, or reports nothing for too long, is recreated,
//! and its records are sent again.

mod client;
mod reports;
mod watchdog;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tracing::{error, warn};
use wulog_kafka::KafkaSettings;
use wulog_schemas::raw;
use wulog_schemas::topic::Topic;

use self::client::{batch_bytes, client_config};
use self::reports::{ClusterTrouble, ReportContext, Reports, decide, lock, missing};
use self::watchdog::Watchdog;
use crate::record::OutRecord;
use crate::sink::{Delivery, Sink, SinkError, Ticket};

/// How long the first contact may take; only then does the sink block.
const CONTACT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a failed contact waits for the event that holds the reason.
const REASON_WAIT: Duration = Duration::from_millis(500);
/// How often deliveries are taken while records are on their way. The thread sleeps in between, since the wait of
/// librdkafka's client does not return early and spins through its last millisecond, which took a tenth of a core.
const POLL_SLICE: Duration = Duration::from_millis(5);
/// Pause before a producer that failed at once is recreated. The pause doubles up to `RENEW_WAIT_MAX`.
const RENEW_WAIT: Duration = Duration::from_millis(100);
const RENEW_WAIT_MAX: Duration = Duration::from_secs(60);
/// The producer is recreated after so long without an acknowledgement; see [`KafkaSink::silence_max`].
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// Smallest size of a batch. A larger record goes alone.
const BATCH_BYTES_MIN: usize = 1024;

/// The topic `PREFIX.raw` of a Kafka cluster.
pub struct KafkaSink {
    settings: KafkaSettings,
    topic: String,
    brokers: String,
    reports: Arc<Reports>,
    /// `None` only while the producer is recreated, and after a failed attempt.
    producer: Option<BaseProducer<ReportContext>>,
    /// True once the topic was seen to exist.
    contacted: bool,
    in_flight: usize,
    batch_bytes: usize,
    watchdog: Watchdog,
    renewal: Renewal,
    rebuilds: Arc<AtomicU64>,
    /// True when a producer was dropped that may not have reported all of its records.
    lost: bool,
}

/// When the producer may be recreated.
struct Renewal {
    not_before: Instant,
    wait: Duration,
}

/// Why a configuration yields no producer.
#[derive(Debug, thiserror::Error)]
pub enum KafkaConfigError {
    /// The configuration names no broker.
    #[error("[kafka] names no broker: set \"bootstrap.servers\" = \"HOST:9092\"")]
    NoBroker,
    /// librdkafka refuses the configuration; the message names the property.
    #[error("[kafka]: {0}")]
    Refused(String),
}

impl KafkaSink {
    /// Returns a producer to `PREFIX.raw`. Does not wait for the broker.
    ///
    /// # Errors
    /// When librdkafka refuses the configuration.
    pub fn new(settings: &BTreeMap<String, String>, topic_prefix: &str) -> Result<KafkaSink, KafkaConfigError> {
        let brokers = ["bootstrap.servers", "metadata.broker.list"].iter().find_map(|key| settings.get(*key));
        let brokers = brokers.filter(|brokers| !brokers.trim().is_empty());
        let brokers = brokers.ok_or(KafkaConfigError::NoBroker)?.clone();
        let mut sink = KafkaSink {
            settings: settings.clone().into(),
            topic: Topic::Raw.name(topic_prefix),
            brokers,
            reports: Arc::default(),
            producer: None,
            contacted: false,
            in_flight: 0,
            batch_bytes: batch_bytes(settings),
            watchdog: Watchdog::new(SILENCE_MAX),
            renewal: Renewal { not_before: Instant::now(), wait: RENEW_WAIT },
            rebuilds: Arc::default(),
            lost: false,
        };
        sink.producer = Some(sink.create(client_config(settings)).map_err(KafkaConfigError::Refused)?);
        Ok(sink)
    }

    /// Sets how long the producer may report nothing while records are on their way, before it is recreated.
    #[must_use]
    pub fn silence_max(mut self, wait: Duration) -> KafkaSink {
        self.watchdog = Watchdog::new(wait);
        self
    }

    /// Returns the counter of recreated producers.
    #[must_use]
    pub fn rebuilds(&self) -> Arc<AtomicU64> {
        self.rebuilds.clone()
    }

    /// Asks the cluster for the topic and returns the number of its partitions.
    ///
    /// The request names no topic, since a request for one topic by name creates the topic with defaults where brokers
    /// allow it.
    ///
    /// # Errors
    /// [`SinkError::Retry`] while no broker answers, [`SinkError::Fatal`] when the topic is missing or the login failed.
    pub fn contact(&mut self, timeout: Duration) -> Result<usize, SinkError> {
        let Some(producer) = &self.producer else { return Err(being_recreated()) };
        let metadata = producer.client().fetch_metadata(None, timeout);
        producer.poll(Duration::ZERO);
        if metadata.is_err() {
            // The reason comes as an event, perhaps after the answer.
            producer.poll(REASON_WAIT);
        }
        let metadata = match metadata {
            Ok(metadata) => metadata,
            Err(error) => {
                let mut trouble = lock(&self.reports.trouble);
                if let Some(reason) = trouble.authentication.take() {
                    return Err(SinkError::Fatal(format!(
                        "{}: {reason}; check sasl and ssl settings under [kafka]",
                        self.brokers
                    )));
                }
                let reason = trouble.last.clone().unwrap_or_else(|| error.to_string());
                return Err(SinkError::Retry(format!("no broker of {} answers: {reason}", self.brokers)));
            }
        };
        match metadata.topics().iter().find(|topic| topic.name() == self.topic) {
            Some(found) if !found.partitions().is_empty() => {
                self.contacted = true;
                Ok(found.partitions().len())
            }
            _ => Err(SinkError::Fatal(missing(&self.topic, &self.brokers))),
        }
    }

    /// Recreates the producer. Records of the old producer are reported as not delivered, or [`Sink::lost`] becomes
    /// true.
    fn renew(&mut self, reason: &str) {
        let now = Instant::now();
        if now < self.renewal.not_before {
            return;
        }
        self.renewal.not_before = now + self.renewal.wait;
        self.renewal.wait = (self.renewal.wait * 2).min(RENEW_WAIT_MAX);
        // The drop waits for the end of the producer, which purges its queues and reports each record as purged.
        self.producer = None;
        self.reports.fatal.store(false, Ordering::Release);
        self.lost = true;
        self.rebuilds.fetch_add(1, Ordering::Relaxed);
        let mut config = client_config(&self.settings);
        if self.batch_bytes != batch_bytes(&self.settings) {
            config.set("batch.size", self.batch_bytes.to_string());
        }
        match self.create(config) {
            Ok(producer) => {
                warn!(brokers = self.brokers, reason, "the producer is recreated; no line is lost");
                self.producer = Some(producer);
            }
            Err(error) => {
                error!(error, reason, "the producer failed and cannot be recreated; the next pass tries again");
                self.reports.fatal.store(true, Ordering::Release);
            }
        }
    }

    /// Recreates the producer if there is a reason.
    fn mend(&mut self, acknowledged: bool) {
        let silent = self.watchdog.look(Instant::now(), self.in_flight > 0, acknowledged);
        if self.reports.batch_too_large.swap(false, Ordering::AcqRel) {
            self.batch_bytes = (self.batch_bytes / 2).max(BATCH_BYTES_MIN);
            self.renewal.not_before = Instant::now();
            self.renew(&format!("batches exceed max.message.bytes of {}; now {} bytes", self.topic, self.batch_bytes));
        } else if let Some(reason) = self.fatal() {
            self.renew(&reason);
        } else if let Some(silent) = silent {
            self.renewal.not_before = Instant::now();
            self.renew(&format!("no acknowledgement for {} s", silent.as_secs()));
        }
    }

    /// Returns why the producer cannot go on; `None` while it can.
    fn fatal(&self) -> Option<String> {
        if !self.reports.suspect.swap(false, Ordering::AcqRel) && !self.reports.fatal.load(Ordering::Acquire) {
            return None;
        }
        let fatal = self.producer.as_ref().and_then(|producer| producer.client().fatal_error());
        if fatal.is_some() {
            self.reports.fatal.store(true, Ordering::Release);
        }
        let known = self.reports.fatal.load(Ordering::Acquire);
        known.then(|| fatal.map_or_else(|| "fatal error".to_owned(), |(code, reason)| format!("{code}: {reason}")))
    }

    fn create(&self, config: ClientConfig) -> Result<BaseProducer<ReportContext>, String> {
        let context = ReportContext {
            topic: self.topic.clone(),
            brokers: self.brokers.clone(),
            batch_bytes: self.batch_bytes,
            reports: self.reports.clone(),
            settings: self.settings.clone(),
        };
        config.create_with_context(context).map_err(|error| self.settings.why_refused(&error))
    }

    fn take_reports(&mut self) -> Vec<Delivery> {
        let mut reported = lock(&self.reports.deliveries);
        // The next batch of reports will be about as long.
        let room = Vec::with_capacity(reported.len());
        let deliveries = std::mem::replace(&mut *reported, room);
        drop(reported);
        self.in_flight = self.in_flight.saturating_sub(deliveries.len());
        if deliveries.iter().any(|delivery| delivery.result.is_ok()) {
            *lock(&self.reports.trouble) = ClusterTrouble::default();
            self.renewal.wait = RENEW_WAIT;
        }
        deliveries
    }
}

impl Sink for KafkaSink {
    fn send(&mut self, ticket: Ticket, record: &OutRecord) -> Result<(), SinkError> {
        if !self.contacted {
            self.contact(CONTACT_TIMEOUT)?;
        }
        if self.reports.fatal.load(Ordering::Acquire) {
            return Err(being_recreated());
        }
        let Some(producer) = &self.producer else { return Err(being_recreated()) };
        let header = Header { key: raw::HEADER, value: Some(record.header()) };
        let message = BaseRecord::<str, [u8], usize>::with_opaque_to(&self.topic, ticket as usize)
            .key(record.host_id().as_str())
            .payload(record.value())
            .timestamp(record.read_ms())
            .headers(OwnedHeaders::new_with_capacity(1).insert(header));
        match producer.send(message) {
            Ok(()) => {
                self.in_flight += 1;
                Ok(())
            }
            Err((error, _)) => Err(decide(&error, &self.topic, &self.brokers)),
        }
    }

    fn poll(&mut self, wait: Duration) -> Vec<Delivery> {
        let deadline = Instant::now() + wait;
        loop {
            // A poll takes one event, and one event holds many reports.
            if let Some(producer) = &self.producer {
                producer.poll(Duration::ZERO);
            }
            let mut deliveries = self.take_reports();
            self.mend(deliveries.iter().any(|delivery| delivery.result.is_ok()));
            if self.lost {
                // Take the last reports of the old producer before anything is sent to the new one.
                deliveries.extend(self.take_reports());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !deliveries.is_empty() || self.lost || left.is_zero() {
                return deliveries;
            }
            std::thread::sleep(if self.in_flight == 0 { left } else { left.min(POLL_SLICE) });
        }
    }

    fn lost(&mut self) -> bool {
        let lost = std::mem::take(&mut self.lost);
        if lost {
            self.in_flight = 0;
        }
        lost
    }
}

fn being_recreated() -> SinkError {
    SinkError::Retry("the producer is being recreated".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_without_a_broker_is_refused() {
        let error = KafkaSink::new(&BTreeMap::new(), "wulog").err().expect("there is no broker");
        assert!(error.to_string().contains("bootstrap.servers"));
    }
}
