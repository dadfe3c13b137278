//! An inventory of certificates -> documents of what changed, and the signal for the Detector.
//!
//! Of each host the thumbprints by store are remembered, so that an inventory that repeats the one before says nothing.
//! The signal is sent again once a week, so that a Detector that is rebuilt from the signals of a month has it. Between,
//! a short signal says once a day that the stores were seen unchanged: a certificate is known to be missing on a host only
//! as of the time at which its stores were last looked at.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wulog_schemas::certificate::{Certificate, Inventory, STORES, Store};
use wulog_schemas::event::{
    Action, CertificateFields, ECS_VERSION, Ecs, Event, EventFields, EventKind, EventOutcome, EventType, FileFields,
    HostFields, LogFields, NameFields, OsFields, RawFields, RelatedFields, ServiceFields, TimeSource, WuFields,
    X509Fields, certificate_event_id,
};
use wulog_schemas::signal::{CertificateFacts, Fact, HostRef};

use super::document::sub_second;
use super::host::{Facts, Host, Said, Scope};
use super::time::format_utc;

/// Documents about single certificates that one inventory gives; the document of the inventory counts all of them.
const DOCUMENTS_MAX: usize = 100;

/// The signal is sent again after so long: a little less than the week after which collectors repeat an inventory.
const SEND_AGAIN_MS: i64 = 6 * 24 * 3600 * 1000;

/// The Detector is told of unchanged stores again when they were seen so much later than it knows.
const SEEN_AGAIN_MS: i64 = 20 * 3600 * 1000;

/// Certificates that are remembered of a host; an inventory of 256 KiB has fewer.
const REMEMBERED_MAX: usize = 4_096;

/// Stores of which the first inventory gives a document a certificate: what others put there concerns updates.
const TOLD_AT_FIRST: [&str; 3] = ["TrustedPublisher", "Disallowed", "WSUS"];

type Thumbprint = [u8; 20];

/// What the inventory before listed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Listed {
    /// Place of the store in [`STORES`] and thumbprint, in order.
    certificates: Vec<(u8, Thumbprint)>,
    /// Bit N is set where store N was read completely.
    complete: u8,
    accept_trusted_publisher_certs: Option<bool>,
    /// The TLS certificate of the WSUS server, and whether the host trusts it.
    site: Option<(Thumbprint, bool)>,
    /// Log time of the last signal that listed them.
    sent: i64,
    /// See [`Inventory::hash`].
    hash: String,
    /// When the stores were last seen so, as far as the Detector was told.
    seen: i64,
}

/// A certificate that came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Difference {
    action: Action,
    store: u8,
    thumbprint: Thumbprint,
}

/// Takes an inventory of a host; gives the documents that it makes.
pub(super) fn take<'a>(
    host: &'a mut Host,
    inventory: &'a Inventory,
    scope: Scope<'_>,
    raw: RawFields,
    facts: &mut Facts,
) -> Vec<Event<'a>> {
    let now = Listed::of(inventory, scope.at.log_time);
    let before = host.certificates.take();
    let repeats =
        |before: &Listed| before.lists_as(&now) && scope.at.log_time < before.sent.saturating_add(SEND_AGAIN_MS);
    if before.as_deref().is_some_and(repeats) {
        host.certificates = before;
        seen(host, &now.hash, inventory.taken, scope, facts);
        return Vec::new();
    }
    let differences = now.differences(before.as_deref());
    let is_news = before.as_deref().is_none_or(|before| !before.lists_as(&now));
    host.certificates = Some(Box::new(now));
    let named = HostRef { id: scope.id.to_owned(), name: host.name().to_owned() };
    let fact = Fact::Certificates(CertificateFacts::of(named, inventory));
    facts.push(Said { raw: scope.at.raw, fact, proof: None });
    if !is_news {
        return Vec::new();
    }
    let host = &*host;
    let mut events = vec![event(host, scope, raw, inventory, None, summary(inventory, &differences))];
    for difference in differences.iter().take(DOCUMENTS_MAX) {
        let message = String::new();
        events.push(event(host, scope, raw, inventory, Some(*difference), message));
    }
    events
}

/// Takes what a heartbeat says: the stores were seen at `seen` to hold what the inventory with this hash lists.
pub(super) fn seen(host: &mut Host, hash: &str, seen: i64, scope: Scope<'_>, facts: &mut Facts) {
    // A file may be dated in the future, by a clock that is wrong.
    let seen = seen.min(scope.at.log_time);
    let Some(listed) = &mut host.certificates else { return };
    if listed.hash != hash || seen < listed.seen.saturating_add(SEEN_AGAIN_MS) {
        return;
    }
    listed.seen = seen;
    let host = HostRef { id: scope.id.to_owned(), name: host.name().to_owned() };
    let fact = CertificateFacts { host, taken: seen, unchanged: true, ..CertificateFacts::default() };
    facts.push(Said { raw: scope.at.raw, fact: Fact::Certificates(fact), proof: None });
}

