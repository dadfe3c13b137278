//! Log time: how far the timestamp of each record moves it, and the document of a jump.

use wulog_schemas::raw::Kind;

use super::host::Moment;
use super::raw_record::{header, key, text};
use super::{Normalizer, time};
use crate::log_time::{self, BeliefSpan, Said, TimestampVerdict};
use crate::machine::{InRecord, Output};
use crate::parse::{LocalTime, parse};

/// How far a timestamp may differ from log time without confirmation: far less than the day after which a failure is
/// late, and more than a night's pause of a small fleet.
const STEP: BeliefSpan = BeliefSpan::both(6 * 3600 * 1000);

impl Normalizer {
    /// Advances log time as far as the record's timestamp is believed. Returns the moment of the record: log time, or
    /// for a rejected timestamp the time that the record's own line confirms.
    pub(super) fn advance(&mut self, record: &InRecord<'_>) -> (Moment, TimestampVerdict) {
        if self.state.clock.follow(record.timestamp_ms, STEP) {
            return (self.moment(record, self.state.clock.now_ms()), TimestampVerdict::Believed);
        }
        let said = Said {
            timestamp_ms: record.timestamp_ms,
            host: std::str::from_utf8(record.key).unwrap_or_default(),
            stated_ms: self.stated(record),
        };
        let verdict = self.state.clock.take(said, self.state.hosts.len(), STEP);
        if verdict == TimestampVerdict::WentBack {
            self.state.last_tick = None;
            self.state.hosts.go_back(self.state.clock.now_ms());
        }
        (self.moment(record, log_time::time_of(said, &self.state.clock)), verdict)
    }

    /// Returns the local time that the record's line states; `None` for records without a line.
    fn stated(&mut self, record: &InRecord<'_>) -> Option<i64> {
        let header = header(&mut self.headers, record).ok().filter(|header| header.kind == Kind::Line)?;
        key(record).ok().filter(|_| header.end > header.offset)?;
        let text = text(record.value);
        let time = parse(&text).time.filter(LocalTime::is_plausible)?;
        Some(time.millis())
    }

    /// Returns the document about a jump of the clock, at its beginning and when log time goes back.
    pub(super) fn clock_error(&self, record: &InRecord<'_>, verdict: TimestampVerdict) -> Option<Output> {
        let now = time::format_utc(self.state.clock.now_ms(), time::sub_second(self.state.clock.now_ms()));
        let reason = match verdict {
            TimestampVerdict::Believed | TimestampVerdict::SetAside => return None,
            TimestampVerdict::Impossible => {
                format!("the record's timestamp, {} ms since 1970, is none; log time stays {now}", record.timestamp_ms)
            }
            TimestampVerdict::Returned(records) => format!(
                "the timestamps of {records} records before this one were far from log time, {now}, and nothing confirmed them; log \
                 time went on without them"
            ),
            TimestampVerdict::WentBack => {
                format!("log time was wrong and goes back to {now}, which lines of two hosts confirm")
            }
        };
        Some(self.pipeline_error(record, "clock_jump", &reason))
    }
}
