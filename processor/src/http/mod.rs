//! The processor's HTTP interface: `/metrics` (OpenMetrics), `/healthz`, `/readyz`, and the [`status`](crate::status)
//! page.

mod serve;

pub(crate) use serve::{HttpConfig, HttpServer};
