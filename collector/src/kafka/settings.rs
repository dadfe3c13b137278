//! librdkafka's properties: the user's, between our defaults and what must hold; and which of them are nobody's business.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use rdkafka::config::ClientConfig;

/// Used where the configuration says nothing, under any of the names that librdkafka has for a property.
const DEFAULTS: [(&[&str], &str); 4] = [
    (&["client.id"], "wulog-collector"),
    (&["compression.codec", "compression.type"], "lz4"),
    // librdkafka's 5 ms makes small batches; nobody notices 50 ms in a log.
    (&["linger.ms", "queue.buffering.max.ms"], "50"),
    // Its default is 1 GiB. The byte budget of the collector is the bound; this one is above it.
    (&["queue.buffering.max.kbytes"], "32768"),
];

/// What must hold, whatever the configuration says, under whatever name.
const INVARIANTS: [(&[&str], &str); 4] = [
    (&["enable.idempotence"], "true"),
    (&["acks", "request.required.acks"], "all"),
    (&["message.timeout.ms", "delivery.timeout.ms"], "0"),
    // As Java clients do, so that every tool finds a host's partition.
    (&["partitioner"], "murmur2_random"),
];

/// Only the values of these are shown; what a new librdkafka brings is hidden until it is known.
const SHOWN: [&str; 8] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "client.id",
    "compression.codec",
    "linger.ms",
    "security.protocol",
    "sasl.mechanisms",
    "sasl.mechanism",
];
/// librdkafka's own default for `batch.size`.
const BATCH_BYTES: usize = 1_000_000;

/// The `[kafka]` table. [`fmt::Debug`] shows no secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaSettings(BTreeMap<String, String>);

impl From<BTreeMap<String, String>> for KafkaSettings {
    fn from(settings: BTreeMap<String, String>) -> KafkaSettings {
        KafkaSettings(settings)
    }
}

impl FromIterator<(String, String)> for KafkaSettings {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(settings: I) -> KafkaSettings {
        KafkaSettings(settings.into_iter().collect())
    }
}

impl Deref for KafkaSettings {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(key, value)| (key, if is_shown(key) { value.as_str() } else { "***" }));
        out.debug_map().entries(shown).finish()
    }
}

/// A text of librdkafka's without the values that are nobody's business.
pub(super) fn masked(settings: &BTreeMap<String, String>, text: &str) -> String {
    // A short value, such as `1`, is no secret, and stands in every text.
    let secrets = settings.iter().filter(|(key, value)| !is_shown(key) && value.len() > 3);
    secrets.fold(text.to_owned(), |text, (_, value)| text.replace(value.as_str(), "***"))
}

fn is_shown(key: &str) -> bool {
    SHOWN.contains(&key)
}

/// The user's settings between our defaults and our invariants.
pub(super) fn client_config(settings: &BTreeMap<String, String>) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (names, value) in DEFAULTS {
        if !names.iter().any(|name| settings.contains_key(*name)) {
            config.set(names[0], value);
        }
    }
    for (key, value) in settings {
        config.set(key, value);
    }
    for (names, value) in INVARIANTS {
        for name in names {
            config.remove(name);
        }
        config.set(names[0], value);
    }
    config
}

/// The bytes of a batch, as set or by default.
pub(super) fn batch_bytes(settings: &BTreeMap<String, String>) -> usize {
    settings.get("batch.size").and_then(|value| value.parse().ok()).unwrap_or(BATCH_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(settings: &[(&str, &str)], key: &str, expect: Option<&str>) {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(client_config(&settings).get(key), expect);
    }

    #[test]
    fn settings_pass_through_but_for_what_must_hold() {
        check(&[], "compression.codec", Some("lz4"));
        check(&[("compression.codec", "zstd")], "compression.codec", Some("zstd"));
        check(&[("compression.type", "zstd")], "compression.codec", None);
        check(&[("sasl.mechanisms", "PLAIN")], "sasl.mechanisms", Some("PLAIN"));
        check(&[("acks", "0")], "acks", Some("all"));
        check(&[("request.required.acks", "0")], "request.required.acks", None);
        check(&[("message.timeout.ms", "5000")], "message.timeout.ms", Some("0"));
        check(&[("enable.idempotence", "false")], "enable.idempotence", Some("true"));
    }

    #[test]
    fn a_value_that_may_be_a_secret_is_not_shown() {
        let settings = [("bootstrap.servers", "a:1"), ("sasl.password", "hunter2"), ("ssl.key.pem", "-----BEGIN")];
        let settings: KafkaSettings =
            settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
        let shown = format!("{settings:?}");
        assert!(shown.contains("a:1") && shown.contains("sasl.password"), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("BEGIN"), "{shown}");
        assert_eq!(masked(&settings, "bad value hunter2 at a:1"), "bad value *** at a:1");
    }
}
