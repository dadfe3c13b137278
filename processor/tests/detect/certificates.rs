//! The certificates in an alert, where inventories show which certificate is missing.

use wulog_schemas::alert::{Alert, Condition, Step};
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::{CertificateFact, CertificateFacts, Fact, HostRef, StoreFacts};

use crate::world::{DAY, HOUR, MINUTE, START, THIRD_PARTY, World, host, wsus_of};

const AUTHORITY: &str = "CN=Example Root CA";

fn certificate(byte: &str, subject: &str, issuer: &str) -> CertificateFact {
    CertificateFact {
        sha1: byte.repeat(20),
        subject: subject.to_owned(),
        issuer: issuer.to_owned(),
        not_before: Some(START - 100 * DAY),
        not_after: Some(START + 1000 * DAY),
        by_policy: false,
    }
}

fn signer() -> CertificateFact {
    certificate("b2", "CN=Example Publishing", AUTHORITY)
}

fn authority() -> CertificateFact {
    certificate("c3", AUTHORITY, "")
}

/// Stores of a host by name.
type Stores = Vec<(&'static str, Vec<CertificateFact>)>;

/// 80 hosts whose stores depend on whether they fail. The clients of one server fail with `code` at the update that the
/// other hosts install.
fn failing_with(code: &str, seed: u64, stores: impl Fn(bool) -> Stores) -> World {
    let mut world = World::new(80, seed);
    let onset = START + 2 * DAY;
    world.live(START, START + 3 * DAY, |_, _, _| {});
    for index in 0..80 {
        let fails = wsus_of(index) == 1;
        let complete =
            |(name, certificates): (&str, _)| StoreFacts { name: name.to_owned(), complete: true, certificates };
        let stores = stores(fails).into_iter().map(complete).collect();
        let facts = CertificateFacts { host: host(index), taken: START + DAY, stores, ..CertificateFacts::default() };
        world.push(index, START + DAY, Fact::Certificates(facts));
        let time = onset + i64::from(index) * MINUTE;
        if fails {
            world.attempt(index, time, THIRD_PARTY, Some((Family::UntrustedRoot, code, time)));
        } else {
            world.succeed(index, time - 2 * HOUR, THIRD_PARTY);
        }
    }
    world
}

/// The signer is in Trusted Publishers everywhere. The CA that issued it is missing in Trusted Root on the clients of one
/// server.
fn lacking_the_authority() -> Alert {
    let world = failing_with("0x800b0109", 5, |fails| {
        let root = if fails { vec![] } else { vec![authority()] };
        vec![("TrustedPublisher", vec![signer()]), ("Root", root), ("Disallowed", vec![])]
    });
    world.alerts().pop().expect("an incident")
}

/// A CA belongs into Trusted Root alone. The steps about Trusted Publishers concern the certificate that the CA issued.
#[test]
fn a_missing_authority_is_delivered_to_trusted_root_alone() {
    let alert = lacking_the_authority();
    let found = &alert.certificates[0];
    let name = found.certificate.as_ref().expect("a certificate");
    assert_eq!((found.condition, &name.sha1), (Condition::Missing, &authority().sha1));
    assert_eq!(found.store.as_deref(), Some("Root"));
    assert!(found.also_missing_in.is_empty() && found.wsus.is_none(), "{found:?}");
    assert!(found.fix.contains("Trusted Root") && !found.fix.contains("Trusted Publishers"), "{}", found.fix);
    assert!(!found.says.contains("Trusted Publishers") && !found.says.contains("WSUS"), "{}", found.says);
    for (command, sha1, answer) in [
        ("certutil -store Root", authority().sha1, "is there on 0 of 20 affected"),
        ("certutil -store TrustedPublisher", signer().sha1, "is there on 20 of 20 affected"),
        ("certutil -store Disallowed", signer().sha1, "is there on 0 of 20 affected"),
    ] {
        let of_affected =
            |step: &&Step| step.command.as_deref() == Some(command) && step.on.as_deref() == Some("an affected host");
        let step = alert.remediation.iter().find(of_affected).expect("the step");
        let answered = step.answered.as_deref().expect("an answer");
        assert!(answered.contains(&sha1) && answered.contains(answer), "{command}: {answered}");
    }
}

/// A vendor of drivers is in Trusted Publishers of the hosts that install the update, and of no host that fails at it.
/// The WSUS machine signs with another certificate, which all hosts have: so neither is the cause.
#[test]
fn a_publisher_that_signs_no_wsus_update_is_not_a_cause() {
    let vendor = || certificate("d4", "CN=Example Drivers Inc", "CN=Public CA");
    let alert = |signs: fn() -> Option<CertificateFact>| {
        let mut world = failing_with("0x800b0109", 7, |fails| {
            let publishers = if fails { vec![signer()] } else { vec![signer(), vendor()] };
            vec![("TrustedPublisher", publishers), ("Root", vec![authority()])]
        });
        if let Some(certificate) = signs() {
            let machine = HostRef { id: "f".repeat(32), name: "wsus1.corp.example".to_owned() };
            let stores = vec![StoreFacts { name: "WSUS".to_owned(), complete: true, certificates: vec![certificate] }];
            let facts = CertificateFacts { host: machine, taken: START + DAY, stores, ..CertificateFacts::default() };
            world.push(80, START + DAY, Fact::Certificates(facts));
        }
        world.alerts().pop().expect("an incident")
    };
    let with_machine = alert(|| Some(signer()));
    assert!(with_machine.certificates.is_empty(), "{:#?}", with_machine.certificates);
    assert!(!with_machine.summary.contains("Cause"), "{}", with_machine.summary);
    // Where no machine shows the signing certificate, the difference between the hosts decides.
    assert_eq!(alert(|| None).certificates[0].certificate.as_ref().unwrap().sha1, vendor().sha1);
}

/// An administrator has distrusted the publisher on the hosts that fail. The code says only that the file is not
/// trusted.
#[test]
fn a_publisher_in_untrusted_certificates_is_the_cause_whatever_the_code() {
    let world = failing_with("0x8024b303", 9, |fails| {
        let distrusted = if fails { vec![signer()] } else { vec![] };
        vec![("TrustedPublisher", vec![signer()]), ("Root", vec![authority()]), ("Disallowed", distrusted)]
    });
    let alert = world.alerts().pop().expect("an incident");
    let found = &alert.certificates[0];
    assert_eq!((found.condition, found.store.as_deref()), (Condition::Distrusted, Some("Disallowed")));
    assert_eq!(alert.common_factors[0].dimension, "certificate");
}
