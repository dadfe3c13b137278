//! The least of HTTP/1.1 that a scraper needs: GET, two paths, one request a connection, one connection at a time. It costs
//! one thread, and only where the configuration asks for it. A web framework would be more code than the collector.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::debug;

use super::Metrics;

/// Longest request head; those of scrapers have a tenth.
const REQUEST_BYTES_MAX: usize = 4096;
/// Who is slower is cut off, since others wait.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves `/metrics` and `/healthz` until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens; with port 0 the system chooses one.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub fn start(listen: SocketAddr, metrics: Arc<Metrics>) -> io::Result<Server> {
        let listener = TcpListener::bind(listen)?;
        let (address, stop) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let serve = move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                if let Err(error) = client.and_then(|client| answer(client, &metrics)) {
                    debug!(%error, "a request for metrics came to nothing");
                }
            }
        };
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn(serve)?;
        Ok(Server { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread. Where that fails it is not waited for either.
        if TcpStream::connect_timeout(&self.address, CLIENT_TIMEOUT).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // A panic in it was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn answer(mut client: TcpStream, metrics: &Metrics) -> io::Result<()> {
    client.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    client.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let (status, body) = respond(&request(&mut client)?, metrics, Instant::now());
    let length = body.len();
    let head = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\nConnection: close";
    write!(client, "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// The head of a request, as far as it is read.
fn request(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut head, mut piece) = (Vec::new(), [0; 512]);
    let deadline = Instant::now() + CLIENT_TIMEOUT;
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < REQUEST_BYTES_MAX && Instant::now() < deadline
    {
        match client.read(&mut piece)? {
            0 => break,
            got => head.extend_from_slice(&piece[..got]),
        }
    }
    Ok(head)
}

/// Status line and body.
fn respond(request: &[u8], metrics: &Metrics, now: Instant) -> (&'static str, String) {
    let line = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method != "GET" {
        return ("405 Method Not Allowed", "only GET\n".to_owned());
    }
    match target.split('?').next().unwrap_or_default() {
        "/metrics" => ("200 OK", metrics.render(now)),
        "/healthz" => match metrics.health(now) {
            Ok(()) => ("200 OK", "ok\n".to_owned()),
            Err(reason) => ("503 Service Unavailable", format!("{reason}\n")),
        },
        _ => ("404 Not Found", "there are /metrics and /healthz\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::UNHEALTHY_AFTER;

    #[test]
    fn two_paths_are_served_and_nothing_else() {
        let metrics = Metrics::new(UNHEALTHY_AFTER, Instant::now());
        let check = |request: &str, status: &str, body: &str| {
            let (got, text) = respond(request.as_bytes(), &metrics, Instant::now());
            assert!(got.starts_with(status) && text.contains(body), "{request:?}: {got} {text}");
        };
        check("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "200", "wulog_collector_lines_total 0\n");
        check("GET /healthz?x=1 HTTP/1.1\r\n\r\n", "200", "ok");
        check("GET / HTTP/1.1\r\n\r\n", "404", "/metrics");
        check("POST /metrics HTTP/1.1\r\n\r\n", "405", "GET");
        check("", "405", "");
        check("\u{0}\u{1}garbage", "405", "");
        let (status, body) = respond(b"GET /healthz", &metrics, Instant::now() + Duration::from_secs(3600));
        assert!(status.starts_with("503") && body.contains("hangs"), "{status} {body}");
    }

    #[test]
    fn a_scraper_is_answered_over_the_wire_and_a_silent_client_is_not_waited_for_long() {
        let metrics = Arc::new(Metrics::new(UNHEALTHY_AFTER, Instant::now()));
        let listen = "127.0.0.1:0".parse().expect("a loopback address");
        let server = Server::start(listen, metrics).expect("loopback can be listened at");
        let _silent = TcpStream::connect(server.address()).expect("it listens");
        let mut client = TcpStream::connect(server.address()).expect("it listens");
        client.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is connected");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it answers and closes");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
        let address = server.address();
        drop(server);
        assert!(TcpStream::connect(address).is_err(), "it still listens");
    }
}
