//! The TLS certificate of the WSUS server that the policy names. The server is one of Python, which `wsus_site.sh`
//! starts outside Wine; what the certificates say comes from OpenSSL.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use windows_registry::LOCAL_MACHINE;
use wulog_collector::Config;
use wulog_collector::certificates::site_asker;
use wulog_schemas::certificate::{Inventory, Site};
use wulog_schemas::raw::Kind;

use crate::bench::Bench;
use crate::certificates::{LOCAL, MACHINE, UPDATE_POLICY, add_der, is_wine, key};

/// From winerror.h.
const CERT_E_UNTRUSTEDROOT: &str = "0x800b0109";
const CERT_E_CN_NO_MATCH: &str = "0x800b010f";

/// What OpenSSL says of a certificate.
fn said(dir: &Path, name: &str, key: &str) -> String {
    let text = std::fs::read_to_string(dir.join(name)).unwrap();
    text.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned()
}

fn sha1(dir: &Path, name: &str) -> String {
    said(dir, name, "sha1 Fingerprint=").replace(':', "").to_lowercase()
}

/// Removes what the test has put into the registry, also when the test fails.
struct Cleanup(PathBuf);

impl Drop for Cleanup {
    fn drop(&mut self) {
        let root = sha1(&self.0, "root.txt").to_uppercase();
        let _ = LOCAL_MACHINE.remove_tree(format!(r"{LOCAL}\Root\Certificates\{root}"));
        let _ = LOCAL_MACHINE.remove_tree(UPDATE_POLICY);
    }
}

/// The folder of the server, which `deploy/windows/test.sh` names.
fn server_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("WULOG_TEST_WSUS_SITE").filter(|_| is_wine());
    assert!(dir.is_some() || std::env::var_os("CI").is_none(), "WULOG_TEST_WSUS_SITE is not set");
    dir.map(PathBuf::from)
}

fn ask() -> Option<Site> {
    site_asker().expect("Windows asks a WSUS server")()
}

/// The answer about that server, which must be trusted or not.
#[track_caller]
fn check(server: &str, trusted: bool, error: Option<&str>, chain: &[&str]) {
    key(UPDATE_POLICY).set_string("WUServer", format!("https://{server}")).unwrap();
    let site = ask().expect("the policy names a server with TLS");
    let shown: Vec<&str> = site.chain.iter().map(|certificate| certificate.sha1.as_str()).collect();
    assert_eq!((site.server.as_str(), site.trusted, site.error.as_deref()), (server, Some(trusted), error));
    assert_eq!(shown, chain);
}

#[test]
fn the_certificate_of_the_wsus_server_is_shown_and_judged_as_the_machine_trusts_it() {
    let Some(dir) = server_dir() else {
        eprintln!("skipped: needs Wine, and the server that deploy/windows/test.sh starts");
        return;
    };
    let _machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let _cleanup = Cleanup(dir.clone());
    let port = std::fs::read_to_string(dir.join("port.txt")).unwrap().trim().to_owned();
    let (server_sha1, root_sha1) = (sha1(&dir, "server.txt"), sha1(&dir, "root.txt"));
    let chain = [server_sha1.as_str(), root_sha1.as_str()];
    let server = format!("localhost:{port}");

    // Without the policy nobody is asked, nor without TLS.
    let update = key(UPDATE_POLICY);
    assert_eq!(ask(), None);
    update.set_string("WUServer", format!("https://{server}")).unwrap();
    assert_eq!(ask(), None);
    key(&format!(r"{UPDATE_POLICY}\AU")).set_u32("UseWUServer", 1).unwrap();
    update.set_string("WUServer", format!("http://{server}")).unwrap();
    assert_eq!(ask(), None);

    check(&server, false, Some(CERT_E_UNTRUSTEDROOT), &chain);
    add_der("Root", &std::fs::read(dir.join("root.der")).unwrap());
    check(&server, true, None, &chain);
    let leaf = ask().unwrap().chain.remove(0);
    assert_eq!(
        (leaf.subject, leaf.issuer),
        (said(&dir, "server.txt", "subject="), said(&dir, "server.txt", "issuer="))
    );
    assert_eq!((leaf.serial.as_str(), leaf.key_bits, leaf.origin), ("51c4", Some(2048), None));
    check(&format!("127.0.0.1:{port}"), false, Some(CERT_E_CN_NO_MATCH), &chain);

    // Nothing listens at this port of this machine.
    update.set_string("WUServer", "https://localhost:1").unwrap();
    let away = ask().unwrap();
    assert_eq!((away.server.as_str(), away.trusted, away.chain.len()), ("localhost:1", None, 0));
    let error = away.error.expect("the server was not asked");
    assert!(error.starts_with("the server cannot be asked: 0x"), "{error}");

    // The collector sends the answer with the inventory.
    update.set_string("WUServer", format!("https://{server}")).unwrap();
    let mut bench = Bench::new();
    let text = "state_dir = 's'\n[certificates]\nmachine = true\n[[input]]\npaths = ['a']\n";
    bench.config.certificates = Config::parse(text, "collector.toml").unwrap().certificates;
    let begun = Instant::now();
    let sent = loop {
        bench.pump();
        if let Some(sent) = bench.records().into_iter().find(|record| record.header.kind == Kind::Certificates) {
            break sent;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no inventory");
    };
    let inventory: Inventory = serde_json::from_slice(&sent.value).unwrap();
    assert_eq!(inventory.wsus_site, ask());
    assert_eq!(inventory.wsus_site.and_then(|site| site.trusted), Some(true));
}
