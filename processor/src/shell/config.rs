//! Settings of the loop.

use std::time::Duration;

use wulog_service::Clock;

/// Settings of the loop; none of them changes the outputs of a machine.
#[derive(Clone, Debug)]
pub struct ShellConfig {
    /// Largest batch, and so the largest transaction, in input records.
    pub batch_records_max: usize,
    /// How long a partition must have had nothing new before a tick is appended to it; `None` appends none.
    pub tick_after_idle: Option<Duration>,
    /// Number of records after which a snapshot is written.
    pub snapshot_after_records: u64,
    /// Time after which a snapshot is written, if there was any record.
    pub snapshot_after: Duration,
    /// The clock of the timestamps of ticks.
    pub clock: Clock,
}

impl Default for ShellConfig {
    fn default() -> ShellConfig {
        ShellConfig {
            batch_records_max: 5_000,
            tick_after_idle: None,
            snapshot_after_records: 500_000,
            snapshot_after: Duration::from_secs(300),
            clock: Clock::System,
        }
    }
}
