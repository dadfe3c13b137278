//! An HTTP endpoint: posts a body, and turns the answer into the outcome of the delivery.

use std::io::Read;
use std::time::{Duration, SystemTime};

use ureq::http::header::AUTHORIZATION;
use ureq::http::{HeaderName, HeaderValue, Response, Uri};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Proxy};

use super::channel::DeliveryOutcome;
use super::settings::{ChannelConfig, EndpointConfig};
use super::trust::{TlsTrust, provider};

/// Largest body: PagerDuty takes 512 KiB, Alertmanager and most proxies 1 MiB or more.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of an answer that are read: enough for the reason of a refusal.
const ANSWER_BYTES_MAX: u64 = 2048;
/// Longest secret or header value.
const HEADER_BYTES_MAX: usize = 8 * 1024;

/// Headers that describe the connection and the length of the body. A value that the operator sets would break each
/// request.
const SET_BY_HTTP: [&str; 7] =
    ["connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"];

/// Statuses that refuse the document: bad request, conflict, content too large, unprocessable content. Other statuses,
/// such as 401 and 404, refuse the credential or the address, and would come for every document.
const REFUSE_THE_DOCUMENT: [u16; 4] = [400, 409, 413, 422];

/// A place that takes POSTs.
pub(super) struct Endpoint {
    agent: Agent,
    url: String,
    /// Scheme, host and port for messages: the path and the query may hold a secret.
    shown: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The answer of the endpoint.
pub(super) struct EndpointAnswer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) after: Option<Duration>,
}

impl Endpoint {
    /// Looks up secrets and certificates; reaches nothing yet. `path` is appended to the address.
    ///
    /// # Errors
    /// Names the key, file or variable at fault.
    pub(super) fn open(config: &ChannelConfig, http: &EndpointConfig, path: &str) -> Result<Endpoint, String> {
        let url = http.url.expose();
        let url = if path.is_empty() { url.to_owned() } else { format!("{}{path}", url.trim_end_matches('/')) };
        let parsed = address(&url).map_err(|why| format!("url: {why}"))?;
        let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
        let scheme = parsed.scheme_str().unwrap_or_default();
        let shown = format!("{scheme}://{}{port}", parsed.host().unwrap_or_default());
        let proxy = http.proxy.as_ref().map(|text| proxy(text.expose())).transpose();
        let proxy = proxy.map_err(|why| format!("proxy: {why}"))?;
        let headers = headers(http).map_err(|(key, why)| format!("{key}: {why}"))?;
        let agent = Agent::config_builder()
            .timeout_global(Some(config.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(64 * 1024)
            .proxy(proxy)
            .user_agent(concat!("wulog/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls(&TlsTrust::load(&config.trust)?)?)
            .build()
            .new_agent();
        Ok(Endpoint { agent, url, shown, headers })
    }

    /// Sends a body.
    ///
    /// # Errors
    /// The outcome of a delivery that got no answer.
    pub(super) fn post(&self, headers: &[(&str, String)], body: &[u8]) -> Result<EndpointAnswer, DeliveryOutcome> {
        if body.len() > BODY_BYTES_MAX {
            return Err(DeliveryOutcome::Refused(format!(
                "the body has {} bytes, more than {BODY_BYTES_MAX}",
                body.len()
            )));
        }
        let mut request = self.agent.post(&self.url);
        // A header that the operator sets replaces ours: most servers refuse a request with two content types.
        for (name, value) in headers.iter().filter(|(name, _)| self.headers.iter().all(|(own, _)| own != name)) {
            request = request.header(*name, value);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.send(body).map_err(|error| self.failed(&error))?;
        Ok(read(response))
    }

    fn failed(&self, error: &ureq::Error) -> DeliveryOutcome {
        let why = format!("{}: {error}", self.shown);
        match error {
            // An address or a header that cannot be sent fails for every document.
            ureq::Error::Http(_) | ureq::Error::BadUri(_) | ureq::Error::TooManyRedirects => {
                DeliveryOutcome::Barred(why)
            }
            _ => DeliveryOutcome::Retry { why, after: None },
        }
    }

    /// The outcome that an answer means. The document is tried again where the server is ill or busy, and where it
    /// refuses the sender or the address, since a person will repair this fault. Only a refusal of the document itself
    /// parks the document.
    pub(super) fn judge(&self, answer: EndpointAnswer) -> DeliveryOutcome {
        let EndpointAnswer { status, body, after } = answer;
        let text = format!("{} {}", status, one_line(&body));
        let text = text.trim_end().to_owned();
        match status {
            200..300 => DeliveryOutcome::Delivered(text),
            408 | 429 | 500.. => DeliveryOutcome::Retry { why: format!("{} answered {text}", self.shown), after },
            300..400 => DeliveryOutcome::Barred(format!("{} answered {text}: redirects are not followed", self.shown)),
            _ if REFUSE_THE_DOCUMENT.contains(&status) => {
                DeliveryOutcome::Refused(format!("{} answered {text}", self.shown))
            }
            _ => DeliveryOutcome::Barred(format!("{} answered {text}", self.shown)),
        }
    }
}

fn read(mut response: Response<ureq::Body>) -> EndpointAnswer {
    let after = response.headers().get(ureq::http::header::RETRY_AFTER);
    let after = after.and_then(|value| retry_after(value.to_str().ok()?, SystemTime::now()));
    let mut body = Vec::new();
    // If the answer breaks off, its status line still counts.
    let _ = response.body_mut().as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut body);
    EndpointAnswer { status: response.status().as_u16(), body: String::from_utf8_lossy(&body).into_owned(), after }
}

/// `Retry-After`: seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(secs) = text.trim().parse() {
        return Some(Duration::from_secs(secs));
    }
    let date = chrono::DateTime::parse_from_rfc2822(text.trim()).ok()?;
    SystemTime::from(date).duration_since(now).ok()
}

/// The address of an HTTP endpoint or proxy. ureq drops a port that does not fit 16 bits and would reach another
/// server, so the port is checked here.
///
/// # Errors
/// Says what is wrong. It does not show the address, which may hold a secret.
pub(super) fn address(text: &str) -> Result<Uri, &'static str> {
    if !(text.starts_with("http://") || text.starts_with("https://")) {
        return Err("must begin with http:// or https://");
    }
    let parsed: Uri = text.parse().map_err(|_| "not an address such as https://HOST:PORT/PATH")?;
    let authority = parsed.authority().ok_or("names no host")?;
    if authority.host().is_empty() {
        return Err("names no host");
    }
    let after_user = authority.as_str().rsplit('@').next().unwrap_or_default();
    let has_port = after_user.len() > authority.host().len();
    if has_port && authority.port_u16().is_none_or(|port| port == 0) {
        return Err("its port is not a number from 1 to 65535");
    }
    Ok(parsed)
}

/// A proxy. Only HTTP proxies are built in: ureq panics at each request through another kind.
///
/// # Errors
/// Says what is wrong, without the proxy's password.
pub(super) fn proxy(text: &str) -> Result<Proxy, &'static str> {
    const FORM: &str = "not an HTTP proxy such as http://HOST:PORT; SOCKS is not supported";
    address(text).map_err(|_| FORM)?;
    Proxy::new(text).map_err(|_| FORM)
}

