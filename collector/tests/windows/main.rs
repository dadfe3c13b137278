//! What is Windows' own: sharing, deletion and renaming of open files, the service, the Event Log, certificate stores.
//! Runs under Wine on Linux (`deploy/windows/test.sh`); elsewhere only the refusal of the service is left to be tested.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

#[cfg(windows)]
mod bench;
#[cfg(windows)]
mod certificates;
#[cfg(windows)]
mod checkpoint;
#[cfg(windows)]
mod event_log;
#[cfg(windows)]
mod failed_files;
#[cfg(windows)]
mod follow;
#[cfg(windows)]
mod machine;
#[cfg(windows)]
mod priority;
#[cfg(windows)]
mod service;
#[cfg(windows)]
mod wsus_site;

#[cfg(not(windows))]
#[test]
fn elsewhere_the_service_says_that_it_is_for_windows() {
    for arguments in [&["start"][..], &["stop"], &["uninstall"], &["install", "--config", "c"]] {
        let program = env!("CARGO_BIN_EXE_wulog-collector");
        let ended = std::process::Command::new(program).arg("service").args(arguments).output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        assert!(String::from_utf8(ended.stderr).unwrap().contains("is for Windows"));
    }
}
