//! The collector as its users start it: the binary, a configuration file, and a Kafka, which is librdkafka's own mock.

#![allow(dead_code, reason = "each test binary uses its part")]

#[path = "../topic/mod.rs"]
mod topic;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use tempfile::TempDir;
use wulog_schemas::raw::{Kind, RawHeader};

/// On loaded cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with logs and a configuration, and a cluster of one broker.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) cluster: MockCluster<'static, DefaultProducerContext>,
    /// A tool that the collector is run by, with its options.
    pub(crate) under: Vec<String>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A line as the topic has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shipped {
    pub(crate) text: String,
    pub(crate) epoch: String,
    pub(crate) offset: u64,
}

impl Bench {
    /// With a configuration that reads `logs/*.log`; `more` stands in front of its inputs.
    pub(crate) fn new(more: &str) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("logs")).unwrap();
        let cluster: MockCluster<'static, DefaultProducerContext> = MockCluster::new(1).unwrap();
        cluster.create_topic("wulog.raw", 1, 1).unwrap();
        let bench = Bench { dir, cluster, under: Vec::new() };
        bench.configure(more);
        bench
    }

    pub(crate) fn configure(&self, more: &str) {
        let at = self.dir.path().display();
        let brokers = self.cluster.bootstrap_servers();
        let text = format!(
            "state_dir = '{at}/state'\n[kafka]\n'bootstrap.servers' = '{brokers}'\n'reconnect.backoff.max.ms' = 200\n{more}\n\
             [[input]]\npaths = ['{at}/logs/*.log']\n"
        );
        fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("collector.toml")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_wulog-collector");
        let mut command = match self.under.split_first() {
            None => Command::new(program),
            Some((tool, options)) => {
                let mut command = Command::new(tool);
                command.args(options).arg(program);
                command
            }
        };
        let logs = self.dir.path().join("logs");
        command.args(arguments).current_dir(logs).env_remove("WULOG_LOG").stdin(Stdio::null());
        command.env("WULOG_COLLECTOR_CONFIG", self.config());
        command
    }

    /// Runs a command to its end, in the folder of the logs. The configuration is named by the environment.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Starts `run`.
    pub(crate) fn start(&self) -> Running {
        let said = self.dir.path().join("said");
        let child = self.command(&["run"]).stderr(File::create(&said).unwrap()).spawn().unwrap();
        Running { child, said }
    }

    /// Ships all that there is, which ends with `lines` lines in the topic, and stops.
    pub(crate) fn ship(&self, lines: usize) {
        let running = self.start();
        running.until("the lines are in the topic", || self.shipped().len() >= lines);
        running.terminate();
        assert_eq!(self.shipped().len(), lines);
    }

    /// All records of the topic.
    pub(crate) fn records(&self) -> Vec<(RawHeader, Vec<u8>)> {
        let messages = topic::messages(&self.cluster.bootstrap_servers(), PATIENCE);
        let record = |message: &OwnedMessage| {
            let header = message.headers().unwrap().get(0).value.unwrap();
            (serde_json::from_slice(header).unwrap(), message.payload().unwrap().to_vec())
        };
        messages.iter().map(record).collect()
    }

    /// The lines of the topic, in order.
    pub(crate) fn shipped(&self) -> Vec<Shipped> {
        let lines = self.records().into_iter().filter(|(header, _)| header.kind == Kind::Line);
        lines
            .map(|(header, value)| Shipped {
                text: String::from_utf8(value).unwrap(),
                epoch: header.epoch,
                offset: header.offset,
            })
            .collect()
    }
}

impl Ended {
    /// The command ended with this code and said all of this, on standard output or error.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in said {
            assert!(self.stdout.contains(part) || self.stderr.contains(part), "{part:?} is not in {self:?}");
        }
    }
}

/// A collector that runs. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    said: PathBuf,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let started = Instant::now();
        while !condition() {
            assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", self.stderr());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends SIGTERM; it must end well.
    #[track_caller]
    pub(crate) fn terminate(mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "already gone: {}", self.stderr());
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{}", self.stderr());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the state directory holds, by name, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
