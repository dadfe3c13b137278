//! librdkafka's properties: the user's `[kafka]` table, then the properties that wulog sets.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;
use wulog_kafka::KafkaSettings;

use super::TRANSACTION_TIMEOUT;
use super::clients::STATISTICS_EVERY_MS;

/// Address of Kafka, names of topics, and name of this instance.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// The user's `[kafka]` table: librdkafka properties, checked and passed through.
    pub properties: KafkaSettings,
    /// Prefix of topics, groups and transactional ids.
    pub topic_prefix: String,
    /// Name of this instance: stable over restarts and unique among running instances.
    pub instance: String,
}

impl KafkaConfig {
    /// The value of `bootstrap.servers`, for messages.
    #[must_use]
    pub fn brokers(&self) -> &str {
        self.properties.get("bootstrap.servers").map_or("(no bootstrap.servers)", String::as_str)
    }

    /// A client configuration: the user's properties, then ours.
    #[must_use]
    pub fn client(&self, ours: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Error);
        config.set("client.id", format!("wulog-processor-{}", self.instance));
        // Retries are librdkafka's own; three minutes between refreshes of the topics are too slow after a repair.
        config.set("topic.metadata.refresh.interval.ms", "30000");
        // A processor that waits ten seconds before it connects again is ten seconds late after each restart of a
        // broker.
        config.set("reconnect.backoff.max.ms", "2000");
        for (name, value) in self.properties.iter() {
            config.set(name, value);
        }
        for (name, value) in ours {
            config.set(*name, *value);
        }
        config
    }

    /// Lets librdkafka check every property, without contacting a broker.
    ///
    /// # Errors
    /// A text that names the property.
    pub fn check_properties(&self) -> Result<(), String> {
        let said = |error: KafkaError| self.properties.why_refused(&error);
        let _: BaseConsumer = self.group_member("check").create().map_err(said)?;
        let _: BaseProducer = self.transactional("check").create().map_err(said)?;
        Ok(())
    }

    /// The consumer group of a machine.
    pub(super) fn group(&self, machine: &str) -> String {
        format!("{}-{machine}", self.topic_prefix)
    }

    /// The consumer of one shell, a member of its group.
    pub(super) fn group_member(&self, machine: &str) -> ClientConfig {
        let mut config = self.client(&[
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            // An offset below the log's start means lost records, which must be reported.
            ("auto.offset.reset", "error"),
            ("partition.assignment.strategy", "range"),
        ]);
        config.set("group.id", self.group(machine));
        // A static member: a restarted instance takes its partitions back at once, without a rebalance.
        config.set("group.instance.id", format!("{machine}-{}", self.instance));
        for (name, value) in [
            // An empty fetch shows the end of a partition, and records of other partitions wait for it.
            ("fetch.wait.max.ms", "100"),
            // A tenth of this interval applies while the coordinator is lost: with the default a minute passes, in
            // which no offset is known.
            ("coordinator.query.interval.ms", "10000"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "2000"),
            ("queued.max.messages.kbytes", "16384"),
            // Provides the ends of partitions, for the lag in records.
            ("statistics.interval.ms", STATISTICS_EVERY_MS),
        ] {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        }
        config
    }

    /// A client that reads the group's committed offsets without being a member and without waiting for open
    /// transactions.
    pub(super) fn bystander(&self, machine: &str) -> ClientConfig {
        self.client(&[
            ("group.id", &self.group(machine)),
            ("enable.auto.commit", "false"),
            ("isolation.level", "read_uncommitted"),
        ])
    }

    /// The consumer that reads single records of other processors' partitions.
    pub(super) fn scout(&self) -> ClientConfig {
        // librdkafka requires a group; the tenant's ACLs allow names with its prefix.
        let group = format!("{}-scout", self.topic_prefix);
        self.client(&[
            ("group.id", &group),
            ("enable.auto.commit", "false"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "earliest"),
            ("fetch.wait.max.ms", "10"),
            // One batch is enough, and a broker returns one batch of any size.
            ("max.partition.fetch.bytes", "16384"),
            ("queued.max.messages.kbytes", "1024"),
        ])
    }

    /// The producer of one shell.
    pub(super) fn transactional(&self, machine: &str) -> ClientConfig {
        let mut config = self.client(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("transaction.timeout.ms", &TRANSACTION_TIMEOUT.as_millis().to_string()),
        ]);
        config.set("transactional.id", format!("{}-{machine}-{}", self.topic_prefix, self.instance));
        for (name, value) in [("compression.codec", "lz4"), ("linger.ms", "5"), ("queue.buffering.max.kbytes", "65536")]
        {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        }
        config
    }
}
