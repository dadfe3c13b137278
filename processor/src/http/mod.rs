//! The processor's HTTP interface: `/metrics` (OpenMetrics), `/healthz`, `/readyz`, and the [`status`](crate::status)
//! page.

pub mod metrics;
mod serve;

pub use serve::{HttpConfig, Server};
