//! The producer's properties: the user's settings between the collector's defaults and its invariants.

use std::collections::BTreeMap;

use rdkafka::config::ClientConfig;

/// Defaults, used where the configuration does not set a property under any of its librdkafka names.
const DEFAULTS: [(&[&str], &str); 4] = [
    (&["client.id"], "wulog-collector"),
    (&["compression.codec", "compression.type"], "lz4"),
    // The default of 5 ms makes small batches; a delay of 50 ms does not matter for a log.
    (&["linger.ms", "queue.buffering.max.ms"], "50"),
    // librdkafka's default is 1 GiB. The byte budget of the collector is the effective bound; 32 MiB is above it.
    (&["queue.buffering.max.kbytes"], "32768"),
];

/// Properties that the collector always sets, under all of their names, overriding the configuration.
const INVARIANTS: [(&[&str], &str); 4] = [
    (&["enable.idempotence"], "true"),
    (&["acks", "request.required.acks"], "all"),
    (&["message.timeout.ms", "delivery.timeout.ms"], "0"),
    // The partitioner of Java clients, so that every tool finds a host's partition.
    (&["partitioner"], "murmur2_random"),
];

/// librdkafka's own default for `batch.size`.
const BATCH_BYTES: usize = 1_000_000;

/// Returns the user's settings between the collector's defaults and its invariants.
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

/// Returns the bytes of a batch, as configured or by default.
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
}
