//! What a message says: level, bullets, sections, banners, `Key = value` facts, and the lines of a trust check.

use super::{find, guid};

/// Severity word of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `WARNING:`
    Warning,
    /// `FATAL:`
    Fatal,
}

/// Operation that a section or line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The service itself.
    Service,
    /// A search for updates.
    Scan,
    /// A download.
    Download,
    /// An installation.
    Install,
}

/// Where in its operation a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `START`
    Start,
    /// `END`
    End,
    /// The operation succeeded, by the line's own words.
    Succeeded,
}

/// What a line says of a file's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// `Validating signature for PATH`: the check begins.
    Checking,
    /// `Microsoft signed: Yes`, `Trusted Publisher: Yes`.
    Trusted,
    /// `Microsoft signed: No`.
    Untrusted,
    /// `Microsoft signed: NA`.
    Unknown,
    /// `Error: 0x... when verifying trust for PATH`, `Digital Signatures on file PATH are not trusted`.
    Failed,
    /// `File failed postprocessing`: the client threw the file away.
    Rejected,
}

/// The facts of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts<'a> {
    /// Section or line of an operation.
    pub operation: Option<(Operation, Phase)>,
    /// Offset of the banner `Logging initialized (..., tz: +0200)`, minutes east.
    pub banner_offset_min: Option<i32>,
    /// Version of the client: banner, `WU client version`, `Client version: Core`.
    pub client_version: Option<&'a str>,
    /// `OS Version`, or the build in a service-location URL.
    pub os_version: Option<&'a str>,
    /// `WSUS server`; `NULL` is "none".
    pub wsus_server: Option<&'a str>,
    /// Any URL of the line.
    pub url: Option<&'a str>,
    /// `Target group`.
    pub target_group: Option<&'a str>,
    /// Update id.
    pub update: Option<&'a str>,
    /// Its revision.
    pub revision: Option<u32>,
    /// Title.
    pub title: Option<&'a str>,
    /// KB number, such as `KB890830`.
    pub kb: Option<&'a str>,
    /// Caller or client id.
    pub caller: Option<&'a str>,
    /// Service id.
    pub service: Option<&'a str>,
    /// File of a trust check.
    pub path: Option<&'a str>,
    /// What is said of that file.
    pub trust: Option<Trust>,
    /// `Process` of a banner.
    pub process: Option<&'a str>,
    /// True for `*FAILED*` and for lines of an undecoded event.
    pub failed: bool,
    /// True for a record that the decoder had no format for.
    pub undecoded: bool,
    /// True for a self-update line.
    pub self_update: bool,
}

/// Longest fact that is kept; longer ones stay in the message only.
const FACT_BYTES_MAX: usize = 512;

/// Cuts bullets and the severity word off: `  * WARNING: Exit code = ...`.
pub(super) fn level_and_body(message: &str) -> (Option<Level>, &str) {
    let body = strip_tracefmt(message.trim());
    let body = strip_bullet(body);
    let leveled = [("WARNING:", Level::Warning), ("FATAL:", Level::Fatal)];
    match leveled.into_iter().find_map(|(word, level)| Some((level, body.strip_prefix(word)?))) {
        Some((level, rest)) => (Some(level), rest.trim_start()),
        None => (None, body),
    }
}

/// One bullet character and spaces; a bar of them, or the stars around `*FAILED*`, is no bullet.
fn strip_bullet(text: &str) -> &str {
    let text = text.strip_prefix('\\').unwrap_or(text);
    let mut chars = text.chars();
    match chars.next() {
        Some('*' | '#' | '-' | ':' | '+' | '=') if chars.as_str().starts_with(' ') && !is_section(text) => {
            chars.as_str().trim_start()
        }
        _ => text,
    }
}

fn is_section(text: &str) -> bool {
    text.starts_with("* START *") || text.starts_with("* END *")
}

/// The doubled header of Insider builds: `[0]0B2C.0C34::03/07/2017-17:08:41.736 [agent]text`.
fn strip_tracefmt(text: &str) -> &str {
    let Some(head) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return text;
    };
    if head.0.is_empty() || !head.0.bytes().all(|byte| byte.is_ascii_digit()) || !head.1.contains("::") {
        return text;
    }
    head.1.split_once(" [").and_then(|(_, rest)| rest.split_once(']')).map_or(text, |(_, text)| text.trim_start())
}

/// True for `Unknown( 15): GUID=... (No Format Information found).`
pub(super) fn is_undecoded(body: &str) -> bool {
    body.starts_with("Unknown(") && body.contains("No Format Information found")
}

/// The facts that a text with a title alone holds.
pub(super) fn titled(text: &str) -> Facts<'_> {
    let mut facts = Facts { kb: kb(text), ..Facts::default() };
    let marks = ["the following update with error ", "the following update: "];
    if let Some((mark, rest)) = marks.into_iter().find_map(|mark| Some((mark, text.split_once(mark)?.1))) {
        let title = if mark.ends_with("error ") { rest.split_once(": ").map_or("", |(_, title)| title) } else { rest };
        facts.title = Some(title.trim()).filter(|title| !title.is_empty());
    }
    facts
}

