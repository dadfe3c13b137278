//! Inventories of certificates beside the logs of a simulated fleet: the output of `certutil` and of the PowerShell
//! script.
//!
//! A root cause decides which certificates the clients of one WSUS server have and lack. In addition each host has
//! certificates that have nothing to do with updates: of a virus scanner, of its site, and of a driver vendor. They
//! differ between the sites as the servers do, so that a detector which merely looks for differences names the wrong
//! certificate.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use wulog_schemas::host::hex_digest;

use super::random::Random;
use super::spec::{Cause, DAY_MS, FleetSpec, Layout};

/// The real fault of the certificate that signs updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RootCause {
    /// The WSUS machine does not have the certificate, so Group Policy cannot deliver it either.
    NotOnWsus,
    /// Group Policy does not deliver the certificate to the clients of one server.
    NotDelivered,
    /// The certificate is in Trusted Root, but not in Trusted Publishers.
    RootOnly,
    /// The certificate is in Trusted Publishers, but not in Trusted Root.
    PublisherOnly,
    /// The clients have the publisher's earlier certificate.
    Former,
    /// The certificate has expired, and the updates carry no time stamp.
    Expired,
    /// The certificate is in Untrusted Certificates.
    Distrusted,
    /// The clients accept only Microsoft's updates.
    PolicyOff,
    /// The clients do not trust the TLS certificate of the WSUS site, since its CA is not in Trusted Root.
    Site,
    /// A cause without certificates: the certificate is in its stores everywhere.
    Elsewhere,
}

impl RootCause {
    /// Each cause that concerns a certificate or the policy.
    pub const OF_CERTIFICATES: [RootCause; 9] = [
        RootCause::NotOnWsus,
        RootCause::NotDelivered,
        RootCause::RootOnly,
        RootCause::PublisherOnly,
        RootCause::Former,
        RootCause::Expired,
        RootCause::Distrusted,
        RootCause::PolicyOff,
        RootCause::Site,
    ];

    /// The failures that this cause writes into the clients' logs.
    #[must_use]
    pub fn outbreak(self) -> Cause {
        match self {
            RootCause::Expired => Cause::Expired,
            RootCause::Distrusted => Cause::Distrusted,
            RootCause::Site => Cause::Site,
            _ => Cause::UntrustedRoot,
        }
    }
}

/// A certificate of the simulation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimulatedCertificate {
    /// SHA-1 thumbprint.
    pub sha1: String,
    /// Subject and issuer.
    pub subject: String,
    not_before_ms: i64,
    not_after_ms: i64,
}

impl SimulatedCertificate {
    fn new(subject: &str, generation: &str, not_before_ms: i64, not_after_ms: i64) -> SimulatedCertificate {
        let sha1 = hex_digest(&["simulated certificate", subject, generation])[..40].to_owned();
        SimulatedCertificate { sha1, subject: subject.to_owned(), not_before_ms, not_after_ms }
    }
}

