//! One broker, or a cluster of three: start, faults, end.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::jars::{self, Skip};

/// A broker on two loaded cores starts in about 6 s.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// First port of the brokers, number of slots for testbeds, and number of consecutive ports of each.
const BASE_PORT_MIN: u16 = 20_000;
const BASE_PORTS: u16 = 625;
const PORTS_IN_A_ROW: u16 = 16;

/// Timeout of one question to a starting broker.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// User of a secure broker, by SCRAM-SHA-512.
pub const SCRAM_USER: &str = "collector";
/// Password of this user.
pub const SCRAM_PASSWORD: &str = "correct-horse-battery";

/// A running broker of this test's own, or a cluster. It ends with this value, or with the process.
#[derive(Debug)]
pub struct KafkaTestbed {
    run: PathBuf,
    base_port: u16,
    bootstrap: String,
    /// The script that holds each node; `None` between [`KafkaTestbed::kill9_node`] and [`KafkaTestbed::restart`].
    holders: Vec<Option<Child>>,
}

impl KafkaTestbed {
    /// Starts a new, empty broker and waits until it serves.
    ///
    /// # Errors [`Skip`] where this machine cannot run Kafka.
    ///
    /// # Panics
    /// If Kafka is there and does not start.
    pub fn start() -> Result<KafkaTestbed, Skip> {
        KafkaTestbed::start_shaped("single", 1)
    }

    /// Starts three brokers with all partitions on each, so that one broker may be away.
    ///
    /// # Errors
    /// As [`KafkaTestbed::start`].
    ///
    /// # Panics
    /// As [`KafkaTestbed::start`].
    pub fn start_cluster() -> Result<KafkaTestbed, Skip> {
        KafkaTestbed::start_shaped("cluster", 3)
    }

    /// Starts a broker with two more listeners: [`KafkaTestbed::scram`] and [`KafkaTestbed::mtls`]. Keys and
    /// certificates are created each time, in [`KafkaTestbed::certificates`].
    ///
    /// # Errors
    /// As [`KafkaTestbed::start`], and where there is no `openssl` command.
    ///
    /// # Panics
    /// As [`KafkaTestbed::start`].
    pub fn start_secure() -> Result<KafkaTestbed, Skip> {
        let openssl = Command::new("openssl").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !openssl.is_ok_and(|status| status.success()) {
            return Err(Skip::NoOpenssl);
        }
        KafkaTestbed::start_shaped("secure", 1)
    }

    fn start_shaped(shape: &str, nodes: u16) -> Result<KafkaTestbed, Skip> {
        jars::ensure()?;
        let (run, base_port) = reserve();
        let addresses: Vec<String> = (1..=nodes).map(|node| format!("127.0.0.1:{}", base_port + node)).collect();
        let holders = (0..nodes).map(|_| None).collect();
        let mut testbed = KafkaTestbed { run, base_port, bootstrap: addresses.join(","), holders };
        let output = testbed
            .script("prepare.sh", shape)
            .env("KV_PASSWORD", SCRAM_PASSWORD)
            .output()
            .expect("the scripts are in this repository");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        testbed.restart();
        Ok(testbed)
    }

    /// The address for `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The address of a secure broker that asks for a password, over TLS: [`SCRAM_USER`] and [`SCRAM_PASSWORD`].
    #[must_use]
    pub fn scram(&self) -> String {
        format!("127.0.0.1:{}", self.base_port + 9)
    }

    /// The address of a secure broker that asks for a certificate.
    #[must_use]
    pub fn mtls(&self) -> String {
        format!("127.0.0.1:{}", self.base_port + 13)
    }

    /// `ca.pem`, `client.pem` with `client.key` and `client.crt`, and `other-ca.pem`, which signed no certificate.
    #[must_use]
    pub fn certificates(&self) -> PathBuf {
        self.run.join("certs")
    }

