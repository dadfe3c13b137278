//! What must hold for any bytes: one module a fuzz target, each with a `check` that panics where it does not.
//!
//! Shared with `tests/fuzzed.rs`, which runs the kept inputs through them with a stable compiler.

pub mod frame;
pub mod hresult;
pub mod normalize;
pub mod parse;
pub mod report;
mod stream;
