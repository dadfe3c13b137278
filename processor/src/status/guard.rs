//! Access to the pages and the API, and the headers of every answer.
//!
//! On loopback every user of the machine may read, as every user may read `/metrics`; a foreign `Host` is refused, so
//! that a web site that points its own name to 127.0.0.1 (DNS rebinding) learns nothing. Beyond loopback a token is
//! needed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use wulog_settings::Secret;

/// Shortest token: 16 random letters and digits are 95 bits.
pub(crate) const TOKEN_BYTES_MIN: usize = 16;

/// Content security policy: the pages load only their own style and script, and connect only to their own server.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// The rule of access.
#[derive(Clone, Debug)]
pub struct Access {
    listen: SocketAddr,
    /// SHA-256 of the token: hashes are compared, so the duration of a comparison reveals nothing about the token.
    token: Option<[u8; 32]>,
}

/// The reason for which a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    ForeignHost,
    NoTokenConfigured,
    Token,
}

impl Access {
    /// The access to a server that listens at `listen`.
    #[must_use]
    pub fn new(listen: SocketAddr, token: Option<&Secret>) -> Access {
        Access { listen, token: token.map(|token| Sha256::digest(token.expose().as_bytes()).into()) }
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let is_loopback = self.listen.ip().is_loopback();
        if is_loopback && !headers.get(header::HOST).is_some_and(|host| self.is_own(host)) {
            return Err(Refused::ForeignHost);
        }
        match self.token {
            None if is_loopback => Ok(()),
            None => Err(Refused::NoTokenConfigured),
            Some(token) => {
                let given = headers.get(header::AUTHORIZATION).and_then(token_of);
                let is_right = given.is_some_and(|given| <[u8; 32]>::from(Sha256::digest(&given)) == token);
                if is_right { Ok(()) } else { Err(Refused::Token) }
            }
        }
    }

    /// Whether a `Host` header names this machine's loopback: `localhost` or an address, with any port.
    fn is_own(&self, host: &HeaderValue) -> bool {
        let Ok(host) = host.to_str() else { return false };
        let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, _)) => name,
            None => host.split(':').next().unwrap_or_default(),
        };
        let is_address = |address: IpAddr| address.is_loopback() || address == self.listen.ip();
        name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_address)
    }
}

/// The token of `Bearer TOKEN`, or of `Basic`, where the token is the password: browsers ask for no other form.
fn token_of(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = STANDARD.decode(rest.trim()).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// Passes a request on, or refuses it; every answer gets the headers.
pub(crate) async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let mut response = match access.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(why) => refusal(why),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

fn refusal(why: Refused) -> Response {
    match why {
        Refused::ForeignHost => (
            StatusCode::MISDIRECTED_REQUEST,
            "this server listens on loopback: open it as http://localhost:PORT or http://127.0.0.1:PORT\n",
        )
            .into_response(),
        Refused::NoTokenConfigured => (
            StatusCode::FORBIDDEN,
            "the status page is reachable from other machines only with [http] token_file; /metrics, /healthz and /readyz are\n",
        )
            .into_response(),
        Refused::Token => (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Basic realm=\"wulog\", charset=\"UTF-8\"")],
            "a token is needed: Authorization: Bearer TOKEN, or the token as the password of any user\n",
        )
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listen: &str, token: Option<&str>, headers: &[(&str, &str)]) -> Result<(), Refused> {
        let secret = token.map(Secret::inline);
        let access = Access::new(listen.parse().unwrap(), secret.as_ref());
        let pairs = headers
            .iter()
            .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap()));
        access.check(&pairs.collect())
    }

    #[test]
    fn a_foreign_host_is_refused_on_loopback() {
        for host in ["localhost", "LOCALHOST:9465", "127.0.0.1:1", "127.9.9.9", "[::1]:9465"] {
            assert_eq!(check("127.0.0.1:9465", None, &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:9465", "10.0.0.1", "[::2]", ""] {
            assert_eq!(check("127.0.0.1:9465", None, &[("host", host)]), Err(Refused::ForeignHost), "{host}");
        }
        assert_eq!(check("[::1]:9465", None, &[]), Err(Refused::ForeignHost));
    }

    #[test]
    fn beyond_loopback_a_token_is_needed() {
        let token = "0123456789abcdef";
        assert_eq!(check("0.0.0.0:9465", None, &[("host", "wulog")]), Err(Refused::NoTokenConfigured));
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for (authorization, expect) in [
            (format!("Bearer {token}"), Ok(())),
            (format!("bearer  {token}"), Ok(())),
            (basic(&format!("admin:{token}")), Ok(())),
            (basic(token), Err(Refused::Token)),
            (basic("admin:0123456789abcdeg"), Err(Refused::Token)),
            (format!("Bearer {}", &token[1..]), Err(Refused::Token)),
            ("Bearer ".to_owned(), Err(Refused::Token)),
            ("Basic %%%".to_owned(), Err(Refused::Token)),
            (format!("Digest {token}"), Err(Refused::Token)),
        ] {
            let headers = [("host", "wulog"), ("authorization", authorization.as_str())];
            assert_eq!(check("0.0.0.0:9465", Some(token), &headers), expect, "{authorization}");
        }
        assert_eq!(check("127.0.0.1:9465", Some(token), &[("host", "localhost")]), Err(Refused::Token));
    }
}
