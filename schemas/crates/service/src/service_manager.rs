//! Notifies systemd for both binaries: the process is ready, the process stops, and its working loops still run.
//!
//! The protocol is `sd_notify(3)`: datagrams to the socket that `NOTIFY_SOCKET` names. [`Loops`] decides whether the
//! watchdog is fed: each working loop notes its rounds, and a loop without a new round for too long stops the feeding
//! for the whole process, so that systemd restarts the process. Without a supervisor this module does nothing.

use std::ffi::OsString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The connection to systemd, if it started this process.
#[derive(Debug)]
pub struct ServiceManager {
    socket: Option<socket::Socket>,
    watchdog: Option<Duration>,
    /// When the watchdog was fed last.
    fed: Mutex<Option<Instant>>,
}

impl ServiceManager {
    /// Returns the service manager that the environment names.
    #[must_use]
    pub fn from_env() -> ServiceManager {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        // The interval is for another process where WATCHDOG_PID names another process.
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| is_ours && *usec > 0).map(Duration::from_micros);
        ServiceManager::at(std::env::var_os("NOTIFY_SOCKET"), watchdog)
    }

    fn at(address: Option<OsString>, watchdog: Option<Duration>) -> ServiceManager {
        let socket = address.filter(|address| !address.is_empty()).and_then(|address| socket::Socket::open(&address));
        ServiceManager { socket, watchdog, fed: Mutex::new(None) }
    }

    /// Notifies systemd that the start is complete.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// Notifies systemd that the process has begun to stop.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Feeds the watchdog at most twice in its interval. Call this function in each round of a loop.
    pub fn alive(&self, now: Instant) {
        let Some(interval) = self.watchdog else { return };
        let mut fed = self.fed.lock().unwrap_or_else(PoisonError::into_inner);
        if fed.is_none_or(|fed| now.saturating_duration_since(fed) * 2 >= interval) {
            *fed = Some(now);
            self.tell("WATCHDOG=1");
        }
    }

    /// Feeds the watchdog if every loop has begun a round within half of the interval. The other half covers the calls
    /// that `alive` skips.
    pub fn alive_with(&self, loops: &Loops, now: Instant) {
        if self.watchdog.is_some_and(|interval| loops.longest_round(now) * 2 < interval) {
            self.alive(now);
        }
    }

    /// Sends a message. A failure is ignored, since a later message repeats the state.
    fn tell(&self, message: &str) {
        if let Some(socket) = &self.socket {
            socket.send(message);
        }
    }
}

/// The working loops of a process.
#[derive(Clone, Debug)]
pub struct Loops {
    began: Instant,
    turned_ms: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
}

impl Loops {
    /// Returns an empty set of loops.
    #[must_use]
    pub fn new(now: Instant) -> Loops {
        Loops { began: now, turned_ms: Arc::default() }
    }

    /// Adds a loop whose first round begins now.
    #[must_use]
    pub fn add(&self, now: Instant) -> Rounds {
        let rounds = Rounds { began: self.began, turned_ms: Arc::default() };
        rounds.turn(now);
        self.turned_ms.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&rounds.turned_ms));
        rounds
    }

    /// Returns how long the slowest loop has been in its present round.
    fn longest_round(&self, now: Instant) -> Duration {
        let now_ms = millis(now.saturating_duration_since(self.began));
        let turned = self.turned_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = turned.iter().map(|turned| now_ms.saturating_sub(turned.load(Ordering::Relaxed))).max();
        Duration::from_millis(longest.unwrap_or_default())
    }
}

/// The notes of one loop about its rounds.
#[derive(Clone, Debug)]
pub struct Rounds {
    began: Instant,
    turned_ms: Arc<AtomicU64>,
}

impl Rounds {
    /// Returns the notes of a loop that is not watched.
    #[must_use]
    pub fn unwatched() -> Rounds {
        Rounds { began: Instant::now(), turned_ms: Arc::default() }
    }

    /// Notes that a round begins.
    pub fn turn(&self, now: Instant) {
        self.turned_ms.store(millis(now.saturating_duration_since(self.began)), Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(unix)]
mod socket {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use tracing::warn;

    /// A datagram socket and its destination.
    #[derive(Debug)]
    pub(super) struct Socket {
        socket: UnixDatagram,
        to: SocketAddr,
    }

    impl Socket {
        pub(super) fn open(address: &OsStr) -> Option<Socket> {
            let open = || Ok(Socket { to: resolve(address)?, socket: nonblocking()? });
            open().inspect_err(|error: &std::io::Error| warn!(%error, ?address, "NOTIFY_SOCKET cannot be used")).ok()
        }

        pub(super) fn send(&self, message: &str) {
            // A failure is ignored: the process works without systemd, and systemd acts when messages are missing.
            let _ = self.socket.send_to_addr(message.as_bytes(), &self.to);
        }
    }

    /// Returns a nonblocking socket: a working loop must not wait for a systemd that does not read.
    fn nonblocking() -> std::io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Resolves a path, or after a leading `@` a name in Linux' abstract namespace.
    fn resolve(address: &OsStr) -> std::io::Result<SocketAddr> {
        #[cfg(target_os = "linux")]
        if let Some(name) = address.as_bytes().strip_prefix(b"@") {
            return <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name);
        }
        SocketAddr::from_pathname(OsStr::from_bytes(address.as_bytes()))
    }
}

#[cfg(not(unix))]
mod socket {
    use std::ffi::OsStr;

    /// No socket, since Windows has another kind of service manager.
    #[derive(Debug)]
    pub(super) struct Socket;

    impl Socket {
        pub(super) fn open(_: &OsStr) -> Option<Socket> {
            None
        }

        pub(super) fn send(&self, _: &str) {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(60);

    fn heard(socket: &UnixDatagram) -> Vec<String> {
        socket.set_nonblocking(true).expect("a bound socket takes it");
        let mut buffer = [0; 64];
        let mut next =
            || socket.recv(&mut buffer).ok().map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned());
        std::iter::from_fn(&mut next).collect()
    }

    #[test]
    fn systemd_hears_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let at_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("wulog-test-{}", std::process::id());
        let abstract_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (socket, address) in [(&at_path, path.into_os_string()), (&abstract_name, format!("@{name}").into())] {
            let manager = ServiceManager::at(Some(address), None);
            manager.ready();
            manager.alive(Instant::now()); // without WATCHDOG_USEC nobody waits for it
            manager.stopping();
            assert_eq!(heard(socket), ["READY=1", "STOPPING=1"]);
        }
    }

    #[test]
    fn the_watchdog_is_fed_twice_in_its_interval_and_only_while_every_loop_turns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let manager = ServiceManager::at(Some(path.into_os_string()), Some(INTERVAL));
        let start = Instant::now();
        let loops = Loops::new(start);
        let (busy, hung) = (loops.add(start), loops.add(start));
        let mut fed_at = Vec::new();
        for second in 0..=120 {
            let now = start + Duration::from_secs(second);
            busy.turn(now);
            // This loop hangs in the round that it began at 50 s.
            if second <= 50 {
                hung.turn(now);
            }
            manager.alive_with(&loops, now);
            if !heard(&socket).is_empty() {
                fed_at.push(second);
            }
        }
        // Silent from 60 s on, so systemd acts a minute later.
        assert_eq!(fed_at, [0, 30, 60]);
    }
}
