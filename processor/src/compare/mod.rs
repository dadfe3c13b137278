//! `replay --compare`: the incidents of two runs side by side, as text and as a page.
//!
//! ```text
//! documents of the live run --> Run --\
//!                                      +-> Comparison -> view -> text
//! documents of the replay ----> Run --/                      \-> page
//! ```
//!
//! An incident is compared by its newest document. Documents of [`Transition::Status`] are left out: a replay writes one at
//! its end, and a live run has no end. The detector's configuration may change which failure counts first, and with it the
//! id, so incidents whose ids differ are matched by family, time and affected hosts.

mod page;
mod text;
mod view;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use wulog_schemas::alert::{Alert, IncidentKind, Level, State, Transition};
use wulog_schemas::hresult::Family;

pub(crate) use page::html;
pub(crate) use text::text;

/// Minimum share of the smaller incident's hosts that two incidents with different ids have in common when they are
/// one.
const SHARED_MIN: f64 = 0.5;

/// Log times at which an incident must have opened to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Openings {
    /// The first, milliseconds since 1970 UTC.
    pub from_ms: i64,
    /// The last one.
    pub to_ms: i64,
}

/// One incident of a run, by its newest document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunIncident {
    /// Its id.
    pub id: String,
    /// Failures, or a warning.
    pub kind: IncidentKind,
    /// Family of the failure that opened the incident.
    pub family: Family,
    /// All families of the incident.
    pub families: BTreeSet<Family>,
    /// Whether the incident is over.
    pub state: State,
    /// Event time of its first failure, milliseconds since 1970 UTC.
    pub onset_ms: i64,
    /// Log time of its opening.
    pub opened_ms: i64,
    /// Log time of the newest document.
    pub updated_ms: i64,
    /// How many hosts are affected.
    pub affected: u64,
    /// The host names in the document.
    pub names: BTreeSet<String>,
    /// Whether `names` holds all affected hosts.
    pub names_complete: bool,
    /// Severity of the incident.
    pub severity: Level,
    /// The first common factor, `dimension=value`.
    pub factor: Option<String>,
    /// The sentence of the document.
    pub summary: String,
    seq: u32,
}

impl RunIncident {
    fn of(alert: &Alert) -> RunIncident {
        RunIncident {
            id: alert.id.clone(),
            kind: alert.kind,
            family: alert.family,
            families: alert.families.iter().copied().chain([alert.family]).collect(),
            state: alert.state,
            onset_ms: alert.time.onset.0,
            opened_ms: alert.time.opened.0,
            updated_ms: alert.time.updated.0,
            affected: alert.hosts.affected,
            names: alert.hosts.names.iter().cloned().collect(),
            names_complete: alert.hosts.names_complete,
            severity: alert.severity.level,
            factor: alert.common_factors.first().map(|factor| format!("{}={}", factor.dimension, factor.value)),
            summary: alert.summary.clone(),
            seq: alert.seq,
        }
    }

    /// Whether two incidents of different runs could be one: of the same kind and family, and overlapping in time.
    fn could_be(&self, other: &RunIncident) -> bool {
        self.kind == other.kind
            && !self.families.is_disjoint(&other.families)
            && self.onset_ms <= other.updated_ms
            && other.onset_ms <= self.updated_ms
    }

    fn shared_names(&self, other: &RunIncident) -> usize {
        self.names.intersection(&other.names).count()
    }

    fn is_in(&self, openings: Openings) -> bool {
        (openings.from_ms..=openings.to_ms).contains(&self.opened_ms)
    }
}

/// The incidents of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct ComparedRun {
    /// Name of the run: `live`, `replay`, or the name of a file.
    pub name: String,
    incidents: BTreeMap<String, RunIncident>,
    configurations: BTreeSet<String>,
}

impl ComparedRun {
    /// A run without incidents.
    #[must_use]
    pub(crate) fn called(name: &str) -> ComparedRun {
        ComparedRun { name: name.to_owned(), ..ComparedRun::default() }
    }

