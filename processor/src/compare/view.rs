//! A comparison as sections of small tables, which the text and the page show alike.

use serde::Serialize;
use wulog_schemas::alert::{State, UtcTime};

use super::{Alone, IncidentPair, Matched, RunComparison, RunIncident};
use crate::postmortem::dimension_in_words;
use crate::report::{hosts_of, short};

/// Host names listed for each incident and direction.
const NAMES_MAX: usize = 20;
/// Incidents listed in a section.
const CASES_MAX: usize = 500;
/// Hashes of configurations that are listed for a run.
const CONFIGURATIONS_MAX: usize = 3;
/// Digits of a hash that are shown.
const HASH_DIGITS: usize = 8;
/// Shown in place of a missing value.
const NOTHING: &str = "-";

/// The comparison in words. Values are not escaped yet.
#[derive(Serialize)]
pub(super) struct View {
    /// The result in one sentence.
    pub(super) result: String,
    /// The compared runs, their range and their configurations.
    pub(super) facts: Vec<String>,
    /// Names of the two runs, as heads of columns.
    pub(super) runs: [String; 2],
    pub(super) sections: Vec<ViewSection>,
}

#[derive(Serialize)]
pub(super) struct ViewSection {
    pub(super) title: String,
    pub(super) cases: Vec<ComparedIncident>,
    /// Note about rows that a limit has cut from the section.
    pub(super) more: Option<String>,
}

/// One incident, or a pair.
#[derive(Serialize)]
pub(super) struct ComparedIncident {
    pub(super) heading: String,
    pub(super) summary: String,
    pub(super) rows: Vec<FactRow>,
    pub(super) remarks: Vec<String>,
}

/// One fact in both runs.
#[derive(Serialize)]
pub(super) struct FactRow {
    pub(super) fact: &'static str,
    pub(super) live: String,
    pub(super) again: String,
    /// The difference; empty where the runs agree.
    pub(super) change: String,
}

impl View {
    pub(super) fn of(comparison: &RunComparison) -> View {
        let [live, again] = &comparison.names;
        let mut sections = Vec::new();
        let mut add = |title: String, cases: Vec<ComparedIncident>, all: usize| {
            if all > 0 {
                let left = all - cases.len();
                let more = (left > 0).then(|| format!("{left} further incidents are not listed."));
                sections.push(ViewSection { title, cases, more });
            }
        };
        let only =
            |alone: &[Alone], at: usize| alone.iter().take(CASES_MAX).map(|alone| case_alone(alone, at)).collect();
        add(format!("Only in {live}"), only(&comparison.only_live, 0), comparison.only_live.len());
        add(format!("Only in {again}"), only(&comparison.only_again, 1), comparison.only_again.len());
        let different = comparison.different.iter().take(CASES_MAX).map(|pair| case_of(pair, &comparison.names));
        add("Different".to_owned(), different.collect(), comparison.different.len());
        View { result: result(comparison), facts: facts(comparison), runs: comparison.names.clone(), sections }
    }
}

fn incidents_of(count: usize) -> String {
    if count == 1 { "1 incident".to_owned() } else { format!("{count} incidents") }
}

fn result(comparison: &RunComparison) -> String {
    let [live, again] = &comparison.names;
    let same = incidents_of(comparison.same);
    let verb = if comparison.same == 1 { "is" } else { "are" };
    if comparison.is_same() {
        return format!("No difference: {same} {verb} the same in {live} and {again}.");
    }
    format!(
        "{same} {verb} the same, {} differ, {} only in {live}, {} only in {again}.",
        comparison.different.len(),
        comparison.only_live.len(),
        comparison.only_again.len()
    )
}

fn facts(comparison: &RunComparison) -> Vec<String> {
    let mut facts = vec![format!(
        "Incidents that opened from {} to {} (log time) are compared.",
        short(UtcTime(comparison.openings.from_ms)),
        short(UtcTime(comparison.openings.to_ms))
    )];
    for at in 0..comparison.names.len() {
        let hashes: Vec<&str> = comparison.configurations[at]
            .iter()
            .take(CONFIGURATIONS_MAX)
            .map(|hash| hash.get(..HASH_DIGITS).unwrap_or(hash))
            .collect();
        let more = comparison.configurations[at].len().saturating_sub(CONFIGURATIONS_MAX);
        let configuration = match (hashes.is_empty(), more) {
            (true, _) => String::new(),
            (false, 0) => format!(", configuration {}", hashes.join(", ")),
            (false, more) => format!(", configuration {} and {more} more", hashes.join(", ")),
        };
        facts.push(format!(
            "{}: {} compared, {} outside the range{configuration}.",
            comparison.names[at],
            incidents_of(comparison.counted[at]),
            comparison.outside[at]
        ));
    }
    facts
}

