//! The document of a warning: by the same contract as the document of an incident of failures, without failures.

use wulog_schemas::alert::{
    Alert, CertificateFinding, CertificateName, Condition, Contrast, Detection, Evidence, Growth, Handling, Hosts,
    IncidentKind, Level, Method, Related, SCHEMA, Severity, State, Step, Times, Transition, UtcTime, WsusCopy,
};
use wulog_schemas::hresult::Family;

use super::super::super::document::DocumentContext;
use super::super::super::durations::DAY_MS;
use super::super::super::stats::rounded;
use super::super::words;
use super::{GIVEN_UP_AFTER_MS, PUBLISHER, Warning, WarningCase};
use crate::report::capitalized;

/// How far before the warning a replay of the signals must begin: hosts repeat their inventories once a week.
const INVENTORIES_MS: i64 = 8 * DAY_MS;

/// The next document of a warning. `case` is its condition as inventories show it now; `None` where they no longer show
/// it.
pub(super) fn of_warning(
    id: &str,
    warning: &Warning,
    case: Option<&WarningCase>,
    transition: Transition,
    context: &DocumentContext<'_>,
) -> Alert {
    let (fleet, now) = (context.fleet, context.now);
    let replay = format!(
        "wulog-processor replay --config processor.toml --stage signals --since {} --until {} --alerts-out -",
        UtcTime(warning.opened_at - INVENTORIES_MS),
        UtcTime(now + 1), // + 1, since a range ends before its end
    );
    let mut names: Vec<&str> =
        case.map_or(&[][..], |case| &case.affected).iter().map(|host| fleet.hosts[*host as usize].name()).collect();
    names.sort_unstable();
    let (affected, known) = match case {
        Some(case) => (case.affected.len() as u64, case.known),
        None => (warning.hosts, warning.hosts),
    };
    let is_over = warning.state != State::Open;
    let finding = finding(warning, case, (affected, known), now);
    let (family, condition_secs) = match (warning.method, &context.config.certificate_warnings) {
        (Method::CertificateExpires, config) => {
            (Family::Expired, config.as_ref().map_or(0, |config| u64::from(config.expires_within_days) * 24 * 3600))
        }
        (_, config) => {
            (Family::UntrustedRoot, config.as_ref().map_or(0, |config| u64::from(config.missing_after_hours) * 3600))
        }
    };
    Alert {
        schema: SCHEMA.to_owned(),
        id: id.to_owned(),
        seq: warning.seq + 1,
        kind: IncidentKind::Warning,
        state: warning.state,
        transition,
        summary: summary(warning, &finding, now),
        family,
        families: vec![family],
        severity: severity(warning, case, (affected, known), context),
        time: Times {
            onset: UtcTime(warning.opened_at),
            ongoing_at_start: false,
            last_new_host: UtcTime(now),
            opened: UtcTime(warning.opened_at),
            updated: UtcTime(now),
            resolved: warning.ended_at.map(UtcTime),
        },
        hosts: Hosts {
            affected,
            active: known,
            share_of_active: rounded(affected as f64 / known.max(1) as f64),
            new_since_last: affected.saturating_sub(warning.hosts),
            recovered: if warning.state == State::Resolved { affected } else { 0 },
            silent: 0,
            chronic_excluded: 0,
            unreadable: 0,
            names_complete: names.len() as u64 == affected && names.len() <= context.names_max,
            full_list: (names.len() > context.names_max).then(|| format!("{replay} --all-hosts")),
            names: names.into_iter().take(context.names_max).map(str::to_owned).collect(),
            silent_names: Vec::new(),
        },
        growth: Growth { doubling_secs: None, hosts_in_last_hour: 0 },
        detection: Detection {
            method: warning.method,
            rule: None,
            rules_met: Vec::new(),
            window_secs: condition_secs,
            seen_hosts: affected,
            expected_hosts: 0.0,
            p_value: 1.0,
            alpha: 1.0,
            history_hosts: 0,
            history_active_quarter_hours: 0,
        },
        codes: Vec::new(),
        subjects: Vec::new(),
        common_factors: Vec::new(),
        not_common: Vec::new(),
        unknown: Vec::new(),
        contrast: Contrast { same_subject_succeeded_hosts: 0, same_first_factor_healthy_hosts: 0 },
        evidence: Evidence { ranges: Vec::new(), exemplars: Vec::new(), late_hosts: 0 },
        remediation: if is_over { Vec::new() } else { steps(warning) },
        certificates: vec![finding],
        replay,
        related: Related::default(),
        handling: Handling::default(),
        detector: context.provenance.clone(),
    }
}

