//! `report.html`: one page without script, style sheet or picture from elsewhere. The status page shows the same sections
//! of an incident, without the parts that a team fills in.

use serde::Serialize;
use serde_json::Value;
use wulog_schemas::alert::{CertificateFinding, Exemplar, Factor, IncidentKind, State, Step, UtcTime};
use wulog_schemas::signal::RawPosition;

use super::curve::Curve;
use super::sentences::SentenceData;
use super::timeline::{self, TimelineEntry};
use super::wording::Wording;
use super::{Gap, ReportData, ReportError, Style};
use crate::html::{self, OfflinePage};

const TEMPLATE: &str = include_str!("report.html");
/// The sections of an incident, which the report and the status page share.
const SECTIONS: &str = include_str!("incident.html");
/// The style sheet of the report and of the status page.
pub(crate) const STYLE: &str = include_str!("report.css");
/// Hosts in the page's table; `hosts.csv` has all of them.
const HOSTS_SHOWN: usize = 200;
/// Rows of the page's timeline; `timeline.jsonl` has all of them.
const TIMELINE_SHOWN: usize = 200;
/// Characters of a raw line that are quoted.
const LINE_CHARS_MAX: usize = 600;

/// The page's data. Templates escape every value; invisible characters have been made visible before.
#[derive(Serialize)]
struct ReportPage<'a> {
    w: &'a std::collections::BTreeMap<String, String>,
    id: &'a str,
    heading: String,
    sentences: Vec<String>,
    impact: Vec<(String, Vec<String>)>,
    curve: Option<String>,
    curve_bars: String,
    curve_missing: String,
    timeline: Vec<TableRow>,
    factors: Vec<Bars>,
    not_shared: Vec<String>,
    findings: Vec<Finding<'a>>,
    steps: Vec<Step>,
    evidence: Vec<EvidenceRow<'a>>,
    detection: Vec<String>,
    hosts: Vec<ReportHostRow>,
    hosts_listed: String,
    leaves_out: Vec<String>,
    times: String,
    source: String,
}

#[derive(Serialize)]
struct TableRow {
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
    says: String,
    fix: String,
    counts: String,
    wsus: Option<String>,
    valid_until: Option<String>,
}

#[derive(Serialize)]
struct EvidenceRow<'a> {
    time: String,
    exemplar: &'a Exemplar,
    subject: String,
    line: Option<String>,
}

#[derive(Serialize)]
struct ReportHostRow {
    name: String,
    /// The host's page, on the status page.
    href: Option<String>,
    failed: String,
    code: String,
    recovered: String,
}

/// Writes the page.
pub(super) fn html(incident: &ReportData, style: Style) -> Result<String, ReportError> {
    let mut data = data(incident, style)?;
    data["body"] = Value::String(html::fill("incident.html", SECTIONS, &data)?);
    let body = html::fill("report.html", TEMPLATE, &data)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let title = format!("{}: {} ({})", text(&data["w"]["title"]), text(&data["heading"]), text(&data["id"]));
    let page = OfflinePage { lang: &text(&data["w"]["lang"]), title: &title, style: STYLE, body: &body };
    Ok(page.html()?)
}

/// Writes the sections of the incident alone.
pub(super) fn sections(incident: &ReportData, style: Style) -> Result<String, ReportError> {
    Ok(html::fill("incident.html", SECTIONS, &data(incident, style)?)?)
}

fn data(incident: &ReportData, style: Style) -> Result<Value, ReportError> {
    let wording = Wording::of(style);
    let writer = SentenceData { incident, alert: incident.newest(), wording: &wording };
    Ok(html::data(&writer.page())?)
}

