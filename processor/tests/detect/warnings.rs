//! Warnings of certificates before hosts fail: opened, raised and ended as the stores of hosts change.

use wulog_processor::detect::DetectorConfig;
use wulog_schemas::alert::{Alert, Condition, IncidentKind, Level, Method, State, Transition};
use wulog_schemas::signal::{CertificateFact, CertificateFacts, Fact, HostRef, StoreFacts};

use crate::world::{DAY, HOUR, START, World, alerts_with, host, wsus_of};

/// The numbers of WSUS machines among the hosts of a [`World`] begin here.
const WSUS: u32 = 9_000;

fn config() -> DetectorConfig {
    let config: DetectorConfig = toml::from_str("[certificate_warnings]").expect("a section");
    config.check().expect("the default is valid");
    config
}

/// A publishing certificate: `generation` distinguishes thumbprints, times are in days since [`START`].
fn certificate(generation: u8, from: i64, until: i64) -> CertificateFact {
    CertificateFact {
        sha1: format!("{generation:02x}").repeat(20),
        subject: "CN=Example Publishing".to_owned(),
        not_before: Some(START + from * DAY),
        not_after: Some(START + until * DAY),
        ..CertificateFact::default()
    }
}

fn store(name: &str, certificates: &[&CertificateFact]) -> StoreFacts {
    let certificates = certificates.iter().map(|certificate| (*certificate).clone()).collect();
    StoreFacts { name: name.to_owned(), complete: true, certificates }
}

/// Host `index` lists these certificates in Trusted Root and Trusted Publishers.
fn client(world: &mut World, index: u32, time: i64, certificates: &[&CertificateFact]) {
    let stores = vec![store("TrustedPublisher", certificates), store("Root", certificates)];
    let facts = CertificateFacts { host: host(index), taken: time, stores, ..CertificateFacts::default() };
    world.push(index, time, Fact::Certificates(facts));
}

/// The WSUS machine of every fourth host lists these certificates in its store `WSUS`.
fn wsus(world: &mut World, server: u32, time: i64, certificates: &[&CertificateFact]) {
    let host = HostRef { id: format!("{:032x}", WSUS + server), name: format!("wsus{server}.corp.example") };
    let stores = vec![store("WSUS", certificates)];
    let facts = CertificateFacts { host, taken: time, stores, ..CertificateFacts::default() };
    world.push(WSUS + server, time, Fact::Certificates(facts));
}

fn unchanged(world: &mut World, index: u32, time: i64) {
    let facts = CertificateFacts { host: host(index), taken: time, unchanged: true, ..CertificateFacts::default() };
    world.push(index, time, Fact::Certificates(facts));
}

/// A fleet of 80 hosts that scan for `days` and succeed.
fn fleet(days: i64) -> World {
    let mut world = World::new(80, 7);
    world.live(START, START + days * DAY, |_, _, _| {});
    world
}

fn warnings(world: World) -> Vec<Alert> {
    let alerts = alerts_with(&config(), &world.records());
    assert!(alerts.iter().all(|alert| alert.kind == IncidentKind::Warning), "nothing fails in this fleet");
    alerts
}

/// Days since [`START`] at which each document was written, with its transition.
fn life(alerts: &[Alert]) -> Vec<(i64, Transition)> {
    alerts.iter().map(|alert| ((alert.time.updated.0 - START) / DAY, alert.transition)).collect()
}

