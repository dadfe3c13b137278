//! When the collector sends an inventory of its own host. The stores are those that the test shows in their place;
//! `windows/certificates.rs` reads real ones.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod bench;

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bench::Bench;
use regex::bytes::Regex;
use wulog_collector::certificates::FailedLine;
use wulog_collector::config::{CertificateSources, Input};
use wulog_collector::redact::RedactRule;
use wulog_collector::sink::RawRecord;
use wulog_schemas::certificate::{Certificate, FailedFile, Inventory, Policy, Site, Store, VERSION};
use wulog_schemas::host::HostId;
use wulog_schemas::raw::{Heartbeat, Kind};

const QUARTER_HOUR_SECS: i64 = 15 * 60;
const WEEK_SECS: i64 = 7 * 24 * 3600;

thread_local! {
    /// The stores of the test's machine, and how often they were read. A collector reads them in the thread of its passes.
    static MACHINE: RefCell<(Inventory, usize)> = RefCell::default();
}

fn read() -> Inventory {
    MACHINE.with_borrow_mut(|(inventory, reads)| {
        *reads += 1;
        inventory.clone()
    })
}

fn reads() -> usize {
    MACHINE.with_borrow(|(_, reads)| *reads)
}

/// The machine trusts publishers with these names.
fn trusts(names: &[&str]) {
    let certificate = |(number, name): (usize, &&str)| Certificate {
        sha1: format!("{number:040x}"),
        subject: format!("CN={name}"),
        issuer: "CN=ann".to_owned(),
        ..Certificate::default()
    };
    let certificates = names.iter().enumerate().map(certificate).collect();
    let store = Store { name: "TrustedPublisher".to_owned(), complete: true, certificates, ..Store::default() };
    let policy = Policy { wu_server: Some("http://ann@wsus".to_owned()), ..Policy::default() };
    let inventory =
        Inventory { v: VERSION, taken: 0, stores: vec![store], policy: Some(policy), ..Inventory::default() };
    MACHINE.with_borrow_mut(|machine| machine.0 = inventory);
}

fn bench() -> Bench {
    MACHINE.with_borrow_mut(|machine| machine.1 = 0);
    Bench::with(|config| {
        config.certificates =
            CertificateSources { gathered: true, machine: Some(read), ..CertificateSources::default() };
    })
}

fn records(bench: &Bench, kind: Kind) -> Vec<RawRecord> {
    bench.records().into_iter().filter(|record| record.header.kind == kind).collect()
}

/// The subjects in each inventory that was sent.
fn sent(bench: &Bench) -> Vec<Vec<String>> {
    let subjects = |record: RawRecord| {
        let inventory: Inventory = serde_json::from_slice(&record.value).unwrap();
        inventory.stores[0].certificates.iter().map(|certificate| certificate.subject.clone()).collect()
    };
    records(bench, Kind::Certificates).into_iter().map(subjects).collect()
}

/// The hash of the inventory in the last heartbeat.
fn hash(bench: &Bench) -> Option<String> {
    let last = records(bench, Kind::Heartbeat).pop().unwrap();
    serde_json::from_slice::<Heartbeat>(&last.value).unwrap().certificates
}

#[test]
fn the_inventory_of_the_own_host_follows_its_first_heartbeat() {
    trusts(&["a"]);
    let mut bench = bench();
    bench.pump();
    let found = bench.records();
    let kinds: Vec<Kind> = found.iter().map(|record| record.header.kind).collect();
    assert_eq!(kinds, [Kind::Heartbeat, Kind::Certificates]);
    assert_eq!((found[1].header.host.as_str(), &found[1].host_id), ("pc-1", &HostId::from_key("id-1")));
    let inventory: Inventory = serde_json::from_slice(&found[1].value).unwrap();
    assert_eq!(inventory.taken, found[1].header.read);
    assert_eq!(sent(&bench), [["CN=a"]]);
}

#[test]
fn a_collector_of_other_hosts_speaks_for_its_own_too() {
    trusts(&["a"]);
    let mut bench = bench();
    bench.config.inputs[0].host_pattern = Some(regex::Regex::new("(?P<host>logs)").unwrap());
    bench.pump();
    assert_eq!(records(&bench, Kind::Heartbeat)[0].header.host, "pc-1");
    assert_eq!(sent(&bench), [["CN=a"]]);
}

