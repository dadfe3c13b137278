//! Settings: TOML becomes `RawConfig` and then [`Config`], once. Every value of a [`Config`] is valid.

mod settings;
mod variables;
mod raw_config;

use std::path::Path;

use regex::Regex;
use schemars::{Schema, SchemaGenerator};
use wulog_kafka::KafkaSettings;
use wulog_settings::{ConfigText, Program, read};

use self::raw_config::{Checker, RawConfig};
pub use self::settings::Config;
use self::settings::default_prefix;
pub use crate::certificates::CertificateSources;
pub use crate::input::Input;
pub use crate::limits::Limits;
pub use crate::local_host::HostConfig;
pub use wulog_settings::ConfigError;

/// Returns the JSON Schema of the configuration, with a description of each key.
#[must_use]
pub fn schema() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<RawConfig>()
}

/// Takes the host from `.../HOST/FILE`, with either kind of slash.
const HOST_OF_FOLDER: &str = r"(?P<host>[^/\\]+)[/\\][^/\\]+$";

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or has an invalid value.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        Config::parse(&read(path)?, &path.display().to_string())
    }

    /// Reads a configuration from `text`; error messages name `path`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &str) -> Result<Config, ConfigError> {
        let file = ConfigText { path, text };
        Checker { file }.config(file.parse::<RawConfig>(Program::Collector)?)
    }

    /// Returns the configuration of the one-machine mode: logs gathered as `DIR/HOST/*.log`, without Kafka.
    #[must_use]
    pub fn gathered(logs_dir: &Path, state_dir: &Path) -> Config {
        let dir = glob::Pattern::escape(&logs_dir.to_string_lossy());
        let pattern = Regex::new(HOST_OF_FOLDER).expect("the pattern is a constant that a test compiles");
        Config {
            topic_prefix: default_prefix(),
            state_dir: state_dir.to_owned(),
            host: HostConfig::default(),
            kafka: KafkaSettings::default(),
            limits: Limits::default(),
            redact: Vec::new(),
            metrics: None,
            get_windows_update_log: None,
            certificates: CertificateSources { gathered: true, ..CertificateSources::default() },
            inputs: vec![Input { host_pattern: Some(pattern), ..Input::new(format!("{dir}/*/*.log")) }],
        }
    }
}

#[cfg(test)]
mod tests {
    use wulog_schemas::raw::Source;

    use super::*;
    use crate::limits::Priority;

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

    /// Expects an error for `text` that contains each of `parts`.
    #[track_caller]
    fn check_error(text: &str, parts: &[&str]) {
        let error = Config::parse(text, "c.toml").unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    }

    #[test]
    fn the_log_that_windows_10_is_to_make_is_named() {
        let text =
            "state_dir = '/s'\n[[input]]\npaths = ['a']\n[get_windows_update_log]\nlog_path = 'l'\nevery_min = 60";
        let made = Config::parse(text, "c.toml").unwrap().get_windows_update_log.unwrap();
        assert_eq!((made.log_path.to_str().unwrap(), made.every.as_secs()), ("l", 3600));
    }

