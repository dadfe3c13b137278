//! The processor's HTTP interface: `/metrics` (OpenMetrics), `/healthz`, `/readyz`, and the [`status`](crate::status)
//! page.

mod serve;

pub use serve::{HttpConfig, Server};
