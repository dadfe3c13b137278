//! Reading a signal in one pass.
//!
//! The code that serde derives for a flattened, tagged enum first collects all fields as values of any type and then
//! reads these values, which took two thirds of the detector's time. So all fields of all facts stand side by side
//! here, and the kind decides which of them are required.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::{
    Attempt, CertificateFacts, ConfigChange, Fact, Failing, HostFacts, HostRef, Order, Outcome, RawPosition, ScanDone,
    Signal, SignerFacts, SiteFacts, StoreFacts, Tick, Unreadable,
};
use crate::alert::Provenance;
use crate::handling::{OrderKind, Scope};
use crate::hresult::Family;
use crate::json;

#[derive(Deserialize)]
struct SignalFields<'a> {
    v: u8,
    log_time: i64,
    raw: RawPosition,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    host: Option<HostRef>,
    dimensions: Option<BTreeMap<String, String>>,
    failing: Option<Vec<Failing>>,
    last_event_time: Option<i64>,
    caught_up: Option<bool>,
    unreadable: Option<Unreadable>,
    subject: Option<String>,
    outcome: Option<Outcome>,
    family: Option<Family>,
    code: Option<String>,
    operation: Option<String>,
    event_time: Option<i64>,
    since: Option<i64>,
    late: Option<bool>,
    partitions: Option<i32>,
    detector: Option<serde_json::Value>,
    provenance: Option<Provenance>,
    action: Option<OrderKind>,
    scope: Option<Scope>,
    by: Option<String>,
    until: Option<i64>,
    why: Option<String>,
    taken: Option<i64>,
    unchanged: Option<bool>,
    stores: Option<Vec<StoreFacts>>,
    accept_trusted_publisher_certs: Option<bool>,
    wsus_site: Option<SiteFacts>,
    failed_signers: Option<Vec<SignerFacts>>,
}

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Signal, D::Error> {
        let fields = SignalFields::deserialize(deserializer)?;
        let (v, log_time, raw) = (fields.v, fields.log_time, fields.raw);
        let fact = fields.fact().map_err(|lacking| match lacking {
            FieldFault::Field(name) => D::Error::missing_field(name),
            FieldFault::Kind(kind) => D::Error::unknown_variant(
                &kind,
                &["host_facts", "attempt", "scan_done", "tick", "config", "handling", "certificates"],
            ),
        })?;
        Ok(Signal { v, log_time, raw, fact })
    }
}

impl Signal {
    /// Reads a signal.
    ///
    /// # Errors
    /// When the bytes are not JSON of the schema.
    pub fn from_bytes(bytes: &[u8]) -> serde_json::Result<Signal> {
        json::read(bytes)
    }
}

/// The reason for which fields are not a fact.
enum FieldFault {
    Field(&'static str),
    Kind(String),
}

impl SignalFields<'_> {
    fn fact(self) -> Result<Fact, FieldFault> {
        Ok(match self.kind.as_ref() {
            "host_facts" => Fact::HostFacts(HostFacts {
                host: needed(self.host, "host")?,
                dimensions: needed(self.dimensions, "dimensions")?,
                failing: self.failing.unwrap_or_default(),
                last_event_time: self.last_event_time,
                caught_up: needed(self.caught_up, "caught_up")?,
                unreadable: self.unreadable,
            }),
            "attempt" => Fact::Attempt(Attempt {
                host: needed(self.host, "host")?,
                subject: needed(self.subject, "subject")?,
                outcome: needed(self.outcome, "outcome")?,
                family: self.family,
                code: self.code,
                operation: needed(self.operation, "operation")?,
                dimensions: self.dimensions.unwrap_or_default(),
                event_time: needed(self.event_time, "event_time")?,
                since: needed(self.since, "since")?,
                late: self.late.unwrap_or_default(),
            }),
            "scan_done" => Fact::ScanDone(ScanDone {
                host: needed(self.host, "host")?,
                outcome: needed(self.outcome, "outcome")?,
                event_time: needed(self.event_time, "event_time")?,
                subject: self.subject,
            }),
            "tick" => Fact::Tick(Tick { partitions: needed(self.partitions, "partitions")? }),
            "config" => Fact::Config(ConfigChange {
                detector: needed(self.detector, "detector")?,
                provenance: needed(self.provenance, "provenance")?,
            }),
            "handling" => Fact::Handling(Order {
                action: needed(self.action, "action")?,
                scope: needed(self.scope, "scope")?,
                by: needed(self.by, "by")?,
                until: self.until,
                why: needed(self.why, "why")?,
            }),
            "certificates" => Fact::Certificates(CertificateFacts {
                host: needed(self.host, "host")?,
                taken: needed(self.taken, "taken")?,
                unchanged: self.unchanged.unwrap_or_default(),
                stores: needed(self.stores, "stores")?,
                accept_trusted_publisher_certs: self.accept_trusted_publisher_certs,
                wsus_site: self.wsus_site,
                failed_signers: self.failed_signers.unwrap_or_default(),
            }),
            kind => return Err(FieldFault::Kind(kind.to_owned())),
        })
    }
}

