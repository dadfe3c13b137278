//! The collector on a real Kafka with authentication: TLS, mutual TLS, SASL SCRAM. Messages name the fault, and never
//! show a password. `deploy/windows/test_tls.sh` runs the same with the build for Windows, under Wine.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wulog_tests::kafka::{KafkaTestbed, SCRAM_PASSWORD, SCRAM_USER, or_skip};
use wulog_tests::process::{Running, eventually};

const LIMIT: Duration = Duration::from_secs(60);

const WRONG_PASSWORD: &str = "wrong-horse-battery";

struct Bench {
    broker: KafkaTestbed,
    folder: tempfile::TempDir,
    windows: Option<Windows>,
}

/// A build for Windows, and the program that runs it.
struct Windows {
    wine: PathBuf,
    program: PathBuf,
}

/// A `[kafka]` table for this broker.
#[derive(Clone, Copy)]
struct Way {
    /// The CA that the client trusts.
    ca: &'static str,
    /// `None` shows a certificate or nothing, at the other port.
    password: Option<&'static str>,
    certificate: bool,
}

const SCRAM: Way = Way { ca: "ca", password: Some(SCRAM_PASSWORD), certificate: false };
const MTLS: Way = Way { ca: "ca", password: None, certificate: true };

impl Bench {
    fn config(&self, name: &str, way: Way) -> PathBuf {
        let certificates = self.broker.certificates();
        let path = |file: &str| self.shown(&certificates.join(file));
        let mut kafka = format!("'ssl.ca.location' = '{}'\n", path(&format!("{}.pem", way.ca)));
        if let Some(password) = way.password {
            let secret = self.folder.path().join(format!("{name}.password"));
            std::fs::write(&secret, format!("{password}\n")).unwrap();
            std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
            kafka += &format!(
                "'bootstrap.servers' = '{}'\n'security.protocol' = 'SASL_SSL'\n'sasl.mechanisms' = 'SCRAM-SHA-512'\n\
                 'sasl.username' = '{SCRAM_USER}'\n'sasl.password' = {{ file = '{}' }}\n",
                self.broker.scram(),
                self.shown(&secret)
            );
        } else {
            kafka += &format!("'bootstrap.servers' = '{}'\n'security.protocol' = 'SSL'\n", self.broker.mtls());
        }
        if way.certificate {
            kafka += &format!(
                "'ssl.key.location' = '{}'\n'ssl.certificate.location' = '{}'\n",
                path("client.key"),
                path("client.crt")
            );
        }
        let config = format!(
            "topic_prefix = 'secure'\nstate_dir = '{}'\n[kafka]\n{kafka}\n[[input]]\npaths = ['{}']\n",
            self.shown(&self.folder.path().join(name)),
            self.shown(&self.log())
        );
        let path = self.folder.path().join(format!("{name}.toml"));
        std::fs::write(&path, config).unwrap();
        path
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("WindowsUpdate.log")
    }

    /// A path as the collector knows it: Wine maps this machine's files to `Z:`.
    fn shown(&self, path: &Path) -> String {
        format!("{}{}", if self.windows.is_some() { "Z:" } else { "" }, path.display())
    }

    fn start(&self, command: &str, config: &Path) -> Running {
        let config = self.shown(config);
        match &self.windows {
            None => Running::start("wulog-collector", &[command, "--config", &config]),
            Some(Windows { wine, program }) => {
                let program = program.to_str().unwrap();
                Running::start_program(wine, &[program, command, "--config", &config])
            }
        }
    }

    /// `wulog-processor topics check` fails with these words: it has the same `[kafka]` table as the collector.
    #[track_caller]
    fn processor_is_told_why(&self, name: &str, way: Way, words: &[&str]) {
        if self.windows.is_some() {
            return;
        }
        let path = self.config(name, way);
        let text = std::fs::read_to_string(&path).unwrap();
        let table = text.split("[[input]]").next().unwrap().replace("state_dir", "instance");
        std::fs::write(&path, table).unwrap();
        let ended = Running::start("wulog-processor", &["topics", "check", "--config", path.to_str().unwrap()]);
        let ended = ended.ended_within(LIMIT);
        let said = ended.stdout + &ended.stderr;
        assert_eq!(ended.code, Some(1), "{name}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{name}: {words:?} are not in {said}");
        assert!(!said.contains(SCRAM_PASSWORD) && !said.contains(WRONG_PASSWORD), "{name} shows a secret: {said}");
    }

