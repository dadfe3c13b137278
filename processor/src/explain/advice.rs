//! Steps for an operation that fails for another reason than certificate trust.

use wulog_schemas::alert::Step;
use wulog_schemas::hresult::parse_hresult;

use super::failure::ExplainedFailure;

/// The name of the machine whose log is explained, in steps.
pub(super) const THIS_HOST: &str = "this host";
const PROXY: &str = "netsh winhttp show proxy";

/// The kind of trouble that a code or an HTTP status indicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TroubleArea {
    /// The name of the server is not known.
    Name,
    /// The server does not answer, or the connection breaks.
    Connection,
    /// A proxy or the server refuses.
    Refused,
    /// The server does not have the file.
    Missing,
    /// The server has an internal error, or does not answer in time.
    Server,
    /// A server or proxy between does not support ranges.
    Ranges,
    /// A service that the client needs does not run.
    Service,
    /// The disk is full.
    Disk,
    /// The installer of the update failed.
    Installer,
    Other,
}

fn trouble(code: Option<u32>, http: Option<u16>) -> TroubleArea {
    match code.unwrap_or_default() {
        0x8007_2EE7 | 0x8024_402C => TroubleArea::Name,
        0x8007_2EE2 | 0x8007_2EFD..=0x8007_2EFF | 0x8007_2F76 | 0x8007_2F78 | 0x8024_4023 | 0x8024_0438 => {
            TroubleArea::Connection
        }
        0x8024_4017 | 0x8024_4018 | 0x8024_401B | 0x8019_0191 | 0x8019_0193 | 0x8019_0197 => TroubleArea::Refused,
        0x8024_4019 | 0x8019_0194 => TroubleArea::Missing,
        0x8024_4007..=0x8024_4010 | 0x8024_401C | 0x8024_401F..=0x8024_4022 | 0x8019_01F4..=0x8019_01F8 => {
            TroubleArea::Server
        }
        0x8020_0013 | 0x80D0_5011 => TroubleArea::Ranges,
        0x8007_0422 | 0x8024_6008 => TroubleArea::Service,
        0x8007_0070 => TroubleArea::Disk,
        // The errors of the Windows Installer, ERROR_INSTALL_SERVICE_FAILURE to ERROR_PATCH_REMOVAL_DISALLOWED.
        0x8024_2000..=0x8024_2FFF | 0x8007_0641..=0x8007_066D | 0x800F_0000..=0x800F_FFFF => TroubleArea::Installer,
        // The component store: ERROR_SXS_* and ERROR_SXS_COMPONENT_STORE_CORRUPT; ERROR_NOT_FOUND of a component.
        0x8007_36B0..=0x8007_373F | 0x8007_0490 => TroubleArea::Installer,
        _ => match http {
            Some(401 | 403 | 407) => TroubleArea::Refused,
            Some(404 | 410) => TroubleArea::Missing,
            Some(500..) => TroubleArea::Server,
            _ => TroubleArea::Other,
        },
    }
}