impl Listed {
    fn of(inventory: &Inventory, log_time: i64) -> Listed {
        let mut listed = Listed {
            accept_trusted_publisher_certs: inventory
                .policy
                .as_ref()
                .map(|policy| policy.accept_trusted_publisher_certs),
            site: inventory
                .wsus_site
                .as_ref()
                .and_then(|site| Some((thumbprint(&site.chain.first()?.sha1)?, site.trusted?))),
            sent: log_time,
            hash: inventory.hash(),
            seen: inventory.taken.min(log_time),
            ..Listed::default()
        };
        for store in &inventory.stores {
            let Some(place) = place_of(&store.name) else { continue };
            if store.complete {
                listed.complete |= 1 << place;
            }
            let thumbprints = store.certificates.iter().filter_map(|certificate| thumbprint(&certificate.sha1));
            listed.certificates.extend(thumbprints.map(|thumbprint| (place, thumbprint)));
        }
        listed.certificates.sort_unstable();
        listed.certificates.dedup();
        listed.certificates.truncate(REMEMBERED_MAX);
        listed
    }

    /// Whether both list the same.
    fn lists_as(&self, other: &Listed) -> bool {
        (&self.certificates, self.complete, self.accept_trusted_publisher_certs, self.site)
            == (&other.certificates, other.complete, other.accept_trusted_publisher_certs, other.site)
    }

    /// What came and went since the inventory before. A store that one of the two did not read completely tells nothing.
    fn differences(&self, before: Option<&Listed>) -> Vec<Difference> {
        let Some(before) = before else {
            let is_told = |store: u8| TOLD_AT_FIRST.contains(&STORES[usize::from(store)]);
            let found = self.certificates.iter().filter(|(store, _)| is_told(*store));
            return found
                .map(|(store, thumbprint)| Difference {
                    action: Action::CertificateFound,
                    store: *store,
                    thumbprint: *thumbprint,
                })
                .collect();
        };
        let both = self.complete & before.complete;
        let only = |these: &Listed, others: &Listed, action: Action| {
            let is_new = |known: &&(u8, Thumbprint)| {
                both >> known.0 & 1 == 1 && others.certificates.binary_search(known).is_err()
            };
            let new = these.certificates.iter().filter(is_new);
            new.map(|(store, thumbprint)| Difference { action, store: *store, thumbprint: *thumbprint })
                .collect::<Vec<_>>()
        };
        let mut differences = only(before, self, Action::CertificateRemoved);
        differences.extend(only(self, before, Action::CertificateAdded));
        differences
    }
}

fn place_of(store: &str) -> Option<u8> {
    (0..).zip(STORES).find(|(_, known)| *known == store).map(|(place, _)| place)
}

