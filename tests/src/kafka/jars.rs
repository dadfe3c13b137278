//! Checks for the tools of Kafka: Java, and the jars.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Minimum Java version of Kafka 4 brokers.
const JAVA_VERSION_MIN: u32 = 17;

/// The reason for which a test cannot run on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// Debian's package of this name is missing.
    #[error("Debian's package `{0}` is not installed")]
    NoPackage(&'static str),
    /// The npm package of this name is missing.
    #[error("npm's package `{0}` is not under target/, where .ci/run puts it")]
    NoNpmPackage(&'static str),
    /// This command is not Java.
    #[error("no Java: `{0}` does not run, and Kafka 4 needs Java 17")]
    NoJava(String),
    /// This command is a Java of this version.
    #[error("`{0}` is Java {1}, and Kafka 4 needs Java 17")]
    OldJava(String, u32),
    /// Certificates cannot be made.
    #[error("no `openssl`: it makes the certificates of a secure broker")]
    NoOpenssl,
    /// The jars are not there, and neither is Maven.
    #[error("no Maven: `mvn` fetches Kafka's jars once")]
    NoMaven,
    /// Maven could not fetch the jars.
    #[error("Maven cannot fetch Kafka's jars: {0}")]
    NoJars(String),
}

/// Scripts, configuration and the pinned list of jars.
pub(super) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka")
}

/// The folder of all fetched and written files.
pub(super) fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kafka")
}

/// Fetches the jars if they are missing. Tests run in parallel, also as several processes: one fetches, the others
/// wait. After a failure this process does not try again, since an error of an absent network can take minutes.
pub(super) fn ensure() -> Result<(), Skip> {
    static TRIED: OnceLock<Result<(), Skip>> = OnceLock::new();
    TRIED.get_or_init(look_or_fetch).clone()
}

fn look_or_fetch() -> Result<(), Skip> {
    let java = java();
    let Some(version) = java_version(&java) else {
        return Err(Skip::NoJava(java));
    };
    if version < JAVA_VERSION_MIN {
        return Err(Skip::OldJava(java, version));
    }
    let target = target();
    let lock = fs::create_dir_all(&target).and_then(|()| File::create(target.join("lock")));
    let lock = lock.unwrap_or_else(|error| panic!("{}: {error}", target.display()));
    lock.lock().unwrap_or_else(|error| panic!("cannot lock {}/lock: {error}", target.display()));
    if target.join("lib").is_dir() {
        return Ok(());
    }
    if !runs("mvn", "--version") {
        return Err(Skip::NoMaven);
    }
    let fetch = scripts().join("bin/fetch.sh");
    let output = Command::new(&fetch).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", fetch.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(()),
        // The fetched jars differ from the pinned ones, which must fail the test.
        Some(3) => panic!("{said}"),
        _ => {
            Err(Skip::NoJars(said.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given").to_owned()))
        }
    }
}

/// The same choice as in `kafka/bin/lib.sh`.
fn java() -> String {
    let home = || std::env::var("JAVA_HOME").ok().map(|home| format!("{home}/bin/java"));
    std::env::var("KV_JAVA").ok().or_else(home).unwrap_or_else(|| "java".to_owned())
}

/// The 17 in `openjdk version "17.0.15"`; old ones say 1.8, which gives 1.
fn java_version(java: &str) -> Option<u32> {
    let output = Command::new(java).arg("-version").stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, version) = said.split_once("version \"")?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn runs(program: &str, argument: &str) -> bool {
    let status: io::Result<_> =
        Command::new(program).arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
