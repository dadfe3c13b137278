//! The HTTP server: figures and health for programs, and the status page. No answer waits for a slow reader.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wulog_service::http::{self, Bounds};
use wulog_settings::Secret;

use crate::metrics::Metrics;
use crate::status::{self, Access, Status};

/// A browser loads a page over several connections, and a client that reads slowly is cut off in the end.
const BOUNDS: Bounds = Bounds {
    connections_max: 64,
    request_timeout: Duration::from_secs(10),
    connection_timeout: Duration::from_secs(30),
    head_bytes_max: 16 * 1024,
    keep_alive: true,
};

/// The `[http]` table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// `IP:PORT` to listen at.
    pub listen: SocketAddr,
    /// Whether `listen` may be reachable from other machines. The figures name channels and families, no hosts.
    #[serde(default)]
    pub allow_remote: bool,
    /// File with the token that the status page and its API require. Beyond loopback the page needs a token.
    #[serde(default, rename = "token_file", deserialize_with = "token_of_file")]
    #[schemars(with = "Option<String>")]
    pub token: Option<Secret>,
}

/// Reads the file at a path in the same way as all secrets.
fn token_of_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let path = String::deserialize(deserializer)?;
    Secret::look_up("file", &path).map(Some).map_err(de::Error::custom)
}

impl HttpConfig {
    /// Checks that the address may be used, and that the token is long enough.
    ///
    /// # Errors
    /// The key, and the fault.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if !self.listen.ip().is_loopback() && !self.allow_remote {
            let why = "reachable from other machines; set allow_remote = true if that is meant";
            return Err(("listen", format!("listen = {}: {why}", self.listen)));
        }
        let is_weak = |token: &Secret| token.expose().len() < status::TOKEN_BYTES_MIN;
        if self.token.as_ref().is_some_and(is_weak) {
            let why = format!("token_file: the token has less than {} bytes", status::TOKEN_BYTES_MIN);
            return Err(("token_file", format!("{why}; make one with `openssl rand -hex 32`")));
        }
        let is_sendable = |token: &Secret| token.expose().bytes().all(|byte| byte.is_ascii_graphic());
        if !self.token.as_ref().is_none_or(is_sendable) {
            let why = "token_file: a token has visible ASCII characters only, and no blanks";
            return Err(("token_file", why.to_owned()));
        }
        Ok(())
    }
}

/// A server at its address.
#[derive(Debug)]
pub(crate) struct HttpServer {
    listener: std::net::TcpListener,
    access: Access,
}

impl HttpServer {
    /// Opens the port, so that a wrong address stops the start and not a thread.
    ///
    /// # Errors
    /// The system's error, with the address.
    pub(crate) fn bind(config: &HttpConfig) -> anyhow::Result<HttpServer> {
        let failed = |error: io::Error| anyhow::anyhow!("[http] listen = {}: {error}", config.listen);
        let listener = std::net::TcpListener::bind(config.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(HttpServer { listener, access: Access::new(config.listen, config.token.as_ref()) })
    }

    /// Answers requests until `stop`. `/metrics`, `/healthz` and `/readyz` need no token: they name no hosts, and the
    /// programs that read them have no token.
    ///
    /// # Errors
    /// If the system provides no runtime.
    pub(crate) fn run(self, metrics: &Metrics, status: Arc<Status>, stop: &CancellationToken) -> anyhow::Result<()> {
        let guard = axum::middleware::from_fn_with_state(Arc::new(self.access), status::guard);
        let router = Router::new()
            .route("/metrics", get(figures))
            .route("/healthz", get(health))
            .route("/readyz", get(readiness))
            .with_state(metrics.clone())
            .merge(status::routes().route_layer(guard).with_state(status));
        // The server has a runtime of its own, so no pipeline thread waits for a reader of figures.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            let listener = TcpListener::from_std(self.listener)?;
            tokio::select! {
                () = http::serve(listener, router, BOUNDS) => {}
                () = stop.cancelled() => {}
            }
            Ok(())
        })
    }
}

async fn figures(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, http::OPEN_METRICS)], metrics.render())
}

async fn health(State(metrics): State<Metrics>) -> impl IntoResponse {
    http::health_answer(metrics.health(Instant::now()))
}

async fn readiness(State(metrics): State<Metrics>) -> impl IntoResponse {
    http::health_answer(metrics.readiness(Instant::now()))
}
