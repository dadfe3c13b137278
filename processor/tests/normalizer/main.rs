//! The Normalizer from raw records to documents: what a line becomes, and what a host's lines amount to.

mod attempts;
mod events;
mod feed;
mod formats;
mod laws;
mod notable;
mod patterns;
mod streams;
mod traps;
