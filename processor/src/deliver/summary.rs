//! The summary of a document in the language of the channel.

use wulog_schemas::alert::{Alert, IncidentKind, Method, State};

use super::config::Language;

/// One sentence: how many of how many, at which code, since when, what they share.
pub(super) fn summary(alert: &Alert, language: Language) -> String {
    match language {
        Language::En => alert.summary.clone(),
        Language::De => german(alert),
    }
}

fn german(alert: &Alert) -> String {
    let hosts = &alert.hosts;
    let onset = alert.time.onset.to_string();
    let since = format!("{} {} UTC", &onset[..10], &onset[11..16]);
    let code = alert.codes.first().map_or_else(String::new, |count| match &count.symbol {
        Some(symbol) => format!(" mit {} {symbol}", count.code),
        None => format!(" mit {}", count.code),
    });
    let shared = alert.common_factors.first().map_or_else(
        || "; nichts Gemeinsames fällt auf".to_owned(),
        |factor| format!("; gemeinsam: {} {} ({:.0} %)", factor.dimension, factor.value, factor.coverage * 100.0),
    );
    let beginning = match alert.state {
        State::Open => "",
        State::Resolved => "Behoben: ",
        State::Expired => "Aufgegeben: ",
        State::Merged => "Geht in einem anderen Vorfall auf: ",
    };
    if alert.kind == IncidentKind::Warning {
        return format!("{beginning}{}", german_warning(alert));
    }
    let mark = if alert.summary.starts_with("TEST ") { "TEST dieses Kanals, kein Vorfall. " } else { "" };
    format!(
        "{mark}{beginning}{} von {} aktiven Rechnern vertrauen Zertifikaten nicht ({}){code} seit {since}{shared}",
        hosts.affected, hosts.active, alert.family
    )
}

fn german_warning(alert: &Alert) -> String {
    let hosts = &alert.hosts;
    let finding = alert.certificates.first();
    let certificate = finding.and_then(|finding| finding.certificate.as_ref());
    let name = certificate.map_or_else(String::new, |certificate| {
        format!(" {} (Fingerabdruck {})", certificate.subject, certificate.sha1)
    });
    let until = certificate.and_then(|certificate| certificate.not_after).map(|end| end.to_string()[..10].to_owned());
    let signs = finding
        .and_then(|finding| finding.wsus.as_ref())
        .map_or_else(String::new, |copy| format!(", mit dem der WSUS-Rechner {} Updates signiert,", copy.host));
    let what = match alert.detection.method {
        Method::CertificateExpires => format!(
            "läuft am {} ab; {} von {} Rechnern mit Inventar vertrauen ihm",
            until.unwrap_or_default(),
            hosts.affected,
            hosts.active
        ),
        _ => format!("fehlt auf {} von {} Clients mit Inventar", hosts.affected, hosts.active),
    };
    format!("Warnung: Das Zertifikat{name}{signs} {what}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::sample::sample;
    use wulog_schemas::alert::{Level, Transition};

    #[test]
    fn a_summary_names_hosts_code_and_cause_in_german() {
        let alert = sample("a", 1, Transition::Resolved, Level::Low);
        let text = summary(&alert, Language::De);
        let factor = &alert.common_factors[0];
        let hosts = format!("Behoben: {} von {} aktiven Rechnern", alert.hosts.affected, alert.hosts.active);
        for part in [hosts.as_str(), &alert.codes[0].code, &factor.value, "gemeinsam"] {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
        assert_eq!(summary(&alert, Language::En), alert.summary);
    }
}
