//! The simulated fleet and the Kafka testbed that the demo and the end-to-end tests run on.

pub mod fleet;
pub mod foreign_fleet;
pub mod kafka;
pub mod rig;
pub mod embedded;
pub mod line;
pub mod process;
pub mod tenant;
pub mod documents;
pub mod scenario;
pub mod receiver;
pub mod peer;
pub mod alerts;

use std::path::PathBuf;

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), ".."].iter().collect()
}
