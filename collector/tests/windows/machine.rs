//! What the machine says of itself, against what other programs say of it.

use std::process::Command;

use wulog_collector::config::HostConfig;
use wulog_collector::local_host::LocalHost;
use wulog_schemas::host::HostId;

fn output(program: &str, arguments: &[&str]) -> String {
    let ended = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&ended.stdout).trim().to_owned()
}

#[test]
fn a_host_is_its_machine_guid_and_its_name() {
    let key = r"HKLM\SOFTWARE\Microsoft\Cryptography";
    let said = output("reg", &["query", key, "/v", "MachineGuid"]);
    let guid = said.split_whitespace().last().filter(|word| word.len() == 36).expect("Windows has a MachineGuid");
    let name = output("hostname", &[]);
    let machine = LocalHost::ask(&HostConfig::default()).unwrap();
    assert_eq!(machine.name, name.to_lowercase());
    assert_eq!(machine.id, HostId::of_machine(guid, &name));
}

#[test]
fn a_host_knows_its_time_zone() {
    let zone = LocalHost::ask(&HostConfig::default()).unwrap().time_zone.expect("Windows has a time zone");
    assert!(zone == "UTC" || zone.contains('/'), "{zone}");
}
