//! HTTP/1.1 for metrics, health and the status page, within bounds.
//!
//! No client can delay another client: each connection is a task of its own, has a deadline for its request and for its
//! answer, and the oldest connection is closed when there are too many. So a scraper gets its answer however many
//! silent connections there are.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tracing::debug;

/// Pause after a connection that could not be accepted, for instance for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The content type of metrics for Prometheus.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the answer of a health check: 200 with `ok`, or 503 with the reason.
#[must_use]
pub fn health_answer(health: Result<(), String>) -> (StatusCode, String) {
    match health {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// The limits of clients.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Open connections at one time. A further connection closes the oldest one.
    pub connections_max: usize,
    /// How long a client may take to send the head of its request.
    pub request_timeout: Duration,
    /// How long a connection may last.
    pub connection_timeout: Duration,
    /// Longest request head in bytes; hyper allows no less than 8,192.
    pub head_bytes_max: usize,
    /// Whether a client may send several requests over one connection.
    pub keep_alive: bool,
}

/// Answers clients of `listener` until the future is dropped.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds) {
    let mut open = Connections::default();
    loop {
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                debug!(%error, "an HTTP connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        open.make_room(bounds.connections_max);
        open.0.push_back(tokio::spawn(answer(client, router.clone(), bounds)).abort_handle());
    }
}

/// The open connections, oldest first. When the value is dropped, it closes all of them.
#[derive(Default)]
struct Connections(VecDeque<AbortHandle>);

impl Connections {
    fn make_room(&mut self, connections_max: usize) {
        self.0.retain(|connection| !connection.is_finished());
        if self.0.len() >= connections_max
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

async fn answer(client: TcpStream, router: Router, bounds: Bounds) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.request_timeout)
        .max_buf_size(bounds.head_bytes_max)
        .keep_alive(bounds.keep_alive)
        .serve_connection(TokioIo::new(client), TowerToHyperService::new(router));
    match tokio::time::timeout(bounds.connection_timeout, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "an HTTP connection ended early"),
        Err(_) => debug!(secs = bounds.connection_timeout.as_secs(), "an HTTP connection lasted too long"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::time::Instant;

    use axum::routing::get;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        connections_max: 64,
        request_timeout: Duration::from_secs(2),
        connection_timeout: Duration::from_secs(10),
        head_bytes_max: 8192,
        keep_alive: false,
    };

    /// A server in a thread of its own. When the value is dropped, the server stops.
    struct Running {
        address: SocketAddr,
        _stop: tokio::sync::oneshot::Sender<()>,
    }

    fn start() -> Running {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let router = Router::new().route("/healthz", get(|| async { "ok\n" }));
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, router, BOUNDS) => {}
                    _ = stopped => {}
                }
            });
        });
        Running { address, _stop: stop }
    }

    /// Sends these bytes and returns the answer up to the end of the connection.
    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(request).unwrap();
        let mut answer = String::new();
        // A refused request may end with a reset.
        let _ = client.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn an_invalid_or_long_request_is_refused() {
        let server = start();
        let check = |request: &str, status: &str| {
            let answer = ask(server.address, request.as_bytes());
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request:?}: {answer}");
        };
        check("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "200");
        check("\u{0}\u{1}garbage\r\n\r\n", "400");
        check(&format!("GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000)), "431");
    }

    /// Some clients send nothing, others half of a request.
    #[test]
    fn no_client_delays_another() {
        let server = start();
        let max = BOUNDS.connections_max;
        let mut silent: Vec<TcpStream> = (0..3 * max).map(|_| TcpStream::connect(server.address).unwrap()).collect();
        silent.iter_mut().skip(max * 2).for_each(|client| client.write_all(b"GET /hea").unwrap());
        let begun = Instant::now();
        for _ in 0..10 {
            let answer = ask(server.address, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        // Each silent connection is closed in the end.
        for mut client in silent {
            client.set_read_timeout(Some(BOUNDS.request_timeout * 4)).unwrap();
            let mut rest = Vec::new();
            let closed = client.read_to_end(&mut rest);
            assert!(
                !matches!(&closed, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
                "a silent client stayed connected: {closed:?}"
            );
        }
    }
}
