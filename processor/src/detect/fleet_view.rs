//! The fleet, the configuration and the log time, which every judgement needs.

use super::config::DetectorConfig;
use super::fleet::Fleet;

/// Borrowed inputs of a judgement: the fleet, the configuration and the log time.
#[derive(Clone, Copy)]
pub(super) struct FleetView<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) config: &'a DetectorConfig,
    /// Log time, milliseconds since 1970 UTC.
    pub(super) now: i64,
}

impl<'a> FleetView<'a> {
    /// A view of its parts. They are borrowed one by one, so that a stage may change the other fields of the detector.
    pub(super) fn new(fleet: &'a Fleet, config: &'a DetectorConfig, now: i64) -> FleetView<'a> {
        FleetView { fleet, config, now }
    }
}
