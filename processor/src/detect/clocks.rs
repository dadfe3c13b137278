//! Log time of the Detector: of each partition of `wulog.raw`, and of all of them together.
//!
//! Processors write signals, but a peer with write access to the topic can forge a tick of any partition and any time.
//! A time far ahead would make all failures late and forget the onsets of the week. So a signal's log time is judged
//! like a raw record's, a new partition cannot begin far ahead of the known ones, and partitions beyond the number that
//! a tick states are forgotten with their times.

use wulog_schemas::signal::{FactRef, SignalRef};

use super::Detector;
use crate::log_time::{self, BeliefSpan, LogClock, Said, TimestampVerdict};

/// How far a signal's log time is believed without confirmation, as for a raw record.
const STEP: BeliefSpan = BeliefSpan::both(6 * 60 * 60 * 1000);
/// Most partitions of a raw topic; a tick that claims more is forged or damaged.
const PARTITIONS_MAX: i32 = 100_000;

impl Detector {
    /// Takes the number of partitions that a tick states.
    pub(super) fn count_partitions(&mut self, partitions: i32) {
        if !(1..PARTITIONS_MAX).contains(&partitions) || self.state.partition_count == Some(partitions) {
            return;
        }
        self.state.partition_count = Some(partitions);
        let before = self.state.partitions.len();
        self.state.partitions.retain(|partition, _| (0..partitions).contains(partition));
        if self.state.partitions.len() < before {
            self.go_back();
        }
    }

    /// Takes the log time of a signal, as far as it is believed, and returns the log time at which the signal counts.
    pub(super) fn log_time(&mut self, signal: &SignalRef<'_>) -> i64 {
        let partition = signal.raw.partition;
        let hosts = self.state.fleet.hosts_known();
        let (host, stated_ms) = match &signal.fact {
            FactRef::HostFacts { host, last_event_time, .. } => (host.id, *last_event_time),
            FactRef::Attempt { host, event_time, .. } | FactRef::ScanDone { host, event_time, .. } => {
                (host.id, Some(*event_time))
            }
            FactRef::Certificates(facts) => (facts.host.id.as_str(), None),
            FactRef::Tick(_) | FactRef::Config(_) | FactRef::Handling(_) => ("", None),
        };
        let said = Said { timestamp_ms: signal.log_time, host, stated_ms };
        // A partition that does not exist has no clock.
        if !(0..self.state.partition_count.unwrap_or(PARTITIONS_MAX)).contains(&partition) {
            return self.state.log_time;
        }
        let reached = self.state.log_time;
        let is_far = reached > 0 && signal.log_time > reached.saturating_add(STEP.ahead_ms);
        let new = || if is_far { LogClock::at(reached) } else { LogClock::default() };
        let clock = self.state.partitions.entry(partition).or_insert_with(new);
        let verdict = clock.take(said, hosts, STEP);
        let is_ahead = signal.log_time > clock.now_ms();
        let time = if is_ahead { log_time::time_of(said, clock) } else { signal.log_time };
        let reached = clock.now_ms();
        if verdict == TimestampVerdict::WentBack {
            self.go_back();
        }
        self.state.log_time = self.state.log_time.max(reached);
        time
    }

    /// Takes all times back to the greatest log time that a partition has reached.
    fn go_back(&mut self) {
        let latest = self.state.partitions.values().map(LogClock::now_ms).max().unwrap_or(0);
        self.state.log_time = latest;
        self.state.clock = self.state.clock.min(latest);
        self.state.silence_looked_at = self.state.silence_looked_at.min(latest);
    }

    /// The least log time over all raw partitions; `None` before each of them has been heard of.
    pub(super) fn clock(&self) -> Option<i64> {
        let count = self.state.partition_count?;
        let known = self.state.partitions.range(0..count);
        let all_known = known.clone().count() == usize::try_from(count).ok()?;
        all_known.then(|| known.map(|(_, clock)| clock.now_ms()).min())?
    }
}
