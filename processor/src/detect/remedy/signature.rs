//! Steps for the signature of an update: the certificate that signs updates, and what it signed.

use wulog_schemas::alert::Step;
use wulog_schemas::hresult::Family;

use super::tls::{self, TlsFault};
use super::{PROXY, RemedyFacts, clock, step};

const HEALTHY: &str = "a healthy host, to compare";

/// "In Trusted Root, but not in Trusted Publishers": Windows 10 and 11, and older clients.
const NO_PUBLISHER: [&str; 2] = ["0x8024b303", "0x800b0004"];

/// The final code for a chain whose root is not trusted.
const NO_ROOT: [&str; 1] = ["0x800b0109"];

pub(super) const SHA2_UPDATES: &str =
    "powershell -Command \"Get-HotFix | Where-Object { 'KB4474419','KB4490628','KB4493730' -contains $_.HotFixID }\"";
const SHA1: &str = "certutil -hashfile FILE SHA1";
const GROUP_POLICY: &str = "gpresult /scope computer /h gp.html /f";
const SIGNER: &str = "powershell -Command \"Get-AuthenticodeSignature FILE.cab | Format-List SignerCertificate, TimeStamperCertificate\"";

pub(super) fn steps(trouble: &RemedyFacts<'_>, family: Family) -> Vec<Step> {
    match family {
        // TLS has steps of its own, and never comes here.
        Family::UntrustedRoot | Family::Tls => untrusted(trouble),
        Family::Chain => chain(trouble),
        Family::Distrust => distrusted(trouble),
        Family::Expired => expired(trouble),
        Family::Signature => bad_signature(trouble),
        Family::Revocation if is_revoked(trouble) => revoked(trouble),
        Family::Revocation => revocation(trouble),
        Family::Metadata => metadata(trouble),
        Family::Policy => policy(trouble),
    }
}

fn publishing_certificate(trouble: &RemedyFacts<'_>) -> Step {
    trouble.on_wsus(
        "Which certificate signs the updates (the WSUS publishing certificate)? Clients need the one with this very \
         thumbprint (Cert Hash), in two stores.",
        "certutil -store WSUS",
    )
}

fn in_root(trouble: &RemedyFacts<'_>) -> Step {
    trouble.affected(
        "Is it, or the CA that issued it, in Trusted Root of the computer (not of a user)? Without it: 0x800B0109.",
        "certutil -store Root",
    )
}

fn in_trusted_publishers(trouble: &RemedyFacts<'_>) -> Step {
    trouble.affected(
        "Is it in Trusted Publishers too? In Root alone: 0x8024B303 on Windows 10 and 11, 0x800B0004 on older ones.",
        "certutil -store TrustedPublisher",
    )
}

fn group_policy(trouble: &RemedyFacts<'_>) -> Step {
    trouble.affected(
        "Does a GPO deliver it to both stores, and does this GPO reach the host? See Public Key Policies.",
        GROUP_POLICY,
    )
}

fn accepts_intranet_signatures(trouble: &RemedyFacts<'_>) -> Step {
    trouble.affected(
        "Is the policy \"Allow signed updates from an intranet Microsoft update service location\" on (0x1)? Without it \
         only what Microsoft signed is taken.",
        r"reg query HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate /v AcceptTrustedPublisherCerts",
    )
}

fn earlier_certificate(trouble: &RemedyFacts<'_>) -> Step {
    trouble.on_wsus(
        "Was the update signed with an earlier certificate, or with one that has expired and without a time stamp? Then \
         publish it again. FILE.cab: the update's file below WsusContent.",
        SIGNER,
    )
}

pub(super) fn disallowed(trouble: &RemedyFacts<'_>) -> Step {
    trouble.affected("Has somebody distrusted it (Untrusted Certificates)?", "certutil -store Disallowed")
}

fn untrusted(trouble: &RemedyFacts<'_>) -> Vec<Step> {
    let mut stores = [in_root(trouble), in_trusted_publishers(trouble)];
    if trouble.has_code(&NO_PUBLISHER) && !trouble.has_code(&NO_ROOT) {
        stores.reverse();
    }
    let [first, second] = stores;
    vec![
        publishing_certificate(trouble),
        first,
        second,
        accepts_intranet_signatures(trouble),
        group_policy(trouble),
        earlier_certificate(trouble),
        disallowed(trouble),
        step("Does a healthy host have other certificates?", "certutil -store TrustedPublisher", HEALTHY),
    ]
}

fn chain(trouble: &RemedyFacts<'_>) -> Vec<Step> {
    vec![
        trouble.on_wsus(
            "Who issued the certificate that signs the updates? Export it for the next step.",
            "certutil -store WSUS 0 PUBLISHING.cer",
        ),
        verify(trouble, "Which certificate of its chain is missing on the host?"),
        trouble.affected("Are its issuing CAs in Intermediate Certification Authorities?", "certutil -store CA"),
        in_root(trouble),
        in_trusted_publishers(trouble),
        group_policy(trouble),
        accepts_intranet_signatures(trouble),
        earlier_certificate(trouble),
    ]
}

fn distrusted(trouble: &RemedyFacts<'_>) -> Vec<Step> {
    vec![
        disallowed(trouble),
        trouble.affected("Does a GPO distrust it?", "certutil -grouppolicy -store Disallowed"),
        publishing_certificate(trouble),
        earlier_certificate(trouble),
        in_trusted_publishers(trouble),
        group_policy(trouble),
    ]
}

