//! Remedies: the steps of an administrator for a cause, the likeliest first.
//!
//! The cause chooses the steps, since three causes share their codes: 0x800B0109 says that the signer of an update is
//! not trusted, or that the certificate of the WSUS site is not, or that a proxy shows a certificate of its own in
//! place of Microsoft's. Family and codes then choose among the steps and order them. Each command exists in every
//! Windows that the step can concern, and runs on the machine that the step names. Words in capitals stand for a file
//! or certificate of the reader.

mod builds;
mod microsoft;
mod signature;
mod tls;

use std::collections::BTreeSet;

use wulog_schemas::alert::{Cause, CodeCount, NO_WSUS, Step, SubjectCount, cause};
use wulog_schemas::hresult::Family;

pub(crate) use builds::Builds;

/// Steps in a document.
const STEPS_MAX: usize = 10;

const CLOCK: &str = "w32tm /query /status";
const PROXY: &str = "netsh winhttp show proxy";

/// The facts of a failure on which the steps depend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RemedyFacts<'a> {
    /// The cause: the trust that is missing; `None` where the log names no server.
    pub(crate) cause: Option<Cause>,
    /// Family of the first failure.
    pub(crate) family: Family,
    /// All families, in their order.
    pub(crate) families: &'a BTreeSet<Family>,
    /// Codes seen, as `0x%08x`.
    pub(crate) codes: &'a [&'a str],
    /// WSUS server of the hosts, `host[:port]`.
    pub(crate) wsus: Option<&'a str>,
    /// Server that the failing operation talked to, `host[:port]`.
    pub(crate) server: Option<&'a str>,
    /// The signer of the failing updates.
    pub(crate) signer: UpdateSigner,
    /// Builds of Windows on the hosts that fail.
    pub(crate) builds: &'a Builds,
    /// Whether healthy hosts reached the same server, so that its certificate is neither expired nor misnamed.
    pub(crate) is_accepted_elsewhere: bool,
    /// How a step names a machine that fails.
    pub(crate) affected: &'a str,
}

impl RemedyFacts<'_> {
    /// True where one of the codes was seen.
    fn has_code(&self, codes: &[&str]) -> bool {
        self.codes.iter().any(|seen| codes.iter().any(|code| seen.eq_ignore_ascii_case(code)))
    }

    fn affected(&self, check: &str, command: &str) -> Step {
        step(check, command, self.affected)
    }

    fn on_wsus(&self, check: &str, command: &str) -> Step {
        let on = self.wsus_server().map_or("the WSUS server".to_owned(), |name| format!("the WSUS server ({name})"));
        step(check, command, &on)
    }

    /// The WSUS server: the one that was talked to, where the cause is its TLS certificate.
    fn wsus_server(&self) -> Option<&str> {
        match self.cause {
            Some(Cause::WsusTls) => self.server.or(self.wsus),
            Some(Cause::UpdateSignature | Cause::MicrosoftTls) | None => self.wsus,
        }
    }
}

/// The signer of the failing updates, as far as their titles tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpdateSigner {
    /// Microsoft: no publishing certificate has a part in the failure.
    Microsoft,
    /// The publisher of a driver: Microsoft, unless an organization published the driver itself.
    Driver,
    /// An organization, or an unknown signer.
    Organization,
}

/// Who signed updates with these titles, for hosts that have this WSUS server ([`NO_WSUS`] for none): a host without a
/// WSUS server has all of its updates from Microsoft.
pub(crate) fn signer<'a>(wsus: Option<&str>, titles: impl IntoIterator<Item = &'a str>) -> UpdateSigner {
    if wsus == Some(NO_WSUS) {
        return UpdateSigner::Microsoft;
    }
    let mut signer = None;
    for title in titles {
        signer = Some(match signer {
            None | Some(UpdateSigner::Microsoft) if microsoft::is_title(title) => UpdateSigner::Microsoft,
            _ if microsoft::is_title(title) || microsoft::is_driver(title) => UpdateSigner::Driver,
            _ => return UpdateSigner::Organization,
        });
    }
    signer.unwrap_or(UpdateSigner::Organization)
}

/// True for a code with which client and server agree on no protocol or algorithm of TLS.
pub(crate) fn is_negotiation(code: &str) -> bool {
    tls::fault(code) == Some(tls::TlsFault::Negotiation)
}

/// True for a code that says that a certificate is revoked.
pub(crate) fn is_revoked(code: &str) -> bool {
    tls::fault(code) == Some(tls::TlsFault::Revoked)
}

