//! Event time: the line's local time converted to UTC with the best known offset.
//!
//! The offset comes, in this order, from the line itself, from its process (banner, later REPORT EVENT), from the
//! host's zone, from the collector, or from the configuration; else UTC is assumed. `replay --logs` orders lines by the
//! same rules through [`FileClock`].

use std::collections::BTreeMap;

use chrono::offset::LocalResult;
use chrono::{DateTime, Offset, SecondsFormat, TimeDelta, TimeZone};
use serde::{Deserialize, Serialize};
use wulog_schemas::event::{Flag, TimeSource};

use super::config::NormalizerConfig;
use super::flags::Flags;
use super::zone::{UtcOffset, Zone};
use crate::parse::{Entry, LocalTime, Words, parse};

/// Most processes of one file that are remembered; at most a handful of processes write the log at a time.
const PROCESSES_MAX: usize = 32;

/// A REPORT EVENT is dated up to 5 s before its line. An older report teaches no offset, since it may be from before a
/// change to summer time.
const REPORT_AGE_MAX_MS: u64 = 10 * 60 * 1000;

/// A time as RFC 3339 in UTC, with milliseconds, or with nanoseconds where `nanos` has more digits.
pub(super) fn format_utc(millis: i64, nanos: u32) -> String {
    let utc = DateTime::from_timestamp(millis.div_euclid(1000), nanos).unwrap_or_default();
    let digits = if nanos.is_multiple_of(1_000_000) { SecondsFormat::Millis } else { SecondsFormat::Nanos };
    utc.to_rfc3339_opts(digits, true)
}

/// Nanoseconds within the second of a time in milliseconds.
pub(super) fn sub_second(millis: i64) -> u32 {
    u32::try_from(millis.rem_euclid(1000)).map_or(0, |millis| millis * 1_000_000)
}

/// Two decimal digits of each number below 100.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// The text that [`format_utc`] returns, written without chrono for the years 1970 to 9999: each event has two times,
/// and with chrono they cost as much as all other texts of the event.
pub(super) struct Utc {
    text: [u8; UTC_BYTES_MAX],
    bytes: usize,
}

/// `+262142-12-31T23:59:59.000000000Z` is the last time that chrono knows.
const UTC_BYTES_MAX: usize = 33;

impl Utc {
    pub(super) fn new(millis: i64, nanos: u32) -> Utc {
        const DAY_SECS: i64 = 24 * 60 * 60;
        /// 10000-01-01, in days since 1970.
        const DAYS_MAX: u32 = 2_932_897;
        let secs = millis.div_euclid(1000);
        let (day, second) = (secs.div_euclid(DAY_SECS), secs.rem_euclid(DAY_SECS) as u32);
        let day = u32::try_from(day).ok().filter(|day| *day < DAYS_MAX && nanos < 1_000_000_000);
        let mut text = *b"0000-00-00T00:00:00.000000000Z   ";
        let Some((year, month, day)) = day.map(civil) else {
            let other = format_utc(millis, nanos);
            text[..other.len()].copy_from_slice(other.as_bytes());
            return Utc { text, bytes: other.len() };
        };
        let mut put = |at: usize, value: u32| text[at..at + 2].copy_from_slice(&PAIRS[value as usize % 100]);
        put(0, year / 100);
        put(2, year);
        put(5, month);
        put(8, day);
        put(11, second / 3600);
        put(14, second / 60 % 60);
        put(17, second % 60);
        put(21, nanos / 1_000_000);
        text[20] = b'0' + (nanos / 100_000_000) as u8;
        if nanos.is_multiple_of(1_000_000) {
            text[23] = b'Z';
            return Utc { text, bytes: 24 };
        }
        let mut put = |at: usize, value: u32| text[at..at + 2].copy_from_slice(&PAIRS[value as usize % 100]);
        put(23, nanos / 10_000);
        put(25, nanos / 100);
        put(27, nanos);
        Utc { text, bytes: 30 }
    }
}

impl std::ops::Deref for Utc {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.text[..self.bytes]
    }
}

