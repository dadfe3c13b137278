//! The summary of a document in the language of the channel.

use wulog_schemas::alert::{Alert, IncidentKind, State};

use crate::language::Language;
use crate::postmortem;

/// One sentence: how many hosts of how many fail, with which code, since when, and with which common factor.
pub(super) fn summary(alert: &Alert, language: Language) -> String {
    match language {
        Language::En => alert.summary.clone(),
        Language::De => german(alert),
    }
}

/// The first sentences of the German report, behind the state.
fn german(alert: &Alert) -> String {
    let mark = if alert.summary.starts_with("TEST ") { "TEST dieses Kanals, kein Vorfall. " } else { "" };
    let warning = if alert.kind == IncidentKind::Warning { "Warnung: " } else { "" };
    let beginning = match alert.state {
        State::Open => "",
        State::Resolved => "Behoben: ",
        State::Expired => "Aufgegeben: ",
        State::Merged => "Geht in einem anderen Vorfall auf: ",
    };
    format!("{mark}{beginning}{warning}{}", postmortem::what_and_why(alert, Language::De))
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
        let hosts = format!("{} von {} aktiven Rechnern", alert.hosts.affected, alert.hosts.active);
        let subject = alert.subjects[0].name.clone().unwrap_or_default();
        let factor = &alert.common_factors[0];
        assert_eq!(factor.dimension, "wsus");
        let cause = format!("WSUS-Server {}", factor.value);
        for part in ["Behoben: Seit ", &hosts, &subject, &alert.codes[0].code, &cause] {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
        assert_eq!(summary(&alert, Language::En), alert.summary);
    }
}
