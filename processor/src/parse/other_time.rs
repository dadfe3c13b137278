//! Times in the forms of other programs.

use super::time::{self, LocalTime, at_day};

/// Most digits of a fraction that are read.
const FRACTION_DIGITS_MAX: usize = 9;

/// Returns a fraction of one to nine digits after `.` or `,`, in nanoseconds, and the rest.
pub(super) fn clock_fraction(text: &str) -> Option<(u32, &str)> {
    let digits = text.strip_prefix(['.', ','])?;
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    let value: u32 = digits[..count].parse().ok().filter(|_| (1..=FRACTION_DIGITS_MAX).contains(&count))?;
    let places = u32::try_from(FRACTION_DIGITS_MAX - count).ok()?;
    Some((value * 10_u32.pow(places), &digits[count..]))
}

/// `2022-02-09T00:03:16.9641605Z`, `2022-02-09T00:03:16+01:00`, or without a zone.
pub(super) fn iso(text: &str) -> Option<(LocalTime, &str)> {
    if *text.as_bytes().get(10)? != b'T' {
        return None;
    }
    let (year, rest) = number(text, 4, 4)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 2, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 2, 2)?;
    let (time, rest) = clock(rest.strip_prefix('T')?, ':')?;
    let (nanos, rest) = clock_fraction(rest).unwrap_or((0, rest));
    let (offset_min, rest) = zone(rest);
    let secs = at_day(year.into(), month, day)? + i64::from(time);
    Some((LocalTime { secs, nanos, offset_min }, rest))
}

/// Reads `24.01.2023 12:47:26`, `24/1/2023 9:05`, `24-01-2023 12:47:26`, `1/24/2023 12:47:26 PM`. With slashes or
/// hyphens, the order of day and month is certain where one of them is greater than twelve or the clock has twelve
/// hours. Otherwise the result is an implausible time, since a wrong month is worse than no time.
pub(super) fn day_first(text: &str) -> Option<(LocalTime, &str)> {
    let (first, rest) = number(text, 1, 2)?;
    let separator = rest.chars().next().filter(|c| matches!(c, '.' | '/' | '-'))?;
    let (second, rest) = number(rest.strip_prefix(separator)?, 1, 2)?;
    let (year, rest) = number(rest.strip_prefix(separator)?, 4, 4)?;
    let rest = rest.strip_prefix(',').unwrap_or(rest);
    let (time, rest) = clock(rest.strip_prefix([' ', '\t'])?.trim_start(), ':')?;
    let (half, rest) = half_of_day(rest);
    let time = match (half, time / 3600) {
        (Some(Half::Afternoon), hour) if hour < 12 => time + 12 * 3600,
        (Some(Half::Morning), 12) => time - 12 * 3600,
        _ => time,
    };
    let (day, month) = match (separator, half) {
        ('.', _) => (first, second),
        (_, Some(_)) => (second, first),
        _ if second > 12 => (second, first),
        _ if first > 12 => (first, second),
        _ => return Some((NOT_A_TIME, rest)),
    };
    let secs = at_day(year.into(), month, day)? + i64::from(time);
    Some((LocalTime { secs, nanos: 0, offset_min: None }, rest))
}

/// The time for an ambiguous date: outside of all plausible years.
const NOT_A_TIME: LocalTime = LocalTime { secs: i64::MIN / 2000, nanos: 0, offset_min: None };

/// `02/24/2023 07:07.05.259`: the month first, and a period before the seconds.
pub(super) fn month_first(text: &str) -> Option<(LocalTime, &str)> {
    let (month, rest) = number(text, 2, 2)?;
    let (day, rest) = number(rest.strip_prefix('/')?, 2, 2)?;
    let (year, rest) = number(rest.strip_prefix('/')?, 4, 4)?;
    let (hour, rest) = number(rest.strip_prefix(' ')?, 2, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2, 2)?;
    let (second, rest) = number(rest.strip_prefix('.')?, 2, 2)?;
    let (nanos, rest) = clock_fraction(rest).unwrap_or((0, rest));
    let secs = at_day(year.into(), month, day)? + i64::from(seconds(hour, minute, second)?);
    Some((LocalTime { secs, nanos, offset_min: None }, rest))
}

