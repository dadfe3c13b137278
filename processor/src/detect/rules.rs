//! The operator's rules: at least so many distinct hosts, or such a share of the active ones, newly failing within a
//! time.
//!
//! Rules complement the statistics and count the same onsets, including those of open incidents. A rule that hosts of
//! an open incident meet raises the severity of this incident and is named in it; a rule that hosts without an incident
//! meet opens one. So one cause stays one incident. Counts are exact: a host counts once, and a window may begin at any
//! time.

use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::alert::Method;
use wulog_schemas::hresult::Family;

use super::activity::quarter;
use super::config::{DetectorConfig, Rule};
use super::durations::secs_to_ms;
use super::evidence::Onsets;
use super::factors::split_subject;
use super::fleet::{Fleet, HostIndex};
use super::fleet_view::FleetView;
use super::incident::Incident;
use super::onset::Onset;
use super::significance::Cluster;

/// Number of hosts of an incident below which rules are checked at each new host. Larger incidents are checked at each
/// sixteenth part more; otherwise a large outbreak would be counted again for each of its hosts.
const EACH_HOST_BELOW: u64 = 64;

/// An onset that a rule counts.
#[derive(Clone, Copy)]
struct Sight<'a> {
    onset: &'a Onset,
    /// Whether the onset belongs to no incident.
    loose: bool,
}

/// A window in which a rule is met.
struct Window {
    from: i64,
    end: i64,
    hosts: u64,
}

/// Names of the rules that `incident` newly meets with its member `trigger`.
pub(super) fn met_by(
    incident: &Incident,
    trigger: &Onset,
    family: Family,
    others: &[&Incident],
    onsets: Option<&Onsets>,
    view: FleetView<'_>,
) -> Vec<String> {
    let FleetView { fleet, config, .. } = view;
    let rules = config.rules.iter().filter(|rule| !incident.rules_met.contains(&rule.name));
    let met = rules.filter(|rule| {
        let all = others.iter().copied().chain([incident]);
        look(rule, trigger, family, all, onsets, fleet).is_some()
    });
    met.map(|rule| rule.name.clone()).collect()
}

/// Whether the rules are to be checked for an incident again.
pub(super) fn are_due(incident: &Incident, config: &DetectorConfig) -> bool {
    let hosts = incident.hosts();
    let step = if hosts < EACH_HOST_BELOW { 1 } else { hosts / 16 };
    !config.rules.is_empty() && hosts >= incident.rules_hosts + step
}

/// Takes out the loose hosts with which the loose onset `trigger` meets a rule; the significance names the rule.
pub(super) fn cluster_at(
    trigger: &Onset,
    family: Family,
    open: &[&Incident],
    onsets: &mut Onsets,
    view: FleetView<'_>,
) -> Option<Cluster> {
    let FleetView { fleet, config, .. } = view;
    for rule in &config.rules {
        let Some((window, sights)) = look(rule, trigger, family, open.iter().copied(), Some(onsets), fleet) else {
            continue;
        };
        let inside = |sight: &&Sight<'_>| sight.onset.time > window.from && sight.onset.time <= window.end;
        let core: Vec<Onset> =
            sights.iter().filter(inside).filter(|sight| sight.loose).map(|sight| sight.onset.clone()).collect();
        let loose = core.iter().map(|onset| onset.host).collect::<BTreeSet<_>>().len() as u64;
        // Rules that are met only with hosts of open incidents are checked for these incidents. An incident is opened
        // where the loose hosts are `min_hosts`, or all hosts of the window.
        if loose < rule.min_hosts && loose < window.hosts {
            continue;
        }
        let mut significance = onsets.compare(window.hosts, window.from, window.end, Method::Rule, view);
        significance.rule = Some(rule.name.clone());
        return Some(onsets.take(significance, core, window.end, config));
    }
    None
}

/// The window with most hosts in which `trigger` meets the rule, and all onsets that it counts.
fn look<'a>(
    rule: &Rule,
    trigger: &Onset,
    family: Family,
    incidents: impl Iterator<Item = &'a Incident>,
    onsets: Option<&'a Onsets>,
    fleet: &Fleet,
) -> Option<(Window, Vec<Sight<'a>>)> {
    if !(rule.families.is_empty() || rule.families.contains(&family)) || !has_all(rule, trigger, fleet) {
        return None;
    }
    let within = secs_to_ms(rule.within_secs);
    let (from, to) = (trigger.time.saturating_sub(within), trigger.time.saturating_add(within - 1));
    let loose = onsets.into_iter().flat_map(|onsets| onsets.within(from, to));
    let of_incidents = incidents
        .filter(|incident| incident.is_open() && incident.families.contains(&family))
        .flat_map(|incident| incident.members.values())
        .map(|member| &member.onset)
        .filter(|onset| onset.time > from && onset.time <= to);
    let sights: Vec<Sight<'a>> = loose
        .map(|onset| Sight { onset, loose: true })
        .chain(of_incidents.map(|onset| Sight { onset, loose: false }))
        .filter(|sight| has_all(rule, sight.onset, fleet))
        .collect();
    if (sights.len() as u64) < rule.min_hosts {
        return None;
    }
    let Some(by) = &rule.by else {
        return window(rule, None, trigger, &sights, fleet).map(|window| (window, sights));
    };
    for value in values_of(by, trigger, fleet) {
        let alike: Vec<Sight<'a>> =
            sights.iter().copied().filter(|sight| values_of(by, sight.onset, fleet).contains(&value)).collect();
        if let Some(window) = window(rule, Some((by, value)), trigger, &alike, fleet) {
            return Some((window, alike));
        }
    }
    None
}

