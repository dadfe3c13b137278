//! The signers of files that affected hosts did not trust: they show which certificate is the cause.

use wulog_schemas::alert::{Alert, Condition, FileSigner, State};
use wulog_schemas::signal::{CertificateFact, CertificateFacts, Fact, SignerFacts, StoreFacts};

use crate::world::{DAY, HOUR, START, THIRD_PARTY, World, host, wsus_of};

const HOSTS: u32 = 80;
/// The clients of this server fail from [`ONSET`] on.
const SERVER: u32 = 1;
const ONSET: i64 = START + 6 * DAY;

/// A self-signed certificate; `digit` distinguishes thumbprints.
fn certificate(digit: char, subject: &str) -> CertificateFact {
    CertificateFact {
        sha1: digit.to_string().repeat(40),
        subject: subject.to_owned(),
        not_before: Some(START - 100 * DAY),
        not_after: Some(START + 400 * DAY),
        ..CertificateFact::default()
    }
}

fn is_affected(index: u32) -> bool {
    wsus_of(index) == SERVER
}

/// The stores and signers of the hosts of a test.
struct Fleet {
    /// In Trusted Publishers of the hosts that do not fail.
    healthy_have: Vec<CertificateFact>,
    /// The signers that a host names.
    signers: fn(u32) -> Vec<(CertificateFact, bool)>,
    /// Whether Trusted Publishers of the hosts that fail was read completely.
    is_complete: bool,
    /// Whether other hosts install the update at which the clients of the server fail.
    others_succeed: bool,
}

impl Fleet {
    fn new(healthy_have: &[CertificateFact], signers: fn(u32) -> Vec<(CertificateFact, bool)>) -> Fleet {
        Fleet { healthy_have: healthy_have.to_vec(), signers, is_complete: true, others_succeed: false }
    }

    /// The last document of the incident.
    fn alert(&self) -> Alert {
        let mut world = World::new(HOSTS, 11);
        world.live(START, ONSET + 2 * DAY, |world, index, time| match (time >= ONSET, is_affected(index)) {
            (true, true) => world.fail(index, time, THIRD_PARTY),
            (true, false) if self.others_succeed => world.succeed(index, time, THIRD_PARTY),
            _ => {}
        });
        for index in 0..HOSTS {
            let time = ONSET + HOUR;
            let has = if is_affected(index) { Vec::new() } else { self.healthy_have.clone() };
            let complete = self.is_complete || !is_affected(index);
            let stores = vec![
                StoreFacts { name: "TrustedPublisher".to_owned(), complete, certificates: has },
                StoreFacts { name: "Root".to_owned(), complete: true, certificates: Vec::new() },
            ];
            let signers = (self.signers)(index).into_iter();
            let failed_signers =
                signers.map(|(certificate, has_timestamp)| SignerFacts { certificate, has_timestamp }).collect();
            let facts = CertificateFacts {
                host: host(index),
                taken: time,
                stores,
                failed_signers,
                ..CertificateFacts::default()
            };
            world.push(index, time, Fact::Certificates(facts));
        }
        let alerts = world.alerts();
        let last = alerts.into_iter().rfind(|alert| alert.state == State::Open).expect("an incident");
        assert!(last.hosts.affected >= 15, "{} hosts are affected", last.hosts.affected);
        last
    }
}

/// The condition, the store and the first digit of the thumbprint of each finding.
fn findings(alert: &Alert) -> Vec<(Condition, String, char)> {
    let found = alert.certificates.iter().map(|found| {
        let digit = found.certificate.as_ref().and_then(|name| name.sha1.chars().next()).unwrap_or('-');
        (found.condition, found.store.clone().unwrap_or_default(), digit)
    });
    found.collect()
}

fn missing(digit: char) -> (Condition, String, char) {
    (Condition::Missing, "TrustedPublisher".to_owned(), digit)
}

fn one() -> CertificateFact {
    certificate('1', "CN=One Publisher")
}

fn two() -> CertificateFact {
    certificate('2', "CN=Two Publisher")
}

fn nobody(_: u32) -> Vec<(CertificateFact, bool)> {
    Vec::new()
}

fn affected_name_two(index: u32) -> Vec<(CertificateFact, bool)> {
    if is_affected(index) { vec![(two(), false)] } else { Vec::new() }
}