fn needed<T>(field: Option<T>, name: &'static str) -> Result<T, FieldFault> {
    field.ok_or(FieldFault::Field(name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Signal;

    fn signal(fact: Value) -> Value {
        let mut signal = json!({"v": 1, "log_time": 5, "raw": {"partition": 2, "offset": 7}});
        signal.as_object_mut().unwrap().extend(fact.as_object().unwrap().clone());
        signal
    }

    /// Writes a fact, reads it again, and expects an error without any one of the fields in `needed`.
    fn check(fact: Value, needed: &[&str]) {
        let value = signal(fact);
        let read: Signal = serde_json::from_str(&value.to_string()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), value);
        for name in needed.iter().chain(&["v", "log_time", "raw", "kind"]) {
            let mut less = value.clone();
            less.as_object_mut().unwrap().remove(*name).unwrap();
            let error = serde_json::from_value::<Signal>(less).unwrap_err().to_string();
            assert_eq!(error, format!("missing field `{name}`"));
        }
    }

    #[test]
    fn every_kind_is_read_as_it_was_written() {
        let host = json!({"id": "04a7c795a928a5d09b0cbad5910a34d5", "name": "pc-0042"});
        let failing = json!([{"subject": "file:a", "family": "expired", "code": "0x800b0101", "since": 3}]);
        check(
            json!({"kind": "host_facts", "host": host, "dimensions": {"wsus": "w"}, "failing": failing,
                "last_event_time": 4, "caught_up": true, "unreadable": {"since": 2, "reason": "foreign"}}),
            &["host", "dimensions", "caught_up"],
        );
        check(
            json!({"kind": "attempt", "host": host, "subject": "file:a", "outcome": "failure", "family": "expired",
                "code": "0x800b0101", "operation": "download", "dimensions": {"kb": "KB1"}, "event_time": 4,
                "since": 3, "late": true}),
            &["host", "subject", "outcome", "operation", "event_time", "since"],
        );
        check(
            json!({"kind": "scan_done", "host": host, "outcome": "success", "event_time": 4}),
            &["host", "outcome", "event_time"],
        );
        check(json!({"kind": "tick", "partitions": 12}), &["partitions"]);
        let provenance = json!({"version": "1", "config_hash": "a", "schema_hash": "b", "code_table_hash": "c"});
        check(
            json!({"kind": "config", "detector": {"alpha": 1e-6}, "provenance": provenance}),
            &["detector", "provenance"],
        );
        check(
            json!({"kind": "handling", "action": "silence", "scope": {"family": "expired"}, "by": "ann", "until": 9,
                "why": "planned work"}),
            &["action", "scope", "by", "why"],
        );
        let certificates = json!([{"sha1": "9595a9a1cffe73fcd6251c9a2e97c60f1c2b111e", "subject": "CN=a",
            "not_before": 1, "not_after": 2, "by_policy": true}]);
        check(
            json!({"kind": "certificates", "host": host, "taken": 4, "accept_trusted_publisher_certs": true,
                "stores": [{"name": "WSUS", "complete": true, "certificates": certificates}],
                "wsus_site": {"server": "wsus:8531", "trusted": false, "code": "0x800b0109",
                    "certificate": certificates[0]},
                "failed_signers": [{"certificate": certificates[0], "has_timestamp": true}]}),
            &["host", "taken", "stores"],
        );
        check(
            json!({"kind": "certificates", "host": host, "taken": 5, "unchanged": true, "stores": []}),
            &["host", "taken", "stores"],
        );
    }

    #[test]
    fn fields_of_a_later_version_are_skipped_and_other_kinds_are_refused() {
        let later = signal(json!({"kind": "tick", "partitions": 12, "new": {"a": [1]}}));
        assert!(serde_json::from_value::<Signal>(later).is_ok());
        let other = signal(json!({"kind": "tock", "partitions": 12}));
        assert!(serde_json::from_value::<Signal>(other).unwrap_err().to_string().contains("unknown variant `tock`"));
    }
}
