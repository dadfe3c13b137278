//! The incidents that a process knows: the newest document of each, and the outline of its earlier ones.
//!
//! Memory has three bounds: incidents, earlier documents of each, and bytes of all. At a bound the incident that ended
//! longest ago is forgotten; the page shows the number of forgotten incidents.

use std::collections::BTreeMap;

use wulog_schemas::alert::{Alert, Evidence, State, Transition};

/// Incidents that are remembered, open and ended.
pub(super) const INCIDENTS_MAX: usize = 2_000;
/// Documents of an incident that are remembered: its first one and the newest ones.
pub(super) const DOCUMENTS_MAX: usize = 100;
/// Bytes of all remembered documents, by their size as JSON.
pub(super) const MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The documents of one incident.
#[derive(Clone, Debug)]
pub struct IncidentDocuments {
    /// The newest document, whole.
    pub newest: Alert,
    /// The documents before it in their order, without lists of hosts, evidence and factors.
    pub earlier: Vec<Alert>,
    bytes: usize,
}

/// All incidents.
#[derive(Debug, Default)]
pub struct IncidentIndex {
    by_id: BTreeMap<String, IncidentDocuments>,
    bytes: usize,
    forgotten: u64,
    unreadable: u64,
}

impl IncidentDocuments {
    /// Whether hosts are failing.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.newest.state == State::Open
    }

    /// The documents in their order; all but the newest are outlines.
    #[must_use]
    pub fn documents(&self) -> Vec<Alert> {
        self.earlier.iter().chain([&self.newest]).cloned().collect()
    }

    /// Time and counts of each document, in their order.
    pub fn points(&self) -> impl Iterator<Item = &Alert> {
        self.earlier.iter().chain([&self.newest])
    }
}

impl IncidentIndex {
    /// Processes the value of a record of `wulog.alerts`. Returns true if the pages change.
    pub fn take(&mut self, value: &[u8]) -> bool {
        // An empty value is a tombstone for compaction and has no content.
        if value.is_empty() {
            return false;
        }
        match serde_json::from_slice::<Alert>(value) {
            Ok(alert) => self.add(alert, value.len()),
            // Every principal with the right to write the topic may have written the record.
            Err(_) => {
                self.unreadable += 1;
                true
            }
        }
    }

    fn add(&mut self, alert: Alert, bytes: usize) -> bool {
        let known = match self.by_id.remove(&alert.id) {
            None => IncidentDocuments { newest: alert, earlier: Vec::new(), bytes },
            Some(known) if known.newest.seq >= alert.seq => {
                self.by_id.insert(known.newest.id.clone(), known);
                return false;
            }
            Some(mut known) => {
                self.bytes -= known.bytes;
                known.earlier.push(outline(std::mem::replace(&mut known.newest, alert)));
                if known.earlier.len() >= DOCUMENTS_MAX {
                    known.earlier.remove(1);
                }
                known.bytes = bytes + known.earlier.iter().map(outline_bytes).sum::<usize>();
                known
            }
        };
        self.bytes += known.bytes;
        self.by_id.insert(known.newest.id.clone(), known);
        while self.by_id.len() > INCIDENTS_MAX || self.bytes > MEMORY_BYTES_MAX {
            if !self.forget_one() {
                break;
            }
        }
        true
    }

    /// Forgets the incident that ended longest ago; if all are open, the least severe one with the oldest news. The
    /// last incident stays.
    fn forget_one(&mut self) -> bool {
        if self.by_id.len() < 2 {
            return false;
        }
        let worth =
            |known: &IncidentDocuments| (known.is_open(), known.newest.severity.level, known.newest.time.updated);
        let least = self.by_id.values().min_by_key(|known| worth(known)).map(|known| known.newest.id.clone());
        let Some(known) = least.and_then(|id| self.by_id.remove(&id)) else { return false };
        self.bytes -= known.bytes;
        self.forgotten += 1;
        true
    }

