//! Decides whether a channel sends a document, leaves it out, or holds it until later. Pure: the time is an argument.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeZone, Timelike};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::Deserialize;
use wulog_schemas::alert::{Alert, Level, State, Transition};
use wulog_schemas::hresult::Family;

use super::history::Told;

/// The documents that a channel takes.
#[derive(Clone, Debug)]
pub struct Wants {
    /// The least severity.
    pub min_severity: Level,
    /// Happenings of which one must be true of the document; `None` takes everything.
    pub transitions: Option<Vec<Happening>>,
    /// Families of which one must be among the incident's; empty takes all.
    pub families: Vec<Family>,
    /// For each of these dimensions, one of the values must be a common factor.
    pub labels: BTreeMap<String, Vec<String>>,
    /// Quiet hours.
    pub quiet: Option<QuietHours>,
    /// The treatment of documents of a silenced incident.
    pub silenced: Silenced,
}

/// What happened to an incident, as the key `transitions` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Happening {
    /// A transition of the document.
    Transition(Transition),
    /// The severity is higher than in the document before.
    Raised(Raised),
}

/// The word `raised`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Raised {
    /// See [`Happening::Raised`].
    Raised,
}

/// What happens to documents of an incident that an operator has silenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Silenced {
    /// They wait until the silence ends, and only the newest is sent then.
    Hold,
    /// They are sent, and say that the incident is silenced.
    Send,
}

/// Quiet hours, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// Minute of the day at which they begin.
    pub from_minute: u32,
    /// Minute of the day at which they end; before `from_minute` it is on the next day.
    pub until_minute: u32,
    /// The time zone of both times.
    pub zone: Tz,
    /// Documents of this severity and above are sent all the same.
    pub except: Level,
}

/// The decision of a channel about a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Sends it.
    Send,
    /// Leaves it out, for this reason.
    Skip(&'static str),
    /// Holds it until this time, for this reason; a newer document of the incident replaces it.
    Hold {
        /// Milliseconds since 1970 UTC.
        until_ms: i64,
        /// Why.
        why: &'static str,
    },
}

/// Decides about a document. `told` is the history of its incident on this channel.
pub(super) fn decide(wants: &Wants, alert: &Alert, told: Option<&Told>, now_ms: i64) -> Decision {
    if !wants.families.is_empty() && !alert.families.iter().any(|family| wants.families.contains(family)) {
        return Decision::Skip("another family");
    }
    if !labels_match(wants, alert) {
        return Decision::Skip("other labels");
    }
    // If the beginning of an incident was sent, its end is sent too, whatever the severity is by then.
    let was_sent = told.is_some_and(|told| told.sent);
    let ends = alert.state != State::Open;
    if alert.severity.level < wants.min_severity && !was_sent {
        return Decision::Skip("below min_severity");
    }
    if ends && told.is_some() && !was_sent {
        return Decision::Skip("its beginning was not sent");
    }
    let raised = told.is_some_and(|told| alert.severity.level > told.level);
    let happened = |happening: &Happening| match happening {
        Happening::Transition(transition) => *transition == alert.transition,
        Happening::Raised(Raised::Raised) => raised,
    };
    if wants.transitions.as_ref().is_some_and(|list| !list.iter().any(happened)) {
        return Decision::Skip("another transition");
    }
    if wants.silenced == Silenced::Hold {
        if let Some(until_ms) = alert.handling.silenced_until(now_ms) {
            return Decision::Hold { until_ms, why: "silenced" };
        }
        if alert.handling.acknowledged_at(now_ms) && !raised && !ends && is_progress(alert.transition) {
            return Decision::Skip("acknowledged, and its severity is not raised");
        }
    }
    match &wants.quiet {
        Some(quiet) if alert.severity.level < quiet.except => match quiet_until(quiet, now_ms) {
            Some(until_ms) => Decision::Hold { until_ms, why: "quiet hours" },
            None => Decision::Send,
        },
        _ => Decision::Send,
    }
}

/// True for transitions that ask for no action of a person who already works on the incident.
fn is_progress(transition: Transition) -> bool {
    matches!(transition, Transition::Growing | Transition::Stable | Transition::Silent | Transition::Handled)
}

fn labels_match(wants: &Wants, alert: &Alert) -> bool {
    wants.labels.iter().all(|(dimension, values)| {
        alert.common_factors.iter().any(|factor| factor.dimension == *dimension && values.contains(&factor.value))
    })
}

