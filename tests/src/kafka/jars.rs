//! Whether Kafka can run here at all: Java, and the jars.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why there is no Kafka on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// Kafka 4 needs Java 17.
    #[error("no Java: Kafka 4 needs Java 17 or later, as `java` or in JAVA_HOME")]
    NoJava,
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

/// Everything that is fetched or written.
pub(super) fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kafka")
}

/// Fetches the jars if they are missing. Tests run in parallel, also as several processes: one fetches, the others wait.
pub(super) fn ensure() -> Result<(), Skip> {
    if !runs(&java(), "-version") {
        return Err(Skip::NoJava);
    }
    let target = target();
    let lock = fs::create_dir_all(&target).and_then(|()| File::create(target.join("lock")));
    let lock = lock.unwrap_or_else(|error| panic!("{}: {error}", target.display()));
    lock.lock()
        .unwrap_or_else(|error| panic!("cannot lock {}/lock: {error}", target.display()));
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
        Some(3) => panic!("{said}"),
        _ => Err(Skip::NoJars(
            said.lines()
                .find(|line| !line.trim().is_empty())
                .unwrap_or("no reason given")
                .to_owned(),
        )),
    }
}

/// The same choice as in `kafka/bin/lib.sh`.
fn java() -> String {
    let home = || std::env::var("JAVA_HOME").ok().map(|home| format!("{home}/bin/java"));
    std::env::var("KV_JAVA")
        .ok()
        .or_else(home)
        .unwrap_or_else(|| "java".to_owned())
}

fn runs(program: &str, argument: &str) -> bool {
    let status: io::Result<_> = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