#[test]
fn a_change_is_sent_within_a_quarter_hour_and_the_heartbeat_has_its_hash() {
    trusts(&["a"]);
    let mut bench = bench();
    bench.pump();
    trusts(&["a", "b"]);
    bench.wait_secs(QUARTER_HOUR_SECS - 1);
    bench.pump();
    assert_eq!((sent(&bench).len(), reads()), (1, 1));
    bench.wait_secs(1);
    bench.pump();
    assert_eq!((sent(&bench), reads()), (vec![vec!["CN=a".to_owned()], vec!["CN=a".to_owned(), "CN=b".to_owned()]], 2));
    bench.wait_secs(QUARTER_HOUR_SECS);
    bench.pump();
    let with_both = hash(&bench).expect("the host has sent an inventory");
    trusts(&["a"]);
    bench.wait_secs(QUARTER_HOUR_SECS);
    bench.pump();
    bench.wait_secs(QUARTER_HOUR_SECS);
    bench.pump();
    assert_eq!(sent(&bench).len(), 3);
    assert_ne!(hash(&bench).expect("the host has sent an inventory"), with_both);
}

#[test]
fn an_inventory_without_a_change_is_sent_every_week() {
    trusts(&["a"]);
    let mut bench = bench();
    bench.pump();
    bench.wait_secs(WEEK_SECS - QUARTER_HOUR_SECS);
    bench.pump();
    assert_eq!((sent(&bench).len(), reads()), (1, 2));
    bench.wait_secs(QUARTER_HOUR_SECS);
    bench.pump();
    assert_eq!((sent(&bench).len(), reads()), (2, 3));
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_the_reading() {
    trusts(&["a"]);
    let mut bench = bench();
    bench.pump();
    trusts(&["b"]);
    bench.wait_secs(-WEEK_SECS);
    bench.pump();
    assert_eq!(sent(&bench), [["CN=a"], ["CN=b"]]);
}

#[test]
fn what_must_not_leave_the_host_is_replaced_in_names_and_addresses() {
    trusts(&["ann"]);
    let mut bench = bench();
    bench.config.redact = vec![RedactRule { regex: Regex::new("ann").unwrap(), replace: "***".to_owned() }];
    bench.pump();
    let shipped = records(&bench, Kind::Certificates).pop().unwrap().value;
    let inventory: Inventory = serde_json::from_slice(&shipped).unwrap();
    let certificate = &inventory.stores[0].certificates[0];
    assert_eq!((certificate.subject.as_str(), certificate.issuer.as_str()), ("CN=***", "CN=***"));
    assert_eq!(inventory.policy.unwrap().wu_server.as_deref(), Some("http://***@wsus"));
}

/// The WSUS server answers once the test has let go.
static SERVER: Mutex<usize> = Mutex::new(0);

fn ask() -> Option<Site> {
    let mut asked = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    *asked += 1;
    Some(Site { server: "ann@wsus".to_owned(), trusted: Some(true), ..Site::default() })
}

fn asked() -> usize {
    *SERVER.lock().unwrap()
}

/// The WSUS server of each inventory that was sent.
fn sites(bench: &Bench) -> Vec<Option<Site>> {
    let site = |record: RawRecord| serde_json::from_slice::<Inventory>(&record.value).unwrap().wsus_site;
    records(bench, Kind::Certificates).into_iter().map(site).collect()
}

#[test]
fn an_inventory_has_the_answer_of_the_wsus_server_and_waits_a_minute_for_it() {
    trusts(&["a"]);
    let mut bench = bench();
    bench.config.certificates.site = Some(ask);
    bench.config.redact = vec![RedactRule { regex: Regex::new("ann").unwrap(), replace: "***".to_owned() }];
    let server = SERVER.lock().unwrap();
    bench.pump();
    bench.wait_secs(59);
    bench.pump();
    assert_eq!((sites(&bench), reads()), (vec![], 0));
    bench.wait_secs(1);
    bench.pump();
    assert_eq!((sites(&bench), reads()), (vec![None], 1));

    drop(server);
    let begun = Instant::now();
    while asked() == 0 || sites(&bench).len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no second inventory");
        // The thread has the answer a moment before it ends.
        bench.wait_secs(if asked() == 0 { 0 } else { QUARTER_HOUR_SECS });
        bench.pump();
    }
    let answer = Some(Site { server: "***@wsus".to_owned(), trusted: Some(true), ..Site::default() });
    assert_eq!(sites(&bench), [None, answer]);
    // Nobody is asked more often than the stores are read.
    let so_far = reads();
    bench.wait_secs(QUARTER_HOUR_SECS - 1);
    for _ in 0..20 {
        bench.pump();
    }
    assert_eq!(reads(), so_far);
    assert!(asked() <= so_far, "asked {} times", asked());
}

