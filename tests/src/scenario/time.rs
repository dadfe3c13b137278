//! The fleet's calendar, in milliseconds since 1970 UTC.

/// A minute.
pub(super) const MINUTE: i64 = 60_000;
/// An hour.
pub(super) const HOUR: i64 = 60 * MINUTE;
/// A day.
pub(super) const DAY: i64 = 24 * HOUR;
/// Monday, 2019-11-04 00:00 UTC.
pub(super) const START: i64 = 1_572_825_600_000;
/// Tuesday, 2019-11-12 18:00 UTC: Microsoft's monthly patches, among them the MSRT of scenario S08.
pub(super) const PATCH_TUESDAY: i64 = START + 8 * DAY + 18 * HOUR;
