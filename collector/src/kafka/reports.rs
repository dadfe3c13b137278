//! The callbacks of librdkafka between two polls: deliveries and errors; and the meaning of an error.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use tracing::{debug, warn};
use wulog_kafka::KafkaSettings;
use wulog_schemas::raw;

use crate::sink::{Delivery, SinkError, Ticket};

/// Pause between two warnings about an unreachable broker. The pause doubles up to `WARN_EVERY_MAX`.
const WARN_EVERY: Duration = Duration::from_secs(10);
const WARN_EVERY_MAX: Duration = Duration::from_secs(600);

/// Reports that were not taken yet.
#[derive(Default)]
pub(super) struct Reports {
    pub(super) deliveries: Mutex<Vec<Delivery>>,
    pub(super) trouble: Mutex<ClusterTrouble>,
    /// True when the idempotent producer cannot go on; a new producer can.
    pub(super) fatal: AtomicBool,
    /// True when an error came that may be fatal. The error has the code of its cause, so the producer must be asked
    /// whether it is fatal.
    pub(super) suspect: AtomicBool,
    /// True when a batch was larger than the topic allows, although no record in it is.
    pub(super) batch_too_large: AtomicBool,
}

/// Errors of the cluster or of the connection to it.
#[derive(Default)]
pub(super) struct ClusterTrouble {
    pub(super) authentication: Option<String>,
    pub(super) last: Option<String>,
    warned: Option<(Instant, Duration)>,
}

/// The receiver of a producer's callbacks.
pub(super) struct ReportContext {
    pub(super) topic: String,
    pub(super) brokers: String,
    pub(super) batch_bytes: usize,
    pub(super) reports: Arc<Reports>,
    /// The settings whose secrets are masked in messages.
    pub(super) settings: KafkaSettings,
}

/// Returns the meaning of an error for one record.
pub(super) fn decide(error: &KafkaError, topic: &str, brokers: &str) -> SinkError {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(Code::QueueFull) => SinkError::Full,
        Some(Code::MessageSizeTooLarge) => SinkError::TooLarge(format!(
            "{topic} on {brokers}: {error}; raise max.message.bytes of the topic or lower line_bytes_max"
        )),
        Some(Code::InvalidMessageSize | Code::InvalidRecord) => {
            SinkError::Rejected(format!("{topic} on {brokers}: {error}; look at the settings of the topic"))
        }
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
            SinkError::Fatal(missing(topic, brokers))
        }
        Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            SinkError::Fatal(format!("{topic} on {brokers}: {error}; allow this principal to write the topic"))
        }
        _ => SinkError::Retry(format!("{topic} on {brokers}: {error}")),
    }
}

pub(super) fn missing(topic: &str, brokers: &str) -> String {
    format!("topic {topic} does not exist on {brokers}: make it with `wulog-processor topics create`")
}

impl ClientContext for ReportContext {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        // Level debug, since errors and deliveries carry everything that an operator must know.
        debug!(facility, "{}", self.settings.masked(message));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let reason = &*self.settings.masked(reason);
        let mut trouble = lock(&self.reports.trouble);
        self.reports.suspect.store(true, Ordering::Release);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication) {
            trouble.authentication = Some(reason.to_owned());
        }
        // "All brokers are down" says less than the reason why one of them is down.
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

impl ProducerContext for ReportContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, message)) => {
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
                    self.reports.fatal.store(true, Ordering::Release);
                }
                match decide(error, &self.topic, &self.brokers) {
                    // The broker refused a batch, and a record smaller than a batch may have shared it with others, so
                    // the record is not to blame.
                    SinkError::TooLarge(reason) if record_bytes(message) < self.batch_bytes => {
                        self.reports.batch_too_large.store(true, Ordering::Release);
                        Err(SinkError::Retry(reason))
                    }
                    decision => Err(decision),
                }
            }
        };
        lock(&self.reports.deliveries).push(Delivery { ticket: ticket as Ticket, result });
    }
}

fn record_bytes(message: &impl Message) -> usize {
    message.payload().map_or(0, <[u8]>::len) + message.key().map_or(0, <[u8]>::len) + raw::HEADER.len()
}

/// Locks a mutex of reports. A panic of a reporter leaves the data usable, so poisoning is ignored.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: RDKafkaErrorCode, expect: &str) {
        let said = match decide(&KafkaError::MessageProduction(code), "wulog.raw", "a:1") {
            SinkError::Full => "full".to_owned(),
            SinkError::Retry(_) => "retry".to_owned(),
            SinkError::TooLarge(_) => "too large".to_owned(),
            SinkError::Rejected(_) => "rejected".to_owned(),
            SinkError::Fatal(message) => message,
        };
        assert!(said.contains(expect), "{said}");
    }

    #[test]
    fn an_error_is_a_decision() {
        use RDKafkaErrorCode as Code;
        check(Code::QueueFull, "full");
        check(Code::MessageSizeTooLarge, "too large");
        check(Code::UnknownTopicOrPartition, "wulog.raw does not exist on a:1");
        check(Code::UnknownTopicOrPartition, "wulog-processor topics create");
        check(Code::TopicAuthorizationFailed, "allow this principal");
        for code in
            [Code::PurgeQueue, Code::PurgeInflight, Code::MessageTimedOut, Code::Fatal, Code::NotLeaderForPartition]
        {
            check(code, "retry");
        }
    }
}
