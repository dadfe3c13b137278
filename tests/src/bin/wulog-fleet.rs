//! Writes the logs of a simulated fleet into a folder, for `wulog-processor standalone` and `replay` to read.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use clap::Parser;

use wulog_tests::fleet::{
    Cause, DAY_MS, DEFAULT_START_MS, Fleet, FleetSpec, HOUR_MS, Layout, RootCause, write_inventories,
};

/// Write the WindowsUpdate.log files of a simulated fleet: DIR/HOST/WindowsUpdate.log.
#[derive(Debug, Parser)]
#[command(name = "wulog-fleet", version)]
struct Args {
    /// Folder to write into; it may not hold an earlier fleet.
    #[arg(long)]
    out: PathBuf,
    /// Seed: the same one gives the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many hosts.
    #[arg(long, default_value_t = 200)]
    hosts: usize,
    /// How many days of logs.
    #[arg(long, default_value_t = 3)]
    days: u32,
    /// When the first day begins.
    #[arg(long, value_name = "RFC3339")]
    start: Option<DateTime<Utc>>,
    /// From this hour on, the hosts of one WSUS server don't trust a third-party update.
    #[arg(long, value_name = "HOUR")]
    outbreak: Option<u32>,
    /// Which WSUS server that is, counted from 0.
    #[arg(long, default_value_t = 0, requires = "outbreak")]
    outbreak_wsus: usize,
    /// What is wrong with its certificate.
    #[arg(long, value_enum, default_value_t = Cause::UntrustedRoot, requires = "outbreak")]
    outbreak_cause: Cause,
    /// Write inventories of certificates of so many percent of the hosts, and of the WSUS machines, beside the logs.
    #[arg(long, value_name = "PERCENT", requires = "outbreak")]
    inventories: Option<usize>,
    /// What those inventories show at the clients of the server.
    #[arg(long, value_enum, default_value_t = RootCause::NotDelivered, requires = "inventories")]
    root_cause: RootCause,
    /// Write DIR/SITE/HOST/WindowsUpdate.log.
    #[arg(long)]
    sites: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let start_ms = args.start.map_or(DEFAULT_START_MS, |start| start.timestamp_millis());
    let mut spec = FleetSpec::new(args.seed, args.hosts).starting(start_ms);
    if args.sites {
        spec.layout = Layout::Sites;
    }
    if let Some(hour) = args.outbreak {
        ensure!(args.outbreak_wsus < spec.wsus.len(), "--outbreak-wsus: there are {} servers", spec.wsus.len());
        spec = spec.with_outbreak(args.outbreak_wsus, i64::from(hour) * HOUR_MS, args.outbreak_cause);
    }
    let mut fleet = Fleet::new(spec);
    ensure!(
        fleet.hosts().all(|host| !fleet.log_path(&args.out, host).exists()),
        "{} holds logs of these hosts already: give an empty folder",
        args.out.display()
    );
    let lines = fleet
        .write_until(&args.out, start_ms + i64::from(args.days) * DAY_MS)
        .with_context(|| format!("cannot write the logs into {}", args.out.display()))?;
    println!("{lines} lines of {} hosts in {}", args.hosts, args.out.display());
    if let Some(percent) = args.inventories {
        let chosen = write_inventories(&fleet, &args.out, args.root_cause, percent)?;
        println!("inventories of {} hosts and of the WSUS machines", chosen.len());
    }
    if let Some(truth) = fleet.truth() {
        let onset = DateTime::from_timestamp_millis(truth.onset_ms).context("the onset is out of range")?;
        println!(
            "{} at {} from {}: {} hosts cannot trust update {}",
            truth.family,
            truth.wsus,
            onset.to_rfc3339(),
            truth.hosts.len(),
            truth.update
        );
    }
    Ok(())
}