/// The state of an incident, as far as its steps depend on it.
pub(super) struct RemedyState<'a> {
    /// Family of the first failures.
    pub(super) family: Family,
    /// All families.
    pub(super) families: &'a BTreeSet<Family>,
    /// Codes, the one with most hosts first.
    pub(super) codes: &'a [CodeCount],
    /// Subjects that fail, the one with most hosts first.
    pub(super) subjects: &'a [SubjectCount],
    /// WSUS server of the hosts, [`NO_WSUS`] for none.
    pub(super) wsus: Option<&'a str>,
    /// Whether a publishing certificate is the cause.
    pub(super) has_publisher: bool,
    /// Builds of Windows on the hosts.
    pub(super) builds: &'a Builds,
    /// Healthy hosts that succeeded at one of the subjects.
    pub(super) succeeded_elsewhere: u64,
}

/// The steps for an incident: those of its first family first, each family with the cause that its subjects tell.
pub(super) fn of_incident(known: &RemedyState<'_>) -> Vec<Step> {
    let RemedyState { family, families, subjects, wsus, builds, .. } = *known;
    let signer = if known.has_publisher {
        UpdateSigner::Organization
    } else {
        signer(wsus, subjects.iter().filter_map(|count| count.name.as_deref()))
    };
    let server = subjects.iter().find_map(|count| count.subject.strip_prefix("server:"));
    let server = server.filter(|server| *server != "unknown");
    // An incident that took in another one may have both: updates that are refused, and a server that is not trusted.
    let has_updates = subjects.iter().any(|count| !count.subject.starts_with("server:"));
    let codes: Vec<&str> = known.codes.iter().map(|count| count.code.as_str()).collect();
    // A success at an update says nothing of a server.
    let is_accepted_elsewhere = known.succeeded_elsewhere > 0 && !has_updates;
    let mut all = Vec::new();
    for family in std::iter::once(family).chain(families.iter().copied().filter(|other| *other != family)) {
        let operation = if has_updates && family != Family::Tls { "download" } else { "scan" };
        let cause = cause(family, operation, server, wsus);
        let affected = "an affected host";
        let wsus = wsus.filter(|wsus| *wsus != NO_WSUS);
        let codes = &codes;
        let trouble = RemedyFacts {
            cause,
            family,
            families,
            codes,
            wsus,
            server,
            signer,
            builds,
            is_accepted_elsewhere,
            affected,
        };
        add(&mut all, of_family(&trouble, family));
    }
    builds.sort(&mut all);
    all.truncate(STEPS_MAX);
    all
}

/// The steps for a trouble: those of its first family first, none twice.
pub(crate) fn steps(trouble: &RemedyFacts<'_>) -> Vec<Step> {
    let mut all = of_family(trouble, trouble.family);
    for family in trouble.families.iter().filter(|other| **other != trouble.family) {
        add(&mut all, of_family(trouble, *family));
    }
    trouble.builds.sort(&mut all);
    all.truncate(STEPS_MAX);
    all
}

/// Adds the steps whose command is not there yet.
fn add(all: &mut Vec<Step>, steps: Vec<Step>) {
    for step in steps {
        if !all.iter().any(|known| known.command == step.command && known.on == step.on) {
            all.push(step);
        }
    }
}

fn of_family(trouble: &RemedyFacts<'_>, family: Family) -> Vec<Step> {
    match trouble.cause {
        Some(Cause::UpdateSignature) => match trouble.signer {
            UpdateSigner::Microsoft => microsoft::steps(trouble, family),
            UpdateSigner::Driver => microsoft::of_driver(trouble, family),
            UpdateSigner::Organization => signature::steps(trouble, family),
        },
        Some(Cause::WsusTls) => tls::of_wsus(trouble, family),
        Some(Cause::MicrosoftTls) => tls::of_microsoft(trouble, family),
        None => tls::of_unknown_server(trouble, family),
    }
}

fn step(check: &str, command: &str, on: &str) -> Step {
    Step { check: check.to_owned(), command: Some(command.to_owned()), on: Some(on.to_owned()), answered: None }
}

fn clock(trouble: &RemedyFacts<'_>) -> Step {
    trouble.affected("Is the host's clock right? A wrong date makes valid certificates invalid.", CLOCK)
}

fn root_updates(trouble: &RemedyFacts<'_>) -> Step {
    trouble.affected(
        "Do updates of root certificates arrive? A value of 0x1 turns them off; no value means that they do.",
        r"reg query HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates\AuthRoot /v DisableRootAutoUpdate",
    )
}

#[cfg(test)]
mod tests;
