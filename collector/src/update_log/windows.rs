//! Runs `Get-WindowsUpdateLog` from time to time. Windows 10 and later write traces in place of WindowsUpdate.log; the
//! command makes a complete log of all traces each time.
//!
//! The log is written to another name and then renamed, so that no reader sees half of it. [`crate::follow`] recognizes
//! lines of the previous log, so that they are not shipped again. A process of low priority makes the log; if the
//! process fails or hangs, the old log stays and a warning says why.

use std::io::{self, Read};
use std::os::windows::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{debug, warn};
use windows_sys::Win32::System::Threading::{BELOW_NORMAL_PRIORITY_CLASS, CREATE_NO_WINDOW};

use super::settings::GetWindowsUpdateLog;
use crate::disk::replace;

/// Longest run: weeks of traces take minutes on a slow disk.
const TAKES_MAX: Duration = Duration::from_secs(1800);
const POLL: Duration = Duration::from_millis(200);

/// The thread that makes the log until this value is dropped.
pub(crate) struct UpdateLog {
    /// Dropping the sender ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl UpdateLog {
    /// Makes the first log at once.
    pub(crate) fn start(settings: &GetWindowsUpdateLog) -> UpdateLog {
        UpdateLog::start_by(settings.clone(), powershell)
    }

    fn start_by(settings: GetWindowsUpdateLog, command: fn(&Path) -> Command) -> UpdateLog {
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || keep_making(&settings, command, &stopped));
        UpdateLog { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for UpdateLog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed when it happened.
            let _ = thread.join();
        }
    }
}

fn keep_making(settings: &GetWindowsUpdateLog, command: fn(&Path) -> Command, stopped: &Receiver<()>) {
    let mut failed = String::new();
    loop {
        let (begun, log) = (Instant::now(), settings.log_path.display());
        match make(&settings.log_path, command, stopped) {
            Ok(true) => {
                debug!(%log, took_ms = begun.elapsed().as_millis() as u64, "log was made of the traces");
                failed.clear();
            }
            Ok(false) => return,
            Err(error) => {
                let error = error.to_string();
                if failed != error {
                    warn!(%log, error, "Get-WindowsUpdateLog failed; it is tried again, the log stays as it is");
                    failed = error;
                }
            }
        }
        if stopped.recv_timeout(settings.every) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

/// Makes the log once; `false` when the run was stopped.
fn make(log: &Path, command: fn(&Path) -> Command, stopped: &Receiver<()>) -> io::Result<bool> {
    let fresh = PathBuf::from(format!("{}.new", log.display()));
    std::fs::create_dir_all(log.parent().unwrap_or(log))?;
    remove(&fresh)?;
    let mut child = command(&fresh)
        .creation_flags(BELOW_NORMAL_PRIORITY_CLASS | CREATE_NO_WINDOW)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let made = wait(&mut child, stopped);
    if made.as_ref().is_ok_and(|made| *made) {
        if !fresh.exists() {
            return Err(io::Error::other("it ended well and made no log"));
        }
        replace(&fresh, log)?;
    } else {
        // The process has failed or must end; its output is useless.
        let _ = child.kill().and_then(|()| child.wait());
        remove(&fresh)?;
    }
    made
}

/// Waits for the process; `false` when it takes too long or the run was stopped.
fn wait(child: &mut Child, stopped: &Receiver<()>) -> io::Result<bool> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            if status.success() {
                return Ok(true);
            }
            let mut said = String::new();
            child.stderr.take().map_or(Ok(0), |mut stderr| stderr.read_to_string(&mut said))?;
            return Err(io::Error::other(format!("{status}: {}", said.trim())));
        }
        if begun.elapsed() > TAKES_MAX {
            return Err(io::Error::other(format!("it was ended after {} s", TAKES_MAX.as_secs())));
        }
        if stopped.recv_timeout(POLL) == Err(RecvTimeoutError::Disconnected) {
            return Ok(false);
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns a command of Windows PowerShell by its full path: a service must not run the first program on the search
/// path.
fn powershell(log: &Path) -> Command {
    let windows = std::env::var_os("SystemRoot").unwrap_or_else(|| r"C:\Windows".into());
    let mut command = Command::new(PathBuf::from(windows).join(r"System32\WindowsPowerShell\v1.0\powershell.exe"));
    command.args(["-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-Command", &script(log)]);
    command
}

fn script(log: &Path) -> String {
    // Within single quotes PowerShell treats only the quote itself specially.
    let log = log.display().to_string().replace('\'', "''");
    format!(
        "$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'; \
         try {{ Get-WindowsUpdateLog -LogPath '{log}' | Out-Null }} \
         catch {{ [Console]::Error.WriteLine($_.Exception.Message); exit 1 }}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cmd(line: String) -> Command {
        let mut command = Command::new("cmd");
        command.arg("/c").raw_arg(line);
        command
    }

    fn writes(log: &Path) -> Command {
        cmd(format!("echo made>{}", log.display()))
    }

    fn fails(log: &Path) -> Command {
        cmd(format!("echo half>{}& echo no traces 1>&2& exit 3", log.display()))
    }

    fn makes_nothing(_: &Path) -> Command {
        cmd("exit 0".to_owned())
    }

    fn hangs(_: &Path) -> Command {
        cmd("ping -n 60 127.0.0.1".to_owned())
    }

    /// Makes a log where a file `old` stands.
    fn made(command: fn(&Path) -> Command) -> (io::Result<bool>, String, usize) {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("WindowsUpdate.log");
        std::fs::write(&log, "old").unwrap();
        let (_stop, stopped) = channel();
        let result = make(&log, command, &stopped);
        let files = std::fs::read_dir(dir.path()).unwrap().count();
        (result, std::fs::read_to_string(&log).unwrap().trim().to_owned(), files)
    }

    #[test]
    fn a_log_takes_its_place_when_it_is_whole() {
        let (result, content, files) = made(writes);
        assert_eq!((result.unwrap(), content.as_str(), files), (true, "made", 1));
        let (result, content, files) = made(fails);
        let error = result.unwrap_err().to_string();
        assert!(error.contains("no traces") && error.contains('3'), "{error}");
        assert_eq!((content.as_str(), files), ("old", 1));
        let (result, content, files) = made(makes_nothing);
        assert!(result.unwrap_err().to_string().contains("made no log"));
        assert_eq!((content.as_str(), files), ("old", 1));
    }

    #[test]
    fn a_stop_does_not_wait_for_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let settings =
            GetWindowsUpdateLog { log_path: dir.path().join("new").join("a.log"), every: Duration::from_secs(300) };
        let begun = Instant::now();
        drop(UpdateLog::start_by(settings, hangs));
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_quote_in_the_path_does_not_end_the_path() {
        assert!(script(Path::new(r"C:\it's\a.log")).contains(r"-LogPath 'C:\it''s\a.log'"));
    }
}
