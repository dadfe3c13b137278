//! Hostile records, hosts, clocks and neighbours change nothing in the machines except for reports about them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clocks;
mod fleet;
mod keys;
mod sizes;
