//! What to check: the steps of an administrator for a cause, the likeliest first.
//!
//! The cause decides, since three causes share their codes: 0x800B0109 says that the signer of an update is not trusted,
//! or that the certificate of the WSUS site is not, or that a proxy shows a certificate of its own in place of
//! Microsoft's. Family and codes then choose and order the steps. Each command exists in every Windows that the step can
//! concern, and runs on the machine that the step names. Words in capitals stand for a file or certificate of the reader.

mod microsoft;
mod signature;
mod tls;

use std::collections::BTreeSet;

use wulog_schemas::alert::{Cause, CodeCount, NO_WSUS, Step, SubjectCount, cause};
use wulog_schemas::hresult::Family;

/// Steps in a document.
const STEPS_MAX: usize = 10;

const CLOCK: &str = "w32tm /query /status";
const PROXY: &str = "netsh winhttp show proxy";

/// What is known of a failure, as far as the steps depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble<'a> {
    /// Which trust is missing; `None` where the log names no server.
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
    /// Whether Microsoft signed the updates that fail, so that no publishing certificate has a part in it.
    pub(crate) of_microsoft: bool,
    /// How a step names a machine that fails.
    pub(crate) affected: &'a str,
}

impl Trouble<'_> {
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

/// Whether Microsoft signed updates with these titles, for hosts that have this WSUS server ([`NO_WSUS`] for none): a host
/// without one has all of its updates from Microsoft.
pub(crate) fn is_of_microsoft<'a>(wsus: Option<&str>, titles: impl IntoIterator<Item = &'a str>) -> bool {
    let mut titles = titles.into_iter().peekable();
    wsus == Some(NO_WSUS) || titles.peek().is_some() && titles.all(microsoft::is_title)
}

/// The steps for an incident: those of its first family first, each family with the cause that its subjects tell. `wsus` is
/// the server that its hosts have, [`NO_WSUS`] for none; `has_publisher` says that a publishing certificate is the cause.
pub(super) fn of_incident(
    family: Family,
    families: &BTreeSet<Family>,
    codes: &[CodeCount],
    subjects: &[SubjectCount],
    wsus: Option<&str>,
    has_publisher: bool,
) -> Vec<Step> {
    let of_microsoft =
        !has_publisher && is_of_microsoft(wsus, subjects.iter().filter_map(|count| count.name.as_deref()));
    let server = subjects.iter().find_map(|count| count.subject.strip_prefix("server:"));
    let server = server.filter(|server| *server != "unknown");
    // An incident that took in another one may have both: updates that are refused, and a server that is not trusted.
    let has_updates = subjects.iter().any(|count| !count.subject.starts_with("server:"));
    let codes: Vec<&str> = codes.iter().map(|count| count.code.as_str()).collect();
    let mut all = Vec::new();
    for family in std::iter::once(family).chain(families.iter().copied().filter(|other| *other != family)) {
        let operation = if has_updates && family != Family::Tls { "download" } else { "scan" };
        let cause = cause(family, operation, server, wsus);
        let affected = "an affected host";
        let wsus = wsus.filter(|wsus| *wsus != NO_WSUS);
        let trouble = Trouble { cause, family, families, codes: &codes, wsus, server, of_microsoft, affected };
        add(&mut all, of_family(&trouble, family));
    }
    all.truncate(STEPS_MAX);
    all
}

/// The steps for a trouble: those of its first family first, none twice.
pub(crate) fn steps(trouble: &Trouble<'_>) -> Vec<Step> {
    let mut all = of_family(trouble, trouble.family);
    for family in trouble.families.iter().filter(|other| **other != trouble.family) {
        add(&mut all, of_family(trouble, *family));
    }
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

fn of_family(trouble: &Trouble<'_>, family: Family) -> Vec<Step> {
    match trouble.cause {
        Some(Cause::UpdateSignature) if trouble.of_microsoft => microsoft::steps(trouble, family),
        Some(Cause::UpdateSignature) => signature::steps(trouble, family),
        Some(Cause::WsusTls) => tls::of_wsus(trouble, family),
        Some(Cause::MicrosoftTls) => tls::of_microsoft(trouble),
        None => tls::of_unknown_server(trouble, family),
    }
}

fn step(check: &str, command: &str, on: &str) -> Step {
    Step { check: check.to_owned(), command: Some(command.to_owned()), on: Some(on.to_owned()), answered: None }
}

fn clock(trouble: &Trouble<'_>) -> Step {
    trouble.affected("Is the host's clock right? A wrong date makes valid certificates invalid.", CLOCK)
}

fn root_updates(trouble: &Trouble<'_>) -> Step {
    trouble.affected(
        "Do updates of root certificates arrive? A value of 0x1 turns them off; no value means that they do.",
        r"reg query HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates\AuthRoot /v DisableRootAutoUpdate",
    )
}

#[cfg(test)]
mod tests;
