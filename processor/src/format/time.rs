//! Times of an event as the formats count them.

use chrono::{DateTime, Utc};
use wulog_schemas::event::{Event, TimeSource};

use crate::parse::time_text;

/// An instant, nanoseconds since 1970 UTC. Wide, since the times of hostile records lie in any year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instant {
    nanos: i128,
}

impl Instant {
    /// Of RFC 3339. The Normalizer writes nothing else, but years beyond 9999 are not RFC 3339 any more.
    pub(super) fn of(text: &str) -> Option<Instant> {
        let utc: DateTime<Utc> = DateTime::parse_from_rfc3339(text).ok()?.into();
        Some(Instant { nanos: i128::from(utc.timestamp()) * 1_000_000_000 + i128::from(utc.timestamp_subsec_nanos()) })
    }

    /// Of milliseconds since 1970 UTC.
    pub(super) fn of_millis(millis: i64) -> Instant {
        Instant { nanos: i128::from(millis) * 1_000_000 }
    }

    /// Milliseconds since 1970 UTC; what is finer is cut.
    pub(super) fn millis(self) -> i64 {
        i64::try_from(self.nanos.div_euclid(1_000_000)).expect("four digits of year have few milliseconds")
    }

    /// Nanoseconds since 1970 UTC, where they are a number of OTLP's, which begins in 1970.
    pub(super) fn unix_nanos(self) -> Option<u64> {
        u64::try_from(self.nanos).ok()
    }

    /// Seconds since 1970 UTC as a decimal number: three digits after the point, or nine where it has more.
    pub(super) fn seconds(self) -> String {
        let sign = if self.nanos < 0 { "-" } else { "" };
        let (secs, nanos) = (self.nanos.unsigned_abs() / 1_000_000_000, self.nanos.unsigned_abs() % 1_000_000_000);
        if nanos.is_multiple_of(1_000_000) {
            format!("{sign}{secs}.{:03}", nanos / 1_000_000)
        } else {
            format!("{sign}{secs}.{nanos:09}")
        }
    }
}

/// When the line was read: by the collector, else by Kafka.
pub(super) fn observed(event: &Event<'_>) -> Instant {
    let created = event.event.created.as_deref().and_then(Instant::of);
    created.unwrap_or_else(|| Instant::of_millis(event.wu.raw.timestamp))
}

/// The event time as the line writes it. A copy that has something else before its time has none.
pub(super) fn original<'a>(event: &'a Event<'_>) -> Option<&'a str> {
    if matches!(event.wu.time_source, TimeSource::Previous | TimeSource::Read | TimeSource::Log) {
        return None;
    }
    let line = event.event.original.as_deref()?.trim_start_matches('\u{feff}');
    // The time of a REPORT EVENT stands after the id of its instance.
    let from = if event.wu.report.is_some() { line.find('}').map_or(0, |at| at + 1) } else { 0 };
    time_text(line[from..].trim_start())
}

/// Minutes east of UTC of `+01:00`.
pub(super) fn offset_minutes(text: &str) -> Option<i32> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    Some(sign * (hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected seconds are those of `date -u -d ... +%s`.
    #[test]
    fn instants() {
        let cases = [
            (
                "2023-03-01T22:19:01.814360600Z",
                1_677_709_141_814,
                Some(1_677_709_141_814_360_600),
                "1677709141.814360600",
            ),
            ("2011-05-15T05:47:07.169Z", 1_305_438_427_169, Some(1_305_438_427_169_000_000), "1305438427.169"),
            (
                "2023-03-01T22:19:01.014903700Z",
                1_677_709_141_014,
                Some(1_677_709_141_014_903_700),
                "1677709141.014903700",
            ),
            ("1969-12-31T23:59:58.500Z", -1_500, None, "-1.500"),
        ];
        for (text, millis, nanos, seconds) in cases {
            let instant = Instant::of(text).expect("RFC 3339");
            assert_eq!((instant.millis(), instant.unix_nanos(), instant.seconds().as_str()), (millis, nanos, seconds));
        }
        assert_eq!(Instant::of("+12345-01-01T00:00:00.000Z"), None);
    }

    #[test]
    fn offsets() {
        for (text, minutes) in [("+02:00", Some(120)), ("-03:30", Some(-210)), ("+00:00", Some(0)), ("", None)] {
            assert_eq!(offset_minutes(text), minutes, "{text}");
        }
    }
}