/// Returns year, month and day of a day since 1970, after Neri and Schneider, "Euclidean affine functions and their
/// application to calendar algorithms". Years begin in March, so that the leap day is the last day of a year.
fn civil(day: u32) -> (u32, u32, u32) {
    const YEAR_0: u32 = 719_468;
    const CENTURIES_4_DAYS: u32 = 146_097;
    let in_quarters = 4 * (day + YEAR_0) + 3;
    let century = in_quarters / CENTURIES_4_DAYS;
    let product = 2_939_745 * u64::from((in_quarters % CENTURIES_4_DAYS) | 3);
    let year = 100 * century + (product >> 32) as u32;
    let day_of_year = product as u32 / 2_939_745 / 4;
    let months = 2_141 * day_of_year + 197_913;
    let (month, day) = (months >> 16, (months & 0xffff) / 2_141 + 1);
    // January and February belong to the next year.
    if day_of_year >= 306 { (year + 1, month - 12, day) } else { (year, month, day) }
}

/// The sources of a host's offset other than its lines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offsets {
    /// Zone that the host's heartbeats name.
    pub(super) zone: Option<Zone>,
    /// Offset that the collector saw, minutes east.
    pub(super) header_min: Option<i32>,
    /// Configured zone.
    pub(super) config_zone: Option<Zone>,
    /// Configured offset.
    pub(super) config_offset: Option<UtcOffset>,
}

impl Offsets {
    pub(super) fn of_config(config: &NormalizerConfig) -> Offsets {
        Offsets { config_zone: config.time_zone, config_offset: config.utc_offset, ..Offsets::default() }
    }
}

/// The event time of a line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct EventTime {
    /// Milliseconds since 1970 UTC.
    pub(super) millis: i64,
    /// Nanoseconds within the second.
    pub(super) nanos: u32,
    /// The offset used, minutes east.
    pub(super) offset_min: Option<i32>,
    pub(super) source: TimeSource,
    pub(super) flags: Flags,
}

/// A process that writes a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Process {
    offset_min: Option<i32>,
    /// Build of the client.
    pub(super) build: Option<String>,
    /// Name of the program.
    pub(super) name: Option<String>,
}

/// Offsets and last time of one file, by process, since several processes write to one file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct FileTime {
    processes: BTreeMap<u32, Process>,
    /// Time of the last dated line: milliseconds, and nanoseconds within the second.
    last: Option<(i64, u32)>,
    /// Local time of the last dated line: it runs evenly while the offset is still being learned.
    clock_millis: i64,
}

impl FileTime {
    /// The process with this id, where one of its lines named its offset, build or program.
    pub(super) fn process(&self, pid: Option<u32>) -> Option<&Process> {
        self.processes.get(&pid?)
    }

    /// The time that `entry` states, or `None` where it has no usable time. Learns offset, build and program of the process.
    pub(super) fn stated(&mut self, entry: &Entry<'_>, offsets: &Offsets) -> Option<EventTime> {
        self.learn(entry);
        let local = entry.report.as_ref().and_then(|report| report.time).or(entry.time)?;
        if !local.is_plausible() {
            return None;
        }
        self.clock_millis = entry.time.unwrap_or(local).millis();
        let mut flags = Flags::default();
        let (offset_min, source) = self.offset(local, entry.pid, offsets, &mut flags);
        let millis = local.millis() - i64::from(offset_min) * 60_000;
        Some(EventTime { millis, nanos: local.nanos, offset_min: Some(offset_min), source, flags })
    }

    /// Time of the last dated line: milliseconds since 1970 UTC, and nanoseconds within the second.
    pub(super) fn last(&self) -> Option<(i64, u32)> {
        self.last
    }

    /// Local time of the last dated line.
    pub(super) fn clock_millis(&self) -> i64 {
        self.clock_millis
    }

    /// Remembers the time for lines that have none.
    pub(super) fn set_last(&mut self, millis: i64, nanos: u32) {
        self.last = Some((millis, nanos));
    }

