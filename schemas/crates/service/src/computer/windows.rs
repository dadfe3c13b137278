//! Name, id and time zone of a Windows machine.

use winapi_util::sysinfo::{ComputerNameKind, get_computer_name};
use windows_registry::LOCAL_MACHINE;

/// Returns the DNS computer name, since a NetBIOS name is cut after 15 characters. In a cluster, the name of the node.
pub(super) fn computer_name() -> Option<String> {
    let name = get_computer_name(ComputerNameKind::PhysicalDnsHostname).ok()?.into_string().ok();
    name.filter(|name| !name.is_empty()).or_else(|| std::env::var("COMPUTERNAME").ok())
}

/// Returns the MachineGuid, which the installation of Windows and Sysprep create.
pub(super) fn machine_id() -> Option<String> {
    let key = LOCAL_MACHINE.open(r"SOFTWARE\Microsoft\Cryptography").ok()?;
    key.get_string("MachineGuid").ok().filter(|id| !id.is_empty())
}

/// Returns IANA's name from the Windows Runtime. On small servers the Runtime may be missing; then Windows' own name in
/// the registry is translated.
pub(super) fn time_zone() -> Option<String> {
    iana_time_zone::get_timezone().ok().or_else(|| {
        let key = LOCAL_MACHINE.open(r"SYSTEM\CurrentControlSet\Control\TimeZoneInformation").ok()?;
        iana_name(&key.get_string("TimeZoneKeyName").ok()?).map(str::to_owned)
    })
}

fn iana_name(windows_name: &str) -> Option<&'static str> {
    let zones = include_str!("zones.tsv").lines().filter_map(|line| line.split_once('\t'));
    // Some versions leave meaningless characters after a zero in the registry.
    let windows_name = windows_name.split('\0').next()?;
    zones.into_iter().find(|(name, _)| *name == windows_name).map(|(_, zone)| zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_of_windows_has_a_name_of_iana() {
        assert_eq!(iana_name("W. Europe Standard Time"), Some("Europe/Berlin"));
        assert_eq!(iana_name("Pacific Standard Time\0rubbish"), Some("America/Los_Angeles"));
        assert_eq!(iana_name("UTC"), Some("Etc/UTC"));
        assert_eq!(iana_name("Customized Time Zone"), None);
    }

    /// Windows' own list, from the registry, is somebody else's.
    #[test]
    fn every_zone_that_windows_knows_is_known() {
        let zones = LOCAL_MACHINE.open(r"SOFTWARE\Microsoft\Windows NT\CurrentVersion\Time Zones").unwrap();
        let names: Vec<String> = zones.keys().unwrap().collect();
        assert!(names.len() > 100, "{names:?}");
        let unknown: Vec<_> = names.iter().filter(|name| iana_name(name).is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
