//! The sink that is Kafka. The only place in the collector that knows librdkafka's names.
//!
//! The user's `[kafka]` table passes through; what the promises of the collector rest on is set after it. Records are
//! never awaited one by one: a delivery callback reports them, by ticket. `message.timeout.ms=0` leaves an unreachable
//! broker to librdkafka's own retries, so nothing expires; a purge is reported as not delivered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use tracing::{debug, error, warn};
use wulog_schemas::raw;
use wulog_schemas::topic::Topic;

use crate::sink::{Delivery, RawRecord, Sink, SinkError, Ticket};

/// Used where the configuration says nothing, under any of the names that librdkafka has for a property.
const DEFAULTS: [(&[&str], &str); 4] = [
    (&["client.id"], "wulog-collector"),
    (&["compression.codec", "compression.type"], "lz4"),
    // librdkafka's 5 ms makes small batches; nobody notices 50 ms in a log.
    (&["linger.ms", "queue.buffering.max.ms"], "50"),
    // Its default is 1 GiB. The byte budget of the collector is the bound; this one is above it.
    (&["queue.buffering.max.kbytes"], "32768"),
];

/// What must hold, whatever the configuration says, under whatever name.
const INVARIANTS: [(&[&str], &str); 4] = [
    (&["enable.idempotence"], "true"),
    (&["acks", "request.required.acks"], "all"),
    (&["message.timeout.ms", "delivery.timeout.ms"], "0"),
    // As Java clients do, so that every tool finds a host's partition.
    (&["partitioner"], "murmur2_random"),
];

/// How long the first contact may take, the one time that the sink blocks.
const CONTACT_TIMEOUT: Duration = Duration::from_secs(1);
/// librdkafka's poll does not return early, so waiting is cut into slices.
const POLL_SLICE: Duration = Duration::from_millis(10);
/// An unreachable broker is mentioned at most this often, after twice that, and so on up to the second.
const WARN_EVERY: Duration = Duration::from_secs(10);
const WARN_EVERY_MAX: Duration = Duration::from_secs(600);

/// The topic `PREFIX.raw` of a Kafka cluster.
pub struct KafkaSink {
    config: ClientConfig,
    topic: String,
    brokers: String,
    reports: Arc<Reports>,
    producer: BaseProducer<Context>,
    /// The topic was seen to exist.
    contacted: bool,
    in_flight: usize,
}

/// Why no producer can be made of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum KafkaConfigError {
    /// There is no broker to begin with.
    #[error("[kafka] names no broker: set \"bootstrap.servers\" = \"HOST:9092\"")]
    NoBroker,
    /// librdkafka refuses it; the message names the property.
    #[error("[kafka]: {0}")]
    Refused(String),
}

/// What librdkafka reports between two polls.
#[derive(Default)]
struct Reports {
    deliveries: Mutex<Vec<Delivery>>,
    trouble: Mutex<Trouble>,
}

#[derive(Default)]
struct Trouble {
    /// The idempotent producer cannot go on; a new one can.
    fatal: bool,
    authentication: Option<String>,
    last: Option<String>,
    warned: Option<(Instant, Duration)>,
}

struct Context {
    topic: String,
    brokers: String,
    reports: Arc<Reports>,
}

impl KafkaSink {
    /// A producer to `PREFIX.raw`. Does not wait for the broker.
    ///
    /// # Errors
    /// When librdkafka refuses the configuration.
    pub fn new(settings: &BTreeMap<String, String>, topic_prefix: &str) -> Result<KafkaSink, KafkaConfigError> {
        let brokers = ["bootstrap.servers", "metadata.broker.list"].iter().find_map(|key| settings.get(*key));
        let brokers = brokers.ok_or(KafkaConfigError::NoBroker)?.clone();
        let config = client_config(settings);
        let topic = Topic::Raw.name(topic_prefix);
        let reports = Arc::new(Reports::default());
        let producer = create(&config, &topic, &brokers, &reports)
            .map_err(|error| KafkaConfigError::Refused(error.to_string()))?;
        Ok(KafkaSink { config, topic, brokers, reports, producer, contacted: false, in_flight: 0 })
    }

