//! Durations in milliseconds, the unit of event time and log time.

/// One day.
pub(super) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A duration of the configuration in milliseconds. A number of seconds that no clock reaches stays far below overflow.
pub(super) fn secs_to_ms(secs: u64) -> i64 {
    i64::try_from(secs).unwrap_or(i64::MAX / 4000).saturating_mul(1000)
}