/// The headers of every request to this endpoint.
///
/// # Errors
/// The key at fault and why, without the value.
pub(super) fn headers(http: &EndpointConfig) -> Result<Vec<(HeaderName, HeaderValue)>, (&'static str, String)> {
    let mut headers = Vec::new();
    for (name, text) in &http.headers {
        let header = HeaderName::try_from(name).map_err(|_| ("headers", format!("{name:?} is not a header's name")))?;
        if SET_BY_HTTP.contains(&header.as_str()) {
            return Err(("headers", format!("{name:?} is set by the HTTP client itself")));
        }
        if header == AUTHORIZATION && http.bearer_token.is_some() {
            return Err(("headers", format!("{name:?} and bearer_token are the same header")));
        }
        let value = secret_value(text.expose()).map_err(|why| ("headers", format!("{name:?} {why}")))?;
        headers.push((header, value));
    }
    if let Some(token) = &http.bearer_token {
        // RFC 6750 lets a token have printable ASCII only; a byte order mark would make each request fail.
        if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(("bearer_token", "has characters that no token may have".to_owned()));
        }
        let value = secret_value(&format!("Bearer {}", token.expose())).map_err(|why| ("bearer_token", why))?;
        headers.push((AUTHORIZATION, value));
    }
    Ok(headers)
}

/// An answer on one line, without control characters.
fn one_line(text: &str) -> String {
    let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A header's value, marked so that no debug output shows it.
fn secret_value(text: &str) -> Result<HeaderValue, String> {
    if text.len() > HEADER_BYTES_MAX {
        return Err(format!("is longer than {HEADER_BYTES_MAX} bytes"));
    }
    let mut value = HeaderValue::try_from(text).map_err(|_| "has characters that no header may have".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn tls(trust: &TlsTrust) -> Result<TlsConfig, String> {
    let certificate = |der: &rustls::pki_types::CertificateDer<'static>| Certificate::from_der(der).to_owned();
    let roots: Vec<Certificate<'static>> = trust.roots.iter().map(certificate).collect();
    let client = match &trust.client {
        Some(client) => {
            let chain: Vec<Certificate<'static>> = client.chain.iter().map(certificate).collect();
            let key = PrivateKey::from_pem(&client.key_pem).map_err(|error| format!("client_key: {error}"))?;
            Some(ClientCert::new_with_certs(&chain, key))
        }
        None => None,
    };
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::from(roots))
        .client_cert(client)
        .unversioned_rustls_crypto_provider(provider())
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port_that_exists() {
        for right in ["http://a", "https://a:8443/x?y=z", "http://u:p@a:80/", "http://[::1]:9093", "http://[::1]/x"] {
            assert!(address(right).is_ok(), "{right}: {:?}", address(right));
        }
        let wrong = [
            "a",
            "ftp://a/",
            "http://",
            "http://a b/",
            "http://a/ x",
            "http://a:99999/",
            "http://a:0",
            "http://[::1]:x",
        ];
        for wrong in wrong {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after("soon", now), None);
    }
}
