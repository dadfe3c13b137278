//! The name, the id and the time zone of the computer.

#[cfg(windows)]
mod windows;

#[cfg(not(windows))]
use self::files as system;
#[cfg(windows)]
use self::windows as system;

/// Returns the computer name without its domain; `None` where the system has no name.
#[must_use]
pub fn name() -> Option<String> {
    system::computer_name()
}

/// Returns the id of the installed system: machine-id on Linux, MachineGuid on Windows.
#[must_use]
pub fn id() -> Option<String> {
    system::machine_id()
}

/// Returns IANA's name of the computer's time zone.
#[must_use]
pub fn time_zone() -> Option<String> {
    system::time_zone()
}

/// Reads name, id and time zone from files of Linux.
#[cfg(not(windows))]
mod files {
    pub(super) fn computer_name() -> Option<String> {
        first_line("/proc/sys/kernel/hostname")
            .or_else(|| first_line("/etc/hostname"))
            .or_else(|| std::env::var("HOSTNAME").ok())
    }

    pub(super) fn machine_id() -> Option<String> {
        first_line("/etc/machine-id").or_else(|| first_line("/var/lib/dbus/machine-id"))
    }

    pub(super) fn time_zone() -> Option<String> {
        iana_time_zone::get_timezone().ok()
    }

    fn first_line(path: &str) -> Option<String> {
        let text = std::fs::read_to_string(path).ok()?;
        text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
    }
}
