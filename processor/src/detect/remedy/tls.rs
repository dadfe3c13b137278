//! Steps for TLS: the certificate that a server shows, and who stands between host and server.

use wulog_schemas::alert::Step;
use wulog_schemas::hresult::{Family, parse_hresult};

use super::{PROXY, RemedyFacts, clock, root_updates};

/// The registry has a key for each protocol, with the values `Enabled` and `DisabledByDefault`.
const PROTOCOLS: &str = r"reg query HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols /s";

pub(super) const DEFAULT_PROTOCOLS: &str =
    r#"reg query "HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\WinHttp" /v DefaultSecureProtocols"#;

pub(super) const CIPHER_SUITES: &str = "powershell -Command \"Get-TlsCipherSuite | Format-Table Name\"";

/// The fault of a failed TLS connection, by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsFault {
    /// The name in the certificate is not the one that was called.
    WrongName,
    /// The certificate is outside of its validity.
    Expired,
    /// The certificate is revoked.
    Revoked,
    /// Revocation of the certificate could not be checked.
    Unchecked,
    /// Client and server agree on no protocol or algorithm, or one of them sends what the other does not understand.
    Negotiation,
    /// Certificate, or version of TLS: the code stands for each of them.
    Any,
}

/// The fault that a code states; `None` for a code that says no more than its family.
pub(super) fn fault(code: &str) -> Option<TlsFault> {
    match parse_hresult(code)? {
        0x8007_2F06 | 0x800B_010F | 0x8009_0322 => Some(TlsFault::WrongName),
        0x8007_2F05 | 0x8009_0328 | 0x800B_0101 => Some(TlsFault::Expired),
        0x8009_2010 | 0x800B_010C | 0x8007_2F8A => Some(TlsFault::Revoked),
        0x8007_2F18 | 0x8007_2F19 | 0x8009_2012 | 0x8009_2013 | 0x800B_010E => Some(TlsFault::Unchecked),
        // ERROR_WINHTTP_SECURE_CHANNEL_ERROR, SEC_E_ILLEGAL_MESSAGE, SEC_E_ALGORITHM_MISMATCH.
        0x8007_2F7D | 0x8009_0326 | 0x8009_0331 => Some(TlsFault::Negotiation),
        0x8007_2F8F => Some(TlsFault::Any),
        _ => None,
    }
}

/// The fault of the first code that tells one: the code of most hosts comes first.
fn fault_of(trouble: &RemedyFacts<'_>, family: Family) -> Option<TlsFault> {
    let of_family = match family {
        Family::Expired => Some(TlsFault::Expired),
        Family::Revocation => Some(TlsFault::Unchecked),
        _ => None,
    };
    trouble.codes.iter().find_map(|code| fault(code)).or(of_family)
}

const VERIFY_SITE: &str = "certutil -verify -urlfetch SITE.cer";

/// HTTPS port of a WSUS site that was not given another.
const WSUS_TLS_PORT: &str = "8531";

/// Steps for the WSUS site: IIS binding, its certificate, the issuing CA on the clients, the URL that clients are
/// given.
pub(super) fn of_wsus(trouble: &RemedyFacts<'_>, family: Family) -> Vec<Step> {
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
        &format!(
            "Is the certificate of the WSUS site valid today, for Server Authentication, and for the name {name}?"
        ),
        "certutil -v -store My",
    );
    let authority = trouble.affected(
        "Is the CA that issued the site's certificate (itself, if self-signed) in Trusted Root of the computer?",
        "certutil -store Root",
    );
    let url =
        url(trouble, "Which URL does the host use? https, and name and port as in the certificate and the binding.");
    let attempt = trouble.affected(
        "Does the host accept the certificate? The error says why not. The update client runs as SYSTEM, with the proxy of \
         WinHTTP: run it as SYSTEM too.",
        &format!(
            "powershell -Command \"(New-Object Net.WebClient).DownloadString('https://{name}:{port}/ClientWebService/client.asmx')\""
        ),
    );
    let proxy = trouble.affected(
        if trouble.is_accepted_elsewhere {
            "Healthy hosts accept the certificate of this server. Does a proxy that inspects TLS show another one to this \
             host?"
        } else {
            "Does a proxy inspect TLS between host and server?"
        },
        PROXY,
    );
    let clock = clock(trouble);
    match (fault_of(trouble, family), trouble.is_accepted_elsewhere) {
        (Some(TlsFault::Negotiation), _) => {
            let [defaults, own, order, suites, log] = negotiation(trouble);
            vec![defaults, own, protocols_of_server(trouble), order, suites, log, attempt, proxy, binding, certificate]
        }
        (Some(TlsFault::Revoked), _) => {
            let revoked = trouble.on_wsus(
                &format!(
                    "The certificate of the server is revoked. Which one is bound to port {port} of the WSUS site in IIS \
                     (Certificate Hash)? Bind a new one."
                ),
                &binding.command.unwrap_or_default(),
            );
            let which = trouble.affected(
                "Which certificate of the chain is revoked, and why? SITE.cer: exported from IIS.",
                VERIFY_SITE,
            );
            vec![revoked, which, certificate, attempt, proxy, clock]
        }
        (Some(TlsFault::Unchecked), _) => {
            let lists = trouble.affected(
                "Can the host fetch the revocation lists that the certificate names? SITE.cer: exported from IIS.",
                VERIFY_SITE,
            );
            vec![lists, proxy, certificate, binding, attempt, clock]
        }
        (Some(TlsFault::WrongName), false) => vec![url, certificate, binding, authority, attempt, proxy],
        (Some(TlsFault::WrongName), true) => vec![url, proxy, attempt, authority, binding, certificate],
        (Some(TlsFault::Expired), false) => vec![certificate, clock, binding, attempt, authority, proxy],
        (Some(TlsFault::Expired), true) => vec![clock, proxy, attempt, authority, binding, certificate],
        (other, is_accepted_elsewhere) => {
            let mut steps = if is_accepted_elsewhere {
                vec![proxy, authority, clock, attempt, url, binding, certificate]
            } else {
                vec![binding, certificate, authority, url, attempt, proxy, clock]
            };
            if other == Some(TlsFault::Any) {
                let [defaults, own, ..] = negotiation(trouble);
                steps.extend([defaults, own, protocols_of_server(trouble)]);
            }
            steps
        }
    }
}

