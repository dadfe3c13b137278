//! The Normalizer from raw records to documents: what a line becomes, and what a host's lines amount to.

mod attempts;
mod events;
mod feed;
mod laws;
mod streams;
