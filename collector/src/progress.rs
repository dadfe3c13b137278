//! The result of a pass and the status of the inputs: for metrics, and for the caller of the collector.

use std::time::Duration;

/// The result of one pass, and the totals after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Lines read in this pass that were longer than the limit and were cut.
    pub truncated: u64,
    /// Lines read and handed to the sink's queue in this pass.
    pub lines_sent: u64,
    /// Bytes read in this pass.
    pub bytes_read: u64,
    /// Records acknowledged in this pass.
    pub acked: u64,
    /// Records not acknowledged yet.
    pub in_flight: usize,
    /// Memory that these records take, in bytes; at `bytes_in_flight` of the configuration reading stops.
    pub bytes_in_flight: usize,
    /// True when every complete line that the known files had at the start of this pass is acknowledged, and the heartbeats
    /// that report it too.
    pub caught_up: bool,
    /// How long the look at all paths took.
    pub look: Duration,
    /// Hosts known.
    pub hosts: usize,
    /// Files known.
    pub files: usize,
    /// Records that the log can never take, since the start.
    pub rejected: u64,
}

/// The status of the files of one input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputStatus {
    /// The first path or glob of the input.
    pub name: String,
    /// Files known.
    pub files: u64,
    /// Bytes of the files that are not acknowledged.
    pub lag_bytes: u64,
    /// Times that lines may have been missed.
    pub losses: u64,
}