fn expired(trouble: &RemedyFacts<'_>) -> Vec<Step> {
    vec![
        trouble.on_wsus("Until when is the publishing certificate valid (NotAfter)?", "certutil -store WSUS"),
        trouble.on_wsus(
            "Was the update signed with a time stamp? Without one it is refused from the day on which its certificate \
             expires. FILE.cab: the update's file below WsusContent.",
            SIGNER,
        ),
        clock(trouble),
        trouble.affected(
            "Renew the publishing certificate, deliver the new one to Trusted Root and Trusted Publishers, then publish \
             the updates again, with a time stamp. Has the new one arrived?",
            "certutil -store TrustedPublisher",
        ),
        group_policy(trouble),
    ]
}

fn bad_signature(trouble: &RemedyFacts<'_>) -> Vec<Step> {
    vec![
        trouble.on_wsus(
            "Is the file on the server whole? A file in WsusContent is named by its SHA-1. If they differ: wsusutil reset.",
            SHA1,
        ),
        trouble.affected(
            "Is the file on the host whole? A file below C:\\Windows\\SoftwareDistribution\\Download is named by its SHA-1 too. \
             If they differ: the download was damaged, or changed on its way.",
            SHA1,
        ),
        trouble.on_wsus(
            "Is the file signed, and by whom? FILE.cab: the update's file below WsusContent.",
            SIGNER,
        ),
        sha2_support(trouble),
        changed_downloads(trouble),
        publishing_certificate(trouble),
    ]
}

pub(super) fn changed_downloads(trouble: &RemedyFacts<'_>) -> Step {
    trouble.affected("Does a proxy or a virus scanner change downloads?", PROXY)
}

/// The step for hosts without support of SHA-2: Microsoft signs with SHA-2 alone since 2019.
pub(super) fn sha2_support(trouble: &RemedyFacts<'_>) -> Step {
    trouble.affected(
        "Windows 7 and Server 2008 only: are SHA-2 signatures understood (KB4474419 with KB4490628, on Server 2008 with \
         KB4493730)?",
        SHA2_UPDATES,
    )
}

/// True where the certificate is revoked; false where its revocation could not be checked.
pub(super) fn is_revoked(trouble: &RemedyFacts<'_>) -> bool {
    let told = trouble.codes.iter().filter_map(|code| tls::fault(code));
    told.into_iter().find(|fault| matches!(fault, TlsFault::Revoked | TlsFault::Unchecked)) == Some(TlsFault::Revoked)
}

fn revoked(trouble: &RemedyFacts<'_>) -> Vec<Step> {
    vec![
        trouble.on_wsus(
            "The certificate that signed the update is revoked. Is it the publishing certificate? Then create a new one, and \
             publish the updates again with it. Export the old one for the next step.",
            "certutil -store WSUS 0 PUBLISHING.cer",
        ),
        verify(trouble, "Which certificate of the chain is revoked, and why?"),
        trouble.on_wsus("Which certificate signed the update? FILE.cab: the update's file below WsusContent.", SIGNER),
        disallowed(trouble),
        trouble.affected(
            "Has the new publishing certificate arrived in Trusted Publishers, and in Trusted Root?",
            "certutil -store TrustedPublisher",
        ),
        group_policy(trouble),
    ]
}

fn revocation(trouble: &RemedyFacts<'_>) -> Vec<Step> {
    vec![
        trouble.on_wsus(
            "Which certificate signs the updates? Export it for the next step.",
            "certutil -store WSUS 0 PUBLISHING.cer",
        ),
        verify(trouble, "Has it been revoked, and can the host fetch the revocation lists (CRL, OCSP) that it names?"),
        trouble.affected("Is the proxy right by which the service fetches them?", PROXY),
        trouble.affected(
            "Is the newest list of the issuing CA still valid (Next Update)? CA.crl: fetched from the URL in the \
             certificate.",
            "certutil -dump CA.crl",
        ),
        clock(trouble),
    ]
}

fn verify(trouble: &RemedyFacts<'_>, check: &str) -> Step {
    trouble.affected(check, "certutil -verify -urlfetch PUBLISHING.cer")
}

pub(super) fn metadata(trouble: &RemedyFacts<'_>) -> Vec<Step> {
    vec![
        trouble
            .affected("Is the host's clock right? Update metadata has time stamps, which are checked.", super::CLOCK),
        trouble.affected("Does a proxy change answers of the update service?", PROXY),
        trouble.affected(
            "Is Microsoft's root, with which metadata is signed, in Trusted Root?",
            "certutil -store Root \"Microsoft Root Certificate Authority 2011\"",
        ),
        trouble.on_wsus(
            "Did the server's last synchronization succeed? A damaged one is mended by synchronizing again.",
            "powershell -Command \"(Get-WsusServer).GetSubscription().GetLastSynchronizationInfo()\"",
        ),
    ]
}

fn policy(trouble: &RemedyFacts<'_>) -> Vec<Step> {
    vec![
        trouble.on_wsus(
            "Is the publishing certificate meant for Code Signing (Enhanced Key Usage), with a key of 2048 bits or more?",
            "certutil -v -store WSUS",
        ),
        trouble.affected("Which policy forbids it? See Public Key Policies.", GROUP_POLICY),
        trouble.affected("Is the same certificate in Trusted Publishers?", "certutil -store TrustedPublisher"),
        accepts_intranet_signatures(trouble),
    ]
}
