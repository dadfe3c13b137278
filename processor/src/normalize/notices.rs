//! Records and hosts that exceeded a bound: numbers for metrics, and notices for the operator.

use super::Normalizer;
use super::hosts::bytes_max;
use crate::machine::Figure;

/// Numbers of records, hosts and labels that were set aside or forgotten, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAsideCounts {
    /// Records whose timestamps nothing confirmed.
    pub timestamps: u64,
    /// Hosts that were forgotten for lack of room.
    pub hosts_forgotten: u64,
    /// Hosts that the inventory does not name.
    pub hosts_unlisted: u64,
    /// New hosts that had to wait for a later quarter hour.
    pub hosts_waited: u64,
    /// Labels that were dropped since there were too many names.
    pub labels_dropped: u64,
}

impl Normalizer {
    /// Returns the numbers so far.
    #[must_use]
    pub fn set_aside(&self) -> SetAsideCounts {
        let (hosts_unlisted, hosts_waited) = self.state.admission.set_aside();
        SetAsideCounts {
            timestamps: self.state.clock.set_aside(),
            hosts_forgotten: self.state.hosts.forgotten(),
            hosts_unlisted,
            hosts_waited,
            labels_dropped: self.state.labels.dropped(),
        }
    }

    /// Returns the memory that the hosts take, as of their last weighings.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state.hosts.bytes()
    }

    /// Memory that the hosts of this partition may take.
    pub(super) fn bytes_max(&self) -> u64 {
        bytes_max(&self.config, self.partitions)
    }

    /// Returns the number of known hosts.
    #[must_use]
    pub fn hosts_known(&self) -> usize {
        self.state.hosts.len()
    }
}

impl SetAsideCounts {
    /// Returns the Normalizer's own metrics.
    pub(super) fn figures(self, hosts: usize, bytes: u64, bytes_max: u64, unreadable: u64) -> Vec<Figure> {
        let figures = [
            ("hosts", hosts as u64),
            ("memory_bytes", bytes),
            ("memory_bytes_max", bytes_max),
            ("hosts_forgotten", self.hosts_forgotten),
            ("hosts_unlisted", self.hosts_unlisted),
            ("hosts_waited", self.hosts_waited),
            ("labels_dropped", self.labels_dropped),
            ("timestamps_set_aside", self.timestamps),
            ("records_unreadable", unreadable),
        ];
        let value = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        figures.map(|(name, count)| Figure { name, labels: Vec::new(), value: value(count) }).into()
    }

    /// Returns a notice with a remedy for each number that has at least doubled since `before`. Doubling, so that an
    /// attack does not fill the log.
    pub(super) fn notices(self, before: &SetAsideCounts) -> Vec<String> {
        let rows = [
            (
                self.timestamps,
                before.timestamps,
                "records have timestamps far from log time that nothing confirms; log time goes on without them: is the clock of \
                 this machine, or of a broker, right?",
            ),
            (
                self.hosts_forgotten,
                before.hosts_forgotten,
                "hosts are forgotten for want of room; a forgotten host's lines are taken again if they are sent again: raise \
                 memory_mib_max in [normalizer.limits]",
            ),
            (
                self.hosts_unlisted,
                before.hosts_unlisted,
                "hosts are not in the inventory; they give events but no alerts: add them to the file if they are yours",
            ),
            (
                self.hosts_waited,
                before.hosts_waited,
                "new hosts are more than new_hosts_per_quarter_hour allows; they give events, and count for alerts later",
            ),
            (
                self.labels_dropped,
                before.labels_dropped,
                "labels are dropped since their names are too many: each name is a field of the SIEM; see label_names_max",
            ),
        ];
        rows.into_iter()
            .filter(|(now, before, _)| now > before && *now >= before.saturating_mul(2))
            .map(|(now, before, text)| format!("{} {text} ({now} so far)", now - before))
            .collect()
    }
}
