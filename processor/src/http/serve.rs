//! The HTTP server: figures and health for programs, and the status page. No answer waits for a slow reader.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wulog_collector::secret::Secret;

use crate::metrics::Metrics;
use crate::status::{self, Access, Status};

/// Connections at a time: more wait in the kernel.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may last: a client that reads slower than that is cut off.
const CONNECTION_MAX: Duration = Duration::from_secs(30);
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The `[http]` table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// `IP:PORT` to listen at.
    pub listen: SocketAddr,
    /// Whether `listen` may be reachable from other machines. The figures name channels and families, no hosts.
    #[serde(default)]
    pub allow_remote: bool,
    /// File of the token that the status page and its API ask for. Beyond loopback the page needs one.
    #[serde(default, rename = "token_file", deserialize_with = "token_of_file")]
    #[schemars(with = "Option<String>")]
    pub token: Option<Secret>,
}

/// Reads the file that a path names, as all secrets are read.
fn token_of_file<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let path = String::deserialize(deserializer)?;
    Secret::look_up("file", &path).map(Some).map_err(de::Error::custom)
}

impl HttpConfig {
    /// Looks whether the address is one that may be listened at, and whether the token is one that nobody guesses.
    ///
    /// # Errors
    /// The key, and what is wrong.
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
pub struct Server {
    listener: std::net::TcpListener,
    access: Access,
}

impl Server {
    /// Listens, so that a wrong address stops the start and not a thread.
    ///
    /// # Errors
    /// As the system says, with the address.
    pub fn bind(config: &HttpConfig) -> anyhow::Result<Server> {
        let failed = |error: io::Error| anyhow::anyhow!("[http] listen = {}: {error}", config.listen);
        let listener = std::net::TcpListener::bind(config.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Server { listener, access: Access::new(config.listen, config.token.as_ref()) })
    }

    /// Answers until `stop`. `/metrics`, `/healthz` and `/readyz` ask for no token: they name no hosts, and the programs
    /// that read them have none.
    ///
    /// # Errors
    /// Where the system gives no runtime.
    pub fn run(self, metrics: &Metrics, status: Arc<Status>, stop: &CancellationToken) -> anyhow::Result<()> {
        let guard = axum::middleware::from_fn_with_state(Arc::new(self.access), status::guard);
        let router = Router::new()
            .route("/metrics", get(figures))
            .route("/healthz", get(health))
            .route("/readyz", get(readiness))
            .with_state(metrics.clone())
            .merge(status::routes().route_layer(guard).with_state(status));
        // A runtime of its own: no pipeline thread ever waits for a reader of figures.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            let listener = TcpListener::from_std(self.listener)?;
            accept(&listener, &router, stop).await;
            Ok(())
        })
    }
}

async fn accept(listener: &TcpListener, router: &Router, stop: &CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await; // out of file descriptors: others will be freed
            continue;
        };
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let stream = hyper_util::rt::TokioIo::new(stream);
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(hyper_util::rt::TokioTimer::new())
                .header_read_timeout(Duration::from_secs(10))
                .max_buf_size(16 * 1024)
                .serve_connection(stream, service);
            // How a connection ends is the client's business.
            let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
            drop(permit);
        });
    }
}

async fn figures(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.render())
}

async fn health(State(metrics): State<Metrics>) -> impl IntoResponse {
    said(metrics.health(Instant::now()))
}

async fn readiness(State(metrics): State<Metrics>) -> impl IntoResponse {
    said(metrics.readiness(Instant::now()))
}

fn said(result: Result<(), String>) -> (StatusCode, String) {
    match result {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}
