//! librdkafka's properties as a configuration has them: read, checked, and never shown.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::path::Path;

use rdkafka::error::KafkaError;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;
use toml::Spanned;

use wulog_settings::{FORMS, Secret, SecretOrigin, readable_by_all, schema_of_forms};

use crate::properties::refused;

/// Properties whose values are shown. Other values are hidden, also values of properties that a later librdkafka adds.
const SHOWN: [&str; 12] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "client.id",
    "compression.codec",
    "linger.ms",
    "security.protocol",
    "sasl.mechanisms",
    "sasl.mechanism",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.keystore.location",
];
/// A property whose name has one of these parts holds a secret. Values of other properties are hidden too, but a
/// configuration without secrets may be readable by everybody.
const SECRET_PARTS: [&str; 6] = ["password", "passphrase", "secret", ".pem", "jaas", "oauthbearer.config"];
/// The `[kafka]` table. [`fmt::Debug`] shows no secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaSettings {
    values: BTreeMap<String, String>,
    /// The place of each secret, by key.
    secrets: Vec<(String, SecretOrigin)>,
}

/// A value of the `[kafka]` table as written, for the JSON Schema of a configuration.
pub struct KafkaValue;

impl JsonSchema for KafkaValue {
    fn schema_name() -> Cow<'static, str> {
        "KafkaValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema_of_forms(&json!(["string", "number", "boolean"]))
    }
}

/// A value of the `[kafka]` table that cannot be used. The message names the key and never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WrongSetting {
    /// Where the value stands in the text of the configuration, in bytes.
    pub at: usize,
    /// The fault, and a remedy.
    pub message: String,
}

impl KafkaSettings {
    /// Reads the `[kafka]` table as written: looks secrets up, and refuses properties that load code or run commands.
    ///
    /// # Errors
    /// [`WrongSetting`] for the first value that cannot be used.
    pub fn read(table: BTreeMap<String, Spanned<toml::Value>>) -> Result<KafkaSettings, WrongSetting> {
        let mut settings = KafkaSettings::default();
        for (key, value) in table {
            let at = value.span().start;
            let wrong = |why: String| WrongSetting { at, message: format!("kafka.{key} {why}") };
            let secret = read_value(value.into_inner()).map_err(|why| wrong(format!("cannot be used: {why}")))?;
            if let Some(why) = refused(&key, secret.expose()) {
                return Err(wrong(why));
            }
            if is_secret(&key) || *secret.origin() != SecretOrigin::Inline {
                settings.secrets.push((format!("kafka.{key}"), secret.origin().clone()));
            }
            settings.values.insert(key.clone(), secret.expose().to_owned());
        }
        Ok(settings)
    }

    /// Returns one sentence for each file that holds a secret of `[kafka]` and that every user may read; `config` is the
    /// configuration itself.
    #[must_use]
    pub fn readable_by_all(&self, config: &Path) -> Vec<String> {
        readable_by_all(config, &self.secrets)
    }

    /// Returns a text of librdkafka with hidden values replaced by `***`.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        masked(&self.values, text)
    }

    /// Returns why librdkafka refuses to create a client, without hidden values.
    #[must_use]
    pub fn why_refused(&self, error: &KafkaError) -> String {
        match error {
            // librdkafka quotes the value, or a part of it, in its reason.
            KafkaError::ClientConfig(_, _, name, _) if !is_shown(name) && self.values.contains_key(name) => {
                format!("{name}: librdkafka does not take this value, or knows no such property")
            }
            KafkaError::ClientConfig(_, why, name, _) => self.masked(&format!("{name}: {why}")),
            other => self.masked(&other.to_string()),
        }
    }
}

impl From<BTreeMap<String, String>> for KafkaSettings {
    fn from(values: BTreeMap<String, String>) -> KafkaSettings {
        KafkaSettings { values, secrets: Vec::new() }
    }
}