/// Each file is signed by a certificate with the name of the file.
fn read_signers(lines: Vec<FailedLine>) -> Vec<FailedFile> {
    let signer = |path: &str| Certificate {
        sha1: "9595a9a1cffe73fcd6251c9a2e97c60f1c2b111e".to_owned(),
        subject: format!("CN={}", path.rsplit('\\').next().unwrap_or_default()),
        ..Certificate::default()
    };
    let file = |FailedLine { path, error, seen_ms }: FailedLine| FailedFile {
        signer: Some(signer(&path)),
        chain: vec![signer("C:\\ann")],
        path,
        error,
        seen: seen_ms,
        ..FailedFile::default()
    };
    lines.into_iter().map(file).collect()
}

/// The files of each inventory that was sent, by the names of their signers.
fn failed_files(bench: &Bench) -> Vec<Vec<FailedFile>> {
    let files = |record: RawRecord| serde_json::from_slice::<Inventory>(&record.value).unwrap().failed_files;
    records(bench, Kind::Certificates).into_iter().map(files).collect()
}

fn refusal(name: &str) -> String {
    let file = format!(r"C:\Windows\SoftwareDistribution\Download\{name}");
    format!("WARNING: Digital Signatures on file {file} are not trusted: Error 0x800b0109\r\n")
}

/// Waits for quarter hours until so many inventories are sent. The thread that reads signers may take longer than a pass.
fn wait_for_inventories(bench: &mut Bench, count: usize) {
    let begun = Instant::now();
    while failed_files(bench).len() < count {
        assert!(begun.elapsed() < Duration::from_secs(20), "no further inventory");
        bench.wait_secs(QUARTER_HOUR_SECS);
        bench.pump();
        std::thread::yield_now();
    }
}

#[test]
fn a_file_that_the_own_log_calls_not_trusted_is_in_the_next_inventory_with_its_signer() {
    trusts(&["a"]);
    let mut bench = bench();
    bench.config.certificates.failed_files = Some(read_signers);
    bench.config.redact = vec![RedactRule { regex: Regex::new("ann").unwrap(), replace: "***".to_owned() }];
    bench.write(refusal("ann.cab"));
    bench.pump();
    assert_eq!(failed_files(&bench), [vec![]], "the first inventory goes out before the first line");
    wait_for_inventories(&mut bench, 2);
    let found = failed_files(&bench).pop().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].path, r"C:\Windows\SoftwareDistribution\Download\***.cab");
    assert_eq!(found[0].error, "0x800b0109");
    assert_eq!(found[0].signer.as_ref().unwrap().subject, "CN=***.cab");
    assert_eq!(found[0].chain[0].subject, "CN=***");
    let hash_with_file = hash(&bench);

    // The client tries again; that is no news. Another file is.
    bench.append(refusal("ann.cab"));
    bench.pump();
    bench.wait_secs(QUARTER_HOUR_SECS);
    bench.pump();
    assert_eq!(failed_files(&bench).len(), 2);
    bench.append(refusal("b.cab"));
    bench.pump();
    wait_for_inventories(&mut bench, 3);
    assert_eq!(failed_files(&bench).pop().unwrap().len(), 2);
    bench.wait_secs(QUARTER_HOUR_SECS);
    bench.pump();
    assert_ne!(hash(&bench), hash_with_file);
}

#[test]
fn lines_of_other_hosts_name_no_file_of_this_one() {
    trusts(&["a"]);
    let mut bench = bench();
    bench.config.certificates.failed_files = Some(read_signers);
    bench.config.inputs[0].host_pattern = Some(regex::Regex::new("(?P<host>logs)").unwrap());
    bench.write(refusal("a.cab"));
    bench.pump();
    bench.wait_secs(QUARTER_HOUR_SECS);
    bench.pump();
    bench.wait_secs(WEEK_SECS);
    bench.pump();
    assert!(failed_files(&bench).len() > 1 && failed_files(&bench).concat().is_empty());
}

