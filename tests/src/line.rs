//! Shared parts of the end-to-end tests: the product's binaries, and the incidents in their alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use wulog_schemas::alert::Alert;

use crate::process::run;

/// One of the product's binaries, built from the current source.
///
/// # Panics
/// If it does not build.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        // Cargo describes the package of the test in the environment, and ring's build script runs again if the
        // environment differs.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
                command.env_remove(name);
            }
        }
        let built = command
            .args([
                "build",
                "--quiet",
                "--release",
                "--workspace",
                "--bins",
                // With a test among the targets, the libraries have the features of `cargo test`: otherwise the whole
                // processor would be built a second time.
                "--test",
                "quiet",
            ])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .status();
        assert!(built.is_ok_and(|status| status.success()), "the product's binaries do not build");
        let test = std::env::current_exe().expect("a test knows its own path");
        test.ancestors().nth(2).expect("a test stands in target/release/deps").to_owned()
    });
    folder.join(name)
}

/// The documents that the processor prints, one a line.
///
/// # Panics
/// When it ends with an error.
pub fn processor(arguments: &[&str]) -> Vec<Vec<u8>> {
    let ended = run("wulog-processor", arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended.stdout.lines().filter(|line| !line.is_empty()).map(|line| line.as_bytes().to_vec()).collect()
}

/// The result of an incident: its last document, without the parts that depend on when and where it was processed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Incident {
    /// Family of codes.
    pub family: String,
    /// Event time of the first failure that counted, milliseconds since 1970 UTC.
    pub onset_ms: i64,
    /// The affected hosts.
    pub hosts: BTreeSet<String>,
    /// The first common factor: dimension and value.
    pub cause: Option<(String, String)>,
}

/// The incidents in alert documents, in the order of their onset.
///
/// # Panics
/// If a document is not an alert.
#[must_use]
pub fn incidents<'a>(documents: impl IntoIterator<Item = &'a [u8]>) -> Vec<Incident> {
    let mut last: BTreeMap<String, Alert> = BTreeMap::new();
    for document in documents {
        let alert: Alert = serde_json::from_slice(document).expect("an alert document");
        last.insert(alert.id.clone(), alert);
    }
    let mut incidents: Vec<Incident> = last.into_values().map(incident).collect();
    incidents.sort();
    incidents
}

fn incident(alert: Alert) -> Incident {
    assert!(alert.hosts.names_complete, "{}: too many hosts to name", alert.id);
    Incident {
        family: alert.family.as_str().to_owned(),
        onset_ms: alert.time.onset.0,
        hosts: alert.hosts.names.into_iter().collect(),
        cause: alert.common_factors.into_iter().next().map(|factor| (factor.dimension, factor.value)),
    }
}
