//! The machine's own certificate stores and update policy. What a certificate says comes from OpenSSL: `certificates/`
//! has the certificates, OpenSSL's texts about them, and the script that made both.

#![allow(unsafe_code)] // putting a certificate into a store is a call that no crate wraps

use std::sync::{Mutex, PoisonError};

use chrono::NaiveDateTime;
use windows_registry::{Key, LOCAL_MACHINE};
use windows_sys::Win32::Security::Cryptography::{
    CERT_STORE_ADD_REPLACE_EXISTING, CERT_STORE_PROV_SYSTEM_W, CERT_SYSTEM_STORE_LOCAL_MACHINE,
    CertAddEncodedCertificateToStore, CertCloseStore, CertOpenStore, X509_ASN_ENCODING,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};
use wulog_collector::Config;
use wulog_collector::certificates::machine_reader;
use wulog_schemas::certificate::{Certificate, Inventory, Origin, Policy, Store};
use wulog_schemas::raw::Kind;

use crate::bench::Bench;

/// Where an administrator's certificates, and those of Group Policy, are in the registry.
pub(crate) const LOCAL: &str = r"SOFTWARE\Microsoft\SystemCertificates";
const GROUP_POLICY: &str = r"SOFTWARE\Policies\Microsoft\SystemCertificates";
pub(crate) const UPDATE_POLICY: &str = r"SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate";

/// Held by each test that changes what the machine trusts, or its policy.
pub(crate) static MACHINE: Mutex<()> = Mutex::new(());

/// A certificate of the test.
struct Sample {
    der: &'static [u8],
    /// What OpenSSL says of the certificate.
    openssl: &'static str,
}

const PUBLISHING: Sample =
    Sample { der: include_bytes!("certificates/publishing.der"), openssl: include_str!("certificates/publishing.txt") };
const ROOT: Sample =
    Sample { der: include_bytes!("certificates/root.der"), openssl: include_str!("certificates/root.txt") };
const TLS: Sample =
    Sample { der: include_bytes!("certificates/tls.der"), openssl: include_str!("certificates/tls.txt") };

impl Sample {
    fn said(&self, key: &str) -> Option<&str> {
        self.openssl.lines().find_map(|line| line.strip_prefix(key))
    }

    fn sha1(&self) -> String {
        self.said("sha1 Fingerprint=").unwrap().replace(':', "").to_lowercase()
    }

    fn expected(&self, origin: Origin) -> Certificate {
        let said = |key| self.said(key).unwrap();
        let time = |key| NaiveDateTime::parse_from_str(said(key), "%F %TZ").unwrap().and_utc().timestamp_millis();
        let algorithm = match said("Signature Algorithm: ") {
            // RFC 8017, appendix C.
            "sha256WithRSAEncryption" => "1.2.840.113549.1.1.11",
            "sha384WithRSAEncryption" => "1.2.840.113549.1.1.12",
            other => panic!("{other} has no OID here"),
        };
        let bits: u32 = said("Public-Key: (").strip_suffix(" bit)").unwrap().parse().unwrap();
        Certificate {
            sha1: self.sha1(),
            sha256: Some(said("sha256 Fingerprint=").replace(':', "").to_lowercase()),
            subject: said("subject=").to_owned(),
            issuer: said("issuer=").to_owned(),
            serial: said("serial=").to_lowercase(),
            not_before: Some(time("notBefore=")),
            not_after: Some(time("notAfter=")),
            code_signing: self.said("Usage: ").map(|usage| usage.contains("Code Signing")),
            signature_algorithm: Some(algorithm.to_owned()),
            // Wine 8 knows the size of RSA keys only; the one key of an elliptic curve has 256 bits.
            key_bits: Some(bits).filter(|bits| *bits > 256),
            origin: Some(origin),
        }
    }
}

/// Adds a certificate to a store of the machine, as an administrator does.
fn add(store: &str, sample: &Sample) {
    add_der(store, sample.der);
}

/// Adds an encoded certificate to a store of the machine.
pub(crate) fn add_der(store: &str, der: &[u8]) {
    let name: Vec<u16> = store.encode_utf16().chain([0]).collect();
    // SAFETY: the name ends with a zero, the certificate is as long as said, and the store is closed once.
    unsafe {
        let open = CertOpenStore(CERT_STORE_PROV_SYSTEM_W, 0, 0, CERT_SYSTEM_STORE_LOCAL_MACHINE, name.as_ptr().cast());
        assert!(!open.is_null(), "{store}: {}", std::io::Error::last_os_error());
        let (der, len) = (der.as_ptr(), der.len() as u32);
        let how = CERT_STORE_ADD_REPLACE_EXISTING;
        let added = CertAddEncodedCertificateToStore(open, X509_ASN_ENCODING, der, len, how, std::ptr::null_mut());
        assert!(added != 0, "{store}: {}", std::io::Error::last_os_error());
        CertCloseStore(open, 0);
    }
}

fn entry(place: &str, store: &str, sample: &Sample) -> String {
    format!(r"{place}\{store}\Certificates\{}", sample.sha1().to_uppercase())
}

fn remove(place: &str, store: &str, sample: &Sample) {
    let _ = LOCAL_MACHINE.remove_tree(entry(place, store, sample));
}

/// Delivers a certificate that is in the same store already as Group Policy does, which writes the registry.
fn deliver(store: &str, sample: &Sample) {
    let blob = LOCAL_MACHINE.open(entry(LOCAL, store, sample)).unwrap().get_value("Blob").unwrap();
    LOCAL_MACHINE.create(entry(GROUP_POLICY, store, sample)).unwrap().set_value("Blob", &blob).unwrap();
}

pub(crate) fn key(path: &str) -> Key {
    LOCAL_MACHINE.create(path).unwrap()
}

