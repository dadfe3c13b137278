//! The configuration as written, and its conversion into [`Config`]. Errors name the line of the mistake.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use wulog_kafka::{KafkaSettings, KafkaValue};
use wulog_lines::EncodingChoice;
use wulog_schemas::raw::Source;
use wulog_settings::{ConfigError, ConfigText};

use super::settings::{Config, default_prefix};
use super::variables::with_variables;
use crate::certificates::{CertificateSources, failed_file_reader, machine_reader, site_asker};
use crate::input::Input;
use crate::limits::Limits;
use crate::local_host::HostConfig;
use crate::metrics::{MetricsConfig, UNHEALTHY_AFTER};
use crate::redact::RedactRule;
use crate::update_log::GetWindowsUpdateLog;

/// The configuration of `wulog-collector`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    /// Prefix of the topics, one a tenant: lines go to `PREFIX.raw`. Default: `wulog`.
    #[schemars(with = "Option<String>")]
    topic_prefix: Option<Spanned<String>>,
    /// Directory in which the collector keeps how far it has shipped each file. Each collector needs a directory of its own.
    #[schemars(with = "String")]
    state_dir: Spanned<String>,
    /// The host that the collector runs on. What is not set here is asked of the machine.
    #[serde(default)]
    host: RawHost,
    /// Properties of librdkafka by their names, such as `bootstrap.servers`. Any value may be `{ file = "PATH" }` or
    /// `{ env = "NAME" }`; none is ever printed. `acks=all` and idempotence are always on.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, KafkaValue>")]
    kafka: BTreeMap<String, Spanned<toml::Value>>,
    /// What the collector may take of the machine.
    #[schemars(with = "Option<Limits>")]
    limits: Option<Spanned<Limits>>,
    /// On Windows 10 and later: have `Get-WindowsUpdateLog` make a log of the traces from time to time.
    get_windows_update_log: Option<RawGet>,
    /// Ship inventories of certificate stores.
    certificates: Option<RawCertificates>,
    /// What is replaced in each line before it is shipped. The rules apply in their order.
    #[serde(default)]
    redact: Vec<RawRule>,
    /// Metrics for Prometheus at `/metrics`, and `/healthz`.
    metrics: Option<RawMetrics>,
    /// The files that are read. The first input that names a file has it.
    #[serde(default)]
    #[schemars(with = "Vec<RawInput>")]
    input: Vec<Spanned<RawInput>>,
}

