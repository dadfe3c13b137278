//! Root causes in the certificate that signs updates, end to end: with logs and inventories of a fleet, the alert names
//! the certificate if and only if it is the cause.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::Path;

use wulog_lines::EncodingChoice;
use wulog_processor::detect::{CertificateWarnings, DetectorConfig};
use wulog_processor::normalize::NormalizerConfig;
use wulog_processor::replay::{self, Results, logs};
use wulog_schemas::alert::{Alert, Condition, IncidentKind, Method};
use wulog_tests::documents::{expect_valid, schema};
use wulog_tests::fleet::{
    Cause, DAY_MS, Fleet, FleetSpec, HOUR_MS, RootCause, SimulatedCertificate, certificate_of, write_inventories,
};
use wulog_tests::kafka;
use wulog_tests::process::{self, Running, eventually, run as run_program};

/// The clients of this server fail.
const SERVER: usize = 1;

/// The last document of each incident that a replay of the folder gives.
fn alerts(dir: &Path, detector: &DetectorConfig) -> Vec<Alert> {
    let normalizer = NormalizerConfig::default();
    let found = logs::find(dir).unwrap();
    let merge = logs::Merge::open(&found, EncodingChoice::Auto, &normalizer).unwrap();
    let records = merge.with_inventories(logs::inventories(dir).unwrap());
    let mut lines = Vec::new();
    let mut results = Results { alerts_out: Some(Box::new(&mut lines)), ..Results::default() };
    replay::from_raw((&normalizer, detector), 1, records, &mut results).unwrap();
    drop(results);
    let documents = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let documents: Vec<Alert> = documents.map(|line| serde_json::from_slice(line).unwrap()).collect();
    let is_last = |alert: &&Alert| !documents.iter().any(|other| other.id == alert.id && other.seq > alert.seq);
    documents.iter().filter(is_last).cloned().collect()
}

/// A fleet whose logs are written once; inventories are rewritten beside them for each case.
struct Bench {
    dir: tempfile::TempDir,
    fleet: Fleet,
}

impl Bench {
    fn new(seed: u64, hosts: usize, cause: Cause) -> Bench {
        let spec = FleetSpec::new(seed, hosts).with_outbreak(SERVER, 30 * HOUR_MS, cause);
        let dir = tempfile::tempdir().unwrap();
        let mut fleet = Fleet::new(spec);
        let until_ms = fleet.now_ms() + 2 * DAY_MS + DAY_MS / 2;
        fleet.write_until(dir.path(), until_ms).unwrap();
        Bench { dir, fleet }
    }

    /// The incident of the outbreak, with inventories of `percent` of the hosts.
    fn alert(&self, cause: RootCause, percent: usize) -> Option<Alert> {
        self.write_inventories(cause, percent);
        let family = self.fleet.truth().unwrap().family;
        alerts(self.dir.path(), &DetectorConfig::default()).into_iter().find(|alert| alert.family == family)
    }

    /// The warnings that inventories of `percent` of the hosts give.
    fn warnings(&self, cause: RootCause, percent: usize) -> Vec<Alert> {
        self.write_inventories(cause, percent);
        let certificate_warnings = Some(CertificateWarnings::default());
        let detector = DetectorConfig { certificate_warnings, ..DetectorConfig::default() };
        let mut alerts = alerts(self.dir.path(), &detector);
        alerts.retain(|alert| alert.kind == IncidentKind::Warning);
        alerts
    }

    fn write_inventories(&self, cause: RootCause, percent: usize) {
        for entry in std::fs::read_dir(self.dir.path()).unwrap() {
            for file in std::fs::read_dir(entry.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_some_and(|extension| extension != "log") {
                    std::fs::remove_file(path).unwrap();
                }
            }
        }
        write_inventories(&self.fleet, self.dir.path(), cause, percent).unwrap();
    }
}

