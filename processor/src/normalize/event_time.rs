//! The event time and the flags of a line, once its file, its header and log time are known.

use wulog_schemas::event::{Flag, TimeSource};
use wulog_schemas::raw::RawHeaderRef;

use super::document::sub_second;
use super::file::File;
use super::flags::Flags;
use super::position::Position;
use super::time::EventTime;
use crate::parse::Entry;

/// An event time further ahead of log time is not believed.
const AHEAD_MAX_MS: i64 = 5 * 60 * 1000;

/// An event time further behind log time is late.
const LATE_MS: i64 = 24 * 3600 * 1000;

/// The time of an event: what the line says, unless that cannot be, and something near where it says nothing.
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