    /// Adds a document, in any order. Documents of status are skipped, since only a replay writes them.
    pub(crate) fn take(&mut self, alert: &Alert) {
        if alert.transition == Transition::Status {
            return;
        }
        self.configurations.insert(alert.detector.config_hash.clone());
        if self.incidents.get(&alert.id).is_none_or(|known| known.seq <= alert.seq) {
            self.incidents.insert(alert.id.clone(), RunIncident::of(alert));
        }
    }
}

/// How two incidents were matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matched {
    /// By their id.
    Id,
    /// By family, time and this many common host names.
    Hosts(usize),
}

/// One incident in both runs.
#[derive(Clone, Debug)]
pub(crate) struct IncidentPair {
    /// The incident in the first run.
    pub live: RunIncident,
    /// The incident in the replay.
    pub again: RunIncident,
    /// How the two were matched.
    pub matched: Matched,
}

/// Host names in only one of two documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostsInOneRun {
    /// Affected in the replay only.
    pub gained: Vec<String>,
    /// Affected in the first run only.
    pub lost: Vec<String>,
}

impl IncidentPair {
    /// How much later the replay opened the incident, in milliseconds; negative for earlier.
    #[must_use]
    pub(crate) fn later_ms(&self) -> i64 {
        self.again.opened_ms.saturating_sub(self.live.opened_ms)
    }

    /// The hosts in only one run; `None` where a document names only some of its hosts, so that names cannot be
    /// compared.
    #[must_use]
    pub(crate) fn names(&self) -> Option<HostsInOneRun> {
        let (live, again) = (&self.live, &self.again);
        (live.names_complete && again.names_complete).then(|| HostsInOneRun {
            gained: again.names.difference(&live.names).cloned().collect(),
            lost: live.names.difference(&again.names).cloned().collect(),
        })
    }

    /// Whether the runs differ in the opening, hosts, severity, first factor or state.
    #[must_use]
    pub(crate) fn differs(&self) -> bool {
        let facts = |incident: &RunIncident| {
            (incident.opened_ms, incident.affected, incident.severity, incident.factor.clone(), incident.state)
        };
        facts(&self.live) != facts(&self.again)
            || self.names().is_some_and(|names| !names.gained.is_empty() || !names.lost.is_empty())
    }
}

/// An incident of one run without a partner in the other.
#[derive(Clone, Debug)]
pub(crate) struct Alone {
    /// The incident.
    pub incident: RunIncident,
    /// The incident of the other run with the most common hosts, and their number: this shows a split or a merge.
    pub shares: Option<(String, usize)>,
}

/// The common incidents of two runs, and the differences.
#[derive(Debug)]
pub(crate) struct RunComparison {
    /// Names of the runs.
    pub names: [String; 2],
    /// The openings that count.
    pub openings: Openings,
    /// Incidents of each run that count.
    pub counted: [usize; 2],
    /// Incidents of each run that opened outside those times and have no partner within them.
    pub outside: [usize; 2],
    /// The hashes of the detector's configurations in each run's documents.
    pub configurations: [BTreeSet<String>; 2],
    /// Incidents of both runs that differ, by opening.
    pub different: Vec<IncidentPair>,
    /// Number of incidents that are equal in both runs.
    pub same: usize,
    /// Incidents of the first run only, by opening.
    pub only_live: Vec<Alone>,
    /// Incidents of the replay only, by opening.
    pub only_again: Vec<Alone>,
}

