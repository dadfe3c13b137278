//! The epidemic curve as SVG: first failures as bars, all failures and recoveries so far as lines, marks at the turning points.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};

use super::ReportData;
use super::wording::Wording;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 852.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 252.0;

const HOUR_MS: i64 = 3_600_000;
/// Possible widths of a bar: an hour, unless the page has no room for so many bars.
const STEPS_MS: [i64; 6] = [HOUR_MS, 3 * HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS, 7 * 24 * HOUR_MS, 28 * 24 * HOUR_MS];
const BARS_MAX: i64 = 96;
/// Approximate number of ticks on the time axis.
const TICKS: i64 = 6;
/// Maximum number of marked documents: the first ones and the last.
const DOCUMENTS_MAX: usize = 60;

/// Numbers of hosts over time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Curve {
    /// Start of the first bar, milliseconds since 1970 UTC.
    start: i64,
    step: i64,
    /// First failures in each bar.
    pub(super) failures: Vec<u64>,
    /// Recoveries in each bar.
    pub(super) recoveries: Vec<u64>,
}

impl Curve {
    /// The curve of an incident; `None` without signals about single hosts.
    pub(super) fn of(incident: &ReportData) -> Option<Curve> {
        let failed: Vec<i64> = incident.hosts.iter().filter_map(|host| host.first_failure).collect();
        let recovered: Vec<i64> = incident.hosts.iter().filter_map(|host| host.recovered).collect();
        let alert = incident.newest();
        let first = *failed.iter().min()?;
        let ends = [alert.time.opened.0, alert.time.resolved.unwrap_or(alert.time.opened).0];
        let last = failed.iter().chain(&recovered).copied().chain(ends).max()?;
        let bars = |step: i64| last.div_euclid(step) - first.div_euclid(step) + 1;
        let step = STEPS_MS.into_iter().find(|step| bars(*step) <= BARS_MAX).unwrap_or(STEPS_MS[STEPS_MS.len() - 1]);
        let count = usize::try_from(bars(step).min(10 * BARS_MAX)).unwrap_or(1);
        let start = first.div_euclid(step) * step;
        let counted = |times: &[i64]| {
            let mut counts = vec![0; count];
            for at in times {
                let bar = usize::try_from((at - start).div_euclid(step)).unwrap_or(0);
                counts[bar.min(count - 1)] += 1;
            }
            counts
        };
        Some(Curve { start, step, failures: counted(&failed), recoveries: counted(&recovered) })
    }

    fn end(&self) -> i64 {
        self.start + self.step * self.failures.len() as i64
    }

    fn x(&self, at: i64) -> f64 {
        let share = (at - self.start) as f64 / (self.end() - self.start) as f64;
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    /// Hours that a bar stands for.
    pub(super) fn bar_hours(&self) -> i64 {
        self.step / HOUR_MS
    }

    /// The picture as SVG. Every text in it is a number, a time or a word of wulog.
    pub(super) fn svg(&self, incident: &ReportData, wording: &Wording) -> String {
        let mut svg = String::new();
        let all: u64 = self.failures.iter().sum();
        let highest = self.failures.iter().copied().max().unwrap_or(1).max(1);
        let described = wording.with("curve_described", &[("hosts", &all.to_string()), ("most", &highest.to_string())]);
        let _ = write!(
            svg,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{described}\"><title>{described}</title>"
        );
        self.axes(&mut svg, highest, all);
        let width = (RIGHT - LEFT) / self.failures.len() as f64;
        for (bar, count) in (0..).zip(&self.failures).filter(|(_, count)| **count > 0) {
            let height = *count as f64 / highest as f64 * (BOTTOM - TOP);
            let x = LEFT + width * f64::from(bar);
            let _ = write!(
                svg,
                "<rect class=\"bar\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{}: {count}</title></rect>",
                BOTTOM - height,
                (width - 1.0).max(1.0),
                wording.minute(self.start + self.step * i64::from(bar)),
            );
        }
        self.line(&mut svg, "total", &self.failures, all);
        if self.recoveries.iter().any(|count| *count > 0) {
            self.line(&mut svg, "recovered", &self.recoveries, all);
        }
        self.marks(&mut svg, incident, wording);
        svg.push_str("</svg>");
        svg
    }

    fn axes(&self, svg: &mut String, highest: u64, all: u64) {
        let _ = write!(svg, "<path class=\"axis\" d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}V{TOP}\"/>");
        for (x, anchor, value) in [(LEFT - 6.0, "end", highest), (RIGHT + 6.0, "start", all)] {
            for (y, number) in [(TOP + 4.0, value), (BOTTOM, 0)] {
                let _ = write!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{number}</text>");
            }
        }
        let bars = self.failures.len() as i64;
        let every = (bars / TICKS).max(1);
        for bar in (0..bars).step_by(usize::try_from(every).unwrap_or(1)) {
            let at = self.start + self.step * bar;
            let x = self.x(at);
            let text = minute(at);
            let _ = write!(
                svg,
                "<path class=\"axis\" d=\"M{x:.1} {BOTTOM}v5\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                BOTTOM + 18.0,
                &text[..10],
                BOTTOM + 32.0,
                &text[11..]
            );
        }
    }

    /// The cumulative sum, on the scale of the right axis.
    fn line(&self, svg: &mut String, class: &str, counts: &[u64], all: u64) {
        let mut sum = 0;
        let mut points = format!("{LEFT:.1},{BOTTOM:.1}");
        for (bar, count) in (1..).zip(counts) {
            sum += count;
            let y = BOTTOM - sum as f64 / all.max(1) as f64 * (BOTTOM - TOP);
            let _ = write!(points, " {:.1},{y:.1}", self.x(self.start + self.step * bar));
        }
        let _ = write!(svg, "<polyline class=\"{class}\" points=\"{points}\"/>");
    }

    fn marks(&self, svg: &mut String, incident: &ReportData, wording: &Wording) {
        let time = incident.newest().time.clone();
        let others = incident.documents.iter().skip(1).rev().take(DOCUMENTS_MAX);
        for alert in others {
            let x = self.x(alert.time.updated.0);
            let _ = write!(
                svg,
                "<path class=\"document\" d=\"M{x:.1} {BOTTOM}v-8\"><title>#{} {} {}</title></path>",
                alert.seq,
                wording.get(&format!("transition_{}", alert.transition)),
                wording.minute(alert.time.updated.0)
            );
        }
        let marks = [
            (Some(time.onset), "onset", TOP - 26.0),
            (Some(time.opened), "opened", TOP - 14.0),
            (time.resolved, "resolved", TOP - 2.0),
        ];
        for (at, word, y) in marks {
            let Some(at) = at else { continue };
            let x = self.x(at.0);
            let (anchor, shift) = if x > (LEFT + RIGHT) / 2.0 { ("end", -4.0) } else { ("start", 4.0) };
            let _ = write!(
                svg,
                "<path class=\"mark {word}\" d=\"M{x:.1} {}V{BOTTOM}\"/>\
                 <text x=\"{:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{} {}</text>",
                y - 8.0,
                x + shift,
                wording.get(word),
                wording.minute(at.0)
            );
        }
    }
}

/// `2023-03-01 22:19` in UTC.
fn minute(ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Secs, true)[..16].replace('T', " ")
}
