//! The TLS certificate of the WSUS server that the policy names, and whether this machine trusts it.
//!
//! WinHTTP asks the server, as the update client does, but errors of the certificate do not end the connection, so that
//! a certificate that is not trusted is read too. Windows then judges the certificate for the machine, not for the
//! account of the service. Neither credentials nor cookies are sent, and no redirect is followed.
//!
//! Certificates that an administrator has pinned for WSUS are not compared.

#![allow(unsafe_code)] // calls for which no crate has wrappers

use std::ffi::c_void;
use std::mem::offset_of;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Networking::WinHttp::{
    SECURITY_FLAG_IGNORE_CERT_CN_INVALID, SECURITY_FLAG_IGNORE_CERT_DATE_INVALID,
    SECURITY_FLAG_IGNORE_CERT_WRONG_USAGE, SECURITY_FLAG_IGNORE_UNKNOWN_CA, WINHTTP_ACCESS_TYPE_DEFAULT_PROXY,
    WINHTTP_DISABLE_AUTHENTICATION, WINHTTP_DISABLE_COOKIES, WINHTTP_DISABLE_REDIRECTS, WINHTTP_FLAG_SECURE,
    WINHTTP_OPTION_CLIENT_CERT_CONTEXT, WINHTTP_OPTION_DISABLE_FEATURE, WINHTTP_OPTION_SECURITY_FLAGS,
    WINHTTP_OPTION_SERVER_CERT_CONTEXT, WinHttpCloseHandle, WinHttpConnect, WinHttpOpen, WinHttpOpenRequest,
    WinHttpQueryOption, WinHttpReceiveResponse, WinHttpSendRequest, WinHttpSetOption, WinHttpSetTimeouts,
};
use windows_sys::Win32::Security::Cryptography::{
    AUTHTYPE_SERVER, CERT_CHAIN_CONTEXT, CERT_CHAIN_ENGINE_CONFIG, CERT_CHAIN_PARA, CERT_CHAIN_POLICY_PARA,
    CERT_CHAIN_POLICY_SSL, CERT_CHAIN_POLICY_STATUS, CERT_CHAIN_USE_LOCAL_MACHINE_STORE, CERT_CONTEXT,
    CERT_USAGE_MATCH, CTL_USAGE, CertCreateCertificateChainEngine, CertFreeCertificateChain,
    CertFreeCertificateChainEngine, CertFreeCertificateContext, CertGetCertificateChain,
    CertVerifyCertificateChainPolicy, HCERTCHAINENGINE, HTTPSPolicyCallbackData, HTTPSPolicyCallbackData_0,
    USAGE_MATCH_TYPE_AND, szOID_PKIX_KP_SERVER_AUTH,
};
use wulog_schemas::certificate::{Certificate, Site};

use super::stores::{Shown, code_text, last_error, slice};
use super::update_policy;

/// Each step to the server ends after this time: name, connection, request, answer.
const STEP_MS: i32 = 5_000;

/// The page of a WSUS server that each client asks.
const PAGE: &str = "/ClientWebService/client.asmx";

const HTTPS_PORT: u16 = 443;

/// Asks the WSUS server of the machine; `None` where the policy names no server with TLS. The call may take half a
/// minute.
pub(crate) fn ask() -> Option<Site> {
    let policy = update_policy::read()?;
    if policy.use_wu_server != Some(true) {
        return None;
    }
    let url = policy.wu_server?;
    let server = https_server(&url)?;
    let answer = match host_and_port(server) {
        Some((host, port)) => certificate_of(host, port).and_then(|certificate| judged(&certificate, host)),
        None => Err("the policy names no valid server".to_owned()),
    };
    let server = server.to_owned();
    Some(match answer {
        Ok(Judged { error, chain }) => Site { server, trusted: Some(error.is_none()), error, chain },
        Err(error) => Site { server, error: Some(error), ..Site::default() },
    })
}

