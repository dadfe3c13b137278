//! `report.html`: one page without script, style sheet or picture from elsewhere.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::Value;
use wulog_schemas::alert::{Alert, CertificateFinding, Exemplar, Factor, State, UtcTime};
use wulog_schemas::signal::RawPosition;

use super::curve::Curve;
use super::timeline::{self, Entry};
use super::words::Words;
use super::{Gap, Incident, ReportError, Style};
use crate::html;

const TEMPLATE: &str = include_str!("report.html");
/// Hosts in the page's table; `hosts.csv` has all of them.
const HOSTS_SHOWN: usize = 200;
/// Rows of the page's timeline; `timeline.jsonl` has all of them.
const TIMELINE_SHOWN: usize = 200;
/// Before the certificate in a summary that names one.
const CAUSE: &str = " Cause: ";
/// Characters of a raw line that are quoted.
const LINE_CHARS_MAX: usize = 600;

/// The page's data. Templates escape every value; invisible characters are made visible before.
#[derive(Serialize)]
struct Page<'a> {
    w: &'a std::collections::BTreeMap<String, String>,
    alert: &'a Alert,
    sentences: Vec<String>,
    impact: Vec<(String, String)>,
    curve: Option<String>,
    curve_bars: String,
    timeline: Vec<Row>,
    factors: Vec<Bars>,
    not_shared: Vec<String>,
    findings: Vec<Finding<'a>>,
    evidence: Vec<Proof<'a>>,
    detection: Vec<String>,
    hosts: Vec<HostRow>,
    hosts_listed: String,
    leaves_out: Vec<String>,
    times: String,
    source: String,
}

#[derive(Serialize)]
struct Row {
    time: String,
    kind: String,
    who: String,
    says: String,
}

/// A factor as two bars.
#[derive(Serialize)]
struct Bars {
    dimension: String,
    value: String,
    affected: String,
    affected_width: f64,
    healthy: String,
    healthy_width: f64,
    remarks: Vec<String>,
}

#[derive(Serialize)]
struct Finding<'a> {
    finding: &'a CertificateFinding,
    counts: String,
    wsus: Option<String>,
    valid_until: Option<String>,
}

#[derive(Serialize)]
struct Proof<'a> {
    time: String,
    exemplar: &'a Exemplar,
    line: Option<String>,
}

#[derive(Serialize)]
struct HostRow {
    name: String,
    failed: String,
    code: String,
    recovered: String,
}

/// Writes the page.
pub(super) fn html(incident: &Incident, style: Style) -> Result<String, ReportError> {
    let words = Words::of(style.language);
    let writer = Writer { incident, alert: incident.newest(), words: &words, zone: style.zone };
    let page = writer.page();
    Ok(html::render("report.html", TEMPLATE, &page)?)
}

struct Writer<'a> {
    incident: &'a Incident,
    alert: &'a Alert,
    words: &'a Words,
    zone: Tz,
}

