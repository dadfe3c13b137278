//! Figures of the Detector for `/metrics`: hosts by state, open incidents by family and severity, and counts of ignored
//! signals.

use std::collections::BTreeMap;

use super::config::DetectorConfig;
use super::durations::secs_to_ms;
use super::fleet::HostState;
use super::{DetectorState, budget};
use crate::machine::Figure;

/// The figures. Labels are families, severities and states, so their number does not depend on the number of hosts.
pub(super) fn figures(state: &DetectorState, config: &DetectorConfig) -> Vec<Figure> {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let plain = |name: &'static str, value: i64| Figure { name, labels: Vec::new(), value };
    let counter = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut open: BTreeMap<(&'static str, String), i64> = BTreeMap::new();
    for incident in state.incidents.all().filter(|incident| incident.is_open()) {
        let severity = incident.severity_min.to_string();
        *open.entry((incident.family.as_str(), severity)).or_default() += 1;
    }
    let mut figures = vec![
        plain("hosts", number(state.fleet.hosts_known())),
        plain("signals_unreadable", counter(state.counts.unreadable)),
        plain("signals_impossible_times", counter(state.counts.impossible_times)),
        plain("hosts_beyond_limits", counter(state.counts.beyond_limits)),
        plain("hosts_forgotten", counter(state.counts.hosts_forgotten)),
        plain("strings_forgotten", counter(state.counts.strings_forgotten)),
        plain("memory_bytes", counter(state.bytes())),
        plain("memory_bytes_max", counter(budget::bytes_max(config))),
        plain("records_skipped", counter(state.counts.skipped)),
        plain("incidents_open", open.values().sum()),
        plain("certificate_warnings_open", number(state.warnings.open_count())),
    ];
    let heard_since = state.log_time.saturating_sub(secs_to_ms(config.silent_secs));
    let by_state = state.fleet.by_state(heard_since);
    figures.extend(HostState::ALL.into_iter().zip(by_state).map(|(state, hosts)| Figure {
        name: "hosts_by_state",
        labels: vec![("state", state.as_str().to_owned())],
        value: number(hosts),
    }));
    figures.extend(open.into_iter().map(|((family, severity), value)| Figure {
        name: "incidents_open_by_family",
        labels: vec![("family", family.to_owned()), ("severity_at_least", severity)],
        value,
    }));
    figures
}
