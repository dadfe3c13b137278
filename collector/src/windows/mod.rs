//! What is Windows' alone: the service and its Event Log. Where a single call differs, both
//! halves stand in one file, as in [`crate::disk`].

mod access;
mod download;
pub mod event_log;
pub mod service;
pub(crate) mod signer;
pub(crate) mod site;
pub(crate) mod stores;
pub(crate) mod update_log;
pub(crate) mod update_policy;

/// The name of the service and of its source in the Event Log.
pub const NAME: &str = "wulog-collector";
