//! Warnings before an outbreak: a certificate that signs updates expires soon, or has not reached all clients.
//!
//! A warning is a separate incident: it takes no host from an incident of failures, and no failure joins it.
//! Inventories are searched for the conditions of warnings once an hour of log time, so a replay writes the same
//! documents. The id of a warning is a hash of the condition and the certificate, so a condition that returns opens the
//! same incident again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wulog_schemas::alert::{Alert, Level, Method, NO_WSUS, State as AlertState, Transition};
use wulog_schemas::host::hex_digest;

use super::super::config::CertificateWarnings;
use super::super::document::DocumentContext;
use super::super::durations::DAY_MS;
use super::super::fleet::{Fleet, HostIndex, Knows};
use super::super::strings::StringId;
use super::super::{Detector, DetectorState};
use super::wsus::{machine_of, newest, value_of};
use super::{Certificates, Details, store_id};

mod document;
use crate::machine::Output;

const HOUR_MS: i64 = 60 * 60 * 1000;

/// Time before the end of a certificate from which its expiry is urgent.
const URGENT_MS: i64 = 7 * DAY_MS;

/// Time after the end of a certificate at which its warning is given up, though the certificate is still in use.
const GIVEN_UP_AFTER_MS: i64 = 14 * DAY_MS;

/// Least number of hosts that must lack a certificate: a single one was reinstalled, or is about to be.
const LACKING_MIN: u64 = 2;

/// Most warnings that are kept, ended ones included: a warning that returns continues the numbers of its documents.
const WARNINGS_MAX: usize = 1_000;

const PUBLISHER: &str = "TrustedPublisher";

/// The subject of the certificate that WSUS makes for itself.
const SELF_SIGNED: &str = "WSUS Publishers Self-signed";

/// All warnings by the id of their incident.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in super::super) struct Warnings {
    by_id: BTreeMap<String, Warning>,
    /// The clock when inventories were last searched.
    searched_at: i64,
}

/// One warning, open or ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Warning {
    pub(super) method: Method,
    pub(super) sha1: String,
    pub(super) subject: String,
    pub(super) not_after: Option<i64>,
    /// Name of the WSUS machine that signs with the certificate; empty where no inventory says which one does.
    pub(super) wsus: String,
    pub(super) state: AlertState,
    pub(super) seq: u32,
    pub(super) opened_at: i64,
    pub(super) ended_at: Option<i64>,
    /// The level and the number of hosts in the last document.
    pub(super) level: Level,
    pub(super) hosts: u64,
}

/// A condition that holds now.
#[derive(Clone, Debug)]
pub(super) struct WarningCase {
    pub(super) method: Method,
    pub(super) certificate: StringId,
    pub(super) wsus: Option<HostIndex>,
    /// Hosts that have a certificate that expires, or that lack one.
    pub(super) affected: Vec<HostIndex>,
    /// Number of affected hosts that have the certificate in Trusted Publishers and lack it in Trusted Root alone.
    pub(super) in_publishers: u64,
    /// Number of hosts whose inventory decides the condition.
    pub(super) known: u64,
    /// Since when the WSUS machine has the certificate.
    pub(super) since: Option<i64>,
}

impl WarningCase {
    fn level(&self, known: &Certificates, clock: i64) -> Level {
        let is_urgent = match self.method {
            Method::CertificateExpires => {
                let end = known.details.get(&self.certificate).and_then(|details| details.not_after);
                end.is_some_and(|end| end <= clock.saturating_add(URGENT_MS))
            }
            _ => 2 * self.affected.len() as u64 >= self.known,
        };
        if is_urgent { Level::Medium } else { Level::Low }
    }
}

impl Detector {
    /// Searches the inventories for conditions that will make hosts fail, once an hour.
    pub(in super::super) fn look_for_warnings(&mut self, clock: i64, out: &mut Vec<Output>) {
        let config = self.config.certificate_warnings.as_ref();
        let warnings = &self.state.warnings;
        let is_idle = config.is_none() && warnings.open().next().is_none();
        if is_idle || clock < warnings.searched_at.saturating_add(HOUR_MS) {
            return;
        }
        let (known, fleet) = (&self.state.certificates, &self.state.fleet);
        let mut cases = self.cases(clock);
        let mut told: Vec<(String, Option<WarningCase>, Transition)> = Vec::new();
        for (id, warning) in warnings.open() {
            match cases.remove(id) {
                Some(case) => {
                    let hosts = case.affected.len() as u64;
                    let has_grown = hosts >= 2 * warning.hosts && hosts >= warning.hosts + LACKING_MIN;
                    if has_grown || case.level(known, clock) > warning.level {
                        told.push((id.clone(), Some(case), Transition::Growing));
                    }
                }
                None if config.is_some() && warning.has_ended(known, fleet, clock) => {
                    told.push((id.clone(), None, Transition::Resolved));
                }
                None => told.push((id.clone(), None, Transition::Expired)),
            }
        }
        for (id, case) in cases {
            let is_again = warnings.by_id.contains_key(&id);
            let transition = if is_again { Transition::Reopened } else { Transition::Opened };
            told.push((id, Some(case), transition));
        }
        self.state.warnings.searched_at = clock;
        for (id, case, transition) in told {
            self.warn(id, case, transition, out);
        }
    }

