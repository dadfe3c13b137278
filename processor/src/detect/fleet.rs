//! What is known of every host: its dimensions, what it fails at, what it succeeded at.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wulog_schemas::hresult::Family;
use wulog_schemas::signal::HostRef;

use super::activity::{FleetActivity, HostActivity};
use super::config::Limits;
use super::strings::{StringId, Strings, cut};

/// A host's number in [`Fleet::hosts`].
pub(super) type HostIndex = u32;

/// Dimensions of an operation that are kept of a host. `update` and `file` are the subject itself, `kb` and `title`
/// say the same in other words.
const OPERATION_DIMENSIONS: [&str; 3] = ["caller", "service", "signer"];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Fleet {
    pub(super) strings: Strings,
    index: BTreeMap<String, HostIndex>,
    pub(super) hosts: Vec<Host>,
    pub(super) activity: FleetActivity,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Host {
    pub(super) name: String,
    /// Dimension and value, by dimension.
    pub(super) dimensions: Vec<(StringId, StringId)>,
    /// Dimension and value of the host's operations; several values of one dimension are usual.
    pub(super) operations: Vec<(StringId, StringId)>,
    pub(super) activity: HostActivity,
    pub(super) failing: Vec<Failing>,
    /// Subject and event time of its latest success.
    pub(super) succeeded: Vec<(StringId, i64)>,
    /// Whether everything that the host had is shipped; unknown before its first facts.
    pub(super) caught_up: Option<bool>,
    /// When it last counted as newly failing, by family.
    pub(super) counted: Vec<(Family, i64)>,
    /// True when a limit dropped dimensions of it.
    pub(super) dimensions_cut: bool,
}

/// A subject at which a host's latest outcome is a trust failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Failing {
    pub(super) subject: StringId,
    pub(super) family: Family,
    /// Event time of the first failure since the last success.
    pub(super) since: i64,
    /// Event time of the latest failure.
    pub(super) last: i64,
    pub(super) verdict: Verdict,
}

/// Whether a failure has been counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Verdict {
    /// Only history so far: the host is not caught up with.
    Waiting,
    /// The host counted as newly failing for it, or for another subject of the same family.
    Counted,
    /// It failed before it could count as new.
    Chronic,
}

impl Fleet {
    pub(super) fn new() -> Fleet {
        Fleet { strings: Strings::new(), index: BTreeMap::new(), hosts: Vec::new(), activity: FleetActivity::default() }
    }

    /// The host that `host` names, added when new; none when there are too many. A renamed host keeps its number.
    pub(super) fn host(&mut self, host: &HostRef, limits: &Limits) -> Option<HostIndex> {
        let key = cut(&host.id, limits.string_bytes);
        let index = match self.index.get(key) {
            Some(index) => *index,
            None if self.hosts.len() >= limits.hosts => return None,
            None => {
                let index = HostIndex::try_from(self.hosts.len()).ok()?;
                self.index.insert(key.to_owned(), index);
                self.hosts.push(Host::default());
                index
            }
        };
        let known = &mut self.hosts[index as usize];
        let name = cut(&host.name, limits.string_bytes);
        if known.name != name && !name.is_empty() {
            name.clone_into(&mut known.name);
        }
        Some(index)
    }

    /// The host id of a number. Slow, since only the birth of an incident asks.
    pub(super) fn id_of(&self, host: HostIndex) -> &str {
        self.index.iter().find(|(_, index)| **index == host).map_or("", |(id, _)| id)
    }

    pub(super) fn string(&mut self, text: &str, limits: &Limits) -> StringId {
        self.strings.id(text, limits.strings, limits.string_bytes)
    }

    pub(super) fn mark_active(&mut self, host: HostIndex, time_ms: i64) {
        self.activity.mark(&mut self.hosts[host as usize].activity, time_ms);
    }

    pub(super) fn set_dimensions(&mut self, host: HostIndex, dimensions: &BTreeMap<String, String>, limits: &Limits) {
        let mut ids: Vec<(StringId, StringId)> = dimensions
            .iter()
            .take(limits.dimensions_per_host)
            .map(|(name, value)| (self.string(name, limits), self.string(value, limits)))
            .collect();
        ids.sort_unstable();
        let host = &mut self.hosts[host as usize];
        host.dimensions = ids;
        host.dimensions_cut = dimensions.len() > limits.dimensions_per_host;
    }

    pub(super) fn add_operation(&mut self, host: HostIndex, dimensions: &BTreeMap<String, String>, limits: &Limits) {
        for name in OPERATION_DIMENSIONS {
            let Some(value) = dimensions.get(name) else { continue };
            let pair = (self.string(name, limits), self.string(value, limits));
            let host = &mut self.hosts[host as usize];
            if host.operations.contains(&pair) {
                continue;
            }
            if host.operations.len() < limits.dimensions_per_host {
                host.operations.push(pair);
            } else {
                host.dimensions_cut = true;
            }
        }
    }
}

impl Host {
    /// Notes a success. True when it ends a failure at that subject.
    pub(super) fn succeed(&mut self, subject: StringId, time: i64, limits: &Limits) -> bool {
        match self.succeeded.iter_mut().find(|(known, _)| *known == subject) {
            Some((_, at)) => *at = time.max(*at),
            None => {
                self.succeeded.push((subject, time));
                if self.succeeded.len() > limits.succeeded_per_host {
                    let oldest = self.succeeded.iter().enumerate().min_by_key(|(_, (_, at))| *at).map_or(0, |(i, _)| i);
                    self.succeeded.remove(oldest);
                }
            }
        }
        let before = self.failing.len();
        // A success that was said to be older than the failure doesn't end it: records may come out of order.
        self.failing.retain(|failing| failing.subject != subject || failing.last > time);
        self.failing.len() < before
    }

    /// Notes a failure and gives its place, or none when the subject has succeeded later than that.
    pub(super) fn fail(
        &mut self,
        subject: StringId,
        family: Family,
        since: i64,
        time: i64,
        limits: &Limits,
    ) -> Option<usize> {
        if self.succeeded.iter().any(|(known, at)| *known == subject && *at >= time) {
            return None;
        }
        if let Some(place) = self.failing.iter().position(|failing| failing.subject == subject) {
            let failing = &mut self.failing[place];
            failing.family = family;
            failing.since = failing.since.min(since);
            failing.last = failing.last.max(time);
            return Some(place);
        }
        if self.failing.len() >= limits.failing_per_host {
            let oldest = self.failing.iter().enumerate().min_by_key(|(_, failing)| failing.last).map_or(0, |(i, _)| i);
            self.failing.remove(oldest);
        }
        self.failing.push(Failing { subject, family, since, last: time, verdict: Verdict::Waiting });
        Some(self.failing.len() - 1)
    }

    /// Whether the host fails at another subject of the family, heard of since `from`: then it is not *newly* failing.
    pub(super) fn fails_elsewhere(&self, subject: StringId, family: Family, from: i64) -> Option<Verdict> {
        self.failing
            .iter()
            .filter(|failing| failing.subject != subject && failing.family == family && failing.last >= from)
            .map(|failing| failing.verdict)
            .find(|verdict| *verdict != Verdict::Waiting)
    }

    pub(super) fn last_counted(&self, family: Family) -> Option<i64> {
        self.counted.iter().find(|(known, _)| *known == family).map(|(_, at)| *at)
    }

    pub(super) fn set_counted(&mut self, family: Family, time: i64) {
        self.counted.retain(|(known, _)| *known != family);
        self.counted.push((family, time));
    }
}
