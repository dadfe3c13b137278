//! The loop of one channel, in a thread of its own: read, decide, deliver, commit.
//!
//! The position is committed after each delivery, so that after a crash at most the request in flight is repeated.
//!
//! A panic stays in its channel: it is logged and counts as a failed attempt, and no other channel waits.

mod work;
mod rounds;
mod take_over;
mod attempt;
mod settle;
mod recipients;

pub(crate) use work::Runner;

#[cfg(test)]
mod tests;