fn finding(
    warning: &Warning,
    case: Option<&WarningCase>,
    (affected_hosts, affected_known): (u64, u64),
    now: i64,
) -> CertificateFinding {
    let in_publishers = case.map_or(0, |case| case.in_publishers);
    // Where most hosts lack the certificate in Trusted Root alone, the finding names that store.
    let is_of_root = warning.method == Method::CertificateMissing && 2 * in_publishers > affected_hosts;
    let condition = match warning.method {
        Method::CertificateExpires => Condition::Expires,
        _ => Condition::Missing,
    };
    let mut finding = CertificateFinding {
        condition,
        says: String::new(),
        fix: String::new(),
        certificate: Some(CertificateName {
            sha1: warning.sha1.clone(),
            subject: warning.subject.clone(),
            not_after: warning.not_after.map(UtcTime),
        }),
        store: Some(if is_of_root { "Root" } else { PUBLISHER }.to_owned()),
        also_missing_in: Vec::new(),
        present_in: Vec::new(),
        former: None,
        shown_elsewhere: None,
        affected_hosts,
        affected_known,
        healthy_hosts: 0,
        healthy_known: 0,
        p_value: 1.0,
        since: case.and_then(|case| case.since).filter(|since| *since > 0).map(UtcTime),
        wsus: (!warning.wsus.is_empty()).then(|| WsusCopy { host: warning.wsus.clone(), has_certificate: true }),
        file_signer: None,
    };
    finding.says = words::warns(&finding, now);
    finding.fix = words::fix(&finding, None);
    finding
}

fn summary(warning: &Warning, finding: &CertificateFinding, now: i64) -> String {
    let name = finding.certificate.as_ref().map(words::certificate).unwrap_or_default();
    match (warning.state, warning.method) {
        (State::Open, Method::CertificateExpires) => {
            let says = capitalized(&finding.says);
            format!(
                "Warning: {says} From then on it signs nothing more, and updates that it signed without a time stamp fail."
            )
        }
        (State::Open, _) => {
            let says = capitalized(&finding.says);
            format!("Warning: {says} Updates that it signs will fail there with CERT_E_UNTRUSTEDROOT.")
        }
        (State::Resolved, Method::CertificateExpires) => {
            format!("The certificate {name} is not in use any more, or was renewed.")
        }
        (State::Resolved, _) => {
            format!("The certificate {name} has reached nearly all clients, or is not used for signing any more.")
        }
        (_, Method::CertificateExpires) if warning.not_after.is_some_and(|end| end <= now - GIVEN_UP_AFTER_MS) => {
            format!("The certificate {name} has expired and is still in use; it is not watched any longer.")
        }
        _ => format!("The warning of the certificate {name} was given up: no inventory tells any longer."),
    }
}

fn severity(
    warning: &Warning,
    case: Option<&WarningCase>,
    (affected, known): (u64, u64),
    context: &DocumentContext<'_>,
) -> Severity {
    let Some(case) = case.filter(|_| warning.state == State::Open) else {
        return Severity { level: Level::Low, reasons: vec!["it is over".to_owned()] };
    };
    let reason = match case.method {
        Method::CertificateExpires => {
            let left_ms = warning.not_after.map_or(0, |end| end - context.now);
            format!("{} until the certificate expires", words::days(left_ms.max(0)))
        }
        _ => format!("{affected} of {known} clients with an inventory lack the certificate"),
    };
    Severity {
        level: case.level(context.certificates, context.now),
        reasons: vec!["a warning: no failure has opened it".to_owned(), reason],
    }
}

/// The steps before hosts fail.
fn steps(warning: &Warning) -> Vec<Step> {
    let step = |check: &str, command: &str, on: &str| Step {
        check: check.to_owned(),
        command: Some(command.to_owned()),
        on: Some(on.to_owned()),
        answered: None,
    };
    let wsus = match warning.wsus.as_str() {
        "" => "the WSUS server".to_owned(),
        name => format!("the WSUS server ({name})"),
    };
    let on_wsus = |check: &str| step(check, "certutil -store WSUS", &wsus);
    let on_client = |check: &str, command: &str| step(check, command, "a client of this server");
    let delivered = on_client(
        "Does a GPO deliver the certificate to Trusted Root and Trusted Publishers, and does this GPO reach the host?",
        "gpresult /scope computer /h gp.html /f",
    );
    match warning.method {
        Method::CertificateExpires => vec![
            on_wsus(
                "Which certificate signs updates? Make or import its successor with the tool that publishes, before the end \
                 of its validity.",
            ),
            delivered,
            on_client(
                "Is the successor in Trusted Publishers, beside the former certificate? Deliver it before the first update \
                 is signed with it.",
                "certutil -store TrustedPublisher",
            ),
            on_wsus(
                "Then publish the updates again that clients still need, signed by the successor and with a time stamp.",
            ),
        ],
        _ => vec![
            on_wsus("Which certificate signs updates? Clients need the one with this very thumbprint, in two stores."),
            delivered,
            on_client("Is it in Trusted Publishers?", "certutil -store TrustedPublisher"),
            on_client("Is it in Trusted Root of the computer?", "certutil -store Root"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postmortem::has_german;

    #[test]
    fn every_step_has_a_german_sentence() {
        for method in [Method::CertificateExpires, Method::CertificateMissing] {
            for wsus in ["", "wsus-2"] {
                let warning = Warning {
                    method,
                    sha1: "e6b6".to_owned(),
                    subject: "CN=A".to_owned(),
                    not_after: None,
                    wsus: wsus.to_owned(),
                    state: State::Open,
                    seq: 1,
                    opened_at: 0,
                    ended_at: None,
                    level: Level::Low,
                    hosts: 1,
                };
                for step in steps(&warning) {
                    assert!(has_german(&step.check), "{:?}", step.check);
                    assert!(step.on.as_deref().is_some_and(has_german), "{:?}", step.on);
                }
            }
        }
        for hours in [1, 5, 72] {
            let reason = format!("{} until the certificate expires", words::days(hours * 3_600_000));
            assert!(has_german(&reason), "{reason:?}");
        }
    }
}