    /// A client configuration with that address, and quick reconnects.
    #[must_use]
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "250");
        config
    }

    /// Process id of the broker, the first one of a cluster.
    ///
    /// # Panics
    /// When it is not running.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid_of(1)
    }

    fn pid_of(&self, node: usize) -> u32 {
        let path = self.run.join(format!("node{node}/pid"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.trim().parse().expect("hold.sh writes a process id")
    }

    /// Kills the broker like a crash. Acknowledged records stay on disk for [`KafkaTestbed::restart`].
    pub fn kill9(&mut self) {
        self.kill9_node(1);
    }

    /// Kills one broker of a cluster, counted from 1.
    ///
    /// # Panics
    /// If it is not running.
    pub fn kill9_node(&mut self, node: usize) {
        signal(self.pid_of(node), "KILL");
        let mut holder = self.holders[node - 1].take().expect("a broker that is killed was running");
        // wait() would close the pipe first, which tells hold.sh to remove the broker's folder.
        let pipe = holder.stdin.take();
        holder.wait().expect("hold.sh ends after its broker");
        drop(pipe);
    }

    /// True while a broker is killed and not started again.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.holders.iter().any(Option::is_none)
    }

    /// Starts the killed brokers again, on the same ports, and waits until all serve.
    ///
    /// # Panics
    /// When they do not start.
    pub fn restart(&mut self) {
        assert!(self.is_killed(), "the broker runs already");
        for at in (0..self.holders.len()).filter(|at| self.holders[*at].is_none()).collect::<Vec<_>>() {
            let node = at + 1;
            // The old process id must not be taken for the new one.
            let _ = fs::remove_file(self.run.join(format!("node{node}/pid")));
            let holder = self.script("hold.sh", &node.to_string()).stdin(Stdio::piped()).spawn();
            self.holders[at] = Some(holder.expect("the scripts are in this repository"));
        }
        self.wait_until_serving();
    }

    /// True where a broker has broken Kafka's promise that a transaction is all or nothing: after a crash, Kafka 4.3
    /// takes a transaction for ended without having told its partitions, since a starting broker looks for their
    /// leaders before it knows its topics. In a cluster another broker, which knows its topics, tells them.
    #[must_use]
    pub fn forgot_a_transaction(&self) -> bool {
        const SAID: &str = "these partitions are likely deleted already and hence can be skipped";
        let folders = (1..=self.holders.len()).map(|node| self.run.join(format!("node{node}")));
        let logs = folders.flat_map(|folder| ["server.log", "server.log.earlier"].map(|name| folder.join(name)));
        logs.filter_map(|log| fs::read(log).ok()).any(|log| String::from_utf8_lossy(&log).contains(SAID))
    }

    /// Stops the broker's process without closing its connections: a gray failure.
    pub fn pause(&mut self) {
        signal(self.pid(), "STOP");
    }

    /// Resumes a paused broker.
    pub fn resume(&mut self) {
        signal(self.pid(), "CONT");
    }

    fn script(&self, name: &str, argument: &str) -> Command {
        let mut command = Command::new(jars::scripts().join("bin").join(name));
        command.arg(argument).env("KV_RUN", &self.run).env("KV_PORT", self.base_port.to_string());
        command.env_remove("KV_TARGET").env_remove("KV_JARS").stdin(Stdio::null());
        command
    }

    /// Waits until every broker serves: each one, asked alone, must name all of them. Being listed is not enough: a
    /// killed broker stays listed until its session ends, and a listening broker may still be recovering.
    fn wait_until_serving(&mut self) {
        let deadline = Instant::now() + START_TIMEOUT;
        for node in 1..=self.holders.len() {
            let address = format!("127.0.0.1:{}", usize::from(self.base_port) + node);
            while !self.is_serving(&address) {
                assert!(Instant::now() < deadline, "Kafka did not start in {START_TIMEOUT:?}:\n{}", self.log_tail());
                for holder in self.holders.iter_mut().flatten() {
                    if holder.try_wait().expect("a child can be asked").is_some() {
                        panic!("Kafka ended while it started:\n{}", self.log_tail());
                    }
                }
            }
        }
    }

    /// Whether the broker at `address` names all brokers, including itself. The question itself waits for the broker,
    /// so that a caller's loop does not spin; a new client knows no other broker to ask.
    fn is_serving(&self, address: &str) -> bool {
        let mut config = self.client_config();
        let client: BaseConsumer =
            config.set("bootstrap.servers", address).create().expect("the configuration is valid");
        client.fetch_metadata(None, ASK_TIMEOUT).is_ok_and(|it| it.brokers().len() == self.holders.len())
    }

    fn log_tail(&self) -> String {
        let tail = |node: usize| {
            let log = fs::read_to_string(self.run.join(format!("node{node}/server.log"))).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            lines[lines.len().saturating_sub(30)..].join("\n")
        };
        (1..=self.holders.len()).map(tail).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for KafkaTestbed {
    fn drop(&mut self) {
        for mut holder in self.holders.drain(..).flatten() {
            drop(holder.stdin.take());
            // The exit status does not matter here.
            let _ = holder.wait();
        }
        let _ = fs::remove_dir_all(&self.run);
    }
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill -{name} {pid}");
}

/// Reserves the folder and the base port of a new testbed, which owns the row of ports from there on (see
/// `prepare.sh`). The ports lie below the range from which the system takes ports for outgoing connections. Creating
/// the folder reserves them, since a broker binds its ports only seconds later.
fn reserve() -> (PathBuf, u16) {
    // The search starts at a position that depends on the process, for processes with another target folder.
    let start = u16::try_from(std::process::id() % u32::from(BASE_PORTS)).expect("fewer places than ports");
    for tried in 0..BASE_PORTS {
        let base = BASE_PORT_MIN + (start + tried) % BASE_PORTS * PORTS_IN_A_ROW;
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        let run = jars::target().join(format!("run-{base}"));
        let mut row = (1..PORTS_IN_A_ROW).map(|place| base + place);
        if row.all(free) && fs::create_dir(&run).is_ok() {
            return (run, base);
        }
    }
    panic!("no free ports from {BASE_PORT_MIN} on, or too many folders run-* are left in {}", jars::target().display());
}
