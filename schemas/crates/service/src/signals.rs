//! The signals that ask a program to stop, the same for both binaries.

use std::io;

/// The signal that asked a program to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// Ctrl-C: SIGINT, or an event of the Windows console.
    Interrupt,
    /// SIGTERM of a service manager.
    Terminate,
}

impl StopSignal {
    /// Returns the exit code that shells use for the signal: 128 plus its number.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            StopSignal::Interrupt => 130,
            StopSignal::Terminate => 143,
        }
    }

    /// Returns the name of the signal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            StopSignal::Interrupt => "SIGINT",
            StopSignal::Terminate => "SIGTERM",
        }
    }
}

/// Returns once SIGTERM (a service manager) or Ctrl-C has come.
///
/// # Errors
/// When signals cannot be listened for.
pub async fn stop_requested() -> io::Result<()> {
    stop_signal().await.map(drop)
}

/// Returns once SIGTERM (a service manager) or Ctrl-C has come, and says which.
///
/// # Errors
/// When signals cannot be listened for.
#[cfg(unix)]
pub async fn stop_signal() -> io::Result<StopSignal> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| StopSignal::Interrupt),
        _ = terminate.recv() => Ok(StopSignal::Terminate),
    }
}

/// Returns once the console ends: Ctrl-C, Ctrl-Break, a closed window, a shutdown. The service manager stops a service
/// in another way.
///
/// # Errors
/// When the console cannot be listened to.
#[cfg(windows)]
pub async fn stop_signal() -> io::Result<StopSignal> {
    use tokio::signal::windows;
    let (mut c, mut brk) = (windows::ctrl_c()?, windows::ctrl_break()?);
    let (mut close, mut shutdown) = (windows::ctrl_close()?, windows::ctrl_shutdown()?);
    tokio::select! {
        _ = c.recv() => {}
        _ = brk.recv() => {}
        _ = close.recv() => {}
        _ = shutdown.recv() => {}
    }
    Ok(StopSignal::Interrupt)
}