/// Whether the first factor of the alert is the certificate with its fault and store.
fn names(alert: &Alert, cause: RootCause, certificate: &SimulatedCertificate) -> bool {
    let (condition, store) = match cause {
        RootCause::NotOnWsus | RootCause::NotDelivered | RootCause::RootOnly | RootCause::Former => {
            (Condition::Missing, Some("TrustedPublisher"))
        }
        RootCause::PublisherOnly => (Condition::Missing, Some("Root")),
        RootCause::Expired => (Condition::Expired, Some("TrustedPublisher")),
        RootCause::Distrusted => (Condition::Distrusted, Some("Disallowed")),
        RootCause::PolicyOff => (Condition::PolicyOff, None),
        RootCause::Site => (Condition::SiteUntrusted, None),
        RootCause::Elsewhere => return false,
    };
    let Some(found) = alert.certificates.first() else { return false };
    let sha1 = found.certificate.as_ref().map(|certificate| certificate.sha1.as_str());
    let expected_sha1 = (cause != RootCause::PolicyOff).then_some(certificate.sha1.as_str());
    let is_first = alert.common_factors.first().is_some_and(|factor| factor.dimension == "certificate");
    let has_former = cause == RootCause::Former;
    is_first
        && (found.condition, found.store.as_deref(), sha1) == (condition, store, expected_sha1)
        && found.former.is_some() == has_former
}

/// Runs each root cause at fleets of these seeds; returns the number of runs that named the cause, the number of runs,
/// and the wrong answers.
fn run(hosts: usize, percent: usize, seeds: std::ops::Range<u64>) -> (usize, usize, Vec<String>) {
    let (mut named, mut runs, mut others) = (0, 0, Vec::new());
    for seed in seeds {
        for outbreak in [Cause::UntrustedRoot, Cause::Expired, Cause::Distrusted, Cause::Site] {
            let bench = Bench::new(seed, hosts, outbreak);
            for cause in RootCause::OF_CERTIFICATES.into_iter().filter(|cause| cause.outbreak() == outbreak) {
                let certificate = certificate_of(bench.fleet.spec(), cause);
                let Some(alert) = bench.alert(cause, percent) else {
                    continue;
                };
                runs += 1;
                if names(&alert, cause, &certificate) {
                    named += 1;
                } else {
                    let found: Vec<&str> = alert.certificates.iter().map(|found| found.says.as_str()).collect();
                    let first = alert.common_factors.first().map(|factor| (&factor.dimension, &factor.value));
                    others.push(format!("seed {seed} {cause:?} first {first:?} {found:?}"));
                }
            }
        }
    }
    (named, runs, others)
}

/// Whether the alert names a certificate that is not the cause.
fn names_another(alert: &Alert, cause: RootCause, certificate: &SimulatedCertificate) -> bool {
    !alert.certificates.is_empty() && !names(alert, cause, certificate)
        || alert.common_factors.iter().any(|factor| factor.dimension == "certificate") && alert.certificates.is_empty()
}

/// Checks that at least 98 % of the runs name the certificate, and that at least so many of the runs had an alert.
#[track_caller]
fn check_named(hosts: usize, percent: usize, seeds: std::ops::Range<u64>, runs_min: usize) {
    let (named, runs, others) = run(hosts, percent, seeds);
    assert!(named * 100 >= runs * 98, "{hosts} hosts, {percent} %: {named} of {runs} runs\n{}", others.join("\n"));
    assert!(runs >= runs_min, "{hosts} hosts, {percent} %: only {runs} runs had an alert");
}

/// In a fleet of 20 hosts, fewer than `min_hosts` may have tried the update.
#[test]
fn with_inventories_of_half_of_the_hosts_the_certificate_is_the_first_factor() {
    check_named(20, 50, 1..6, 8);
    check_named(200, 50, 1..2, RootCause::OF_CERTIFICATES.len());
}

#[test]
fn with_inventories_of_nearly_all_hosts_the_certificate_is_the_first_factor() {
    check_named(20, 90, 1..4, 8);
    check_named(200, 90, 2..3, RootCause::OF_CERTIFICATES.len());
}

#[test]
fn in_a_fleet_of_5_000_hosts_the_certificate_is_the_first_factor() {
    check_named(5000, 50, 1..2, RootCause::OF_CERTIFICATES.len());
}

