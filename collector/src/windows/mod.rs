//! What is Windows' alone: the service and its Event Log, and what the machine says of itself. What differs only in a
//! call stands beside its other half, in [`crate::disk`] and [`crate::signals`].

mod access;
mod download;
pub mod event_log;
pub mod machine;
pub mod service;
pub(crate) mod signer;
pub(crate) mod site;
pub(crate) mod stores;
pub(crate) mod update_log;
pub(crate) mod update_policy;

/// The name of the service and of its source in the Event Log.
pub const NAME: &str = "wulog-collector";
