//! `topics create` and `topics check`: the five topics with their required settings.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use wulog_schemas::topic::Topic;

use crate::log::LogError;
use crate::log::kafka::{KafkaConfig, LoginWatch, explain};

const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Timeout of the first answer. It allows for a slow login, and is shorter than the stop timeout of service managers,
/// since a stop waits for it too.
const CONTACT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for which the reason of a failed contact is waited for.
const REASON_WAIT: Duration = Duration::from_millis(500);
const DAY_MS: i64 = 86_400_000;

/// The `[topics]` table.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TopicsConfig {
    /// Partitions of `raw`, and so of `events` and `state`: fixed for life, since a host's lines must stay in one.
    pub raw_partitions: i32,
    /// Copies of each partition; -1 takes the brokers' default.
    pub replication_factor: i32,
    /// Days that `raw` and `events` are kept.
    pub retention_days: u32,
    /// Days that `signals` are kept: the detector's history.
    pub signals_retention_days: u32,
    /// Days that `alerts` are kept.
    pub alerts_retention_days: u32,
    /// True for a simulated fleet: records keep their (past) time, and nothing expires.
    pub simulated: bool,
}

impl Default for TopicsConfig {
    fn default() -> TopicsConfig {
        TopicsConfig {
            raw_partitions: 12,
            replication_factor: -1,
            retention_days: 7,
            signals_retention_days: 35,
            alerts_retention_days: 400,
            simulated: false,
        }
    }
}

impl TopicsConfig {
    fn partitions(&self, topic: Topic) -> i32 {
        match topic {
            Topic::Raw | Topic::Events | Topic::State => self.raw_partitions,
            // One totally ordered partition makes every alert reproducible.
            Topic::Signals | Topic::Alerts => 1,
        }
    }

    fn settings(&self, topic: Topic) -> Vec<(&'static str, String)> {
        let days = |days: u32| if self.simulated { "-1".to_owned() } else { (i64::from(days) * DAY_MS).to_string() };
        match topic {
            // Log time is the broker's: a host's clock may be wrong.
            Topic::Raw => vec![
                ("message.timestamp.type", if self.simulated { "CreateTime" } else { "LogAppendTime" }.to_owned()),
                ("cleanup.policy", "delete".to_owned()),
                ("retention.ms", days(self.retention_days)),
            ],
            Topic::Events => vec![("cleanup.policy", "delete".to_owned()), ("retention.ms", days(self.retention_days))],
            Topic::Signals => {
                vec![("cleanup.policy", "delete".to_owned()), ("retention.ms", days(self.signals_retention_days))]
            }
            // Compaction removes records older than its lag, and those of a simulated fleet are years old when they are
            // written.
            Topic::Alerts if self.simulated => vec![("cleanup.policy", "delete".to_owned()), ("retention.ms", days(0))],
            Topic::Alerts => vec![
                ("cleanup.policy", "compact,delete".to_owned()),
                ("min.compaction.lag.ms", (30 * DAY_MS).to_string()),
                ("retention.ms", days(self.alerts_retention_days)),
            ],
            Topic::State => vec![("cleanup.policy", "compact".to_owned()), ("segment.ms", "3600000".to_owned())],
        }
    }
}

/// Asks the brokers for their topics.
fn contact(kafka: &KafkaConfig) -> Result<Metadata, LogError> {
    let login = LoginWatch::default();
    let consumer: BaseConsumer<LoginWatch> =
        kafka.client(&[]).create_with_context(login.clone()).map_err(|e| no_client(&e))?;
    consumer.fetch_metadata(None, CONTACT_TIMEOUT).map_err(|error| {
        if login.refused().is_none() {
            // The reason is a separate event, and may come after the answer.
            let _ = consumer.poll(REASON_WAIT);
        }
        match login.refused() {
            Some(reason) => LogError::Fatal(format!(
                "{} refused the login: {}; check the sasl and ssl settings under [kafka]",
                kafka.brokers(),
                kafka.properties.masked(&reason)
            )),
            None => LogError::Retry(format!(
                "no broker of {} answers: {error}; is \"bootstrap.servers\" right, and can this machine reach it?",
                kafka.brokers()
            )),
        }
    })
}

fn admin(kafka: &KafkaConfig) -> Result<AdminClient<DefaultClientContext>, LogError> {
    kafka.client(&[]).create().map_err(|e| no_client(&e))
}

/// The error for a client that fails although [`KafkaConfig::check_properties`] succeeded.
fn no_client(error: &KafkaError) -> LogError {
    LogError::Fatal(format!("no Kafka client can be made: {error}"))
}

