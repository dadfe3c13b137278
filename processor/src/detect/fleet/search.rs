//! Hosts for the status page: a search by text, and the details of one host. All functions here only read.

use std::collections::{BTreeMap, BTreeSet};

use super::host::secs_of;
use super::{Fleet, FleetHost, HostIndex, Novelty};
use crate::detect::activity::QUARTER_MS;
use crate::detect::dimension_sets::SetId;
use crate::detect::strings::StringId;
use crate::question::{HostDetails, HostFact, HostFailure, HostRow, HostSuccess, Scan};

/// Prefix of the subject of a scan.
const SERVER: &str = "server:";

/// A search text, with the numbers of the subjects and sets that contain it. They are looked up once, so that each host
/// is compared by numbers.
#[derive(Debug)]
pub(in crate::detect) struct WantedText {
    /// The text in lower case; empty where all hosts match.
    text: String,
    subjects: BTreeSet<StringId>,
    sets: BTreeSet<SetId>,
    /// Hosts that match for another reason: a code, a certificate.
    hosts: BTreeSet<HostIndex>,
}

impl Fleet {
    /// Prepares a search for `text`. `hosts` match whatever their names are.
    pub(in crate::detect) fn wanted(&self, text: &str, hosts: BTreeSet<HostIndex>) -> WantedText {
        let text = text.trim().to_lowercase();
        if text.is_empty() {
            return WantedText { text, subjects: BTreeSet::new(), sets: BTreeSet::new(), hosts };
        }
        let fits = |known: &str| known.to_lowercase().contains(&text);
        let named = self.names.iter().filter(|(_, name)| fits(name)).map(|(id, _)| *id);
        let failing = self.hosts.iter().flat_map(FleetHost::failing).map(|failing| failing.subject);
        let of_failing: BTreeSet<StringId> = failing.collect();
        let subjects = of_failing.into_iter().filter(|id| fits(self.strings.text(*id))).chain(named).collect();
        let has_value = |pairs: &[(StringId, StringId)]| pairs.iter().any(|(_, value)| fits(self.strings.text(*value)));
        let sets = self.sets.counted().filter(|(_, pairs, _)| has_value(pairs)).map(|(id, ..)| id).collect();
        WantedText { text, subjects, sets, hosts }
    }

    /// Numbers of the hosts that match.
    pub(in crate::detect) fn search<'a>(&'a self, wanted: &'a WantedText) -> impl Iterator<Item = HostIndex> + 'a {
        let fits = move |index: HostIndex, host: &FleetHost| {
            wanted.text.is_empty()
                || contains(host.name(), &wanted.text)
                || wanted.hosts.contains(&index)
                || host.sets().iter().any(|set| wanted.sets.contains(set))
                || host.failing().iter().any(|failing| wanted.subjects.contains(&failing.subject))
        };
        let known = (0..).zip(&self.hosts).filter(|(_, host)| !host.forgotten);
        known.filter(move |(index, host)| fits(*index, host)).map(|(index, _)| index)
    }

    /// Hosts of this name.
    pub(in crate::detect) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = HostIndex> + 'a {
        let known = (0..).zip(&self.hosts).filter(|(_, host)| !host.forgotten);
        known.filter(move |(_, host)| host.name().eq_ignore_ascii_case(name)).map(|(index, _)| index)
    }

    /// How many hosts fail at something.
    pub(in crate::detect) fn failing_hosts(&self) -> u64 {
        self.hosts.iter().filter(|host| !host.failing().is_empty()).count() as u64
    }

    /// The host as a row; silent if it was last heard of before `heard_since_ms`.
    pub(in crate::detect) fn row(&self, index: HostIndex, heard_since_ms: i64) -> HostRow {
        let host = &self.hosts[index as usize];
        HostRow {
            name: host.name().to_owned(),
            id: self.id_of(index),
            state: host.state(secs_of(heard_since_ms)).as_str(),
            failing: host.failing().len() as u64,
            failing_since: host.failing().iter().map(|failing| failing.since).min(),
            heard: i64::from(host.heard_secs) * 1000,
        }
    }

    /// Everything that the fleet knows of a host; `code` gives the code of the failure at a subject.
    pub(in crate::detect) fn details(
        &self,
        index: HostIndex,
        heard_since_ms: i64,
        code: impl Fn(StringId) -> Option<String>,
    ) -> HostDetails {
        let host = &self.hosts[index as usize];
        let subject = |id: StringId| self.strings.text(id).to_owned();
        let title = |id: StringId| self.name_of_subject(id).map(str::to_owned);
        let mut failures: Vec<HostFailure> = host
            .failing()
            .iter()
            .map(|failing| HostFailure {
                subject: subject(failing.subject),
                title: title(failing.subject),
                family: failing.family.as_str(),
                code: code(failing.subject),
                since: failing.since,
                last: failing.last,
                chronic: failing.novelty == Novelty::Chronic,
            })
            .collect();
        failures.sort_by(|a, b| (a.since, &a.subject).cmp(&(b.since, &b.subject)));
        let mut successes: Vec<HostSuccess> = host
            .succeeded
            .iter()
            .map(|success| HostSuccess {
                subject: subject(success.subject),
                title: title(success.subject),
                time: success.time(),
            })
            .collect();
        successes.sort_by(|a, b| (b.time, &a.subject).cmp(&(a.time, &b.subject)));
        let scan = |subject: &str, time: i64, succeeded: bool| {
            subject.strip_prefix(SERVER).map(|server| Scan { server: server.to_owned(), time, succeeded })
        };
        let failed = failures.iter().filter_map(|failure| scan(&failure.subject, failure.last, false));
        let scans = successes.iter().filter_map(|success| scan(&success.subject, success.time, true)).chain(failed);
        HostDetails {
            row: self.row(index, heard_since_ms),
            first_heard: i64::from(host.first_secs) * 1000,
            last_active: host.activity.latest().map(|quarter| quarter * QUARTER_MS),
            last_scan: scans.max_by_key(|scan| scan.time),
            facts: self.facts(index),
            failures,
            successes,
            incidents: Vec::new(),
            inventory: None,
        }
    }

    /// Dimensions of a host and of its operations, in order.
    fn facts(&self, index: HostIndex) -> Vec<HostFact> {
        let pairs = self.traits_of(index).iter().chain(self.operations_of(index));
        let text = |id: StringId| self.strings.text(id).to_owned();
        let facts: BTreeSet<HostFact> =
            pairs.map(|(name, value)| HostFact { dimension: text(*name), value: text(*value) }).collect();
        facts.into_iter().collect()
    }

    /// The host's own dimensions by name.
    pub(in crate::detect) fn dimensions(&self, index: HostIndex) -> BTreeMap<String, String> {
        let pairs = self.traits_of(index).iter();
        pairs.map(|(name, value)| (self.strings.text(*name).to_owned(), self.strings.text(*value).to_owned())).collect()
    }
}

/// Whether `name` contains `text`, which is in lower case. Nearly all names are in lower case too and need no
/// conversion.
fn contains(name: &str, text: &str) -> bool {
    let is_mixed = name.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii());
    if is_mixed { name.to_lowercase().contains(text) } else { name.contains(text) }
}