#[test]
fn a_certificate_in_use_is_warned_of_before_it_expires_and_until_it_is_renewed() {
    let (old, new) = (certificate(1, -700, 40), certificate(2, 36, 800));
    let mut world = fleet(50);
    for index in 0..80 {
        client(&mut world, index, START + HOUR, &[&old]);
    }
    wsus(&mut world, 1, START + HOUR, &[&old]);
    wsus(&mut world, 1, START + 36 * DAY, &[&old, &new]);
    // The successor reaches all clients on the same day.
    for index in 0..80 {
        client(&mut world, index, START + 36 * DAY, &[&old, &new]);
    }
    let alerts = warnings(world);
    // A document 30 days before the end, and another when a week is left.
    assert_eq!(life(&alerts), [(10, Transition::Opened), (33, Transition::Growing), (36, Transition::Resolved)]);
    let [opened, growing, resolved] = alerts.as_slice() else { panic!("three documents") };
    assert_eq!((opened.detection.method, opened.severity.level), (Method::CertificateExpires, Level::Low));
    assert_eq!((growing.severity.level, growing.seq), (Level::Medium, 2));
    assert_eq!((resolved.state, resolved.hosts.recovered), (State::Resolved, 80));
    assert!(alerts.iter().all(|alert| alert.id == opened.id));
    assert_eq!((opened.hosts.affected, opened.hosts.active, opened.hosts.names.len()), (80, 80, 80));
    let finding = &opened.certificates[0];
    assert_eq!(finding.condition, Condition::Expires);
    assert_eq!(finding.certificate.as_ref().map(|name| name.sha1.as_str()), Some(old.sha1.as_str()));
    assert_eq!(finding.wsus.as_ref().map(|copy| copy.host.as_str()), Some("wsus1.corp.example"));
    for part in ["expires in 30 days", "CN=Example Publishing", &old.sha1, "wsus1.corp.example", "80 of 80"] {
        assert!(opened.summary.contains(part), "{part} in {}", opened.summary);
    }
    assert!(growing.summary.contains("expires in 7 days"), "{}", growing.summary);
    assert!(opened.remediation.iter().all(|step| step.command.is_some()));
}

/// `3/12/2026` is one of two days, depending on the region of the user who ran `certutil`; most hosts decide.
#[test]
fn few_hosts_with_other_dates_decide_nothing() {
    let (right, wrong) = (certificate(1, -700, 300), certificate(1, -500, 20));
    for is_wrong in [[true, false, false], [false, true, false], [false, false, true]] {
        let mut world = fleet(20);
        for index in 0..80 {
            // One host in ten, at the beginning, in the middle or at the end.
            let place = usize::from(index >= 8) + usize::from(index >= 72);
            let is_wrong = is_wrong[place] && (place != 1 || index % 8 == 0);
            client(&mut world, index, START + HOUR + i64::from(index), &[if is_wrong { &wrong } else { &right }]);
        }
        wsus(&mut world, 1, START + DAY, &[&right]);
        assert_eq!(life(&warnings(world)), [], "{is_wrong:?}");
    }
}

#[test]
fn a_certificate_that_signs_nothing_may_expire() {
    let (old, new) = (certificate(1, -700, 20), certificate(2, -30, 800));
    let driver = CertificateFact { subject: "CN=Driver Vendor".to_owned(), ..certificate(3, -700, 20) };
    let mut world = fleet(30);
    for index in 0..80 {
        client(&mut world, index, START + HOUR, &[&old, &new, &driver]);
    }
    wsus(&mut world, 1, START + HOUR, &[&old, &new]);
    assert_eq!(life(&warnings(world)), []);
}

#[test]
fn a_certificate_from_group_policy_is_in_use_until_it_has_a_successor() {
    let by_policy =
        |generation, from, until| CertificateFact { by_policy: true, ..certificate(generation, from, until) };
    let (old, new) = (by_policy(1, -700, 31), by_policy(2, 5, 800));
    let mut world = fleet(20);
    for index in 0..80 {
        client(&mut world, index, START + HOUR, &[&old]);
    }
    // Half of the hosts have the successor.
    for index in 0..40 {
        client(&mut world, index, START + 9 * DAY + HOUR, &[&old, &new]);
    }
    let alerts = warnings(world);
    assert_eq!(life(&alerts), [(1, Transition::Opened), (9, Transition::Resolved)]);
    assert_eq!(alerts[0].certificates[0].wsus, None);
}

