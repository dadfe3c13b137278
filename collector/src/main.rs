//! `wulog-collector`: arguments, logging, signals, exit code.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use wulog_collector::cli::{BadConfig, Cli, CommandOutcome, execute};
use wulog_collector::service::event_log;
use wulog_service::stop_requested;

/// mimalloc, since librdkafka makes some ten allocations for each line on one thread and frees them on another.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXIT_STOPPED: u8 = 1;
const EXIT_CONFIG: u8 = 2;
const EXIT_LOOK_HERE: u8 = 3;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("WULOG_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = wulog_service::log_format::layer(cli.log_format);
    let event_log = if cli.is_service() { event_log() } else { None };
    tracing_subscriber::registry().with(filter).with(terminal).with(event_log).init();
    let stop = Arc::new(AtomicBool::new(false));
    // Kept until the end, since dropping the runtime would stop listening.
    let _signals = match listen(stop.clone()) {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "cannot listen for signals");
            return ExitCode::from(EXIT_STOPPED);
        }
    };
    match execute(&cli, &stop) {
        Ok(CommandOutcome::Well) => ExitCode::SUCCESS,
        Ok(CommandOutcome::LookHere) => ExitCode::from(EXIT_LOOK_HERE),
        Err(error) if error.is::<BadConfig>() => {
            error!("{error:#}");
            ExitCode::from(EXIT_CONFIG)
        }
        Err(error) => {
            error!("{error:#}");
            ExitCode::from(EXIT_STOPPED)
        }
    }
}

/// Longest time from a signal to the end of the process. A look at a file may hang in the system, for instance on an
/// unreachable share; then no position is written, and lines are sent again under the same identity. 25 s, since
/// service managers kill after 30 s.
const STOP_MAX: Duration = Duration::from_secs(25);

/// Sets `stop` at SIGTERM or Ctrl-C; a second signal ends the process at once. The runtime has one thread; the
/// collector itself is synchronous.
fn listen(stop: Arc<AtomicBool>) -> std::io::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.spawn(async move {
        loop {
            if let Err(error) = stop_requested().await {
                error!(%error, "signals cannot be waited for; stop this process by other means");
                return;
            }
            if stop.swap(true, Ordering::AcqRel) {
                std::process::exit(i32::from(EXIT_STOPPED));
            }
            info!("stopping; a second signal stops at once");
            tokio::spawn(async {
                tokio::time::sleep(STOP_MAX).await;
                error!("a file or a share hangs: stopped without keeping positions");
                std::process::exit(i32::from(EXIT_STOPPED));
            });
        }
    });
    Ok(runtime)
}
