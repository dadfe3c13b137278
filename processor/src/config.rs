//! The processor's configuration: one TOML file, read once, then trusted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use toml::Spanned;
use wulog_kafka::{KafkaSettings, KafkaValue};
use wulog_schemas::host::canonical_name;
use wulog_service::Clock;
pub use wulog_settings::ConfigError;
use wulog_settings::{ConfigText, Program, read, readable_by_all};

use crate::deliver::{ChannelConfig, RawChannel, WrongChannel, check_all, trial};
use crate::detect::DetectorConfig;
use crate::http::HttpConfig;
use crate::log::kafka::KafkaConfig;
use crate::normalize::{HostNamesFile, NormalizerConfig, Patterns};
use crate::shell::ShellConfig;
use crate::topics::TopicsConfig;

// It has no `Debug`, since secrets may stand in it.
/// The configuration of `wulog-processor`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    /// Prefix of the five topics and of the consumer groups, one a tenant. Default: `wulog`.
    topic_prefix: Option<String>,
    /// Name of this processor: the same after a restart, and different from those of other running processors. Default: the
    /// machine's name.
    instance: Option<String>,
    /// Files of your own patterns, beside this file.
    pattern_files: Vec<PathBuf>,
    /// Properties of librdkafka by their names, such as `bootstrap.servers`. Any value may be `{ file = "PATH" }` or
    /// `{ env = "NAME" }`; none is ever printed. Transactions and `read_committed` are always on.
    #[schemars(with = "BTreeMap<String, KafkaValue>")]
    kafka: BTreeMap<String, Spanned<toml::Value>>,
    /// How `topics create` makes the topics.
    topics: TopicsConfig,
    /// How the loop around each machine runs.
    processor: RawLoop,
    /// From lines to events.
    normalizer: NormalizerConfig,
    /// From signals to alerts.
    detector: DetectorConfig,
    /// The channels that report incidents.
    channels: Vec<RawChannel>,
    /// The status page, its API, metrics and health.
    http: Option<HttpConfig>,
}

/// The configuration of `standalone` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawStandalone {
    pattern_files: Vec<PathBuf>,
    normalizer: NormalizerConfig,
    detector: DetectorConfig,
    channels: Vec<RawChannel>,
    http: Option<HttpConfig>,
}

/// JSON Schema of the configuration of `run`, with the words that describe each key. That of `standalone` has a part of
/// these sections: `pattern_files`, `normalizer`, `detector`, `channels` and `http`.
#[must_use]
pub fn schema() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<RawConfig>()
}

/// The checked configuration of `standalone`.
#[derive(Clone, Debug, Default)]
pub struct StandaloneConfig {
    /// The Normalizer's part.
    pub normalizer: NormalizerConfig,
    /// The Detector's part.
    pub detector: DetectorConfig,
    /// Where alerts go.
    pub channels: Vec<ChannelConfig>,
    /// The address of the status page, the API, metrics and health.
    pub http: Option<HttpConfig>,
}