/// Checks that no root cause of this kind leads to a certificate that is not the cause.
fn check_no_other(bench: &Bench, outbreak: Cause, percent: usize) {
    for cause in RootCause::OF_CERTIFICATES.into_iter().filter(|cause| cause.outbreak() == outbreak) {
        let alert = bench.alert(cause, percent).unwrap();
        let certificate = certificate_of(bench.fleet.spec(), cause);
        assert!(!names_another(&alert, cause, &certificate), "{percent} %, {cause:?}: {:?}", alert.certificates);
    }
}

#[test]
fn fewer_inventories_may_name_nothing_but_never_another_certificate() {
    for outbreak in [Cause::UntrustedRoot, Cause::Expired, Cause::Distrusted, Cause::Site] {
        for (seed, hosts) in [(7, 60), (8, 400)] {
            let bench = Bench::new(seed, hosts, outbreak);
            check_no_other(&bench, outbreak, 10);
            check_no_other(&bench, outbreak, 30);
        }
    }
}

#[test]
fn where_the_certificate_is_in_its_stores_it_is_not_named() {
    for (seed, outbreak) in [(1, Cause::UntrustedRoot), (2, Cause::Revoked), (3, Cause::Chain), (4, Cause::Distrusted)]
    {
        for (hosts, percent) in [(20, 50), (80, 90)] {
            let alert = Bench::new(seed, hosts, outbreak).alert(RootCause::Elsewhere, percent).unwrap();
            assert_eq!(alert.certificates, [], "{outbreak:?}, {hosts} hosts");
            let first = alert.common_factors.first().map(|factor| factor.dimension.as_str());
            assert_eq!(first, Some("wsus"), "{outbreak:?}, {hosts} hosts");
        }
    }
}

/// Each warning names the certificate of the later outbreak, and there is no other warning.
#[test]
fn warnings_come_before_the_first_failure() {
    for hosts in [20, 200] {
        for outbreak in [Cause::UntrustedRoot, Cause::Expired] {
            let bench = Bench::new(11, hosts, outbreak);
            let onset_ms = bench.fleet.truth().unwrap().onset_ms;
            for (cause, method) in [
                (RootCause::NotDelivered, Method::CertificateMissing),
                (RootCause::RootOnly, Method::CertificateMissing),
                (RootCause::PublisherOnly, Method::CertificateMissing),
                (RootCause::Former, Method::CertificateMissing),
                (RootCause::Expired, Method::CertificateExpires),
            ] {
                if cause.outbreak() != outbreak {
                    continue;
                }
                let warnings = bench.warnings(cause, 80);
                let [warning] = warnings.as_slice() else { panic!("{hosts} hosts, {cause:?}: {warnings:#?}") };
                assert_eq!(warning.detection.method, method, "{hosts} hosts, {cause:?}");
                assert!(warning.time.opened.0 < onset_ms, "{hosts} hosts, {cause:?}: {}", warning.time.opened);
                let certificate = warning.certificates[0].certificate.as_ref().unwrap();
                assert_eq!(
                    certificate.sha1,
                    certificate_of(bench.fleet.spec(), cause).sha1,
                    "{hosts} hosts, {cause:?}"
                );
                let lacks = |host: &&wulog_tests::fleet::Host| host.wsus == SERVER;
                let clients = bench.fleet.hosts().filter(lacks).map(|host| &host.name).collect::<Vec<_>>();
                assert!(!warning.hosts.names.is_empty());
                assert!(warning.hosts.names.iter().all(|name| clients.contains(&name)), "{hosts} hosts, {cause:?}");
                expect_valid(&schema("alert"), &serde_json::to_vec(warning).unwrap());
            }
            assert_eq!(bench.warnings(RootCause::Elsewhere, 80), [], "{hosts} hosts, {outbreak:?}");
        }
    }
}

