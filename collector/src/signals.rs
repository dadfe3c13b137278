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

/// Returns once the console says that it is over: Ctrl-C, Ctrl-Break, a closed window, a shutdown. A service is stopped by
/// the service manager instead.
///
/// # Errors
/// When the console cannot be listened to.
#[cfg(windows)]
pub async fn stop_requested() -> io::Result<()> {
    use tokio::signal::windows;
    let (mut c, mut brk) = (windows::ctrl_c()?, windows::ctrl_break()?);
    let (mut close, mut shutdown) = (windows::ctrl_close()?, windows::ctrl_shutdown()?);
    tokio::select! {
        _ = c.recv() => {}
        _ = brk.recv() => {}
        _ = close.recv() => {}
        _ = shutdown.recv() => {}
    }
    Ok(())
}
