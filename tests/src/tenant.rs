//! A tenant of the Kafka testbed: a configuration file, its topics, and their records.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use wulog_schemas::topic::Topic;

use crate::documents::is_attempt;
use crate::kafka::KafkaTestbed;
use crate::process::{Running, eventually, run};

const SETTLES_WITHIN: Duration = Duration::from_secs(90);

/// A topic prefix of its own on a broker.
pub struct Tenant<'a> {
    broker: &'a KafkaTestbed,
    /// The prefix.
    pub prefix: String,
    folder: PathBuf,
}

impl<'a> Tenant<'a> {
    /// Creates the topics of `prefix`; configuration files go to `folder`.
    ///
    /// # Panics
    /// If the topics cannot be created.
    #[must_use]
    pub fn new(broker: &'a KafkaTestbed, folder: &Path, prefix: &str) -> Tenant<'a> {
        let tenant = Tenant { broker, prefix: prefix.to_owned(), folder: folder.to_owned() };
        let config = tenant.config("admin", broker.bootstrap());
        let config = config.to_str().expect("a UTF-8 path");
        processor(&["topics", "create", "--config", config]);
        // A loaded broker answers before it knows all new topics.
        let checked = || run("wulog-processor", &["topics", "check", "--config", config]).code == Some(0);
        eventually("the topics are there", SETTLES_WITHIN, checked);
        tenant
    }

    /// The configuration of a processor called `instance`, which reaches the broker at `bootstrap`.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn config(&self, instance: &str, bootstrap: &str) -> PathBuf {
        let path = self.folder.join(format!("{instance}.toml"));
        let mut text = String::new();
        let _ = write!(
            text,
            "topic_prefix = \"{}\"\ninstance = \"{instance}\"\n\
             [kafka]\n\"bootstrap.servers\" = \"{bootstrap}\"\n\"session.timeout.ms\" = 6000\n\
             \"heartbeat.interval.ms\" = 500\n\
             [topics]\nsimulated = true\n\
             [processor]\ntick_after_idle_secs = 0\nbatch_records_max = 300\nsnapshot_after_records = 700\n",
            self.prefix
        );
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Starts a processor with a configuration.
    #[must_use]
    pub fn start(&self, config: &Path) -> Running {
        Running::start("wulog-processor", &["run", "--config", config.to_str().expect("a UTF-8 path")])
    }

    /// The committed values of a topic.
    ///
    /// # Panics
    /// If a record has no value.
    #[must_use]
    pub fn values(&self, topic: Topic) -> Vec<Vec<u8>> {
        let records = self.broker.read_topic(&topic.name(&self.prefix));
        records.into_iter().map(|record| record.value.expect("only state has records without value")).collect()
    }

    /// The alerts of a replay of a stage.
    #[must_use]
    pub fn replay(&self, stage: &str) -> Vec<Vec<u8>> {
        let config = self.config("replay", self.broker.bootstrap());
        let config = config.to_str().expect("a UTF-8 path");
        processor(&["replay", "--config", config, "--stage", stage, "--alerts-out", "-"])
    }

    /// The output of `alerts list`.
    #[must_use]
    pub fn alerts_list(&self) -> String {
        let config = self.config("reader", self.broker.bootstrap());
        let ended = run("wulog-processor", &["alerts", "list", "--config", config.to_str().expect("a UTF-8 path")]);
        ended.expect_success();
        ended.stdout
    }

    /// Waits until each of `lines` lines is an event, and each signal is processed; returns the events.
    ///
    /// # Panics
    /// If that takes longer than a minute and a half.
    #[must_use]
    pub fn settled(&self, lines: u64) -> Vec<Vec<u8>> {
        eventually("an event for each line", SETTLES_WITHIN, || self.line_events().len() as u64 >= lines);
        eventually("the alerts that the signals give", SETTLES_WITHIN, || {
            let signals = self.values(Topic::Signals).len();
            let wanted = self.replay("signals").len();
            self.values(Topic::Alerts).len() >= wanted && self.values(Topic::Signals).len() == signals
        });
        self.line_events()
    }

    /// The events of lines; attempts concern several lines.
    fn line_events(&self) -> Vec<Vec<u8>> {
        let mut events = self.values(Topic::Events);
        events.retain(|event| !is_attempt(event));
        events
    }
}

/// Partition and offset of the raw record of an event.
///
/// # Panics
/// If the event names none.
#[must_use]
pub fn raw_position(event: &[u8]) -> (i64, i64) {
    let event: Value = serde_json::from_slice(event).expect("an event is JSON");
    let number = |name: &str| event["wu"]["raw"][name].as_i64().expect("an event names its raw record");
    (number("partition"), number("offset"))
}

fn processor(arguments: &[&str]) -> Vec<Vec<u8>> {
    let ended = run("wulog-processor", arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended.stdout.lines().filter(|line| !line.is_empty()).map(|line| line.as_bytes().to_vec()).collect()
}