/// `host[:port]` of an address with TLS.
fn https_server(url: &str) -> Option<&str> {
    const SCHEME: &str = "https://";
    let url = url.trim();
    let scheme = url.get(..SCHEME.len())?;
    let rest = scheme.eq_ignore_ascii_case(SCHEME).then(|| &url[SCHEME.len()..])?;
    let server = rest.split(['/', '\\', '?', '#']).next()?;
    // A password before the server name must not leave the host.
    Some(server.rsplit('@').next().unwrap_or(server))
}

fn host_and_port(server: &str) -> Option<(&str, u16)> {
    // The colons of an IPv6 address stand in brackets.
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (server, ""),
    };
    let port = if port.is_empty() { HTTPS_PORT } else { port.parse().ok()? };
    (!host.is_empty() && port != 0 && !host.contains(char::is_control)).then_some((host, port))
}

/// A handle of WinHTTP.
struct Handle(*mut c_void);

impl Handle {
    /// # Errors
    /// Says what failed, with Windows' code.
    fn of(handle: *mut c_void, what: &str) -> Result<Handle, String> {
        if handle.is_null() { Err(failed(what)) } else { Ok(Handle(handle)) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: WinHTTP gave the handle, and it is closed once.
        unsafe { WinHttpCloseHandle(self.0) };
    }
}

/// The certificate that a server has shown.
struct ServerCertificate(*const CERT_CONTEXT);

impl Drop for ServerCertificate {
    fn drop(&mut self) {
        // SAFETY: the context was given to us, and it is freed once.
        unsafe { CertFreeCertificateContext(self.0) };
    }
}

/// A chain engine with the stores of the machine, not of an account. A new engine is made for each question, since the
/// shared engine of a process may miss certificates that came into a store later.
struct Engine(HCERTCHAINENGINE);

impl Engine {
    fn of_machine() -> Result<Engine, String> {
        let config = CERT_CHAIN_ENGINE_CONFIG {
            // The struct as it was before Windows 7, which each version takes: nothing behind that is set.
            cbSize: offset_of!(CERT_CHAIN_ENGINE_CONFIG, hExclusiveRoot) as u32,
            dwFlags: CERT_CHAIN_USE_LOCAL_MACHINE_STORE,
            dwUrlRetrievalTimeout: STEP_MS.unsigned_abs(),
            ..Default::default()
        };
        let mut engine = null_mut();
        // SAFETY: the struct has at least the size that it names.
        let is_made = unsafe { CertCreateCertificateChainEngine(&config, &mut engine) } != 0;
        if is_made { Ok(Engine(engine)) } else { Err(failed("chains of certificates cannot be built")) }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: the engine was made by us. Chains stay valid without it.
        unsafe { CertFreeCertificateChainEngine(self.0) };
    }
}

/// The chain of a certificate.
struct Chain(*const CERT_CHAIN_CONTEXT);

impl Drop for Chain {
    fn drop(&mut self) {
        // SAFETY: the chain was given to us, and it is freed once.
        unsafe { CertFreeCertificateChain(self.0) };
    }
}

fn failed(what: &str) -> String {
    format!("{what}: {}", code_text(last_error()))
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// The certificate that the server shows.
///
/// # Errors
/// Why the server shows none.
fn certificate_of(host: &str, port: u16) -> Result<ServerCertificate, String> {
    let (agent, host, verb, page) = (wide("wulog-collector"), wide(host), wide("HEAD"), wide(PAGE));
    // SAFETY: the texts end with a zero. Handles are dropped in the reverse order: the session is closed last. The
    // machine's own proxy is the one that its update client uses.
    let (_session, _connection, request) = unsafe {
        let session = WinHttpOpen(agent.as_ptr(), WINHTTP_ACCESS_TYPE_DEFAULT_PROXY, null(), null(), 0);
        let session = Handle::of(session, "no session with WinHTTP")?;
        if WinHttpSetTimeouts(session.0, STEP_MS, STEP_MS, STEP_MS, STEP_MS) == 0 {
            return Err(failed("no timeouts for WinHTTP"));
        }
        let connection = WinHttpConnect(session.0, host.as_ptr(), port, 0);
        let connection = Handle::of(connection, "the name of the server is not valid")?;
        let secure = WINHTTP_FLAG_SECURE;
        let request = WinHttpOpenRequest(connection.0, verb.as_ptr(), page.as_ptr(), null(), null(), null(), secure);
        (session, connection, Handle::of(request, "no request with WinHTTP")?)
    };
    // Errors are ignored here and judged below. The connection may lead to an untrusted server, so no credentials of
    // this host may be sent over it.
    let ignored = SECURITY_FLAG_IGNORE_UNKNOWN_CA
        | SECURITY_FLAG_IGNORE_CERT_CN_INVALID
        | SECURITY_FLAG_IGNORE_CERT_DATE_INVALID
        | SECURITY_FLAG_IGNORE_CERT_WRONG_USAGE;
    set_number(&request, WINHTTP_OPTION_SECURITY_FLAGS, ignored)?;
    let off = WINHTTP_DISABLE_AUTHENTICATION | WINHTTP_DISABLE_COOKIES | WINHTTP_DISABLE_REDIRECTS;
    set_number(&request, WINHTTP_OPTION_DISABLE_FEATURE, off)?;
    // SAFETY: the request is open. Without a buffer there is no certificate of the client, so that a server that may take
    // one goes on. The result does not matter: a server that insists refuses the request, after it has shown its own.
    unsafe { WinHttpSetOption(request.0, WINHTTP_OPTION_CLIENT_CERT_CONTEXT, null(), 0) };
    // SAFETY: the request is open, without headers and body.
    let is_sent = unsafe { WinHttpSendRequest(request.0, null(), 0, null(), 0, 0, 0) } != 0;
    let not_sent = failed("the server cannot be asked");
    if let Some(certificate) = shown_certificate(&request) {
        return Ok(certificate);
    }
    if !is_sent {
        return Err(not_sent);
    }
    // SAFETY: the request is sent. What the server answers does not matter, once the certificate is there.
    unsafe { WinHttpReceiveResponse(request.0, null_mut()) };
    shown_certificate(&request).ok_or_else(|| failed("the server shows no certificate"))
}

fn set_number(request: &Handle, option: u32, number: u32) -> Result<(), String> {
    // SAFETY: the request is open, and the option is a number of four bytes.
    let is_set = unsafe { WinHttpSetOption(request.0, option, (&raw const number).cast(), size_of::<u32>() as u32) };
    if is_set == 0 { Err(failed("an option of WinHTTP cannot be set")) } else { Ok(()) }
}

fn shown_certificate(request: &Handle) -> Option<ServerCertificate> {
    let mut context: *const CERT_CONTEXT = null();
    let mut len = size_of::<*const CERT_CONTEXT>() as u32;
    // SAFETY: the request is open, and the option is a pointer, for which there is room.
    let is_shown = unsafe {
        WinHttpQueryOption(request.0, WINHTTP_OPTION_SERVER_CERT_CONTEXT, (&raw mut context).cast(), &mut len)
    };
    (is_shown != 0 && !context.is_null()).then_some(ServerCertificate(context))
}

/// Windows' judgement of a certificate.
struct Judged {
    /// The HRESULT for which the certificate is not trusted.
    error: Option<String>,
    chain: Vec<Certificate>,
}

/// Judges the certificate as one of a server with that name.
///
/// # Errors
/// Why Windows gives no judgement.
fn judged(certificate: &ServerCertificate, host: &str) -> Result<Judged, String> {
    let chain = chain_of(certificate)?;
    // The certificate of an IPv6 address has the address without brackets.
    let mut name = wide(host.trim_matches(['[', ']']));
    let mut https = HTTPSPolicyCallbackData {
        Anonymous: HTTPSPolicyCallbackData_0 { cbSize: size_of::<HTTPSPolicyCallbackData>() as u32 },
        dwAuthType: AUTHTYPE_SERVER,
        fdwChecks: 0,
        pwszServerName: name.as_mut_ptr(),
    };
    let policy = CERT_CHAIN_POLICY_PARA {
        cbSize: size_of::<CERT_CHAIN_POLICY_PARA>() as u32,
        dwFlags: 0,
        pvExtraPolicyPara: (&raw mut https).cast(),
    };
    let mut status =
        CERT_CHAIN_POLICY_STATUS { cbSize: size_of::<CERT_CHAIN_POLICY_STATUS>() as u32, ..Default::default() };
    // SAFETY: the chain is valid, the structs have the sizes that they name, and the name ends with a zero.
    if unsafe { CertVerifyCertificateChainPolicy(CERT_CHAIN_POLICY_SSL, chain.0, &policy, &mut status) } == 0 {
        return Err(failed("the certificate cannot be judged"));
    }
    let error = (status.dwError != 0).then(|| format!("{:#010x}", status.dwError));
    Ok(Judged { error, chain: chain.certificates() })
}

/// The chain from the certificate to a root, for TLS servers.
///
/// Revocation is not checked: WinHTTP does not check it either unless a program asks for it, and a list that a host without
/// access to the Internet cannot get would look like a fault of the certificate.
fn chain_of(certificate: &ServerCertificate) -> Result<Chain, String> {
    let engine = Engine::of_machine()?;
    let mut usages = [szOID_PKIX_KP_SERVER_AUTH.cast_mut()];
    let wanted = CERT_CHAIN_PARA {
        cbSize: size_of::<CERT_CHAIN_PARA>() as u32,
        RequestedUsage: CERT_USAGE_MATCH {
            dwType: USAGE_MATCH_TYPE_AND,
            Usage: CTL_USAGE { cUsageIdentifier: 1, rgpszUsageIdentifier: usages.as_mut_ptr() },
        },
        dwUrlRetrievalTimeout: STEP_MS.unsigned_abs(),
        ..Default::default()
    };
    let mut chain = null_mut();
    // SAFETY: the context is valid, and the store beside it, which holds what else the server has shown, lives as long.
    // The struct has the size that it names.
    let is_built = unsafe {
        let store = (*certificate.0).hCertStore;
        CertGetCertificateChain(engine.0, certificate.0, null(), store, &wanted, 0, null(), &mut chain)
    };
    if is_built == 0 || chain.is_null() {
        return Err(failed("the chain of the certificate cannot be built"));
    }
    Ok(Chain(chain))
}

impl Chain {
    /// The certificate of the server first.
    fn certificates(&self) -> Vec<Certificate> {
        // SAFETY: the chain is valid, and its arrays are as long as it says. The first of its simple chains is that of the
        // server's certificate.
        unsafe {
            let simple = slice((*self.0).rgpChain, (*self.0).cChain).first().and_then(|simple| simple.as_ref());
            let elements = simple.map_or(&[][..], |simple| slice(simple.rgpElement, simple.cElement));
            let contexts = elements.iter().filter_map(|element| element.as_ref()).map(|element| element.pCertContext);
            contexts
                .filter_map(|context| Shown::of(context))
                .map(|shown| shown.read(shown.sha1().unwrap_or_default(), None))
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_the_one_that_the_address_names() {
        let check = |url: &str, expected: Option<(&str, Option<(&str, u16)>)>| {
            let found = https_server(url).map(|server| (server, host_and_port(server)));
            assert_eq!(found, expected, "{url}");
        };
        check(
            "https://wsus01.corp.example:8531",
            Some(("wsus01.corp.example:8531", Some(("wsus01.corp.example", 8531)))),
        );
        check("HTTPS://wsus/Path:1?a@b#c", Some(("wsus", Some(("wsus", 443)))));
        check(" https://wsus/ ", Some(("wsus", Some(("wsus", 443)))));
        check("https://ann:secret@wsus:8531/", Some(("wsus:8531", Some(("wsus", 8531)))));
        check("https://[fe80::1]", Some(("[fe80::1]", Some(("[fe80::1]", 443)))));
        check("https://[fe80::1]:8531", Some(("[fe80::1]:8531", Some(("[fe80::1]", 8531)))));
        check("https://wsus:", Some(("wsus:", Some(("wsus", 443)))));
        check("https://wsus:99999", Some(("wsus:99999", None)));
        check("https://:8531", Some((":8531", None)));
        check("https://", Some(("", None)));
        check("http://wsus:8530", None);
        check("wsus", None);
        check("äöüß€äöüß", None);
    }
}
