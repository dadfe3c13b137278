//! The commands of the Windows service. On other systems they fail with a message.

#[cfg(windows)]
mod access;
mod command;
#[cfg(windows)]
pub mod event_log;
#[cfg(windows)]
mod windows;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;

pub use self::command::ServiceCommand;
use crate::run::CommandOutcome;

/// Runs a command of the service.
///
/// # Errors
/// When Windows refuses the command, or the system is not Windows.
#[cfg(windows)]
pub(crate) fn execute(command: &ServiceCommand, stop: &Arc<AtomicBool>) -> Result<CommandOutcome> {
    windows::execute(command, stop)
}

#[cfg(not(windows))]
pub(crate) fn execute(_: &ServiceCommand, _: &Arc<AtomicBool>) -> Result<CommandOutcome> {
    anyhow::bail!("`service` is for Windows; here let systemd or another service manager start `wulog-collector run`")
}

/// Returns the Event Log, to which a service writes the messages that other commands write to the terminal.
#[cfg(windows)]
#[must_use]
pub fn event_log() -> Option<event_log::EventLog> {
    event_log::EventLog::open().ok()
}

/// Returns `None`: this system has no Event Log.
#[cfg(not(windows))]
#[must_use]
pub fn event_log() -> Option<tracing_subscriber::layer::Identity> {
    None
}
