//! The contracts of wulog, in the order of the data path.
//!
//! ```text
//! log file -> raw record -> [wulog.raw] -> Event -> [wulog.events]
//!                                            \-> Signal -> [wulog.signals] -> Alert -> [wulog.alerts]
//! ```
//!
//! Each type here is one JSON document; its JSON Schema (2020-12) stands in `schemas/json/` and a test fails when
//! the two drift apart.

pub mod topic;
mod time;
pub mod host;
pub mod raw;
pub mod certificate;
pub mod guid;
pub mod hresult;
pub mod event;
pub mod signal;
pub mod alert;
pub mod visible;
pub mod handling;
mod json;
