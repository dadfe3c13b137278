//! The collector: log file -> line -> raw record -> `wulog.raw`.
//!
//! ```text
//! bytes -> frame -> encoding -> Tail (follow, ack) -> Shipper -> Sink
//! ```
//!
//! [`Collector`] has one thread and waits no longer than its caller allows. The binary runs it against Kafka, the
//! processor's one-machine mode against the embedded log.

mod ack;
mod follow;

pub mod certificates;
mod check;
pub mod checkpoint;
pub mod cli;
mod collect;
pub mod config;
mod discover;
mod disk;
mod forget;
mod heartbeat;
mod hosts;
mod neighbours;
mod input;
pub mod kafka;
pub mod limits;
pub mod local_host;
mod metrics;
mod progress;
pub mod record;
pub mod redact;
mod run;
mod search;
pub mod service;
pub mod ship;
pub mod sink;
mod tail;
mod update_log;

pub use collect::{Collector, CollectorError, Drained};
pub use config::Config;
pub use progress::{InputStatus, Pass};
