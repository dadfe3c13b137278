//! What the processor says of itself over HTTP: `/metrics` (OpenMetrics), `/healthz` and `/readyz`.

pub mod metrics;
mod serve;

pub use serve::{HttpConfig, Server};
