//! Times as people type them: `2023-03-01T22:19:00Z`, `2023-03-01`, `yesterday`, `2h ago`.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

/// A time on the command line, in UTC.
///
/// # Errors
/// In words for the person at the terminal.
pub(super) fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    at(text, Utc::now())
}

fn at(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    let today = now.date_naive();
    let found = match text {
        "now" => Some(now),
        "today" => Some(midnight(today)),
        "yesterday" => today.checked_sub_days(Days::new(1)).map(midnight),
        _ => ago(text, now)
            .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()))
            .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(midnight)),
    };
    found.ok_or_else(|| {
        "no time: use RFC 3339 (2023-03-01T22:19:00Z), a date in UTC (2023-03-01), today, yesterday, now, or an age \
         such as 90m ago, 2h ago, 3d ago"
            .to_owned()
    })
}

/// `2h ago`, `3 d ago`, `1w ago`.
fn ago(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    now.checked_sub_signed(length(text.strip_suffix("ago")?)?)
}

/// A length of time: `10d`, `12 h`.
///
/// # Errors
/// In words for the person at the terminal.
pub(super) fn age(text: &str) -> Result<TimeDelta, String> {
    length(text).ok_or_else(|| "no length of time: use 90m, 12h, 10d or 2w".to_owned())
}

fn length(text: &str) -> Option<TimeDelta> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let count: i64 = text[..digits].parse().ok()?;
    let unit_secs = match text[digits..].trim() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    TimeDelta::try_seconds(count.checked_mul(unit_secs)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_type_times_in_many_ways() {
        let now = DateTime::parse_from_rfc3339("2023-03-01T22:19:01Z").unwrap().to_utc();
        for (text, expect) in [
            ("2023-02-28T10:00:00+01:00", "2023-02-28T09:00:00Z"),
            ("2023-02-28", "2023-02-28T00:00:00Z"),
            ("today", "2023-03-01T00:00:00Z"),
            ("yesterday", "2023-02-28T00:00:00Z"),
            ("now", "2023-03-01T22:19:01Z"),
            ("2h ago", "2023-03-01T20:19:01Z"),
            ("90 min ago", "2023-03-01T20:49:01Z"),
            ("1d ago", "2023-02-28T22:19:01Z"),
            ("1w ago", "2023-02-22T22:19:01Z"),
        ] {
            let expect = DateTime::parse_from_rfc3339(expect).unwrap().to_utc();
            assert_eq!(at(text, now), Ok(expect), "{text}");
        }
        for text in ["", "ago", "h ago", "2 ago", "-2h ago", "99999999999999d ago", "2023-02-30", "tomorrow", "22:19"] {
            assert!(at(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn a_length_has_a_number_and_a_unit() {
        for (text, secs) in [("90m", 5_400), ("12 h", 43_200), ("10d", 864_000), ("2w", 1_209_600), ("5s", 5)] {
            assert_eq!(age(text), Ok(TimeDelta::seconds(secs)), "{text}");
        }
        for text in ["", "10", "d", "-1d", "10d ago", "1y"] {
            assert!(age(text).is_err(), "{text}");
        }
    }
}