/// The section alone turns inventories of gathered hosts on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawCertificates {
    /// `false` turns all inventories off without deleting the section. Default: `true`.
    enabled: Option<bool>,
    /// Reads the stores of the machine that the collector runs on; only Windows has them. Default: `false`.
    #[schemars(with = "Option<bool>")]
    machine: Option<Spanned<bool>>,
    /// With `machine`: asks the machine's WSUS server for its TLS certificate. Default: `true`.
    wsus_site: Option<bool>,
    /// With `machine`: reads who signed the downloaded files that lines of the machine's log call not trusted. Default: `true`.
    failed_files: Option<bool>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawHost {
    /// Computer name.
    #[schemars(with = "Option<String>")]
    name: Option<Spanned<String>>,
    /// Host id, in place of the hash of the machine's id and its name.
    #[schemars(with = "Option<String>")]
    id: Option<Spanned<String>>,
    /// IANA time zone, such as `Europe/Berlin`.
    #[schemars(with = "Option<String>")]
    time_zone: Option<Spanned<String>>,
    /// Labels such as `site` and `ring`. They reach events and alerts.
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawInput {
    /// Files, or globs such as `/srv/wulogs/*/*.log`.
    #[schemars(with = "Vec<String>")]
    paths: Vec<Spanned<String>>,
    /// Which log the files are. Default: the file's name tells.
    source: Option<Source>,
    /// `auto`, `utf-8`, `utf-16le`, `windows-1252`, or another label of the WHATWG's list. Default: `auto`.
    #[schemars(with = "Option<String>")]
    encoding: Option<Spanned<String>>,
    /// Regular expression that takes the host from the path, by a group `host`. Without it the files belong to the host that
    /// the collector runs on.
    #[schemars(with = "Option<String>")]
    host_pattern: Option<Spanned<String>>,
    /// Whether links may lead out of the folder of `paths`. Otherwise a file behind such a link is not read: who owns a
    /// folder there could have the collector ship any file that it may read.
    #[serde(default)]
    follow_links_outside: bool,
    /// IANA time zone of gathered hosts.
    #[schemars(with = "Option<String>")]
    time_zone: Option<Spanned<String>>,
    /// Labels of gathered hosts, beside those of `[host]`.
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawRule {
    /// Regular expression.
    #[schemars(with = "String")]
    regex: Spanned<String>,
    /// Replacement; `${1}` is the first group.
    #[schemars(with = "String")]
    replace: Spanned<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawMetrics {
    /// `IP:PORT` at which metrics are served.
    #[schemars(with = "String")]
    listen: Spanned<String>,
    /// Whether `listen` may be an address that other machines reach.
    #[serde(default)]
    allow_remote: bool,
    /// `/healthz` answers 503 when Kafka has acknowledged nothing for so many seconds though lines are on their way. Default:
    /// 300.
    #[schemars(with = "Option<u64>")]
    unhealthy_after_secs: Option<Spanned<u64>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawGet {
    /// The log that is made. An input must name it to be read.
    #[schemars(with = "String")]
    log_path: Spanned<String>,
    /// Minutes between two logs, 5 to 1440.
    #[schemars(with = "u64")]
    every_min: Spanned<u64>,
}

/// Converts written values into checked ones, and knows the text for the line numbers of errors.
pub(super) struct Checker<'a> {
    pub(super) file: ConfigText<'a>,
}

impl Checker<'_> {
    pub(super) fn config(&self, raw: RawConfig) -> Result<Config, ConfigError> {
        if raw.input.is_empty() {
            let why = "nothing to read: add an [[input]] with paths = [\"...\"]";
            return Err(self.file.error_at_key(&["input"], why));
        }
        let topic_prefix = match raw.topic_prefix {
            None => default_prefix(),
            Some(prefix) => {
                self.checked(prefix, is_topic_prefix, "is no topic prefix: letters, digits, '.', '_', '-'")?
            }
        };
        let kafka = KafkaSettings::read(raw.kafka).map_err(|wrong| self.file.error_at(wrong.at, wrong.message))?;
        Ok(Config {
            topic_prefix,
            state_dir: self.path_of(raw.state_dir)?.into_inner().into(),
            host: self.host(raw.host)?,
            kafka,
            limits: raw.limits.map_or_else(|| Ok(Limits::default()), |limits| self.limits(limits))?,
            redact: raw.redact.into_iter().map(|rule| self.rule(rule)).collect::<Result<_, _>>()?,
            metrics: raw.metrics.map(|metrics| self.metrics(&metrics)).transpose()?,
            get_windows_update_log: raw.get_windows_update_log.map(|raw| self.get_log(raw)).transpose()?,
            certificates: raw
                .certificates
                .map_or_else(|| Ok(CertificateSources::default()), |raw| self.certificates(&raw))?,
            inputs: raw.input.into_iter().map(|input| self.input(input)).collect::<Result<_, _>>()?,
        })
    }

    fn host(&self, raw: RawHost) -> Result<HostConfig, ConfigError> {
        let not_blank = |text: &str| !text.trim().is_empty();
        let checked =
            |value: Option<Spanned<String>>, what| value.map(|value| self.checked(value, not_blank, what)).transpose();
        Ok(HostConfig {
            name: checked(raw.name, "is no host name; leave it out to take the machine's")?,
            id: checked(raw.id, "is no host id; leave it out to take the machine's")?,
            time_zone: self.time_zone(raw.time_zone)?,
            labels: raw.labels,
        })
    }

    fn limits(&self, raw: Spanned<Limits>) -> Result<Limits, ConfigError> {
        let limits = raw.into_inner();
        let (key, why) = match &limits {
            limits if limits.line_bytes_max < 1024 => ("line_bytes_max", "is less than 1024"),
            limits if limits.line_bytes_max > 256 * 1024 => {
                ("line_bytes_max", "is more than 262144: decoded it may exceed Kafka's default message size")
            }
            limits if limits.bytes_in_flight < 4 * limits.line_bytes_max => {
                ("bytes_in_flight", "is less than four times line_bytes_max")
            }
            limits if limits.bytes_per_second > 0 && limits.bytes_per_second < 1024 => {
                ("bytes_per_second", "is less than 1024; 0 means no limit")
            }
            limits if !(10..=86_400).contains(&limits.no_ack_rebuild_secs) => {
                ("no_ack_rebuild_secs", "is not in 10..=86400")
            }
            limits if !(10..=60_000).contains(&limits.poll_interval_ms) => ("poll_interval_ms", "is not in 10..=60000"),
            _ => return Ok(limits),
        };
        Err(self.file.error_at_key(&["limits", key], format!("limits.{key} {why}")))
    }

    fn input(&self, raw: Spanned<RawInput>) -> Result<Input, ConfigError> {
        let start = raw.span().start;
        let raw = raw.into_inner();
        if raw.paths.is_empty() {
            return Err(self.file.error_at(start, "paths is empty: name at least one file or glob"));
        }
        let is_glob = |path: &str| !path.is_empty() && glob::Pattern::new(path).is_ok();
        let paths = raw.paths.into_iter().map(|path| self.checked(self.path_of(path)?, is_glob, "is no path or glob"));
        let encoding = raw.encoding.map(|name| {
            let message = "is no encoding: use auto, utf-8, utf-16le, windows-1252 or another WHATWG label";
            EncodingChoice::parse(name.get_ref()).ok_or_else(|| self.wrong_value(&name, message))
        });
        Ok(Input {
            paths: paths.collect::<Result<_, _>>()?,
            source: raw.source,
            encoding: encoding.transpose()?.unwrap_or_default(),
            host_pattern: raw.host_pattern.map(|pattern| self.host_pattern(&pattern)).transpose()?,
            follow_links_outside: raw.follow_links_outside,
            time_zone: self.time_zone(raw.time_zone)?,
            labels: raw.labels,
        })
    }

    fn get_log(&self, raw: RawGet) -> Result<GetWindowsUpdateLog, ConfigError> {
        // 5 min, since Windows flushes the traces every few minutes; one day, since traces reliably hold no more than a
        // day.
        if !(5..=1440).contains(raw.every_min.get_ref()) {
            return Err(self.file.error_at(raw.every_min.span().start, "is not in 5..=1440"));
        }
        let log_path = self.path_of(raw.log_path)?.into_inner().into();
        Ok(GetWindowsUpdateLog { log_path, every: Duration::from_secs(raw.every_min.into_inner() * 60) })
    }

    fn certificates(&self, raw: &RawCertificates) -> Result<CertificateSources, ConfigError> {
        let reader = machine_reader();
        let wanted = raw.machine.as_ref().filter(|machine| *machine.get_ref());
        if let (Some(machine), None) = (wanted, reader) {
            let message = "only Windows has certificate stores that the collector can read: remove this line; \
                           [certificates] without it ships the files of gathered hosts";
            return Err(self.file.error_at(machine.span().start, message));
        }
        let is_on = raw.enabled.unwrap_or(true);
        let machine = reader.filter(|_| is_on && wanted.is_some());
        let site = site_asker().filter(|_| machine.is_some() && raw.wsus_site.unwrap_or(true));
        let failed_files = failed_file_reader().filter(|_| machine.is_some() && raw.failed_files.unwrap_or(true));
        Ok(CertificateSources { gathered: is_on, machine, site, failed_files })
    }

    /// A path, on Windows with `%NAME%` replaced.
    fn path_of(&self, path: Spanned<String>) -> Result<Spanned<String>, ConfigError> {
        if !cfg!(windows) {
            return Ok(path);
        }
        let variable = |name: &str| std::env::var(name).ok();
        match with_variables(path.get_ref(), variable) {
            Ok(expanded) => Ok(Spanned::new(path.span(), expanded)),
            Err(name) => Err(self.wrong_value(&path, &format!("names %{name}%, which is not set"))),
        }
    }

    fn host_pattern(&self, pattern: &Spanned<String>) -> Result<Regex, ConfigError> {
        let regex = Regex::new(pattern.get_ref())
            .map_err(|error| self.file.error_at(pattern.span().start, format!("is no regex: {error}")))?;
        if !regex.capture_names().any(|name| name == Some("host")) {
            let message = "has no group 'host': write the host's part of the path as (?P<host>...)";
            return Err(self.wrong_value(pattern, message));
        }
        Ok(regex)
    }

    fn time_zone(&self, zone: Option<Spanned<String>>) -> Result<Option<String>, ConfigError> {
        zone.map(|zone| self.checked(zone, is_zone_name, "is no IANA time zone such as Europe/Berlin")).transpose()
    }

    fn rule(&self, raw: RawRule) -> Result<RedactRule, ConfigError> {
        let regex = regex::bytes::Regex::new(raw.regex.get_ref())
            .map_err(|error| self.file.error_at(raw.regex.span().start, format!("is no regex: {error}")))?;
        // A replacement that names a missing group would silently insert nothing, so a wrong group name is an error.
        let groups: Vec<String> = (0..regex.captures_len()).map(|group| group.to_string()).collect();
        let known =
            |name: &str| groups.iter().any(|group| group == name) || regex.capture_names().flatten().any(|n| n == name);
        let reference =
            Regex::new(r"\$\$|\$(?:\{([^}]*)\}|(\w+))").expect("the pattern is a constant that a test compiles");
        for used in reference.captures_iter(raw.replace.get_ref()) {
            if let Some(name) = used.get(1).or(used.get(2)).filter(|name| !known(name.as_str())) {
                let message = format!("names ${}, and regex has no such group; write $$ for a dollar", name.as_str());
                return Err(self.file.error_at(raw.replace.span().start, message));
            }
        }
        Ok(RedactRule { regex, replace: raw.replace.into_inner() })
    }

    fn metrics(&self, raw: &RawMetrics) -> Result<MetricsConfig, ConfigError> {
        let Ok(listen) = raw.listen.get_ref().parse::<SocketAddr>() else {
            return Err(self.wrong_value(&raw.listen, "is no address and port, such as 127.0.0.1:9464"));
        };
        if !listen.ip().is_loopback() && !raw.allow_remote {
            let message = "can be reached from other machines: listen on 127.0.0.1, or set allow_remote = true";
            return Err(self.wrong_value(&raw.listen, message));
        }
        let unhealthy_after = match &raw.unhealthy_after_secs {
            None => UNHEALTHY_AFTER,
            Some(secs) if (1..=86_400).contains(secs.get_ref()) => Duration::from_secs(*secs.get_ref()),
            Some(secs) => {
                let message = format!("is {}: expected 1 to 86400", secs.get_ref());
                return Err(self.file.error_at(secs.span().start, message));
            }
        };
        Ok(MetricsConfig { listen, unhealthy_after })
    }

    fn checked(&self, value: Spanned<String>, good: fn(&str) -> bool, what: &str) -> Result<String, ConfigError> {
        if good(value.get_ref()) { Ok(value.into_inner()) } else { Err(self.wrong_value(&value, what)) }
    }

    fn wrong_value(&self, value: &Spanned<String>, what: &str) -> ConfigError {
        self.file.error_at(value.span().start, format!("{:?} {what}", value.get_ref()))
    }
}

fn is_topic_prefix(text: &str) -> bool {
    // 200, since Kafka allows 249 for the whole name.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.len() <= 200 && text.bytes().all(allowed)
}

/// True for a name in the zone data that the processor uses too. Otherwise the processor would refuse the name for each
/// line.
fn is_zone_name(text: &str) -> bool {
    text.parse::<chrono_tz::Tz>().is_ok()
}