fn case_alone(alone: &Alone, at: usize) -> ComparedIncident {
    let incident = &alone.incident;
    let rows = cells(incident)
        .into_iter()
        .map(|(fact, cell)| {
            let mut sides = [NOTHING.to_owned(), NOTHING.to_owned()];
            sides[at] = cell;
            let [live, again] = sides;
            FactRow { fact, live, again, change: String::new() }
        })
        .collect();
    let mut remarks: Vec<String> = named("hosts", incident.names.iter(), incident.names.len()).into_iter().collect();
    if let Some((id, shared)) = &alone.shares {
        remarks.push(format!("{} also in {id} of the other run", hosts_of(*shared as u64)));
    }
    ComparedIncident {
        heading: format!("{} {}", incident.id, incident.family),
        summary: incident.summary.clone(),
        rows,
        remarks,
    }
}

fn case_of(pair: &IncidentPair, names: &[String; 2]) -> ComparedIncident {
    let (live, again) = (&pair.live, &pair.again);
    let changes =
        [opened_change(pair), hosts_change(pair), severity_change(pair), changed(&live.factor, &again.factor)];
    let changes = changes.into_iter().chain([changed(&live.state, &again.state)]);
    let rows = cells(live)
        .into_iter()
        .zip(cells(again))
        .zip(changes)
        .map(|(((fact, live), (_, again)), change)| FactRow { fact, live, again, change })
        .collect();
    let mut remarks = Vec::new();
    match pair.names() {
        Some(found) => {
            remarks.extend(named("gained", found.gained.iter(), found.gained.len()));
            remarks.extend(named("lost", found.lost.iter(), found.lost.len()));
        }
        None => remarks.push("A document names some hosts only, so single hosts are not compared.".to_owned()),
    }
    let heading = match pair.matched {
        Matched::Id => format!("{} {}", live.id, live.family),
        Matched::Hosts(shared) => {
            remarks.push(format!(
                "The ids differ; the incidents were matched by {} that both have.",
                hosts_of(shared as u64)
            ));
            format!("{} of {} and {} of {}, {}", live.id, names[0], again.id, names[1], again.family)
        }
    };
    ComparedIncident { heading, summary: live.summary.clone(), rows, remarks }
}

/// The facts that are compared.
fn cells(incident: &RunIncident) -> [(&'static str, String); 5] {
    let state = match incident.state {
        State::Open => "open",
        State::Resolved => "resolved",
        State::Expired => "expired",
        State::Merged => "merged",
    };
    [
        ("opened", short(UtcTime(incident.opened_ms))),
        ("hosts", incident.affected.to_string()),
        ("severity", incident.severity.to_string()),
        ("first factor", incident.factor.as_deref().map_or_else(|| NOTHING.to_owned(), in_words)),
        ("state", state.to_owned()),
    ]
}

/// `WSUS server wsus-2` of `wsus=wsus-2`.
fn in_words(factor: &str) -> String {
    let (dimension, value) = factor.split_once('=').unwrap_or((factor, ""));
    format!("{} {value}", dimension_in_words(dimension))
}

fn changed<T: PartialEq>(live: &T, again: &T) -> String {
    if live == again { String::new() } else { "changed".to_owned() }
}

fn opened_change(pair: &IncidentPair) -> String {
    match pair.later_ms() {
        0 => String::new(),
        later if later > 0 => format!("{} later", span(later)),
        earlier => format!("{} earlier", span(earlier)),
    }
}

fn severity_change(pair: &IncidentPair) -> String {
    match pair.again.severity.cmp(&pair.live.severity) {
        std::cmp::Ordering::Less => "lower".to_owned(),
        std::cmp::Ordering::Equal => String::new(),
        std::cmp::Ordering::Greater => "higher".to_owned(),
    }
}

fn hosts_change(pair: &IncidentPair) -> String {
    let (gained, lost) = match pair.names() {
        Some(names) => (names.gained.len() as u64, names.lost.len() as u64),
        None => (
            pair.again.affected.saturating_sub(pair.live.affected),
            pair.live.affected.saturating_sub(pair.again.affected),
        ),
    };
    match (gained, lost) {
        (0, 0) => changed(&pair.live.affected, &pair.again.affected),
        (gained, 0) => format!("{gained} gained"),
        (0, lost) => format!("{lost} lost"),
        (gained, lost) => format!("{gained} gained, {lost} lost"),
    }
}

/// `gained: PC-1, PC-2 and 3 more`; empty without names.
fn named<'a>(what: &str, names: impl Iterator<Item = &'a String>, count: usize) -> Option<String> {
    let listed: Vec<&str> = names.take(NAMES_MAX).map(String::as_str).collect();
    let more = count - listed.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (count > 0).then(|| format!("{what}: {}{more}", listed.join(", ")))
}

/// A length of time in its two largest units.
pub(super) fn span(ms: i64) -> String {
    let ms = ms.unsigned_abs();
    if ms < 1_000 {
        return format!("{ms} ms");
    }
    let mut rest = ms / 1_000;
    let mut parts = Vec::new();
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")] {
        if rest >= unit {
            parts.push(format!("{} {name}", rest / unit));
        }
        rest %= unit;
    }
    parts.truncate(2);
    parts.join(" ")
}