/// A certificate that is missing on all clients of a server is missing on the healthy ones too, which did not try the
/// update yet. The alert counts the healthy ones correctly.
#[test]
fn the_alert_says_where_the_certificate_is_and_which_steps_are_answered() {
    let bench = Bench::new(1, 100, Cause::UntrustedRoot);
    let alert = bench.alert(RootCause::NotDelivered, 100).unwrap();
    let found = &alert.certificates[0];
    assert_eq!(found.affected_hosts, found.affected_known);
    assert_eq!(found.affected_known, alert.hosts.affected, "each affected host has an inventory");
    assert_eq!(found.also_missing_in, ["Root"]);
    let wsus = found.wsus.as_ref().map(|copy| (copy.host.as_str(), copy.has_certificate));
    assert_eq!(wsus, Some(("wsus-lon", true)));
    assert!(found.fix.contains("Group Policy") && found.fix.contains("Trusted Publishers"), "{}", found.fix);
    assert!(alert.summary.contains(&found.says), "{}", alert.summary);
    let answer = |command: &str, on: &str| {
        let is_it = |step: &&wulog_schemas::alert::Step| {
            step.command.as_deref() == Some(command) && step.on.as_deref().is_some_and(|place| place.starts_with(on))
        };
        alert.remediation.iter().find(is_it).unwrap().answered.clone().unwrap_or_default()
    };
    let sha1 = &certificate_of(bench.fleet.spec(), RootCause::NotDelivered).sha1;
    assert!(answer("certutil -store WSUS", "the WSUS server").contains(sha1));
    let affected = alert.hosts.affected;
    let of_affected = answer("certutil -store TrustedPublisher", "an affected host");
    assert!(of_affected.contains(&format!("is there on 0 of {affected} affected hosts")), "{of_affected}");
    let elsewhere = bench.alert(RootCause::NotOnWsus, 100).unwrap();
    let copy = elsewhere.certificates[0].wsus.as_ref().map(|copy| copy.has_certificate);
    assert_eq!(copy, Some(false));
    assert!(elsewhere.certificates[0].fix.contains("store WSUS"), "{}", elsewhere.certificates[0].fix);
}

/// The WSUS machines send no inventory, and the clients whose inventory is JSON name the signer of a file.
#[test]
fn the_signer_of_the_failing_file_takes_the_place_of_the_wsus_machine() {
    let bench = Bench::new(1, 100, Cause::UntrustedRoot);
    bench.write_inventories(RootCause::NotDelivered, 100);
    let certificate = certificate_of(bench.fleet.spec(), RootCause::NotDelivered);
    let clients: std::collections::BTreeMap<&str, usize> =
        bench.fleet.hosts().map(|host| (host.name.as_str(), host.wsus)).collect();
    let mut named = 0;
    for entry in std::fs::read_dir(bench.dir.path()).unwrap() {
        let (folder, file) = (entry.as_ref().unwrap().path(), entry.unwrap().path().join("certificates.json"));
        let host = folder.file_name().unwrap().to_str().unwrap().to_ascii_lowercase();
        match clients.get(host.as_str()) {
            None => std::fs::remove_dir_all(&folder).unwrap(),
            Some(&SERVER) if file.exists() => {
                let modified = file.metadata().unwrap().modified().unwrap();
                let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
                json["failed_files"] = serde_json::json!([{
                    "path": r"C:\Windows\SoftwareDistribution\Download\7c1e0b6a\9f31c2e7", "error": "0x800b0109",
                    "signer": {"sha1": certificate.sha1, "subject": certificate.subject, "issuer": certificate.subject},
                }]);
                std::fs::write(&file, json.to_string()).unwrap();
                std::fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
                named += 1;
            }
            Some(_) => {}
        }
    }
    let family = bench.fleet.truth().unwrap().family;
    let found = alerts(bench.dir.path(), &DetectorConfig::default());
    let alert = found.into_iter().find(|alert| alert.family == family).unwrap();
    assert!(names(&alert, RootCause::NotDelivered, &certificate), "{:?}", alert.certificates);
    let signer = alert.certificates[0].file_signer.clone().expect("the files name their signer");
    assert_eq!((signer.sha1.as_str(), signer.has_timestamp), (certificate.sha1.as_str(), false));
    assert!(named > 2 && signer.hosts > 2 && signer.hosts <= named && signer.hosts == signer.hosts_known, "{signer:?}");
    let words = format!("it is the signer of the failing file on {} of {} affected hosts", signer.hosts, signer.hosts);
    assert!(alert.summary.contains(&words), "{}", alert.summary);
    expect_valid(&schema("alert"), &serde_json::to_vec(&alert).unwrap());
}

