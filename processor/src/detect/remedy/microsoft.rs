//! Steps for the signature of an update that Microsoft signed: the host's support for it, Microsoft's roots, the file.

use wulog_schemas::alert::Step;
use wulog_schemas::hresult::Family;

use super::{RemedyFacts, add, clock, root_updates, signature};

const SIGNATURE: &str =
    "powershell -Command \"Get-AuthenticodeSignature FILE | Format-List Status, StatusMessage, SignerCertificate\"";

/// Whether a title is one of Microsoft's own updates. An organization may publish a program "for Windows" by itself, so
/// that this word alone says nothing.
pub(super) fn is_title(title: &str) -> bool {
    /// Words of titles in Microsoft's catalog; German has its own.
    const WORDS: [&str; 16] = [
        "microsoft",
        "windows defender",
        "malicious software removal tool",
        "tool zum entfernen bösartiger software",
        "servicing stack update",
        "cumulative update for",
        "kumulatives update für",
        "security update for windows",
        "sicherheitsupdate für windows",
        "quality rollup for",
        "qualitätsrollup für",
        "security only quality update for",
        "security intelligence update",
        "feature update to windows",
        "funktionsupdate für windows",
        "update for windows",
    ];
    let lower = title.to_lowercase();
    let is_of_month = lower.as_bytes().get(..8).is_some_and(|month| {
        month.iter().enumerate().all(|(at, byte)| match at {
            4 => *byte == b'-',
            7 => *byte == b' ',
            _ => byte.is_ascii_digit(),
        })
    });
    (is_of_month && lower.contains("windows")) || WORDS.iter().any(|word| lower.contains(word))
}

/// Whether a title is that of a driver in Microsoft's catalog, `VENDOR - CLASS - VERSION`: `Intel - net - 12.19.2.45`.
pub(super) fn is_driver(title: &str) -> bool {
    let mut parts = title.rsplit(" - ");
    let version = parts.next().unwrap_or_default();
    let is_version = version.contains('.')
        && version.split('.').all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    is_version && parts.filter(|part| !part.trim().is_empty()).count() >= 2
}

/// Steps for a driver. Microsoft signs those of its catalog; an organization may publish another one itself.
pub(super) fn of_driver(trouble: &RemedyFacts<'_>, family: Family) -> Vec<Step> {
    /// Leaves room for the steps of a driver that the organization published itself.
    const OF_MICROSOFT_MAX: usize = 5;
    let signer = trouble.affected(
        "Who signed the driver, and is its file whole? For Microsoft's catalog: Microsoft Windows Hardware Compatibility \
         Publisher. FILE: below C:\\Windows\\SoftwareDistribution\\Download.",
        SIGNATURE,
    );
    let mut all = vec![signer];
    add(&mut all, steps(trouble, family));
    // The step of an older Windows would take the place of another step.
    trouble.builds.sort(&mut all);
    all.truncate(OF_MICROSOFT_MAX);
    let published = trouble.on_wsus(
        "If your organization published the driver itself: which certificate signs its updates (the WSUS publishing \
         certificate)? Clients need the one with this very thumbprint (Cert Hash), in two stores.",
        "certutil -store WSUS",
    );
    add(&mut all, vec![published]);
    add(&mut all, signature::steps(trouble, family));
    all
}

pub(super) fn steps(trouble: &RemedyFacts<'_>, family: Family) -> Vec<Step> {
    let support = signature::sha2_support(trouble);
    let root = trouble.affected(
        "Is Microsoft's root, which issued the signer, in Trusted Root?",
        "certutil -store Root \"Microsoft Root Certificate Authority 2011\"",
    );
    let root_2010 = trouble.affected(
        "The same for the root of updates before 2011.",
        "certutil -store Root \"Microsoft Root Certificate Authority 2010\"",
    );
    let root_updates = root_updates(trouble);
    let disallowed = signature::disallowed(trouble);
    let file = trouble.affected(
        "Who signed the file that the host has, and is it whole? FILE: below C:\\Windows\\SoftwareDistribution\\Download.",
        SIGNATURE,
    );
    let proxy = signature::changed_downloads(trouble);
    let clock = clock(trouble);
    match family {
        Family::Metadata => signature::metadata(trouble),
        Family::Expired => vec![clock, support, root, root_updates, file, proxy],
        Family::Distrust => vec![disallowed, root_updates, root, file, support],
        Family::Revocation if signature::is_revoked(trouble) => vec![file, disallowed, root_updates, proxy, clock],
        Family::Revocation => vec![proxy, root_updates, file, clock, root],
        Family::Signature => vec![support, file, proxy, root, root_updates],
        Family::UntrustedRoot | Family::Chain | Family::Tls | Family::Policy => {
            vec![support, root, root_2010, root_updates, disallowed, file, proxy, clock]
        }
    }
}
