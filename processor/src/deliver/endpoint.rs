//! An HTTP endpoint: POSTs a body and says what the answer means for the delivery.

use std::io::Read;
use std::time::{Duration, SystemTime};

use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue, Response};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};

use super::channel::Outcome;
use super::config::{ChannelConfig, HttpConfig};
use super::trust::{Trust, provider};

/// Largest body: PagerDuty takes 512 KiB, Alertmanager and most proxies 1 MiB or more.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of an answer that are read: enough for a reason.
const ANSWER_BYTES_MAX: u64 = 2048;
/// Longest secret or header value.
const HEADER_BYTES_MAX: usize = 8 * 1024;

/// A place that takes POSTs.
pub(super) struct Endpoint {
    agent: Agent,
    url: String,
    /// Scheme, host and port: the path and the query may hold a secret.
    shown: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) after: Option<Duration>,
}

impl Endpoint {
    /// Looks up secrets and certificates; reaches nothing yet. `path` is appended to the address.
    ///
    /// # Errors
    /// Names the key, file or variable at fault.
    pub(super) fn open(config: &ChannelConfig, http: &HttpConfig, path: &str) -> Result<Endpoint, String> {
        let url = http.url.expose();
        let url = if path.is_empty() { url.to_owned() } else { format!("{}{path}", url.trim_end_matches('/')) };
        let parsed: ureq::http::Uri = url.parse().map_err(|_| "url: not an address".to_owned())?;
        let (Some(scheme), Some(authority)) = (parsed.scheme_str(), parsed.authority()) else {
            return Err("url: must begin with http:// or https://".to_owned());
        };
        let port = authority.port().map(|port| format!(":{port}")).unwrap_or_default();
        let shown = format!("{scheme}://{}{port}", authority.host());
        let mut headers = Vec::new();
        for (name, text) in &http.headers {
            headers.push((header_name(name)?, secret_value(name, text.expose())?));
        }
        if let Some(token) = &http.bearer_token {
            let value = secret_value("bearer_token", &format!("Bearer {}", token.expose()))?;
            headers.push((ureq::http::header::AUTHORIZATION, value));
        }
        let proxy = match &http.proxy {
            Some(text) => Some(
                ureq::Proxy::new(text.expose())
                    .map_err(|_| "proxy: not an address such as http://HOST:PORT".to_owned())?,
            ),
            None => None,
        };
        let agent = Agent::config_builder()
            .timeout_global(Some(config.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_response_header_size(64 * 1024)
            .proxy(proxy)
            .user_agent(concat!("wulog/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls(&Trust::load(&config.trust)?)?)
            .build()
            .new_agent();
        Ok(Endpoint { agent, url, shown, headers })
    }

    /// Sends a body.
    ///
    /// # Errors
    /// What a delivery comes to without an answer.
    pub(super) fn post(&self, headers: &[(&str, String)], body: &[u8]) -> Result<Answer, Outcome> {
        if body.len() > BODY_BYTES_MAX {
            return Err(Outcome::Refused(format!("the body has {} bytes, more than {BODY_BYTES_MAX}", body.len())));
        }
        let mut request = self.agent.post(&self.url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.send(body).map_err(|error| self.failed(&error))?;
        Ok(read(response))
    }

    fn failed(&self, error: &ureq::Error) -> Outcome {
        let why = format!("{}: {error}", self.shown);
        match error {
            // What cannot be sent at all will not be taken later.
            ureq::Error::Http(_) | ureq::Error::BadUri(_) | ureq::Error::TooManyRedirects => Outcome::Refused(why),
            _ => Outcome::Retry { why, after: None },
        }
    }

    /// What an answer means: a server that is ill or busy is asked again, one that refuses is not.
    pub(super) fn judge(&self, answer: Answer) -> Outcome {
        let Answer { status, body, after } = answer;
        let text = format!("{} {}", status, one_line(&body));
        let text = text.trim_end().to_owned();
        match status {
            200..300 => Outcome::Delivered(text),
            408 | 429 | 500.. => Outcome::Retry { why: format!("{} answered {text}", self.shown), after },
            300..400 => Outcome::Refused(format!("{} answered {text}: redirects are not followed", self.shown)),
            _ => Outcome::Refused(format!("{} answered {text}", self.shown)),
        }
    }
}

fn read(mut response: Response<ureq::Body>) -> Answer {
    let after = response.headers().get(ureq::http::header::RETRY_AFTER);
    let after = after.and_then(|value| retry_after(value.to_str().ok()?, SystemTime::now()));
    let mut body = Vec::new();
    // An answer that breaks off has been given: the status line stands.
    let _ = response.body_mut().as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut body);
    Answer { status: response.status().as_u16(), body: String::from_utf8_lossy(&body).into_owned(), after }
}

/// `Retry-After`: seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(secs) = text.trim().parse() {
        return Some(Duration::from_secs(secs));
    }
    let date = chrono::DateTime::parse_from_rfc2822(text.trim()).ok()?;
    SystemTime::from(date).duration_since(now).ok()
}

/// An answer on one line, without control characters.
fn one_line(text: &str) -> String {
    let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::try_from(name).map_err(|_| format!("headers: {name:?} is not a header's name"))
}

/// A header's value that no debug output shows.
fn secret_value(name: &str, text: &str) -> Result<HeaderValue, String> {
    if text.len() > HEADER_BYTES_MAX {
        return Err(format!("{name}: longer than {HEADER_BYTES_MAX} bytes"));
    }
    let mut value =
        HeaderValue::try_from(text).map_err(|_| format!("{name}: has characters that no header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn tls(trust: &Trust) -> Result<TlsConfig, String> {
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
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after("soon", now), None);
    }
}
