//! The event time and the flags of a line.
//!
//! Both depend on the line, on earlier lines of its file, on the record's header and on log time.

use wulog_schemas::event::{Flag, TimeSource};
use wulog_schemas::raw::RawHeaderRef;

use super::file::File;
use super::flags::Flags;
use super::position::Position;
use super::time::{EventTime, sub_second};
use crate::parse::Entry;

/// How far an event time may lie ahead of log time; a later one is replaced by log time.
const AHEAD_MAX_MS: i64 = 5 * 60 * 1000;

/// How far an event time may lie behind log time before the event is flagged as late.
const LATE_MS: i64 = 24 * 3600 * 1000;

/// Returns the event time of a line: the time that the line states, unless that time is impossible. A line without a
/// time gets the time of the dated line before it, else the time at which the collector read it, else log time.
pub(super) fn event_time(
    stated: Option<EventTime>,
    entry: &Entry<'_>,
    file: &mut File,
    header: &RawHeaderRef<'_>,
    log_time: i64,
) -> EventTime {
    let Some(mut time) = stated else {
        let (millis, nanos, source) = match file.time.last() {
            Some((millis, nanos)) => (millis, nanos, TimeSource::Previous),
            None if header.read > 0 && header.read <= log_time.saturating_add(AHEAD_MAX_MS) => {
                (header.read, sub_second(header.read), TimeSource::Read)
            }
            None => (log_time, sub_second(log_time), TimeSource::Log),
        };
        let mut flags = Flags::default();
        flags.set(Flag::TimeMissing, true);
        flags.set(Flag::TimeSuspect, entry.time.is_some() && !entry.facts.undecoded);
        return EventTime { millis, nanos, offset_min: None, source, flags };
    };
    if time.millis > log_time.saturating_add(AHEAD_MAX_MS) {
        time.millis = log_time;
        time.nanos = sub_second(log_time);
        time.flags.set(Flag::TimeSuspect, true);
    }
    file.time.set_last(time.millis, time.nanos);
    file.newest = file.newest.max(time.millis);
    time
}

/// The flags of the event of a line.
pub(super) fn flags(
    time: &EventTime,
    entry: &Entry<'_>,
    header: &RawHeaderRef<'_>,
    position: Position,
    reread: bool,
    lossy: bool,
    log_time: i64,
) -> Flags {
    let mut flags = time.flags;
    flags.set(Flag::Reread, reread);
    flags.set(Flag::Rewound, position == Position::Rewound);
    flags.set(Flag::Lossy, header.lossy || lossy);
    flags.set(Flag::Truncated, header.truncated);
    flags.set(Flag::Late, time.millis < log_time.saturating_sub(LATE_MS));
    flags.set(Flag::Undecoded, entry.facts.undecoded);
    flags
}
