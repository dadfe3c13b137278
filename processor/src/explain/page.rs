//! The page for a person: the verdict in a sentence, the facts, and the steps to check.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::DateTime;
use wulog_schemas::alert::{Cause, NO_WSUS, Step, cause};
use wulog_schemas::hresult::{self, Family};

use super::advice::THIS_HOST;
use super::failure::{ExplainedFailure, UNNAMED};
use super::story::{Story, SucceededUpdate, UpdateOperation};
use super::{Explanation, Verdict, advice, windows};
use crate::detect::remedy;
use crate::replay::ReplayError;
use crate::report::{TextPage, letters};

/// Most failures that are described; further failures are only counted.
const FAILURES_SHOWN: usize = 3;

/// Fewest steps that are shown, even where the page then is longer than the screen.
const STEPS_MIN: usize = 3;

/// The inputs of the page besides the story.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// Name of the host.
    pub host: String,
    /// Names of the files.
    pub files: Vec<String>,
    /// Columns of the terminal.
    pub width: usize,
    /// Lines of the terminal, which bound the number of steps.
    pub lines: usize,
}

/// Returns the page where no file is text. `advice` names the file and the remedy.
pub(super) fn of_binary(advice: &str, sheet: &Sheet) -> Explanation {
    let mut page = TextPage::new(sheet.width, letters);
    page.wrapped("", &format!("{}: cannot be read: this is no text.", sheet.host));
    page.blank();
    page.fact("log", advice);
    Explanation { verdict: Verdict::Unreadable, text: page.text }
}

/// Returns the page of a story; `refused` holds the remedies for files that are not text.
pub(super) fn explanation(story: &Story, refused: &[ReplayError], sheet: &Sheet) -> Explanation {
    let mut page = TextPage::new(sheet.width, letters);
    let failing = story.failing();
    let verdict = match (story.has_told(&failing), failing.is_empty()) {
        (false, _) => Verdict::Unreadable,
        (true, true) => Verdict::Healthy,
        (true, false) => Verdict::Failing,
    };
    match verdict {
        Verdict::Unreadable => unreadable(&mut page, story, sheet),
        Verdict::Healthy => {
            page.wrapped("", &format!("{}: {}", sheet.host, healthy(story)));
            page.blank();
            facts(&mut page, story, &failing, sheet);
        }
        Verdict::Failing => {
            page.wrapped("", &format!("{}: {}", sheet.host, headline(story, &failing[0])));
            page.blank();
            facts(&mut page, story, &failing, sheet);
            fails(&mut page, story, &failing);
            trust(&mut page, story, &failing);
            checks(&mut page, &steps(story, &failing), sheet);
        }
    }
    for file in refused {
        page.fact("not read", &file.to_string());
    }
    Explanation { verdict, text: page.text }
}

fn unreadable(page: &mut TextPage, story: &Story, sheet: &Sheet) {
    let of_lines = if story.is_mostly_undecoded() { "mostly undecoded" } else { "empty" };
    let reason = story.unreadable().map_or(of_lines, |unreadable| unreadable.reason.as_str());
    let (what, remedy) = match reason {
        "undecoded" | "mostly undecoded" => (
            if reason == "undecoded" {
                "no line is decoded (No Format Information found)."
            } else {
                "most lines are not decoded (No Format Information found), and no operation ends in the others."
            },
            "Run Get-WindowsUpdateLog on the host itself; Windows 10 before 1709 needs access to Microsoft's symbol \
             server for it. Or explain C:\\Windows\\SoftwareDistribution\\ReportingEvents.log, which needs no decoding.",
        ),
        "foreign" => (
            "this is the log of another program.",
            "The update client's logs are C:\\Windows\\WindowsUpdate.log (before Windows 10), the file that \
             Get-WindowsUpdateLog writes (since), C:\\Windows\\SoftwareDistribution\\ReportingEvents.log, and on clients \
             of Configuration Manager C:\\Windows\\CCM\\Logs\\WUAHandler.log.",
        ),
        "text" => (
            "no line has the columns of an update client's log.",
            "Give the log file itself. The update client's logs are C:\\Windows\\WindowsUpdate.log (before Windows 10), \
             the file that Get-WindowsUpdateLog writes (since), and \
             C:\\Windows\\SoftwareDistribution\\ReportingEvents.log.",
        ),
        _ => (
            "the log tells nothing.",
            "An empty file has to be copied again. A trace (.etl) is decoded by Get-WindowsUpdateLog on the host that \
             wrote it.",
        ),
    };
    page.wrapped("", &format!("{}: cannot be read: {what}", sheet.host));
    page.blank();
    page.fact("log", &sheet.files.join(", "));
    if !story.foreign.is_empty() {
        let forms: Vec<String> = story.foreign.iter().map(|(form, lines)| format!("{lines} lines of {form}")).collect();
        page.fact("found", &forms.join(", "));
    }
    page.fact("do", remedy);
}

