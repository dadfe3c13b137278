//! What Windows says of the machine.

use winapi_util::sysinfo::{ComputerNameKind, get_computer_name};
use windows_registry::LOCAL_MACHINE;

/// The computer name of DNS: a NetBIOS name is cut after 15 characters. Of a cluster, that of the node.
pub(crate) fn computer_name() -> Option<String> {
    let name = get_computer_name(ComputerNameKind::PhysicalDnsHostname).ok()?.into_string().ok();
    name.filter(|name| !name.is_empty()).or_else(|| std::env::var("COMPUTERNAME").ok())
}

/// The MachineGuid, made at the installation of Windows and anew by Sysprep.
pub(crate) fn machine_id() -> Option<String> {
    let key = LOCAL_MACHINE.open(r"SOFTWARE\Microsoft\Cryptography").ok()?;
    key.get_string("MachineGuid").ok().filter(|id| !id.is_empty())
}

pub(crate) fn time_zone() -> Option<String> {
    iana_time_zone::get_timezone().ok()
}
