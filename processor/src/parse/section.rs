//! Sections of the log, which mark the beginning and the end of an operation.
//!
//! ```text
//! ** START **  Agent: Finding updates [CallerId = CcmExec]        * START * Finding updates CallerId = X  Id = 5
//! **  END  **  Agent: Finding updates [CallerId = CcmExec]        * END * Finding updates
//! <<## SUBMITTED ## AU: Search for updates [CallId = {G}]         *RESUMED* Search ClientId = X
//! :: START ::  Handler: CBS Install                               *************
//! ```

/// The operation of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionOperation {
    /// The service itself.
    Service,
    /// A search for updates.
    Scan,
    /// A download.
    Download,
    /// An installation.
    Install,
    /// An uninstallation.
    Uninstall,
}

/// The place of a line in its operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `START`
    Start,
    /// `SUBMITTED`, `QUEUED`, `RESUMED`: a caller waits.
    Between,
    /// `END`
    End,
}

/// The writer of a section. AU and COMAPI write their own sections around those of the agent, in their own processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionWriter {
    /// The component that does the work: agent, download manager, handler, service.
    Worker,
    /// The component that asks for the work.
    Client,
}

/// One line of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// The operation.
    pub operation: SectionOperation,
    /// Beginning or end.
    pub phase: Phase,
    /// The writer.
    pub by: SectionWriter,
}

/// Characters of bars and bullets; each component has its own.
const BARS: [char; 6] = ['*', '#', '-', ':', '+', '='];

/// Shortest bar that is not a bullet.
const BAR_BYTES_MIN: usize = 3;

/// True for a bar that only frames a section.
pub(super) fn is_separator(body: &str) -> bool {
    body.len() >= BAR_BYTES_MIN
        && BARS.contains(&char::from(body.as_bytes()[0]))
        && body.bytes().all(|byte| byte == body.as_bytes()[0])
}

/// True where the first byte may begin a section; nearly every line is rejected here.
fn starts_with_bar(body: &str) -> bool {
    matches!(body.as_bytes().first(), Some(b'<' | b'>' | b'*' | b'#' | b'-' | b':' | b'+' | b'='))
}

/// Returns the text of a one-line banner, `########### AU: Initializing Automatic Updates ###########`, without bars
/// and component.
pub(super) fn banner(body: &str) -> Option<&str> {
    if !starts_with_bar(body) {
        return None;
    }
    let rest = body.trim_start_matches(BARS);
    if body.len() - rest.len() < BAR_BYTES_MIN {
        return None;
    }
    let text = rest.trim_start();
    Some(text.split_once(": ").filter(|(component, _)| !component.contains(' ')).map_or(text, |(_, text)| text))
}

pub(super) fn section(body: &str, component: Option<&str>) -> Option<Section> {
    if !starts_with_bar(body) {
        return None;
    }
    let head = body.trim_start_matches(['<', '>', '*', '#', '-', ':', '+', ' ']);
    let (phase, rest) = [
        ("START", Phase::Start),
        ("END", Phase::End),
        ("SUBMITTED", Phase::Between),
        ("QUEUED", Phase::Between),
        ("RESUMED", Phase::Between),
    ]
    .into_iter()
    .find_map(|(word, phase)| Some((phase, head.strip_prefix(word)?)))?;
    let name = rest.trim_start_matches(['*', '#', '-', ':', '+', ' ']);
    if name.len() == rest.len() {
        return None;
    }
    let (owner, name) = name
        .split_once(": ")
        .filter(|(owner, _)| !owner.contains(' '))
        .map_or_else(|| (component.unwrap_or_default(), name), |(owner, name)| (owner, name.trim_start()));
    let by_client = ["AU", "COMAPI"].into_iter().any(|client| owner.eq_ignore_ascii_case(client));
    // Windows 10+ first queues the call of an application.
    let queued = ["Queueing ", "Init ", "Federated "].into_iter().find_map(|word| name.strip_prefix(word));
    let by = if by_client || queued.is_some() || phase == Phase::Between {
        SectionWriter::Client
    } else {
        SectionWriter::Worker
    };
    let operation = operation(queued.unwrap_or(name), owner, by)?;
    Some(Section { operation, phase, by })
}

