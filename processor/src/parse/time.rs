//! The time column: a local time in the form of some culture, with or without an offset.

/// Seconds of a day.
const DAY_SECS: i64 = 86_400;

/// Longest separator between the parts of a date: two characters outside of ASCII.
const SEPARATOR_BYTES_MAX: usize = 6;

/// A time as a line writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Seconds since 1970-01-01 00:00 on the clock that wrote the line.
    pub secs: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
    /// Minutes east of UTC, where the line itself says so.
    pub offset_min: Option<i32>,
}

impl LocalTime {
    /// Returns milliseconds since 1970-01-01 00:00 on that clock.
    #[must_use]
    pub fn millis(&self) -> i64 {
        self.secs * 1000 + i64::from(self.nanos / 1_000_000)
    }

    /// True for a year in which Windows Update could write. False for the marks of an undecoded record (`1600/12/31`,
    /// `1601/01/01`) and for years of other calendars.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        (days(1995, 1, 1) * DAY_SECS..days(2200, 1, 1) * DAY_SECS).contains(&self.secs)
    }
}

/// The writer of the time column, decided by the fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeWriter {
    /// `HH:MM:SS:mmm`, or no fraction.
    Legacy,
    /// `HH:MM:SS.fffffff`.
    Etw,
}

/// A time column that was read, and the rest of the line.
#[derive(Clone, Copy)]
pub(super) struct TakenTime<'a> {
    pub(super) time: LocalTime,
    pub(super) writer: TimeWriter,
    /// True for a fraction as only Windows Update writes it, `:mmm` or seven digits.
    pub(super) fraction: bool,
    pub(super) rest: &'a str,
}

/// Reads `date` and `time` at the start of `text`. Date separators may be those of any culture; between date and time
/// stand tabs, spaces or, where a copy lost the tabs, nothing.
pub(super) fn take(text: &str) -> Option<TakenTime<'_>> {
    let ([year, month, day, hour, minute, second], rest) = usual(text).or_else(|| any(text))?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (writer, fraction, nanos, rest) = match fraction(rest) {
        Some((writer, nanos, rest)) => (writer, true, nanos, rest),
        None => (TimeWriter::Legacy, false, 0, rest),
    };
    let (offset_min, rest) = match offset(rest) {
        Some((offset_min, rest)) => (Some(offset_min), rest),
        None => (None, rest),
    };
    let secs = at_day(year.into(), month, day)? + i64::from(hour * 3600 + minute * 60 + second);
    Some(TakenTime { time: LocalTime { secs, nanos, offset_min }, writer, fraction, rest })
}

/// Reads date and time in the usual form: `2011-05-15 07:47:07`, with separators of one ASCII character.
fn usual(text: &str) -> Option<([u32; 6], &str)> {
    let (head, _) = text.as_bytes().split_first_chunk::<19>()?;
    let date_separator = head[4];
    let time_separator = head[13];
    let is_separator = |byte: u8| byte.is_ascii_punctuation();
    let fits = is_separator(date_separator)
        && is_separator(time_separator)
        && head[7] == date_separator
        && head[16] == time_separator
        && matches!(head[10], b'\t' | b' ');
    if !fits {
        return None;
    }
    let mut is_number = true;
    let mut two = |at: usize| {
        let (tens, ones) = (head[at].wrapping_sub(b'0'), head[at + 1].wrapping_sub(b'0'));
        is_number &= tens <= 9 && ones <= 9;
        u32::from(tens) * 10 + u32::from(ones)
    };
    let parts = [two(0) * 100 + two(2), two(5), two(8), two(11), two(14), two(17)];
    is_number.then(|| (parts, &text[19..]))
}

/// Reads date and time with the separators of any culture.
fn any(text: &str) -> Option<([u32; 6], &str)> {
    let (year, rest) = digits(text, 4)?;
    let (month, rest, separator) = separated(rest)?;
    let (day, rest) = digits(rest.strip_prefix(separator)?, 2)?;
    let rest = rest.trim_start_matches(['\t', ' ']);
    let (hour, rest) = digits(rest, 2)?;
    let (minute, rest, separator) = separated(rest)?;
    let (second, rest) = digits(rest.strip_prefix(separator)?, 2)?;
    Some(([year, month, day, hour, minute, second], rest))
}

/// Returns date and time at the start of `text`, as written.
#[must_use]
pub fn time_text(text: &str) -> Option<&str> {
    take(text).map(|taken| &text[..text.len() - taken.rest.len()])
}

fn fraction(text: &str) -> Option<(TimeWriter, u32, &str)> {
    if let Some((millis, rest)) = text.strip_prefix(':').and_then(|rest| digits(rest, 3)) {
        return Some((TimeWriter::Legacy, millis * 1_000_000, rest));
    }
    let (ticks, rest) = text.strip_prefix('.').and_then(|rest| digits(rest, 7))?;
    Some((TimeWriter::Etw, ticks * 100, rest))
}

