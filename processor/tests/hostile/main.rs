//! What a hostile record, host, clock or neighbour may do to the machines: nothing but be told of.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clocks;
mod fleet;
mod keys;
mod sizes;
