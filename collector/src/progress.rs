//! What a pass did, and how the inputs stand: for metrics, and for whoever runs the collector.

use std::time::Duration;

/// What one pass did, and how things stand after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Lines of them that were cut.
    pub truncated: u64,
    /// Lines read and handed to the sink's queue in this pass.
    pub lines_sent: u64,
    /// Bytes read in this pass.
    pub bytes_read: u64,
    /// Records acknowledged in this pass.
    pub acked: u64,
    /// Records not acknowledged yet.
    pub in_flight: usize,
    /// Every complete line, in every file that is known, as it was at the start of this pass, is acknowledged, and so are the
    /// heartbeats that say so.
    pub caught_up: bool,
    /// How long it took to look at all files.
    pub look: Duration,
    /// Hosts known.
    pub hosts: usize,
    /// Files known.
    pub files: usize,
    /// Records that can never be taken, since the start.
    pub rejected: u64,
}

/// How the files of one input stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputStatus {
    /// Its first path or glob.
    pub name: String,
    /// Files known.
    pub files: u64,
    /// Bytes in them that are not acknowledged.
    pub lag_bytes: u64,
    /// Times that lines may have been missed.
    pub losses: u64,
}
