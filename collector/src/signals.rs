//! The signals that ask a service to stop, the same for both binaries.

use std::io;

/// Returns once SIGTERM (a service manager) or Ctrl-C has come.
///
/// # Errors
/// When signals cannot be listened for.
#[cfg(unix)]
pub async fn stop_requested() -> io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// Returns once Ctrl-C has come.
///
/// # Errors
/// When no console is there; then nothing will come.
#[cfg(not(unix))]
pub async fn stop_requested() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
