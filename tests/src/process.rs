//! The product's binaries as processes: run to their end, or running until they are stopped. Every wait has a limit,
//! and no process outlives its test.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::line::binary;

/// Timeout of a command that ends by itself: a minute on loaded cores is generous.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

/// Timeout of a stop: the process's own grace of 10 s and a margin.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// Timeout of a stop while Kafka does not answer: `TimeoutStopSec` of the processor's unit in `deploy/`.
pub const STOP_LIMIT: Duration = Duration::from_secs(60);

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The end and the output of a process.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// Expects a successful end.
    ///
    /// # Panics
    /// If the exit code is not 0; the message has the output.
    #[track_caller]
    pub fn expect_success(&self) {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
    }
}

/// A process of the product. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    said: TempDir,
    command: String,
}

/// Runs a binary of the product to its end.
///
/// # Panics
/// When it does not end in a minute.
#[must_use]
pub fn run<A: AsRef<OsStr>>(name: &str, arguments: &[A]) -> Ended {
    Running::start(name, arguments).ended_within(RUN_TIMEOUT)
}

/// Waits until `condition` holds.
///
/// # Panics
/// If it does not hold within `limit`; the message names `what`.
pub fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < until, "not within {limit:?}: {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
}

impl Running {
    /// Starts a binary of the product.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start<A: AsRef<OsStr>>(name: &str, arguments: &[A]) -> Running {
        Running::start_program(&binary(name), arguments)
    }

    /// Starts any program.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_program<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> Running {
        let name = program.display();
        let said = tempfile::tempdir().expect("a temporary folder can be made");
        let file = |name: &str| File::create(said.path().join(name)).expect("a temporary file can be made");
        let shown: Vec<_> = arguments.iter().map(|argument| argument.as_ref().to_string_lossy()).collect();
        let child = Command::new(program)
            .args(arguments)
            .env_remove("WULOG_LOG")
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Running { child, command: format!("{name} {}", shown.join(" ")), said }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn said(&self, name: &str) -> String {
        let bytes = fs::read(self.said.path().join(name)).expect("the file was made at the start");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.said("stdout")
    }

    /// Standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.said("stderr")
    }

    /// Waits until `condition` holds while the process runs.
    ///
    /// # Panics
    /// If it does not hold within `limit`, or if the process ends before; the message has the output.
    pub fn until(&mut self, what: &str, limit: Duration, mut condition: impl FnMut(&Running) -> bool) {
        let until = Instant::now() + limit;
        while !condition(self) {
            let ended = self.child.try_wait().expect("a child can be asked");
            let why = match ended {
                Some(status) => format!("ended ({status}) before"),
                None if Instant::now() >= until => format!("not within {limit:?}"),
                None => {
                    std::thread::sleep(POLL_INTERVAL);
                    continue;
                }
            };
            panic!("{}: {why}: {what}\n{}{}", self.command, self.stdout(), self.stderr());
        }
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// When it takes longer than 15 s.
    #[must_use]
    pub fn terminate(self) -> Ended {
        self.terminate_within(STOP_TIMEOUT)
    }

    /// Sends SIGTERM and waits for the end, up to `limit`.
    ///
    /// # Panics
    /// If the stop takes longer than `limit`.
    #[must_use]
    pub fn terminate_within(self, limit: Duration) -> Ended {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{}: already gone: {}", self.command, self.stderr());
        self.ended_within(limit)
    }

    /// Waits until another party has killed the process.
    ///
    /// # Panics
    /// If that takes longer than 15 s.
    pub fn until_gone(mut self) {
        self.wait(STOP_TIMEOUT);
    }

    /// Kills it with SIGKILL.
    pub fn kill9(self) {
        drop(self);
    }

    /// Waits for the process to end by itself.
    ///
    /// # Panics
    /// If it does not end within `limit`.
    #[must_use]
    pub fn ended_within(mut self, limit: Duration) -> Ended {
        let status = self.wait(limit);
        Ended { code: status.code(), stdout: self.stdout(), stderr: self.stderr() }
    }

    fn wait(&mut self, limit: Duration) -> ExitStatus {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return status;
            }
            assert!(Instant::now() < until, "{}: still runs after {limit:?}: {}", self.command, self.stderr());
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