#[test]
fn a_new_certificate_that_does_not_reach_clients_is_warned_of_before_an_update_is_signed_with_it() {
    let (old, new) = (certificate(1, -700, 400), certificate(2, 4, 800));
    let mut world = fleet(12);
    let clients: Vec<u32> = (0..80).filter(|index| wsus_of(*index) == 1).collect();
    for index in 0..80 {
        client(&mut world, index, START + HOUR, &[&old]);
    }
    for server in 0..4 {
        wsus(&mut world, server, START + HOUR, &[&old]);
    }
    wsus(&mut world, 1, START + 5 * DAY, &[&old, &new]);
    // Three quarters of the hosts get the successor. The stores of two other hosts are seen without it; the last hosts
    // send nothing.
    let (reached, others) = clients.split_at(15);
    for index in reached {
        client(&mut world, *index, START + 5 * DAY + 2 * HOUR, &[&old, &new]);
    }
    for index in &others[..2] {
        unchanged(&mut world, *index, START + 6 * DAY - HOUR);
    }
    for index in &others[..2] {
        client(&mut world, *index, START + 9 * DAY + HOUR, &[&old, &new]);
    }
    let alerts = warnings(world);
    assert_eq!(life(&alerts), [(6, Transition::Opened), (9, Transition::Resolved)]);
    let opened = &alerts[0];
    assert_eq!((opened.detection.method, opened.severity.level), (Method::CertificateMissing, Level::Low));
    assert_eq!((opened.hosts.affected, opened.hosts.active), (2, 17), "hosts that nothing is known of count nowhere");
    let mut names: Vec<String> = others[..2].iter().map(|index| host(*index).name).collect();
    names.sort();
    assert_eq!(opened.hosts.names, names);
    let finding = &opened.certificates[0];
    assert_eq!((finding.condition, finding.store.as_deref()), (Condition::Missing, Some("TrustedPublisher")));
    assert_eq!(finding.since.map(|since| since.0), Some(START + 5 * DAY));
    assert!(opened.summary.contains("2 of 17 clients"), "{}", opened.summary);
}

#[test]
fn a_certificate_that_reaches_trusted_publishers_alone_is_missing_in_trusted_root() {
    let new = certificate(2, -10, 800);
    let mut world = fleet(4);
    wsus(&mut world, 1, START + HOUR, &[&new]);
    for index in (0..80).filter(|index| wsus_of(*index) == 1) {
        let stores = vec![store("TrustedPublisher", &[&new]), store("Root", &[])];
        let facts = CertificateFacts { host: host(index), taken: START + HOUR, stores, ..CertificateFacts::default() };
        world.push(index, START + HOUR, Fact::Certificates(facts));
    }
    let alerts = warnings(world);
    assert_eq!(life(&alerts).first().map(|(_, transition)| *transition), Some(Transition::Opened));
    assert_eq!(alerts[0].certificates[0].store.as_deref(), Some("Root"));
    // All clients lack the certificate, so the severity is medium.
    assert_eq!(alerts[0].severity.level, Level::Medium);
}

/// A script that gathered the stores before the certificate was renewed proves nothing about the new certificate.
#[test]
fn stores_that_were_seen_before_the_certificate_came_tell_nothing() {
    let (old, new) = (certificate(1, -700, 400), certificate(2, 4, 800));
    let mut world = fleet(12);
    for index in 0..80 {
        client(&mut world, index, START + HOUR, &[&old]);
    }
    wsus(&mut world, 1, START + HOUR, &[&old]);
    wsus(&mut world, 1, START + 5 * DAY, &[&old, &new]);
    assert_eq!(life(&warnings(world)), []);
}

#[test]
fn warnings_need_a_configuration() {
    let old = certificate(1, -700, 10);
    let mut world = fleet(12);
    for index in 0..80 {
        client(&mut world, index, START + HOUR, &[&old]);
    }
    wsus(&mut world, 1, START + HOUR, &[&old]);
    assert_eq!(world.alerts(), []);
}

/// A certificate that is not renewed gives one more document, when the warning expires.
#[test]
fn an_expired_certificate_that_stays_in_use_is_given_up_after_two_weeks() {
    let old = certificate(1, -700, 10);
    let mut world = fleet(30);
    for index in 0..80 {
        client(&mut world, index, START + HOUR, &[&old]);
    }
    wsus(&mut world, 1, START + HOUR, &[&old]);
    let alerts = warnings(world);
    assert_eq!(
        life(&alerts),
        [(0, Transition::Opened), (3, Transition::Growing), (24, Transition::Expired)],
        "{:#?}",
        alerts.iter().map(|alert| &alert.summary).collect::<Vec<_>>()
    );
}
