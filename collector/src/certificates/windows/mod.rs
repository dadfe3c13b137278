//! The inventory of the own host on Windows: its stores and update policy, its WSUS server, and files that its update
//! client did not trust.

mod download;
pub(super) mod signer;
pub(super) mod site;
pub(super) mod stores;
pub(super) mod update_policy;
