//! An inventory of certificates -> documents of its changes, and the signal for the Detector.
//!
//! The thumbprints of each host are remembered by store, so that an unchanged inventory gives no document. The signal
//! is sent again once a week, so that a Detector that is rebuilt from a month of signals has it. In between, a short
//! signal once a day reports that the stores were seen unchanged, since a certificate is known to be missing on a host
//! only up to the time at which the stores were last read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use wulog_schemas::certificate::{Certificate, FailedFile, Inventory, STORES, Store};
use wulog_schemas::event::{
    Action, CertificateFields, ECS_VERSION, Ecs, Event, EventFields, EventKind, EventOutcome, EventType, FileFields,
    HostFields, LogFields, NameFields, OsFields, RawFields, RelatedFields, ServiceFields, SignatureFields, TimeSource,
    WuFields, X509Fields, certificate_event_id,
};
use wulog_schemas::hresult;
use wulog_schemas::signal::{CertificateFacts, Fact, HostRef};

use super::certificate_list::{CertificateList, Difference, FILES_MAX, digest};
use super::host::{FactToSend, FactsToSend, Host, RecordContext};
use super::time::{format_utc, sub_second};

/// Most documents about single certificates of one inventory; the document of the inventory counts all certificates.
const DOCUMENTS_MAX: usize = 100;

/// The signal is sent again after this time: a little less than the week after which collectors repeat an inventory.
const SEND_AGAIN_MS: i64 = 6 * 24 * 3600 * 1000;

/// The subject of one document.
#[derive(Clone, Copy)]
enum DocumentSubject<'a> {
    /// The inventory as a whole.
    Inventory,
    /// A certificate that was found, added or removed.
    Difference(Difference),
    /// A file that the update client did not trust.
    File(&'a FailedFile),
}

/// Takes an inventory of a host; returns the documents of its changes.
pub(super) fn take<'a>(
    host: &'a mut Host,
    inventory: &'a Inventory,
    scope: RecordContext<'_>,
    raw: RawFields,
    facts: &mut FactsToSend,
) -> Vec<Event<'a>> {
    let now = CertificateList::of(inventory, scope.at.log_time);
    let before = host.certificates.take();
    let repeats = |before: &CertificateList| {
        before.lists_as(&now) && scope.at.log_time < before.sent.saturating_add(SEND_AGAIN_MS)
    };
    if before.as_deref().is_some_and(repeats) {
        host.certificates = before;
        host.certificates_seen(&now.hash, inventory.taken, scope, facts);
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
    facts.push(FactToSend { raw: scope.at.raw, fact, proof: None });
    if !is_news {
        return Vec::new();
    }
    let host = &*host;
    let mut events =
        vec![event(host, scope, raw, inventory, DocumentSubject::Inventory, summary(inventory, &differences))];
    for difference in differences.into_iter().take(DOCUMENTS_MAX) {
        events.push(event(host, scope, raw, inventory, DocumentSubject::Difference(difference), String::new()));
    }
    for file in files {
        events.push(event(host, scope, raw, inventory, DocumentSubject::File(file), of_file(file)));
    }
    events
}

/// The message of a file's document.
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

/// The document of one subject.
fn event<'a>(
    host: &'a Host,
    scope: RecordContext<'_>,
    raw: RawFields,
    inventory: &'a Inventory,
    subject: DocumentSubject<'a>,
    message: String,
) -> Event<'a> {
    let (difference, file) = match subject {
        DocumentSubject::Inventory => (None, None),
        DocumentSubject::Difference(difference) => (Some(difference), None),
        DocumentSubject::File(file) => (None, Some(file)),
    };
    let action = match subject {
        DocumentSubject::Inventory => Action::CertificateInventory,
        DocumentSubject::Difference(difference) => difference.action,
        DocumentSubject::File(_) => Action::CertificateSigner,
    };
    let store = difference.map(|difference| STORES[usize::from(difference.store)]);
    let signer = file.and_then(|file| file.signer.as_ref());
    let sha1 =
        difference.map(|difference| HEXLOWER.encode(&difference.thumbprint)).or_else(|| Some(signer?.sha1.clone()));
    let listed = store.zip(sha1.as_deref()).and_then(|(store, sha1)| {
        inventory.store(store)?.certificates.iter().find(|certificate| certificate.sha1 == sha1)
    });
    let certificate = listed.or(signer);
    let message = match (store, &sha1) {
        (Some(store), Some(sha1)) => of_certificate(action, store, sha1, listed),
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
                action.into(),
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

/// The message of a certificate's document.
fn of_certificate(action: Action, store: &str, sha1: &str, listed: Option<&Certificate>) -> String {
    let name = named(sha1, listed);
    match action {
        Action::CertificateRemoved => format!("The certificate {name} is no longer in {store}"),
        Action::CertificateAdded => format!("The certificate {name} is new in {store}"),
        _ => format!("The certificate {name} is in {store}"),
    }
}

/// `file.code_signature` of a file that the update client rejected.
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