/// Reads `+hhmm` or `-hhmm`.
pub(super) fn offset(text: &str) -> Option<(i32, &str)> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (value, rest) = digits(&text[1..], 4)?;
    let (hours, minutes) = (value / 100, value % 100);
    // The most eastern zone is +14:00.
    if hours > 14 || minutes > 59 {
        return None;
    }
    Some((sign * i32::try_from(hours * 60 + minutes).ok()?, rest))
}

/// Reads exactly `count` digits.
fn digits(text: &str, count: usize) -> Option<(u32, &str)> {
    let bytes = text.as_bytes().get(..count)?;
    let value = bytes
        .iter()
        .try_fold(0_u32, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))?;
    Some((value, &text[count..]))
}

/// Reads two digits after a culture's separator; returns their value, the rest, and the separator: a character that is
/// neither letter, digit nor blank, and after it a blank (`2024. 03. 01` in Slovak) or a direction mark, where the
/// culture has one.
fn separated(text: &str) -> Option<(u32, &str, &str)> {
    let bytes = text.as_bytes().iter().take_while(|byte| !byte.is_ascii_alphanumeric()).count();
    if !(1..=SEPARATOR_BYTES_MAX).contains(&bytes) || matches!(text.as_bytes()[0], b' ' | b'\t') {
        return None;
    }
    let (separator, after) = text.split_at(bytes);
    let (value, rest) = digits(after, 2)?;
    Some((value, rest, separator))
}

/// Returns the seconds from 1970-01-01 to the start of a day; `None` for a month outside of 1-12 or a day outside of
/// 1-31.
pub(super) fn at_day(year: i64, month: u32, day: u32) -> Option<i64> {
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then(|| days(year, month, day) * DAY_SECS)
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar (Howard Hinnant's algorithm, with years from
/// March).
fn days(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = i64::from((153 * ((month + 9) % 12) + 2) / 5 + day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<(i64, u32, Option<i32>, TimeWriter, &str)>) {
        let taken = take(text).map(|it| (it.time.secs, it.time.nanos, it.time.offset_min, it.writer, it.rest));
        assert_eq!(taken, expect, "{text}");
    }

    /// The expected seconds are those of `date -u -d ... +%s`.
    #[test]
    fn times() {
        check("2011-05-15\t07:47:07:169\t 952", Some((1_305_445_627, 169_000_000, None, TimeWriter::Legacy, "\t 952")));
        check("2005-06-0118:30:03 992", Some((1_117_650_603, 0, None, TimeWriter::Legacy, " 992")));
        check("2016-05-12 16:25:51+0100 1896", Some((1_463_070_351, 0, Some(60), TimeWriter::Legacy, " 1896")));
        check(
            "2020-03-14 13:14:20:702-0330\t1",
            Some((1_584_191_660, 702_000_000, Some(-210), TimeWriter::Legacy, "\t1")),
        );
        for date in [
            "2023/03/01 22:19:01.4037009 1",
            "2023-03-01 22:19:01.4037009 1",
            "2023.03.01 22.19.01.4037009 1",
            "2023. 03. 01 22:19:01.4037009 1",
            "2023\u{200f}/03\u{200f}/01 22:19:01.4037009 1",
        ] {
            check(date, Some((1_677_709_141, 403_700_900, None, TimeWriter::Etw, " 1")));
        }
        check("2024-02-29 00:00:00:000 1", Some((1_709_164_800, 0, None, TimeWriter::Legacy, " 1")));
        for text in
            ["", "2011", "2011-13-15 07:47:07:169", "2011-05-15", "YYYY/MM/DD", "2011-05-15 25:00:00:000", "20é1-05"]
        {
            check(text, None);
        }
    }

    #[test]
    fn usual_times_are_those_of_any_culture() {
        let text = "2011-05-15 07:47:07:169\t 952";
        assert!(usual(text).is_some());
        for at in 0..text.len() {
            for with in ["", "0", ":", "-", " ", "\t", "/", "x", "é"] {
                let changed = format!("{}{with}{}", &text[..at], &text[at + 1..]);
                if let Some(found) = usual(&changed) {
                    assert_eq!(Some(found), any(&changed), "{changed}");
                }
            }
        }
    }

    #[test]
    fn undecoded_times_are_not_plausible() {
        for (text, expect) in [
            ("1600/12/31 19:00:00.0000000", false),
            ("1601/01/01 02:00:00.0000000", false),
            ("2005-06-01 18:30:03", true),
        ] {
            assert_eq!(take(text).unwrap().time.is_plausible(), expect, "{text}");
        }
    }
}
