//! A process that runs for years: what the collector and the processor share as services.
//!
//! [`Clock`] is where their "now" comes from, [`stop_signal`] what ends them, [`ServiceManager`] what they tell systemd,
//! [`log_format`] how they write messages, [`http`] how they answer, and [`computer`] what the machine tells of itself.

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
