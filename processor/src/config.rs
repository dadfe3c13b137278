//! The processor's configuration: one TOML file, read once, then trusted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use wulog_collector::clock::Clock;
use wulog_collector::config::HostConfig;
use wulog_collector::machine::Machine;

use crate::detect::{DetectorConfig, Wrong};
use crate::log::kafka::KafkaConfig;
use crate::normalize::{NormalizerConfig, Patterns};
use crate::shell::ShellConfig;
use crate::topics::TopicsConfig;

/// What is wrong with a configuration file; the text names file and line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {why}; is the path right, and may this user read it?")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        why: std::io::Error,
    },
    /// The file is no TOML, or has a key or value that means nothing here.
    #[error("{path}:{line}: {why}")]
    Wrong {
        /// The file.
        path: String,
        /// Line in it, from 1.
        line: usize,
        /// What is wrong, and where in the line.
        why: String,
    },
    /// Each value is fine by itself, but not with the others.
    #[error("{path}: {why}")]
    Invalid {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    topic_prefix: Option<String>,
    instance: Option<String>,
    pattern_files: Vec<PathBuf>,
    kafka: BTreeMap<String, toml::Value>,
    topics: TopicsConfig,
    processor: RawLoop,
    normalizer: NormalizerConfig,
    detector: DetectorConfig,
}

