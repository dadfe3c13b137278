//! Explains librdkafka's errors to the shell, in words that name the place and the remedy.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::log::LogError;

/// Minimum interval of messages about an outage: every connection to an absent broker reports it many times a second.
const OUTAGE_TOLD_EVERY: Duration = Duration::from_secs(60);

/// Errors that librdkafka reports while it retries by itself.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::NetworkException
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::NotCoordinator
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
        )
    )
}

/// An outage that librdkafka waits out: reported once, and then at intervals.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// Begin of the outage, and time of the last message.
    told: Option<(Instant, Instant)>,
    happened: bool,
}

impl Outage {
    pub(super) fn goes_on(&mut self, brokers: &str, error: &KafkaError) {
        let now = Instant::now();
        self.happened = true;
        let (since, told) = *self.told.get_or_insert((now, now));
        if since == now || told.elapsed() >= OUTAGE_TOLD_EVERY {
            let secs = since.elapsed().as_secs();
            tracing::warn!(brokers, secs, %error, "Kafka is not answering; waiting for it, nothing is lost");
            self.told = Some((since, now));
        }
    }

    /// Whether there was an outage since the consumer joined its group.
    pub(super) fn was_since_joining(&self) -> bool {
        self.happened
    }

    pub(super) fn is_over(&mut self, brokers: &str) {
        if let Some((since, _)) = self.told.take() {
            tracing::info!(brokers, secs = since.elapsed().as_secs(), "Kafka answers again");
        }
    }
}

/// The error for properties that librdkafka refuses.
pub(super) fn in_configuration(error: KafkaError) -> LogError {
    LogError::Fatal(format!("[kafka] in the configuration: {error}"))
}

pub(super) fn missing_topic(brokers: &str, topic: &str) -> LogError {
    LogError::Fatal(format!(
        "topic {topic} does not exist at {brokers}: make it with `wulog-processor topics create --config FILE`"
    ))
}

/// Explains a Kafka error to the shell, in words that name the place.
pub(crate) fn explain(brokers: &str, topic: &str, doing: &str, error: &KafkaError) -> LogError {
    use RDKafkaErrorCode as Code;
    let code = match error {
        KafkaError::Transaction(inner) => Some(inner.code()),
        other => other.rdkafka_error_code(),
    };
    let text = match error {
        KafkaError::Transaction(inner) => inner.string(),
        other => other.to_string(),
    };
    match code {
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
            missing_topic(brokers, topic)
        }
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => LogError::Fatal(format!(
            "topic {topic}: the committed offset is older than what Kafka still holds ({text}): records were deleted before they were \
             processed; to go on without them reset the group's offset with `kafka-consumer-groups --reset-offsets --to-earliest`, and raise retention.ms"
        )),
        Some(
            Code::SaslAuthenticationFailed
            | Code::Authentication
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::UnsupportedSASLMechanism,
        ) => LogError::Fatal(format!(
            "topic {topic} at {brokers}: {doing} was refused: {text}; check the credentials in [kafka] and the ACLs of this principal"
        )),
        Some(Code::Fenced | Code::FencedInstanceId | Code::ProducerFenced | Code::InvalidProducerEpoch) => {
            LogError::Retry(format!(
                "topic {topic}: another processor runs under the same instance name ({text}); give each its own `instance`"
            ))
        }
        // Of a record with a codec that this librdkafka cannot read, only the position is known.
        Some(Code::BadCompression | Code::NotImplemented | Code::UnsupportedCompressionType) => {
            LogError::Retry(format!(
                "topic {topic} at {brokers}: {doing}: its records are compressed with a codec that this build cannot read ({text}); read are \
             none, gzip, snappy, lz4 and zstd: set the topic's compression.type to one of them (\"producer\" is best), and let what \
             is in it expire or reset the group's offset beyond it"
            ))
        }
        _ => LogError::Retry(format!("topic {topic} at {brokers}: {doing} failed: {text}")),
    }
}