fn healthy(story: &Story) -> &'static str {
    if story.scan.is_none() && story.successes.is_empty() {
        "nothing fails, but the log has no end of a scan, download or installation."
    } else {
        "nothing fails."
    }
}

/// Returns a sentence that says what fails.
fn headline(story: &Story, failure: &ExplainedFailure) -> String {
    let Some(family) = failure.family else {
        return format!("{} fails. It is no matter of certificate trust.", capitalized(&object(story, failure)));
    };
    let why = match cause_of(story, failure) {
        Some(Cause::WsusTls) => of_tls(failure, "its WSUS server"),
        Some(Cause::MicrosoftTls) => of_tls(failure, "Microsoft's update service"),
        None => of_tls(failure, "its update server"),
        Some(Cause::UpdateSignature) => of_signature(failure, family).to_owned(),
    };
    format!("{} fails: {why}.", capitalized(&object(story, failure)))
}

fn has(failure: &ExplainedFailure, is_such: fn(&str) -> bool) -> bool {
    failure.code.as_deref().is_some_and(is_such)
}

fn of_tls(failure: &ExplainedFailure, server: &str) -> String {
    if has(failure, remedy::is_negotiation) {
        return format!(
            "the TLS connection to {server} does not come about, likely for want of a common protocol or cipher"
        );
    }
    if has(failure, remedy::is_revoked) {
        return format!("the TLS certificate of {server} is revoked");
    }
    match failure.family {
        Some(Family::Revocation) => format!("whether the TLS certificate of {server} is revoked could not be checked"),
        _ if server.starts_with("Microsoft") => {
            format!("this host does not accept the TLS certificate that it is shown for {server}")
        }
        _ => format!("this host does not accept the TLS certificate of {server}"),
    }
}

fn of_signature(failure: &ExplainedFailure, family: Family) -> &'static str {
    match family {
        Family::UntrustedRoot => "this host does not trust the certificate that signed the update",
        Family::Chain => "the chain of the certificate that signed the update is not complete, or not valid",
        Family::Expired => "the certificate that signed the update has expired, or this host's clock is wrong",
        Family::Signature => "the signature is missing or invalid, or the file is not the one that was signed",
        Family::Revocation if has(failure, remedy::is_revoked) => "the certificate that signed the update is revoked",
        Family::Revocation => "whether the certificate that signed the update is revoked could not be checked",
        Family::Tls => "the TLS certificate of the server is not accepted",
        Family::Distrust => "this host distrusts the certificate that signed the update",
        Family::Metadata => "the signature of the update's metadata is not valid",
        Family::Policy => "a policy, or its purpose, forbids the certificate that signed the update",
    }
}