impl<'a> Writer<'a> {
    fn page(&self) -> Page<'a> {
        let Writer { incident, alert, words, .. } = *self;
        let curve = Curve::of(incident);
        let hours = curve.as_ref().map(Curve::bar_hours).unwrap_or_default().to_string();
        let shown = incident.hosts.len().min(HOSTS_SHOWN).to_string();
        let affected = alert.hosts.affected.to_string();
        Page {
            w: words.all(),
            alert,
            sentences: self.sentences(),
            impact: self.impact(),
            curve_bars: words.with("curve_bars", &[("hours", &hours)]),
            curve: curve.map(|curve| curve.svg(incident, words)),
            timeline: self.timeline(),
            factors: alert.common_factors.iter().enumerate().map(|(at, factor)| self.bars(at, factor)).collect(),
            not_shared: self.not_shared(),
            findings: alert.certificates.iter().map(|finding| self.finding(finding)).collect(),
            evidence: alert.evidence.exemplars.iter().map(|exemplar| self.proof(exemplar)).collect(),
            detection: self.detection(),
            hosts: self.hosts(),
            hosts_listed: words.with("hosts_listed", &[("shown", &shown), ("all", &affected)]),
            leaves_out: self.leaves_out(),
            times: words.with("times", &[("zone", self.zone.name())]),
            source: words.with(
                "source",
                &[
                    ("id", &alert.id),
                    ("seq", &alert.seq.to_string()),
                    ("version", &alert.detector.version),
                    ("replay", &alert.replay),
                ],
            ),
        }
    }

    /// `2023-03-01 22:19:01 (23:19)`; the date in the zone too where it is another one.
    fn time(&self, ms: i64) -> String {
        let utc: DateTime<Utc> = DateTime::from_timestamp_millis(ms).unwrap_or_default();
        let text = utc.format("%Y-%m-%d %H:%M:%S").to_string();
        if self.zone == Tz::UTC {
            return text;
        }
        let local = utc.with_timezone(&self.zone);
        let form = if local.date_naive() == utc.date_naive() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
        format!("{text} ({})", local.format(form))
    }

    /// A length of time in its two largest units.
    fn span(&self, ms: i64) -> String {
        let secs = ms.max(0) / 1000;
        let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes"), (1, "seconds")];
        let mut rest = secs;
        let mut parts = Vec::new();
        for (unit, name) in units {
            let count = rest / unit;
            rest %= unit;
            if count > 0 || (unit == 1 && parts.is_empty()) {
                parts.push(format!("{count} {}", self.words.get(name)));
            }
        }
        parts.truncate(2);
        parts.join(" ")
    }

    fn sentences(&self) -> Vec<String> {
        let Writer { alert, words, .. } = *self;
        let hosts = &alert.hosts;
        let subject = alert.subjects.first().map_or("-", |known| known.name.as_deref().unwrap_or(&known.subject));
        let code = alert.codes.first().map_or_else(
            || alert.family.to_string(),
            |known| {
                known.symbol.as_ref().map_or_else(|| known.code.clone(), |symbol| format!("{} {symbol}", known.code))
            },
        );
        let failed = words.with(
            "sentence_failed",
            &[
                ("onset", &self.time(alert.time.onset.0)),
                ("affected", &hosts.affected.to_string()),
                ("active", &hosts.active.to_string()),
                ("subject", subject),
                ("code", &code),
            ],
        );
        let cause = match (alert.certificates.first(), alert.common_factors.first()) {
            (Some(finding), _) => capitalized(&finding.says),
            (None, Some(factor)) => words.with(
                "sentence_factor",
                &[
                    ("coverage", &percent(factor.coverage)),
                    ("healthy", &percent(factor.in_healthy)),
                    ("dimension", &factor.dimension),
                    ("value", factor.name.as_deref().unwrap_or(&factor.value)),
                ],
            ),
            (None, None) => words.get("sentence_no_factor").to_owned(),
        };
        let ending = match alert.state {
            State::Open => "sentence_open",
            State::Resolved => "sentence_resolved",
            State::Expired => "sentence_expired",
            State::Merged => "sentence_merged",
        };
        let end = words.with(
            ending,
            &[
                ("opened", &self.time(alert.time.opened.0)),
                ("ended", &self.time(alert.time.resolved.unwrap_or(alert.time.updated).0)),
                ("recovered", &hosts.recovered.to_string()),
                ("failing", &hosts.affected.saturating_sub(hosts.recovered).to_string()),
                ("into", alert.related.merged_into.as_deref().unwrap_or("-")),
            ],
        );
        vec![failed, cause, end]
    }

    fn impact(&self) -> Vec<(String, String)> {
        let Writer { alert, words, .. } = *self;
        let hosts = &alert.hosts;
        let of_active = words.with(
            "of_active",
            &[
                ("affected", &hosts.affected.to_string()),
                ("active", &hosts.active.to_string()),
                ("share", &percent(hosts.share_of_active)),
            ],
        );
        let (duration, end) = match alert.state {
            State::Open => ("duration_open", alert.time.updated),
            _ => ("duration", alert.time.resolved.unwrap_or(alert.time.updated)),
        };
        let list = |items: Vec<String>| items.join("; ");
        let counted = |name: &str, hosts: u64| format!("{name}: {hosts} {}", words.get("hosts"));
        let codes = alert.codes.iter().map(|known| {
            let symbol = known.symbol.as_ref().map(|symbol| format!(" {symbol}")).unwrap_or_default();
            counted(&format!("{}{symbol}", known.code), known.hosts)
        });
        let subjects = alert.subjects.iter().map(|known| {
            let name = known.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
            counted(&format!("{}{name}", known.subject), known.hosts)
        });
        let rows = [
            ("affected", of_active),
            ("recovered", hosts.recovered.to_string()),
            ("failing", hosts.affected.saturating_sub(hosts.recovered).to_string()),
            ("silent", hosts.silent.to_string()),
            ("chronic", hosts.chronic_excluded.to_string()),
            ("unreadable", hosts.unreadable.to_string()),
            (duration, self.span(end.0 - alert.time.onset.0)),
            ("severity", format!("{}: {}", alert.severity.level, alert.severity.reasons.join("; "))),
            ("codes", list(codes.collect())),
            ("subjects", list(subjects.collect())),
        ];
        let is_said =
            |(name, value): &(&str, String)| value != "0" || !["silent", "chronic", "unreadable"].contains(name);
        rows.into_iter().filter(is_said).map(|(name, value)| (words.get(name).to_owned(), value)).collect()
    }

    fn timeline(&self) -> Vec<Row> {
        let mut entries = timeline::turning_points(self.incident);
        entries.extend(timeline::of_incident(self.incident));
        entries.sort_by_key(|entry| entry.at);
        let hidden = entries.len().saturating_sub(TIMELINE_SHOWN);
        let half = TIMELINE_SHOWN / 2;
        let shown = entries.into_iter().enumerate().filter(|(at, _)| *at < half || *at >= half + hidden);
        let mut rows: Vec<Row> = shown.map(|(_, entry)| self.row(entry)).collect();
        // Each summary names the cause again; a reader of the timeline wants to know when it was named first.
        let with_cause = rows.iter_mut().filter(|row| row.says.contains(CAUSE));
        for row in with_cause.skip(1) {
            row.says.truncate(row.says.find(CAUSE).unwrap_or(row.says.len()));
        }
        rows
    }

    fn row(&self, entry: Entry) -> Row {
        let name = serde_json::to_value(entry.kind).ok();
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
        let kind = self.words.get(&format!("kind_{name}")).to_owned();
        Row { time: self.time(entry.at), kind, who: entry.who, says: entry.says }
    }

    fn bars(&self, at: usize, factor: &Factor) -> Bars {
        let Writer { alert, words, .. } = *self;
        let known = if factor.known_hosts > 0 { factor.known_hosts } else { alert.hosts.affected };
        let having = (factor.coverage * known as f64).round();
        let mut remarks = Vec::new();
        if let Some(other) = &factor.goes_along_with {
            remarks.push(words.with("goes_along", &[("factor", other)]));
        }
        if factor.untried_elsewhere {
            remarks.push(words.get("untried").to_owned());
        }
        let value = match &factor.name {
            // The name of a certificate's condition is a sentence, which stands with the certificates.
            Some(name) if factor.dimension != "certificate" => format!("{name} ({})", factor.value),
            _ => factor.value.clone(),
        };
        // Documents count the healthy hosts of the first factor only.
        let healthy = match at {
            0 => {
                let hosts = alert.contrast.same_first_factor_healthy_hosts;
                format!("{hosts} {} ({})", words.get("hosts"), percent(factor.in_healthy))
            }
            _ => percent(factor.in_healthy),
        };
        Bars {
            dimension: factor.dimension.clone(),
            value,
            affected: format!("{having:.0} / {known} ({})", percent(factor.coverage)),
            affected_width: (factor.coverage * 100.0).clamp(0.0, 100.0),
            healthy,
            healthy_width: (factor.in_healthy * 100.0).clamp(0.0, 100.0),
            remarks,
        }
    }

    fn not_shared(&self) -> Vec<String> {
        let Writer { alert, words, .. } = *self;
        let sentence = |name: &str, dimensions: &[String]| {
            (!dimensions.is_empty()).then(|| words.with(name, &[("dimensions", &dimensions.join(", "))]))
        };
        let said: Vec<String> =
            [sentence("not_shared_says", &alert.not_common), sentence("unknown_says", &alert.unknown)]
                .into_iter()
                .flatten()
                .collect();
        if said.is_empty() { vec![words.get("nothing_not_shared").to_owned()] } else { said }
    }

    fn finding(&self, finding: &'a CertificateFinding) -> Finding<'a> {
        let words = self.words;
        let counts = words.with(
            "finding_counts",
            &[
                ("affected", &finding.affected_hosts.to_string()),
                ("affected_known", &finding.affected_known.to_string()),
                ("healthy", &finding.healthy_hosts.to_string()),
                ("healthy_known", &finding.healthy_known.to_string()),
            ],
        );
        let wsus = finding.wsus.as_ref().map(|copy| {
            words.with(if copy.has_certificate { "wsus_has" } else { "wsus_lacks" }, &[("host", &copy.host)])
        });
        let not_after = finding.certificate.as_ref().and_then(|certificate| certificate.not_after);
        Finding { finding, counts, wsus, valid_until: not_after.map(|UtcTime(ms)| self.time(ms)) }
    }

    fn proof(&self, exemplar: &'a Exemplar) -> Proof<'a> {
        let position = RawPosition { partition: exemplar.partition, offset: exemplar.offset };
        let line = self.incident.lines.get(&position).map(|line| {
            // A tab ends a column here; it hides nothing.
            let line = line.replace('\t', "    ");
            let cut: String = line.chars().take(LINE_CHARS_MAX).collect();
            if cut.len() < line.len() { cut + " ..." } else { cut }
        });
        Proof { time: self.time(exemplar.time.0), exemplar, line }
    }

    fn detection(&self) -> Vec<String> {
        let Writer { incident, alert, words, .. } = *self;
        let detection = &alert.detection;
        let method = serde_json::to_value(detection.method).ok();
        let method = method.as_ref().and_then(Value::as_str).unwrap_or_default().replace('_', " ");
        let window = i64::try_from(detection.window_secs).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000);
        let seen = detection.seen_hosts.to_string();
        let opened = self.time(alert.time.opened.0);
        let mut said = vec![words.with(
            "detection_says",
            &[
                ("opened", &opened),
                ("seen", &seen),
                ("window", &self.span(window)),
                ("expected", &format!("{:.3}", detection.expected_hosts)),
                ("method", detection.rule.as_deref().unwrap_or(&method)),
            ],
        )];
        let nth = usize::try_from(detection.seen_hosts.saturating_sub(1)).unwrap_or(usize::MAX);
        if let Some(earliest) = incident.hosts.get(nth).and_then(|host| host.first_failure) {
            said.push(words.with(
                "detection_earliest",
                &[
                    ("seen", &seen),
                    ("earliest", &self.time(earliest)),
                    ("delay", &self.span(alert.time.opened.0 - earliest)),
                ],
            ));
        }
        said
    }

    fn hosts(&self) -> Vec<HostRow> {
        let time = |at: Option<i64>| at.map(|at| self.time(at)).unwrap_or_default();
        let hosts = self.incident.hosts.iter().take(HOSTS_SHOWN);
        hosts
            .map(|host| HostRow {
                name: host.name.clone(),
                failed: time(host.first_failure),
                code: host.code.clone(),
                recovered: time(host.recovered),
            })
            .collect()
    }

    fn leaves_out(&self) -> Vec<String> {
        let Writer { incident, alert, words, .. } = *self;
        let hosts = &alert.hosts;
        let affected = hosts.affected.to_string();
        let named = hosts.names.len().to_string();
        let mut said: Vec<String> = incident
            .gaps
            .iter()
            .map(|gap| match gap {
                Gap::NoSignals => words.get("gap_no_signals").to_owned(),
                Gap::NamesCut => words.with("gap_names_cut", &[("named", &named), ("affected", &affected)]),
                Gap::NoLines => words.get("gap_no_lines").to_owned(),
            })
            .collect();
        let missing = incident.hosts.iter().filter(|host| host.first_failure.is_none()).count() as u64;
        for (name, gap, count) in [
            ("gap_history", "missing", missing),
            ("gap_late", "late", alert.evidence.late_hosts),
            ("gap_chronic", "chronic", hosts.chronic_excluded),
            ("gap_unreadable", "unreadable", hosts.unreadable),
        ] {
            if count > 0 {
                said.push(words.with(name, &[(gap, &count.to_string())]));
            }
        }
        if alert.related.adopted {
            said.push(words.get("gap_adopted").to_owned());
        }
        said.push(words.get("gap_outside").to_owned());
        if words.get("lang") != "en" {
            said.push(words.get("gap_language").to_owned());
        }
        said
    }
}

fn capitalized(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    // A share that is neither none nor all must not look as if it were.
    if (percent > 0.0 && percent < 1.0) || (percent > 99.0 && percent < 100.0) {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_not_all_never_reads_as_all() {
        for (share, expect) in [(0.0, "0 %"), (0.004, "0.4 %"), (0.25, "25 %"), (0.995, "99.5 %"), (1.0, "100 %")] {
            assert_eq!(percent(share), expect);
        }
    }
}
