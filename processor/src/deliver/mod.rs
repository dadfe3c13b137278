//! Channels: they bring alert documents from `wulog.alerts` to people and to other systems.
//!
//! ```text
//! wulog.alerts -> queue -> filter -> backlog -> channel (alertmanager, webhook, mail, syslog)
//!                   ^                   |            |
//!                   |                   |            \- delivered: the position moves on
//!                   \------ position ---+-------------- network error, endpoint or credential refused: retried later
//!                                       \-------------- document refused: parked, the position moves on
//! ```
//!
//! Each channel has a thread and a position of its own, so a dead endpoint delays no other channel. The topic is the
//! queue: the position is committed after the delivery, so delivery is at least once, and each request carries the key
//! `ID/SEQ`. `filter`, `backlog`, `history` and `backoff` are pure; `runner` does the I/O. The reasons stand in
//! `docs/adr/0701-channels.md`.

mod history;
mod filter;
pub(crate) mod backlog;
mod backoff;
pub(crate) mod set_aside;
mod summary;
mod excerpt;
mod template;
mod settings;
pub(crate) mod channel;
mod trust;
mod endpoint;
mod sign;
mod webhook;
mod alertmanager;
mod smtp;
mod mail;
mod syslog;
mod config;
pub(crate) mod open;
mod runner;
pub(crate) mod sample;
pub(crate) mod trial;

pub(crate) use config::{RawChannel, WrongChannel, check_all};
pub(crate) use runner::Runner;
pub(crate) use settings::ChannelConfig;