    fn learn(&mut self, entry: &Entry<'_>) {
        let Some(pid) = entry.pid else { return };
        // A REPORT EVENT is younger than the banner, which a change to summer time makes stale.
        // Only one of just now: an event that is uploaded late has the offset of its own day.
        let report_time = entry.report.as_ref().and_then(|report| report.time);
        let is_new = |time: &LocalTime| {
            entry.time.is_some_and(|line| line.millis().abs_diff(time.millis()) <= REPORT_AGE_MAX_MS)
        };
        let report_offset = report_time.filter(is_new).and_then(|time| time.offset_min);
        let offset_min = entry.facts.banner_offset_min.or(report_offset);
        let build = entry.facts.client_version;
        let name = entry.facts.process.and_then(|path| path.rsplit(['\\', '/']).next());
        if offset_min.is_none() && build.is_none() && name.is_none() {
            return;
        }
        if self.processes.len() >= PROCESSES_MAX && !self.processes.contains_key(&pid) {
            self.processes.pop_first();
        }
        let process = self.processes.entry(pid).or_default();
        if entry.facts.words.any(Words::LOGGING_INITIALIZED) {
            // A new process may have the id of an old one.
            process.name = None;
        }
        process.offset_min = offset_min.or(process.offset_min);
        if let Some(build) = build {
            process.build = Some(build.to_owned());
        }
        if let Some(name) = name {
            process.name = Some(name.to_owned());
        }
    }

    fn offset(&self, local: LocalTime, pid: Option<u32>, offsets: &Offsets, flags: &mut Flags) -> (i32, TimeSource) {
        if let Some(offset) = local.offset_min {
            return (offset, TimeSource::Line);
        }
        if let Some(offset) = self.process(pid).and_then(|process| process.offset_min) {
            return (offset, TimeSource::Banner);
        }
        if let Some(zone) = offsets.zone {
            return (zone_offset(zone, local.secs, flags), TimeSource::Zone);
        }
        if let Some(offset) = offsets.header_min {
            return (offset, TimeSource::Header);
        }
        if let Some(zone) = offsets.config_zone {
            return (zone_offset(zone, local.secs, flags), TimeSource::Config);
        }
        if let Some(UtcOffset(offset)) = offsets.config_offset {
            return (offset, TimeSource::Config);
        }
        flags.set(Flag::TimeAssumed, true);
        (0, TimeSource::Assumed)
    }
}

/// The zone's offset at a local time, minutes east.
fn zone_offset(Zone(zone): Zone, local_secs: i64, flags: &mut Flags) -> i32 {
    let local = DateTime::from_timestamp(local_secs, 0).unwrap_or_default().naive_utc();
    let offset = match zone.offset_from_local_datetime(&local) {
        LocalResult::Single(offset) => offset.fix(),
        LocalResult::Ambiguous(first, _) => {
            flags.set(Flag::TimeFold, true);
            first.fix()
        }
        LocalResult::None => {
            flags.set(Flag::TimeGap, true);
            // The offset of three hours earlier is the offset before the gap, which moves the time forward by the gap.
            let before = local - TimeDelta::hours(3);
            zone.offset_from_local_datetime(&before).earliest().map_or(chrono::Utc.fix(), |offset| offset.fix())
        }
    };
    offset.local_minus_utc() / 60
}

/// Orders the lines of one file by time, with the rules of the Normalizer.
#[derive(Clone, Debug, Default)]
pub struct FileClock {
    time: FileTime,
    offsets: Offsets,
}

impl FileClock {
    /// Returns a clock for one file of a host whose zone may be known.
    #[must_use]
    pub fn new(config: &NormalizerConfig, zone: Option<Zone>) -> FileClock {
        FileClock { time: FileTime::default(), offsets: Offsets { zone, ..Offsets::of_config(config) } }
    }

    /// Returns the event time of the file's next line, in milliseconds since 1970 UTC; for a line without a time, the
    /// time of the line before.
    pub fn at(&mut self, line: &str) -> Option<i64> {
        if let Some(stated) = self.time.stated(&parse(line), &self.offsets) {
            self.time.set_last(stated.millis, stated.nanos);
        }
        self.time.last().map(|(millis, _)| millis)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_are_written_as_chrono_does(
            millis in prop_oneof![any::<i64>(), -70_000_000_000_000..300_000_000_000_000_i64],
            nanos in prop_oneof![any::<u32>(), 0..1_000_000_000_u32, (0..1000_u32).prop_map(|millis| millis * 1_000_000)],
        ) {
            let written = Utc::new(millis, nanos);
            prop_assert_eq!(std::str::from_utf8(&written), Ok(&*format_utc(millis, nanos)));
        }
    }
}
