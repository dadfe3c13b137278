//! An inventory of certificates -> documents of what changed, and the signal for the Detector.
//!
//! Of each host the thumbprints by store are remembered, so that an inventory that repeats the one before says nothing.
//! The signal is sent again once a week, so that a Detector that is rebuilt from the signals of a month has it. Between,
//! a short signal says once a day that the stores were seen unchanged: a certificate is known to be missing on a host only
//! as of the time at which its stores were last looked at.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wulog_schemas::certificate::{Certificate, FailedFile, Inventory, STORES, Store};
use wulog_schemas::event::{
    Action, CertificateFields, ECS_VERSION, Ecs, Event, EventFields, EventKind, EventOutcome, EventType, FileFields,
    HostFields, LogFields, NameFields, OsFields, RawFields, RelatedFields, ServiceFields, SignatureFields, TimeSource,
    WuFields, X509Fields, certificate_event_id,
};
use wulog_schemas::host::hex_digest;
use wulog_schemas::hresult;
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

/// Files that the update client did not trust, of one inventory; a collector sends eight.
const FILES_MAX: usize = 16;

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
    /// The files that the update client did not trust, by a digest of the path, the signer and whether there is a time
    /// stamp.
    failed_files: Vec<String>,
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

/// What one document is about.
#[derive(Clone, Copy)]
enum Subject<'a> {
    /// The inventory as a whole.
    Inventory,
    /// A certificate that came or went.
    Difference(Difference),
    /// A file that the update client did not trust.
    File(&'a FailedFile),
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
    let is_new_file =
        |file: &&FailedFile| before.as_deref().is_none_or(|before| !before.failed_files.contains(&digest(file)));
    let files: Vec<&FailedFile> = inventory.failed_files.iter().take(FILES_MAX).filter(is_new_file).collect();
    let is_news = before.as_deref().is_none_or(|before| !before.lists_as(&now));
    host.certificates = Some(Box::new(now));
    let named = HostRef { id: scope.id.to_owned(), name: host.name().to_owned() };
    let fact = Fact::Certificates(CertificateFacts::of(named, inventory));
    facts.push(Said { raw: scope.at.raw, fact, proof: None });
    if !is_news {
        return Vec::new();
    }
    let host = &*host;
    let mut events = vec![event(host, scope, raw, inventory, Subject::Inventory, summary(inventory, &differences))];
    for difference in differences.into_iter().take(DOCUMENTS_MAX) {
        events.push(event(host, scope, raw, inventory, Subject::Difference(difference), String::new()));
    }
    for file in files {
        events.push(event(host, scope, raw, inventory, Subject::File(file), of_file(file)));
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
            failed_files: inventory.failed_files.iter().take(FILES_MAX).map(digest).collect(),
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
        (&self.certificates, self.complete, self.accept_trusted_publisher_certs, self.site, &self.failed_files)
            == (
                &other.certificates,
                other.complete,
                other.accept_trusted_publisher_certs,
                other.site,
                &other.failed_files,
            )
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

/// By what a file is known again: 16 hex digits.
fn digest(file: &FailedFile) -> String {
    let signer = file.signer.as_ref().map_or("", |signer| signer.sha1.as_str());
    hex_digest(&[&file.path, signer, if file.has_timestamp { "time stamp" } else { "" }])[..16].to_owned()
}

/// What the document of a file says.
fn of_file(file: &FailedFile) -> String {
    let FailedFile { path, error, signer, has_timestamp, .. } = file;
    let Some(signer) = signer else {
        return format!("The file {path}, which was not trusted ({error}), carries no signature that can be read");
    };
    let stamp = if *has_timestamp { "with" } else { "without" };
    let name = named(&signer.sha1, Some(signer));
    format!(
        "The file {path}, which was not trusted ({error}), is signed with the certificate {name}, {stamp} a time stamp"
    )
}

/// `CN=Example (9595...)`
fn named(sha1: &str, certificate: Option<&Certificate>) -> String {
    match certificate.map(|certificate| certificate.subject.as_str()) {
        None | Some("") => sha1.to_owned(),
        Some(subject) => format!("{subject} ({sha1})"),
    }
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
    let is_withdrawn = inventory.stores.is_empty()
        && inventory.policy.is_none()
        && inventory.wsus_site.is_none()
        && inventory.failed_files.is_empty();
    if is_withdrawn {
        return "Inventory of certificates: nothing is known, since its files were deleted or cannot be used"
            .to_owned();
    }
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
    let files = match inventory.failed_files.len() {
        0 => String::new(),
        count => format!("; files that were not trusted: {count}"),
    };
    format!("Inventory of certificates: {stores}{changes}{site}{files}")
}

fn event<'a>(
    host: &'a Host,
    scope: Scope<'_>,
    raw: RawFields,
    inventory: &'a Inventory,
    subject: Subject<'a>,
    message: String,
) -> Event<'a> {
    let (difference, file) = match subject {
        Subject::Inventory => (None, None),
        Subject::Difference(difference) => (Some(difference), None),
        Subject::File(file) => (None, Some(file)),
    };
    let action = match subject {
        Subject::Inventory => Action::CertificateInventory,
        Subject::Difference(difference) => difference.action,
        Subject::File(_) => Action::CertificateSigner,
    };
    let name_of_action = serde_json::to_value(action).ok().and_then(|name| name.as_str().map(str::to_owned));
    let store = difference.map(|difference| STORES[usize::from(difference.store)]);
    let signer = file.and_then(|file| file.signer.as_ref());
    let sha1 = difference.map(|difference| hex(difference.thumbprint)).or_else(|| Some(signer?.sha1.clone()));
    let listed = store.zip(sha1.as_deref()).and_then(|(store, sha1)| {
        inventory.store(store)?.certificates.iter().find(|certificate| certificate.sha1 == sha1)
    });
    let certificate = listed.or(signer);
    let message = match (store, &sha1) {
        (Some(store), Some(sha1)) => told(action, store, sha1, listed),
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
                store.or(file.map(|file| file.path.as_str())).unwrap_or_default(),
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
        file: (certificate.is_some() || file.is_some()).then(|| FileFields {
            path: file.map(|file| text(&file.path)),
            code_signature: file.map(refused),
            x509: certificate.map(x509),
        }),
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
            certificate: sha1.map(|sha1| CertificateFields {
                store: store.map(Cow::Borrowed),
                sha1: sha1.into(),
                sha256: certificate.and_then(|certificate| certificate.sha256.as_deref()).map(Cow::Borrowed),
                origin: listed.and_then(|certificate| certificate.origin),
                has_timestamp: file.map(|file| file.has_timestamp),
            }),
            ..WuFields::new(TimeSource::Log, raw)
        },
    }
}

fn labels(labels: &BTreeMap<String, String>) -> Option<Cow<'_, BTreeMap<String, String>>> {
    (!labels.is_empty()).then_some(Cow::Borrowed(labels))
}

fn told(action: Action, store: &str, sha1: &str, listed: Option<&Certificate>) -> String {
    let name = named(sha1, listed);
    match action {
        Action::CertificateRemoved => format!("The certificate {name} is no longer in {store}"),
        Action::CertificateAdded => format!("The certificate {name} is new in {store}"),
        _ => format!("The certificate {name} is in {store}"),
    }
}

/// What the update client said of a file.
fn refused(file: &FailedFile) -> SignatureFields<'_> {
    let code = file.error.strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let known = code.and_then(hresult::lookup);
    SignatureFields { trusted: false, status: known.map(|known| known.symbol.into()) }
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
