//! Small pictures and tables that several pages share.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};
use wulog_schemas::alert::{Alert, Condition, Level, State};

use super::incidents::IncidentDocuments;
use super::layout::{number, shown};

const WIDTH: f64 = 200.0;
const HEIGHT: f64 = 48.0;
/// Room for the width of a line at the edges.
const EDGE: f64 = 2.0;

/// The affected and the recovered hosts of an incident over time, by its documents. Every text in the picture is a
/// number.
pub(super) fn curve(known: &IncidentDocuments) -> Markup {
    let newest = &known.newest;
    let begin = newest.time.onset.0;
    let end = newest.time.updated.0.max(begin + 1);
    let affected = grown(known, begin);
    let recovered: Vec<(i64, u64)> =
        known.points().map(|alert| (alert.time.updated.0, alert.hosts.recovered)).collect();
    let highest = affected.iter().map(|(_, hosts)| *hosts).max().unwrap_or(1).max(1);
    let x = |at: i64| EDGE + (at.clamp(begin, end) - begin) as f64 / (end - begin) as f64 * (WIDTH - 2.0 * EDGE);
    let y = |hosts: u64| HEIGHT - EDGE - hosts as f64 / highest as f64 * (HEIGHT - 2.0 * EDGE);
    let line = |counts: &[(i64, u64)]| {
        let mut points = format!("{EDGE},{:.1}", y(0));
        for (at, hosts) in counts {
            let _ = write!(points, " {:.1},{:.1}", x(*at), y(*hosts));
        }
        points
    };
    let described = format!(
        "{} affected and {} recovered hosts after {} documents",
        number(newest.hosts.affected),
        number(newest.hosts.recovered),
        newest.seq
    );
    html! {
        svg.spark viewBox={"0 0 " (WIDTH) " " (HEIGHT)} role="img" aria-label=(described) preserveAspectRatio="none" {
            polyline.total points=(line(&affected)) {}
            @if newest.hosts.recovered > 0 {
                polyline.recovered points=(line(&recovered)) {}
            }
        }
    }
}

/// Affected hosts over time: the first failures one by one, as far as the evidence names them, then each document.
fn grown(known: &IncidentDocuments, begin: i64) -> Vec<(i64, u64)> {
    let mut failures: Vec<i64> = known.newest.evidence.exemplars.iter().map(|exemplar| exemplar.time.0).collect();
    failures.sort_unstable();
    let single = (1..).zip(failures).map(|(hosts, at)| (at.max(begin), hosts));
    let told = known.points().map(|alert| (alert.time.updated.0, alert.hosts.affected));
    let mut grown: Vec<(i64, u64)> = single.chain(told).collect();
    // Sorted by time only: a split takes hosts away, so counts may fall.
    grown.sort_by_key(|(at, _)| *at);
    grown
}

/// A lag over time: one bar a sample.
pub(super) fn lag(samples: &[i64]) -> Markup {
    let highest = samples.iter().copied().max().unwrap_or(0);
    if samples.len() < 2 {
        return html! { span.soft { "-" } };
    }
    let width = WIDTH / samples.len() as f64;
    let mut bars = String::new();
    for (place, lag) in samples.iter().enumerate().filter(|(_, lag)| **lag > 0) {
        let height = (*lag as f64 / highest as f64 * (HEIGHT - EDGE)).max(1.0);
        let x = place as f64 * width;
        let _ = write!(
            bars,
            "<rect class=\"bar\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
            HEIGHT - height,
            width.max(1.0)
        );
    }
    let minutes = samples.len() / 6;
    let described = format!("lag in the last {minutes} minutes; at most {highest} records");
    html! {
        svg.spark.small viewBox={"0 0 " (WIDTH) " " (HEIGHT)} role="img" aria-label=(described) preserveAspectRatio="none" {
            (PreEscaped(bars))
            path.axis d={"M0 " (HEIGHT) "H" (WIDTH)} {}
        }
    }
}

/// A severity, as a word and a colour.
pub(super) fn level(level: Level) -> Markup {
    html! { span class={"level " (level)} { (level) } }
}

/// A state by its word.
pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Open => "open",
        State::Resolved => "resolved",
        State::Expired => "expired",
        State::Merged => "merged",
    }
}

/// The likeliest cause in a few words: a certificate, or else what the affected hosts share most clearly.
pub(super) fn cause(alert: &Alert) -> Option<String> {
    if let Some(finding) = alert.certificates.first() {
        let subject = finding
            .certificate
            .as_ref()
            .map(|known| if known.subject.is_empty() { known.sha1.as_str() } else { known.subject.as_str() });
        let subject = subject.unwrap_or("a certificate");
        let store = finding.store.as_deref().unwrap_or("its store");
        return Some(shown(&match finding.condition {
            Condition::Missing => format!("certificate {subject} is missing in {store}"),
            Condition::Distrusted => format!("certificate {subject} is in {store}"),
            Condition::Expired => format!("certificate {subject} has expired"),
            Condition::Expires => format!("certificate {subject} expires"),
            Condition::SiteUntrusted => format!("TLS certificate {subject} of the WSUS site is not trusted"),
            Condition::PolicyOff => "policy AcceptTrustedPublisherCerts is off".to_owned(),
        }));
    }
    let factor = alert.common_factors.first()?;
    let value = factor.name.as_deref().unwrap_or(&factor.value);
    Some(shown(&format!("{} {value}", factor.dimension)))
}