    /// Writes a status document of each open warning, at the end of a replay.
    pub(in super::super) fn finish_warnings(&mut self, out: &mut Vec<Output>) {
        for (id, case) in self.open_warnings() {
            self.warn(id, case, Transition::Status, out);
        }
    }

    /// Writes a document of each open warning that an operator's order covers.
    pub(in super::super) fn handle_warnings(&mut self, covers: impl Fn(&Alert) -> bool, out: &mut Vec<Output>) {
        for (id, case) in self.open_warnings() {
            let alert = self.warning_document(&id, case.as_ref(), Transition::Handled);
            if alert.as_ref().is_some_and(&covers) {
                self.warn(id, case, Transition::Handled, out);
            }
        }
    }

    /// The open warnings with their conditions, where inventories still show them.
    fn open_warnings(&self) -> Vec<(String, Option<WarningCase>)> {
        let warnings = &self.state.warnings;
        if warnings.open().next().is_none() {
            return Vec::new();
        }
        let mut cases = self.cases(self.state.log_time);
        warnings.open().map(|(id, _)| (id.clone(), cases.remove(id))).collect()
    }

    /// All conditions that hold, by the ids of their warnings; none where warnings are off.
    fn cases(&self, clock: i64) -> BTreeMap<String, WarningCase> {
        let Some(config) = &self.config.certificate_warnings else { return BTreeMap::new() };
        let DetectorState { certificates: known, fleet, warnings, .. } = &self.state;
        let signing: BTreeMap<HostIndex, StringId> =
            known.hosts.keys().filter_map(|host| Some((*host, newest(*host, known, clock)?))).collect();
        let mut cases = expiring(known, config, clock, &signing);
        cases.extend(missing(known, fleet, config, clock, &signing, warnings));
        cases
    }

    /// Changes a warning by a transition, and sends its document.
    fn warn(&mut self, id: String, case: Option<WarningCase>, transition: Transition, out: &mut Vec<Output>) {
        let now = self.state.log_time;
        let DetectorState { certificates: known, fleet, warnings, .. } = &mut self.state;
        if !warnings.by_id.contains_key(&id) {
            let Some(case) = &case else { return };
            warnings.make_room();
            warnings.by_id.insert(id.clone(), Warning::of(case, known, fleet, now));
        }
        let Some(warning) = warnings.by_id.get_mut(&id) else { return };
        warning.change(transition, now);
        let Some(alert) = self.warning_document(&id, case.as_ref(), transition) else { return };
        let Some(warning) = self.state.warnings.by_id.get_mut(&id) else { return };
        warning.seq = alert.seq;
        if let Some(case) = &case {
            warning.hosts = case.affected.len() as u64;
            warning.level = alert.severity.level;
        }
        self.send(alert, out);
    }

    /// The next document of a warning.
    fn warning_document(&self, id: &str, case: Option<&WarningCase>, transition: Transition) -> Option<Alert> {
        let DetectorState { certificates, fleet, warnings, .. } = &self.state;
        let context = DocumentContext {
            fleet,
            certificates,
            config: &self.config,
            provenance: &self.provenance,
            names_max: self.names_max(),
            now: self.state.log_time,
        };
        Some(document::of_warning(id, warnings.by_id.get(id)?, case, transition, &context))
    }
}

impl Warnings {
    fn open(&self) -> impl Iterator<Item = (&String, &Warning)> {
        self.by_id.iter().filter(|(_, warning)| warning.state == AlertState::Open)
    }

    /// Number of open warnings.
    pub(in super::super) fn open_count(&self) -> usize {
        self.open().count()
    }

    /// Forgets the warning that ended first, or was opened first, where there is no room for one more.
    fn make_room(&mut self) {
        while self.by_id.len() >= WARNINGS_MAX {
            let order =
                |(_, warning): &(&String, &Warning)| (warning.ended_at.is_none(), warning.ended_at, warning.opened_at);
            let Some(first) = self.by_id.iter().min_by_key(order).map(|(id, _)| id.clone()) else { return };
            self.by_id.remove(&first);
        }
    }