impl StandaloneConfig {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`], in words for the person who wrote the file.
    pub fn read(path: &Path) -> Result<StandaloneConfig, ConfigError> {
        let (name, text) = (path.display().to_string(), read(path)?);
        let file = ConfigText { path: &name, text: &text };
        let mut raw: RawStandalone = file.parse(Program::Standalone)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let files: Vec<PathBuf> = raw.pattern_files.iter().map(|path| folder.join(path)).collect();
        raw.normalizer.patterns = read_patterns(raw.normalizer.patterns, &files)?;
        raw.normalizer.inventory = read_inventory(file, std::mem::take(&mut raw.normalizer.inventory), folder)?;
        check_detector(file, &raw.detector)?;
        let channels = check_channels(file, &raw.channels, &this_machine())?;
        check_http(file, raw.http.as_ref())?;
        warn_of_readable_token(path, raw.http.as_ref());
        Ok(StandaloneConfig { normalizer: raw.normalizer, detector: raw.detector, channels, http: raw.http })
    }
}

/// Checks what the operator's own patterns say by their own examples.
///
/// # Errors
/// The examples of the configuration at `path` that do not hold.
pub fn check_examples(normalizer: &NormalizerConfig, path: &Path) -> Result<(), ConfigError> {
    let wrong = normalizer.patterns.wrong_examples();
    let invalid = || ConfigError::Invalid { path: path.display().to_string(), why: wrong.join("\n  ") };
    if wrong.is_empty() { Ok(()) } else { Err(invalid()) }
}

/// A file that `pattern_files` names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PatternFile {
    patterns: Patterns,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawLoop {
    /// Records of one transaction at most. Default: 5000.
    batch_records_max: Option<usize>,
    /// A partition without a record for so many seconds gets a tick, which moves log time; 0 writes no ticks. Default: 60.
    tick_after_idle_secs: Option<u64>,
    /// A machine's state is saved after so many records ... Default: 500000.
    snapshot_after_records: Option<u64>,
    /// ... or after so many seconds with a record. Default: 300.
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
    /// Where alerts go.
    pub channels: Vec<ChannelConfig>,
    /// The address of the status page, the API, metrics and health.
    pub http: Option<HttpConfig>,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`], in words for the person who wrote the file.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let config = Config::parse(&path.display().to_string(), &read(path)?)?;
        for finding in config.kafka.properties.readable_by_all(path) {
            tracing::warn!("{finding}");
        }
        warn_of_readable_token(path, config.http.as_ref());
        Ok(config)
    }

    /// Checks the text of a file that is called `name`. Its pattern files are read; they stand where it stands.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(name: &str, text: &str) -> Result<Config, ConfigError> {
        let file = ConfigText { path: name, text };
        let mut raw: RawConfig = file.parse(Program::Processor)?;
        let folder = Path::new(name).parent().unwrap_or(Path::new(""));
        let files: Vec<PathBuf> = raw.pattern_files.iter().map(|path| folder.join(path)).collect();
        raw.normalizer.patterns = read_patterns(raw.normalizer.patterns, &files)?;
        raw.normalizer.inventory = read_inventory(file, std::mem::take(&mut raw.normalizer.inventory), folder)?;
        let kafka = KafkaSettings::read(std::mem::take(&mut raw.kafka))
            .map_err(|wrong| file.error_at(wrong.at, wrong.message))?;
        let channels = std::mem::take(&mut raw.channels);
        let mut config = Config::of(raw, kafka);
        config.check().map_err(|(key, why)| wrong_key(file, &key, &why))?;
        check_detector(file, &config.detector)?;
        config.channels = check_channels(file, &channels, &config.kafka.instance)?;
        check_http(file, config.http.as_ref())?;
        Ok(config)
    }

    fn of(raw: RawConfig, properties: KafkaSettings) -> Config {
        let defaults = ShellConfig::default();
        let tick_secs = raw.processor.tick_after_idle_secs.unwrap_or(60);
        Config {
            kafka: KafkaConfig {
                properties,
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
            channels: Vec::new(),
            http: raw.http,
        }
    }

    /// The path of the first key that is wrong, and why.
    fn check(&self) -> Result<(), (Vec<String>, String)> {
        let wrong = |path: &[&str], why: String| Err((path.iter().map(|part| (*part).to_owned()).collect(), why));
        if self.kafka.properties.get("bootstrap.servers").is_none_or(|servers| servers.trim().is_empty()) {
            let why = "is missing or empty: write \"bootstrap.servers\" = \"HOST:PORT,...\"; a configuration of standalone has no [kafka], and \
                       check-config takes it with --standalone";
            return wrong(&["kafka", "bootstrap.servers"], why.to_owned());
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.kafka.topic_prefix.is_empty() || !self.kafka.topic_prefix.chars().all(legal) {
            let why = "is no topic prefix: a Kafka topic name takes letters, digits, '.', '_' and '-'";
            return wrong(&["topic_prefix"], format!("{:?} {why}", self.kafka.topic_prefix));
        }
        if self.shell.batch_records_max == 0 {
            return wrong(&["processor", "batch_records_max"], "must be at least 1".to_owned());
        }
        if self.topics.raw_partitions < 1 {
            return wrong(&["topics", "raw_partitions"], "must be at least 1".to_owned());
        }
        self.kafka.check_properties().or_else(|why| {
            // librdkafka's reason begins with the property, where it knows which.
            let property = why.split(':').next().filter(|name| self.kafka.properties.contains_key(*name));
            wrong(&["kafka"].into_iter().chain(property).collect::<Vec<_>>(), why.clone())
        })
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
        let text = read(path)?;
        parts.push(ConfigText { path: &last, text: &text }.parse::<PatternFile>(Program::Processor)?.patterns);
    }
    // A conflict between files is reported for the last file.
    Patterns::join(parts).map_err(|why| ConfigError::Invalid { path: last, why })
}

fn check_detector(file: ConfigText<'_>, detector: &DetectorConfig) -> Result<(), ConfigError> {
    detector.check().map_err(|wrong| match wrong.rule {
        None => file.error_at_key(&["detector", &wrong.key], wrong.why),
        Some(rule) => file.error_at_key(&["detector", "rules", &rule.to_string(), &wrong.key], wrong.why),
    })
}

fn check_channels(
    file: ConfigText<'_>,
    channels: &[RawChannel],
    instance: &str,
) -> Result<Vec<ChannelConfig>, ConfigError> {
    check_all(channels, instance)
        .map_err(|WrongChannel { index, key, why }| file.error_at_key(&["channels", &index.to_string(), key], why))
}

/// Opens the channels of the configuration at `path` as a start does, without a connection, and returns warnings.
///
/// # Errors
/// The channel that a start or every alert would fail at, with the line of the key at fault.
pub fn try_channels(path: &Path, channels: &[ChannelConfig]) -> Result<Vec<String>, ConfigError> {
    trial::try_all(channels).map_err(|(index, why)| {
        // The reason begins with the key, where one key is at fault.
        let key = why.split(':').next().unwrap_or_default();
        let (name, text) = (path.display().to_string(), read(path).unwrap_or_default());
        let file = ConfigText { path: &name, text: &text };
        file.error_at_key(&["channels", &index.to_string(), key], format!("channel {}: {why}", channels[index].name))
    })
}

fn check_http(file: ConfigText<'_>, http: Option<&HttpConfig>) -> Result<(), ConfigError> {
    http.map_or(Ok(()), HttpConfig::check).map_err(|(key, why)| file.error_at_key(&["http", key], why))
}

fn warn_of_readable_token(path: &Path, http: Option<&HttpConfig>) {
    let token = http.and_then(|http| http.token.as_ref());
    let origins: Vec<_> =
        token.map(|token| ("http.token_file".to_owned(), token.origin().clone())).into_iter().collect();
    for finding in readable_by_all(path, &origins) {
        tracing::warn!("{finding}");
    }
}

/// The error for the key at `path`, on the key's line.
fn wrong_key<S: AsRef<str>>(file: ConfigText<'_>, path: &[S], why: &str) -> ConfigError {
    let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
    match path.last() {
        // A property is named by librdkafka's own words.
        Some(last) if why.starts_with(last) => file.error_at_key(&path, why),
        _ => file.error_at_key(&path, format!("{}: {why}", path.join("."))),
    }
}

fn read_inventory(file: ConfigText<'_>, inventory: HostNamesFile, folder: &Path) -> Result<HostNamesFile, ConfigError> {
    inventory.read_in(folder).map_err(|why| wrong_key(file, &["normalizer", "inventory"], &why))
}

/// The default instance: one processor a machine needs no name of its own.
fn this_machine() -> String {
    wulog_service::computer::name().map_or_else(|| "processor".to_owned(), |name| canonical_name(&name))
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
        check("topic_prefix = 3\n", "p.toml:1: column 16: topic_prefix: invalid type: integer, expected a string");
        check(&format!("{broker}[detector.limits]\nhosts = \"many\"\n"), "p.toml:4: column 9: detector.limits.hosts: ");
        check(&format!("{broker}[topics]\nraw_partitions = 0\n"), "p.toml:4: topics.raw_partitions: must be");
        check(&format!("{broker}[processor]\nbatch_records_max = 0\n"), "p.toml:4: processor.batch_records_max: must");
        let missing = format!("{broker}[normalizer]\ninventory = 'nowhere.txt'\n");
        check(&missing, "p.toml:4: normalizer.inventory: ");
        check(&missing, "nowhere.txt");
        let channel = "[[channels]]\nname = \"a\"\nkind = \"webhook\"\n";
        check(&format!("{broker}{channel}url = \"x\"\n"), "p.toml:6: url: must begin with http");
        check(&format!("{broker}{channel}"), "p.toml:3: url: is missing");
        check(&format!("{broker}{channel}ulr = \"x\"\n"), "p.toml:6: ");
        check(&format!("{broker}{channel}url = \"http://x\"\nto = [\"a@b.example\"]\n"), "p.toml:7: to: ");
        check(&format!("{broker}{channel}url = \"http://x\"\n{channel}url = \"http://x\"\n"), "p.toml:8: name: two");
        check(&format!("{broker}[http]\nlisten = \"0.0.0.0:9465\"\n"), "p.toml:4: listen = 0.0.0.0:9465");
        check("[kafka\n", "p.toml:1: ");
        check("", "bootstrap.servers");
        check(
            "instance = \"a\"\n[kafka]\n\"client.id\" = \"x\"\n",
            "p.toml:2: kafka.bootstrap.servers: is missing or empty",
        );
        check("topic_prefix = \"a b\"\n[kafka]\n\"bootstrap.servers\" = \"x:1\"\n", "p.toml:1: topic_prefix: \"a b\"");
        check("[kafka]\n\"bootstrap.servers\" = \"x:1\"\n\"no.such.property\" = 1\n", "p.toml:3: no.such.property");
    }

    /// The error for a `[kafka]` table shows no secret.
    #[track_caller]
    fn check_secret(table: &str, expected: &[&str]) {
        let text = format!("[kafka]\n\"bootstrap.servers\" = \"x:1\"\n{table}\n");
        let error = Config::parse("p.toml", &text).expect_err("this configuration is wrong");
        for said in [error.to_string(), format!("{error:?}")] {
            assert!(!said.contains("hunter2"), "{said}");
            assert!(expected.iter().all(|part| said.contains(part)), "{said:?} lacks one of {expected:?}");
        }
    }

    #[test]
    fn errors_show_no_secret() {
        check_secret("'sasl.password' = \"hunter2", &["p.toml", "3"]);
        check_secret("'sasl.password' = hunter2", &["p.toml", "3"]);
        check_secret("'sasl.password' = ['hunter2']", &["3", "sasl.password"]);
        check_secret("'sasl.password' = { vault = 'hunter2' }", &["3", "sasl.password", "{ env"]);
        check_secret("'sasl.password' = { file = '/nowhere/pw' }", &["3", "/nowhere/pw"]);
        check_secret("'sasl.password' = { env = 'WULOG_TEST_NOT_SET' }", &["3", "WULOG_TEST_NOT_SET"]);
        check_secret("'socket.timeout.ms' = 'hunter2'", &["socket.timeout.ms"]);
        check_secret("[kafka.sasl]\npassword = 'hunter2'", &["kafka.sasl"]);
        check_secret("'plugin.library.paths' = 'hunter2'", &["3", "plugin.library.paths", "loads a library"]);
        check_secret("'ssl.engine.location' = 'hunter2'", &["3", "ssl.engine.location", "loads a library"]);
        check_secret("'ssl.providers' = 'hunter2'", &["3", "ssl.providers", "loads"]);
        check("kafka = 'hunter2'\n", "invalid type: string, expected");
    }

    #[test]
    fn a_secret_is_looked_up_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let text =
            format!("[kafka]\n'bootstrap.servers' = 'x:1'\n'sasl.password' = {{ file = '{}' }}\n", file.display());
        let config = Config::parse("p.toml", &text).unwrap();
        assert_eq!(config.kafka.properties["sasl.password"], "hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
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
