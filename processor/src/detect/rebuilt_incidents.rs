//! Documents -> incidents: a detector that lost its state takes over the incidents of its documents.
//!
//! The remaining signals rebuild most of the state, but an incident that began before the oldest of them would get
//! another id or be forgotten. So the newest document of each open incident is compared with the rebuilt state: an
//! incident with the document's id continues where the document stopped; one with the same hosts under another id gets
//! the document's id; a missing one is made from the document, as far as the document describes it.

use std::collections::BTreeMap;

use wulog_schemas::alert::{Alert, State};
use wulog_schemas::signal::RawPosition;

use super::config::DetectorConfig;
use super::fleet::{Fleet, HostIndex};
use super::incident::{Incident, IncidentPhase, Recovery};
use super::incidents::{Incidents, Key};
use super::onset::Distrusted;
use super::onset::Onset;
use super::significance::{Cluster, Significance};

/// Takes over the incidents of `documents`, which hold the newest document of each id. Returns the ids of the incidents
/// that the rebuilt state did not have.
pub(super) fn adopt(
    documents: &[Alert],
    incidents: &mut Incidents,
    fleet: &mut Fleet,
    config: &DetectorConfig,
) -> Vec<String> {
    let mut by_name: BTreeMap<String, HostIndex> = BTreeMap::new();
    for (index, host) in (0..).zip(&fleet.hosts).filter(|(_, host)| !host.is_forgotten()) {
        by_name.entry(host.name().to_owned()).or_insert(index);
    }
    let mut adopted = Vec::new();
    for document in documents {
        if let Some(known) = incidents.all_mut().find(|incident| incident.id == document.id) {
            continue_after(known, document);
        } else if document.state == State::Open {
            let onsets = onsets_of(document, &by_name, fleet, config);
            match same_hosts(incidents, document, &onsets) {
                Some(place) => {
                    incidents[place].id.clone_from(&document.id);
                    incidents[place].opened_at = document.time.opened.0;
                    incidents[place].knows_onset(document.time.onset.0);
                    continue_after(&mut incidents[place], document);
                }
                None => {
                    incidents.push(from_document(document, onsets, fleet));
                }
            }
            adopted.push(document.id.clone());
        }
    }
    adopted
}

/// Continues an incident after its newest document, so that no document is repeated.
fn continue_after(incident: &mut Incident, document: &Alert) {
    incident.seq = incident.seq.max(document.seq);
    incident.notified_at = incident.notified_at.max(document.time.updated.0);
    incident.notified_hosts = incident.notified_hosts.max(document.hosts.affected).min(incident.hosts());
    // An incident that ended in the document stays ended: the signals that ended it may be gone.
    let over = match document.state {
        State::Open => return,
        State::Resolved => IncidentPhase::Resolved,
        State::Expired => IncidentPhase::Expired,
        State::Merged => IncidentPhase::Merged,
    };
    if incident.is_open() && incident.joined_at <= document.time.updated.0 {
        incident.phase = over;
        incident.resolved_at = document.time.resolved.map(|time| time.0);
    }
}

/// An open incident of the rebuilt state that no document names, with at least half of the document's known hosts.
fn same_hosts(incidents: &Incidents, document: &Alert, onsets: &[Onset]) -> Option<Key> {
    incidents.find(|_, incident| {
        let both = onsets.iter().filter(|onset| incident.members.contains_key(&onset.host)).count();
        incident.is_open() && incident.families.contains(&document.family) && both > 0 && 2 * both >= onsets.len()
    })
}

/// The affected hosts that the document names and the fleet knows.
fn onsets_of(
    document: &Alert,
    by_name: &BTreeMap<String, HostIndex>,
    fleet: &mut Fleet,
    config: &DetectorConfig,
) -> Vec<Onset> {
    let subject = document.subjects.first().map_or("unknown", |count| count.subject.as_str());
    let code = document.codes.first().map_or("unknown", |count| count.code.as_str());
    let mut onsets = Vec::new();
    for name in &document.hosts.names {
        let Some(&host) = by_name.get(name) else { continue };
        let exemplar = document.evidence.exemplars.iter().find(|exemplar| exemplar.host == *name);
        let range = document.evidence.ranges.first();
        let since = exemplar.map_or(document.time.onset.0, |exemplar| exemplar.time.0);
        onsets.push(Onset {
            host,
            family: document.family,
            operation: 0,
            subject: fleet.string(exemplar.map_or(subject, |exemplar| &exemplar.subject), &config.limits),
            code: fleet.string(exemplar.map_or(code, |exemplar| &exemplar.code), &config.limits),
            time: since,
            since,
            raw: RawPosition {
                partition: exemplar.map_or(range.map_or(0, |range| range.partition), |exemplar| exemplar.partition),
                offset: exemplar.map_or(range.map_or(0, |range| range.from), |exemplar| exemplar.offset),
            },
            late: false,
        });
    }
    onsets
}

/// The object that most hosts of a document distrust, by the subject at which most of them failed.
fn distrusted_by(document: &Alert) -> Distrusted {
    Distrusted::by(document.family, document.subjects.first().map_or("", |count| &count.subject))
}

fn from_document(document: &Alert, onsets: Vec<Onset>, fleet: &Fleet) -> Incident {
    let has_succeeded = |onset: &&Onset| {
        let host = &fleet.hosts[onset.host as usize];
        let fails = host.failing().iter().any(|failing| failing.subject == onset.subject);
        !fails && host.succeeded_since(onset.since).any(|subject| subject == onset.subject)
    };
    let recovered: Vec<HostIndex> = onsets.iter().filter(has_succeeded).map(|onset| onset.host).collect();
    let cluster = Cluster { significance: Significance::of_document(&document.detection), onsets };
    let mut incident =
        Incident::open(document.id.clone(), document.family, distrusted_by(document), cluster, document.time.opened.0);
    recovered.into_iter().for_each(|host| incident.recover(host, Recovery::Success, fleet));
    incident.families.extend(document.families.iter().copied());
    incident.unnamed_hosts = document.hosts.affected.saturating_sub(incident.members.len() as u64);
    incident.knows_onset(document.time.onset.0);
    incident.joined_at = document.time.updated.0;
    incident.notified_at = document.time.updated.0;
    incident.notified_hosts = incident.hosts();
    incident.seq = document.seq;
    incident.rules_met.clone_from(&document.detection.rules_met);
    incident.relations.adopted = true;
    incident.relations.merged_from.clone_from(&document.related.merged_from);
    incident.relations.split_from.clone_from(&document.related.split_from);
    incident.relations.split_into.clone_from(&document.related.split_into);
    incident
}