fn thumbprint(hex: &str) -> Option<Thumbprint> {
    let digits = hex.as_bytes();
    if digits.len() != 40 {
        return None;
    }
    let mut bytes = [0; 20];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn hex(thumbprint: Thumbprint) -> String {
    thumbprint.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `Inventory of certificates: TrustedPublisher 2, Root 31 (not complete: ...); 1 added, 0 removed`
fn summary(inventory: &Inventory, differences: &[Difference]) -> String {
    let store = |store: &Store| {
        let partial = match (&store.error, store.complete) {
            (Some(error), false) => format!(" (not complete: {error})"),
            (None, false) => " (not complete)".to_owned(),
            (_, true) => String::new(),
        };
        format!("{} {}{partial}", store.name, store.certificates.len())
    };
    let stores: Vec<String> = inventory.stores.iter().map(store).collect();
    let count = |action: Action| differences.iter().filter(|difference| difference.action == action).count();
    let (added, removed) = (count(Action::CertificateAdded), count(Action::CertificateRemoved));
    let changes = if added + removed > 0 { format!("; {added} added, {removed} removed") } else { String::new() };
    let stores = if stores.is_empty() { "no store".to_owned() } else { stores.join(", ") };
    let site = inventory.wsus_site.as_ref().map_or_else(String::new, |site| {
        let state = match (site.trusted, &site.error) {
            (Some(true), _) => "is trusted".to_owned(),
            (Some(false), Some(error)) => format!("is not trusted ({error})"),
            (Some(false), None) => "is not trusted".to_owned(),
            (None, error) => format!("is not known ({})", error.as_deref().unwrap_or("the server could not be asked")),
        };
        format!("; the TLS certificate of {} {state}", site.server)
    });
    format!("Inventory of certificates: {stores}{changes}{site}")
}

fn event<'a>(
    host: &'a Host,
    scope: Scope<'_>,
    raw: RawFields,
    inventory: &'a Inventory,
    difference: Option<Difference>,
    message: String,
) -> Event<'a> {
    let action = difference.map_or(Action::CertificateInventory, |difference| difference.action);
    let name_of_action = serde_json::to_value(action).ok().and_then(|name| name.as_str().map(str::to_owned));
    let store = difference.map(|difference| STORES[usize::from(difference.store)]);
    let sha1 = difference.map(|difference| hex(difference.thumbprint));
    let listed = store.zip(sha1.as_deref()).and_then(|(store, sha1)| {
        inventory.store(store)?.certificates.iter().find(|certificate| certificate.sha1 == sha1)
    });
    let message = match (difference, store, &sha1) {
        (Some(_), Some(store), Some(sha1)) => told(action, store, sha1, listed),
        _ => message,
    };
    let host_name = host.name();
    let text = |value: &'a String| Cow::Borrowed(value.as_str());
    Event {
        timestamp: utc(inventory.taken),
        ecs: Ecs { version: ECS_VERSION.into() },
        message: message.into(),
        event: EventFields {
            kind: EventKind::Event,
            category: ["package".into()],
            type_: [EventType::Info],
            action,
            outcome: EventOutcome::Unknown,
            code: None,
            severity: None,
            module: "windows_update".into(),
            dataset: "windows_update.certificate".into(),
            created: None,
            start: None,
            timezone: None,
            id: certificate_event_id(
                scope.id,
                scope.at.raw,
                store.unwrap_or_default(),
                sha1.as_deref().unwrap_or_default(),
                name_of_action.as_deref().unwrap_or_default(),
            ),
            sequence: None,
            hash: None,
            original: None,
        },
        error: None,
        host: Some(HostFields {
            id: scope.id.to_owned().into(),
            name: host_name.into(),
            hostname: host_name.split('.').next().unwrap_or(host_name).into(),
            os: OsFields { type_: "windows".into(), version: host.dimensions.get("os_build").map(text) },
        }),
        log: LogFields { level: None, logger: None, file: None, origin: None },
        process: None,
        dll: None,
        user: None,
        file: listed.map(|certificate| FileFields { path: None, code_signature: None, x509: Some(x509(certificate)) }),
        package: None,
        service: ServiceFields { name: "wuauserv".into(), type_: "windows-update".into(), version: None },
        url: None,
        http: None,
        device: None,
        related: Some(RelatedFields {
            hosts: if host_name.is_empty() { Vec::new() } else { vec![host_name.into()] },
            hash: sha1.iter().map(|sha1| sha1.clone().into()).collect(),
        })
        .filter(|related| !related.hosts.is_empty() || !related.hash.is_empty()),
        tags: Vec::new(),
        labels: labels(&host.labels),
        wu: WuFields {
            certificate: store.zip(sha1).map(|(store, sha1)| CertificateFields {
                store: store.into(),
                sha1: sha1.into(),
                sha256: listed.and_then(|certificate| certificate.sha256.as_deref()).map(Cow::Borrowed),
                origin: listed.and_then(|certificate| certificate.origin),
            }),
            ..WuFields::new(TimeSource::Log, raw)
        },
    }
}

fn labels(labels: &BTreeMap<String, String>) -> Option<Cow<'_, BTreeMap<String, String>>> {
    (!labels.is_empty()).then_some(Cow::Borrowed(labels))
}

fn told(action: Action, store: &str, sha1: &str, listed: Option<&Certificate>) -> String {
    let subject = listed.map(|certificate| certificate.subject.as_str()).unwrap_or_default();
    let name = if subject.is_empty() { sha1.to_owned() } else { format!("{subject} ({sha1})") };
    match action {
        Action::CertificateRemoved => format!("The certificate {name} is no longer in {store}"),
        Action::CertificateAdded => format!("The certificate {name} is new in {store}"),
        _ => format!("The certificate {name} is in {store}"),
    }
}

fn x509(certificate: &Certificate) -> X509Fields<'_> {
    let name = |name: &'_ str| NameFields { distinguished_name: name.to_owned().into() };
    X509Fields {
        subject: (!certificate.subject.is_empty()).then(|| name(&certificate.subject)),
        issuer: (!certificate.issuer.is_empty()).then(|| name(&certificate.issuer)),
        serial_number: (!certificate.serial.is_empty()).then(|| certificate.serial.to_ascii_uppercase()),
        not_before: certificate.not_before.map(utc),
        not_after: certificate.not_after.map(utc),
        signature_algorithm: certificate.signature_algorithm.as_deref().map(Cow::Borrowed),
        public_key_size: certificate.key_bits,
    }
}

/// RFC 3339 with milliseconds.
fn utc(millis: i64) -> String {
    format_utc(millis, sub_second(millis))
}