    /// Takes over a warning from its newest document, after the state of the Detector was lost.
    pub(in super::super) fn adopt(&mut self, document: &Alert) {
        let Some(finding) = document.certificates.first() else { return };
        let Some(certificate) = &finding.certificate else { return };
        let warning = self.by_id.entry(document.id.clone()).or_insert_with(|| Warning {
            method: document.detection.method,
            sha1: certificate.sha1.clone(),
            subject: certificate.subject.clone(),
            not_after: certificate.not_after.map(|time| time.0),
            wsus: finding.wsus.as_ref().map(|copy| copy.host.clone()).unwrap_or_default(),
            state: document.state,
            seq: document.seq,
            opened_at: document.time.opened.0,
            ended_at: document.time.resolved.map(|time| time.0),
            level: document.severity.level,
            hosts: document.hosts.affected,
        });
        warning.seq = warning.seq.max(document.seq);
    }
}

impl Warning {
    fn of(case: &WarningCase, known: &Certificates, fleet: &Fleet, now: i64) -> Warning {
        let details = known.details.get(&case.certificate);
        Warning {
            method: case.method,
            sha1: known.thumbprints.text(case.certificate).to_owned(),
            subject: details.map(|details| details.subject.clone()).unwrap_or_default(),
            not_after: details.and_then(|details| details.not_after),
            wsus: case.wsus.map(|host| fleet.hosts[host as usize].name().to_owned()).unwrap_or_default(),
            state: AlertState::Open,
            seq: 0,
            opened_at: now,
            ended_at: None,
            level: Level::Low,
            hosts: 0,
        }
    }

    fn change(&mut self, transition: Transition, now: i64) {
        (self.state, self.ended_at) = match transition {
            Transition::Resolved => (AlertState::Resolved, Some(now)),
            Transition::Expired => (AlertState::Expired, Some(now)),
            _ => (AlertState::Open, None),
        };
        if transition == Transition::Reopened {
            (self.opened_at, self.hosts, self.level) = (now, 0, Level::Low);
        }
    }

    /// Whether a condition that no longer shows is known to have ended, and is not merely unknown.
    fn has_ended(&self, known: &Certificates, fleet: &Fleet, clock: i64) -> bool {
        let has_inventory = || known.hosts.keys().any(|host| fleet.hosts[*host as usize].name() == self.wsus);
        match self.method {
            Method::CertificateExpires => {
                self.not_after.is_some_and(|end| clock < end.saturating_add(GIVEN_UP_AFTER_MS)) && !known.is_empty()
            }
            _ => has_inventory(),
        }
    }
}

fn id_of(method: &str, certificate: &str, wsus: &str) -> String {
    format!("wu-{}", &hex_digest(&["certificate warning", method, certificate, wsus])[..16])
}

/// Certificates in use that expire soon: those that a WSUS machine signs with; those that Group Policy delivers to
/// Trusted Publishers; and those that WSUS makes for itself, wherever they are trusted. A certificate that has a
/// successor is not in use any more.
fn expiring(
    known: &Certificates,
    config: &CertificateWarnings,
    clock: i64,
    signing: &BTreeMap<HostIndex, StringId>,
) -> BTreeMap<String, WarningCase> {
    let soon = clock.saturating_sub(GIVEN_UP_AFTER_MS)
        ..=clock.saturating_add(i64::from(config.expires_within_days).saturating_mul(DAY_MS));
    let ends_soon = |id: &StringId| known.details[id].not_after.is_some_and(|end| soon.contains(&end));
    let signs: BTreeSet<StringId> = signing.values().copied().collect();
    let is_published = |details: &Details| details.by_policy || details.subject.contains(SELF_SIGNED);
    let wanted = known.details.iter().filter(|(id, details)| signs.contains(id) || is_published(details));
    let wanted: BTreeSet<StringId> = wanted.map(|(id, _)| *id).filter(ends_soon).collect();
    let Some(publisher) = store_id(PUBLISHER).filter(|_| !wanted.is_empty()) else { return BTreeMap::new() };
    let (mut hosts_of, mut complete): (BTreeMap<StringId, Vec<HostIndex>>, u64) = (BTreeMap::new(), 0);
    for (host, of_host) in &known.hosts {
        complete += u64::from(of_host.complete >> publisher & 1);
        for id in known.in_store(*host, publisher) {
            hosts_of.entry(id).or_default().push(*host);
        }
    }
    let hosts = |id: StringId| hosts_of.get(&id).map_or(0, Vec::len);
    let has_successor = |id: StringId| {
        let details = &known.details[&id];
        let is_later = |(other, successor): (&StringId, &Details)| {
            let is_successor = successor.subject == details.subject && successor.not_before > details.not_before;
            is_successor && (signs.contains(other) || 2 * hosts(*other) >= hosts(id).max(1))
        };
        !details.subject.is_empty() && known.details.iter().any(is_later)
    };
    let mut cases = BTreeMap::new();
    for certificate in wanted {
        let wsus = signing.iter().find(|(_, signs)| **signs == certificate).map(|(host, _)| *host);
        let mut affected = hosts_of.get(&certificate).cloned().unwrap_or_default();
        if wsus.is_none() && (affected.is_empty() || has_successor(certificate)) {
            continue;
        }
        // Where its clients send no inventories, the WSUS machine itself is the affected host.
        affected.extend(wsus.filter(|_| affected.is_empty()));
        let known_hosts = complete.max(affected.len() as u64);
        let method = Method::CertificateExpires;
        let id = id_of("expires", known.thumbprints.text(certificate), "");
        let (in_publishers, since) = (0, None);
        cases.insert(id, WarningCase { method, certificate, wsus, affected, in_publishers, known: known_hosts, since });
    }
    cases
}

