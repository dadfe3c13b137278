//! A simulated fleet with real collectors on its logs: one a site, in the fleet's own time.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use wulog_collector::sink::Sink;
use wulog_collector::{Collector, Config};
use wulog_service::Clock;

use crate::fleet::{Fleet, Layout};

/// Time after which collectors that have not shipped a step count as stuck.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// Time that one collector may take before the next has its turn.
const PASS_WAIT: Duration = Duration::from_millis(1);

/// The fleet, its clock and its collectors.
pub struct Rig {
    fleet: Fleet,
    now_ms: Arc<AtomicI64>,
    collectors: Vec<Collector>,
    folder: std::path::PathBuf,
}

impl Rig {
    /// Puts a collector on each site of `fleet`. Logs go to `FOLDER/logs/SITE/HOST/`, checkpoints to `FOLDER/state/`.
    /// The fleet advances the clock `now_ms`.
    ///
    /// # Errors
    /// If a collector cannot start.
    pub fn new(
        fleet: Fleet,
        folder: &Path,
        now_ms: Arc<AtomicI64>,
        mut sink: impl FnMut(&Clock) -> anyhow::Result<Box<dyn Sink>>,
    ) -> anyhow::Result<Rig> {
        anyhow::ensure!(fleet.spec().layout == Layout::Sites, "a rig needs a folder for each site");
        now_ms.store(fleet.now_ms(), Ordering::Release);
        let clock = Clock::Simulated(Arc::clone(&now_ms));
        let mut collectors = Vec::new();
        for site in fleet.spec().wsus.iter().flat_map(|wsus| &wsus.sites) {
            let logs = folder.join("logs").join(&site.name);
            std::fs::create_dir_all(&logs).with_context(|| logs.display().to_string())?;
            let config = format!(
                "state_dir = '{}'\n[certificates]\n[limits]\nrescan_interval_ms = 0\n[[input]]\npaths = ['{}/*/*.log']\n\
                 host_pattern = '(?P<host>[^/\\\\]+)[/\\\\][^/\\\\]+$'\ntime_zone = '{}'\nlabels = {{ site = '{}' }}\n",
                folder.join("state").join(&site.name).display(),
                logs.display(),
                site.zone,
                site.name,
            );
            let config = Config::parse(&config, "rig")?;
            collectors.push(Collector::new(config, sink(&clock)?, clock.clone())?);
        }
        Ok(Rig { fleet, now_ms, collectors, folder: folder.to_owned() })
    }

    /// The fleet.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Lets the fleet live until `until_ms` and ships all of its lines. Returns the number of lines.
    ///
    /// # Errors
    /// If a log cannot be written, or is not shipped within a minute.
    pub fn step(&mut self, until_ms: i64) -> anyhow::Result<u64> {
        let lines = self.fleet.write_until(&self.folder.join("logs"), until_ms)?;
        self.now_ms.store(until_ms, Ordering::Release);
        let began = Instant::now();
        // Side by side, so that their round trips to the log overlap.
        let mut behind: Vec<&mut Collector> = self.collectors.iter_mut().collect();
        while !behind.is_empty() {
            let mut still = Vec::new();
            for collector in behind {
                if !collector.pass(PASS_WAIT)?.caught_up {
                    still.push(collector);
                }
            }
            behind = still;
            if began.elapsed() > STEP_TIMEOUT {
                return Err(io::Error::from(io::ErrorKind::TimedOut)).context("a collector is not catching up");
            }
        }
        Ok(lines)
    }

    /// Ends the collectors; their checkpoints confirm that all lines are shipped.
    ///
    /// # Errors
    /// If a line is not shipped.
    pub fn finish(self) -> anyhow::Result<()> {
        for collector in self.collectors {
            collector.drain(STEP_TIMEOUT)?;
        }
        Ok(())
    }
}