    /// Asks the cluster for the topic and how many partitions it has.
    ///
    /// All topics are asked for, since asking for one by name makes it, with defaults, where brokers are set so.
    ///
    /// # Errors
    /// [`SinkError::Retry`] while no broker answers, [`SinkError::Fatal`] when the topic is missing or the login failed.
    pub fn contact(&mut self, timeout: Duration) -> Result<usize, SinkError> {
        let metadata = self.producer.client().fetch_metadata(None, timeout);
        self.producer.poll(Duration::ZERO);
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

    /// After a fatal error of the idempotent producer: a new one. What the old one held is reported as not delivered.
    fn renew(&mut self) {
        match create(&self.config, &self.topic, &self.brokers, &self.reports) {
            Ok(producer) => {
                warn!(brokers = self.brokers, "the idempotent producer failed and is made anew; nothing is lost");
                self.producer = producer;
            }
            Err(error) => {
                error!(%error, "the producer failed and no new one can be made; it is tried again");
                lock(&self.reports.trouble).fatal = true;
            }
        }
    }

    fn take_reports(&mut self) -> Vec<Delivery> {
        let deliveries = std::mem::take(&mut *lock(&self.reports.deliveries));
        self.in_flight = self.in_flight.saturating_sub(deliveries.len());
        if deliveries.iter().any(|delivery| delivery.result.is_ok()) {
            *lock(&self.reports.trouble) = Trouble::default();
        }
        deliveries
    }
}

impl Sink for KafkaSink {
    fn send(&mut self, ticket: Ticket, record: &RawRecord) -> Result<(), SinkError> {
        if !self.contacted {
            self.contact(CONTACT_TIMEOUT)?;
        }
        if lock(&self.reports.trouble).fatal {
            return Err(SinkError::Retry("the producer is being made anew".to_owned()));
        }
        let header = record.header.to_bytes();
        let headers = OwnedHeaders::new_with_capacity(1).insert(Header { key: raw::HEADER, value: Some(&header) });
        let message = BaseRecord::<str, [u8], usize>::with_opaque_to(&self.topic, ticket as usize)
            .key(record.host_id.as_str())
            .payload(&record.value)
            .timestamp(record.header.read)
            .headers(headers);
        match self.producer.send(message) {
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
            // One event holds many reports; there is one a poll.
            self.producer.poll(Duration::ZERO);
            let fatal = std::mem::take(&mut lock(&self.reports.trouble).fatal);
            if fatal {
                self.renew();
            }
            let deliveries = self.take_reports();
            let left = deadline.saturating_duration_since(Instant::now());
            if !deliveries.is_empty() || left.is_zero() {
                return deliveries;
            }
            self.producer.poll(if self.in_flight == 0 { left } else { left.min(POLL_SLICE) });
        }
    }
}

/// The user's settings between our defaults and our invariants.
fn client_config(settings: &BTreeMap<String, String>) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (names, value) in DEFAULTS {
        if !names.iter().any(|name| settings.contains_key(*name)) {
            config.set(names[0], value);
        }
    }
    for (key, value) in settings {
        config.set(key, value);
    }
    for (names, value) in INVARIANTS {
        for name in names {
            config.remove(name);
        }
        config.set(names[0], value);
    }
    config
}

fn create(
    config: &ClientConfig,
    topic: &str,
    brokers: &str,
    reports: &Arc<Reports>,
) -> Result<BaseProducer<Context>, KafkaError> {
    let context = Context { topic: topic.to_owned(), brokers: brokers.to_owned(), reports: reports.clone() };
    config.create_with_context(context)
}

