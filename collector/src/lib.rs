//! The collector: log file -> line -> raw record -> `wulog.raw`.
//!
//! ```text
//! bytes -> frame -> encoding -> Tail (follow, ack) -> Shipper -> Sink
//! ```
//!
//! [`Collector`] is the whole of it, one thread and no waiting beyond what its caller allows; the binary runs it against
//! Kafka, the processor's one-machine mode against its embedded log.

mod ack;
pub mod binary;
pub mod encoding;
mod follow;
pub mod frame;
mod record_head;

pub mod certificates;
mod check;
pub mod checkpoint;
pub mod cli;
pub mod clock;
mod collect;
pub mod config;
mod discover;
mod disk;
pub mod fence;
mod forget;
mod heartbeat;
mod hosts;
mod neighbours;
mod input;
pub mod kafka;
pub mod limits;
pub mod log_fields;
pub mod log_format;
pub mod local_host;
pub mod metrics;
pub mod path_text;
pub mod private;
mod progress;
pub mod record;
pub mod redact;
mod run;
mod search;
pub mod secret;
pub mod service;
pub mod service_manager;
pub mod ship;
pub mod signals;
pub mod sink;
mod tail;
pub mod toml_key;
mod update_log;

pub use collect::{Collector, CollectorError, Drained};
pub use config::Config;
pub use progress::{InputStatus, Pass};
