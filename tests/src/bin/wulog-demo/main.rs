//! `wulog-demo`: the whole data path on one machine in half a minute.
//!
//! A simulated fleet writes WindowsUpdate.log files; real collectors tail them; the lines go through the embedded log
//! (or a real Kafka) and the processor's two machines; one WSUS server's publishing certificate is not trusted by its
//! hosts.

mod backend;
mod screen;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use tokio_util::sync::CancellationToken;
use wulog_schemas::alert::Alert;
use wulog_service::Clock;
use wulog_tests::fleet::{Cause, DAY_MS, Fleet, FleetSpec, HOUR_MS, Layout, RootCause, write_inventories};
use wulog_tests::rig::Rig;

use backend::Backend;
use screen::Screen;

/// Simulated time before the publishing certificate goes wrong: the processor learns the usual failures.
const QUIET_MS: i64 = DAY_MS;
/// Simulated time after the fault: every host scans once.
const OUTBREAK_MS: i64 = DAY_MS;
/// One step of the simulation.
const STEP_MS: i64 = 10 * 60_000;
/// Time in which the machines must write the last alert after all lines are shipped.
const SETTLE: Duration = Duration::from_secs(20);

/// A simulated fleet, real collectors, a log, the processor, and one alert.
#[derive(Debug, Parser)]
#[command(name = "wulog-demo", version)]
struct Args {
    /// Send everything through the Kafka at this address instead of the embedded log.
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Hosts in the fleet.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(20..=5000))]
    hosts: u32,
    /// Another seed is another fleet.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the logs and the embedded log in this folder (made when missing, must be empty).
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("WULOG_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            cancel.cancel();
        }
    });
    match tokio::task::block_in_place(|| demo(&args, &stop)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nwulog-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(args: &Args, stop: &CancellationToken) -> anyhow::Result<()> {
    let temporary = tempfile::Builder::new().prefix("wulog-demo-").tempdir()?;
    let folder = match &args.keep {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            anyhow::ensure!(
                std::fs::read_dir(folder)?.next().is_none(),
                "{}: not empty; give --keep a new folder",
                folder.display()
            );
            folder.clone()
        }
        None => temporary.path().to_owned(),
    };
    let fleet = Fleet::new(spec(args));
    // Group Policy has not delivered the publishing certificate; some hosts, and the WSUS machines, send inventories.
    write_inventories(&fleet, &folder.join("logs"), RootCause::NotDelivered, INVENTORIES_PERCENT)?;
    let mut screen = Screen::new();
    screen.opening(&fleet, args.kafka.as_deref());
    let now_ms = Arc::new(AtomicI64::new(fleet.now_ms()));
    let backend = Backend::start(args.kafka.as_deref(), &folder, &Clock::Simulated(Arc::clone(&now_ms)))?;
    let mut rig = Rig::new(fleet, &folder, now_ms, |clock| backend.sink(clock))?;
    let outcome = play(&mut rig, &backend, &mut screen, stop);
    rig.finish()?;
    let played = outcome.and_then(|last| backend.finish().map(|()| last));
    match played? {
        _ if stop.is_cancelled() => screen.interrupted(),
        Some(alert) => screen.ending(&alert, args.kafka.as_deref(), args.keep.as_deref()),
        None => anyhow::bail!("no alert came; please report this with the seed {}", args.seed),
    }
    Ok(())
}

/// Hosts that send inventories of their certificates.
const INVENTORIES_PERCENT: usize = 60;

fn spec(args: &Args) -> FleetSpec {
    let mut spec = FleetSpec::new(args.seed, args.hosts as usize).with_outbreak(0, QUIET_MS, Cause::UntrustedRoot);
    spec.layout = Layout::Sites;
    spec
}

/// Runs the fleet and shows alerts as they come. Returns the last one.
fn play(
    rig: &mut Rig,
    backend: &Backend,
    screen: &mut Screen,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Alert>> {
    let start_ms = rig.fleet().spec().start_ms;
    let end_ms = start_ms + QUIET_MS + OUTBREAK_MS;
    let mut alerts = Vec::new();
    let mut lines = 0;
    while rig.fleet().now_ms() < end_ms && !stop.is_cancelled() {
        let began = Instant::now();
        lines += rig.step(rig.fleet().now_ms() + STEP_MS)?;
        let hours = (rig.fleet().now_ms() - start_ms) / HOUR_MS;
        screen.progress(hours, (end_ms - start_ms) / HOUR_MS, lines);
        show_new(backend, screen, &mut alerts)?;
        // A person can follow 40 simulated minutes a second; no result depends on this pause.
        std::thread::sleep(Duration::from_millis(60).saturating_sub(began.elapsed()));
    }
    let began = Instant::now();
    while began.elapsed() < SETTLE && !stop.is_cancelled() && !backend.is_settled() {
        show_new(backend, screen, &mut alerts)?;
        std::thread::sleep(Duration::from_millis(100));
    }
    show_new(backend, screen, &mut alerts)?;
    Ok(alerts.pop())
}

fn show_new(backend: &Backend, screen: &mut Screen, alerts: &mut Vec<Alert>) -> anyhow::Result<()> {
    for alert in backend.new_alerts()? {
        screen.alert(&alert, alerts.is_empty());
        alerts.push(alert);
    }
    Ok(())
}