impl RunComparison {
    /// Compares the live run with a replay. An incident counts if it, or its partner in the other run, opened within
    /// `openings`.
    #[must_use]
    pub(crate) fn of(live: &ComparedRun, again: &ComparedRun, openings: Openings) -> RunComparison {
        let pairs = pairs(live, again);
        let paired_live: BTreeSet<&str> = pairs.iter().map(|pair| pair.live.id.as_str()).collect();
        let paired_again: BTreeSet<&str> = pairs.iter().map(|pair| pair.again.id.as_str()).collect();
        let (within, without): (Vec<_>, Vec<_>) =
            pairs.iter().cloned().partition(|pair| pair.live.is_in(openings) || pair.again.is_in(openings));
        let (only_live, live_outside) = alone(live, &paired_live, again, openings);
        let (only_again, again_outside) = alone(again, &paired_again, live, openings);
        let counted = [within.len() + only_live.len(), within.len() + only_again.len()];
        let all = within.len();
        let mut different: Vec<IncidentPair> = within.into_iter().filter(IncidentPair::differs).collect();
        different.sort_by(|a, b| (a.live.opened_ms, &a.live.id).cmp(&(b.live.opened_ms, &b.live.id)));
        RunComparison {
            names: [live.name.clone(), again.name.clone()],
            openings,
            counted,
            outside: [without.len() + live_outside, without.len() + again_outside],
            configurations: [live.configurations.clone(), again.configurations.clone()],
            same: all - different.len(),
            different,
            only_live,
            only_again,
        }
    }

    /// Whether both runs have the same incidents.
    #[must_use]
    pub(crate) fn is_same(&self) -> bool {
        self.different.is_empty() && self.only_live.is_empty() && self.only_again.is_empty()
    }
}

/// Pairs incidents by id, then the remaining ones by hosts: the pair with the most common hosts comes first, and each
/// incident is in one pair.
fn pairs(live: &ComparedRun, again: &ComparedRun) -> Vec<IncidentPair> {
    let pair = |live: &RunIncident, again: &RunIncident, matched| IncidentPair {
        live: live.clone(),
        again: again.clone(),
        matched,
    };
    let mut pairs = Vec::new();
    let mut candidates = Vec::new();
    for one in live.incidents.values() {
        if let Some(other) = again.incidents.get(&one.id) {
            pairs.push(pair(one, other, Matched::Id));
            continue;
        }
        let others = again.incidents.values().filter(|other| !live.incidents.contains_key(&other.id));
        for other in others.filter(|other| one.could_be(other)) {
            let shared = one.shared_names(other);
            let smaller = one.names.len().min(other.names.len());
            if shared > 0 && shared as f64 >= SHARED_MIN * smaller as f64 {
                candidates.push((Reverse(shared), one.opened_ms.abs_diff(other.opened_ms), &one.id, &other.id));
            }
        }
    }
    candidates.sort_unstable();
    let (mut taken_live, mut taken_again) = (BTreeSet::new(), BTreeSet::new());
    for (Reverse(shared), _, one, other) in candidates {
        if !taken_live.contains(one) && !taken_again.contains(other) {
            taken_live.insert(one);
            taken_again.insert(other);
            pairs.push(pair(&live.incidents[one], &again.incidents[other], Matched::Hosts(shared)));
        }
    }
    pairs
}

/// Returns the incidents of `run` without a partner that opened in time, and the number of other incidents without a
/// partner.
fn alone(run: &ComparedRun, paired: &BTreeSet<&str>, other: &ComparedRun, openings: Openings) -> (Vec<Alone>, usize) {
    let unpaired = run.incidents.values().filter(|incident| !paired.contains(incident.id.as_str()));
    let (within, without): (Vec<&RunIncident>, Vec<&RunIncident>) =
        unpaired.partition(|incident| incident.is_in(openings));
    let mut alone: Vec<Alone> = within
        .into_iter()
        .map(|incident| {
            let near = other.incidents.values().filter(|other| incident.could_be(other));
            let shares = near
                .map(|other| (other.id.clone(), incident.shared_names(other)))
                .filter(|(_, shared)| *shared > 0)
                .max_by(|(a_id, a), (b_id, b)| a.cmp(b).then(b_id.cmp(a_id)));
            Alone { incident: incident.clone(), shares }
        })
        .collect();
    alone.sort_by(|a, b| (a.incident.opened_ms, &a.incident.id).cmp(&(b.incident.opened_ms, &b.incident.id)));
    (alone, without.len())
}
