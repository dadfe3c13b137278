//! Settings: TOML -> `RawConfig` -> [`Config`], once; after that every value is known to be good.

mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::Deserialize;
use wulog_schemas::raw::Source;

use self::written::{Checker, RawConfig};
use crate::encoding::EncodingChoice;

/// What a collector does.
#[derive(Clone, Debug)]
pub struct Config {
    /// Topics are `PREFIX.raw` and so on.
    pub topic_prefix: String,
    /// Where positions are kept; one collector a directory.
    pub state_dir: PathBuf,
    /// The host that the collector runs on.
    pub host: HostConfig,
    /// Settings for librdkafka, by its names.
    pub kafka: BTreeMap<String, String>,
    /// Bounds.
    pub limits: Limits,
    /// What is read; the first input that names a file has it.
    pub inputs: Vec<Input>,
}

/// What is set of the collector's own host; the machine is asked for the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostConfig {
    /// Computer name.
    pub name: Option<String>,
    /// Host id, in place of the hash of machine id and computer name.
    pub id: Option<String>,
    /// IANA time zone.
    pub time_zone: Option<String>,
    /// Site, ring, OU ...
    pub labels: BTreeMap<String, String>,
}

/// Longest line by default; see [`Limits::line_bytes_max`].
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Bounds of memory, lines and times.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of lines that are read and not acknowledged; then reading stops, since the file is the buffer.
    pub bytes_in_flight: usize,
    /// Bytes of one line in the file; what is longer is cut and marked. The longest real lines (driver lists, XML) have
    /// about 10 KiB, and three times 64 KiB, the worst that decoding makes of it, still fits Kafka's 1 MB message.
    pub line_bytes_max: usize,
    /// How often files are looked at when nothing happens.
    pub poll_interval_ms: u64,
    /// How often, at most, paths are searched for new files.
    pub rescan_interval_ms: u64,
    /// After how long without a change a last line without ending is taken as complete.
    pub final_line_quiet_secs: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            bytes_in_flight: 8 * 1024 * 1024,
            line_bytes_max: LINE_BYTES_MAX,
            poll_interval_ms: 250,
            rescan_interval_ms: 1000,
            final_line_quiet_secs: 30,
        }
    }
}

/// A set of files.
#[derive(Clone, Debug)]
pub struct Input {
    /// Globs.
    pub paths: Vec<String>,
    /// Which log they are; `None` tells by the file's name.
    pub source: Option<Source>,
    /// Their encoding.
    pub encoding: EncodingChoice,
    /// Takes the host from the path (group `host`); `None` means the collector's own host.
    pub host_pattern: Option<Regex>,
    /// IANA time zone of gathered hosts.
    pub time_zone: Option<String>,
    /// Labels of gathered hosts, beside those of the collector's own host.
    pub labels: BTreeMap<String, String>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// It is not TOML, or has unknown or missing keys. The message shows the line.
    #[error("{path}:{line}: {error}")]
    Syntax {
        /// The file.
        path: String,
        /// Line in it, from 1.
        line: usize,
        /// With line, column and a caret.
        error: Box<toml::de::Error>,
    },
    /// A value makes no sense.
    #[error("{path}:{line}: {message}")]
    Value {
        /// The file.
        path: String,
        /// Line in it.
        line: usize,
        /// What is wrong and what to do.
        message: String,
    },
}

/// Takes the host from `.../HOST/FILE`, with either kind of slash.
const HOST_OF_FOLDER: &str = r"(?P<host>[^/\\]+)[/\\][^/\\]+$";

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// When the file cannot be read or says something that cannot be meant.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let shown = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable { path: shown.clone(), error })?;
        Config::parse(&text, &shown)
    }

    /// Reads a configuration; `path` stands in messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &str) -> Result<Config, ConfigError> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            line: line_at(text, error.span().map_or(0, |span| span.start)),
            error: Box::new(error),
        })?;
        Checker { text, path }.config(raw)
    }

    /// Logs gathered as `DIR/HOST/*.log`, without Kafka: the one-machine mode.
    #[must_use]
    pub fn gathered(logs_dir: &Path, state_dir: &Path) -> Config {
        let dir = glob::Pattern::escape(&logs_dir.to_string_lossy());
        let pattern = Regex::new(HOST_OF_FOLDER).expect("the pattern is a constant that a test compiles");
        Config {
            topic_prefix: default_prefix(),
            state_dir: state_dir.to_owned(),
            host: HostConfig::default(),
            kafka: BTreeMap::new(),
            limits: Limits::default(),
            inputs: vec![Input { host_pattern: Some(pattern), ..Input::new(format!("{dir}/*/*.log")) }],
        }
    }
}