/// The end of the quiet hours that `now_ms` lies in; `None` outside of them.
fn quiet_until(quiet: &QuietHours, now_ms: i64) -> Option<i64> {
    let now = DateTime::from_timestamp_millis(now_ms)?.with_timezone(&quiet.zone);
    let minute = now.hour() * 60 + now.minute();
    let (from, until) = (quiet.from_minute, quiet.until_minute);
    let overnight = from > until;
    let inside = if overnight { minute >= from || minute < until } else { (from..until).contains(&minute) };
    if !inside {
        return None;
    }
    let today = NaiveDate::from_ymd_opt(now.year(), now.month(), now.day())?;
    let day = if overnight && minute >= from { today.checked_add_days(Days::new(1))? } else { today };
    let end = day.and_hms_opt(until / 60, until % 60, 0)?;
    // A local time that the change to summer time skips is taken as the same time in UTC: at most some hours off.
    let end = quiet
        .zone
        .from_local_datetime(&end)
        .latest()
        .map_or_else(|| end.and_utc().timestamp_millis(), |end| end.timestamp_millis());
    Some(end.max(now_ms + 1000)) // at least a second ahead, so that a held document cannot spin
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::sample::sample;
    use wulog_schemas::alert::{Handling, Note, UtcTime};

    /// 2026-03-02 (a Monday) 12:00 UTC.
    const NOON_MS: i64 = 1_772_452_800_000;
    const HOUR_MS: i64 = 3_600_000;

    fn wants() -> Wants {
        Wants {
            min_severity: Level::Low,
            transitions: None,
            families: Vec::new(),
            labels: Default::default(),
            quiet: None,
            silenced: Silenced::Hold,
        }
    }

    fn told(level: Level, sent: bool) -> Told {
        Told { level, sent }
    }

    #[test]
    fn severity_family_and_label_decide() {
        let alert = sample("a", 1, Transition::Opened, Level::Medium);
        let check = |wants: &Wants, expected| assert_eq!(decide(wants, &alert, None, NOON_MS), expected);
        check(&wants(), Decision::Send);
        check(&Wants { min_severity: Level::High, ..wants() }, Decision::Skip("below min_severity"));
        check(
            &Wants { families: vec![wulog_schemas::hresult::Family::Expired], ..wants() },
            Decision::Skip("another family"),
        );
        check(&Wants { families: alert.families.clone(), ..wants() }, Decision::Send);
        let factor = &alert.common_factors[0];
        let site = |value: &str| [(factor.dimension.clone(), vec!["x".to_owned(), value.to_owned()])].into();
        check(&Wants { labels: site(&factor.value), ..wants() }, Decision::Send);
        check(&Wants { labels: site("elsewhere"), ..wants() }, Decision::Skip("other labels"));
    }

    #[test]
    fn the_end_of_what_was_sent_is_sent_and_of_what_was_not_is_not() {
        let end = sample("a", 4, Transition::Resolved, Level::Low);
        let high = Wants { min_severity: Level::High, ..wants() };
        assert_eq!(decide(&high, &end, Some(&told(Level::High, true)), NOON_MS), Decision::Send);
        assert!(matches!(decide(&high, &end, Some(&told(Level::Low, false)), NOON_MS), Decision::Skip(_)));
    }

    #[test]
    fn a_raised_severity_counts_as_happening() {
        let wants = Wants {
            transitions: Some(vec![Happening::Transition(Transition::Opened), Happening::Raised(Raised::Raised)]),
            ..wants()
        };
        let growing = sample("a", 2, Transition::Growing, Level::High);
        assert_eq!(decide(&wants, &growing, Some(&told(Level::Medium, true)), NOON_MS), Decision::Send);
        let same = decide(&wants, &growing, Some(&told(Level::High, true)), NOON_MS);
        assert_eq!(same, Decision::Skip("another transition"));
    }

    #[test]
    fn silence_holds_until_it_ends_and_acknowledgement_leaves_progress_out() {
        let mut alert = sample("a", 2, Transition::Growing, Level::Medium);
        let note = |until: Option<i64>| Note {
            by: "ann".to_owned(),
            at: UtcTime(NOON_MS),
            until: until.map(UtcTime),
            why: "planned work".to_owned(),
        };
        alert.handling = Handling { silenced: vec![note(Some(NOON_MS + HOUR_MS))], ..Handling::default() };
        let at = |alert: &Alert, wants: &Wants, now| decide(wants, alert, Some(&told(Level::Medium, true)), now);
        let held = Decision::Hold { until_ms: NOON_MS + HOUR_MS, why: "silenced" };
        assert_eq!(at(&alert, &wants(), NOON_MS), held);
        assert_eq!(at(&alert, &wants(), NOON_MS + HOUR_MS), Decision::Send);
        assert_eq!(at(&alert, &Wants { silenced: Silenced::Send, ..wants() }, NOON_MS), Decision::Send);
        alert.handling = Handling { acknowledged: Some(note(None)), ..Handling::default() };
        assert!(matches!(at(&alert, &wants(), NOON_MS), Decision::Skip(_)));
        alert.severity.level = Level::High;
        assert_eq!(at(&alert, &wants(), NOON_MS), Decision::Send);
    }

    #[test]
    fn quiet_hours_run_over_midnight_in_their_own_zone() {
        let quiet = |from: u32, until: u32| QuietHours {
            from_minute: from * 60,
            until_minute: until * 60,
            zone: chrono_tz::Europe::Berlin,
            except: Level::Critical,
        };
        let check = |from, until, hour: i64, expected: Option<i64>| {
            let at = NOON_MS + (hour - 12) * HOUR_MS;
            let expected = expected.map(|hour| NOON_MS + (hour - 12) * HOUR_MS);
            assert_eq!(quiet_until(&quiet(from, until), at), expected, "{from}-{until} at {hour} UTC");
        };
        // Berlin is an hour ahead of UTC in March.
        check(22, 6, 20, None);
        check(22, 6, 21, Some(29));
        check(22, 6, 4, Some(5));
        check(22, 6, 5, None);
        check(9, 17, 12, Some(16));
        check(9, 17, 16, None);
        let wants = Wants { quiet: Some(quiet(9, 17)), ..wants() };
        let held = decide(&wants, &sample("a", 1, Transition::Opened, Level::High), None, NOON_MS);
        assert!(matches!(held, Decision::Hold { why: "quiet hours", .. }));
        let sent = decide(&wants, &sample("a", 1, Transition::Opened, Level::Critical), None, NOON_MS);
        assert_eq!(sent, Decision::Send);
    }
}
