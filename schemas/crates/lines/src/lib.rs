//! Bytes of a log file to lines.
//!
//! ```text
//! bytes -> frame -> encoding -> line
//! ```
//!
//! [`Framer`] splits bytes at line endings, [`EncodingChoice`] detects their encoding, and [`Binary`] recognizes files
//! that hold no text. This crate opens no file. The collector follows files with this crate; the processor reads the
//! files of a replay, and its embedded collector follows files.

pub mod encoding;
pub mod frame;
mod binary;
mod record_head;

pub use binary::{Binary, HEAD_BYTES};
pub use encoding::{Encoding, EncodingChoice};
pub use frame::{Frame, Framer, FramerStep};

/// Longest line by default, in bytes.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
