//! A fleet through the embedded log, with machines and collectors in lockstep, so that each run gives the same bytes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use wulog_processor::detect::Detector;
use wulog_processor::log::embedded::{EmbeddedConfig, EmbeddedLog, EmbeddedSink};
use wulog_processor::machine::Machine;
use wulog_processor::normalize::Normalizer;
use wulog_processor::shell::{Shell, ShellConfig};
use wulog_schemas::topic::Topic;

use crate::fleet::{Cause, DAY_MS, Fleet, FleetSpec, Layout};
use crate::rig::Rig;

/// A quiet day, then a day in which every host of one server fails. Sites are in UTC, since files alone don't name
/// their zone.
#[must_use]
pub fn outbreak_on_the_second_day(seed: u64, hosts: usize) -> Fleet {
    let mut spec = FleetSpec::new(seed, hosts).with_outbreak(1, DAY_MS, Cause::UntrustedRoot);
    spec.layout = Layout::Sites;
    for site in spec.wsus.iter_mut().flat_map(|wsus| &mut wsus.sites) {
        (site.zone, site.utc_minutes) = ("Etc/UTC".to_owned(), 0);
    }
    Fleet::new(spec)
}

/// Lets `fleet` live until `end_ms`, `step_ms` at a time, and returns the log at `FOLDER/wulog.db`.
///
/// # Errors
/// If a log cannot be written or read.
pub fn lived(fleet: Fleet, folder: &Path, (end_ms, step_ms): (i64, i64)) -> anyhow::Result<EmbeddedConfig> {
    let log = EmbeddedConfig::at(&folder.join("wulog.db"));
    let sink = log.clone();
    let mut rig = Rig::new(fleet, folder, Arc::new(AtomicI64::new(0)), move |clock| {
        Ok(Box::new(EmbeddedSink::open(&sink, clock.clone())?))
    })?;
    let mut normalizer: Shell<Normalizer> = shell(&log, Topic::Raw)?;
    let mut detector: Shell<Detector> = shell(&log, Topic::Signals)?;
    while rig.fleet().now_ms() < end_ms {
        rig.step(rig.fleet().now_ms() + step_ms)?;
        to_end(&mut normalizer)?;
        to_end(&mut detector)?;
    }
    rig.finish()?;
    Ok(log)
}

fn shell<M: Machine<Config: Default>>(log: &EmbeddedConfig, input: Topic) -> anyhow::Result<Shell<M>> {
    let log = EmbeddedLog::open(log, M::NAME, input)?;
    Ok(Shell::new(ShellConfig::default(), M::Config::default(), Box::new(log)))
}

fn to_end<M: Machine>(shell: &mut Shell<M>) -> anyhow::Result<()> {
    while !shell.step(Duration::ZERO)?.at_end {}
    Ok(())
}
