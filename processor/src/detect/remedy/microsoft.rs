//! Steps for the signature of an update that Microsoft signed: the host's support for it, Microsoft's roots, the file.

use wulog_schemas::alert::Step;
use wulog_schemas::hresult::Family;

use super::{Trouble, clock, root_updates, signature};

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

pub(super) fn steps(trouble: &Trouble<'_>, family: Family) -> Vec<Step> {
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
        "powershell -Command \"Get-AuthenticodeSignature FILE | Format-List Status, StatusMessage, SignerCertificate\"",
    );
    let proxy = signature::changed_downloads(trouble);
    let clock = clock(trouble);
    match family {
        Family::Metadata => signature::metadata(trouble),
        Family::Expired => vec![clock, support, root, root_updates, file, proxy],
        Family::Distrust => vec![disallowed, root_updates, root, file, support],
        Family::Revocation => vec![proxy, root_updates, file, clock, root],
        Family::Signature => vec![support, file, proxy, root, root_updates],
        Family::UntrustedRoot | Family::Chain | Family::Tls | Family::Policy => {
            vec![support, root, root_2010, root_updates, disallowed, file, proxy, clock]
        }
    }
}