/// Steps about the offer of the host when client and server negotiate a TLS connection: protocols of WinHTTP, protocols
/// of Schannel, the order of cipher suites, the suites themselves, and what Schannel logged.
pub(super) fn negotiation(trouble: &RemedyFacts<'_>) -> [Step; 5] {
    [
        trouble.affected(
            "Windows 7, Server 2008 R2 and Server 2012 only: does WinHTTP offer TLS 1.2 (KB3140245, and a value that \
             contains 0x800, such as 0xA00)? No value: TLS 1.0 at most.",
            DEFAULT_PROTOCOLS,
        ),
        trouble.affected(
            "Which TLS protocols may the host use as a client? Enabled 0x0 forbids one; no value: the default of its \
             Windows.",
            PROTOCOLS,
        ),
        trouble.affected(
            "Does a GPO restrict the cipher suites (SSL Configuration Settings, SSL Cipher Suite Order)? No value: it does \
             not.",
            r"reg query HKLM\SOFTWARE\Policies\Microsoft\Cryptography\Configuration\SSL\00010002 /v Functions",
        ),
        trouble.affected(
            "Which cipher suites does the host offer? The server has to support one of them.",
            CIPHER_SUITES,
        ),
        trouble.affected(
            "What did Schannel log when the connection failed? It names an alert of the other side, or the protocol.",
            "powershell -Command \"Get-WinEvent -MaxEvents 9 -FilterHashtable @{LogName='System';ProviderName='Schannel'} | Format-List TimeCreated, Id, Message\"",
        ),
    ]
}

fn protocols_of_server(trouble: &RemedyFacts<'_>) -> Step {
    trouble.on_wsus("Which TLS protocols may the server use? Host and server need one in common.", PROTOCOLS)
}

/// Steps for a server that no line names: the question which server it is, then the checks that fit every server.
pub(super) fn of_unknown_server(trouble: &RemedyFacts<'_>, family: Family) -> Vec<Step> {
    let mut steps = of_wsus(trouble, family);
    let url = url(trouble, "Which server does the host use? No value: Microsoft's service.");
    steps.retain(|step| step.command != url.command);
    steps.insert(0, url);
    steps
}

fn url(trouble: &RemedyFacts<'_>, check: &str) -> Step {
    trouble.affected(check, r"reg query HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate /v WUServer")
}

/// Steps for Microsoft's services: proxies in between, the clock, Microsoft's root.
pub(super) fn of_microsoft(trouble: &RemedyFacts<'_>, family: Family) -> Vec<Step> {
    let host = trouble
        .server
        .map_or("slscr.update.microsoft.com", |server| server.rsplit_once(':').map_or(server, |(name, _)| name));
    let mut steps = vec![
        trouble.affected(
            "Which proxy is used, and does it inspect TLS? Exempt *.update.microsoft.com, *.windowsupdate.com and \
             *.delivery.mp.microsoft.com: the client accepts Microsoft's certificates only.",
            PROXY,
        ),
        trouble.affected(
            "Is the connection trusted? An HTTP error such as 403 means that TLS works. The update client runs as SYSTEM, with \
             the proxy of WinHTTP: run it as SYSTEM too.",
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
    ];
    let [defaults, own, order, suites, log] = negotiation(trouble);
    match fault_of(trouble, family) {
        Some(TlsFault::Negotiation) => {
            steps.splice(0..0, [defaults, own, order, suites, log]);
        }
        Some(TlsFault::Any) => steps.extend([defaults, own]),
        _ => {}
    }
    steps
}