    #[test]
    fn errors_name_file_and_line() {
        check_error("", &["c.toml", "state_dir"]);
        check_error("state_dir = '/s'\n", &["c.toml: nothing", "[[input]]"]);
        check_error("state_dir = '/s'\nstat = 1\n[[input]]\npaths=['a']", &["c.toml:2:", "stat", "column 1"]);
        check_error("state_dir = '/s'\n[[input]]\npaths = []\n", &["c.toml:2:", "paths is empty"]);
        check_error(
            "state_dir = '/s'\n[[input]]\npaths = ['a']\nencoding = 'cat'\n",
            &["c.toml:4: input[1].encoding: ", "\"cat\""],
        );
        check_error("state_dir = 3\n[[input]]\npaths = ['a']\n", &["c.toml:1: ", "state_dir: invalid type: integer"]);
        check_error("state_dir = '/s'\n[[input]]\npaths = ['a', '']\n", &["c.toml:3: input[1].paths[2]: "]);
        check_error(
            "state_dir = '/s'\n[[input]]\npaths = ['a', 7]\n",
            &["c.toml:3: ", "input[1].paths[2]: invalid type"],
        );
        check_error("state_dir = '/s'\n[host]\nname = ' '\n[[input]]\npaths = ['a']\n", &["c.toml:3: host.name: "]);
        check_error(
            "state_dir = '/s'\n[limits]\npriority = 'low'\n[[input]]\npaths = ['a']\n",
            &["c.toml:3: ", "limits.priority: "],
        );
        check_error(
            "state_dir = '/s'\n[limits]\nbytes_per_second = -1\n[[input]]\npaths = ['a']\n",
            &["c.toml:3: ", "limits.bytes_per_second: "],
        );
        check_error(
            "state_dir = '/s'\n[limits]\npoll_interval_ms = 1\n[[input]]\npaths = ['a']\n",
            &["c.toml:3: limits.poll_interval_ms is not in"],
        );
        check_error("state_dir = '/s'\n[[input]]\npaths = ['a']\nsource = 'cat'\n", &["c.toml:4:", "windowsupdate"]);
        check_error("state_dir = '/s'\n[[input]]\npaths = ['a']\nhost_pattern = '('\n", &["c.toml:4:", "host_pattern"]);
        check_error("state_dir = '/s'\n[[input]]\npaths = ['a']\nhost_pattern = 'x'\n", &["c.toml:4:", "(?P<host>"]);
        check_error("state_dir = '/s'\n[host]\ntime_zone = 'CET '\n[[input]]\npaths = ['a']\n", &["c.toml:3:", "IANA"]);
        let zone = "state_dir = '/s'\n[[input]]\npaths = ['a']\ntime_zone = 'Europe/Berlim'\n";
        check_error(zone, &["c.toml:4:", "Europe/Berlim", "IANA"]);
        check_error(
            "state_dir = '/s'\n[limits]\nline_bytes_max = 1\n[[input]]\npaths = ['a']\n",
            &["c.toml:3: limits.line_bytes_max"],
        );
        check_error(
            "state_dir = '/s'\n[[input]]\npaths=['a']\n[get_windows_update_log]\nlog_path='a'\nevery_min=1\n",
            &["c.toml:6:", "every_min"],
        );
        check_error(
            "state_dir = '/s'\n[kafka]\nbootstrap.servers = 'a'\n[[input]]\npaths = ['a']\n",
            &["c.toml:3:", "quote"],
        );
    }

    #[test]
    fn certificates_of_the_machine_are_for_windows() {
        let with = |lines: &str| format!("state_dir = '/s'\n{lines}\n[[input]]\npaths = ['a']\n");
        let parsed = |lines: &str| {
            let sources = Config::parse(&with(lines), "c.toml").unwrap().certificates;
            assert_eq!(sources.site.is_some(), sources.machine.is_some() && !lines.contains("wsus_site = false"));
            let reads_files = sources.machine.is_some() && !lines.contains("failed_files = false");
            assert_eq!(sources.failed_files.is_some(), reads_files);
            (sources.gathered, sources.machine.is_some())
        };
        assert_eq!(parsed(""), (false, false));
        assert_eq!(parsed("[certificates]"), (true, false));
        assert_eq!(parsed("[certificates]\nmachine = false"), (true, false));
        assert_eq!(parsed("[certificates]\nenabled = false"), (false, false));
        if cfg!(windows) {
            assert_eq!(parsed("[certificates]\nmachine = true"), (true, true));
            assert_eq!(parsed("[certificates]\nmachine = true\nwsus_site = true"), (true, true));
            assert_eq!(parsed("[certificates]\nmachine = true\nwsus_site = false"), (true, true));
            assert_eq!(parsed("[certificates]\nmachine = true\nfailed_files = false"), (true, true));
            assert_eq!(parsed("[certificates]\nmachine = true\nenabled = false"), (false, false));
        } else {
            check_error(&with("[certificates]\nmachine = true"), &["c.toml:3: certificates.machine: ", "only Windows"]);
        }
    }