    /// The incident with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&IncidentDocuments> {
        self.by_id.get(id)
    }

    /// Open incidents, the worst first: by severity, by share of the fleet, by number of hosts.
    #[must_use]
    pub fn open(&self) -> Vec<&IncidentDocuments> {
        let mut open: Vec<&IncidentDocuments> = self.by_id.values().filter(|known| known.is_open()).collect();
        open.sort_by(|a, b| {
            let (a, b) = (&a.newest, &b.newest);
            let by_share = b.hosts.share_of_active.total_cmp(&a.hosts.share_of_active);
            let by_level = b.severity.level.cmp(&a.severity.level);
            by_level.then(by_share).then(b.hosts.affected.cmp(&a.hosts.affected)).then_with(|| a.id.cmp(&b.id))
        });
        open
    }

    /// All incidents, the newest onset first.
    #[must_use]
    pub fn all(&self) -> Vec<&IncidentDocuments> {
        let mut all: Vec<&IncidentDocuments> = self.by_id.values().collect();
        all.sort_by(|a, b| b.newest.time.onset.cmp(&a.newest.time.onset).then_with(|| a.newest.id.cmp(&b.newest.id)));
        all
    }

    /// Number of remembered incidents.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether no incident is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Number of incidents that were forgotten because of a bound.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Number of records that this version cannot read as documents.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }
}

/// The parts of an earlier document that a timeline shows.
fn outline(mut alert: Alert) -> Alert {
    alert.hosts.names = Vec::new();
    alert.hosts.silent_names = Vec::new();
    alert.hosts.full_list = None;
    alert.codes = Vec::new();
    alert.subjects = Vec::new();
    alert.common_factors = Vec::new();
    alert.not_common = Vec::new();
    alert.unknown = Vec::new();
    alert.certificates = Vec::new();
    alert.remediation = Vec::new();
    alert.replay = String::new();
    alert.evidence = Evidence { ranges: Vec::new(), exemplars: Vec::new(), late_hosts: alert.evidence.late_hosts };
    if alert.transition != Transition::Handled {
        alert.handling.notes = Vec::new();
    }
    alert
}

/// Memory of an outline: the fixed parts of a document, and its texts.
fn outline_bytes(alert: &Alert) -> usize {
    const FIXED_BYTES: usize = 1_200;
    FIXED_BYTES + alert.summary.len() + alert.handling.notes.iter().map(|note| note.why.len() + 100).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wulog_schemas::alert::{Level, UtcTime};

    fn document(id: usize, seq: u32, state: State) -> Vec<u8> {
        let examples = include_str!("../../../schemas/examples/alert.json");
        let mut alert = serde_json::from_str::<Vec<Alert>>(examples).unwrap().remove(0);
        alert.id = format!("wu-{id:016x}");
        (alert.seq, alert.state) = (seq, state);
        alert.time.updated = UtcTime(1_600_000_000_000 + i64::try_from(id).unwrap() * 1000 + i64::from(seq));
        alert.severity.level = if id.is_multiple_of(2) { Level::High } else { Level::Low };
        serde_json::to_vec(&alert).unwrap()
    }

    #[test]
    fn the_newest_document_counts_and_repeats_change_nothing() {
        let mut incidents = IncidentIndex::default();
        assert!(incidents.take(&document(1, 1, State::Open)));
        assert!(incidents.take(&document(1, 2, State::Resolved)));
        assert!(!incidents.take(&document(1, 1, State::Open)), "an older document");
        assert!(!incidents.take(b""), "a tombstone");
        assert!(incidents.take(b"{}") && incidents.unreadable() == 1);
        let known = incidents.get("wu-0000000000000001").unwrap();
        assert_eq!((known.newest.seq, known.earlier.len(), known.is_open()), (2, 1, false));
        assert!(known.earlier[0].hosts.names.is_empty() && !known.newest.hosts.names.is_empty());
        assert!(incidents.open().is_empty());
    }

    #[test]
    fn memory_is_bounded_and_open_incidents_stay() {
        let mut incidents = IncidentIndex::default();
        for id in 0..INCIDENTS_MAX + 50 {
            incidents.take(&document(id, 1, if id < 30 { State::Open } else { State::Resolved }));
        }
        assert_eq!((incidents.len(), incidents.forgotten(), incidents.open().len()), (INCIDENTS_MAX, 50, 30));
        assert!(incidents.bytes <= MEMORY_BYTES_MAX);
        let sum: usize = incidents.by_id.values().map(|known| known.bytes).sum();
        assert_eq!(incidents.bytes, sum);
        for seq in 2..400 {
            incidents.take(&document(7, seq, State::Open));
        }
        let known = incidents.get("wu-0000000000000007").unwrap();
        assert_eq!((known.earlier.len(), known.earlier[0].seq, known.earlier[1].seq), (DOCUMENTS_MAX - 1, 1, 301));
        assert_eq!(incidents.open()[0].newest.severity.level, Level::High, "the worst first");
    }
}