impl Input {
    /// All defaults for one glob: the collector's own host, encoding and source found by themselves.
    #[must_use]
    pub fn new(path: impl Into<String>) -> Input {
        Input {
            paths: vec![path.into()],
            source: None,
            encoding: EncodingChoice::Auto,
            host_pattern: None,
            time_zone: None,
            labels: BTreeMap::new(),
        }
    }

    /// Which log a file of this input is.
    #[must_use]
    pub fn source_of(&self, path: &Path) -> Source {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let by_name = if name.starts_with("reportingevents") { Source::ReportingEvents } else { Source::WindowsUpdate };
        self.source.unwrap_or(by_name)
    }
}

/// The line, from 1, of a place in a text.
fn line_at(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|&&byte| byte == b'\n').count()
}

fn default_prefix() -> String {
    "wulog".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_configuration_is_filled_up() {
        let config = Config::parse("state_dir = '/s'\n[[input]]\npaths = ['/l/*.log']\n", "c.toml").unwrap();
        assert_eq!((config.topic_prefix.as_str(), config.limits.line_bytes_max), ("wulog", 65536));
        assert_eq!(config.inputs[0].source_of(Path::new("/l/ReportingEvents.log")), Source::ReportingEvents);
        assert_eq!(config.inputs[0].source_of(Path::new("/l/WindowsUpdate.log")), Source::WindowsUpdate);
    }

    #[test]
    fn kafka_settings_pass_through() {
        let text =
            "state_dir = '/s'\n[kafka]\n'bootstrap.servers' = 'a:1'\n'linger.ms' = 5\n[[input]]\npaths = ['/l']\n";
        let config = Config::parse(text, "c.toml").unwrap();
        assert_eq!(config.kafka["bootstrap.servers"], "a:1");
        assert_eq!(config.kafka["linger.ms"], "5");
    }

    #[test]
    fn the_host_of_a_gathered_file_is_its_folder() {
        let config = Config::gathered(Path::new("/srv/logs"), Path::new("/s"));
        let pattern = config.inputs[0].host_pattern.as_ref().unwrap();
        assert_eq!(&pattern.captures("/srv/logs/PC-1/WindowsUpdate.log").unwrap()["host"], "PC-1");
        assert_eq!(&pattern.captures(r"\\share\logs\PC-1\WindowsUpdate.log").unwrap()["host"], "PC-1");
    }

    /// The error for `text` holds every one of `parts`.
    #[track_caller]
    fn check_error(text: &str, parts: &[&str]) {
        let error = Config::parse(text, "c.toml").unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    }

    #[test]
    fn errors_name_file_and_line() {
        check_error("", &["c.toml", "state_dir"]);
        check_error("state_dir = '/s'\n", &["c.toml:1:", "[[input]]"]);
        check_error("state_dir = '/s'\nstat = 1\n[[input]]\npaths=['a']", &["line 2", "stat", "^"]);
        check_error("state_dir = '/s'\n[[input]]\npaths = []\n", &["c.toml:2:", "paths is empty"]);
        check_error("state_dir = '/s'\n[[input]]\npaths = ['a']\nencoding = 'cat'\n", &["c.toml:4:", "\"cat\""]);
        check_error("state_dir = '/s'\n[[input]]\npaths = ['a']\nsource = 'cat'\n", &["line 4", "windowsupdate"]);
        check_error("state_dir = '/s'\n[[input]]\npaths = ['a']\nhost_pattern = '('\n", &["c.toml:4:", "host_pattern"]);
        check_error("state_dir = '/s'\n[[input]]\npaths = ['a']\nhost_pattern = 'x'\n", &["c.toml:4:", "(?P<host>"]);
        check_error("state_dir = '/s'\n[host]\ntime_zone = 'CET '\n[[input]]\npaths = ['a']\n", &["c.toml:3:", "IANA"]);
        let zone = "state_dir = '/s'\n[[input]]\npaths = ['a']\ntime_zone = 'Europe/Berlim'\n";
        check_error(zone, &["c.toml:4:", "Europe/Berlim", "IANA"]);
        check_error("state_dir = '/s'\n[limits]\nline_bytes_max = 1\n[[input]]\npaths = ['a']\n", &["line_bytes_max"]);
        check_error(
            "state_dir = '/s'\n[kafka]\nbootstrap.servers = 'a'\n[[input]]\npaths = ['a']\n",
            &["c.toml:3:", "quote"],
        );
    }
}
