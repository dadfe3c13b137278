//! The commands of the Windows service. Elsewhere they say that they are for Windows.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use clap::Subcommand;

use crate::cli::{ConfigFile, Outcome};

/// What can be done with the service.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Registers the service, to be started with Windows, and its source in the Event Log.
    Install(ConfigFile),
    /// For the installer: refuses a folder that is somebody else's, and gives it its access list.
    #[command(hide = true)]
    Secure(ConfigFile),
    /// Stops and removes the service.
    Uninstall,
    /// Starts the service and waits until it runs.
    Start,
    /// Stops the service and waits until it has flushed what is on its way.
    Stop,
    /// What Windows starts; by hand use `wulog-collector run`.
    #[command(hide = true)]
    Run(ConfigFile),
}

/// Runs a command of the service.
///
/// # Errors
/// When Windows refuses it, or this is no Windows.
#[cfg(windows)]
pub(crate) fn execute(command: &ServiceCommand, stop: &Arc<AtomicBool>) -> Result<Outcome> {
    crate::windows::service::execute(command, stop)
}

#[cfg(not(windows))]
pub(crate) fn execute(_: &ServiceCommand, _: &Arc<AtomicBool>) -> Result<Outcome> {
    anyhow::bail!("`service` is for Windows; here let systemd or another service manager start `wulog-collector run`")
}

/// The Event Log, where a service says what others say on the terminal.
#[cfg(windows)]
#[must_use]
pub fn event_log() -> Option<crate::windows::event_log::EventLog> {
    crate::windows::event_log::EventLog::open().ok()
}

/// No Event Log.
#[cfg(not(windows))]
#[must_use]
pub fn event_log() -> Option<tracing_subscriber::layer::Identity> {
    None
}