impl FromIterator<(String, String)> for KafkaSettings {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(settings: I) -> KafkaSettings {
        settings.into_iter().collect::<BTreeMap<String, String>>().into()
    }
}

impl Deref for KafkaSettings {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &BTreeMap<String, String> {
        &self.values
    }
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.values.iter().map(|(key, value)| (key, if is_shown(key) { value.as_str() } else { "***" }));
        out.debug_map().entries(shown).finish()
    }
}

/// Reads one value: text, number or boolean, or a secret that is kept elsewhere.
fn read_value(value: toml::Value) -> Result<Secret, String> {
    let forms = || format!("expected number, boolean, {FORMS}; quote dotted names");
    match value {
        toml::Value::String(text) => Ok(Secret::inline(text)),
        toml::Value::Integer(number) => Ok(Secret::inline(number.to_string())),
        toml::Value::Float(number) => Ok(Secret::inline(number.to_string())),
        toml::Value::Boolean(flag) => Ok(Secret::inline(flag.to_string())),
        toml::Value::Table(table) if table.len() == 1 => match table.iter().next() {
            Some((kind, toml::Value::String(name))) if kind == "env" || kind == "file" => Secret::look_up(kind, name),
            _ => Err(forms()),
        },
        _ => Err(forms()),
    }
}

/// Returns a text of librdkafka with hidden values replaced by `***`.
fn masked(settings: &BTreeMap<String, String>, text: &str) -> String {
    // A short value, such as `1`, occurs in every text, so it is hidden only in quotes.
    const SHORT: usize = 3;
    let mut masked = text.to_owned();
    for value in settings.iter().filter(|(key, value)| !is_shown(key) && !value.is_empty()).map(|(_, value)| value) {
        masked = masked.replace(&format!("\"{value}\""), "\"***\"");
        // librdkafka also quotes only the end of a value, so each word of the value is hidden too.
        let words = value.split(|c: char| c.is_whitespace() || c == ',' || c == ';').filter(|word| *word != value);
        for part in std::iter::once(value.as_str()).chain(words).filter(|part| part.len() > SHORT) {
            masked = masked.replace(part, "***");
        }
    }
    masked
}

fn is_shown(key: &str) -> bool {
    SHOWN.contains(&key)
}

fn is_secret(key: &str) -> bool {
    SECRET_PARTS.iter().any(|part| key.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(settings: &[(&str, &str)]) -> KafkaSettings {
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_value_that_may_be_a_secret_is_not_shown() {
        let settings =
            settings(&[("bootstrap.servers", "a:1"), ("sasl.password", "hunter2"), ("ssl.key.pem", "-----BEGIN")]);
        let shown = format!("{settings:?}");
        assert!(shown.contains("a:1") && shown.contains("sasl.password"), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("BEGIN"), "{shown}");
        assert_eq!(settings.masked("bad value hunter2 at a:1"), "bad value *** at a:1");
    }

    #[test]
    fn a_short_secret_and_a_part_of_a_long_one_are_masked() {
        let settings = settings(&[("sasl.password", "abc"), ("sasl.oauthbearer.config", "principal=x secret=hunter2")]);
        assert_eq!(settings.masked("value \"abc\" for abcdef"), "value \"***\" for abcdef");
        assert_eq!(settings.masked("unknown at: secret=hunter2"), "unknown at: ***");
    }

    #[test]
    fn what_librdkafka_does_not_take_is_said_without_the_value() {
        for (key, value) in [("socket.timeout.ms", "hunter2"), ("no.such.property", "hunter2"), ("batch.size", "-7")] {
            let settings = settings(&[("bootstrap.servers", "a:1"), (key, value)]);
            let mut config = rdkafka::config::ClientConfig::new();
            config.extend(settings.iter().map(|(key, value)| (key.clone(), value.clone())));
            let error = config.create_native_config().err().expect("librdkafka refuses it");
            let said = settings.why_refused(&error);
            assert!(said.contains(key) && !said.contains(value), "{said}");
        }
    }
}
