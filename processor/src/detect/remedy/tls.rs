//! Steps for TLS: the certificate that a server shows, and who stands between host and server.

use wulog_schemas::alert::Step;
use wulog_schemas::hresult::Family;

use super::{PROXY, Trouble, clock, root_updates};

/// The name in the certificate is not the one that was called.
const WRONG_NAME: [&str; 3] = ["0x80072f06", "0x800b010f", "0x80090322"];

/// The certificate is outside of its validity.
const EXPIRED: [&str; 3] = ["0x80072f05", "0x80090328", "0x800b0101"];

/// Revocation could not be checked, or the certificate is revoked.
const REVOCATION: [&str; 3] = ["0x80072f18", "0x80072f19", "0x80072f8a"];

/// HTTPS port of a WSUS site that was not given another.
const WSUS_TLS_PORT: &str = "8531";

/// The WSUS site: IIS binding, its certificate, the issuing CA on the clients, the URL that clients are told.
pub(super) fn of_wsus(trouble: &Trouble<'_>, family: Family) -> Vec<Step> {
    let server = trouble.wsus_server();
    let (name, port) =
        server.map_or(("NAME", WSUS_TLS_PORT), |server| server.rsplit_once(':').unwrap_or((server, WSUS_TLS_PORT)));
    // A host that is known by its address for plain HTTP has another port for HTTPS.
    let port = match port {
        "8530" => WSUS_TLS_PORT,
        "80" => "443",
        port => port,
    };
    let binding = trouble.on_wsus(
        &format!("Which certificate is bound to port {port} of the WSUS site in IIS (Certificate Hash)?"),
        "netsh http show sslcert",
    );
    let certificate = trouble.on_wsus(
        &format!("Is that certificate valid today, for Server Authentication, and for the name {name}?"),
        "certutil -v -store My",
    );
    let authority = trouble.affected(
        "Is the CA that issued it (itself, if self-signed) in Trusted Root of the computer?",
        "certutil -store Root",
    );
    let url = trouble.affected(
        "Which URL does the host use? https, and name and port as in the certificate and the binding.",
        r"reg query HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate /v WUServer",
    );
    let attempt = trouble.affected(
        "Does the host accept the certificate? The error says why not.",
        &format!(
            "powershell -Command \"(New-Object Net.WebClient).DownloadString('https://{name}:{port}/ClientWebService/client.asmx')\""
        ),
    );
    let proxy = trouble.affected("Does a proxy inspect TLS between host and server?", PROXY);
    let revocation = trouble.affected(
        "Can the host fetch the revocation lists that the certificate names? SITE.cer: exported from IIS.",
        "certutil -verify -urlfetch SITE.cer",
    );
    let clock = clock(trouble);
    if trouble.has_code(&WRONG_NAME) {
        vec![url, certificate, binding, authority, attempt, proxy]
    } else if family == Family::Expired || trouble.has_code(&EXPIRED) {
        vec![certificate, clock, binding, attempt, authority, proxy]
    } else if family == Family::Revocation || trouble.has_code(&REVOCATION) {
        vec![revocation, proxy, certificate, binding, attempt, clock]
    } else {
        vec![binding, certificate, authority, url, attempt, proxy, clock]
    }
}

/// A server that no line names: which it is, then the checks that fit every server.
pub(super) fn of_unknown_server(trouble: &Trouble<'_>, family: Family) -> Vec<Step> {
    let mut steps = of_wsus(trouble, family);
    let is_url = |step: &Step| step.command.as_deref().is_some_and(|command| command.starts_with("reg query"));
    if let Some(url) = steps.iter().position(is_url) {
        let mut first = steps.remove(url);
        first.check = "Which server does the host use? No value: Microsoft's service.".to_owned();
        steps.insert(0, first);
    }
    steps
}

/// Microsoft's services: what lies between, the clock, Microsoft's root.
pub(super) fn of_microsoft(trouble: &Trouble<'_>) -> Vec<Step> {
    let host = trouble
        .server
        .map_or("slscr.update.microsoft.com", |server| server.rsplit_once(':').map_or(server, |(name, _)| name));
    vec![
        trouble.affected(
            "Which proxy is used, and does it inspect TLS? Exempt *.update.microsoft.com, *.windowsupdate.com and \
             *.delivery.mp.microsoft.com: the client accepts Microsoft's certificates only.",
            PROXY,
        ),
        trouble.affected(
            "Is the connection trusted? An HTTP error such as 403 means that TLS works.",
            &format!("powershell -Command \"(New-Object Net.WebClient).DownloadString('https://{host}/')\""),
        ),
        clock(trouble),
        trouble.affected(
            "Is Microsoft's root in Trusted Root?",
            "certutil -store Root \"Microsoft Root Certificate Authority 2011\"",
        ),
        root_updates(trouble),
        trouble.affected(
            "Is the host meant to ask Microsoft at all? 0x1 keeps a WSUS client from it.",
            r"reg query HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate /v DoNotConnectToWindowsUpdateInternetLocations",
        ),
    ]
}