/// `the download of "VideoTool 3.2 (KB9990001)"`
fn object(story: &Story, failure: &ExplainedFailure) -> String {
    let named = failure.update.as_deref().map(|id| story.name_of(id).unwrap_or_else(|| format!("update {id}")));
    let named = named.or_else(|| failure.object.clone());
    match (failure.operation.as_str(), named) {
        ("scan", Some(server)) => format!("the scan at {server}"),
        ("scan", None) => "the scan for updates".to_owned(),
        (operation, Some(server)) if failure.update.is_none() && server_of(failure).is_some() => {
            format!("the {operation} from {server}")
        }
        ("verification", Some(name)) => format!("the check of {name}"),
        ("install", Some(name)) => format!("the installation of {name}"),
        ("install", None) => "the installation of an update".to_owned(),
        (UNNAMED, _) => "the update client".to_owned(),
        ("uninstall", Some(name)) => format!("the uninstallation of {name}"),
        ("uninstall", None) => "the uninstallation of an update".to_owned(),
        (operation, Some(name)) => format!("the {operation} of {name}"),
        (operation, None) => format!("the {operation} of an update"),
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Returns the server whose certificate the host does not trust.
fn server_of(failure: &ExplainedFailure) -> Option<&str> {
    let is_server = failure.operation == "scan" || failure.family == Some(Family::Tls);
    failure.object.as_deref().filter(|_| is_server)
}

fn cause_of(story: &Story, failure: &ExplainedFailure) -> Option<Cause> {
    let family = failure.family?;
    let server = server_of(failure);
    cause(family, &failure.operation, server, story.wsus.as_deref())
}

fn facts(page: &mut TextPage, story: &Story, failing: &[ExplainedFailure], sheet: &Sheet) {
    let os = story.os.as_deref().map(|os| match windows::product(os) {
        Some(product) => format!("{product} ({os})"),
        None => format!("Windows {os}"),
    });
    let client = story.client.as_deref().map(|client| format!("update client {client}"));
    let parts: Vec<String> = [os, client].into_iter().flatten().collect();
    let client = if parts.is_empty() { "not told".to_owned() } else { parts.join(", ") };
    page.fact("client", &client);
    page.fact("server", &server(story));
    page.fact("log", &log(story, sheet));
    page.fact("last scan", &last_scan(story));
    page.fact("succeeded", &succeeded(story, failing));
}

fn server(story: &Story) -> String {
    let wsus = story.wsus.as_deref().filter(|wsus| *wsus != NO_WSUS);
    let mut text = match wsus {
        Some(wsus) => format!("WSUS {wsus}"),
        None if story.services.iter().any(|service| service == "wsus") => "WSUS, its name is not told".to_owned(),
        None if !story.services.is_empty() => "Microsoft's update service".to_owned(),
        None => "not told".to_owned(),
    };
    if let Some(group) = &story.target_group {
        let _ = write!(text, ", target group {group}");
    }
    if let Some(proxy) = &story.proxy {
        let _ = write!(text, ", proxy {proxy}");
    }
    text
}

fn log(story: &Story, sheet: &Sheet) -> String {
    let files = sheet.files.join(", ");
    let lines = if story.lines == 1 { "1 line".to_owned() } else { format!("{} lines", story.lines) };
    let Some((first, last)) = story.span else { return format!("{files}: {lines}, none with a time") };
    let zone = match story.offset_min {
        Some(minutes) => format!("UTC{}", offset(minutes)),
        None => "local time, UTC offset not told".to_owned(),
    };
    let mut text = format!("{files}: {lines}, {} to {}, {zone}", when(story, first), when(story, last));
    if story.undecoded > 0 {
        let _ = write!(text, "; {} not decoded (No Format Information found)", story.undecoded);
    }
    if story.lossy > 0 {
        let _ = write!(text, "; {} with unreadable letters: try --encoding windows-1252", story.lossy);
    }
    text
}

fn offset(minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

/// Returns a time in the local time of the log.
fn when(story: &Story, millis: i64) -> String {
    let local = millis.saturating_add(i64::from(story.offset_min.unwrap_or_default()) * 60_000);
    DateTime::from_timestamp_millis(local)
        .map_or_else(|| "an unknown time".to_owned(), |time| time.format("%Y-%m-%d %H:%M").to_string())
}

fn last_scan(story: &Story) -> String {
    let Some(scan) = &story.scan else { return "none in this log".to_owned() };
    let how = match (&scan.code, scan.failed) {
        (_, false) => "succeeded".to_owned(),
        (Some(code), true) => format!("failed with {}", named_code(code)),
        (None, true) => "failed".to_owned(),
    };
    format!("{} {how}", when(story, scan.at))
}

fn succeeded(story: &Story, failing: &[ExplainedFailure]) -> String {
    // A transfer comes before the check of the file's signature, which may refuse the file.
    let is_refused = |id: &str, success: &SucceededUpdate| {
        let refuses = |failure: &ExplainedFailure| failure.update.as_deref() == Some(id) && failure.last >= success.at;
        success.done == UpdateOperation::Downloaded && failing.iter().any(refuses)
    };
    let successes: Vec<_> = story.successes.iter().filter(|(id, success)| !is_refused(id, success)).collect();
    let Some((id, last)) = successes.iter().max_by_key(|(_, success)| success.at) else {
        return "no download and no installation in this log".to_owned();
    };
    let count = |done: UpdateOperation| successes.iter().filter(|(_, success)| success.done == done).count();
    let mut parts = Vec::new();
    for (done, word) in [
        (UpdateOperation::Installed, "installed"),
        (UpdateOperation::Downloaded, "downloaded"),
        (UpdateOperation::Uninstalled, "uninstalled"),
    ] {
        if count(done) > 0 {
            parts.push(format!("{} {word}", count(done)));
        }
    }
    let name = story.name_of(id).unwrap_or_else(|| (*id).clone());
    format!("{}; last {} {name}", parts.join(", "), when(story, last.at))
}

fn fails(page: &mut TextPage, story: &Story, failing: &[ExplainedFailure]) {
    for (at, failure) in failing.iter().take(FAILURES_SHOWN).enumerate() {
        let mut text = capitalized(&object(story, failure));
        if failure.dated {
            let _ = write!(text, ", since {}", when(story, failure.since));
            if failure.count > 1 {
                let _ = write!(text, ", {} times, last {}", failure.count, when(story, failure.last));
            }
        } else {
            text.push_str("; its lines have no time, so wulog raises no alert for it");
        }
        page.fact("fails", &text);
        match &failure.code {
            Some(code) if at == 0 => page.fact("", &meaning(code)),
            Some(code) => page.fact("", &named_code(code)),
            None => {}
        }
    }
    if let Some(more) = failing.len().checked_sub(FAILURES_SHOWN).filter(|more| *more > 0) {
        page.fact("", &format!("and {more} more"));
    }
}

/// `0x800B0109 CERT_E_UNTRUSTEDROOT`
fn named_code(code: &str) -> String {
    let known = hresult::parse_hresult(code).and_then(hresult::lookup);
    let shown = format!("0x{}", code.trim_start_matches("0x").to_uppercase());
    known.map_or(shown.clone(), |known| format!("{shown} {}", known.symbol))
}

fn meaning(code: &str) -> String {
    let text = hresult::parse_hresult(code).and_then(hresult::lookup).map(|known| known.text).unwrap_or_default();
    let named = named_code(code);
    if text.is_empty() { named } else { format!("{named}: {text}") }
}

fn trust(page: &mut TextPage, story: &Story, failing: &[ExplainedFailure]) {
    let mut kinds: Vec<&str> = failing
        .iter()
        .filter(|failure| failure.family.is_some())
        .map(|failure| match cause_of(story, failure) {
            _ if has(failure, remedy::is_negotiation) => {
                "TLS, though likely its protocols or ciphers and no certificate"
            }
            Some(Cause::UpdateSignature) => "the signature of updates",
            Some(Cause::WsusTls) => "TLS to the WSUS server",
            Some(Cause::MicrosoftTls) => "TLS to Microsoft's services",
            None => "TLS to the update server",
        })
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let text = if kinds.is_empty() {
        "no problem of certificate trust".to_owned()
    } else {
        format!("yes: {}", kinds.join("; "))
    };
    page.fact("trust", &text);
}

fn steps(story: &Story, failing: &[ExplainedFailure]) -> Vec<Step> {
    let first = &failing[0];
    let wsus = story.wsus.as_deref().filter(|wsus| *wsus != NO_WSUS);
    let Some(family) = first.family else {
        let name = first.update.as_deref().and_then(|update| story.name_of(update));
        let is_of_organization = name.is_some()
            && remedy::signer(story.wsus.as_deref(), name.as_deref()) == remedy::UpdateSigner::Organization;
        let build = story.os.as_deref().and_then(|os| os.split('.').nth(2)?.parse().ok());
        return advice::steps(first, wsus, is_of_organization, build);
    };
    let cause = cause_of(story, first);
    let alike = || failing.iter().filter(|failure| failure.family.is_some() && cause_of(story, failure) == cause);
    let families: BTreeSet<Family> = alike().filter_map(|failure| failure.family).collect();
    let codes: Vec<&str> = alike().filter_map(|failure| failure.code.as_deref()).collect();
    let names: Vec<String> = alike().filter_map(|failure| story.name_of(failure.update.as_deref()?)).collect();
    remedy::steps(&remedy::RemedyFacts {
        cause,
        family,
        families: &families,
        codes: &codes,
        wsus,
        server: server_of(first),
        signer: remedy::signer(story.wsus.as_deref(), names.iter().map(String::as_str)),
        builds: &remedy::Builds::of([story.os.as_deref().or(story.client.as_deref())])
            .or_of_titles(names.iter().map(String::as_str)),
        // One log says nothing about other hosts.
        is_accepted_elsewhere: false,
        affected: THIS_HOST,
    })
}

/// Writes as many steps as fit on the screen.
fn checks(page: &mut TextPage, steps: &[Step], sheet: &Sheet) {
    page.blank();
    page.wrapped("", "CHECK");
    for (number, step) in steps.iter().enumerate() {
        let before = page.text.len();
        page.wrapped(&format!("  {}. ", number + 1), &step.check);
        if let Some(command) = &step.command {
            let elsewhere = step.on.as_deref().filter(|on| *on != THIS_HOST);
            page.windows_command(command, &elsewhere.map(|on| format!("  (on {on})")).unwrap_or_default());
        }
        if number >= STEPS_MIN && page.text.lines().count() > sheet.lines {
            page.text.truncate(before);
            page.line("  more with --all-steps");
            break;
        }
    }
}
