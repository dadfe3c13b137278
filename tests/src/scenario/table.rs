//! Scores -> the Markdown tables of SCENARIOS.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Score, all, facts};

/// The value below which `share` of the values lie; `None` without values.
#[must_use]
pub fn percentile(values: &[i64], share: f64) -> Option<i64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().checked_sub(1)?;
    let at = (share * last as f64).round() as usize;
    sorted.get(at).copied()
}

/// The tables: each scenario at each size, then the totals beside the simple rules.
#[must_use]
pub fn markdown(scores: &[Score]) -> String {
    let mut by_size: BTreeMap<u32, Vec<&Score>> = BTreeMap::new();
    for score in scores {
        by_size.entry(score.hosts).or_default().push(score);
    }
    let mut text = String::new();
    summary(&mut text, &by_size);
    for (hosts, scores) in &by_size {
        scenarios(&mut text, *hosts, scores);
    }
    text
}

/// One detector's sums over scores.
#[derive(Default)]
struct Sums {
    faults: usize,
    found: usize,
    false_ones: usize,
    delays: Vec<i64>,
}

impl Sums {
    fn row(&self, runs: usize) -> String {
        format!(
            "{} of {} | {} in {runs} runs | {} | {}",
            self.found,
            self.faults,
            self.false_ones,
            span(percentile(&self.delays, 0.5)),
            span(percentile(&self.delays, 0.9))
        )
    }
}

fn summary(text: &mut String, by_size: &BTreeMap<u32, Vec<&Score>>) {
    text.push_str(
        "| hosts | | found | false alarms | median until told | p90 | incidents per cause | cause named first |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for (hosts, scores) in by_size {
        let (mut wulog, mut five, mut spike) = (Sums::default(), Sums::default(), Sums::default());
        let (mut incidents, mut right) = (0, 0);
        for score in scores {
            wulog.false_ones += score.false_incidents.len();
            five.false_ones += score.five_hosts.false_episodes;
            spike.false_ones += score.spike.false_episodes;
            for fault in &score.faults {
                wulog.found += usize::from(fault.delay_ms.is_some());
                wulog.delays.extend(fault.delay_ms);
                incidents += fault.incidents;
                right += usize::from(fault.cause_right);
            }
            for (sums, rule) in [(&mut five, &score.five_hosts), (&mut spike, &score.spike)] {
                sums.found += rule.delays_ms.iter().flatten().count();
                sums.delays.extend(rule.delays_ms.iter().flatten());
            }
            for sums in [&mut wulog, &mut five, &mut spike] {
                sums.faults += score.faults.len();
            }
        }
        let (runs, found) = (scores.len(), wulog.found.max(1));
        let per_cause = incidents as f64 / found as f64;
        let _ = writeln!(
            text,
            "| {hosts} | **wulog** | {} | {per_cause:.2} | {} |\n| | 5 hosts in 1 h | {} | | |\n| | spike | {} | | |",
            wulog.row(runs),
            percent(right, found),
            five.row(runs),
            spike.row(runs)
        );
    }
}

fn scenarios(text: &mut String, hosts: u32, scores: &[&Score]) {
    let _ = writeln!(text, "\n### {hosts} hosts\n");
    text.push_str(
        "| | what | runs | found | hosts failed by then | third failed after | median until told | p90 | incidents | documents | hosts named | cause first | false | 5 hosts: false | spike: false |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let facts = facts();
    for scenario in all() {
        let runs: Vec<&&Score> = scores.iter().filter(|score| score.id == scenario.id).collect();
        if runs.is_empty() {
            continue;
        }
        let what = facts
            .iter()
            .find(|row| row[0] == scenario.id)
            .map_or("", |row| row[if row[0].starts_with('S') { 2 } else { 1 }]);
        let sum = |of: &dyn Fn(&Score) -> usize| runs.iter().map(|score| of(score)).sum::<usize>();
        let falses = sum(&|score| score.false_incidents.len());
        let rules =
            format!("{} | {}", sum(&|score| score.five_hosts.false_episodes), sum(&|score| score.spike.false_episodes));
        let _ = write!(text, "| {} | {what} | {} | ", scenario.id, runs.len());
        let faults: Vec<_> = runs.iter().flat_map(|score| &score.faults).collect();
        if faults.is_empty() {
            let why = if scenario.is_found() { "too few hosts" } else { "quiet" };
            let _ = writeln!(text, "{why} | | | | | | | | | {falses} | {rules} |");
            continue;
        }
        let found: Vec<_> = faults.iter().filter(|fault| fault.delay_ms.is_some()).collect();
        let delays: Vec<i64> = found.iter().filter_map(|fault| fault.delay_ms).collect();
        let mean = |of: &dyn Fn(&super::FaultScore) -> f64| {
            found.iter().map(|fault| of(fault)).sum::<f64>() / found.len().max(1) as f64
        };
        let third: Vec<i64> =
            faults.iter().filter_map(|fault| fault.struck_after_ms.get(2)).map(|after| (*after).max(0)).collect();
        let by_then: Vec<i64> = found.iter().map(|fault| fault.failed_by_then as i64).collect();
        let _ = writeln!(
            text,
            "{} of {} | {} | {} | {} | {} | {:.2} | {:.1} | {:.1} % | {} | {falses} | {rules} |",
            found.len(),
            faults.len(),
            percentile(&by_then, 0.5).unwrap_or(0),
            span(percentile(&third, 0.5)),
            span(percentile(&delays, 0.5)),
            span(percentile(&delays, 0.9)),
            mean(&|fault| fault.incidents as f64),
            mean(&|fault| fault.documents as f64),
            100.0 * mean(&|fault| fault.recall),
            percent(found.iter().filter(|fault| fault.cause_right).count(), found.len()),
        );
    }
}

fn percent(part: usize, all: usize) -> String {
    (100 * part).checked_div(all).map_or_else(|| "-".to_owned(), |percent| format!("{percent} %"))
}

fn span(ms: Option<i64>) -> String {
    match ms.map(|ms| ms / 60_000) {
        None => "-".to_owned(),
        Some(minutes) if minutes < 120 => format!("{minutes} min"),
        Some(minutes) => format!("{:.1} h", minutes as f64 / 60.0),
    }
}