    /// Expects an error for a `[kafka]` table that contains each of `parts` and no secret.
    #[track_caller]
    fn check_secret(table: &str, parts: &[&str]) {
        let text = format!("state_dir = '/s'\n[kafka]\n{table}\n[[input]]\npaths = ['a']\n");
        let error = Config::parse(&text, "c.toml").unwrap_err();
        for said in [error.to_string(), format!("{error:?}")] {
            assert!(!said.contains("hunter2"), "{said}");
        }
        for part in parts {
            assert!(error.to_string().contains(part), "{part:?} is not in {error}");
        }
    }

    #[test]
    fn errors_show_no_secret() {
        check_secret("'sasl.password' = \"hunter2", &["c.toml:3:"]);
        check_secret("'sasl.password' = hunter2", &["c.toml:3:"]);
        check_secret("'a' = 1\n'sasl.password' = ['hunter2']", &["c.toml:4:", "sasl.password"]);
        check_secret("'a' = 1\n'sasl.password' = 'hunter2'\n'sasl.password' = 'hunter2'", &["c.toml:", "duplicate"]);
        check_secret("'sasl.password' = { env = 'WULOG_TEST_NOT_SET' }", &["c.toml:3:", "WULOG_TEST_NOT_SET"]);
        check_secret("'sasl.password' = { file = '/nowhere/pw' }", &["c.toml:3:", "/nowhere/pw"]);
        check_secret("'sasl.password' = { vault = 'x' }", &["c.toml:3:", "env", "file"]);
    }

    #[test]
    fn secrets_come_from_the_environment_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hunter2\r\n").unwrap();
        // Cargo sets it for every test.
        let text = format!(
            "state_dir = '/s'\n[kafka]\n'sasl.password' = {{ file = '{}' }}\n'client.id' = {{ env = 'CARGO_PKG_NAME' }}\n\
             [[input]]\npaths = ['a']\n",
            file.display()
        );
        let config = Config::parse(&text, "c.toml").unwrap();
        assert_eq!(
            (config.kafka["sasl.password"].as_str(), config.kafka["client.id"].as_str()),
            ("hunter2", "wulog-collector")
        );
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn the_citizen_settings_are_checked() {
        let with = |text: &str| format!("state_dir = '/s'\n{text}\n[[input]]\npaths = ['a']\n");
        let check = |text: &str, parts: &[&str]| check_error(&with(text), parts);
        check("[[redact]]\nregex = '('\nreplace = ''", &["c.toml:3:", "regex"]);
        check("[[redact]]\nregex = 'a'\nreplace = '$user'", &["c.toml:4:", "$user", "group"]);
        check("[metrics]\nlisten = 'nine'", &["c.toml:3:", "127.0.0.1:9464"]);
        check("[metrics]\nlisten = '0.0.0.0:9464'", &["c.toml:3:", "allow_remote"]);
        check("[metrics]\nlisten = '127.0.0.1:1'\nunhealthy_after_secs = 0", &["c.toml:4:", "unhealthy_after_secs"]);
        check("[limits]\nbytes_per_second = 100", &["c.toml:3:", "bytes_per_second"]);
        check("[limits]\npriority = 'high'", &["below-normal"]);
        check("[limits]\nno_ack_rebuild_secs = 1", &["c.toml:3:", "no_ack_rebuild_secs"]);
        let good = "[metrics]\nlisten = '0.0.0.0:9464'\nallow_remote = true\n[limits]\npriority = 'below-normal'\n\
                    [[redact]]\nregex = 'user=(?P<name>.)\\w*'\nreplace = 'user=${name}*'\n";
        let config = Config::parse(&with(good), "c.toml").unwrap();
        assert_eq!((config.metrics.unwrap().listen.port(), config.limits.priority), (9464, Priority::BelowNormal));
        assert_eq!(&*crate::redact::redact(&config.redact, b"user=ann"), b"user=a*");
    }
}
