//! What the processor says of itself over HTTP: `/metrics` (OpenMetrics), `/healthz` and `/readyz`; beside these it serves
//! the [`status`](crate::status) page.

mod serve;

pub use serve::{HttpConfig, Server};