fn read() -> Inventory {
    machine_reader().expect("Windows has certificate stores")()
}

#[track_caller]
fn store(name: &str) -> Store {
    let found = read().store(name).cloned().unwrap_or_else(|| panic!("{name} is not listed"));
    assert_eq!((found.complete, found.error.as_deref(), found.unlisted), (true, None, 0), "{name}");
    found
}

/// The store holds these certificates and no others.
#[track_caller]
fn check(name: &str, expected: &[Certificate]) {
    let mut expected = expected.to_vec();
    expected.sort_by(|a, b| a.sha1.cmp(&b.sha1));
    assert_eq!(store(name).certificates, expected, "{name}");
}

/// The part of Root that the test has put there: Wine adds what Linux trusts.
#[track_caller]
fn check_root(expected: Option<Certificate>) {
    let own = store("Root").certificates.into_iter().find(|certificate| certificate.sha1 == ROOT.sha1());
    assert_eq!(own, expected);
}

/// Whether the test may change what the machine trusts.
pub(crate) fn is_wine() -> bool {
    // SAFETY: both names end with a zero; the library is in each process.
    unsafe { GetProcAddress(GetModuleHandleA(c"ntdll.dll".as_ptr().cast()), c"wine_get_version".as_ptr().cast()) }
        .is_some()
}

/// Removes what the test has put into the registry, also when the test fails.
struct Cleanup;

impl Drop for Cleanup {
    fn drop(&mut self) {
        for place in [LOCAL, GROUP_POLICY] {
            for store in ["TrustedPublisher", "Disallowed", "WSUS", "Root", "AuthRoot", "My"] {
                [&PUBLISHING, &ROOT, &TLS].into_iter().for_each(|sample| remove(place, store, sample));
            }
        }
        let _ = LOCAL_MACHINE.remove_tree(UPDATE_POLICY);
    }
}

/// One test, since all its parts change the same stores.
#[test]
fn the_stores_and_the_policy_of_the_machine_are_read() {
    if !is_wine() {
        eprintln!("skipped: this test changes what the machine trusts, so it runs under Wine only");
        return;
    }
    let _machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let _cleanup = Cleanup;
    check("TrustedPublisher", &[]);
    check("WSUS", &[]);
    assert_eq!(read().policy, Some(Policy::default()));

    add("TrustedPublisher", &PUBLISHING);
    add("Disallowed", &TLS);
    add("WSUS", &PUBLISHING);
    add("WSUS", &ROOT);
    add("Root", &ROOT);
    add("My", &TLS);
    check("TrustedPublisher", &[PUBLISHING.expected(Origin::Local)]);
    check("Disallowed", &[TLS.expected(Origin::Local)]);
    check("WSUS", &[PUBLISHING.expected(Origin::Local), ROOT.expected(Origin::Local)]);
    check_root(Some(ROOT.expected(Origin::Local)));
    let names: Vec<String> = read().stores.into_iter().map(|store| store.name).collect();
    assert_eq!(names, ["TrustedPublisher", "Disallowed", "WSUS", "Root", "CA"]);

    // Group Policy delivers what was there already, and then alone.
    deliver("TrustedPublisher", &PUBLISHING);
    check("TrustedPublisher", &[PUBLISHING.expected(Origin::GroupPolicy)]);
    remove(LOCAL, "TrustedPublisher", &PUBLISHING);
    check("TrustedPublisher", &[PUBLISHING.expected(Origin::GroupPolicy)]);
    add("TrustedPublisher", &ROOT);
    check("TrustedPublisher", &[PUBLISHING.expected(Origin::GroupPolicy), ROOT.expected(Origin::Local)]);

    add("AuthRoot", &ROOT);
    check_root(None);

    let update = key(UPDATE_POLICY);
    update.set_u32("AcceptTrustedPublisherCerts", 0).unwrap();
    update.set_string("WUServer", "https://wsus01.corp.example:8531").unwrap();
    assert_eq!(
        read().policy,
        Some(Policy { wu_server: Some("https://wsus01.corp.example:8531".to_owned()), ..Policy::default() })
    );
    update.set_u32("AcceptTrustedPublisherCerts", 1).unwrap();
    update.set_string("WUStatusServer", "https://wsus02.corp.example:8531").unwrap();
    key(&format!(r"{UPDATE_POLICY}\AU")).set_u32("UseWUServer", 1).unwrap();
    let expected = Policy {
        accept_trusted_publisher_certs: true,
        wu_server: Some("https://wsus01.corp.example:8531".to_owned()),
        wu_status_server: Some("https://wsus02.corp.example:8531".to_owned()),
        use_wu_server: Some(true),
    };
    assert_eq!(read().policy, Some(expected.clone()));

    // The configuration turns all this on, and the record is that of the collector's own host.
    let mut bench = Bench::new();
    let text = "state_dir = 's'\n[certificates]\nmachine = true\nwsus_site = false\n[[input]]\npaths = ['a']\n";
    bench.config.certificates = Config::parse(text, "collector.toml").unwrap().certificates;
    bench.pump();
    let records: Vec<_> =
        bench.records().into_iter().filter(|record| record.header.kind == Kind::Certificates).collect();
    assert_eq!((records.len(), records[0].header.host.as_str()), (1, "pc-1"));
    let shipped: Inventory = serde_json::from_slice(&records[0].value).unwrap();
    assert!(shipped.taken > 0);
    assert_eq!(shipped.policy, Some(expected));
    assert_eq!(shipped, Inventory { taken: shipped.taken, ..read() });

    // A value of another type is no policy that is known to be off.
    update.set_string("AcceptTrustedPublisherCerts", "yes").unwrap();
    assert_eq!(read().policy, None);
}
