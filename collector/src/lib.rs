//! The collector: log file -> line -> raw record -> `wulog.raw`.
//!
//! ```text
//! bytes -> frame -> encoding -> Tail (follow, ack) -> Shipper -> Sink
//! ```
//!
//! [`Collector`] is the whole of it, one thread and no waiting beyond what its caller allows; the binary runs it against
//! Kafka, the processor's one-machine mode against its embedded log.

pub mod ack;
pub mod follow;

mod beside;
pub mod certificates;
pub mod check;
pub mod checkpoint;
pub mod cli;
pub mod collect;
pub mod config;
pub mod discover;
mod disk;
pub mod forget;
pub mod heartbeat;
mod hosts;
pub mod kafka;
pub mod limits;
pub mod machine;
pub mod metrics;
pub mod record;
pub mod redact;
mod search;
pub mod service;
pub mod ship;
pub mod sink;
pub mod tail;
#[cfg(windows)]
pub mod windows;

pub use collect::{Collector, CollectorError, Drained, Pass};
pub use config::Config;
