//! The memory budget of the Detector: what is forgotten when made-up hosts, updates and names use the budget up.
//!
//! Memory is computed from the contents of the state and never asked of an allocator, and the hosts to forget are
//! chosen by log time and numbers in the state. So a replay forgets the same hosts at the same signals, whatever
//! restarts lie between.
//!
//! Strings that nothing refers to go first: names of updates that were tried once by a host that has tried others
//! since. Then hosts go, a sixteenth of them at once, so that a full memory costs little for each signal. The order of
//! hosts is that of `fleet::HostWorth`: made-up hosts displace other new hosts, but none that is known for a day and
//! still heard of. The inventory and the limit on new hosts of the Normalizer keep made-up hosts out.

use std::collections::BTreeSet;

use super::config::DetectorConfig;
use super::evidence::Onsets;
use super::fleet::HostIndex;
use super::incident::Incident;
use super::onset::Onset;
use super::{Detector, DetectorCounts, DetectorState};

/// Estimated memory of an onset in its map; a member of an incident takes as much.
pub(super) const ONSET_BYTES: u64 = 160;

/// The memory that the state may take.
pub(super) fn bytes_max(config: &DetectorConfig) -> u64 {
    (config.limits.memory_mib_max as u64 * 1024 * 1024).max(BYTES_MIN)
}

/// Smallest budget: an empty Detector and one large signal must fit.
const BYTES_MIN: u64 = 4 * 1024 * 1024;

/// When memory, hosts or strings reach a bound, one part in this many of the bound is freed.
const MADE_FREE: usize = 16;
/// Strings are freed when less than one part in this many of the bound is left, since one signal can bring a hundred
/// strings.
const STRINGS_SPARE: usize = 64;

impl DetectorState {
    /// Estimated memory of the state, computed from its contents.
    pub(super) fn bytes(&self) -> u64 {
        self.fleet.bytes() + self.certificates.bytes() + self.bytes_beside
    }

    /// Counts the memory of onsets and of members of incidents.
    pub(super) fn weigh_beside(&mut self) {
        let onsets: usize = self.onsets.values().map(Onsets::len).sum();
        let members: usize = self.incidents.all().map(|incident| incident.members.len()).sum();
        self.bytes_beside = (onsets + members) as u64 * ONSET_BYTES;
    }

    /// Forgets strings that nothing refers to.
    fn forget_strings(&mut self) {
        let mut used = vec![false; self.fleet.strings.numbers()];
        self.fleet.mark_used(&mut used);
        let onsets = self.onsets.values().flat_map(Onsets::all);
        let of_onsets = onsets.flat_map(Onset::strings);
        for id in of_onsets.chain(self.incidents.all().flat_map(Incident::strings)) {
            used[id as usize] = true;
        }
        self.counts.strings_forgotten += self.fleet.keep_strings(&used);
    }

    fn forget_hosts(&mut self, hosts: &BTreeSet<HostIndex>) {
        for host in hosts {
            if self.fleet.hosts[*host as usize].caught_up == Some(false) {
                self.backlog.forget();
            }
        }
        self.onsets.values_mut().for_each(|onsets| onsets.forget_hosts(hosts));
        self.incidents.all_mut().for_each(|incident| incident.forget_hosts(hosts));
        self.certificates.forget_hosts(hosts);
        self.fleet.forget(hosts);
        self.counts.hosts_forgotten += hosts.len() as u64;
    }
}

impl Detector {
    /// Makes room for a signal of the host `id`, where there is none.
    pub(super) fn stay_in_budget(&mut self, id: &str) {
        let limits = self.config.limits;
        let bytes_max = bytes_max(&self.config);
        let (hosts_max, strings_max) = (limits.hosts.max(1), limits.strings.max(1));
        let now = self.state.log_time;
        let state = &mut self.state;
        let bytes_full = state.bytes() > bytes_max;
        let strings_full = state.fleet.strings.len() >= strings_max - strings_max / STRINGS_SPARE;
        let hosts_full = state.fleet.hosts_known() >= hosts_max && state.fleet.find(id, &limits).is_none();
        if !(bytes_full || strings_full || hosts_full) {
            return;
        }
        let speaker = state.fleet.find(id, &limits);
        let hosts_wanted = if hosts_full { hosts_max - hosts_max / MADE_FREE - 1 } else { usize::MAX };
        loop {
            state.forget_strings();
            state.weigh_beside();
            let known = state.fleet.hosts_known();
            let fits = state.bytes() <= bytes_max - bytes_max / MADE_FREE as u64
                && state.fleet.strings.len() <= strings_max - strings_max / MADE_FREE
                && known <= hosts_wanted;
            let spared = usize::from(speaker.is_some());
            if fits || known <= spared {
                return;
            }
            let least = state.fleet.least_worthy(known / MADE_FREE + 1, now, speaker);
            state.forget_hosts(&least);
        }
    }
}

/// Notices about counts that have doubled since the last notice, with the remedy. So an attack cannot fill the log of
/// the process.
pub(super) fn take_notices(now: DetectorCounts, told: &mut DetectorCounts) -> Vec<String> {
    let rows = [
        (
            now.hosts_forgotten,
            told.hosts_forgotten,
            "hosts are forgotten by the detector for want of room; a forgotten host counts as new when it is heard of again: raise \
             memory_mib_max in [detector.limits], or keep made-up hosts out by [normalizer] inventory",
        ),
        (
            now.beyond_limits,
            told.beyond_limits,
            "signals of hosts are ignored, since limits.hosts in [detector] leaves them no room",
        ),
    ];
    let due = |(now, told, _): &(u64, u64, &str)| now > told && *now >= told.saturating_mul(2);
    let notices: Vec<String> =
        rows.into_iter().filter(due).map(|(now, told, text)| format!("{} {text} ({now} so far)", now - told)).collect();
    if !notices.is_empty() {
        *told = now;
    }
    notices
}
