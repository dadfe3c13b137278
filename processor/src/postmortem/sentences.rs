//! The sentences of the report: the incident, its detection, and the gaps of the report.

use wulog_schemas::alert::{Alert, IncidentKind, State};

use super::wording::Wording;
use super::{Gap, ReportData};

/// The data of an incident's sentences.
#[derive(Clone, Copy)]
pub(super) struct SentenceData<'a> {
    pub(super) incident: &'a ReportData,
    /// The newest document.
    pub(super) alert: &'a Alert,
    pub(super) wording: &'a Wording,
}

impl SentenceData<'_> {
    /// The heading of the page: the update, or the certificate of a warning.
    pub(super) fn heading(&self) -> String {
        let SentenceData { alert, wording, .. } = *self;
        let certificate = alert.certificates.first().and_then(|finding| finding.certificate.as_ref());
        match (alert.subjects.first(), certificate) {
            (Some(known), _) => wording.short_subject(&known.subject, known.name.as_deref()),
            (None, Some(certificate)) if !certificate.subject.is_empty() => certificate.subject.clone(),
            _ => wording.get(&format!("family_{}", alert.family)).to_owned(),
        }
    }

    /// Three sentences: the failure, its cause, and its end.
    pub(super) fn happened(&self) -> Vec<String> {
        match self.alert.kind {
            IncidentKind::Failures => vec![self.failed(), self.cause(), self.ended()],
            IncidentKind::Warning => vec![
                self.alert
                    .certificates
                    .first()
                    .map(|found| self.wording.finding(found, self.alert))
                    .unwrap_or_default(),
                self.wording.get("sentence_warning").to_owned(),
                self.ended(),
            ],
        }
    }

    fn failed(&self) -> String {
        let SentenceData { alert, wording, .. } = *self;
        let hosts = &alert.hosts;
        let subject = alert.subjects.first();
        let subject = wording
            .short_subject(subject.map_or("", |known| &known.subject), subject.and_then(|known| known.name.as_deref()));
        wording.with(
            "sentence_failed",
            &[
                ("onset", &wording.moment(alert.time.onset.0)),
                ("affected", &hosts.affected.to_string()),
                ("active", &hosts.active.to_string()),
                ("share", &wording.percent(hosts.share_of_active)),
                ("subject", &subject),
                ("code", &wording.code(alert)),
            ],
        )
    }

    fn cause(&self) -> String {
        let SentenceData { alert, wording, .. } = *self;
        match (alert.certificates.first(), alert.common_factors.first()) {
            (Some(finding), _) => wording.brief(finding, alert),
            (None, Some(factor)) => wording.with(
                "sentence_factor",
                &[
                    ("coverage", &wording.percent(factor.coverage)),
                    ("healthy", &wording.percent(factor.in_healthy)),
                    ("dimension", &wording.dimension(&factor.dimension)),
                    ("value", &wording.factor(factor, alert)),
                ],
            ),
            (None, None) => wording.get("sentence_no_factor").to_owned(),
        }
    }

    fn ended(&self) -> String {
        let SentenceData { alert, wording, .. } = *self;
        let hosts = &alert.hosts;
        let name = match (alert.kind, alert.state) {
            (IncidentKind::Failures, State::Open) => "sentence_open",
            (IncidentKind::Failures, State::Resolved) => "sentence_resolved",
            (IncidentKind::Failures, State::Expired) => "sentence_expired",
            (IncidentKind::Failures, State::Merged) => "sentence_merged",
            (IncidentKind::Warning, State::Open) => "warning_open",
            (IncidentKind::Warning, State::Resolved) => "warning_resolved",
            (IncidentKind::Warning, State::Expired | State::Merged) => "warning_expired",
        };
        wording.with(
            name,
            &[
                ("opened", &wording.moment(alert.time.opened.0)),
                ("ended", &wording.moment(alert.time.resolved.unwrap_or(alert.time.updated).0)),
                ("recovered", &hosts.recovered.to_string()),
                ("failing", &hosts.affected.saturating_sub(hosts.recovered).to_string()),
                ("into", alert.related.merged_into.as_deref().unwrap_or("-")),
            ],
        )
    }

    /// The reason and the time of the detection, and the earliest possible time.
    pub(super) fn detection(&self) -> Vec<String> {
        let SentenceData { incident, alert, wording, .. } = *self;
        let detection = &alert.detection;
        let (opened, method) = (wording.moment(alert.time.opened.0), wording.method(detection));
        if alert.kind == IncidentKind::Warning {
            return vec![wording.with("detection_warns", &[("opened", &opened), ("method", &method)])];
        }
        let window = i64::try_from(detection.window_secs).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000);
        let seen = detection.seen_hosts.to_string();
        let mut said = vec![wording.with(
            "detection_says",
            &[
                ("opened", &opened),
                ("seen", &seen),
                ("window", &wording.span(window)),
                ("expected", &wording.decimal(&format!("{:.3}", detection.expected_hosts))),
                ("method", &method),
            ],
        )];
        let nth = usize::try_from(detection.seen_hosts.saturating_sub(1)).unwrap_or(usize::MAX);
        if let Some(earliest) = incident.hosts.get(nth).and_then(|host| host.first_failure) {
            said.push(wording.with(
                "detection_earliest",
                &[
                    ("seen", &seen),
                    ("earliest", &wording.moment(earliest)),
                    ("delay", &wording.span(alert.time.opened.0 - earliest)),
                ],
            ));
        }
        said
    }

    /// The gaps of the report. The function must be called last, since it also reports sentences that were quoted in
    /// English.
    pub(super) fn leaves_out(&self) -> Vec<String> {
        let SentenceData { incident, alert, wording, .. } = *self;
        let hosts = &alert.hosts;
        let affected = hosts.affected.to_string();
        let named = hosts.names.len().to_string();
        let mut said: Vec<String> = incident
            .gaps
            .iter()
            .map(|gap| match gap {
                Gap::NoSignals => wording.get("gap_no_signals").to_owned(),
                Gap::NamesCut => wording.with("gap_names_cut", &[("named", &named), ("affected", &affected)]),
                Gap::NoLines => wording.get("gap_no_lines").to_owned(),
                Gap::NoHosts => wording.get("gap_no_hosts").to_owned(),
                Gap::NewestSuccess => wording.get("gap_newest_success").to_owned(),
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
                said.push(wording.with(name, &[(gap, &count.to_string())]));
            }
        }
        if alert.related.adopted {
            said.push(wording.get("gap_adopted").to_owned());
        }
        said.push(wording.get("gap_outside").to_owned());
        if wording.has_quoted() {
            said.push(wording.get("gap_language").to_owned());
        }
        said
    }
}
