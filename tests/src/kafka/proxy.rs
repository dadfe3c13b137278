//! A Kafka proxy that reads the frames, so that a client can be killed at a step of its transaction.
//!
//! A frame of the Kafka protocol has a length, then in a request the API key and the correlation id, in a response the
//! correlation id. Clients learn the broker's address from the broker itself, so the proxy replaces this address in
//! responses by its own port, with the same number of bytes.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The host that the testbed's broker advertises.
const HOST: &[u8] = b"127.0.0.1";
/// Maximum size of a frame in these tests.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// API keys of the requests that make a transaction.
pub mod api {
    /// Records.
    pub const PRODUCE: i16 = 0;
    /// Input offsets join the transaction.
    pub const TXN_OFFSET_COMMIT: i16 = 28;
    /// Commit, or abort.
    pub const END_TXN: i16 = 26;
}

/// A moment at which a frame passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A request has left the client and not reached the broker.
    Asked(i16),
    /// The broker has done it, and the client has no answer yet.
    Done(i16),
    /// The client has the answer.
    Heard(i16),
}

/// Kills a process at a moment.
#[derive(Clone, Copy, Debug)]
struct Trap {
    pid: u32,
    moment: Moment,
    /// Number of times that the moment passes before the kill.
    passes: u32,
}

struct Shared {
    broker: u16,
    port: u16,
    trap: Mutex<Option<Trap>>,
    sprung: AtomicBool,
    stopped: AtomicBool,
}

/// The proxy of one broker. It ends with this value.
pub struct Proxy(Arc<Shared>);

impl Proxy {
    /// Listens on a free port in front of the broker at `bootstrap`.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn before(bootstrap: &str) -> Proxy {
        let broker = bootstrap.rsplit(':').next().and_then(|port| port.parse().ok()).expect("HOST:PORT");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(Shared {
            broker,
            port,
            trap: Mutex::new(None),
            sprung: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Proxy(shared)
    }

    /// The address for `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.0.port)
    }

    /// Kills process `pid` when `moment` comes once more after `passes` times.
    pub fn arm(&self, pid: u32, moment: Moment, passes: u32) {
        self.0.sprung.store(false, Ordering::Release);
        *self.0.trap.lock().unwrap_or_else(PoisonError::into_inner) = Some(Trap { pid, moment, passes });
    }

    /// Whether the process was killed.
    #[must_use]
    pub fn has_sprung(&self) -> bool {
        self.0.sprung.load(Ordering::Acquire)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Release);
        // Wakes the thread that accepts; its answer does not matter.
        let _ = TcpStream::connect(("127.0.0.1", self.0.port));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        let Ok(client) = client else { continue };
        // To the client, a broker that does not answer is a broken connection.
        let Ok(broker) = TcpStream::connect(("127.0.0.1", shared.broker)) else { continue };
        let asked: Arc<Mutex<BTreeMap<[u8; 4], i16>>> = Arc::default();
        let (Ok(to_client), Ok(to_broker)) = (client.try_clone(), broker.try_clone()) else { continue };
        let (here, there) = (Arc::clone(shared), Arc::clone(shared));
        let answered = Arc::clone(&asked);
        std::thread::spawn(move || pass(client, to_broker, |frame| request(&here, &asked, frame), |_| {}));
        std::thread::spawn(move || {
            let heard = Arc::clone(&there);
            pass(broker, to_client, |frame| response(&there, &answered, frame), |key| heard.moment(Moment::Heard(key)));
        });
    }
}

/// Forwards frames until one side ends. A frame that `look` refuses is dropped and ends the connection.
fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    mut look: impl FnMut(&mut Vec<u8>) -> Option<i16>,
    mut passed: impl FnMut(i16),
) {
    let mut frame = Vec::new();
    while read_frame(&mut from, &mut frame).is_ok() {
        let Some(key) = look(&mut frame) else { break };
        let length = u32::try_from(frame.len()).expect("a frame is bounded").to_be_bytes();
        if to.write_all(&[&length[..], &frame].concat()).is_err() {
            break;
        }
        passed(key);
    }
    // Both directions end together; a socket may be closed already.
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

fn read_frame(from: &mut TcpStream, frame: &mut Vec<u8>) -> io::Result<()> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if !(4..=FRAME_BYTES_MAX).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    frame.resize(length, 0);
    from.read_exact(frame)
}

fn request(shared: &Shared, asked: &Mutex<BTreeMap<[u8; 4], i16>>, frame: &mut [u8]) -> Option<i16> {
    let key = i16::from_be_bytes(frame.get(0..2)?.try_into().ok()?);
    let correlation: [u8; 4] = frame.get(4..8)?.try_into().ok()?;
    asked.lock().unwrap_or_else(PoisonError::into_inner).insert(correlation, key);
    (!shared.springs(Moment::Asked(key))).then_some(key)
}

fn response(shared: &Shared, asked: &Mutex<BTreeMap<[u8; 4], i16>>, frame: &mut [u8]) -> Option<i16> {
    let correlation: [u8; 4] = frame.get(0..4)?.try_into().ok()?;
    let key = asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&correlation)?;
    let address = |port: u16| [HOST, &i32::from(port).to_be_bytes()].concat();
    let (theirs, ours) = (address(shared.broker), address(shared.port));
    let mut at = 0;
    while let Some(found) = frame[at..].windows(theirs.len()).position(|window| window == theirs) {
        at += found;
        frame[at..at + ours.len()].copy_from_slice(&ours);
        at += ours.len();
    }
    (!shared.springs(Moment::Done(key))).then_some(key)
}

impl Shared {
    fn moment(&self, moment: Moment) {
        self.springs(moment);
    }

    /// Whether the trap is set for this moment; if so, the process is dead when the function returns.
    fn springs(&self, moment: Moment) -> bool {
        let mut armed = self.trap.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(trap) = armed.as_mut().filter(|trap| trap.moment == moment) else { return false };
        if trap.passes > 0 {
            trap.passes -= 1;
            return false;
        }
        let killed = Command::new("kill").args(["-KILL", &trap.pid.to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success()), "kill -KILL {}", trap.pid);
        *armed = None;
        self.sprung.store(true, Ordering::Release);
        true
    }
}