/// A file that `pattern_files` names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PatternFile {
    patterns: Patterns,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLoop {
    batch_records_max: Option<usize>,
    tick_after_idle_secs: Option<u64>,
    snapshot_after_records: Option<u64>,
    snapshot_after_secs: Option<u64>,
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Kafka, and the names there.
    pub kafka: KafkaConfig,
    /// How topics are made.
    pub topics: TopicsConfig,
    /// How the loops run.
    pub shell: ShellConfig,
    /// The Normalizer's part.
    pub normalizer: NormalizerConfig,
    /// The Detector's part.
    pub detector: DetectorConfig,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`], in words for the person who wrote the file.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        Config::parse(&path.display().to_string(), &read(path)?)
    }

    /// Checks the text of a file that is called `name`. Its pattern files are read; they stand where it stands.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(name: &str, text: &str) -> Result<Config, ConfigError> {
        let mut raw: RawConfig = from_toml(name, text)?;
        let folder = Path::new(name).parent().unwrap_or(Path::new(""));
        let files: Vec<PathBuf> = raw.pattern_files.iter().map(|path| folder.join(path)).collect();
        raw.normalizer.patterns = read_patterns(raw.normalizer.patterns, &files)?;
        let config = Config::of(raw);
        config.check().map_err(|why| ConfigError::Invalid { path: name.to_owned(), why })?;
        config.detector.check().map_err(|wrong| ConfigError::Wrong {
            path: name.to_owned(),
            line: line_of(text, &wrong),
            why: wrong.why,
        })?;
        Ok(config)
    }

    /// Looks whether the patterns hold by their own examples. Running does not ask: a wrong example is no wrong event.
    ///
    /// # Errors
    /// The examples of the configuration at `path` that do not hold.
    pub fn check_examples(&self, path: &Path) -> Result<(), ConfigError> {
        let wrong = self.normalizer.patterns.wrong_examples();
        let invalid = || ConfigError::Invalid { path: path.display().to_string(), why: wrong.join("\n  ") };
        if wrong.is_empty() { Ok(()) } else { Err(invalid()) }
    }

    fn of(raw: RawConfig) -> Config {
        let defaults = ShellConfig::default();
        let tick_secs = raw.processor.tick_after_idle_secs.unwrap_or(60);
        Config {
            kafka: KafkaConfig {
                properties: raw.kafka.into_iter().map(|(name, value)| (name, property(&value))).collect(),
                topic_prefix: raw.topic_prefix.unwrap_or_else(|| "wulog".to_owned()),
                instance: raw.instance.unwrap_or_else(this_machine),
            },
            topics: raw.topics,
            shell: ShellConfig {
                batch_records_max: raw.processor.batch_records_max.unwrap_or(defaults.batch_records_max),
                tick_after_idle: (tick_secs > 0).then(|| Duration::from_secs(tick_secs)),
                snapshot_after_records: raw.processor.snapshot_after_records.unwrap_or(defaults.snapshot_after_records),
                snapshot_after: raw.processor.snapshot_after_secs.map_or(defaults.snapshot_after, Duration::from_secs),
                clock: Clock::System,
            },
            normalizer: raw.normalizer,
            detector: raw.detector,
        }
    }

    fn check(&self) -> Result<(), String> {
        if !self.kafka.properties.contains_key("bootstrap.servers") {
            return Err("[kafka] lacks \"bootstrap.servers\" = \"HOST:PORT,...\"".to_owned());
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.kafka.topic_prefix.is_empty() || !self.kafka.topic_prefix.chars().all(legal) {
            return Err(format!(
                "topic_prefix = {:?}: a Kafka topic name takes letters, digits, '.', '_' and '-'",
                self.kafka.topic_prefix
            ));
        }
        if self.shell.batch_records_max == 0 || self.topics.raw_partitions < 1 {
            return Err("batch_records_max and raw_partitions must be at least 1".to_owned());
        }
        self.kafka.check_properties()
    }
}

/// `inline` and then the patterns of files, each a TOML file of `[[patterns]]`.
///
/// # Errors
/// As [`Config::read`].
pub fn read_patterns(inline: Patterns, files: &[PathBuf]) -> Result<Patterns, ConfigError> {
    let mut parts = vec![inline];
    let mut last = String::new();
    for path in files {
        last = path.display().to_string();
        parts.push(from_toml::<PatternFile>(&last, &read(path)?)?.patterns);
    }
    // What is wrong with several together shows when the last is added.
    Patterns::join(parts).map_err(|why| ConfigError::Invalid { path: last, why })
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|why| ConfigError::Unreadable { path: path.display().to_string(), why })
}

fn from_toml<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::Wrong {
        path: name.to_owned(),
        line: error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1),
        why: error.to_string().trim_end().to_owned(),
    })
}

/// The line of the detector's key that is wrong; where it is not written, of the table that lacks it.
fn line_of(text: &str, wrong: &Wrong) -> usize {
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    let find = || {
        let root = toml::de::DeTable::parse(text).ok()?;
        let (_, detector) = root.get_ref().iter().find(|(name, _)| *name.get_ref() == "detector")?;
        let table = match wrong.rule {
            None => detector,
            Some(rule) => detector.get_ref().as_table()?.get("rules")?.get_ref().as_array()?.get(rule)?,
        };
        let written =
            table.get_ref().as_table().and_then(|table| table.iter().find(|(name, _)| *name.get_ref() == wrong.key));
        Some(line(written.map_or(table.span(), |(name, _)| name.span()).start))
    };
    find().unwrap_or(1)
}

/// The default instance: one processor a machine needs no name of its own.
fn this_machine() -> String {
    Machine::ask(&HostConfig::default()).map_or_else(|_| "processor".to_owned(), |machine| machine.name)
}

/// librdkafka takes every value as text.
fn property(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Format;
    use crate::normalize::Events;

    fn check(text: &str, expected: &str) {
        let error = Config::parse("p.toml", text).expect_err("this configuration is wrong").to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }

    #[test]
    fn errors_name_file_line_and_key() {
        check("[kafka]\n\"bootstrap.servers\" = \"x:1\"\n[detector]\nalfa = 1\n", "p.toml:4: ");
        check("[kafka]\n\"bootstrap.servers\" = \"x:1\"\n[detector]\nalfa = 1\n", "alfa");
        check("[kafka]\n[normalizer]\nformat = \"cef\"\n", "p.toml:3: ");
        check("[kafka]\n[normalizer]\nformat = \"cef\"\n", "`ecs`, `ocsf`, `otlp`, `hec`");
        check("[kafka]\n[normalizer]\nevents = \"some\"\n", "`all` or `notable`");
        let broker = "[kafka]\n\"bootstrap.servers\" = \"x:1\"\n";
        check(&format!("{broker}[detector]\nalpha = 1e-6\nresolve_share = 9.0\n"), "p.toml:5: resolve_share = 9");
        let rule = "[[detector.rules]]\nname = \"a\"\nwithin_secs = 60\nmin_hosts = 2\n\n";
        let wrong = rule.replace("\"a\"", "\"b\"").replace("60", "0");
        check(&format!("{broker}{rule}{wrong}"), "p.toml:10: rule \"b\": within_secs");
        check(&format!("{broker}{rule}{}", rule.replace("min_", "max_")), "p.toml:11: ");
        check(
            &format!("{broker}{rule}{}", rule.replace("\"a\"", "\"b\"").replace("min_hosts = 2\n", "")),
            "p.toml:8: ",
        );
        check("topic_prefix = 3\n", "p.toml:1: ");
        check("[kafka\n", "p.toml:1: ");
        check("", "bootstrap.servers");
        check("topic_prefix = \"a b\"\n[kafka]\n\"bootstrap.servers\" = \"x:1\"\n", "topic_prefix");
        check("[kafka]\n\"bootstrap.servers\" = \"x:1\"\n\"no.such.property\" = 1\n", "no.such.property");
    }

    #[test]
    fn the_least_configuration_is_a_broker() {
        let config = Config::parse("p.toml", "[kafka]\n\"bootstrap.servers\" = \"x:1\"\n").unwrap();
        assert_eq!(config.kafka.topic_prefix, "wulog");
        assert_eq!(config.shell.tick_after_idle, Some(Duration::from_secs(60)));
        assert_eq!((config.normalizer.events, config.normalizer.format), (Events::All, Format::Ecs));
    }

    #[test]
    fn a_siem_says_what_events_it_takes() {
        let text = "[kafka]\n\"bootstrap.servers\" = \"x:1\"\n[normalizer]\nevents = \"notable\"\nformat = \"hec\"\n";
        let config = Config::parse("p.toml", text).unwrap();
        assert_eq!((config.normalizer.events, config.normalizer.format), (Events::Notable, Format::Hec));
    }
}
