//! `/metrics` and `/healthz` over HTTP/1.1, by hyper on a runtime of one thread. It costs nothing where the configuration
//! does not ask for it.
//!
//! No client can delay another: each connection is a task of its own, has a deadline for its request and for its answer,
//! and is the first to be closed when there are too many. So a scraper gets in however many silent connections there are.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tracing::debug;

use super::Metrics;

/// Connections at one time; scrapers need one each. The oldest is closed when another comes.
const CONNECTIONS_MAX: usize = 64;
/// How long a client may take to send the head of its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a client may take altogether.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest request head, the least that hyper allows. Those of scrapers have 300 bytes.
const REQUEST_BYTES_MAX: usize = 8192;
/// A pause after a connection that could not be accepted, for want of file descriptors for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `/metrics` and `/healthz` until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// Dropped, it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens; with port 0 the system chooses one.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub fn start(listen: SocketAddr, metrics: Arc<Metrics>) -> io::Result<Server> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = runtime.block_on(TcpListener::bind(listen))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, metrics) => {}
                    // Also when the sender is dropped.
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn(serve)?;
        Ok(Server { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported when it happened.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, metrics: Arc<Metrics>) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                debug!(%error, "a connection for metrics was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS_MAX
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        open.push_back(tokio::spawn(serve(client, metrics.clone())).abort_handle());
    }
}

async fn serve(client: TcpStream, metrics: Arc<Metrics>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = respond(request.method(), request.uri().path(), &metrics, Instant::now());
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .max_buf_size(REQUEST_BYTES_MAX)
        // Scrapers come every 15 s or less often: a new connection costs them nothing.
        .keep_alive(false)
        .serve_connection(TokioIo::new(client), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a request for metrics came to nothing"),
        Err(_) => debug!("a client for metrics took too long"),
    }
}

fn respond(method: &Method, path: &str, metrics: &Metrics, now: Instant) -> Response<Full<Bytes>> {
    let (status, body) = match (method, path) {
        (&Method::GET, "/metrics") => (StatusCode::OK, metrics.render(now)),
        (&Method::GET, "/healthz") => match metrics.health(now) {
            Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
            Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        },
        (&Method::GET, _) => (StatusCode::NOT_FOUND, "there are /metrics and /healthz\n".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
    };
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::metrics::UNHEALTHY_AFTER;

    fn server() -> Server {
        let metrics = Arc::new(Metrics::new(UNHEALTHY_AFTER, Instant::now()));
        Server::start("127.0.0.1:0".parse().unwrap(), metrics).unwrap()
    }

    /// Sends these bytes and gives all that is answered until the connection is closed.
    fn ask(server: &Server, request: &[u8]) -> String {
        let mut client = TcpStream::connect(server.address()).unwrap();
        client.write_all(request).unwrap();
        let mut answer = String::new();
        // A refused request may end with a reset.
        let _ = client.read_to_string(&mut answer);
        answer
    }

    const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

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
        check("\u{0}\u{1}garbage\r\n\r\n", "400", "");
        check(&format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000)), "431", "");
    }

    #[test]
    fn a_collector_that_hangs_is_not_well() {
        let metrics = Metrics::new(UNHEALTHY_AFTER, Instant::now());
        let answer = respond(&Method::GET, "/healthz", &metrics, Instant::now() + Duration::from_secs(3600));
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    /// Silent clients, one that sends its request byte by byte, one that takes no answer: the server of one client at a
    /// time let a scraper wait 2 s for each.
    #[test]
    fn no_client_delays_another() {
        let server = server();
        let mut silent: Vec<TcpStream> =
            (0..3 * CONNECTIONS_MAX).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
        silent.iter_mut().skip(CONNECTIONS_MAX * 2).for_each(|client| client.write_all(b"GET /met").unwrap());
        let begun = Instant::now();
        for _ in 0..10 {
            assert!(ask(&server, HEALTH).ends_with("\r\n\r\nok\n"));
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        // And each of them is closed in the end.
        for mut client in silent {
            client.set_read_timeout(Some(REQUEST_TIMEOUT * 4)).unwrap();
            let mut rest = Vec::new();
            let closed = client.read_to_end(&mut rest);
            assert!(!matches!(&closed, Err(error) if error.kind() == io::ErrorKind::WouldBlock), "{closed:?}");
        }
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