/// Creates the missing topics; returns one line for each topic.
///
/// # Errors [`LogError`], naming broker and topic.
pub async fn create(kafka: &KafkaConfig, topics: &TopicsConfig) -> Result<Vec<String>, LogError> {
    contact(kafka)?;
    let admin = admin(kafka)?;
    let options = AdminOptions::new().request_timeout(Some(CALL_TIMEOUT)).operation_timeout(Some(CALL_TIMEOUT));
    let mut said = Vec::new();
    for topic in Topic::ALL {
        let name = topic.name(&kafka.topic_prefix);
        let settings = topics.settings(topic);
        let mut new =
            NewTopic::new(&name, topics.partitions(topic), TopicReplication::Fixed(topics.replication_factor));
        for (key, value) in &settings {
            new = new.set(key, value);
        }
        let results = admin
            .create_topics([&new], &options)
            .await
            .map_err(|e| explain(kafka.brokers(), &name, "creating it", &e))?;
        match results.into_iter().next() {
            Some(Ok(_)) => said.push(format!("{name}: created, {} partition(s)", topics.partitions(topic))),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => said.push(format!("{name}: exists")),
            Some(Err((_, code))) => {
                return Err(explain(kafka.brokers(), &name, "creating it", &KafkaError::AdminOp(code)));
            }
            None => return Err(LogError::Retry(format!("{name}: {} gave no answer", kafka.brokers()))),
        }
    }
    wait_until_listed(kafka).await?;
    Ok(said)
}

/// Waits until the brokers list the topics: the controller has created them, and the brokers deny their existence for a
/// moment.
async fn wait_until_listed(kafka: &KafkaConfig) -> Result<(), LogError> {
    const LOOK_EVERY: Duration = Duration::from_millis(100);
    let begun = Instant::now();
    loop {
        let metadata = contact(kafka)?;
        let has_leaders = |topic: Topic| {
            let name = topic.name(&kafka.topic_prefix);
            let found = metadata.topics().iter().find(|found| found.name() == name);
            found.is_some_and(|found| found.partitions().iter().all(|partition| partition.leader() >= 0))
        };
        match Topic::ALL.into_iter().find(|topic| !has_leaders(*topic)) {
            None => return Ok(()),
            Some(topic) if begun.elapsed() > CALL_TIMEOUT => {
                let name = topic.name(&kafka.topic_prefix);
                return Err(LogError::Retry(format!("{name}: made, but {} does not lead it yet", kafka.brokers())));
            }
            Some(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// Compressions that this build reads, by the names of brokers; `producer` keeps the compression of our producers.
const READABLE_CODECS: [&str; 6] = ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];

/// The finding for a topic with a compression that no client of this build reads.
fn unreadable_codec(topic: &str, codec: &str) -> Option<String> {
    // A broker without an answer has the default, `producer`.
    (!codec.is_empty() && !READABLE_CODECS.contains(&codec)).then(|| {
        format!(
            "{topic}: compression.type is {codec:?}, which this wulog cannot read; set it to \"producer\" with kafka-configs, and let what \
             is in the topic expire"
        )
    })
}

/// The settings that differ from the required ones, one line each; empty if there are none.
///
/// # Errors [`LogError`], naming broker and topic, if the brokers cannot be asked.
pub async fn check(kafka: &KafkaConfig, topics: &TopicsConfig) -> Result<Vec<String>, LogError> {
    let metadata = contact(kafka)?;
    let admin = admin(kafka)?;
    let mut wrong = Vec::new();
    for topic in Topic::ALL {
        let name = topic.name(&kafka.topic_prefix);
        let Some(found) = metadata.topics().iter().find(|found| found.name() == name) else {
            wrong.push(format!("{name}: missing; make it with `wulog-processor topics create`"));
            continue;
        };
        let wanted = topics.partitions(topic);
        if i32::try_from(found.partitions().len()) != Ok(wanted) {
            wrong.push(format!(
                "{name}: has {} partitions, the configuration says {wanted}: the count is fixed for life; set [topics] raw_partitions to what it was made with",
                found.partitions().len()
            ));
        }
        let options = AdminOptions::new().request_timeout(Some(CALL_TIMEOUT));
        let described = admin
            .describe_configs([&ResourceSpecifier::Topic(&name)], &options)
            .await
            .map_err(|e| explain(kafka.brokers(), &name, "asking for its configuration", &e))?;
        let Some(Ok(resource)) = described.into_iter().next() else {
            wrong.push(format!("{name}: its configuration cannot be read; does this principal have DescribeConfigs?"));
            continue;
        };
        let codec = resource.get("compression.type").and_then(|entry| entry.value.clone()).unwrap_or_default();
        wrong.extend(unreadable_codec(&name, &codec));
        for (key, wanted) in topics.settings(topic) {
            let actual = resource.get(key).and_then(|entry| entry.value.clone()).unwrap_or_default();
            // The operator may change retention, but not the settings on which the meaning of records rests.
            if !key.ends_with(".ms") && actual != wanted {
                wrong.push(format!("{name}: {key} is {actual:?}, must be {wanted:?}"));
            }
        }
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_simulated_fleet_is_compacted_but_states() {
        let simulated = TopicsConfig { simulated: true, ..TopicsConfig::default() };
        for topic in Topic::ALL {
            let settings = simulated.settings(topic);
            let policy = settings.iter().find(|(key, _)| *key == "cleanup.policy").map(|(_, value)| value.as_str());
            assert_eq!(policy, Some(if topic == Topic::State { "compact" } else { "delete" }), "{topic:?}");
        }
    }

    #[test]
    fn a_codec_that_cannot_be_read_is_named_with_its_remedy() {
        assert_eq!(unreadable_codec("wulog.raw", "zstd"), None);
        assert_eq!(unreadable_codec("wulog.raw", ""), None);
        let said = unreadable_codec("wulog.raw", "brotli").expect("librdkafka has no brotli");
        assert!(said.contains("wulog.raw") && said.contains("brotli") && said.contains("\"producer\""), "{said}");
    }
}