pub(super) fn facts<'a>(body: &'a str, component: Option<&str>) -> Facts<'a> {
    let mut facts = Facts::default();
    if body.is_empty() {
        return facts;
    }
    if is_undecoded(body) {
        facts.undecoded = true;
        return facts;
    }
    facts.failed = body.starts_with("*FAILED*") || body.starts_with("FAILED [");
    facts.operation = section(body);
    sentences(body, &mut facts);
    pairs(body, &mut facts);
    if facts.url.is_none() {
        facts.url = url(body);
    }
    if facts.os_version.is_none() {
        facts.os_version = facts.url.and_then(os_of_url);
    }
    facts.kb = facts.title.and_then(kb).or_else(|| kb(body));
    facts.self_update = component == Some("Setup") && (body.contains("SelfUpdate") || body.contains("self-update"));
    facts
}

/// `** START **  Agent: Finding updates`, `## END ## AU: Search for updates`, `* END * Finding updates`.
fn section(body: &str) -> Option<(Operation, Phase)> {
    let head = body.trim_start_matches(['*', '#', '-', ':', '+', ' ', '<', '>']);
    if head.len() == body.len() {
        return None;
    }
    let (phase, rest) = match head.strip_prefix("START ") {
        Some(rest) => (Phase::Start, rest),
        None => (Phase::End, head.strip_prefix("END ")?),
    };
    let name = rest.trim_start_matches(['*', '#', '-', ':', '+', ' ']);
    // Agent only: AU and COMAPI write sections around the same search in their own processes.
    let cases = [
        ("Agent: Finding updates", Operation::Scan),
        ("Finding updates", Operation::Scan),
        ("Agent: Downloading updates", Operation::Download),
        ("Downloading updates", Operation::Download),
        ("Begin Downloading Updates", Operation::Download),
        ("Agent: Installing updates", Operation::Install),
        ("Installing updates", Operation::Install),
        ("Service: Service startup", Operation::Service),
        ("Service startup", Operation::Service),
        ("Service: Service exit", Operation::Service),
        ("Service exit", Operation::Service),
    ];
    cases.into_iter().find(|(start, _)| name.starts_with(start)).map(|(_, operation)| (operation, phase))
}

/// Facts that whole sentences carry, told apart by their first words.
fn sentences<'a>(body: &'a str, facts: &mut Facts<'a>) {
    if let Some(rest) = body.strip_prefix("Validating signature for ") {
        facts.trust = Some(Trust::Checking);
        facts.path =
            bounded(rest.split_once(" with dwProvFlags").map_or(rest, |(path, _)| path).trim_end_matches([':', ' ']));
    } else if let Some(rest) = body.strip_prefix("Error: 0x") {
        if let Some((_, path)) = rest.split_once(" when verifying trust for ") {
            facts.trust = Some(Trust::Failed);
            facts.path = bounded(path.trim());
        }
    } else if let Some(rest) = body.strip_prefix("Digital Signatures on file ") {
        if let Some((path, _)) = rest.split_once(" are not trusted") {
            facts.trust = Some(Trust::Failed);
            facts.path = bounded(path);
        }
    } else if let Some(rest) =
        body.strip_prefix("Microsoft signed: ").or_else(|| body.strip_prefix("Trusted Publisher: "))
    {
        facts.trust = Some(match rest.trim() {
            "Yes" => Trust::Trusted,
            "No" => Trust::Untrusted,
            _ => Trust::Unknown,
        });
    } else if find::POSTPROCESSING.is_in(body) || find::POST_PROCESSING.is_in(body) {
        facts.trust = Some(Trust::Rejected);
    } else if let Some(rest) = body.strip_prefix("WU client version ") {
        facts.client_version = bounded(rest.trim());
    } else if let Some(rest) = body.strip_prefix("WU client with version ") {
        facts.client_version = bounded(rest.split(' ').next().unwrap_or(rest));
    } else if let Some(rest) = body.strip_prefix("Client version: Core: ") {
        facts.client_version = bounded(rest.split(' ').next().unwrap_or(rest));
    } else if let Some(at) = find::LOGGING_INITIALIZED_WITH.find(body) {
        banner(&body[at..], facts);
    } else if let Some(rest) = body.strip_prefix("Generating download request for update ") {
        (facts.update, facts.revision) = revised(rest);
    } else if let Some(rest) = body.strip_prefix("Starting install of CBS update ") {
        (facts.update, facts.revision) = revised(rest);
        facts.operation = Some((Operation::Install, Phase::Start));
    } else if let Some(rest) = body.strip_prefix("WER Report sent: ") {
        wer(rest, facts);
    }
    if find::DOWNLOAD_SUCCEEDED.is_in(body) {
        facts.operation = Some((Operation::Download, Phase::Succeeded));
    }
}