/// The certificates in one host's stores, by store, and its policy.
struct Stores {
    lists: Vec<(&'static str, BTreeSet<SimulatedCertificate>)>,
    accepts: bool,
    /// `host:port` of the WSUS server, its TLS certificate, and whether the host trusts it. Only the collector on
    /// Windows reads it.
    site: Option<(String, SimulatedCertificate, bool)>,
}

const PUBLISHER: &str = "CN=Example Publishing, O=Example";
/// The CA that issued the TLS certificates of WSUS sites.
const SITE_CA: &str = "CN=Example Site CA";
const YEAR_MS: i64 = 365 * DAY_MS;

/// The certificate of a cause: the one that signs updates, or the one of the WSUS site.
#[must_use]
pub fn certificate_of(spec: &FleetSpec, cause: RootCause) -> SimulatedCertificate {
    match (cause, &spec.outbreak) {
        (RootCause::Site, Some(outbreak)) => site_certificate(spec, &server_of(spec, outbreak.wsus)),
        _ => publishing(spec, cause),
    }
}

fn publishing(spec: &FleetSpec, cause: RootCause) -> SimulatedCertificate {
    let onset_ms = spec.outbreak.as_ref().map_or(spec.start_ms, |outbreak| outbreak.onset_ms);
    let (generation, not_after_ms) = match cause {
        RootCause::Expired => ("expired", onset_ms - DAY_MS),
        _ => ("new", onset_ms + YEAR_MS),
    };
    SimulatedCertificate::new(PUBLISHER, generation, onset_ms - 60 * DAY_MS, not_after_ms)
}

/// Writes inventories of `percent` of the hosts of each WSUS server beside their logs, and one of each WSUS machine.
/// They are dated a quarter of a day before the outbreak. Returns the hosts with an inventory.
///
/// # Errors
/// If a file cannot be written.
///
/// # Panics
/// If the fleet has no outbreak.
pub fn write_inventories(
    fleet: &super::Fleet,
    dir: &Path,
    cause: RootCause,
    percent: usize,
) -> io::Result<BTreeSet<String>> {
    let spec = fleet.spec();
    let outbreak = spec.outbreak.as_ref().expect("inventories are compared in an outbreak");
    let taken_ms = outbreak.onset_ms - DAY_MS / 4;
    let mut chosen = BTreeSet::new();
    for server in 0..spec.wsus.len() {
        let mut clients: Vec<(usize, &super::Host)> =
            fleet.hosts().enumerate().filter(|(_, host)| host.wsus == server).collect();
        let mut random = Random::stream(spec.seed, "inventories", server as u64);
        for last in (1..clients.len()).rev() {
            let other = usize::try_from(random.below(last as u64 + 1)).expect("an index into a vector fits");
            clients.swap(last, other);
        }
        clients.truncate((clients.len() * percent + 50) / 100);
        for (index, host) in clients {
            let stores = of_client(spec, cause, (server, server == outbreak.wsus), index, &host.site.name);
            write(&fleet.log_path(dir, host), &stores, taken_ms, cause, index)?;
            chosen.insert(host.name.clone());
        }
        let address = server_of(spec, server);
        let name = address.split('.').next().unwrap_or_default();
        let folder = match spec.layout {
            Layout::Hosts => dir.join(name),
            Layout::Sites => dir.join(&spec.wsus[server].sites[0].name).join(name),
        };
        let path = folder.join(super::LOG_NAME);
        write(&path, &of_wsus(spec, cause, server == outbreak.wsus), taken_ms, cause, server)?;
    }
    Ok(chosen)
}

fn of_wsus(spec: &FleetSpec, cause: RootCause, is_affected: bool) -> Stores {
    let certificate = publishing(spec, if is_affected { cause } else { RootCause::Elsewhere });
    let former = former(spec);
    let has = !(is_affected && cause == RootCause::NotOnWsus);
    let own = [former].into_iter().chain(has.then_some(certificate)).collect();
    Stores { lists: vec![("WSUS", own)], accepts: true, site: None }
}

fn former(spec: &FleetSpec) -> SimulatedCertificate {
    let start_ms = spec.start_ms;
    SimulatedCertificate::new(PUBLISHER, "former", start_ms - 3 * YEAR_MS, start_ms - 30 * DAY_MS)
}

fn of_client(
    spec: &FleetSpec,
    cause: RootCause,
    (server, is_affected): (usize, bool),
    index: usize,
    site: &str,
) -> Stores {
    let (from_ms, until_ms) = (spec.start_ms - 2 * YEAR_MS, spec.start_ms + 5 * YEAR_MS);
    let other = |subject: &str| SimulatedCertificate::new(subject, "only", from_ms, until_ms);
    let mut random = Random::stream(spec.seed, "stores", index as u64);
    let (mut publishers, mut roots, mut distrusted) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    roots.insert(other("CN=Example Root CA"));
    roots.insert(other(&format!("CN=Proxy of {site}")));
    if !(is_affected && cause == RootCause::Site) {
        roots.insert(other(SITE_CA));
    }
    distrusted.insert(other("CN=Stolen Certificate"));
    if random.percent(70) {
        publishers.insert(other(&format!("CN=Scanner of {site}")));
    }
    if random.percent(30) {
        publishers.insert(other("CN=Driver Vendor"));
    }
    let own = if is_affected { cause } else { RootCause::Elsewhere };
    let certificate = publishing(spec, own);
    if !matches!(own, RootCause::NotOnWsus | RootCause::NotDelivered | RootCause::Former | RootCause::RootOnly) {
        publishers.insert(certificate.clone());
    }
    if !matches!(own, RootCause::NotOnWsus | RootCause::NotDelivered | RootCause::Former | RootCause::PublisherOnly) {
        roots.insert(certificate.clone());
    }
    if own == RootCause::Former {
        publishers.insert(former(spec));
        roots.insert(former(spec));
    }
    if own == RootCause::Distrusted {
        distrusted.insert(certificate);
    }
    Stores {
        lists: vec![("TrustedPublisher", publishers), ("Root", roots), ("Disallowed", distrusted)],
        accepts: own != RootCause::PolicyOff,
        site: (cause == RootCause::Site).then(|| {
            let server = server_of(spec, server);
            (server.clone(), site_certificate(spec, &server), own != RootCause::Site)
        }),
    }
}

/// `host:port` of a WSUS server.
fn server_of(spec: &FleetSpec, server: usize) -> String {
    spec.wsus[server].url.split("://").nth(1).unwrap_or_default().to_owned()
}

/// The TLS certificate of a WSUS server.
fn site_certificate(spec: &FleetSpec, server: &str) -> SimulatedCertificate {
    let name = server.split(':').next().unwrap_or_default();
    SimulatedCertificate::new(&format!("CN={name}"), "site", spec.start_ms - 90 * DAY_MS, spec.start_ms + YEAR_MS)
}

/// Writes the stores in the format of one of the programs that administrators use.
fn write(log: &Path, stores: &Stores, taken_ms: i64, cause: RootCause, index: usize) -> io::Result<()> {
    let folder = log.parent().expect("a log stands in the folder of its host");
    fs::create_dir_all(folder)?;
    // Only `certificates.json` has the policy and the site.
    if matches!(cause, RootCause::PolicyOff | RootCause::Site) || index.is_multiple_of(3) {
        return write_at(&folder.join("certificates.json"), json(stores).as_bytes(), taken_ms);
    }
    for (store, certificates) in &stores.lists {
        let text = certutil(store, certificates, index % 3 == 1);
        // PowerShell 5 redirects into UTF-16.
        let utf16 = || [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let bytes: Vec<u8> = if index.is_multiple_of(2) { utf16() } else { text.as_bytes().to_vec() };
        write_at(&folder.join(format!("certutil-{store}.txt")), &bytes, taken_ms)?;
    }
    Ok(())
}

fn write_at(path: &Path, bytes: &[u8], at_ms: i64) -> io::Result<()> {
    fs::write(path, bytes)?;
    let at = Duration::from_millis(u64::try_from(at_ms).expect("the fleet lives after 1970"));
    File::options().write(true).open(path)?.set_modified(SystemTime::UNIX_EPOCH + at)
}

fn json(stores: &Stores) -> String {
    let store = |(name, certificates): &(&str, BTreeSet<SimulatedCertificate>)| {
        let certificates: Vec<serde_json::Value> = certificates
            .iter()
            .map(|certificate| {
                serde_json::json!({
                    "sha1": certificate.sha1, "subject": certificate.subject, "issuer": certificate.subject,
                    "not_before": certificate.not_before_ms, "not_after": certificate.not_after_ms,
                })
            })
            .collect();
        serde_json::json!({"name": name, "complete": true, "certificates": certificates})
    };
    let stores_json: Vec<serde_json::Value> = stores.lists.iter().map(store).collect();
    let mut json = serde_json::json!({
        "v": 1, "stores": stores_json, "policy": {"accept_trusted_publisher_certs": stores.accepts},
    });
    if let Some((server, certificate, trusted)) = &stores.site {
        json["wsus_site"] = serde_json::json!({
            "server": server, "trusted": trusted, "error": if *trusted { None } else { Some("0x800b0109") },
            "chain": [{
                "sha1": certificate.sha1, "subject": certificate.subject, "issuer": SITE_CA,
                "not_before": certificate.not_before_ms, "not_after": certificate.not_after_ms,
            }],
        });
    }
    json.to_string()
}

/// The output of `certutil -store`, in German or in English.
fn certutil(store: &str, certificates: &BTreeSet<SimulatedCertificate>, is_german: bool) -> String {
    let mut text = format!("{store}\r\n");
    let date = |ms: i64| {
        let date = chrono::DateTime::from_timestamp_millis(ms).expect("a date of the fleet");
        date.format(if is_german { "%d.%m.%Y %H:%M" } else { "%-m/%-d/%Y %-I:%M %p" }).to_string()
    };
    for (number, certificate) in certificates.iter().enumerate() {
        let SimulatedCertificate { sha1, subject, not_before_ms, not_after_ms } = certificate;
        let (from, until) = (date(*not_before_ms), date(*not_after_ms));
        text += &if is_german {
            format!(
                "================ Zertifikat {number} ================\r\nSeriennummer: {}\r\nAussteller: {subject}\r\n \
                 Nicht vor: {from}\r\n Nicht nach: {until}\r\nAntragsteller: {subject}\r\nSignatur stimmt mit dem öffentlichen \
                 Schlüssel überein.\r\nZertifikathash(sha1): {sha1}\r\n\r\n",
                &sha1[..16]
            )
        } else {
            format!(
                "================ Certificate {number} ================\r\nSerial Number: {}\r\nIssuer: {subject}\r\n \
                 NotBefore: {from}\r\n NotAfter: {until}\r\nSubject: {subject}\r\nSignature matches Public Key\r\n\
                 Cert Hash(sha1): {sha1}\r\n\r\n",
                &sha1[..16]
            )
        };
    }
    let end = if is_german {
        "-store-Befehl wurde erfolgreich ausgeführt."
    } else {
        "-store command completed successfully."
    };
    text + "CertUtil: " + end + "\r\n"
}