/// Reads the bias after a time of Configuration Manager, `-60`, `+000`, `+-420`: minutes to add to local time for UTC.
pub(super) fn bias(text: &str) -> Option<(i32, &str)> {
    let (sign, rest) = match text.strip_prefix('+') {
        Some(rest) => (if rest.starts_with('-') { -1 } else { 1 }, rest.trim_start_matches('-')),
        None => (-1, text.strip_prefix('-')?),
    };
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    let minutes: i32 = rest.get(..count)?.parse().ok().filter(|minutes| *minutes <= 16 * 60)?;
    Some((-sign * minutes, &rest[count..]))
}

/// `9:05:01` or `09:05`, in seconds of the day.
pub(super) fn clock(text: &str, separator: char) -> Option<(u32, &str)> {
    let (hour, rest) = number(text, 1, 2)?;
    let (minute, rest) = number(rest.strip_prefix(separator)?, 2, 2)?;
    let (second, rest) = match rest.strip_prefix(separator).and_then(|rest| number(rest, 2, 2)) {
        Some(found) => found,
        None => (0, rest),
    };
    Some((seconds(hour, minute, second)?, rest))
}

fn seconds(hour: u32, minute: u32, second: u32) -> Option<u32> {
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

#[derive(Clone, Copy)]
enum Half {
    Morning,
    Afternoon,
}

/// Reads ` PM`, also after the narrow blank of newer cultures.
fn half_of_day(text: &str) -> (Option<Half>, &str) {
    let rest = text.trim_start_matches([' ', '\u{a0}', '\u{202f}']);
    let half = match rest.get(..2) {
        Some("AM" | "am") => Half::Morning,
        Some("PM" | "pm") => Half::Afternoon,
        _ => return (None, text),
    };
    (Some(half), &rest[2..])
}

/// `Z`, `+01:00` or `+0100`, minutes east.
fn zone(text: &str) -> (Option<i32>, &str) {
    if let Some(rest) = text.strip_prefix('Z') {
        return (Some(0), rest);
    }
    if let Some((minutes, rest)) = time::offset(text) {
        return (Some(minutes), rest);
    }
    let with_colon = || {
        let sign = if text.starts_with('-') { -1 } else { 1 };
        let (hours, rest) = number(text.strip_prefix(['+', '-'])?, 2, 2)?;
        let (minutes, rest) = number(rest.strip_prefix(':')?, 2, 2)?;
        let minutes = i32::try_from(hours * 60 + minutes).ok().filter(|_| hours <= 14 && minutes < 60)?;
        Some((Some(sign * minutes), rest))
    };
    with_colon().unwrap_or((None, text))
}

/// Reads a number of `least` to `most` digits that no further digit follows.
pub(super) fn number(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    let value = text[..count].parse().ok().filter(|_| (least..=most).contains(&count))?;
    Some((value, &text[count..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn biases_are_minutes_to_add_for_utc() {
        let cases = [
            ("-60\"", Some(60)),
            ("+000\"", Some(0)),
            ("+480\"", Some(-480)),
            ("+-420\"", Some(420)),
            ("-600", Some(600)),
            ("60", None),
            ("+9999", None),
        ];
        for (text, expect) in cases {
            assert_eq!(bias(text).map(|(minutes, _)| minutes), expect, "{text}");
        }
    }

    /// The expected seconds are those of `date -u -d ... +%s`.
    #[test]
    fn days_and_months_are_told_apart() {
        let check = |text: &str, expect: Option<i64>| {
            let secs = day_first(text).map(|(time, _)| time).filter(LocalTime::is_plausible).map(|time| time.secs);
            assert_eq!(secs, expect, "{text}");
        };
        check("24.01.2023 12:47:26 x", Some(1_674_564_446));
        check("04.03.2024 05:10:11 x", Some(1_709_529_011));
        check("24/01/2023 12:47:26 x", Some(1_674_564_446));
        check("1/24/2023 12:47:26 PM x", Some(1_674_564_446));
        check("1/24/2023 12:47:26 AM x", Some(1_674_521_246));
        check("3/4/2024 5:10:11 AM x", Some(1_709_529_011));
        check("03/04/2024 05:10:11 x", None);
        check("24.13.2023 12:47:26 x", None);
        check("24.01.2023 25:47:26 x", None);
        check("1.2.3 x", None);
    }
}