#[test]
fn of_several_publishers_the_signer_of_the_failing_file_is_named_first() {
    let without = Fleet::new(&[one(), two()], nobody).alert();
    assert_eq!(findings(&without), [missing('1'), missing('2')]);
    assert!(without.certificates.iter().all(|found| found.file_signer.is_none()));
    let with = Fleet::new(&[one(), two()], affected_name_two).alert();
    assert_eq!(findings(&with), [missing('2'), missing('1')]);
    let hosts = with.certificates[0].affected_known;
    let expected = FileSigner { sha1: two().sha1, hosts, hosts_known: hosts, has_timestamp: false };
    assert_eq!(with.certificates[0].file_signer, Some(expected));
    let words = format!("it is the signer of the failing file on {hosts} of {hosts} affected hosts");
    assert!(with.summary.contains(&words), "{}", with.summary);
    assert_eq!(with.certificates[1].file_signer, None);
}

/// The update was published with a certificate that no host has, and only the affected hosts have tried the update.
#[test]
fn a_signer_that_no_host_has_in_its_stores_is_named() {
    assert_eq!(findings(&Fleet::new(&[one()], nobody).alert()), [missing('1')]);
    let alert = Fleet::new(&[one()], affected_name_two).alert();
    assert_eq!(findings(&alert)[0], missing('2'));
    let found = &alert.certificates[0];
    assert_eq!((found.affected_hosts, found.healthy_hosts), (found.affected_known, found.healthy_known));
}

#[test]
fn hosts_that_install_the_update_without_the_certificate_clear_it() {
    let fleet = Fleet { others_succeed: true, ..Fleet::new(&[one()], affected_name_two) };
    assert_eq!(findings(&fleet.alert()), [missing('1')]);
}

#[test]
fn a_store_that_was_not_read_completely_lacks_nothing_whoever_signed() {
    let fleet = Fleet { is_complete: false, ..Fleet::new(&[one(), two()], affected_name_two) };
    let alert = fleet.alert();
    let in_publishers = |found: &(Condition, String, char)| found.1 == "TrustedPublisher";
    assert_eq!(findings(&alert).into_iter().filter(in_publishers).count(), 0);
    let answered = alert.remediation.iter().filter_map(|step| step.answered.as_deref());
    let words = "is the signer of the failing file, without a time stamp, on ";
    assert!(answered.into_iter().any(|text| text.contains(&two().sha1) && text.contains(words)), "{alert:#?}");
}

/// Expects that the alert with these signers equals the alert without any.
#[track_caller]
fn decides_nothing(signers: fn(u32) -> Vec<(CertificateFact, bool)>) {
    let (with, without) = (Fleet::new(&[one()], signers).alert(), Fleet::new(&[one()], nobody).alert());
    assert_eq!(with.certificates, without.certificates);
    assert_eq!(with.common_factors, without.common_factors);
    assert_eq!(with.remediation, without.remediation);
}

#[test]
fn the_signer_on_one_odd_host_decides_nothing() {
    decides_nothing(|index| if index == SERVER { vec![(two(), false)] } else { Vec::new() });
}

#[test]
fn signers_on_which_hosts_disagree_decide_nothing() {
    decides_nothing(|index| {
        let signer = if index % 8 == SERVER { two() } else { certificate('3', "CN=Three Publisher") };
        if is_affected(index) { vec![(signer, false)] } else { Vec::new() }
    });
}

/// On each host the first check of a third-party update fails, even if the host then installs the update.
#[test]
fn signers_on_healthy_hosts_decide_nothing() {
    decides_nothing(|index| if is_affected(index) { Vec::new() } else { vec![(two(), false)] });
}

/// Clients trust Microsoft's certificates without Trusted Publishers.
#[test]
fn a_certificate_of_microsoft_is_missing_nowhere() {
    let alert = Fleet::new(&[one()], |index| {
        let name = "CN=Microsoft Windows, O=Microsoft Corporation, L=Redmond, S=Washington, C=US";
        if is_affected(index) { vec![(certificate('4', name), true)] } else { Vec::new() }
    })
    .alert();
    assert_eq!(findings(&alert), [missing('1')]);
}
