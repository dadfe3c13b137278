//! The summary of a document in the language of the channel.

use wulog_schemas::alert::{Alert, State};

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
    let mark = if alert.summary.starts_with("TEST ") { "TEST dieses Kanals, kein Vorfall. " } else { "" };
    format!(
        "{mark}{beginning}{} von {} aktiven Rechnern vertrauen Zertifikaten nicht ({}){code} seit {since}{shared}",
        hosts.affected, hosts.active, alert.family
    )
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
