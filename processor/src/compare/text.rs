//! A comparison for a terminal.

use std::fmt::Write as _;

use wulog_schemas::visible::visible;

use super::RunComparison;
use super::view::{ComparedIncident, View};

/// Characters of a cell; the page has cells of any length.
const CELL_CHARS_MAX: usize = 40;

/// The comparison as text, with invisible characters of host names made visible.
#[must_use]
pub(crate) fn text(comparison: &RunComparison) -> String {
    let view = View::of(comparison);
    let mut text = String::new();
    let mut line = |line: &str| {
        text.push_str(visible(line).trim_end());
        text.push('\n');
    };
    line(&view.result);
    view.facts.iter().for_each(|fact| line(fact));
    for section in &view.sections {
        line("");
        line(&section.title.to_uppercase());
        for case in &section.cases {
            line("");
            line(&case.heading);
            line(&format!("  {}", case.summary));
            table(&view.runs, case).iter().for_each(|row| line(row));
            case.remarks.iter().for_each(|remark| line(&format!("  {remark}")));
        }
        section.more.iter().for_each(|more| line(more));
    }
    text
}

/// The rows of a case in columns.
fn table(runs: &[String; 2], case: &ComparedIncident) -> Vec<String> {
    let head = [String::new(), cut(&runs[0]), cut(&runs[1]), String::new()];
    let rows = case.rows.iter().map(|row| [row.fact.to_owned(), cut(&row.live), cut(&row.again), row.change.clone()]);
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    rows.iter()
        .map(|row| {
            let mut line = " ".to_owned();
            for (cell, width) in row.iter().zip(widths) {
                // Writing to a string cannot fail.
                let _ = write!(line, " {cell:width$} ");
            }
            format!("{line} {}", row[3])
        })
        .collect()
}

fn cut(cell: &str) -> String {
    let cell = visible(cell);
    match cell.char_indices().nth(CELL_CHARS_MAX) {
        Some(_) => cell.chars().take(CELL_CHARS_MAX - 1).chain(['~']).collect(),
        None => cell.into_owned(),
    }
}
