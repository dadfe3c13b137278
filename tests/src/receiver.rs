//! An HTTP server for tests of channels: it records each request and answers as the test says, well or badly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The answer to a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// With this status, and these further header lines.
    Status(u16, &'static str),
    /// No answer for this time; then the connection is closed.
    Hang(Duration),
    /// The connection is closed in the middle of the answer, after the request was accepted.
    HalfClose,
}

/// A received request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Path.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Whether the answer was a success.
    pub taken: bool,
    /// Time at which the request was complete.
    pub at: Instant,
}

impl Request {
    /// A header's value; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body is JSON")
    }
}

type Behaviour = dyn Fn(&Request) -> Answer + Send + Sync;

/// The server. It lives until the process ends.
#[derive(Clone)]
pub struct Receiver {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    /// Listens at a free port of this machine.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start(behaviour: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let receiver = Receiver { port, requests: Arc::default() };
        let (requests, behaviour): (_, Arc<Behaviour>) = (Arc::clone(&receiver.requests), Arc::new(behaviour));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (requests, behaviour) = (Arc::clone(&requests), Arc::clone(&behaviour));
                thread::spawn(move || serve(stream, &requests, &*behaviour));
            }
        });
        receiver
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(stream: TcpStream, requests: &Mutex<Vec<Request>>, behaviour: &Behaviour) {
    let mut reader = BufReader::new(match stream.try_clone() {
        Ok(stream) => stream,
        Err(_) => return,
    });
    while let Some(mut request) = read(&mut reader) {
        let answer = behaviour(&request);
        request.taken = matches!(answer, Answer::Status(200..300, _));
        requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        if respond(&stream, &answer).is_err() || !matches!(answer, Answer::Status(..)) {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { path, headers, body, taken: false, at: Instant::now() })
}

fn respond(mut stream: &TcpStream, answer: &Answer) -> std::io::Result<()> {
    match answer {
        Answer::Status(status, headers) => {
            write!(stream, "HTTP/1.1 {status} Said\r\n{headers}content-length: 2\r\n\r\nok")
        }
        Answer::Hang(time) => {
            thread::sleep(*time);
            Ok(())
        }
        Answer::HalfClose => write!(stream, "HTTP/1.1 20"),
    }
}

/// The answer of a server of this machine with its head; empty without an answer.
#[must_use]
pub fn get(port: u16, path: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().unwrap_or_default()
}