/// Returns the steps for a failure without relation to certificate trust, the likeliest first. `is_of_organization` is
/// true for an update that an organization publishes itself, which has its own installer.
/// `build` is the number of the host's Windows.
pub(super) fn steps(
    failure: &ExplainedFailure,
    wsus: Option<&str>,
    is_of_organization: bool,
    build: Option<u32>,
) -> Vec<Step> {
    let code = failure.code.as_deref().and_then(parse_hresult);
    let (server, port) = wsus.map_or(("SERVER", "8530"), |wsus| wsus.rsplit_once(':').unwrap_or((wsus, "80")));
    let on_wsus = wsus.map_or("the WSUS server".to_owned(), |name| format!("the WSUS server ({name})"));
    let here = |check: &str, command: &str| step(check, command, THIS_HOST);
    let url = || {
        here(
            "Which server does policy name?",
            r"reg query HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate /v WUServer",
        )
    };
    let proxy = || here("Which proxy does the client use?", PROXY);
    let reach = || {
        let command = format!("powershell -Command \"(New-Object Net.Sockets.TcpClient).Connect('{server}', {port})\"");
        here("Does the server accept a connection? No output means yes.", &command)
    };
    let kind = match trouble(code, failure.http) {
        // The network has no part in an installation, whose file the host has.
        TroubleArea::Other if matches!(failure.operation.as_str(), "install" | "uninstall") => TroubleArea::Installer,
        kind => kind,
    };
    if wsus.is_none() && matches!(kind, TroubleArea::Missing | TroubleArea::Server) {
        // The user cannot repair a server of Microsoft; a proxy may answer in its place.
        return vec![proxy(), url()];
    }
    match kind {
        TroubleArea::Name => {
            vec![here("Can the host resolve the server's name?", &format!("nslookup {server}")), url(), proxy()]
        }
        TroubleArea::Connection => vec![reach(), proxy(), url()],
        TroubleArea::Refused => vec![
            here("Does the proxy want a user name, or block the address? The client has none to give.", PROXY),
            url(),
        ],
        TroubleArea::Missing => vec![
            step(
                "Does the server hold the update's file? Has it downloaded what was approved?",
                "powershell -Command \"(Get-WsusServer).GetContentDownloadProgress()\"",
                &on_wsus,
            ),
            proxy(),
        ],
        TroubleArea::Server => vec![
            step(
                "Does the WSUS application pool run, and has it enough memory?",
                r#"cmd /c "%windir%\system32\inetsrv\appcmd list apppool WsusPool /text:*""#,
                &on_wsus,
            ),
            step(
                "Is WSUS well? It writes what it finds to the Application log.",
                r#"cmd /c ""%ProgramFiles%\Update Services\Tools\wsusutil.exe" checkhealth""#,
                &on_wsus,
            ),
            url(),
        ],
        TroubleArea::Ranges => {
            vec![here("Does the proxy, or the server, pass HTTP range requests? BITS needs them.", PROXY), url()]
        }
        TroubleArea::Service => vec![
            here("Are BITS and the update service allowed to start?", "sc.exe qc bits"),
            here("Likewise:", "sc.exe qc wuauserv"),
        ],
        TroubleArea::Disk => vec![here("How much room has the system drive?", "fsutil volume diskfree C:")],
        // Codes of servicing appear where Windows itself installs, whoever published the update.
        TroubleArea::Installer if !is_of_servicing(code) && (failure.is_by_command || is_of_organization) => {
            own_installer()
        }
        TroubleArea::Installer => vec![
            // Before Windows 8, DISM does not check the component store.
            if build.is_some_and(|build| build < 9200) {
                here(
                    "Are the components of Windows whole? Run the System Update Readiness Tool (KB947821), then read its log:",
                    r"notepad C:\Windows\Logs\CBS\CheckSUR.log",
                )
            } else {
                here("Are the components of Windows whole?", "DISM /Online /Cleanup-Image /ScanHealth")
            },
            here(
                "What does the installer's own log say at this time? For Windows updates:",
                r"notepad C:\Windows\Logs\CBS\CBS.log",
            ),
        ],
        TroubleArea::Other => vec![url(), proxy()],
    }
}

fn is_of_servicing(code: Option<u32>) -> bool {
    matches!(code, Some(0x800F_0000..=0x800F_FFFF | 0x8007_36B0..=0x8007_373F | 0x8007_0490))
}

/// Returns the steps for an installer that is a separate program. Such an installer does not use the servicing of
/// Windows, so CBS.log lacks it.
fn own_installer() -> Vec<Step> {
    let here = |check: &str, command: &str| step(check, command, THIS_HOST);
    vec![
        here(
            "What does the installer's own log say at this time? The service's installers often write it to this folder. \
             The vendor says where else, and what an exit code of an EXE means.",
            r#"cmd /c "dir /o-d %windir%\Temp\*.log""#,
        ),
        here(
            "For an MSI: which product and error did the Windows Installer log? 1603 (0x80070643) alone is any error.",
            "powershell -Command \"Get-WinEvent -MaxEvents 9 -FilterHashtable @{LogName='Application';ProviderName='MsiInstaller'} | Format-List TimeCreated, Id, Message\"",
        ),
        here(
            "Does the installer fail by hand too, with the options of the update? FILE.msi: the update's file. Look for \
             \"Return value 3\" in the log.",
            "msiexec /i FILE.msi /qn /l*v install.log",
        ),
    ]
}

fn step(check: &str, command: &str, on: &str) -> Step {
    Step { check: check.to_owned(), command: Some(command.to_owned()), on: Some(on.to_owned()), answered: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_tell_where_the_trouble_lies() {
        for (code, http, expect) in [
            (Some(0x8024_402C), None, TroubleArea::Name),
            (Some(0x8007_2EE2), None, TroubleArea::Connection),
            (Some(0x8007_2EFE), None, TroubleArea::Connection),
            (Some(0x8024_401B), Some(407), TroubleArea::Refused),
            (Some(0x8019_0194), Some(404), TroubleArea::Missing),
            (Some(0x8024_4007), None, TroubleArea::Server),
            (Some(0x8024_4010), None, TroubleArea::Server),
            (Some(0x8020_0013), None, TroubleArea::Ranges),
            (Some(0x8024_6008), None, TroubleArea::Service),
            (Some(0x8024_2006), None, TroubleArea::Installer),
            (Some(0x800F_0922), None, TroubleArea::Installer),
            (Some(0x8007_3712), None, TroubleArea::Installer),
            (Some(0x8024_401C), None, TroubleArea::Server),
            (Some(0x8000_FFFF), Some(503), TroubleArea::Server),
            (None, Some(404), TroubleArea::Missing),
            (None, None, TroubleArea::Other),
        ] {
            assert_eq!(trouble(code, http), expect, "{code:x?} {http:?}");
        }
    }
}
