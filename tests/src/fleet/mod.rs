//! A deterministic simulated fleet: the same [`FleetSpec`] writes the same bytes, in whatever steps it is driven.
//!
//! ```text
//! FleetSpec -> Host x N -> Life: wake, scan, try updates -> Dialect: the words -> Pen: the bytes -> DIR/HOST/WindowsUpdate.log
//! ```
//!
//! Each host draws from a random stream of its own and never looks at another, so a driver may write an hour or a
//! second at a time, and a larger fleet begins with the hosts' own choices unchanged.
//!
//! What it leaves out: daylight saving, text that is not ASCII, trimmed logs, hosts that go away. Tests of those write
//! their own files.

mod catalog;
mod certificates;
mod dialect;
mod host;
mod legacy;
mod life;
mod modern;
mod pen;
pub(crate) mod random;
mod spec;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use wulog_schemas::hresult::Family;

pub use certificates::{RootCause, SimulatedCertificate, certificate_of, write_inventories};
pub use host::{Form, Habit, Host, System};
pub use spec::{
    Audience, Cause, DAY_MS, DEFAULT_START_MS, FleetSpec, HOUR_MS, Layout, Outbreak, Publisher, Site, Update, WsusSpec,
};

use life::Life;

/// Name of each host's log.
pub const LOG_NAME: &str = "WindowsUpdate.log";

/// Within this time after an onset every affected host has scanned twice.
const OUTBREAK_SPREAD_MS: i64 = 2 * DAY_MS;

/// The real fault of a fleet, with which an alert must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Family of the failures.
    pub family: Family,
    /// Event time of the first failure, milliseconds since 1970 UTC: that of the line which makes it definite
    /// (`File failed postprocessing`).
    pub onset_ms: i64,
    /// Each host that fails within two days of the onset, with the event time of its first failure.
    pub hosts: BTreeMap<String, i64>,
    /// URL of the WSUS server that they share.
    pub wsus: String,
    /// Id of the update, in capitals without braces.
    pub update: String,
}

/// A running fleet.
#[derive(Clone, Debug)]
pub struct Fleet {
    spec: FleetSpec,
    lives: Vec<Life>,
    now_ms: i64,
    truth: Option<Truth>,
}

impl Fleet {
    /// The fleet at its start.
    ///
    /// # Panics
    /// If the spec names no WSUS server, a server without sites, or an outbreak at a missing server.
    #[must_use]
    pub fn new(spec: FleetSpec) -> Fleet {
        let lives: Vec<Life> = (0..spec.hosts).map(|index| Life::new(&spec, index)).collect();
        let truth = foresee(&spec, &lives);
        Fleet { now_ms: spec.start_ms, lives, truth, spec }
    }

    /// The real fault; `None` for a quiet fleet and for an outbreak that hits no host.
    #[must_use]
    pub fn truth(&self) -> Option<&Truth> {
        self.truth.as_ref()
    }

    /// The specification of the fleet.
    #[must_use]
    pub fn spec(&self) -> &FleetSpec {
        &self.spec
    }

    /// The time up to which all lines are written, milliseconds since 1970 UTC.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// All hosts, in the fleet's order.
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = &Host> {
        self.lives.iter().map(|life| &life.host)
    }

    /// The host of that name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts().find(|host| host.name == name)
    }

    /// Name of the site of a host.
    #[must_use]
    pub fn site_of(&self, host: &str) -> Option<&str> {
        self.host(host).map(|host| host.site.name.as_str())
    }

    /// URL of the WSUS server of a host.
    #[must_use]
    pub fn wsus_of(&self, host: &str) -> Option<&str> {
        self.host(host).map(|host| host.wsus_url.as_str())
    }

    /// The path of a host's log under `dir`.
    #[must_use]
    pub fn log_path(&self, dir: &Path, host: &Host) -> PathBuf {
        log_path(self.spec.layout, dir, host)
    }

    /// Appends the lines of `[now, until_ms)` to each host's log under `dir`. Returns the number of lines.
    ///
    /// # Errors
    /// If a folder or a log cannot be written. Lines of this step may be lost then: start again with a new
    /// fleet.
    pub fn write_until(&mut self, dir: &Path, until_ms: i64) -> io::Result<u64> {
        let layout = self.spec.layout;
        self.step(until_ms, |host, bytes| {
            if bytes.is_empty() {
                return Ok(());
            }
            let path = log_path(layout, dir, host);
            append(&path, bytes).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
        })
    }

    /// The lines of `[now, until_ms)` by host, in memory. A host without a line is left out.
    pub fn lines_until(&mut self, until_ms: i64) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        self.step(until_ms, |host, bytes| {
            if !bytes.is_empty() {
                all.insert(host.name.clone(), bytes.to_vec());
            }
            Ok(())
        })
        .expect("memory takes everything");
        all
    }

    fn step(&mut self, until_ms: i64, mut write: impl FnMut(&Host, &[u8]) -> io::Result<()>) -> io::Result<u64> {
        let mut lines = 0;
        let mut bytes = Vec::new();
        for life in &mut self.lives {
            bytes.clear();
            lines += life.live(&self.spec, until_ms, |line| bytes.extend_from_slice(line.as_bytes()));
            write(&life.host, &bytes)?;
        }
        self.now_ms = self.now_ms.max(until_ms);
        Ok(lines)
    }
}

fn log_path(layout: Layout, dir: &Path, host: &Host) -> PathBuf {
    match layout {
        Layout::Hosts => dir.join(&host.name).join(LOG_NAME),
        Layout::Sites => dir.join(&host.site.name).join(&host.name).join(LOG_NAME),
    }
}

fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)?.write_all(bytes)
}

/// Lets copies of the affected hosts live through the outbreak without writing, to learn their failures.
fn foresee(spec: &FleetSpec, lives: &[Life]) -> Option<Truth> {
    let outbreak = spec.outbreak.as_ref()?;
    let until_ms = outbreak.end_ms.unwrap_or(i64::MAX).min(outbreak.onset_ms + OUTBREAK_SPREAD_MS);
    let mut hosts = BTreeMap::new();
    for life in lives.iter().filter(|life| life.host.wsus == outbreak.wsus) {
        let mut life = life.clone();
        life.foresee(spec, until_ms);
        if let Some(failed_ms) = life.outbreak_failure_ms {
            hosts.insert(life.host.name, failed_ms);
        }
    }
    Some(Truth {
        family: outbreak.cause.family(),
        onset_ms: *hosts.values().min()?,
        wsus: spec.wsus[outbreak.wsus].url.clone(),
        update: outbreak.update.id.clone(),
        hosts,
    })
}