impl<'a> SentenceData<'a> {
    fn page(&self) -> ReportPage<'a> {
        let SentenceData { incident, alert, wording } = *self;
        let curve = Curve::of(incident);
        let hours = curve.as_ref().map(Curve::bar_hours).unwrap_or_default().to_string();
        let shown = incident.hosts.len().min(HOSTS_SHOWN).to_string();
        let affected = alert.hosts.affected.to_string();
        let curve_missing = match alert.kind {
            IncidentKind::Warning => "curve_warning",
            IncidentKind::Failures if incident.gaps.contains(&Gap::NoHosts) => "curve_elsewhere",
            IncidentKind::Failures => "curve_missing",
        };
        ReportPage {
            w: wording.words().all(),
            id: &alert.id,
            heading: self.heading(),
            sentences: self.happened(),
            impact: self.impact(),
            curve_bars: wording.with("curve_bars", &[("hours", &hours)]),
            curve: curve.map(|curve| curve.svg(incident, wording)),
            curve_missing: wording.get(curve_missing).to_owned(),
            timeline: self.timeline(),
            factors: alert.common_factors.iter().enumerate().map(|(at, factor)| self.bars(at, factor)).collect(),
            not_shared: self.not_shared(),
            findings: alert.certificates.iter().map(|finding| self.finding(finding)).collect(),
            steps: alert.remediation.iter().map(|step| self.step(step)).collect(),
            evidence: alert.evidence.exemplars.iter().map(|exemplar| self.proof(exemplar)).collect(),
            detection: self.detection(),
            hosts: self.hosts(),
            hosts_listed: wording.with("hosts_listed", &[("shown", &shown), ("all", &affected)]),
            times: wording.times(),
            source: wording.with(
                "source",
                &[
                    ("id", &alert.id),
                    ("seq", &alert.seq.to_string()),
                    ("version", &alert.detector.version),
                    ("replay", incident.replay.as_deref().unwrap_or(&alert.replay)),
                ],
            ),
            // This field comes last, since it lists the gaps of the fields before.
            leaves_out: self.leaves_out(),
        }
    }

    fn impact(&self) -> Vec<(String, Vec<String>)> {
        let SentenceData { alert, wording, .. } = *self;
        let hosts = &alert.hosts;
        let (name, of_active) = match alert.kind {
            IncidentKind::Failures => ("affected", "of_active"),
            IncidentKind::Warning => ("concerned", "of_clients"),
        };
        let of_active = wording.with(
            of_active,
            &[
                ("affected", &hosts.affected.to_string()),
                ("active", &hosts.active.to_string()),
                ("share", &wording.percent(hosts.share_of_active)),
            ],
        );
        let (duration, end) = match alert.state {
            State::Open => ("duration_open", alert.time.updated),
            _ => ("duration", alert.time.resolved.unwrap_or(alert.time.updated)),
        };
        let counted =
            |name: &str, hosts: u64| format!("{name}: {}", wording.with("counted", &[("hosts", &hosts.to_string())]));
        let codes = alert.codes.iter().map(|known| {
            let symbol = known.symbol.as_ref().map(|symbol| format!(" {symbol}")).unwrap_or_default();
            counted(&format!("{}{symbol}", known.code), known.hosts)
        });
        let subjects = alert
            .subjects
            .iter()
            .map(|known| counted(&wording.subject(&known.subject, known.name.as_deref()), known.hosts));
        // The certificates have a section of their own.
        let shared = alert.common_factors.iter().enumerate().find(|(_, factor)| factor.dimension != "certificate");
        let shared = shared.map(|(at, factor)| {
            let bars = self.bars(at, factor);
            vec![
                format!("{} {}", bars.dimension, bars.value),
                format!("{}: {}", wording.get("share_affected"), bars.affected),
                format!("{}: {}", wording.get("share_healthy"), bars.healthy),
            ]
        });
        let level = wording.level(alert.severity.level).to_owned();
        let reasons = alert.severity.reasons.iter().map(|reason| wording.phrase(reason));
        // A row without a number is left out.
        let number = |hosts: u64| if hosts == 0 { Vec::new() } else { vec![hosts.to_string()] };
        let of_failures = |lines: Vec<String>| if alert.kind == IncidentKind::Warning { Vec::new() } else { lines };
        let rows = [
            (name, vec![of_active]),
            ("shared_first", shared.unwrap_or_default()),
            ("recovered", of_failures(vec![hosts.recovered.to_string()])),
            ("failing", of_failures(vec![hosts.affected.saturating_sub(hosts.recovered).to_string()])),
            ("silent", number(hosts.silent)),
            ("chronic", number(hosts.chronic_excluded)),
            ("unreadable", number(hosts.unreadable)),
            (duration, vec![wording.span(end.0 - alert.time.onset.0)]),
            ("severity", std::iter::once(level).chain(reasons).collect()),
            ("codes", codes.collect()),
            ("subjects", subjects.collect()),
        ];
        let rows = rows.into_iter().filter(|(_, lines)| !lines.is_empty());
        rows.map(|(name, lines)| (wording.get(name).to_owned(), lines)).collect()
    }

    fn timeline(&self) -> Vec<TableRow> {
        let words = |entry: &TimelineEntry| match entry.kind {
            timeline::TimelineKind::Certificate => "kind_certificate",
            timeline::TimelineKind::Handling => "kind_handling",
            timeline::TimelineKind::Configuration => "kind_configuration",
            _ => "kind_document",
        };
        let mut entries = timeline::turning_points(self.incident, self.wording);
        entries
            .extend(timeline::of_incident(self.incident, self.wording).into_iter().map(|entry| (words(&entry), entry)));
        entries.sort_by_key(|(_, entry)| entry.at);
        let hidden = entries.len().saturating_sub(TIMELINE_SHOWN);
        let half = TIMELINE_SHOWN / 2;
        let shown = entries.into_iter().enumerate().filter(|(at, _)| *at < half || *at >= half + hidden);
        let row = |(word, entry): (&str, TimelineEntry)| TableRow {
            time: self.wording.time(entry.at),
            kind: self.wording.get(word).to_owned(),
            who: entry.who,
            says: entry.says,
        };
        shown.map(|(_, entry)| row(entry)).collect()
    }

    fn bars(&self, at: usize, factor: &Factor) -> Bars {
        let SentenceData { alert, wording, .. } = *self;
        let known = if factor.known_hosts > 0 { factor.known_hosts } else { alert.hosts.affected };
        let having = (factor.coverage * known as f64).round();
        let mut remarks = Vec::new();
        if let Some(other) = &factor.goes_along_with {
            let other = other.split_once('=').map_or(other.clone(), |(name, value)| wording.pair(name, value));
            remarks.push(wording.with("goes_along", &[("factor", &other)]));
        }
        if factor.untried_elsewhere {
            remarks.push(wording.get("untried").to_owned());
        }
        // Documents count the healthy hosts of the first factor only.
        let in_healthy = wording.percent(factor.in_healthy);
        let healthy = match at {
            0 => {
                let hosts = alert.contrast.same_first_factor_healthy_hosts.to_string();
                wording.with("counted_share", &[("hosts", &hosts), ("share", &in_healthy)])
            }
            _ => in_healthy,
        };
        let affected = wording.with(
            "of_known",
            &[
                ("having", &format!("{having:.0}")),
                ("known", &known.to_string()),
                ("share", &wording.percent(factor.coverage)),
            ],
        );
        Bars {
            dimension: wording.dimension(&factor.dimension),
            value: wording.factor(factor, alert),
            affected,
            affected_width: (factor.coverage * 100.0).clamp(0.0, 100.0),
            healthy,
            healthy_width: (factor.in_healthy * 100.0).clamp(0.0, 100.0),
            remarks,
        }
    }

    fn not_shared(&self) -> Vec<String> {
        let SentenceData { alert, wording, .. } = *self;
        let sentence = |name: &str, dimensions: &[String]| {
            (!dimensions.is_empty()).then(|| wording.with(name, &[("dimensions", &wording.dimensions(dimensions))]))
        };
        let said: Vec<String> =
            [sentence("not_shared_says", &alert.not_common), sentence("unknown_says", &alert.unknown)]
                .into_iter()
                .flatten()
                .collect();
        if said.is_empty() { vec![wording.get("nothing_not_shared").to_owned()] } else { said }
    }

    fn finding(&self, finding: &'a CertificateFinding) -> Finding<'a> {
        let SentenceData { alert, wording, .. } = *self;
        let counts = wording.with(
            "finding_counts",
            &[
                ("affected", &finding.affected_hosts.to_string()),
                ("affected_known", &finding.affected_known.to_string()),
                ("healthy", &finding.healthy_hosts.to_string()),
                ("healthy_known", &finding.healthy_known.to_string()),
            ],
        );
        let wsus = finding.wsus.as_ref().map(|copy| {
            wording.with(if copy.has_certificate { "wsus_has" } else { "wsus_lacks" }, &[("host", &copy.host)])
        });
        let not_after = finding.certificate.as_ref().and_then(|certificate| certificate.not_after);
        Finding {
            finding,
            says: wording.finding(finding, alert),
            fix: wording.phrase(&finding.fix),
            counts,
            wsus,
            valid_until: not_after.map(|UtcTime(ms)| wording.time(ms)),
        }
    }

    fn step(&self, step: &Step) -> Step {
        let phrase = |sentence: &String| self.wording.phrase(sentence);
        Step {
            check: phrase(&step.check),
            command: step.command.clone(),
            on: step.on.as_ref().map(phrase),
            answered: step.answered.as_ref().map(phrase),
        }
    }

    fn proof(&self, exemplar: &'a Exemplar) -> EvidenceRow<'a> {
        let position = RawPosition { partition: exemplar.partition, offset: exemplar.offset };
        let line = self.incident.lines.get(&position).map(|line| {
            // A tab ends a column here and hides nothing.
            let line = line.replace('\t', "    ");
            let cut: String = line.chars().take(LINE_CHARS_MAX).collect();
            if cut.len() < line.len() { cut + " ..." } else { cut }
        });
        let subject = self.wording.subject_of(&exemplar.subject, self.alert);
        EvidenceRow { time: self.wording.time(exemplar.time.0), exemplar, subject, line }
    }

    fn hosts(&self) -> Vec<ReportHostRow> {
        let time = |at: Option<i64>| at.map(|at| self.wording.time(at)).unwrap_or_default();
        let hosts = self.incident.hosts.iter().take(HOSTS_SHOWN);
        hosts
            .map(|host| ReportHostRow {
                name: host.name.clone(),
                href: self.incident.is_live.then(|| format!("/hosts/{}", path_segment(&host.name))),
                failed: time(host.first_failure),
                code: host.code.clone(),
                recovered: match host.recovered {
                    None if host.has_recovered => self.wording.get("yes").to_owned(),
                    recovered => time(recovered),
                },
            })
            .collect()
    }
}

/// A text as one part of a path: everything but letters and digits is escaped.
pub(crate) fn path_segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => segment.push(char::from(byte)),
            // A segment that consists of dots would name another folder.
            b'.' if text.bytes().any(|byte| byte != b'.') => segment.push('.'),
            _ => segment.push_str(&format!("%{byte:02X}")),
        }
    }
    segment
}

/// A share in percent.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    // A share between 0 and 1 must not be rounded to 0 % or 100 %.
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
    fn any_text_is_one_part_of_a_path() {
        for (text, expect) in [
            ("pc-1.corp.example", "pc-1.corp.example"),
            ("..", "%2E%2E"),
            ("a/b?c#d", "a%2Fb%3Fc%23d"),
            ("\"><script>", "%22%3E%3Cscript%3E"),
            ("b\u{fc}ro", "b%C3%BCro"),
        ] {
            assert_eq!(path_segment(text), expect);
        }
    }

    #[test]
    fn a_share_below_one_never_reads_as_100_percent() {
        for (share, expect) in [(0.0, "0 %"), (0.004, "0.4 %"), (0.25, "25 %"), (0.995, "99.5 %"), (1.0, "100 %")] {
            assert_eq!(percent(share), expect);
        }
    }
}
