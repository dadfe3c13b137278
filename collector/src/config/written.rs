//! The configuration as written, and its turning into what is meant, with the line of each mistake.

use std::collections::BTreeMap;
use std::path::PathBuf;

use regex::Regex;
use serde::Deserialize;
use toml::Spanned;
use wulog_schemas::raw::Source;

use super::{Config, ConfigError, HostConfig, Input, Limits, default_prefix, line_at};
use crate::encoding::EncodingChoice;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    topic_prefix: Option<Spanned<String>>,
    state_dir: PathBuf,
    #[serde(default)]
    host: RawHost,
    #[serde(default)]
    kafka: BTreeMap<String, Spanned<toml::Value>>,
    limits: Option<Spanned<Limits>>,
    #[serde(default)]
    input: Vec<Spanned<RawInput>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHost {
    name: Option<Spanned<String>>,
    id: Option<Spanned<String>>,
    time_zone: Option<Spanned<String>>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInput {
    paths: Vec<Spanned<String>>,
    source: Option<Source>,
    encoding: Option<Spanned<String>>,
    host_pattern: Option<Spanned<String>>,
    time_zone: Option<Spanned<String>>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Turns what was written into what is meant, and knows where it was written.
pub(super) struct Checker<'a> {
    pub(super) text: &'a str,
    pub(super) path: &'a str,
}

impl Checker<'_> {
    pub(super) fn config(&self, raw: RawConfig) -> Result<Config, ConfigError> {
        if raw.input.is_empty() {
            return Err(self.wrong(0, "nothing to read: add an [[input]] with paths = [\"...\"]"));
        }
        let topic_prefix = match raw.topic_prefix {
            None => default_prefix(),
            Some(prefix) => {
                self.checked(prefix, is_topic_prefix, "is no topic prefix: letters, digits, '.', '_', '-'")?
            }
        };
        let kafka = raw.kafka.into_iter().map(|(key, value)| self.kafka_value(key, value)).collect::<Result<_, _>>()?;
        Ok(Config {
            topic_prefix,
            state_dir: raw.state_dir,
            host: self.host(raw.host)?,
            kafka,
            limits: raw.limits.map_or_else(|| Ok(Limits::default()), |limits| self.limits(limits))?,
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
        let start = raw.span().start;
        let limits = raw.into_inner();
        let message = match &limits {
            limits if limits.line_bytes_max < 1024 => "line_bytes_max is less than 1024",
            limits if limits.line_bytes_max > 256 * 1024 => {
                "line_bytes_max is more than 262144: decoded it may exceed Kafka's default message size"
            }
            limits if limits.bytes_in_flight < 4 * limits.line_bytes_max => {
                "bytes_in_flight is less than four times line_bytes_max"
            }
            limits if !(10..=60_000).contains(&limits.poll_interval_ms) => "poll_interval_ms is not in 10..=60000",
            _ => return Ok(limits),
        };
        Err(self.wrong(start, message))
    }

    fn input(&self, raw: Spanned<RawInput>) -> Result<Input, ConfigError> {
        let start = raw.span().start;
        let raw = raw.into_inner();
        if raw.paths.is_empty() {
            return Err(self.wrong(start, "paths is empty: name at least one file or glob"));
        }
        let is_glob = |path: &str| !path.is_empty() && glob::Pattern::new(path).is_ok();
        let paths = raw.paths.into_iter().map(|path| self.checked(path, is_glob, "is no path or glob"));
        let encoding = raw.encoding.map(|name| {
            let message = "is no encoding: use auto, utf-8, utf-16le, windows-1252 or another WHATWG label";
            EncodingChoice::parse(name.get_ref()).ok_or_else(|| self.wrong_value(&name, message))
        });
        Ok(Input {
            paths: paths.collect::<Result<_, _>>()?,
            source: raw.source,
            encoding: encoding.transpose()?.unwrap_or_default(),
            host_pattern: raw.host_pattern.map(|pattern| self.host_pattern(&pattern)).transpose()?,
            time_zone: self.time_zone(raw.time_zone)?,
            labels: raw.labels,
        })
    }

    fn host_pattern(&self, pattern: &Spanned<String>) -> Result<Regex, ConfigError> {
        let regex = Regex::new(pattern.get_ref())
            .map_err(|error| self.wrong(pattern.span().start, format!("host_pattern: {error}")))?;
        if !regex.capture_names().any(|name| name == Some("host")) {
            let message = "has no group 'host': write the host's part of the path as (?P<host>...)";
            return Err(self.wrong_value(pattern, message));
        }
        Ok(regex)
    }

    fn time_zone(&self, zone: Option<Spanned<String>>) -> Result<Option<String>, ConfigError> {
        zone.map(|zone| self.checked(zone, is_zone_name, "is no IANA time zone such as Europe/Berlin")).transpose()
    }

    fn kafka_value(&self, key: String, value: Spanned<toml::Value>) -> Result<(String, String), ConfigError> {
        let start = value.span().start;
        match value.into_inner() {
            toml::Value::String(text) => Ok((key, text)),
            toml::Value::Integer(number) => Ok((key, number.to_string())),
            toml::Value::Float(number) => Ok((key, number.to_string())),
            toml::Value::Boolean(flag) => Ok((key, flag.to_string())),
            _ => Err(self.wrong(start, format!("kafka.{key} is no text, number or boolean: quote dotted names"))),
        }
    }

    fn checked(&self, value: Spanned<String>, good: fn(&str) -> bool, what: &str) -> Result<String, ConfigError> {
        if good(value.get_ref()) { Ok(value.into_inner()) } else { Err(self.wrong_value(&value, what)) }
    }

    fn wrong_value(&self, value: &Spanned<String>, what: &str) -> ConfigError {
        self.wrong(value.span().start, format!("{:?} {what}", value.get_ref()))
    }

    fn wrong(&self, at: usize, message: impl Into<String>) -> ConfigError {
        let line = line_at(self.text, at);
        ConfigError::Value { path: self.path.to_owned(), line, message: message.into() }
    }
}

fn is_topic_prefix(text: &str) -> bool {
    // 200, since Kafka allows 249 for the whole name.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.len() <= 200 && text.bytes().all(allowed)
}

/// Asked of the same zone data that the processor has: a name that only looks like one would be found out there, per line.
fn is_zone_name(text: &str) -> bool {
    text.parse::<chrono_tz::Tz>().is_ok()
}