/// A collector of gathered hosts: `logs/HOST/WindowsUpdate.log` and the inventory beside it.
fn gathering() -> Bench {
    let bench = Bench::with(|config| {
        config.certificates = CertificateSources { gathered: true, ..CertificateSources::default() };
        let mut input = Input::new(config.inputs[0].paths[0].replace("*.log", "*/*.log"));
        input.host_pattern = Some(regex::Regex::new("(?P<host>[^/\\\\]+)[/\\\\][^/\\\\]+$").unwrap());
        config.inputs = vec![input];
    });
    std::fs::create_dir(bench.file("pc-7")).unwrap();
    std::fs::write(bench.file("pc-7/WindowsUpdate.log"), bench::log("a")).unwrap();
    std::fs::write(bench.file("pc-7/certificates.json"), INVENTORY).unwrap();
    bench
}

const INVENTORY: &str = r#"{"v": 1, "stores": [{"name": "Root", "complete": true, "certificates": []}]}"#;

/// How many stores each inventory of the gathered host lists.
fn listed(bench: &Bench) -> Vec<usize> {
    let stores = |record: RawRecord| {
        assert_eq!(record.header.host, "pc-7");
        serde_json::from_slice::<Inventory>(&record.value).unwrap().stores.len()
    };
    records(bench, Kind::Certificates).into_iter().map(stores).collect()
}

const MINUTE_SECS: i64 = 60;

/// Looks every minute for so long.
fn look_for(bench: &mut Bench, minutes: i64) {
    for _ in 0..minutes {
        bench.wait_secs(MINUTE_SECS);
        bench.pump();
    }
}

#[test]
fn deleted_files_of_an_inventory_are_reported_after_an_hour() {
    let mut bench = gathering();
    bench.pump();
    assert_eq!(listed(&bench), [1]);
    std::fs::remove_file(bench.file("pc-7/certificates.json")).unwrap();
    look_for(&mut bench, 60);
    assert_eq!(listed(&bench), [1], "too early");
    look_for(&mut bench, 2);
    assert_eq!(listed(&bench), [1, 0]);
    look_for(&mut bench, 120);
    assert_eq!(listed(&bench), [1, 0], "once");
    // The files are back.
    std::fs::write(bench.file("pc-7/certificates.json"), INVENTORY).unwrap();
    look_for(&mut bench, 2);
    assert_eq!(listed(&bench), [1, 0, 1]);
}

#[test]
fn files_that_come_back_within_the_hour_were_not_deleted() {
    let mut bench = gathering();
    bench.pump();
    for _ in 0..3 {
        std::fs::remove_file(bench.file("pc-7/certificates.json")).unwrap();
        look_for(&mut bench, 50);
        std::fs::write(bench.file("pc-7/certificates.json"), INVENTORY).unwrap();
        look_for(&mut bench, 2);
    }
    assert!(listed(&bench).iter().all(|stores| *stores == 1));
}

#[test]
fn a_share_that_is_away_or_a_folder_that_is_empty_deletes_nothing() {
    let mut bench = gathering();
    bench.pump();
    // The share is away: no folder. Then its mount point alone: an empty folder.
    std::fs::rename(bench.file("pc-7"), bench.dir.path().join("away")).unwrap();
    look_for(&mut bench, 200);
    std::fs::create_dir(bench.file("pc-7")).unwrap();
    look_for(&mut bench, 200);
    assert_eq!(listed(&bench), [1]);
    std::fs::remove_dir(bench.file("pc-7")).unwrap();
    std::fs::rename(bench.dir.path().join("away"), bench.file("pc-7")).unwrap();
    look_for(&mut bench, 2);
    assert_eq!(listed(&bench), [1]);
    // Being away does not count towards the hour.
    std::fs::remove_file(bench.file("pc-7/certificates.json")).unwrap();
    look_for(&mut bench, 40);
    std::fs::rename(bench.file("pc-7"), bench.dir.path().join("away")).unwrap();
    look_for(&mut bench, 40);
    std::fs::rename(bench.dir.path().join("away"), bench.file("pc-7")).unwrap();
    look_for(&mut bench, 50);
    assert_eq!(listed(&bench), [1]);
    look_for(&mut bench, 20);
    assert_eq!(listed(&bench), [1, 0]);
}
