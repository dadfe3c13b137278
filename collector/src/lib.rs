//! The collector: log file -> line -> raw record -> `wulog.raw`.

pub mod clock;
pub mod sink;