/// Certificates that a WSUS machine signs with and that its clients lack. A client counts as lacking where its stores
/// were seen after the certificate had come to the WSUS machine.
fn missing(
    known: &Certificates,
    fleet: &Fleet,
    config: &CertificateWarnings,
    clock: i64,
    signing: &BTreeMap<HostIndex, StringId>,
    warnings: &Warnings,
) -> BTreeMap<String, WarningCase> {
    let (Some(publisher), Some(root), Some(wsus_store)) = (store_id(PUBLISHER), store_id("Root"), store_id("WSUS"))
    else {
        return BTreeMap::new();
    };
    let patience_ms = i64::from(config.missing_after_hours) * HOUR_MS;
    let mut since_when: BTreeMap<HostIndex, i64> = BTreeMap::new();
    for (wsus, certificate) in signing {
        let since = known.changed_at(*wsus, (wsus_store, *certificate), false);
        let since = since.or(known.details[certificate].not_before).unwrap_or(i64::MIN);
        if clock >= since.saturating_add(patience_ms) {
            since_when.insert(*wsus, since);
        }
    }
    let mut machines: BTreeMap<&str, Option<HostIndex>> = BTreeMap::new();
    let mut cases: BTreeMap<HostIndex, WarningCase> = BTreeMap::new();
    for (host, of_host) in &known.hosts {
        let Some(server) = value_of(*host, "wsus", fleet).filter(|server| *server != NO_WSUS) else { continue };
        let machine = *machines.entry(server).or_insert_with(|| machine_of(server, known, fleet));
        let Some((wsus, since)) = machine.and_then(|wsus| Some((wsus, *since_when.get(&wsus)?))) else { continue };
        if wsus == *host {
            continue;
        }
        let certificate = signing[&wsus];
        // The issuer is not examined: its root may be any that Windows trusts.
        let is_self_signed = known.details[&certificate].issuer.is_empty();
        let in_publishers = known.knows(*host, (publisher, certificate));
        let in_root = if is_self_signed { known.knows(*host, (root, certificate)) } else { Knows::Yes };
        let lacks = in_publishers == Knows::No || in_root == Knows::No;
        let has = in_publishers == Knows::Yes && in_root != Knows::No;
        let method = Method::CertificateMissing;
        let case = cases.entry(wsus).or_insert_with(|| WarningCase {
            method,
            certificate,
            wsus: Some(wsus),
            affected: Vec::new(),
            in_publishers: 0,
            known: 0,
            since: Some(since),
        });
        if lacks && of_host.seen >= since {
            case.known += 1;
            case.affected.push(*host);
            case.in_publishers += u64::from(in_publishers == Knows::Yes);
        } else if has {
            case.known += 1;
        }
    }
    let with_id = |case: WarningCase| {
        let name = case.wsus.map(|wsus| fleet.hosts[wsus as usize].name()).unwrap_or_default();
        (id_of("missing", known.thumbprints.text(case.certificate), name), case)
    };
    let is_open = |id: &String| warnings.by_id.get(id).is_some_and(|warning| warning.state == AlertState::Open);
    let holds = |(id, case): &(String, WarningCase)| {
        let lacking = case.affected.len() as u64;
        // An open warning ends at half of the share, so that it does not come and go with single computers.
        let (share, least) =
            if is_open(id) { (config.missing_share / 2.0, 1) } else { (config.missing_share, LACKING_MIN) };
        lacking >= least && lacking as f64 >= share * case.known as f64
    };
    cases.into_values().map(with_id).filter(holds).collect()
}
