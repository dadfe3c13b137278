//! What librdkafka's errors mean for the shell, in words that name the place and say what to do.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::log::LogError;

/// Errors that librdkafka reports while it goes on trying by itself.
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

pub(super) fn missing_topic(brokers: &str, topic: &str) -> LogError {
    LogError::Fatal(format!(
        "topic {topic} does not exist at {brokers}: make it with `wulog-processor topics create --config FILE`"
    ))
}

/// What a Kafka error means for the shell, in words that name the place.
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
        Some(Code::MessageSizeTooLarge) => LogError::Fatal(format!(
            "topic {topic} at {brokers}: {doing}: {text}; raise the topic's max.message.bytes to at least 1 MiB"
        )),
        _ => LogError::Retry(format!("topic {topic} at {brokers}: {doing} failed: {text}")),
    }
}
