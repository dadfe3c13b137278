//! Hosts that failed and then went silent.
//!
//! A client that trusts no update any more may stop scanning altogether, and a client that does not scan does not fail.
//! So the hosts are counted that failed lately and have been silent since, and compared with the rest of the fleet:
//! weekends, holidays and retired machines silence hosts whether they failed or not.

use wulog_schemas::alert::Method;

use super::activity::quarter;
use super::durations::{DAY_MS, secs_to_ms};
use super::evidence::Onsets;
use super::fleet::{Fleet, HostIndex};
use super::fleet_view::FleetView;
use super::incident::Incident;
use super::member::Member;
use super::onset::Onset;
use super::significance::Cluster;
use super::stats::{hypergeometric_tail, rounded};

/// A host that went on for longer than this after its failure did not go silent because of it.
const WENT_ON_MS: i64 = DAY_MS;

/// Largest p-value at which silent members of an incident are reported. This limit may be larger than `alpha`, the
/// limit for a new incident, since failures of the members are known already.
const MEMBERS_P_MAX: f64 = 1e-3;

/// How many of the fleet's hosts are silent.
#[derive(Clone, Copy)]
pub(super) struct Background {
    silent: u64,
    all: u64,
    /// Hosts that were active at or after this time are not silent.
    heard_since: i64,
}

impl Background {
    /// The fleet at `clock`: the number of hosts active within the horizon before `silent_secs`, and of those that are
    /// silent by now.
    pub(super) fn at(view: FleetView<'_>) -> Background {
        let FleetView { fleet, config, now: clock } = view;
        let heard_since = clock - secs_to_ms(config.silent_secs);
        let all = fleet.activity.hosts_since(heard_since - secs_to_ms(config.horizon_secs));
        let silent = all - fleet.activity.hosts_since(heard_since).min(all);
        Background { silent, all, heard_since }
    }

    fn is_silent(&self, host: HostIndex, fleet: &Fleet) -> bool {
        fleet.hosts[host as usize].activity.latest().is_none_or(|latest| latest < quarter(self.heard_since))
    }

    /// Probability that at least `silent` of `hosts` are silent by chance: the hypergeometric tail for the share of
    /// silent hosts in the fleet.
    fn p_value(&self, silent: u64, hosts: u64) -> f64 {
        hypergeometric_tail(silent, hosts, self.silent.max(silent), self.all.max(hosts))
    }
}

/// The number of silent members of an open incident, if a document is due: far more than the share of silent hosts in
/// the fleet, at least a tenth of the members, and at least twice the number in the last document about silent members.
pub(super) fn of_incident(incident: &Incident, background: &Background, view: FleetView<'_>) -> Option<u64> {
    let FleetView { fleet, config, .. } = view;
    let is_silent = |(host, member): &(&HostIndex, &Member)| !member.recovered && background.is_silent(**host, fleet);
    let silent = incident.members.iter().filter(is_silent).count() as u64;
    let hosts = incident.members.len() as u64;
    let news = silent * 10 >= hosts && silent >= 2 * incident.notified_silent;
    let enough = silent >= config.min_hosts && background.p_value(silent, hosts) < MEMBERS_P_MAX;
    (news && enough).then_some(silent)
}

/// Takes out a cluster of hosts that failed and went silent and belong to no incident, if they are far more than the
/// share of silent hosts in the fleet.
pub(super) fn of_loose(onsets: &mut Onsets, background: &Background, view: FleetView<'_>) -> Option<Cluster> {
    let FleetView { fleet, config, now: clock } = view;
    let from = clock - secs_to_ms(config.horizon_secs);
    let failed: Vec<&Onset> = onsets.within(from, background.heard_since).collect();
    let went_silent = |onset: &&&Onset| {
        let latest = fleet.hosts[onset.host as usize].activity.latest().unwrap_or(0);
        onset.still_fails(fleet)
            && background.is_silent(onset.host, fleet)
            && latest <= quarter(onset.since + WENT_ON_MS)
    };
    let silent: Vec<Onset> = failed.iter().filter(went_silent).map(|onset| (*onset).clone()).collect();
    let p_value = background.p_value(silent.len() as u64, failed.len() as u64);
    if (silent.len() as u64) < config.min_hosts || p_value >= config.alpha {
        return None;
    }
    let (first, last) = (silent.first()?.time, silent.last()?.time);
    let mut significance = onsets.compare(silent.len() as u64, first - 1, last, Method::Silence, view);
    let share = background.silent as f64 / background.all.max(1) as f64;
    significance.expected_hosts = rounded(share * failed.len() as f64);
    significance.p_value = rounded(p_value);
    Some(onsets.take_exactly(significance, &silent))
}
