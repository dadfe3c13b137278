//! The pure stages of collector and processor, compiled without the I/O around them, and what must hold for any bytes.

#[path = "../../src/format/mod.rs"]
pub mod format;
#[path = "../../src/machine.rs"]
pub mod machine;
#[path = "../../src/normalize/mod.rs"]
pub mod normalize;
#[path = "../../src/parse/mod.rs"]
pub mod parse;

/// What the checks are about, under the names that they use; `tests/fuzzed.rs` has the same for the product itself.
pub mod product {
    pub use crate::{machine, normalize, parse};
    pub use wulog_lines::{encoding, frame};
}

pub mod checks;
