//! The collector's turn on the CPU.

#![allow(unsafe_code)] // what a process's class is, no crate tells

use windows_sys::Win32::System::Threading::{BELOW_NORMAL_PRIORITY_CLASS, GetCurrentProcess, GetPriorityClass};
use wulog_collector::limits::{Priority, apply};

#[test]
fn the_process_goes_behind_others() {
    apply(Priority::BelowNormal).unwrap();
    // SAFETY: both take and give plain values.
    assert_eq!(unsafe { GetPriorityClass(GetCurrentProcess()) }, BELOW_NORMAL_PRIORITY_CLASS);
}
