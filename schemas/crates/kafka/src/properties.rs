//! librdkafka's properties that a configuration may not set, each with the reason.
//!
//! A person who can write the configuration must not thereby run code as the service, which may have more rights than
//! the person. librdkafka has properties that load a library or run a command as soon as a client is created, so
//! `check-config` refuses these properties before it creates one.

/// Properties that are refused whatever their value.
const REFUSED: [(&str, &str); 10] = [
    ("plugin.library.paths", "it loads a library into the process"),
    ("ssl.engine.location", "it loads a library into the process"),
    ("ssl.engine.id", "it loads a library into the process"),
    ("ssl.providers", "it loads libraries into the process"),
    ("interceptors", "it loads code into the process"),
    ("sasl.kerberos.kinit.cmd", "it runs a command; renew the ticket outside of wulog, for example with k5start"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "it logs in with tokens that nobody signed"),
    ("offset.store.path", "it writes a file of any name; wulog keeps its offsets in Kafka"),
    ("offset.store.method", "wulog keeps its offsets in Kafka"),
    ("test.mock.num.brokers", "it opens ports for a simulated cluster"),
];

/// The properties of `sasl.oauthbearer.` that only configure the login. Other properties of this group read or create
/// tokens on the machine.
const OAUTH_CLIENT: [&str; 8] = [
    "method",
    "client.id",
    "client.secret",
    "client.credentials.client.id",
    "client.credentials.client.secret",
    "scope",
    "extensions",
    "token.endpoint.url",
];

/// The global properties that begin with `topic.`. From every other name librdkafka strips the prefix, so that
/// `topic.acks` would change `acks` unnoticed.
const OF_TOPICS: [&str; 6] = [
    "topic.metadata.refresh.interval.ms",
    "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.fast.cnt",
    "topic.metadata.refresh.sparse",
    "topic.metadata.propagation.max.ms",
    "topic.blacklist",
];

/// Returns why a property may not be set to this value; `None` when it may. The reason names no value.
pub(crate) fn refused(key: &str, value: &str) -> Option<String> {
    if let Some((_, why)) = REFUSED.iter().find(|(name, _)| *name == key) {
        return Some(format!("is refused: {why}"));
    }
    if let Some(rest) = key.strip_prefix("sasl.oauthbearer.") {
        if !OAUTH_CLIENT.contains(&rest) {
            return Some("is refused: wulog takes tokens only from a token endpoint over HTTPS".to_owned());
        }
        if rest == "token.endpoint.url" && !value.starts_with("https://") {
            return Some("is refused: the client's secret goes to it, so it must begin with https://".to_owned());
        }
    }
    // librdkafka puts these values into the command line of kinit, which a shell runs.
    if key.starts_with("sasl.kerberos.") && !value.chars().all(is_harmless_in_a_shell) {
        return Some("is refused: a shell runs kinit with it; use letters, digits and . _ - / @ : only".to_owned());
    }
    if key.starts_with("topic.") && !OF_TOPICS.contains(&key) {
        return Some("is refused: name the property without \"topic.\"".to_owned());
    }
    if value.contains('\0') {
        return Some("has a NUL character".to_owned());
    }
    None
}

fn is_harmless_in_a_shell(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-/@:".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loads_code_or_runs_commands_is_refused() {
        let check = |key, value: &str, part: Option<&str>| {
            let said = refused(key, value);
            assert_eq!(said.is_some(), part.is_some(), "{key}: {said:?}");
            let said = said.unwrap_or_default();
            assert!(said.contains(part.unwrap_or_default()) && !said.contains("hunter2"), "{key}: {said}");
        };
        check("plugin.library.paths", "hunter2", Some("loads a library"));
        check("ssl.engine.location", "hunter2", Some("loads a library"));
        check("ssl.engine.id", "hunter2", Some("loads a library"));
        check("ssl.providers", "hunter2", Some("loads libraries"));
        check("sasl.kerberos.kinit.cmd", "hunter2", Some("runs a command"));
        check("sasl.kerberos.principal", "a@EXAMPLE.COM; touch hunter2", Some("shell"));
        check("sasl.kerberos.keytab", "$(hunter2)", Some("shell"));
        check("sasl.kerberos.principal", "kafka/client-1@EXAMPLE.COM", None);
        check("sasl.oauthbearer.assertion.jwt.template.file", "hunter2", Some("token endpoint"));
        check("sasl.oauthbearer.config", "hunter2", Some("token endpoint"));
        check("sasl.oauthbearer.token.endpoint.url", "file:///hunter2", Some("https://"));
        check("sasl.oauthbearer.token.endpoint.url", "https://login.example/token", None);
        check("sasl.oauthbearer.client.secret", "hunter2", None);
        check("topic.request.required.acks", "0", Some("without"));
        check("topic.metadata.refresh.interval.ms", "1000", None);
        check("client.id", "a\0b", Some("NUL"));
        check("sasl.password", "hunter2", None);
        check("ssl.ca.location", "/etc/wulog/ca.pem", None);
    }
}
