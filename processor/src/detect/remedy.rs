//! What to check, by family: the steps of an administrator, the likeliest first.

use std::collections::BTreeSet;

use wulog_schemas::alert::{Factor, Step};
use wulog_schemas::hresult::Family;

/// Steps in a document.
const STEPS_MAX: usize = 10;

const AFFECTED: &str = "an affected host";
const HEALTHY: &str = "a healthy host, to compare";

/// The steps for an incident's families, those of its first one first, none twice; `factors` sharpen them.
pub(super) fn all_steps(family: Family, families: &BTreeSet<Family>, factors: &[Factor]) -> Vec<Step> {
    let mut all = steps(family, factors);
    for step in families.iter().filter(|other| **other != family).flat_map(|other| steps(*other, factors)) {
        if !all.contains(&step) {
            all.push(step);
        }
    }
    all.truncate(STEPS_MAX);
    all
}

fn steps(family: Family, factors: &[Factor]) -> Vec<Step> {
    let wsus = factors.iter().find(|factor| factor.dimension == "wsus").map(|factor| factor.value.as_str());
    let wsus_machine = wsus.map_or("the WSUS server".to_owned(), |name| format!("the WSUS server ({name})"));
    match family {
        Family::UntrustedRoot | Family::Chain | Family::Distrust => vec![
            step(
                "Is the certificate that signs the updates (the WSUS publishing certificate) on the WSUS machine, and is it the one that clients have?",
                "certutil -store WSUS",
                &wsus_machine,
            ),
            step("Is it in Trusted Root on the clients? Without it: 0x800B0109.", "certutil -store Root", AFFECTED),
            step(
                "Is it in Trusted Publishers too? In Root alone: 0x800B0004.",
                "certutil -store TrustedPublisher",
                AFFECTED,
            ),
            step(
                "Does a GPO put it in both stores, and does it reach these hosts?",
                "gpresult /scope computer /h gp.html",
                AFFECTED,
            ),
            step("Has somebody distrusted it?", "certutil -store Disallowed", AFFECTED),
            step("Do the stores differ?", "certutil -store TrustedPublisher", HEALTHY),
        ],
        Family::Expired => vec![
            step(
                "Has the signing certificate expired, and were its updates signed without a time stamp?",
                "certutil -store TrustedPublisher",
                AFFECTED,
            ),
            step("Is the host's clock right?", "w32tm /query /status", AFFECTED),
            step(
                "Renew the publishing certificate and publish the updates again, with a time stamp.",
                "certutil -store WSUS",
                &wsus_machine,
            ),
        ],
        Family::Signature => vec![
            step(
                "Is the file on the server the one that was signed? Compare its hash with a good replica's.",
                "certutil -hashfile FILE SHA256",
                &wsus_machine,
            ),
            step(
                "Does the operating system understand SHA-2 signatures (Windows 7: KB4474419, KB4490628)?",
                "wmic qfe get HotFixID",
                AFFECTED,
            ),
            step("Does a proxy or a virus scanner change downloads?", "netsh winhttp show proxy", AFFECTED),
        ],
        Family::Revocation => vec![
            step("Can the host fetch the revocation list?", "certutil -url CERTIFICATE.cer", AFFECTED),
            step("Which proxy does the service use?", "netsh winhttp show proxy", AFFECTED),
            step("Has the certificate been revoked?", "certutil -verify -urlfetch CERTIFICATE.cer", AFFECTED),
        ],
        Family::Tls => vec![
            step(
                "Which certificate does the server show, who issued it, until when is it valid?",
                "certutil -verify -urlfetch SERVER.cer",
                &wsus_machine,
            ),
            step("Does a proxy inspect TLS between host and server?", "netsh winhttp show proxy", AFFECTED),
            step("Is the host's clock right?", "w32tm /query /status", AFFECTED),
            step("Is the issuer trusted?", "certutil -store Root", AFFECTED),
        ],
        Family::Metadata => vec![
            step(
                "Has the server's own certificate or its update source changed?",
                "certutil -store WSUS",
                &wsus_machine,
            ),
            step("Does a proxy change answers of the update service?", "netsh winhttp show proxy", AFFECTED),
        ],
        Family::Policy => vec![
            step("Which policy forbids the certificate?", "gpresult /scope computer /h gp.html", AFFECTED),
            step("What is the certificate for?", "certutil -store TrustedPublisher", AFFECTED),
        ],
    }
}

fn step(check: &str, command: &str, on: &str) -> Step {
    Step { check: check.to_owned(), command: Some(command.to_owned()), on: Some(on.to_owned()) }
}
