//! Files on disk that both binaries open: regular files inside a fence, private files of wulog, and paths as text.
//!
//! The owner of a folder of logs chooses its contents, so no function here blocks at a FIFO, and [`Fence`] follows no
//! link out of its folder.

mod regular;
mod fence;
pub mod private;
pub mod path_text;

pub use fence::{Fence, unreadable};
pub use path_text::shown;
pub use regular::{not_regular, open_regular};