/// `Logging initialized (build: 7.5.7601.17514, tz: -0400)`
fn banner<'a>(text: &'a str, facts: &mut Facts<'a>) {
    if let Some((_, rest)) = text.split_once("build: ") {
        facts.client_version = bounded(rest.split([',', ')']).next().unwrap_or(rest).trim());
    }
    if let Some((_, rest)) = text.split_once("tz: ") {
        facts.banner_offset_min = super::time::offset(rest).map(|(minutes, _)| minutes);
    }
}

/// `7.5.7601.17514 0x800b0109 8468427E-... Download 101 Managed`
fn wer<'a>(text: &'a str, facts: &mut Facts<'a>) {
    let mut words = text.split(' ');
    facts.client_version = words.next();
    facts.update = words.nth(1).and_then(guid::take).map(|(guid, _)| guid).filter(|guid| !guid::is_nil(guid));
    facts.operation = match words.next() {
        Some("Download") => Some((Operation::Download, Phase::End)),
        Some("Install") => Some((Operation::Install, Phase::End)),
        _ => None,
    };
}

/// `Key = value` and `Key: value`, found at their `=` and `:`, so that one pass serves all keys.
fn pairs<'a>(body: &'a str, facts: &mut Facts<'a>) {
    for at in memchr::memchr2_iter(b'=', b':', body.as_bytes()) {
        let key = body[..at].trim_end();
        let value = body[at + 1..].trim_start();
        if value.is_empty() {
            continue;
        }
        // Keys are told apart by their last word, then compared in full.
        match key.as_bytes().last() {
            Some(b'd' | b'D' | b'e') => key_of_id(key, value, facts),
            Some(b'r') if key.ends_with("WSUS server") => facts.wsus_server = bounded(value.trim_end()),
            Some(b'p') if key.ends_with("Target group") => facts.target_group = bounded(value.trim_end()),
            Some(b'n') if key.ends_with("OS Version") => facts.os_version = bounded(value.trim_end()),
            Some(b's') if key.ends_with("Process") => facts.process = bounded(value.trim_end()),
            _ => {}
        }
    }
}

fn key_of_id<'a>(key: &str, value: &'a str, facts: &mut Facts<'a>) {
    if key.ends_with("pdateId") || key.ends_with("pdateID") || key.ends_with("idUpdate") {
        let (update, revision) = revised(value);
        if update.is_some() && facts.update.is_none() {
            (facts.update, facts.revision) = (update, revision);
        }
    } else if key.ends_with("CallerId") || key.ends_with("ClientId") && !key.ends_with("SusClientId") {
        let end = value.find([']', '(', ',']).unwrap_or(value.len());
        let caller = value[..end].split("  ").next().unwrap_or("");
        let caller = caller.split(" Id = ").next().unwrap_or("").trim();
        facts.caller = bounded(caller).filter(|caller| *caller != "<NULL>");
    } else if key.ends_with("erviceId") || key.ends_with("erviceID") {
        facts.service = guid::take(value).map(|(guid, _)| guid).filter(|guid| !guid::is_nil(guid));
    } else if key.ends_with("Title") {
        facts.title = bounded(value.trim_end()).filter(|title| *title != "<NULL>");
    }
}

/// The first URL: from `http` to a blank, quote or bracket.
fn url(body: &str) -> Option<&str> {
    let bytes = body.as_bytes();
    let at = find::SCHEME_END.find(body)?;
    let scheme = bytes[..at].iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let start = at - scheme;
    if !matches!(&body[start..at], "http" | "https" | "HTTP" | "HTTPS") {
        return None;
    }
    let end = body[start..].find([' ', '"', '>', '`', '\t', ',']).map_or(body.len(), |end| start + end);
    // A sentence ends in a period or colon that is not the URL's.
    bounded(body[start..end].trim_end_matches(['.', ':', ')']))
}

/// `https://slscr.../SLS/{...}/x64/10.0.19045.2728/0?...` names the build.
fn os_of_url(url: &str) -> Option<&str> {
    let rest = ["/x64/", "/x86/", "/arm64/", "/ARM64/"].into_iter().find_map(|part| url.split_once(part))?.1;
    let build = rest.split('/').next()?;
    let fits = build.contains('.') && build.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    fits.then_some(build)
}

/// `KB` and six to eight digits.
fn kb(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    for at in memchr::memchr2_iter(b'K', b'k', bytes) {
        if bytes.get(at + 1).is_none_or(|byte| byte | 0x20 != b'b') {
            continue;
        }
        let digits = bytes[at + 2..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let bounded = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        if bounded && (6..=8).contains(&digits) {
            return Some(&text[at..at + 2 + digits]);
        }
    }
    None
}

fn revised(text: &str) -> (Option<&str>, Option<u32>) {
    match guid::take_revised(text) {
        Some((guid, revision)) if !guid::is_nil(guid) => (Some(guid), revision),
        _ => (None, None),
    }
}

fn bounded(text: &str) -> Option<&str> {
    (!text.is_empty() && text.len() <= FACT_BYTES_MAX).then_some(text)
}