    /// Expects that `wulog-collector test` ends with this code and these words.
    #[track_caller]
    fn check(&self, name: &str, way: Way, code: i32, words: &[&str]) {
        let config = self.config(name, way);
        let ended = self.start("test", &config).ended_within(LIMIT);
        let said = ended.stdout + &ended.stderr;
        assert_eq!(ended.code, Some(code), "{name}: {said}");
        for word in words {
            assert!(said.contains(word), "{name}: {word:?} is not in {said}");
        }
        for secret in [SCRAM_PASSWORD, WRONG_PASSWORD, "PRIVATE KEY"] {
            assert!(!said.contains(secret), "{name} shows a secret: {said}");
        }
    }
}

#[test]
fn a_valid_login_ships_and_a_refused_one_is_explained() {
    let Some(broker) = or_skip("who_may_come_in_comes_in", KafkaTestbed::start_secure()) else {
        return;
    };
    comes_in(broker, None);
}

#[test]
#[ignore = "needs the release build for Windows, and Wine: deploy/windows/test_tls.sh"]
fn the_build_for_windows_comes_in_as_well() {
    let path = |name: &str| PathBuf::from(std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set")));
    let windows = Windows { wine: path("WULOG_WINE"), program: path("WULOG_WINDOWS_COLLECTOR") };
    comes_in(KafkaTestbed::start_secure().unwrap(), Some(windows));
}

fn comes_in(broker: KafkaTestbed, windows: Option<Windows>) {
    broker.create_topic("secure.raw", 3, &[]);
    let bench = Bench { broker, folder: tempfile::tempdir().unwrap(), windows };
    std::fs::write(bench.log(), "a line\n").unwrap();
    let partitions = "topic secure.raw has 3 partitions";
    bench.check("scram", SCRAM, 0, &[partitions]);
    bench.check("mtls", MTLS, 0, &[partitions]);
    let address = bench.broker.scram();
    bench.check("scram-other-ca", Way { ca: "other-ca", ..SCRAM }, 1, &["certificate", "ssl.ca.location", &address]);
    bench.check("mtls-other-ca", Way { ca: "other-ca", ..MTLS }, 1, &["certificate", "ssl.ca.location"]);
    let wrong = Way { password: Some(WRONG_PASSWORD), ..SCRAM };
    bench.check("scram-wrong-password", wrong, 1, &["uthentication failed", "check sasl and ssl settings", &address]);
    bench.processor_is_told_why("processor-scram", SCRAM, &["secure.signals: missing"]);
    bench.processor_is_told_why(
        "processor-wrong-password",
        wrong,
        &["refused the login", "uthentication failed", &address],
    );
    bench.check("mtls-no-certificate", Way { certificate: false, ..MTLS }, 1, &["certificate", &bench.broker.mtls()]);
    bench.check("no-ca-file", Way { ca: "missing", ..SCRAM }, 2, &["ssl.ca.location"]);

    // Both ways ship; a wrong password loses no line.
    for (name, way) in [("run-scram", SCRAM), ("run-mtls", MTLS)] {
        let config = bench.config(name, way);
        let before = shipped(&bench.broker);
        let running = bench.start("run", &config);
        eventually("the line is in the topic", LIMIT, || shipped(&bench.broker) == before + 1);
        let said = running.stderr();
        if bench.windows.is_none() {
            assert_eq!(running.terminate().code, Some(0));
        }
        assert!(!said.contains(SCRAM_PASSWORD), "{said}");
    }
}

fn shipped(broker: &KafkaTestbed) -> usize {
    broker.read_topic("secure.raw").iter().filter(|record| record.value.as_deref() == Some(b"a line")).count()
}