/// What an error means for one record.
fn decide(error: &KafkaError, topic: &str, brokers: &str) -> SinkError {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(Code::QueueFull) => SinkError::Full,
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::InvalidRecord) => SinkError::Rejected(
            format!("{topic} on {brokers}: {error}; line_bytes_max must fit max.message.bytes of the topic"),
        ),
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
            SinkError::Fatal(missing(topic, brokers))
        }
        Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            SinkError::Fatal(format!("{topic} on {brokers}: {error}; allow this principal to write the topic"))
        }
        _ => SinkError::Retry(format!("{topic} on {brokers}: {error}")),
    }
}

fn missing(topic: &str, brokers: &str) -> String {
    format!("topic {topic} does not exist on {brokers}: make it with `wulog-processor topics create`")
}

impl ClientContext for Context {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        // What an operator must know comes as an error or a delivery; the rest is for those who look for it.
        debug!(facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut trouble = lock(&self.reports.trouble);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => trouble.fatal = true,
            Some(RDKafkaErrorCode::Authentication) => trouble.authentication = Some(reason.to_owned()),
            _ => {}
        }
        // That all brokers are down says less than why one of them is.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            trouble.last = Some(reason.to_owned());
        }
        let every = match trouble.warned {
            Some((when, every)) if when.elapsed() < every => return,
            Some((_, every)) => (every * 2).min(WARN_EVERY_MAX),
            None => WARN_EVERY,
        };
        trouble.warned = Some((Instant::now(), every));
        warn!(brokers = self.brokers, reason, "trouble with Kafka; nothing is lost, it is tried again");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => {
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
                    lock(&self.reports.trouble).fatal = true;
                }
                Err(decide(error, &self.topic, &self.brokers))
            }
        };
        lock(&self.reports.deliveries).push(Delivery { ticket: ticket as Ticket, result });
    }
}

/// A panic while reporting leaves nothing half done that matters.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(settings: &[(&str, &str)], key: &str, expect: Option<&str>) {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(client_config(&settings).get(key), expect);
    }

    #[test]
    fn settings_pass_through_but_for_what_must_hold() {
        check(&[], "compression.codec", Some("lz4"));
        check(&[("compression.codec", "zstd")], "compression.codec", Some("zstd"));
        check(&[("compression.type", "zstd")], "compression.codec", None);
        check(&[("sasl.mechanisms", "PLAIN")], "sasl.mechanisms", Some("PLAIN"));
        check(&[("acks", "0")], "acks", Some("all"));
        check(&[("request.required.acks", "0")], "request.required.acks", None);
        check(&[("message.timeout.ms", "5000")], "message.timeout.ms", Some("0"));
        check(&[("enable.idempotence", "false")], "enable.idempotence", Some("true"));
    }

    #[track_caller]
    fn check_decision(code: RDKafkaErrorCode, expect: &str) {
        let said = match decide(&KafkaError::MessageProduction(code), "wulog.raw", "a:1") {
            SinkError::Full => "full".to_owned(),
            SinkError::Retry(_) => "retry".to_owned(),
            SinkError::Rejected(_) => "rejected".to_owned(),
            SinkError::Fatal(message) => message,
        };
        assert!(said.contains(expect), "{said}");
    }

    #[test]
    fn an_error_is_a_decision() {
        use RDKafkaErrorCode as Code;
        check_decision(Code::QueueFull, "full");
        check_decision(Code::MessageSizeTooLarge, "rejected");
        check_decision(Code::UnknownTopicOrPartition, "wulog.raw does not exist on a:1");
        check_decision(Code::UnknownTopicOrPartition, "wulog-processor topics create");
        for code in
            [Code::PurgeQueue, Code::PurgeInflight, Code::MessageTimedOut, Code::Fatal, Code::NotLeaderForPartition]
        {
            check_decision(code, "retry");
        }
    }

    #[test]
    fn a_configuration_without_a_broker_is_refused() {
        let error = KafkaSink::new(&BTreeMap::new(), "wulog").err().unwrap();
        assert!(error.to_string().contains("bootstrap.servers"));
    }
}
