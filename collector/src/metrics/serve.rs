//! `/metrics` and `/healthz` over HTTP, on a runtime of one thread. Without `[metrics]` in the configuration there is
//! neither.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use wulog_service::http::{self, Bounds};

use super::Metrics;

/// Scrapers need one connection each, come every 15 s or less often, and send request heads of about 300 bytes.
const BOUNDS: Bounds = Bounds {
    connections_max: 64,
    request_timeout: Duration::from_secs(2),
    connection_timeout: Duration::from_secs(10),
    head_bytes_max: 8192,
    keep_alive: false,
};

/// Serves `/metrics` and `/healthz` until it is dropped.
#[derive(Debug)]
pub(crate) struct MetricsServer {
    address: SocketAddr,
    /// Dropping the sender ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsServer {
    /// Starts to listen; with port 0 the system chooses a port.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub(crate) fn start(listen: SocketAddr, metrics: Arc<Metrics>) -> io::Result<MetricsServer> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = runtime.block_on(TcpListener::bind(listen))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = http::serve(listener, router(metrics), BOUNDS) => {}
                    // `stopped` also completes when the sender is dropped.
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn(serve)?;
        Ok(MetricsServer { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the address at which the server listens.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn router(metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/metrics", get(figures))
        .route("/healthz", get(health))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there are /metrics and /healthz\n") })
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "only GET\n") })
        .with_state(metrics)
}

async fn figures(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, http::OPEN_METRICS)], metrics.render(Instant::now()))
}

async fn health(State(metrics): State<Arc<Metrics>>) -> (StatusCode, String) {
    http::health_answer(metrics.health(Instant::now()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::metrics::UNHEALTHY_AFTER;

    fn server() -> MetricsServer {
        let metrics = Arc::new(Metrics::new(UNHEALTHY_AFTER, Instant::now()));
        MetricsServer::start("127.0.0.1:0".parse().unwrap(), metrics).unwrap()
    }

    /// Sends these bytes and returns the answer up to the end of the connection.
    fn ask(server: &MetricsServer, request: &[u8]) -> String {
        let mut client = TcpStream::connect(server.address()).unwrap();
        client.write_all(request).unwrap();
        let mut answer = String::new();
        // A refused request may end with a reset.
        let _ = client.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn two_paths_are_served_and_nothing_else() {
        let server = server();
        let check = |request: &str, status: &str, body: &str| {
            let answer = ask(&server, request.as_bytes());
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(body),
                "{request:?}: {answer}"
            );
        };
        check("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "200", "wulog_collector_lines_total 0\n");
        check("GET /healthz?x=1 HTTP/1.1\r\nHost: a\r\n\r\n", "200", "\r\n\r\nok\n");
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "404", "/metrics");
        check("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "405", "GET");
    }

    #[test]
    fn a_collector_that_hangs_is_not_well() {
        let metrics = Metrics::new(UNHEALTHY_AFTER, Instant::now());
        let (status, _) = http::health_answer(metrics.health(Instant::now() + Duration::from_secs(3600)));
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn it_ends_with_clients_connected() {
        let server = server();
        let _silent = TcpStream::connect(server.address()).unwrap();
        let address = server.address();
        let begun = Instant::now();
        drop(server);
        assert!(begun.elapsed() < Duration::from_secs(1) && TcpStream::connect(address).is_err());
    }
}
