//! The cause of a trust failure, derived from its family, its operation and its server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hresult::Family;

/// The kind of trust that is missing. The causes share their codes and need different remedies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The signature of an update, or of its metadata, is not trusted.
    UpdateSignature,
    /// The TLS certificate of the WSUS site is not trusted.
    WsusTls,
    /// The TLS certificate of a Microsoft service is not trusted; often an inspecting proxy replaces the certificate.
    MicrosoftTls,
}

/// The cause of a trust failure, or `None` where neither the failure nor the host names the server, or where the host
/// names a WSUS server over plain HTTP.
///
/// A certificate that fails outside of a scan is that of an update's signature, unless the family is TLS itself. In a
/// scan it is that of the server: untrusted roots and expired certificates have the same codes there. `server` is the
/// server that the client contacted, `wsus` the configured server (`none` for a host without one); both are
/// `host[:port]`.
#[must_use]
pub fn cause(family: Family, operation: &str, server: Option<&str>, wsus: Option<&str>) -> Option<Cause> {
    let is_of_content = match family {
        Family::Tls => false,
        // The digest of a file and the signature of metadata play no part in a TLS handshake.
        Family::Signature | Family::Metadata => true,
        _ => operation != "scan",
    };
    if is_of_content {
        return Some(Cause::UpdateSignature);
    }
    match (server.filter(|server| *server != "unknown"), wsus) {
        (Some(server), Some(wsus)) if host_of(server).eq_ignore_ascii_case(host_of(wsus)) => Some(Cause::WsusTls),
        (Some(server), _) if is_microsoft(server) => Some(Cause::MicrosoftTls),
        (Some(_), _) => Some(Cause::WsusTls),
        (None, Some(NO_WSUS)) => Some(Cause::MicrosoftTls),
        // Over plain HTTP no certificate is refused, so another server failed, which no line names.
        (None, Some(wsus)) if is_plain_http(wsus) => None,
        (None, Some(_)) => Some(Cause::WsusTls),
        (None, None) => None,
    }
}

/// Value of the dimension `wsus` for a host whose log reports that it has no WSUS server. A host whose log names no
/// server lacks the dimension.
pub const NO_WSUS: &str = "none";

/// True for `host[:port]` of a service of Microsoft: update, delivery, content, trust lists.
#[must_use]
pub fn is_microsoft(server: &str) -> bool {
    /// Every host name that Microsoft documents for Windows Update and Delivery Optimization lies below one of these
    /// domains.
    const DOMAINS: [&str; 3] = ["microsoft.com", "windowsupdate.com", "windows.com"];
    let host = host_of(server).trim_end_matches('.').as_bytes();
    DOMAINS.into_iter().any(|domain| {
        let Some(start) = host.len().checked_sub(domain.len()) else { return false };
        host[start..].eq_ignore_ascii_case(domain.as_bytes()) && (start == 0 || host[start - 1] == b'.')
    })
}

/// True for `host:port` with a port at which WSUS listens without TLS.
fn is_plain_http(server: &str) -> bool {
    server.rsplit_once(':').is_some_and(|(_, port)| matches!(port, "80" | "8530"))
}

/// `host[:port]` without its port.
fn host_of(server: &str) -> &str {
    match server.rsplit_once(':') {
        // A colon inside of an IPv6 address starts no port.
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_code_has_three_causes() {
        use Cause::{MicrosoftTls, UpdateSignature, WsusTls};
        use Family::{Expired, Metadata, Signature, Tls, UntrustedRoot};
        let wsus = Some("wsus01.corp.example:8531");
        let slscr = Some("slscr.update.microsoft.com");
        let cases = [
            (UntrustedRoot, "download", wsus, wsus, Some(UpdateSignature)),
            (UntrustedRoot, "verification", None, None, Some(UpdateSignature)),
            (Expired, "install", slscr, wsus, Some(UpdateSignature)),
            (UntrustedRoot, "scan", wsus, wsus, Some(WsusTls)),
            (Expired, "scan", Some("WSUS01.corp.example"), wsus, Some(WsusTls)),
            (Tls, "scan", slscr, wsus, Some(MicrosoftTls)),
            (Tls, "download", Some("tlu.dl.delivery.mp.microsoft.com:443"), None, Some(MicrosoftTls)),
            (Tls, "download", Some("cache.corp.example:8530"), None, Some(WsusTls)),
            (Tls, "scan", Some("update.microsoft.com.corp.example"), None, Some(WsusTls)),
            (Tls, "scan", Some("wsus.corp.microsoft.com:8531"), Some("wsus.corp.microsoft.com:8531"), Some(WsusTls)),
            (Tls, "scan", None, wsus, Some(WsusTls)),
            (Tls, "scan", Some("unknown"), Some(NO_WSUS), Some(MicrosoftTls)),
            (Tls, "scan", None, None, None),
            (Tls, "scan", None, Some("wsus01.corp.example:8530"), None),
            (Tls, "scan", None, Some("wsus01.corp.example:80"), None),
            (Tls, "scan", None, Some("wsus01.corp.example"), Some(WsusTls)),
            (Tls, "scan", Some("wsus01.corp.example:8531"), Some("wsus01.corp.example:8530"), Some(WsusTls)),
            (Metadata, "scan", wsus, wsus, Some(UpdateSignature)),
            (Signature, "scan", wsus, wsus, Some(UpdateSignature)),
        ];
        for (family, operation, server, wsus, expect) in cases {
            assert_eq!(cause(family, operation, server, wsus), expect, "{family} {operation} {server:?} {wsus:?}");
        }
    }

    #[test]
    fn a_domain_ends_at_a_dot() {
        for (server, expect) in [
            ("fe2.update.microsoft.com", true),
            ("FE3CR.Delivery.MP.Microsoft.com:443", true),
            ("windowsupdate.com", true),
            ("ctldl.windowsupdate.com.", true),
            ("notmicrosoft.com", false),
            ("microsoft.com.example", false),
            ("[2001:db8::1]:8530", false),
            ("", false),
        ] {
            assert_eq!(is_microsoft(server), expect, "{server}");
        }
    }
}