/// Hosts without an inventory are unknown: the numbers count only hosts with an inventory.
#[test]
fn a_host_without_an_inventory_is_never_counted_as_lacking() {
    let bench = Bench::new(2, 100, Cause::UntrustedRoot);
    let chosen = {
        bench.alert(RootCause::NotDelivered, 40).unwrap();
        write_inventories(&bench.fleet, bench.dir.path(), RootCause::NotDelivered, 40).unwrap()
    };
    let alert = bench.alert(RootCause::NotDelivered, 40).unwrap();
    let affected = alert.hosts.names.iter().filter(|name| chosen.contains(*name)).count() as u64;
    assert!(affected > 0 && affected < alert.hosts.affected);
    assert_eq!(alert.certificates[0].affected_known, affected);
    let without = bench.alert(RootCause::NotDelivered, 0).unwrap();
    // The WSUS machines alone prove nothing about clients.
    assert_eq!(without.certificates, []);
}

/// `standalone` reads the files beside the logs, and `certificates` prints their contents.
#[test]
fn standalone_reads_inventories_beside_the_logs() {
    let bench = Bench::new(3, 40, Cause::UntrustedRoot);
    write_inventories(&bench.fleet, bench.dir.path(), RootCause::NotDelivered, 100).unwrap();
    let (work, text) = (tempfile::tempdir().unwrap(), |path: &Path| path.to_str().unwrap().to_owned());
    let (db, logs) = (text(&work.path().join("wulog.db")), text(bench.dir.path()));
    let mut running = Running::start("wulog-processor", &["standalone", "--logs", &logs, "--db", &db]);
    let sha1 = certificate_of(bench.fleet.spec(), RootCause::NotDelivered).sha1;
    let listed = || run_program("wulog-processor", &["certificates", "list", "--db", &db]).stdout;
    let all = bench.fleet.hosts().len() + bench.fleet.spec().wsus.len();
    running.until("the inventories of all hosts", std::time::Duration::from_secs(60), |_| {
        Path::new(&db).exists() && listed().contains(&format!("{all} hosts with an inventory"))
    });
    running.terminate().expect_success();
    // Each list equals the list from the files themselves.
    let from_files = run_program("wulog-processor", &["certificates", "list", "--logs", &logs]).stdout;
    assert_eq!(listed(), from_files);
    let clients = bench.fleet.hosts().filter(|host| host.wsus != SERVER).count();
    let line = from_files.lines().find(|line| line.starts_with("TrustedPublisher") && line.contains(&sha1)).unwrap();
    assert!(line.contains(&format!(" {clients}/{} ", bench.fleet.hosts().len())), "{line}");
    let missing = run_program("wulog-processor", &["certificates", "missing", "--db", &db]).stdout;
    let lacking = bench.fleet.hosts().filter(|host| host.wsus == SERVER).count();
    let words = format!("missing on {lacking} of {}: ", bench.fleet.hosts().len());
    let after = missing.split(&sha1).nth(1).unwrap_or_default();
    assert!(after.lines().nth(1).unwrap_or_default().contains(&words), "{missing}");
}

