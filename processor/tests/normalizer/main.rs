//! The Normalizer from raw records to documents: the event of a line, and the signals of a host's lines.

mod attempts;
mod calls;
mod certificates;
mod chain;
mod events;
mod feed;
mod formats;
mod laws;
mod names;
mod notable;
mod patterns;
mod proxies;
mod scans;
mod streams;
mod traps;
mod two_logs;
mod uninstall;
mod unreadable;
mod wrapped;