/// The window of the rule's length that holds the trigger and most distinct hosts, if they are enough.
fn window(
    rule: &Rule,
    by: Option<(&str, &str)>,
    trigger: &Onset,
    sights: &[Sight<'_>],
    fleet: &Fleet,
) -> Option<Window> {
    let within = secs_to_ms(rule.within_secs);
    let mut times: Vec<(i64, HostIndex)> = sights.iter().map(|sight| (sight.onset.time, sight.onset.host)).collect();
    times.sort_unstable();
    let (mut first, mut inside, mut best) = (0, BTreeMap::<HostIndex, u64>::new(), None::<Window>);
    for &(end, host) in &times {
        *inside.entry(host).or_default() += 1;
        while times[first].0 <= end - within {
            if let Some(count) = inside.get_mut(&times[first].1) {
                *count -= 1;
                if *count == 0 {
                    inside.remove(&times[first].1);
                }
            }
            first += 1;
        }
        let hosts = inside.len() as u64;
        if end >= trigger.time && best.as_ref().is_none_or(|best| hosts > best.hosts) {
            best = Some(Window { from: end - within, end, hosts });
        }
    }
    let best = best.filter(|best| best.hosts >= rule.min_hosts)?;
    let enough = rule.min_share <= 0.0
        || best.hosts as f64 >= rule.min_share * active(rule, by, best.from, fleet).max(best.hosts) as f64;
    enough.then_some(best)
}

/// Number of hosts active since `from` that the rule covers. A subject is no property of a host, so it restricts
/// nothing here.
fn active(rule: &Rule, by: Option<(&str, &str)>, from: i64, fleet: &Fleet) -> u64 {
    let wanted: Vec<(&str, &str)> =
        rule.dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(by).collect();
    let wanted: Vec<(&str, &str)> = wanted.into_iter().filter(|(name, _)| !is_subject(name)).collect();
    if wanted.is_empty() {
        return fleet.activity.hosts_since(from);
    }
    let since = quarter(from);
    let hosts = (0..).zip(&fleet.hosts).filter(|(_, host)| host.activity.latest().is_some_and(|at| at >= since));
    hosts.filter(|(host, _)| wanted.iter().all(|(name, value)| host_has(*host, name, value, fleet))).count() as u64
}

pub(crate) fn is_subject(name: &str) -> bool {
    matches!(name, "update" | "file" | "server")
}

/// Each rule that cannot fire, with a dimension of it that is not among the `reported` ones.
pub(crate) fn unreported<'a>(config: &'a DetectorConfig, reported: &BTreeSet<&str>) -> Vec<(&'a Rule, &'a str)> {
    let dimensions = config
        .rules
        .iter()
        .flat_map(|rule| rule.dimensions.keys().chain(&rule.by).map(move |name| (rule, name.as_str())));
    dimensions.filter(|(_, name)| !is_subject(name) && !reported.contains(name)).collect()
}

fn has_all(rule: &Rule, onset: &Onset, fleet: &Fleet) -> bool {
    rule.dimensions.iter().all(|(name, value)| {
        split_subject(fleet.strings.text(onset.subject)) == (name.as_str(), value.as_str())
            || host_has(onset.host, name, value, fleet)
    })
}

fn host_has(host: HostIndex, name: &str, value: &str, fleet: &Fleet) -> bool {
    let pairs = fleet.traits_of(host).iter().chain(fleet.operations_of(host));
    pairs.into_iter().any(|pair| fleet.strings.text(pair.0) == name && fleet.strings.text(pair.1) == value)
}

/// The values of a dimension that the host of an onset has, or the onset itself by its subject.
fn values_of<'a>(name: &str, onset: &Onset, fleet: &'a Fleet) -> Vec<&'a str> {
    let pairs = fleet.traits_of(onset.host).iter().chain(fleet.operations_of(onset.host));
    let of_host = pairs.filter(|pair| fleet.strings.text(pair.0) == name).map(|pair| fleet.strings.text(pair.1));
    let (kind, rest) = split_subject(fleet.strings.text(onset.subject));
    of_host.chain((kind == name).then_some(rest)).collect()
}

#[cfg(test)]
mod tests {
    use wulog_schemas::signal::HostRefRef;

    use super::*;
    use crate::detect::DetectorLimits;

    #[test]
    fn a_dimension_that_no_host_has_is_found() {
        let (mut fleet, limits) = (Fleet::new(), DetectorLimits::default());
        let host = fleet.host(HostRefRef { id: "a", name: "pc-1" }, 0, &limits).unwrap();
        fleet.set_dimensions(host, &[("label.ring", "pilot"), ("wsus", "wsus-ber:8530")], &limits);
        let rule = |name: &str, dimensions: &str| {
            format!("[[rules]]\nname = '{name}'\nmin_hosts = 2\nwithin_secs = 60\n{dimensions}\n")
        };
        let rules = [
            rule("ring", "where = { 'label.Ring' = 'pilot' }"),
            rule("server", "where = { wsus = 'wsus-ber:8530', server = 'x' }\nby = 'label.ring'"),
            rule("site", "by = 'label.site'"),
        ];
        let config: DetectorConfig = toml::from_str(&rules.concat()).unwrap();
        let reported = fleet.sets().names().map(|name| fleet.strings.text(name)).collect();
        let found: Vec<_> =
            unreported(&config, &reported).into_iter().map(|(rule, name)| (&*rule.name, name)).collect();
        assert_eq!(found, [("ring", "label.Ring"), ("site", "label.site")]);
    }
}