fn operation(name: &str, owner: &str, by: SectionWriter) -> Option<SectionOperation> {
    const NAMES: [(&str, SectionOperation); 7] = [
        ("Finding updates", SectionOperation::Scan),
        ("Downloading updates", SectionOperation::Download),
        ("Begin Downloading Updates", SectionOperation::Download),
        ("Installing updates", SectionOperation::Install),
        ("Uninstalling updates", SectionOperation::Uninstall),
        ("Service startup", SectionOperation::Service),
        ("Service exit", SectionOperation::Service),
    ];
    const CALLS: [(&str, SectionOperation); 4] = [
        ("Search", SectionOperation::Scan),
        ("Download", SectionOperation::Download),
        ("Install", SectionOperation::Install),
        ("Uninstall", SectionOperation::Uninstall),
    ];
    let named = |names: &[(&str, SectionOperation)]| {
        names.iter().find(|(start, _)| name.starts_with(start)).map(|(_, operation)| *operation)
    };
    if let Some(operation) = named(&NAMES) {
        return Some(operation);
    }
    if by == SectionWriter::Client {
        return named(&CALLS);
    }
    // The handler puts the kind of update first: `CBS Install`, `Command Line Install`, `MSP Uninstall`.
    if !owner.eq_ignore_ascii_case("Handler") {
        return None;
    }
    if name.contains("Uninstall") {
        return Some(SectionOperation::Uninstall);
    }
    name.contains("Install").then_some(SectionOperation::Install)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections() {
        use Phase::*;
        use SectionOperation::*;
        use SectionWriter::{Client, Worker};
        let cases = [
            ("** START **  Agent: Finding updates [CallerId = CcmExec]", None, Some((Scan, Start, Worker))),
            ("**  END  **  Agent: Finding updates [CallerId = CcmExec]", None, Some((Scan, End, Worker))),
            ("* START * Finding updates CallerId = X  Id = 5", Some("Agent"), Some((Scan, Start, Worker))),
            ("* START * Queueing Finding updates [CallerId = X  Id = 5]", Some("Agent"), Some((Scan, Start, Client))),
            ("<<## SUBMITTED ## AU: Search for updates [CallId = {G}]", None, Some((Scan, Between, Client))),
            (">>##  RESUMED  ## AU: Download update [UpdateId = {G}]", None, Some((Download, Between, Client))),
            ("-- START --  COMAPI: Search [ClientId = CcmExec]", None, Some((Scan, Start, Client))),
            ("* START *   Search ClientId = UpdateOrchestrator", Some("ComApi"), Some((Scan, Start, Client))),
            ("*RESUMED* Search ClientId = UpdateOrchestrator", Some("ComApi"), Some((Scan, Between, Client))),
            ("** START **  DnldMgr: Downloading updates [CallerId = X]", None, Some((Download, Start, Worker))),
            ("* START * Begin Downloading Updates", Some("DownloadManager"), Some((Download, Start, Worker))),
            (":: START ::  Handler: CBS Install", None, Some((Install, Start, Worker))),
            ("::  END  ::  Handler: Command Line Uninstall", None, Some((Uninstall, End, Worker))),
            ("##  END  ##  AU: Install updates", None, Some((Install, End, Client))),
            ("* END * Service exit Exit code = 0x240001", Some("Shared"), Some((Service, End, Worker))),
            ("* START *", None, None),
            ("STARTED", None, None),
            ("* STARTED", None, None),
            ("***********  Agent: Initializing Windows Update Agent  ***********", None, None),
            ("* Online = Yes", None, None),
        ];
        for (body, component, expect) in cases {
            let found = section(body, component).map(|it| (it.operation, it.phase, it.by));
            assert_eq!(found, expect, "{body}");
        }
    }

    #[test]
    fn bars() {
        assert!(is_separator("*************") && is_separator("---------") && !is_separator("**") && !is_separator(""));
        assert!(!is_separator("***é***") && !is_separator("aaa"));
        assert_eq!(
            banner("###########  AU: Initializing Automatic Updates  ###########").map(|it| &it[..12]),
            Some("Initializing")
        );
        assert_eq!(banner("* WSUS server: x"), None);
    }
}
