//! Writes one host's lines in the bytes of its Windows: columns, padding, ids, local time, line ending.

use std::collections::VecDeque;

use chrono::{DateTime, Datelike, NaiveDateTime, Timelike};

use super::host::Host;
use super::random::Random;

/// [`Pen::write`] with a format, so that one line of a log is one statement here.
macro_rules! say {
    ($pen:expr, $component:literal, $($message:tt)+) => {{
        let message = format!($($message)+);
        $pen.write($component, &message);
    }};
}
pub(super) use say;

/// 100 ns ticks, the unit of Windows 10's time stamps, in one millisecond.
const TICKS_PER_MS: i64 = 10_000;

/// One line with its ending.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Time of the line, milliseconds since 1970 UTC.
    pub(super) at_ms: i64,
    pub(super) text: String,
}

/// The state of the running Windows Update service of a host.
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) next_call: u32,
    /// REPORT EVENTs that are not uploaded yet.
    pub(super) unsent: u32,
}

/// Writes lines in their own time: each line moves the clock forward a little.
pub(super) struct Pen<'a> {
    pub(super) host: &'a Host,
    pub(super) random: &'a mut Random,
    pub(super) process: &'a mut Process,
    /// Destination of the lines; `None` where only the course of events is needed.
    pub(super) lines: Option<&'a mut VecDeque<Line>>,
    pub(super) tid: u32,
    pub(super) now_ticks: i64,
}

impl Pen<'_> {
    pub(super) fn now_ms(&self) -> i64 {
        self.now_ticks.div_euclid(TICKS_PER_MS)
    }

    /// Time passes, in milliseconds.
    pub(super) fn wait(&mut self, ms: std::ops::Range<i64>) {
        self.now_ticks += self.random.within(ms.start * TICKS_PER_MS..ms.end * TICKS_PER_MS);
    }

    /// Continues on another thread of the process.
    pub(super) fn switch_thread(&mut self) {
        // Thread ids of Windows are multiples of 4.
        self.tid = 4 * u32::try_from(self.random.within(90..3000)).expect("a small number");
    }

    /// One line of this host's service, now.
    pub(super) fn write(&mut self, component: &str, message: &str) {
        let pid = self.process.pid;
        self.write_as(pid, component, message);
    }

    /// One line of any process, now.
    pub(super) fn write_as(&mut self, pid: u32, component: &str, message: &str) {
        if self.lines.is_some() {
            let text = self.format(pid, component, message);
            let at_ms = self.now_ms();
            if let Some(lines) = &mut self.lines {
                lines.push_back(Line { at_ms, text });
            }
        }
        // Legacy lines often share a millisecond; those of Windows 10 are microseconds apart.
        let step = if self.host.system.form.is_legacy() { 0..16 * TICKS_PER_MS } else { 3..9_000 };
        self.now_ticks += self.random.within(step);
    }

    fn format(&self, pid: u32, component: &str, message: &str) -> String {
        let tid = self.tid;
        let t = self.local();
        let (year, month, day) = (t.year(), t.month(), t.day());
        let (hour, minute, second) = (t.hour(), t.minute(), t.second());
        if self.host.system.form.is_legacy() {
            let ms = t.nanosecond() / 1_000_000;
            format!(
                "{year:04}-{month:02}-{day:02}\t{hour:02}:{minute:02}:{second:02}:{ms:03}\t{pid:>4}\t{tid:x}\t{component}\t{message}\r\n"
            )
        } else {
            let sep = self.host.site.date_separator;
            let ticks = t.nanosecond() / 100;
            format!(
                "{year:04}{sep}{month:02}{sep}{day:02} {hour:02}:{minute:02}:{second:02}.{ticks:07} {pid:<5} {tid:<5} {component:<15} {message}\r\n"
            )
        }
    }

    /// The host's local time now.
    fn local(&self) -> NaiveDateTime {
        let offset_ticks = i64::from(self.host.site.utc_minutes) * 60_000 * TICKS_PER_MS;
        let ticks = self.now_ticks + offset_ticks;
        let seconds = ticks.div_euclid(1000 * TICKS_PER_MS);
        let nanos = u32::try_from(ticks.rem_euclid(1000 * TICKS_PER_MS) * 100).expect("less than a second");
        DateTime::from_timestamp(seconds, nanos).expect("a fleet lives in years that have four digits").naive_utc()
    }

    /// The host's UTC offset as `+0100`.
    pub(super) fn offset(&self) -> String {
        let minutes = self.host.site.utc_minutes;
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }

    /// The current time as a REPORT EVENT's `TimeAtTarget`: local with milliseconds and offset.
    pub(super) fn time_at_target(&self) -> String {
        let t = self.local();
        let ms = t.nanosecond() / 1_000_000;
        format!("{}:{ms:03}{}", t.format("%Y-%m-%d %H:%M:%S"), self.offset())
    }

    /// A time some hours ahead as legacy clients announce their timeouts: in UTC.
    pub(super) fn utc_in(&self, ms: i64) -> String {
        let t =
            DateTime::from_timestamp_millis(self.now_ms() + ms).expect("a fleet lives in years that have four digits");
        t.format("%Y-%m-%d %H:%M:%S").to_string()
    }
}
