//! The parts of a long-running process that the collector and the processor share.
//!
//! [`Clock`] is the source of time, [`stop_signal`] waits for a signal to stop, [`ServiceManager`] notifies systemd,
//! [`log_format`] writes log messages, [`http`] serves HTTP, and [`computer`] reads name, id and time zone of the
//! machine.

mod clock;
mod signals;
pub mod computer;
pub mod http;
mod log_fields;
pub mod log_format;
pub mod service_manager;

pub use clock::Clock;
pub use log_format::LogFormat;
pub use service_manager::{Loops, Rounds, ServiceManager};
pub use signals::{StopSignal, stop_requested, stop_signal};
