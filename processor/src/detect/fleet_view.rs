//! What everything is judged against.

use super::config::DetectorConfig;
use super::fleet::Fleet;

/// The hosts, the detector's numbers, and how late it is: one value for all stages.
#[derive(Clone, Copy)]
pub(super) struct FleetView<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) config: &'a DetectorConfig,
    /// Log time, milliseconds since 1970 UTC.
    pub(super) now: i64,
}

impl<'a> FleetView<'a> {
    /// Its parts are borrowed one by one, so that a stage may change what is beside the fleet.
    pub(super) fn new(fleet: &'a Fleet, config: &'a DetectorConfig, now: i64) -> FleetView<'a> {
        FleetView { fleet, config, now }
    }
}
