//! The hosts whose files are read: the collector's own, and those whose logs are gathered in folders.

use std::collections::{BTreeMap, HashMap};

use tracing::warn;
use wulog_schemas::host::{HostId, canonical_name, name_apart};
use wulog_schemas::raw::{Heartbeat, Kind, RawHeader, VERSION};

use crate::discover::Discovered;
use crate::heartbeat::{FILES_BYTES_MAX, Pulse, listed};
use crate::local_host::{LocalHost, utc_offset_min};
use crate::record::RawRecord;
use crate::tail::Tail;

/// All hosts, each named by its index.
pub(crate) struct HostTable {
    list: Vec<ShippedHost>,
    by_id: HashMap<HostId, usize>,
    local: LocalHost,
    labels: BTreeMap<String, String>,
    /// The folder name of each gathered host, by the parent folder and the canonical name of the host.
    folders: HashMap<(String, String), String>,
}

struct ShippedHost {
    id: HostId,
    name: String,
    time_zone: Option<String>,
    labels: BTreeMap<String, String>,
    /// Whether the collector's own UTC offset holds for the lines of the host.
    utc_known: bool,
    pulse: Pulse,
    /// True while a heartbeat is not acknowledged. The next heartbeat waits, since an outage would otherwise add one to
    /// the backlog every 15 minutes.
    speaks: bool,
    files: Vec<usize>,
    /// Hash of the inventory of certificates that was sent last.
    certificates: Option<String>,
    /// When the certificate stores were last seen to hold the contents of that inventory.
    certificates_seen_ms: Option<i64>,
}

impl HostTable {
    /// Returns an empty list of hosts. `labels` belong to the collector's own host; gathered hosts inherit them.
    pub(crate) fn new(local: LocalHost, labels: BTreeMap<String, String>) -> HostTable {
        HostTable { list: Vec::new(), by_id: HashMap::new(), local, labels, folders: HashMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// The host that the collector runs on.
    pub(crate) fn own(&mut self) -> usize {
        let LocalHost { id, name, time_zone, own_clock } = self.local.clone();
        self.known(id, name, time_zone, self.labels.clone(), own_clock)
    }

    /// Whether a host is the one that the collector runs on.
    pub(crate) fn is_own(&self, host: usize) -> bool {
        self.list[host].id == self.local.id
    }

    /// Returns the index of the host of a folder, and whether the host is kept apart from another host of the same
    /// name.
    ///
    /// Computer names ignore case and blanks, folder names may not. Without a check, somebody who creates a folder
    /// `pc-1 ` beside `PC-1` could write lines of host `PC-1`. The folder that was found first gets the name; another
    /// folder becomes a host of its own. `apart` is the earlier decision about the file, which stays valid whatever
    /// folders exist now.
    pub(crate) fn gathered(&mut self, name: &str, found: &Discovered, apart: bool) -> (usize, bool) {
        let mut labels = self.labels.clone();
        labels.extend(found.labels.clone());
        let (canonical, zone) = (canonical_name(name), found.time_zone.clone());
        // Without a folder of hosts nothing can be confused: files of one host may lie in several folders, each with
        // its own spelling.
        let Some(parent) = found.hosts_folder.clone() else {
            return (self.known(HostId::of_gathered(name), canonical, zone, labels, false), false);
        };
        let place = (parent, canonical.clone());
        let first = (!apart).then(|| self.folders.entry(place).or_insert_with(|| name.to_owned()).clone());
        match first {
            Some(first) if first == name => {
                (self.known(HostId::of_gathered(name), canonical, zone, labels, false), false)
            }
            first => {
                let (id, shown) = (HostId::of_gathered_apart(name), name_apart(name));
                if let Some(first) = first.filter(|_| !self.by_id.contains_key(&id)) {
                    warn!(
                        folder = name,
                        other = first,
                        host = shown,
                        "two folders have the name of one host but for case or blanks; this one is kept apart as a host of its own: \
                         remove it, or rename it if it is another computer"
                    );
                }
                (self.known(id, shown, zone, labels, false), true)
            }
        }
    }

    pub(crate) fn add_file(&mut self, host: usize, file: usize) {
        self.list[host].files.push(file);
    }

    pub(crate) fn remove_file(&mut self, host: usize, file: usize) {
        self.list[host].files.retain(|known| *known != file);
    }

    pub(crate) fn id(&self, host: usize) -> HostId {
        self.list[host].id.clone()
    }

    /// Returns the header with the fields that all records of a host share.
    pub(crate) fn header(&self, host: usize, now_ms: i64) -> RawHeader {
        let host = &self.list[host];
        let utc = if host.utc_known { utc_offset_min(now_ms) } else { None };
        RawHeader { v: VERSION, host: host.name.clone(), read: now_ms, utc, ..RawHeader::default() }
    }

    /// Returns the heartbeat of a host, if one is due. Call [`HostTable::delivered`] after its acknowledgement.
    pub(crate) fn heartbeat(&mut self, index: usize, tails: &[Tail], now_ms: i64) -> Option<RawRecord> {
        let host = &mut self.list[index];
        if host.speaks {
            return None;
        }
        let caught_up = host.pulse.due(now_ms, host.files.iter().all(|&file| tails[file].is_idle()))?;
        host.speaks = true;
        let (files, unlisted) = listed(host.files.iter().map(|&file| tails[file].status()).collect(), FILES_BYTES_MAX);
        let heartbeat = Heartbeat {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time_zone: host.time_zone.clone(),
            labels: host.labels.clone(),
            caught_up,
            files,
            unlisted,
            certificates: host.certificates.clone(),
            certificates_seen: host.certificates_seen_ms,
        };
        let value = serde_json::to_vec(&heartbeat).expect("a heartbeat holds only strings, numbers and booleans");
        let header = RawHeader { kind: Kind::Heartbeat, ..self.header(index, now_ms) };
        Some(RawRecord { host_id: self.id(index), header, value })
    }

    /// Notes the hash of the inventory of a host, and when the stores were seen to hold the contents of the inventory.
    pub(crate) fn saw_certificates(&mut self, host: usize, hash: String, seen_ms: i64) {
        self.list[host].certificates = Some(hash);
        self.list[host].certificates_seen_ms = Some(seen_ms);
    }

    /// Notes that the heartbeat of a host is in the log.
    pub(crate) fn delivered(&mut self, host: usize) {
        self.list[host].speaks = false;
    }

    /// True once a heartbeat of the host was sent; lines of the host are read only after that.
    pub(crate) fn has_spoken(&self, host: usize) -> bool {
        self.list[host].pulse.has_spoken()
    }

    /// True when the last heartbeat of every host reports that the host has caught up.
    pub(crate) fn all_say_caught_up(&self) -> bool {
        self.list.iter().all(|host| host.pulse.says_caught_up())
    }

    fn known(
        &mut self,
        id: HostId,
        name: String,
        time_zone: Option<String>,
        labels: BTreeMap<String, String>,
        utc_known: bool,
    ) -> usize {
        *self.by_id.entry(id.clone()).or_insert_with(|| {
            let (pulse, files) = (Pulse::default(), Vec::new());
            self.list.push(ShippedHost {
                id,
                name,
                time_zone,
                labels,
                utc_known,
                pulse,
                speaks: false,
                files,
                certificates: None,
                certificates_seen_ms: None,
            });
            self.list.len() - 1
        })
    }
}
