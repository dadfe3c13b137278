//! The log that `Get-WindowsUpdateLog` makes: its settings, and the thread that makes it on Windows.

mod settings;
#[cfg(windows)]
mod windows;

pub(crate) use self::settings::GetWindowsUpdateLog;
#[cfg(windows)]
pub(crate) use self::windows::UpdateLog;