/// A collector ships the files to a real Kafka, and `certificates` prints the same for the topic as for the files.
/// Heartbeats carry the hash of each inventory and the time of its files.
#[test]
fn the_topic_gives_the_same_answers_as_the_files() {
    let name = "the_topic_gives_the_same_answers_as_the_files";
    let Some(broker) = kafka::or_skip(name, kafka::shared()) else { return };
    let bench = Bench::new(5, 30, Cause::UntrustedRoot);
    bench.write_inventories(RootCause::NotDelivered, 100);
    let (work, prefix) = (tempfile::tempdir().unwrap(), kafka::unique_prefix("certificates"));
    let path = |name: &str| work.path().join(name).to_str().unwrap().to_owned();
    let (collector, processor) = (path("collector.toml"), path("processor.toml"));
    let logs = bench.dir.path().to_str().unwrap();
    let common = format!("topic_prefix = '{prefix}'\n[kafka]\n'bootstrap.servers' = '{}'\n", broker.bootstrap());
    let input =
        format!("[certificates]\n[[input]]\npaths = ['{logs}/*/*.log']\nhost_pattern = '(?P<host>[^/]+)/[^/]+$'\n");
    std::fs::write(&collector, format!("state_dir = '{}'\n{common}{input}", path("state"))).unwrap();
    std::fs::write(&processor, format!("instance = 'one'\n{common}[processor]\ntick_after_idle_secs = 1\n")).unwrap();
    process::run("wulog-processor", &["topics", "create", "--config", &processor]).expect_success();
    let shipping = Running::start("wulog-collector", &["run", "--config", &collector]);
    let processing = Running::start("wulog-processor", &["run", "--config", &processor]);
    let from =
        |verb: &[&str], place: [&str; 2]| run_program("wulog-processor", &[&["certificates"], verb, &place].concat());
    let all = bench.fleet.hosts().len() + bench.fleet.spec().wsus.len();
    eventually("the inventories of all hosts", std::time::Duration::from_secs(120), || {
        from(&["list"], ["--config", &processor]).stdout.contains(&format!("{all} hosts with an inventory"))
    });
    let sha1 = certificate_of(bench.fleet.spec(), RootCause::NotDelivered).sha1;
    for verb in [&["list"][..], &["list", "--all"], &["missing"], &["show", &sha1[..12]]] {
        let (topic, files) = (from(verb, ["--config", &processor]), from(verb, ["--logs", logs]));
        assert_eq!(topic.code, Some(0), "{verb:?}: {}", topic.stderr);
        assert_eq!(topic.stdout, files.stdout, "{verb:?}");
    }
    let shown = from(&["show", &sha1], ["--config", &processor]).stdout;
    let lacking = bench.fleet.hosts().filter(|host| host.wsus == SERVER);
    assert!(lacking.into_iter().all(|host| shown.contains(&host.name)), "{shown}");
    assert_ne!(from(&["show", "0123456789"], ["--config", &processor]).code, Some(0));

    drop((shipping, processing));
    let records = broker.read_topic(&wulog_schemas::topic::Topic::Raw.name(&prefix));
    let read = |record: kafka::TopicRecord| {
        let json: serde_json::Value = serde_json::from_slice(record.value.as_deref()?).ok()?;
        Some((record.key, json))
    };
    let (inventories, others): (Vec<_>, Vec<_>) =
        records.into_iter().filter_map(read).partition(|(_, json)| json["stores"].is_array());
    let listed = |(key, json): (Vec<u8>, serde_json::Value)| {
        let inventory: wulog_schemas::certificate::Inventory = serde_json::from_value(json).unwrap();
        (key, (inventory.hash(), inventory.taken))
    };
    let hashes: std::collections::BTreeMap<Vec<u8>, (String, i64)> = inventories.into_iter().map(listed).collect();
    let mut told = 0;
    for (key, beat) in others.iter().filter(|(_, json)| json["certificates"].is_string()) {
        let (hash, taken) = &hashes[key];
        let said = (beat["certificates"].as_str(), beat["certificates_seen"].as_i64());
        assert_eq!(said, (Some(hash.as_str()), Some(*taken)));
        told += 1;
    }
    assert_eq!(hashes.len(), all);
    // A host reports that it has caught up, and then carries the hash.
    assert!(told > 0, "no heartbeat carries a hash");
}

#[test]
fn the_alert_is_valid_against_its_schema() {
    let alert = Bench::new(1, 40, Cause::UntrustedRoot).alert(RootCause::Former, 100).unwrap();
    assert!(alert.certificates[0].former.is_some());
    expect_valid(&schema("alert"), &serde_json::to_vec(&alert).unwrap());
}
